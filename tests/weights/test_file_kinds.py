import dataclasses
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from siamjax.cli import main
from siamjax.config_files import load_config
from siamjax.training.start import read_start
from siamjax.weights import WeightsError
from siamjax.weights.file_kinds import kind_of
from siamjax.weights.safetensors_file import write_tensors
from tests.conftest import ROOT

PAGE = b'\n<!DOCTYPE html>\n<html lang="en"><head><title>Sign in</title>'
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)

WRONG = {
    "page": (PAGE, "an HTML page", "page instead of the file"),
    "page with BOM": (b"\xef\xbb\xbf<HTML>", "an HTML page", "page instead of"),
    "xml": (b'<?xml version="1.0"?><Error>', "an XML document", "fetch it again"),
    "lfs": (POINTER, "a pointer of Git LFS", "git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s5--ab.pth\n", "git-annex", "git annex get"),
    "empty": (b"", "empty", "fetch it again"),
    "gzip": (b"\x1f\x8b\x08\x00" + b"x" * 20, "compressed with gzip", "unpack it"),
    "xz": (b"\xfd7zXZ\x00\x00", "compressed with xz", "unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00", "7-Zip", "unpack it"),
    "json": (b'{\n  "name": "quickstart"}', "a JSON file", "goes to `config`"),
    "json list": (b'[{"a": 1}]', "a JSON file", "goes to `config`"),
    "png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "a PNG image", "name the weights instead"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image", "name the weights instead"),
    "mp4": (
        b"\x00\x00\x00\x20ftypisom",
        "an MP4 or QuickTime video",
        "name the weights instead",
    ),
    "pdf": (b"%PDF-1.7", "a PDF", "name the weights instead"),
    "tflite": (b"\x1c\x00\x00\x00TFL3\x00\x00", "a TensorFlow Lite model", ".npz"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file", ".npz"),
    "onnx": (b"\x08\x07\x12\x07pytorch", "protocol buffers", "no reader"),
    "npy": (b"\x93NUMPY\x01\x00", "a single NumPy array", "savez"),
    "gguf": (b"GGUF\x03\x00\x00\x00", "GGUF", "work directory"),
    "zeros": (bytes(4096), "zero bytes", "copy is incomplete"),
    "text": (b"epoch 3, loss 0.1\n", "begins with b'epoch 3", "a .pth of PyTorch"),
    "text with a brace": (b"siamrpn {", "begins with b'siamrpn {'", "a .pth of PyTorch"),
    "noise": (bytes(range(200, 256)), "begins with", "a .pth of PyTorch"),
}


@pytest.mark.parametrize(("data", "what", "advice"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_weights_file_is_called_by_its_name(tmp_path, data, what, advice):
    path = tmp_path / "siamrpn.pth"  # whatever it is called
    path.write_bytes(data)
    with pytest.raises(WeightsError) as error:
        kind_of(path)
    message = str(error.value)
    assert message.startswith(f"{path} cannot be read: ")
    assert what in message and advice in message


def test_a_tar_archive_is_recognised(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"weights")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "x.pth", "x.pth")
    with pytest.raises(WeightsError, match="a tar archive, not weights: unpack it"):
        kind_of(tmp_path / "x.tar")


def test_weights_are_told_apart_by_content(tmp_path):
    path = tmp_path / "weights"
    with open(path, "wb") as file:
        np.savez(file, a=np.ones(2))
    assert kind_of(path) == "zip"
    with zipfile.ZipFile(path, "w"):
        pass
    assert kind_of(path) == "zip"
    for protocol in range(1, 6):
        path.write_bytes(pickle.dumps([0x1950A86A20F9469CFC6C], protocol))
        assert protocol == 1 or kind_of(path) == "pickle"
    write_tensors(path, {"a": np.ones(2, np.float32)}, {})
    assert kind_of(path) == "safetensors"
    for length in (0x8B1F, 0x685A42, 0xFFD8FF):  # begin as gzip, bzip2 and JPEG do
        path.write_bytes(length.to_bytes(8, "little") + b'{"a":{"dtype":"F32"')
        assert kind_of(path) == "safetensors"


def test_a_folder_and_a_part_of_a_checkpoint_are_named(tmp_path):
    with pytest.raises(WeightsError, match="it is a folder"):
        kind_of(tmp_path)
    (tmp_path / "_CHECKPOINT_METADATA").write_text("{}")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.ocdbt").write_bytes(b"\x0c\xdb")
    with pytest.raises(
        WeightsError, match=f"a part of a checkpoint; give its folder.*{tmp_path}"
    ):
        kind_of(tmp_path / "model" / "manifest.ocdbt")


QUICKSTART = ROOT / "configs" / "quickstart.py"


def convert(path):
    return main(["convert", str(path)])


def export_weights(path):
    options = ["--config", str(QUICKSTART), "--out", str(path.with_name("out.npz"))]
    return main(["export-weights", str(path), *options])


def start(path):
    """What `--init.path` gives."""
    config = load_config(QUICKSTART)
    config = dataclasses.replace(config, init=dataclasses.replace(config.init, path=str(path)))
    return read_start(config, {"params": {}, "batch_stats": {}})


@pytest.mark.parametrize("data", [PAGE, POINTER], ids=["page", "pointer"])
@pytest.mark.parametrize("command", [convert, export_weights])
def test_commands_say_so_too(tmp_path, capsys, command, data):
    path = tmp_path / "model.pth"
    path.write_bytes(data)
    assert command(path) == 1
    printed = capsys.readouterr().err
    assert str(path) in printed and len(printed.splitlines()) == 1
    assert "an HTML page" in printed or "Git LFS" in printed


def test_the_start_of_a_training_says_so_too(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(PAGE)
    with pytest.raises(WeightsError, match="an HTML page"):
        start(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="it is a pipe"):
        kind_of(tmp_path / "weights.pth")
