"""The kind of a weights file, by its first bytes, whatever its name."""

import re
from pathlib import Path
from typing import Literal

from siamjax.signatures import HEAD, Signature, recognise
from siamjax.weights import WeightsError

Kind = Literal["zip", "pickle", "safetensors"]

EXPECTED = (
    "weights are a release of siamjax or another .safetensors, a .pth of PyTorch, a .npz, or "
    "the work directory of a training"
)

# A pickle of protocol 0 has no magic bytes; one that imports anything looks like this.
_PICKLE = re.compile(rb"\x80[\x01-\x05]|\(*c[\w.]+\n[\w.]+\n")

# What else people pass as weights: its first bytes, its name, the advice.
_WRONG = [
    (re.compile(pattern, re.DOTALL), Signature(what, advice))
    for pattern, what, advice in (
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
            rb"(\xef\xbb\xbf)?\s*(\{\s*[\"}]|\[\s*[\[\]{\"\d-])",
            "a JSON file",
            f"a configuration goes to `config`; {EXPECTED}",
        ),
    )
]


def kind_of(path: str | Path) -> Kind:
    """Which reader a weights file needs.

    "zip" is PyTorch's since 1.6 or a `.npz`, "pickle" PyTorch's before. Raises `WeightsError`
    for anything else, with what the file is and what to do, and `OSError` when it cannot be
    opened.
    """
    path = Path(path)

    def refusal(problem: str) -> WeightsError:
        return WeightsError(f"{path} cannot be read: {problem}")

    if path.is_dir():
        raise refusal("it is a folder, where a file is expected")
    if path.exists() and not path.is_file():  # may block forever
        raise refusal("it is a pipe or a device, where a file is expected")
    with open(path, "rb") as file:
        head = file.read(HEAD)
    for folder in path.resolve().parents[:3]:
        if (folder / "_CHECKPOINT_METADATA").is_file():
            raise refusal(f"it is a part of a checkpoint; give its folder, {folder}")
    if not head:
        raise refusal("it is empty; its download or copy did not finish: fetch it again")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if _PICKLE.match(head):
        return "pickle"
    # Eight bytes of length, not text, and then the header. The length may look like the magic
    # bytes of another kind: that of gzip is 35,615.
    if head[8:9] == b"{" and (not head[:8].isascii() or b"\x00" in head[:8]):
        return "safetensors"
    own = (signature for pattern, signature in _WRONG if pattern.match(head))
    if (seen := next(own, None) or recognise(head)) is not None:
        advice = seen.advice or f"name the weights instead: {EXPECTED}"
        raise refusal(f"it is {seen.what}, not weights: {advice}")
    raise refusal(f"it begins with {head[:16]!r}, as no weights file does; {EXPECTED}")
