import collections
import os
import pickle
import zipfile

import numpy as np
import pytest

from siamjax.weights import WeightsError
from siamjax.weights.state_dict import read_state_dict, write_state_dict

torch = pytest.importorskip("torch")

ZIP, STREAM = True, False
FORMATS = pytest.mark.parametrize("as_zip", [ZIP, STREAM], ids=["zip", "stream"])


def save(value, path, as_zip):
    torch.save(value, path, _use_new_zipfile_serialization=as_zip)
    return path


def numbers(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def tensors():
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(40, generator=generator)
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
def test_every_kind_of_tensor_is_read_as_torch_wrote_it(tmp_path, as_zip):
    saved = tensors()
    read = read_state_dict(save(saved, tmp_path / "x.pth", as_zip))
    assert list(read) == list(saved)
    for key, tensor in saved.items():
        np.testing.assert_array_equal(read[key], numbers(tensor), err_msg=key, strict=True)


@FORMATS
def test_a_training_checkpoint_of_pysot_is_unwrapped(tmp_path, as_zip):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    # PySOT's schedule hands NumPy numbers to the optimizer.
    optimizer.param_groups[0]["lr"] = np.logspace(-2, -4, 20)[3] * 0.5
    wrapped = torch.nn.DataParallel(net)
    checkpoint = {
        "epoch": 3,
        "state_dict": wrapped.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    read = read_state_dict(save(checkpoint, tmp_path / "checkpoint_e3.pth", as_zip))
    expected = net.state_dict()
    assert list(read) == list(expected)
    for key, tensor in expected.items():
        np.testing.assert_array_equal(read[key], tensor.numpy(), strict=True)


@FORMATS
def test_a_checkpoint_of_mmtracking_is_unwrapped(tmp_path, as_zip):
    meta = {"epoch": 20, "CLASSES": None, "time": "now", "hook_msgs": {"seed": 1}}
    checkpoint = {"meta": meta, "state_dict": {"a": torch.ones(2)}, "optimizer": {}}
    read = read_state_dict(save(checkpoint, tmp_path / "x.pth", as_zip))
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


@pytest.mark.parametrize("container", ["zip", "stream", "pickle", "optimizer"])
def test_a_pickle_that_runs_a_command_is_refused_and_not_run(tmp_path, container):
    target, path = tmp_path / "ran", tmp_path / "evil.pth"
    evil = {"state_dict": {"a": torch.ones(2)}, "optimizer": Evil(target)}
    if container == "pickle":
        path.write_bytes(pickle.dumps(Evil(target)))
    else:
        save(evil if container == "optimizer" else Evil(target), path, container != "stream")
    asks = r"it asks for `(posix|nt)\.system`.*never executed here"
    with pytest.raises(WeightsError, match=asks):
        read_state_dict(path)
    assert not target.exists()
    # The attack is real: PyTorch's own unpickler runs it.
    if container == "zip":
        torch.load(path, weights_only=False)
        assert target.exists()


def test_functions_inside_the_permitted_modules_are_refused(tmp_path):
    path = tmp_path / "evil.pth"
    for name in ("collections\nnamedtuple", "torch._utils\nimport_module", "numpy\nload"):
        path.write_bytes(pickle.PROTO + b"\x02" + f"c{name}\n".encode() + b"(tR.")
        with pytest.raises(WeightsError, match=name.replace("\n", r"\.")):
            read_state_dict(path)


@FORMATS
def test_a_pickled_model_is_refused(tmp_path, as_zip):
    path = save(torch.nn.Linear(2, 3), tmp_path / "model.pth", as_zip)
    with pytest.raises(WeightsError, match=r"save `model\.state_dict\(\)`"):
        read_state_dict(path)


@FORMATS
def test_a_file_cut_anywhere_is_refused(tmp_path, as_zip):
    whole = save({"a": torch.ones(30), "b": torch.ones(4, 4)}, tmp_path / "x", as_zip)
    data = whole.read_bytes()
    for length in [*range(0, len(data), 37), len(data) - 1]:
        (tmp_path / "cut").write_bytes(data[:length])
        with pytest.raises(WeightsError, match="cut cannot be read"):
            read_state_dict(tmp_path / "cut")


@FORMATS
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path, rng, as_zip):
    whole = save({"a": torch.ones(30), "b": torch.ones(4, 4)}, tmp_path / "x", as_zip)
    data, refused = whole.read_bytes(), 0
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
        (lambda p: save({}, p, ZIP), "holds no tensors"),
        (lambda p: save({}, p, STREAM), "holds no tensors"),
        (lambda p: save([torch.ones(1)], p, ZIP), "it holds list, not a dict of tensors"),
        (lambda p: save({"epoch": 3}, p, ZIP), "entry 'epoch' of its state dict is int"),
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


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        read_state_dict(tmp_path / "nowhere.pth")


def test_a_key_with_and_without_the_prefix_is_refused(tmp_path):
    both = {"a": torch.ones(1), "module.a": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"the same key with and without the prefix"):
        read_state_dict(save(both, tmp_path / "x.pth", ZIP))
