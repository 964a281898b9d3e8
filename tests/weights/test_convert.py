import dataclasses
import re

import jax
import numpy as np
import pytest

from siamjax.config import BackboneConfig
from siamjax.config_files import load_config
from siamjax.weights import WeightsError, pysot
from siamjax.weights.architecture import PUBLISHED, architecture_of
from siamjax.weights.convert import (
    ConversionError,
    abstract_variables,
    convert,
    load,
)
from siamjax.weights.detect import detect
from siamjax.weights.recipe import flatten
from siamjax.weights.state_dict import read_state_dict, write_state_dict
from tests.conftest import ROOT
from tests.weights.published import CONFIGS, MODELS, PYSOT_MODELS, blank, key_shapes, published


@pytest.fixture(scope="module", params=MODELS)
def imported(request):
    """Each published model: its name, state dict, and what `convert` makes of it."""
    state_dict = published(request.param)
    config = CONFIGS[MODELS[request.param][0]]
    return request.param, state_dict, *convert(state_dict, config)


def test_a_published_model_is_imported_whole(imported):
    name, state_dict, variables, _ = imported
    config_name, entries, parameters = MODELS[name]
    assert len(state_dict) == entries
    expected = abstract_variables(CONFIGS[config_name].model)
    assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, expected)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(variables))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == parameters


def test_every_key_of_a_published_model_has_its_place(imported):
    _, state_dict, variables, report = imported
    used = [key for key, _, _ in report.used]
    ignored = [key for key, _ in report.ignored]
    assert [key for key in state_dict if key not in ignored] == used
    assert all(key.endswith("num_batches_tracked") for key in ignored)
    assert not report.made
    # Nothing is lost on the way: the same numbers, whatever their order.
    arrays = flatten(variables)
    for key, path, _ in report.used:
        assert (
            np.sort(arrays[path], None)[:9].tolist()
            == np.sort(state_dict[key], None)[:9].tolist()
        )


@pytest.mark.parametrize("imported", PYSOT_MODELS, indirect=True)
def test_the_way_back_to_pysot_is_exact(imported):
    name, state_dict, variables, _ = imported
    naming = "layers" if name.endswith("16gpu") else "features"
    back = pysot.to_state_dict(variables, CONFIGS[MODELS[name][0]].model, naming)
    assert back.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(back[key], array, err_msg=key, strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_a_file_is_recognised_with_the_configuration_that_fits(name):
    detected = detect(blank(name))
    assert detected.whole and detected.configs[0] == MODELS[name][0]


def test_dasiamrpn_becomes_pysots_network():
    config = CONFIGS["dasiamrpn"]
    variables, _ = convert(blank("dasiamrpn_SiamRPNvot_otb"), config)
    back = pysot.to_state_dict(variables, config.model)
    assert {k: v.shape for k, v in back.items()} == key_shapes("siamrpn_alex_upchannel")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_facts_are_those_of_the_configuration(name):
    facts = PUBLISHED[name][1]
    assert architecture_of(CONFIGS[name].model) == facts


def test_a_training_checkpoint_in_a_file(tmp_path):
    torch = pytest.importorskip("torch")
    state_dict = published("siamrpn_alex_dwxcorr")
    tensors = {f"module.{k}": torch.from_numpy(np.asarray(v)) for k, v in state_dict.items()}
    torch.save({"epoch": 20, "state_dict": tensors, "optimizer": {}}, tmp_path / "e.pth")
    variables, _ = load(tmp_path / "e.pth", CONFIGS["siamrpnpp_alexnet"])
    expected, _ = convert(state_dict, CONFIGS["siamrpnpp_alexnet"])
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


def as_mmtracking(key):
    """mmtracking's name of PySOT's key, from reading mmtracking's modules."""
    for pattern, name in {
        r"neck\.downsample(\d)\.downsample\.": lambda m: f"neck.convs.{int(m[1]) - 2}.",
        r"rpn_head\.loc_weight": "head.reg_weight",
        r"rpn_head\.cls_weight": "head.cls_weight",
        r"rpn_head\.rpn(\d)\.cls": lambda m: f"head.cls_heads.{int(m[1]) - 2}",
        r"rpn_head\.rpn(\d)\.loc": lambda m: f"head.reg_heads.{int(m[1]) - 2}",
        r"\.conv_(kernel|search)\.": r".\1_convs.",
        r"\.head\.0\.": ".head_convs.0.conv.",
        r"\.head\.1\.": ".head_convs.0.bn.",
        r"\.head\.3\.": ".head_convs.1.conv.",
        r"((?:neck\.convs\.\d|_convs))\.0\.(?=weight$)": r"\1.conv.",
        r"((?:neck\.convs\.\d|kernel_convs|search_convs))\.1\.": r"\1.bn.",
    }.items():
        key = re.sub(pattern, name, key)
    return key


def test_mmtracking_holds_pysots_network_under_other_names():
    state_dict = published("siamrpn_r50_l234_dwxcorr")
    renamed = {as_mmtracking(key): array for key, array in state_dict.items()}
    assert "head.cls_heads.2.head_convs.1.conv.bias" in renamed
    assert "neck.convs.0.bn.running_mean" in renamed
    detected = detect(renamed)
    assert (detected.source, detected.configs) == ("mmtracking", ["siamrpnpp_r50"])
    variables, report = convert(renamed, CONFIGS["siamrpnpp_r50"])
    expected, _ = convert(state_dict, CONFIGS["siamrpnpp_r50"])
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    assert len(report.ignored) == 458 - len(report.used)


def test_a_mask_branch_belongs_to_the_configuration():
    """Both ways: a file with masks for a network without, and a file without for one with."""
    without = dataclasses.replace(CONFIGS["siammask_r50"].model, mask=False)
    config = dataclasses.replace(CONFIGS["siammask_r50"], name="r50_layer3", model=without)
    with pytest.raises(WeightsError) as error:
        convert(blank("siammask_r50_l3"), config)
    assert str(error.value) == (
        "this is a network from PySOT (backbone resnet50, width 1.0, correlation depthwise, "
        "channels (256,), mask True), which `r50_layer3` is not: mask True instead of False; "
        "use configs/siammask_r50.py"
    )
    rest = {k: v for k, v in blank("siammask_r50_l3").items() if k[:4] not in ("mask", "refi")}
    assert detect(rest).configs == []
    with pytest.raises(WeightsError, match="mask False instead of True; no published"):
        convert(rest, CONFIGS["siammask_r50"])
    variables, _ = convert(rest, config)
    assert set(variables["params"]) == {"backbone", "neck", "head"}


def test_another_networks_configuration_is_refused_with_the_one_that_fits():
    with pytest.raises(WeightsError) as error:
        convert(blank("siamrpn_alex_dwxcorr"), CONFIGS["siamrpnpp_r50"])
    assert str(error.value) == (
        "this is a network from PySOT (backbone alexnet, width 1.0, correlation depthwise, "
        "channels (256,)), which `siamrpnpp_r50` is not: backbone alexnet instead of "
        "resnet50; channels (256,) instead of (256, 256, 256); "
        "use configs/siamrpnpp_alexnet.py"
    )


@pytest.mark.parametrize(
    ("name", "config", "fact"),
    [
        ("siamrpn_r50_l234_dwxcorr", "siamrpnpp_r50_otb", "fusion weighted instead of mean"),
        ("siamrpn_r50_l234_dwxcorr_lt", "siamrpnpp_r50", "channels (128, 256, 512) instead"),
        ("dasiamrpn_SiamRPNBIG", "dasiamrpn", "width 2.0 instead of 1.0"),
        ("siamrpn_alex_upchannel", "siamrpnpp_alexnet", "correlation up_channel instead"),
        ("siamfc_alexnetv1", "siamrpn_alexnet", "backbone siamfc_alexnet instead of alexnet"),
        ("siamrpn_mobilev2_l234_dwxcorr", "siamrpnpp_r50", "width 1.4 instead of 1.0"),
    ],
)
def test_the_fact_that_differs_is_named(name, config, fact):
    with pytest.raises(WeightsError, match=re.escape(fact)) as error:
        convert(blank(name), CONFIGS[config])
    assert f"use configs/{MODELS[name][0]}.py" in str(error.value)


def test_what_is_wrong_is_listed_key_by_key(tmp_path):
    state_dict = published("siamrpn_alex_dwxcorr")
    del state_dict["rpn_head.loc.head.3.bias"]
    state_dict["backbone.features.4.weight"] = np.ones((256, 48, 5, 5), np.float32)
    state_dict["rpn_head.cls.head.9.weight"] = np.ones(3, np.float32)
    spoilt = state_dict["backbone.features.1.running_var"].copy()
    spoilt[:2] = np.nan, np.inf
    state_dict["backbone.features.1.running_var"] = spoilt
    write_state_dict(tmp_path / "x.npz", state_dict)
    with pytest.raises(ConversionError) as error:
        load(tmp_path / "x.npz", CONFIGS["siamrpnpp_alexnet"])
    assert str(error.value).splitlines() == [
        f"{tmp_path / 'x.npz'}, a network from PySOT (backbone alexnet, width 1.0, correlation "
        "depthwise, channels (256,)), for `siamrpnpp_alexnet`: 4 problems",
        "  missing: `rpn_head.loc.head.3.bias`, for params/head/layer5/loc/output/conv1/bias",
        "  unexpected: `rpn_head.cls.head.9.weight`",
        "  wrong shape: `backbone.features.4.weight` is [256, 48, 5, 5] and must be "
        "[256, 96, 5, 5]",
        "  not finite: `backbone.features.1.running_var` holds 2 values that are NaN or "
        "infinite",
    ]


@pytest.mark.parametrize(
    "name", ["siamrpn_alex_dwxcorr", "siammask_r50_l3", "siamfc_alexnetv1"]
)
def test_every_single_missing_key_is_noticed(name):
    config = CONFIGS[MODELS[name][0]]
    for key in key_shapes(name):
        if key.endswith("num_batches_tracked"):
            continue
        state_dict = blank(name)
        del state_dict[key]
        with pytest.raises(ConversionError) as error:
            convert(state_dict, config)
        assert [missing for missing, _ in error.value.report.missing] == [key]


def test_counters_may_be_missing():
    state_dict = published("siamrpn_alex_dwxcorr")
    state_dict = {k: v for k, v in state_dict.items() if not k.endswith("tracked")}
    _, report = convert(state_dict, CONFIGS["siamrpnpp_alexnet"])
    assert not report.ignored


@pytest.mark.parametrize(
    "keys, message",
    [
        (["a.weight", "b"], "known"),
        (
            ["layer1.0.downsample.0.weight", "layer3.22.conv3.weight"],
            "not supported; ResNet-18, -34 and -50 are",
        ),
    ],
)
def test_an_unknown_network_is_refused(keys, message):
    with pytest.raises(WeightsError, match=message):
        detect({key: np.ones((3, 3)) for key in keys})


BACKBONES = {
    "resnet50.model": ("siamrpn_r50_l234_dwxcorr", "backbone.", "siamrpnpp_r50"),
    "alexnet-bn.pth": ("siamrpn_alex_dwxcorr", "backbone.", "siamrpnpp_alexnet"),
    "alexnet-bn.pth, bare": ("siamrpn_alex_dwxcorr", "backbone.features.", "siamrpnpp_alexnet"),
    "alexnet, layers": ("siamrpn_alex_dwxcorr_16gpu", "backbone.", "siamrpnpp_alexnet"),
    "mobilenet": ("siamrpn_mobilev2_l234_dwxcorr", "backbone.", "siamrpnpp_mobilenetv2"),
    "mmtracking": ("siamrpn_r50_l234_dwxcorr", "", "siamrpnpp_r50"),
}


@pytest.mark.parametrize("case", BACKBONES)
def test_a_backbone_only_fills_the_backbone_and_nothing_else(case):
    name, prefix, config_name = BACKBONES[case]
    config, whole = CONFIGS[config_name], published(name)
    backbone = {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith("backbone")}
    detected = detect(backbone)
    assert (detected.source, detected.whole) == ("PySOT", False)
    assert config_name in detected.configs
    variables, report = convert(backbone, config)
    assert all(set(tree) == {"backbone"} for tree in variables.values())
    assert not report.made and len(report.used) + len(report.ignored) == len(backbone)

    expected = {
        path: leaf
        for path, leaf in flatten(convert(whole, config)[0]).items()
        if path.split("/")[1] == "backbone"
    }
    found = flatten(variables)
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        assert np.array_equal(leaf, expected[path]), path


def test_stages_that_a_configuration_does_not_build_are_ignored():
    backbone = {
        key.removeprefix("backbone."): array
        for key, array in published("siamrpn_r50_l234_dwxcorr").items()
        if key.startswith("backbone.")
    }
    _, report = convert(backbone, CONFIGS["siammask_r50"])
    unbuilt = {k for k, reason in report.ignored if reason.startswith("a stage that")}
    counters = {k for k in backbone if k.endswith("tracked")}
    assert unbuilt == {k for k in backbone if k.startswith("layer4.")} - counters
    del backbone["layer3.5.conv1.weight"]
    with pytest.raises(ConversionError, match=r"missing: `layer3\.5\.conv1\.weight`"):
        convert(backbone, CONFIGS["siammask_r50"])


def test_a_backbone_of_another_kind_is_refused():
    backbone = {
        key.removeprefix("backbone."): array
        for key, array in published("siamrpn_alex_dwxcorr").items()
        if key.startswith("backbone.")
    }
    with pytest.raises(WeightsError) as error:
        convert(backbone, CONFIGS["siamrpnpp_r50"])
    assert str(error.value) == (
        "this is a backbone from PySOT (backbone alexnet, width 1.0), which `siamrpnpp_r50` is "
        "not: backbone alexnet instead of resnet50; use configs/siamrpnpp_alexnet.py or "
        "configs/siamrpn_alexnet.py or configs/dasiamrpn.py"
    )


def test_what_pysot_does_not_have_is_not_exported():
    config = CONFIGS["siamfc"]
    variables, _ = convert(blank("siamfc_alexnetv1"), config)
    with pytest.raises(WeightsError, match=r"`model\.correlation` \(='plain'\)"):
        pysot.to_state_dict(variables, config.model)
    for change in ({"padding": "cropped"}, {"dilated": False}, {"width": 0.5}):
        ((field, value),) = change.items()
        model = dataclasses.replace(
            CONFIGS["siamrpnpp_r50"].model, backbone=BackboneConfig(**change)
        )
        with pytest.raises(WeightsError) as error:
            pysot.to_state_dict({}, model)
        assert str(error.value) == (
            "PySOT has no network like this one, which differs in "
            f"`model.backbone.{field}` (={value!r}); its weights cannot be written for PySOT"
        )


def test_the_stand_in_numbers_tell_keys_apart():
    # The tests above would pass with two arrays swapped if they held the same numbers.
    state_dict = published("siamrpn_alex_dwxcorr")
    floats = [a.tobytes() for k, a in state_dict.items() if not k.endswith("tracked")]
    assert len(set(floats)) == len(floats)


def test_a_backbone_that_is_used_in_part_ignores_the_stages_behind(shared):
    state_dict = read_state_dict(shared / "weights" / "mobilenetv2_1.0_imagenet.npz")
    config = load_config(ROOT / "configs" / "siamjax_small.py")
    _, report = convert(state_dict, config)
    behind = [key for key, reason in report.ignored if "after the last one" in reason]
    # the stem, 1 + 2 + 3 + 4 + 3 blocks of three convolutions but for one: 0..38 are used
    assert {int(key[:2]) for key in behind} == set(range(39, 51))
