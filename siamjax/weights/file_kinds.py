"""What a weights file is: its first bytes say so, whatever it is called."""

import re
from pathlib import Path
from typing import Literal

from siamjax.weights.errors import WeightsError

Kind = Literal["zip", "pickle", "safetensors"]

EXPECTED = (
    "weights are a release of siamjax or another .safetensors, a .pth of PyTorch, a .npz, or "
    "the work directory of a training"
)
_HEAD = 512  # bytes that are looked at; tar's mark is the farthest, at 257
_UNPACK = "unpack it, and give the file that is inside"
_PICTURE = f"name the weights instead: {EXPECTED}"

# A pickle of protocol 0 has no mark; one that asks for anything looks like this.
_PICKLE = re.compile(rb"\x80[\x01-\x05]|\(*c[\w.]+\n[\w.]+\n")

# What people give for weights that is none: how it begins, what it is, what to do.
_WRONG = [
    (re.compile(pattern, re.DOTALL), what, advice)
    for pattern, what, advice in (
        (
            rb"(?i:(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|script|\?xml|!--))",
            "an HTML page",
            "the download gave a web page in place of the file: fetch it again by its direct "
            "address (often called raw or download), signed in where that is asked for",
        ),
        (
            rb"version https://git-lfs\.github\.com/spec/",
            "a pointer of Git LFS",
            "the file itself was not fetched: run `git lfs pull` in its repository, or "
            "download it by its direct address",
        ),
        (
            rb"(\.\./|\.git/)*(\.git)?/?annex/objects/",
            "a pointer of git-annex",
            "the file itself was not fetched: run `git annex get` in its repository",
        ),
        (rb"\x1f\x8b", "compressed with gzip", _UNPACK),
        (rb"BZh[1-9]", "compressed with bzip2", _UNPACK),
        (rb"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
        (rb"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07", "a 7-Zip or RAR archive", _UNPACK),
        (rb".{257}ustar", "a tar archive", _UNPACK),
        (
            rb".{4}TFL3",
            "a TensorFlow Lite model",
            "models are not read, only a .npz of MobileNetV2's arrays in order, as "
            "siamjax/weights/tflite_mobilenetv2.py describes",
        ),
        (
            rb"\x89HDF\r\n",
            "an HDF5 file, as Keras writes",
            "there is no reader for it; save the arrays as a .npz under PyTorch's names",
        ),
        (
            rb"\x08[\x01-\x20]\x12",
            "a model in protocol buffers, as ONNX and TensorFlow write",
            f"there is no reader for it; {EXPECTED}",
        ),
        (rb"GGUF", "a GGUF file, which holds a language model", EXPECTED),
        (
            rb"\x93NUMPY",
            "a single NumPy array",
            "save all arrays of the network with `numpy.savez`",
        ),
        (
            rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\x00{4}|RIFF.{4}WEBP|II\*\x00|MM\x00\*",
            "an image",
            _PICTURE,
        ),
        (rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", "a video", _PICTURE),
        (rb"%PDF", "a PDF", _PICTURE),
        (
            rb"(\xef\xbb\xbf)?\s*(\{\s*[\"}]|\[\s*[\[\]{\"\d-])",
            "a JSON file",
            f"a configuration goes to `config`; {EXPECTED}",
        ),
        (
            rb"\x00{64}",
            "nothing but zero bytes at its start",
            "its download or copy did not finish; fetch it again",
        ),
    )
]


def kind_of(path: str | Path) -> Kind:
    """Which reader a weights file needs.

    "zip" is PyTorch's since 1.6 or a `.npz`, "pickle" PyTorch's before. Raises `WeightsError`
    for anything else, which says what the file is and what to do, and `OSError` when it
    cannot be opened.
    """
    path = Path(path)

    def refusal(problem: str) -> WeightsError:
        return WeightsError(f"{path} cannot be read: {problem}")

    if path.is_dir():
        raise refusal("it is a folder, where a file is expected")
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    for folder in path.resolve().parents[:3]:
        if (folder / "_CHECKPOINT_METADATA").is_file():
            raise refusal(f"it is a part of a checkpoint; give its folder, {folder}")
    if not head:
        raise refusal("it is empty; its download or copy did not finish: fetch it again")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if _PICKLE.match(head):
        return "pickle"
    for pattern, what, advice in _WRONG:
        if pattern.match(head):
            raise refusal(f"it is {what}, not weights: {advice}")
    # Eight bytes of length, which are no text, and then the header.
    if head[8:9] == b"{" and (not head[:8].isascii() or b"\x00" in head[:8]):
        return "safetensors"
    raise refusal(f"it begins with {head[:16]!r}, as no weights file does; {EXPECTED}")
