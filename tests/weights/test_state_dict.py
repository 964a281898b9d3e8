import collections
import os
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.weights import WeightsError
from siamjax.weights.state_dict import read_state_dict, write_state_dict
from tests.references import files

ZIP, STREAM = True, False
FORMATS = pytest.mark.parametrize("as_zip", [ZIP, STREAM], ids=["zip", "stream"])


@pytest.fixture
def written(golden_name, tmp_path):
    """`written(make, as_zip)`: paths of files as PyTorch writes what `make(torch)` gives.

    The first is in the repository; where PyTorch is installed, the second is of now.
    """

    def write(make, as_zip):
        def save():
            import torch

            path = tmp_path / "x.pth"
            torch.save(make(torch), path, _use_new_zipfile_serialization=as_zip)
            return path.read_bytes()

        paths = []
        for name, data in zip(("golden", "live"), files(golden_name, save), strict=False):
            paths.append(tmp_path / f"{name}.pth")
            paths[-1].write_bytes(data)
        return paths

    return write


def tensors(torch, base):
    base = torch.from_numpy(base)
    return collections.OrderedDict(
        plain=base.reshape(5, 8).clone(),
        transposed=base.reshape(5, 8).t(),
        part=base[7:19].reshape(3, 4),
        every_third=base[1::3],
        expanded=base[:4].reshape(4, 1).expand(4, 6),
        half=base.half(),
        brain=base.bfloat16(),
        double=base.double() / 3,
        counter=torch.tensor(7),
        integers=torch.arange(5, dtype=torch.int32),
        flags=base > 0,
        nothing=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(base[:6].clone()),
    )


@FORMATS
def test_every_kind_of_tensor_is_read_as_torch_wrote_it(written, as_zip, rng):
    base = rng.standard_normal(40).astype(np.float32)
    expected = {
        "plain": base.reshape(5, 8),
        "transposed": base.reshape(5, 8).T,
        "part": base[7:19].reshape(3, 4),
        "every_third": base[1::3],
        "expanded": np.tile(base[:4, None], 6),
        "half": base.astype(np.float16).astype(np.float32),
        "brain": base.astype(jnp.bfloat16).astype(np.float32),
        "double": (base.astype(np.float64) / 3).astype(np.float32),
        "counter": np.array(7),
        "integers": np.arange(5, dtype=np.int32),
        "flags": base > 0,
        "nothing": np.zeros((0, 3), np.float32),
        "parameter": base[:6],
    }
    for path in written(lambda torch: tensors(torch, base), as_zip):
        read = read_state_dict(path)
        assert list(read) == list(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(read[key], array, err_msg=key, strict=True)


def pysot_checkpoint(torch, state_dict):
    """After a step of training, with these numbers for weights."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    # PySOT's schedule hands NumPy numbers to the optimizer.
    optimizer.param_groups[0]["lr"] = np.logspace(-2, -4, 20)[3] * 0.5
    net.load_state_dict({key: torch.from_numpy(a) for key, a in state_dict.items()})
    wrapped = torch.nn.DataParallel(net)
    return {
        "epoch": 3,
        "state_dict": wrapped.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


@FORMATS
def test_a_training_checkpoint_of_pysot_is_unwrapped(written, as_zip, rng):
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": 4, "1.weight": 4, "1.bias": 4}
    shapes |= {"1.running_mean": 4, "1.running_var": 4}
    expected = {k: rng.standard_normal(n).astype(np.float32) for k, n in shapes.items()}
    expected["1.num_batches_tracked"] = np.array(1)
    for path in written(lambda torch: pysot_checkpoint(torch, expected), as_zip):
        read = read_state_dict(path)
        assert list(read) == list(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(read[key], array, strict=True)


@FORMATS
def test_a_checkpoint_of_mmtracking_is_unwrapped(written, as_zip):
    meta = {"epoch": 20, "CLASSES": None, "time": "now", "hook_msgs": {"seed": 1}}

    def checkpoint(torch):
        return {"meta": meta, "state_dict": {"a": torch.ones(2)}, "optimizer": {}}

    for path in written(checkpoint, as_zip):
        read = read_state_dict(path)
        np.testing.assert_array_equal(read["a"], np.ones(2, np.float32))


def test_the_byte_strings_of_python_2_are_read(tmp_path, monkeypatch):
    def byte_string(text):
        return pickle.SHORT_BINSTRING + bytes([len(text)]) + text.encode()

    monkeypatch.setattr("siamjax.weights.torch_files._text", byte_string)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_state_dict(tmp_path / "x.pth", {"featureExtract.0.weight": array})
    read = read_state_dict(tmp_path / "x.pth")
    np.testing.assert_array_equal(read["featureExtract.0.weight"], array)


def test_an_npz_is_read_and_its_doubles_become_floats(tmp_path):
    with open(tmp_path / "weights", "wb") as file:
        np.savez(file, **{"module.a.weight": np.ones((2, 3)), "module.n": np.int64(4)})
    read = read_state_dict(tmp_path / "weights")
    assert {key: array.dtype for key, array in read.items()} == {
        "a.weight": np.float32,
        "n": np.int64,
    }


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
def test_what_is_written_is_read_back_bit_by_bit(tmp_path, rng, suffix):
    state_dict = {
        "a.weight": rng.standard_normal((4, 3, 2, 2)).astype(np.float32).transpose(3, 2, 1, 0),
        "a.bias": rng.standard_normal(4).astype(np.float32),
        "a.num_batches_tracked": np.zeros((), np.int64),
        "empty": np.zeros((0, 2), np.float32),
    }
    path = tmp_path / "new" / f"x{suffix}"
    write_state_dict(path, state_dict)
    read = read_state_dict(path)
    assert list(read) == list(state_dict)
    for key, array in state_dict.items():
        np.testing.assert_array_equal(read[key], array, strict=True)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("weights_only", [True, False])
def test_torch_reads_what_is_written(tmp_path, rng, weights_only):
    torch = pytest.importorskip("torch")
    state_dict = {
        "weight": rng.standard_normal((4, 3, 2, 2)).astype(np.float32),
        "count": np.zeros((), np.int64),
    }
    write_state_dict(tmp_path / "x.pth", state_dict)
    loaded = torch.load(tmp_path / "x.pth", weights_only=weights_only)
    for key, array in state_dict.items():
        np.testing.assert_array_equal(loaded[key].numpy(), array, strict=True)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        write_state_dict(path, {"a": np.zeros(2, np.complex64)})
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x.pth"]


def test_only_two_suffixes_are_written(tmp_path):
    with pytest.raises(WeightsError, match=r"x\.pt` must end in \.npz or \.pth"):
        write_state_dict(tmp_path / "x.pt", {})


class Evil:
    """Pickles as a call of `os.system`, which would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def assert_not_run(path):
    asks = r"it asks for `(posix|nt)\.system`.*never executed here"
    with pytest.raises(WeightsError, match=asks):
        read_state_dict(path)
    assert not (path.parent / "ran").exists()


def test_a_pickle_that_runs_a_command_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil("ran")))
    assert_not_run(tmp_path / "evil.pth")


@pytest.mark.parametrize("container", ["zip", "stream", "optimizer"])
def test_a_file_that_runs_a_command_is_refused_and_not_run(
    written, tmp_path, monkeypatch, container
):
    monkeypatch.chdir(tmp_path)

    def evil(torch):
        in_optimizer = {"state_dict": {"a": torch.ones(2)}, "optimizer": Evil("ran")}
        return in_optimizer if container == "optimizer" else Evil("ran")

    for path in written(evil, container != "stream"):
        assert_not_run(path)


def test_the_attack_is_real(tmp_path, monkeypatch):
    """PyTorch's own unpickler runs it."""
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    torch.save(Evil("ran"), "evil.pth")
    torch.load("evil.pth", weights_only=False)
    assert (tmp_path / "ran").exists()


def test_functions_inside_the_permitted_modules_are_refused(tmp_path):
    path = tmp_path / "evil.pth"
    for name in ("collections\nnamedtuple", "torch._utils\nimport_module", "numpy\nload"):
        path.write_bytes(pickle.PROTO + b"\x02" + f"c{name}\n".encode() + b"(tR.")
        with pytest.raises(WeightsError, match=name.replace("\n", r"\.")):
            read_state_dict(path)


@FORMATS
def test_a_pickled_model_is_refused(tmp_path, as_zip):
    # live alone: in a stream, PyTorch writes where its own source lies
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(2, 3), path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(WeightsError, match=r"save `model\.state_dict\(\)`"):
        read_state_dict(path)


def ones(torch):
    return {"a": torch.ones(30), "b": torch.ones(4, 4)}


@FORMATS
def test_a_file_cut_anywhere_is_refused(written, tmp_path, as_zip):
    for path in written(ones, as_zip):
        data = path.read_bytes()
        for length in [*range(0, len(data), 37), len(data) - 1]:
            (tmp_path / "cut").write_bytes(data[:length])
            with pytest.raises(WeightsError, match="cut cannot be read"):
                read_state_dict(tmp_path / "cut")


@FORMATS
def test_a_damaged_file_is_read_or_refused_but_never_crashes(written, tmp_path, rng, as_zip):
    for path in written(ones, as_zip):
        data, refused = path.read_bytes(), 0
        for _ in range(300):
            damaged = bytearray(data)
            for place in rng.integers(0, len(data), 3):
                damaged[place] = rng.integers(256)
            (tmp_path / "damaged").write_bytes(damaged)
            try:
                read_state_dict(tmp_path / "damaged")
            except WeightsError:
                refused += 1
        assert refused > 100


def claim_shape(path, size, claimed):
    """A stream whose tensor claims `claimed` numbers, over a storage of `size`."""
    write_state_dict(path, {"a": np.ones(size, np.float32)})
    shapes = [
        pickle.MARK + pickle.BININT + n.to_bytes(4, "little") + pickle.TUPLE
        for n in (size, claimed)
    ]
    data = path.read_bytes()
    assert data.count(shapes[0]) == 1
    path.write_bytes(data.replace(*shapes))


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    path = tmp_path / "x.pth"
    claim_shape(path, 6, 5)
    assert read_state_dict(path)["a"].shape == (5,)
    claim_shape(path, 6, 7)
    with pytest.raises(WeightsError, match=r"shape \(7,\) does not fit into its storage of 6"):
        read_state_dict(path)


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def write_objects(path):
    with open(path, "wb") as file:
        np.savez(file, a=np.array([{"x": 1}], dtype=object))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: p.write_bytes(pickle.dumps({"a": 1})), "not written by `torch.save`"),
        (write_zip, "a zip archive, but not one that PyTorch writes"),
        (write_objects, "Object arrays cannot be loaded"),
        (lambda p: p.mkdir(), "is a folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_checkpoint_is_refused(tmp_path, write, message):
    path = tmp_path / "x.pth"
    write(path)
    with pytest.raises(WeightsError, match=message) as error:
        read_state_dict(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("make", "as_zip", "message"),
    [
        (lambda torch: {}, ZIP, "holds no tensors"),
        (lambda torch: {}, STREAM, "holds no tensors"),
        (lambda torch: [torch.ones(1)], ZIP, "it holds list, not a dict of tensors"),
        (lambda torch: {"epoch": 3}, ZIP, "entry 'epoch' of its state dict is int"),
    ],
    ids=["empty zip", "empty stream", "list", "number"],
)
def test_a_file_of_pytorch_without_weights_is_refused(written, make, as_zip, message):
    for path in written(make, as_zip):
        with pytest.raises(WeightsError, match=message) as error:
            read_state_dict(path)
        assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        read_state_dict(tmp_path / "nowhere.pth")


def test_a_key_with_and_without_the_prefix_is_refused(written):
    for path in written(lambda torch: {"a": torch.ones(1), "module.a": torch.zeros(1)}, ZIP):
        with pytest.raises(WeightsError, match=r"the same key with and without the prefix"):
            read_state_dict(path)
