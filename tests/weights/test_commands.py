import os

import jax
import numpy as np
import pytest

from siamjax.cli import main
from siamjax.config_files import load_config
from siamjax.training.checkpoints import CheckpointError, load_variables
from siamjax.weights.convert import abstract_variables, convert
from siamjax.weights.state_dict import read_state_dict, write_state_dict
from tests.conftest import ROOT
from tests.weights.published import published

CONFIG = ROOT / "configs" / "siamrpnpp_alexnet.py"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.pth"
    write_state_dict(path, published("siamrpn_alex_dwxcorr"))
    return path


def test_convert_writes_a_checkpoint_and_a_report(tmp_path, weights, capsys):
    out = tmp_path / "runs" / "alexnet"
    assert main(["convert", str(weights), "--config", str(CONFIG), "--out", str(out)]) == 0
    assert f"written to {out}" in capsys.readouterr().out
    assert os.listdir(out.parent) == ["alexnet"]
    settings = load_config(out / "config.json")
    assert settings == load_config(CONFIG)
    loaded = load_variables(out, abstract_variables(settings.model))
    expected, _ = convert(published("siamrpn_alex_dwxcorr"), settings)
    jax.tree.map(np.testing.assert_array_equal, loaded, expected)

    lines = (out / "report.txt").read_text().splitlines()
    assert lines[0] == (
        f"{weights}, a network from PySOT (backbone alexnet, width 1.0, correlation depthwise, "
        "channels (256,)), for `siamrpnpp_alexnet`: 64 keys used, 11 ignored, 0 arrays made "
        "without one"
    )
    rows = [line.split(maxsplit=2) for line in lines[2:]]
    assert sorted(row[0] for row in rows) == sorted(published("siamrpn_alex_dwxcorr"))
    assert [
        "rpn_head.cls.head.3.bias",
        "->",
        "params/head/layer5/cls/output/conv1/bias",
    ] in rows


def test_export_gives_pysots_file_back_bit_by_bit(tmp_path, weights, capsys):
    out, back = tmp_path / "checkpoint", tmp_path / "back.pth"
    options = ["--config", str(CONFIG), "--out"]
    assert main(["convert", str(weights), *options, str(out)]) == 0
    assert main(["export-weights", str(out), *options, str(back)]) == 0
    expected, written = published("siamrpn_alex_dwxcorr"), read_state_dict(back)
    assert written.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(written[key], array, err_msg=key, strict=True)

    # A file goes through as well, and to the other naming.
    npz = tmp_path / "other.npz"
    layers = [*options, str(npz), "--alexnet", "layers"]
    assert main(["export-weights", str(back), *layers]) == 0
    assert "75 arrays of `siamrpnpp_alexnet`" in capsys.readouterr().out
    assert "backbone.layer3.1.running_var" in read_state_dict(npz)


def test_without_a_configuration_it_says_which_fits(weights, capsys):
    assert main(["convert", str(weights)]) == 0
    assert capsys.readouterr().out == (
        f"{weights}: a network from PySOT (backbone alexnet, width 1.0, correlation depthwise, "
        "channels (256,)); fits configs/siamrpnpp_alexnet.py\n"
    )


def spoil(state_dict):
    del state_dict["rpn_head.cls.head.3.weight"]


def rename(state_dict):
    state_dict["nonsense"] = state_dict.pop("rpn_head.cls.head.3.weight")


def infect(state_dict):
    state_dict["rpn_head.cls.head.3.weight"] = np.full((10, 256, 1, 1), np.nan, np.float32)


def cut(state_dict):
    state_dict["rpn_head.cls.head.3.weight"] = np.ones((10, 128, 1, 1), np.float32)


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (spoil, ["missing: `rpn_head.cls.head.3.weight`"]),
        (rename, ["missing: `rpn_head.cls.head.3.weight`", "unexpected: `nonsense`"]),
        (infect, ["not finite: `rpn_head.cls.head.3.weight` holds 2560 values that are NaN"]),
        (cut, ["`rpn_head.cls.head.3.weight` is [10, 128, 1, 1] and must be [10, 256, 1, 1]"]),
    ],
)
def test_a_file_with_problems_leaves_nothing_behind(tmp_path, change, messages, capsys):
    state_dict = published("siamrpn_alex_dwxcorr")
    change(state_dict)
    path, out = tmp_path / "bad.npz", tmp_path / "out"
    write_state_dict(path, state_dict)
    before = sorted(os.listdir(tmp_path))
    assert main(["convert", str(path), "--config", str(CONFIG), "--out", str(out)]) == 1
    printed = capsys.readouterr().err
    assert all(message in printed for message in messages), printed
    assert sorted(os.listdir(tmp_path)) == before


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, weights, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("siamjax.weights.convert.Report.text", interrupt)
    before = sorted(os.listdir(tmp_path))
    arguments = ["--config", str(CONFIG), "--out", str(tmp_path / "out")]
    assert main(["convert", str(weights), *arguments]) == 130
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x"], "`--config` and `--out` go together"),
        (["--config", "{config}"], "`--config` and `--out` go together"),
        (["--config", "{config}", "--out", "{tmp}"], "exists and is not empty"),
        (["--config", "{config}", "--out", "{config}"], "exists and is not empty"),
        (["--config", "{tmp}/none.py", "--out", "{tmp}/x"], "none.py' does not exist"),
    ],
)
def test_wrong_options_are_refused(tmp_path, weights, arguments, message, capsys):
    filled = [a.format(tmp=tmp_path, config=CONFIG) for a in arguments]
    assert main(["convert", str(weights), *filled]) == 1
    assert message in capsys.readouterr().err


def test_a_checkpoint_of_a_mere_backbone_is_no_tracker(tmp_path, capsys):
    backbone = {
        key.removeprefix("backbone."): array
        for key, array in published("siamrpn_alex_dwxcorr").items()
        if key.startswith("backbone.")
    }
    path, out = tmp_path / "alexnet-bn.npz", tmp_path / "out"
    write_state_dict(path, backbone)
    assert main(["convert", str(path), "--config", str(CONFIG), "--out", str(out)]) == 0
    assert "a backbone from PySOT" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match=r"it lacks batch_stats/head/.* and 31 more"):
        load_variables(out, abstract_variables(load_config(CONFIG).model))


def test_an_evil_file_is_refused_by_the_command(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    arguments = ["--config", str(CONFIG), "--out", str(tmp_path / "out")]
    assert main(["convert", str(path), *arguments]) == 1
    assert "it asks for `os.system`" in capsys.readouterr().err
