import dataclasses
import json
import struct
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest

import siamjax
from siamjax.cli import main
from siamjax.config_files import config_to_dict
from siamjax.models.build import abstract_variables, build_network
from siamjax.models.folding import fold_batch_norm, unfold_batch_norm
from siamjax.training.checkpoints import CheckpointError, save_variables
from siamjax.training.start import read_start
from siamjax.weights import WeightsError
from siamjax.weights.convert import load
from siamjax.weights.detect import detect
from siamjax.weights.recipe import flatten
from siamjax.weights.release import is_release, read_about, read_release, write_release
from siamjax.weights.safetensors_file import read_tensors, write_tensors
from siamjax.weights.state_dict import read_state_dict
from tests.conftest import ROOT
from tests.tracking.networks import random_variables, small_config
from tests.weights.published import published

PROVENANCE = {"pairs": 1000, "sources": [{"name": "made up", "terms": "CC0"}], "commit": "1a2b"}


def stirred(variables, seed=0):
    """With batch norms that do something, as after a training."""
    rng = np.random.default_rng(seed)
    spread = {"scale": (0.5, 1.5), "var": (0.5, 2.0), "mean": (-1, 1), "bias": (-0.3, 0.3)}

    def stir(path, leaf):
        low_high = spread.get(path[-1].key)
        return leaf if low_high is None else rng.uniform(*low_high, leaf.shape).astype("f4")

    return jax.tree_util.tree_map_with_path(stir, variables)


@pytest.fixture(scope="module")
def config():
    return small_config()


@pytest.fixture(scope="module")
def trained(config):
    return stirred(random_variables(build_network(config.model), config))


@pytest.fixture(scope="module")
def folded(config, trained):
    return fold_batch_norm(config.model, trained)[1]


@pytest.fixture(scope="module")
def release(tmp_path_factory, config, folded):
    path = tmp_path_factory.mktemp("release") / "small.safetensors"
    write_release(path, config, folded, PROVENANCE)
    return path


def apply(network, variables, seed=0):
    rng = np.random.default_rng(seed)
    template, search = (rng.uniform(0, 255, (1, n, n, 3)).astype("f4") for n in (63, 143))
    return jax.jit(network.apply)(variables, template, search)


def assert_equal_trees(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_what_is_written_is_read(release, config, folded):
    variables, about = read_release(release)
    assert_equal_trees(variables, folded)
    assert about.config == config and about.provenance == PROVENANCE
    assert about.version == siamjax.__version__
    assert is_release(release) and read_about(release) == about
    # For everybody else it is a safetensors file like any other.
    assert read_tensors(release).keys() == flatten({"params": folded["params"]}).keys()


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 11), ("bfloat16", 8)])
def test_sixteen_bits_round_and_halve(tmp_path, release, config, folded, dtype, bits):
    path = tmp_path / "half.safetensors"
    write_release(path, config, folded, PROVENANCE, dtype)
    assert path.stat().st_size < 0.51 * release.stat().st_size + 8000
    variables, _ = read_release(path)
    for found, exact in zip(*map(jax.tree.leaves, (variables, folded)), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=2.0**-bits, atol=2e-7)


def test_a_release_is_a_model_that_is_folded_already(release, config, folded):
    model = siamjax.load_model(weights=release)
    assert model.config == config and model.folded() is model
    assert_equal_trees(jax.device_get(model.variables), folded)
    assert model.network == build_network(config.model, folded=True)
    tracker = siamjax.load_tracker(weights=str(release))
    assert tracker.network == model.network


def test_the_configuration_may_be_another_as_long_as_the_network_is_not(release, config):
    tracker = dataclasses.replace(config.tracker, window_influence=0.1)
    other = dataclasses.replace(config, name="other", tracker=tracker)
    assert siamjax.load_model(other, release).config == other
    wider = dataclasses.replace(config.model, channels=(24,))
    with pytest.raises(WeightsError, match=r"small\.safetensors belongs to another n.*24"):
        siamjax.load_model(dataclasses.replace(config, model=wider), release)


@pytest.mark.parametrize(
    ("config_name", "side"), [("quickstart", 63), ("siamfc", 127), ("siamrpnpp_alexnet", 127)]
)
def test_unfolding_is_the_inverse_of_folding(config_name, side):
    config = siamjax.load_config(ROOT / "configs" / f"{config_name}.py").model
    trained = stirred(random_variables(build_network(config), _Named(config)))
    _, folded = fold_batch_norm(config, trained)
    like = abstract_variables(config)
    unfolded, norms = unfold_batch_norm(config, folded, like)
    assert jax.tree.structure(unfolded) == jax.tree.structure(like)
    assert len(norms) == sum(path.endswith("/var") for path in flatten(like))
    # Folding what was unfolded gives the same numbers again: the norms are the identity.
    _, again = fold_batch_norm(config, unfolded)
    for found, exact in zip(*map(jax.tree.leaves, (again, folded)), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-7)


@dataclasses.dataclass
class _Named:
    """What `random_variables` asks of a configuration."""

    model: object


def starting_from(config, path, **more):
    return dataclasses.replace(
        config, init=dataclasses.replace(config.init, path=str(path), **more)
    )


def test_a_training_starts_as_the_release_ends(release, config, folded):
    abstract = abstract_variables(config.model)
    start = read_start(starting_from(config, release), abstract)
    assert jax.tree.structure(start.variables) == jax.tree.structure(abstract)
    assert len(start.folded) == sum(path.endswith("/var") for path in flatten(abstract))
    assert f"starting from release {release} of `small`" in start.summary
    before = apply(build_network(config.model, folded=True), folded)
    after = apply(build_network(config.model), start.variables)
    np.testing.assert_allclose(after.cls_logits, before.cls_logits, atol=1e-4)
    np.testing.assert_allclose(after.loc, before.loc, atol=1e-4)


def test_a_training_may_take_the_backbone_alone(release, config):
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=(24,)))
    abstract = abstract_variables(wider.model)
    start = read_start(starting_from(wider, release, parts=("backbone",)), abstract)
    assert list(start.variables["params"]) == ["backbone"]
    assert all(norm.startswith("backbone/") for norm in start.folded)
    with pytest.raises(CheckpointError, match="belongs to another network"):
        read_start(starting_from(wider, release), abstract)


def test_nothing_of_training_is_imported_to_load_it(release):
    program = f"""
import sys, siamjax
siamjax.load_tracker(weights={str(release)!r})
unwanted = {{"optax", "orbax", "grain", "tensorflow_datasets", "torch", "array_record",
            "siamjax.training", "siamjax.data", "matplotlib"}}
print(*sorted(unwanted & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "" and done.stderr == ""


# The command


@pytest.fixture
def provenance(tmp_path):
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps(PROVENANCE))
    return path


def test_the_command_releases_a_work_directory(tmp_path, config, trained, provenance, capsys):
    run, out = tmp_path / "run", tmp_path / "new" / "small.safetensors"
    save_variables(run, trained, config)
    options = ["--out", str(out), "--provenance", str(provenance)]
    assert main(["release", str(run), *options]) == 0
    printed = capsys.readouterr().out
    assert f"wrote {out}" in printed and "sha256: " in printed
    variables, about = read_release(out)
    expected = fold_batch_norm(config.model, trained)[1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), variables, expected
    )
    assert about.config == config and about.provenance == PROVENANCE


def test_a_release_is_released_again_in_sixteen_bits(tmp_path, release, provenance):
    out = tmp_path / "half.safetensors"
    options = ["--provenance", str(provenance), "--dtype", "float16", "--out"]
    assert main(["release", str(release), *options, str(out)]) == 0
    assert out.stat().st_size < 0.52 * release.stat().st_size + 8000
    before = release.read_bytes()
    assert main(["release", str(release), *options, str(release)]) == 1
    assert release.read_bytes() == before


BAD_PROVENANCE = {
    "no pairs": ({**PROVENANCE, "pairs": 0}, "`pairs` (=0), a positive number"),
    "pairs in words": ({**PROVENANCE, "pairs": "many"}, "`pairs` (='many')"),
    "truth for pairs": ({**PROVENANCE, "pairs": True}, "`pairs` (=True)"),
    "no sources": ({"pairs": 5}, "`sources` (=None), a list"),
    "empty sources": ({"pairs": 5, "sources": []}, "`sources` (=[])"),
    "no terms": ({"pairs": 5, "sources": [{"name": "x"}]}, "one is {'name': 'x'}"),
    "a list": ([1], "an object with `pairs`"),
    "nested": ("[" * 10**5, "nested too deeply"),
}


@pytest.mark.parametrize(("content", "message"), BAD_PROVENANCE.values(), ids=BAD_PROVENANCE)
def test_a_provenance_that_says_too_little_is_refused(
    tmp_path, release, content, message, capsys
):
    path, out = tmp_path / "provenance.json", tmp_path / "x.safetensors"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    options = ["--out", str(out), "--provenance", str(path)]
    assert main(["release", str(release), *options]) == 1
    printed = capsys.readouterr().err
    assert message in printed and len(printed.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--out": "x.npz"}, "must be a file whose name ends in .safetensors"),
        ({"--provenance": "gone.json"}, "gone.json"),
        ({"weights": "gone"}, "does not exist"),
        (
            {"weights": "random", "--config": str(ROOT / "configs/quickstart.py")},
            "are untrained",
        ),
    ],
)
def test_wrong_options_are_refused(tmp_path, release, provenance, changes, message, capsys):
    options = {"--out": str(tmp_path / "y.safetensors"), "--provenance": str(provenance)}
    options |= {key: value for key, value in changes.items() if key != "weights"}
    words = [word for pair in options.items() for word in pair]
    assert main(["release", changes.get("weights", str(release)), *words]) == 1
    assert message in capsys.readouterr().err


def test_numbers_that_do_not_fit_are_refused(tmp_path, config, folded, trained):
    path = tmp_path / "x.safetensors"
    large = jax.tree.map(lambda x: np.full_like(x, 1e5), folded)
    with pytest.raises(WeightsError, match="not finite in float16; use float32"):
        write_release(path, config, large, PROVENANCE, "float16")
    with pytest.raises(WeightsError, match="the weights are damaged"):
        nan = jax.tree.map(lambda x: np.full_like(x, np.nan), folded)
        write_release(path, config, nan, PROVENANCE)
    with pytest.raises(WeightsError, match="fold them first"):
        write_release(path, config, trained, PROVENANCE)
    assert not path.exists()


# Files that are not to be trusted


def rewritten(release, path, *, metadata=None, tensors=None, without=()):
    """A release with other metadata or tensors."""
    header = _header(release)["__metadata__"] | (metadata or {})
    header = {key: value for key, value in header.items() if key not in without}
    write_tensors(path, read_tensors(release) | (tensors or {}), header)
    return path


def _header(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])


def write_raw(path, header, data=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", length or len(header)) + header + data)
    return path


def config_with(config, **values):
    return json.dumps(config_to_dict(config) | values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {"format_version": "2"}, "of format '2', written by siamjax"),
        (lambda c: {"format_version": ""}, "of format ''"),
        (lambda c: {"config": "{"}, "configuration or provenance cannot be read"),
        (lambda c: {"config": "[" * 10**5}, "nested too deeply"),
        (lambda c: {"config": '{"name": ' * 900 + "1" + "}" * 900}, "damaged|does not work"),
        (lambda c: {"config": "[]"}, "does not work with siamjax"),
        (lambda c: {"config": "{}"}, r"lacks \[.name.\]"),
        (lambda c: {"config": config_with(c, future=1)}, "has no field 'future'"),
        (lambda c: {"config": config_with(c, name="../x")}, "`name`"),
        (lambda c: {"config": config_with(c, model=3)}, "`config.model` must hold the fields"),
        (lambda c: {"config": config_with(c, data={"sources": 5})}, "cannot be read|does not"),
        (lambda c: {"config": config_with(c, model={"levels": [[1]]})}, "be read|does not"),
        (lambda c: {"config": config_with(c, model={"channels": "x"})}, "be read|does not"),
        (lambda c: {"config": '{"a": 1, "a": 2}'}, "occurs twice"),
        (lambda c: {"provenance": "null"}, "an object with `pairs`"),
        (lambda c: {"provenance": "[" * 10**5}, "nested too deeply"),
        (lambda c: {"provenance": '{"pairs": ' + "9" * 400 + "}"}, "be read|does not"),
    ],
)
def test_metadata_that_cannot_be_right_are_refused(tmp_path, release, config, change, message):
    path = rewritten(release, tmp_path / "odd.safetensors", metadata=change(config))
    for read in (read_about, lambda p: siamjax.load_model(weights=p)):
        with pytest.raises(WeightsError, match=message) as error:
            read(path)
        assert str(path) in str(error.value)


def test_a_release_of_a_network_that_it_does_not_hold_is_refused(tmp_path, release, config):
    wider = dataclasses.replace(config.model, channels=(24,))
    text = json.dumps(config_to_dict(dataclasses.replace(config, model=wider)))
    path = rewritten(release, tmp_path / "odd.safetensors", metadata={"config": text})
    with pytest.raises(WeightsError, match="belongs to another network than its configuration"):
        siamjax.load_model(weights=path)


def test_a_tree_of_another_network_is_not_written(tmp_path, config, folded):
    path = tmp_path / "odd.safetensors"
    wider = dataclasses.replace(config.model, channels=(24,))
    with pytest.raises(WeightsError, match="belongs to another network than its configuration"):
        write_release(path, dataclasses.replace(config, model=wider), folded, PROVENANCE)
    assert not path.exists()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"params/backbone/conv1/kernel/x": np.ones(1, "f4")}, "names are no paths of a tree"),
        ({"extra": np.ones(1, "f4")}, "names are no paths of a tree"),
        ({"params/more": np.ones(1, "f4")}, "belongs to another network"),
        ({"params/backbone/conv1/bias": np.full(16, np.nan, "f4")}, "NaN or infinite"),
        ({"params/backbone/conv1/bias": np.ones(16, "i4")}, "int32, and may hold float32"),
        ({"params/backbone/conv1/bias": np.ones(7, "f4")}, "belongs to another network"),
    ],
)
def test_tensors_that_cannot_be_right_are_refused(tmp_path, release, tensors, message):
    path = rewritten(release, tmp_path / "odd.safetensors", tensors=tensors)
    with pytest.raises(WeightsError, match=message):
        siamjax.load_model(weights=path)


ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
TWICE = b'{"a": %b, "a": %b}' % ((json.dumps(ONE["a"]).encode(),) * 2)
HOSTILE = {
    "longer than the file": lambda p: write_raw(p, ONE, bytes(8), 10**6),
    "longer than memory": lambda p: write_raw(p, ONE, bytes(8), 2**63 - 1),
    "huge": lambda p: write_raw(p, b'{"a":' + b" " * 2**24, bytes(8)),
    "data missing": lambda p: write_raw(p, ONE, bytes(3)),
    "data left over": lambda p: write_raw(p, ONE, bytes(30)),
    "twice": lambda p: write_raw(p, TWICE, bytes(8)),
    "nested": lambda p: write_raw(p, b'{"a":' + b"[" * 10**5, bytes(8)),
    "negative": lambda p: write_raw(p, {"a": ONE["a"] | {"shape": [-2]}}, bytes(8)),
    "overflow": lambda p: write_raw(p, {"a": ONE["a"] | {"shape": [2**40] * 2}}, bytes(8)),
    "overlap": lambda p: write_raw(p, ONE | {"b": ONE["a"]}, bytes(8)),
    "unknown type": lambda p: write_raw(p, {"a": ONE["a"] | {"dtype": "F99"}}, bytes(8)),
    "type that NumPy lacks": lambda p: write_raw(
        p, {"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, bytes(8)
    ),
    "no tensor": lambda p: write_raw(p, {"a": 3}),
    "metadata in numbers": lambda p: write_raw(p, {"__metadata__": {"x": 3}}),
    "metadata in a list": lambda p: write_raw(p, {"__metadata__": [1]}),
    "half of a pair": lambda p: write_raw(p, b'{"__metadata__": {"x": "\\ud800"}}'),
    "no UTF-8": lambda p: write_raw(p, b'{"\xff": 3}'),
    "nothing inside": lambda p: write_raw(p, {}),
}


@pytest.mark.parametrize("write", HOSTILE.values(), ids=HOSTILE)
def test_hostile_safetensors_are_refused(tmp_path, config, write):
    path = tmp_path / "odd.safetensors"
    write(path)
    for read in (read_state_dict, lambda p: siamjax.load_model(config, p)):
        with pytest.raises(WeightsError, match=str(path)):
            read(path)


def test_a_file_cut_anywhere_is_refused(tmp_path, release):
    data, path = release.read_bytes(), tmp_path / "cut.safetensors"
    for length in [*range(0, 40), *range(41, len(data), len(data) // 50), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"cut\.safetensors"):
            read_release(path)


# Other people's safetensors


def test_a_state_dict_in_safetensors_is_read_as_from_pytorch(tmp_path):
    expected = published("siamrpn_alex_dwxcorr")
    path = tmp_path / "model.safetensors"
    write_tensors(path, {f"module.{key}": array for key, array in expected.items()}, {})
    assert not is_release(path)
    found = read_state_dict(path)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key, strict=True)
    assert detect(found).configs[0] == "siamrpnpp_alexnet"


def test_halves_come_back_as_float32(tmp_path):
    path, numbers = tmp_path / "x.safetensors", np.array([0.1, -3.0, 1e-3])
    kinds = {"f2": np.float16, "bf": ml_dtypes.bfloat16, "f8": np.float64, "n": np.int64}
    write_tensors(path, {key: numbers.astype(kind) for key, kind in kinds.items()}, {})
    found = read_state_dict(path)
    for key, kind in kinds.items():
        expected = numbers.astype(kind)
        expected = expected if key == "n" else expected.astype(np.float32)
        np.testing.assert_array_equal(found[key], expected, strict=True)


def test_a_release_needs_no_conversion(release, config, capsys):
    assert main(["convert", str(release)]) == 1
    assert "a release of siamjax, which needs no conversion" in capsys.readouterr().err
    with pytest.raises(WeightsError, match="needs no conversion"):
        load(release, config)


def test_weights_of_others_are_no_release(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": np.ones(2, np.float32)}, {"format": "pt"})
    with pytest.raises(WeightsError, match="not a release of siamjax"):
        read_about(path)
