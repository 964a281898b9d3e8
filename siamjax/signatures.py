"""File types by their first bytes, for messages about files of the wrong type."""

import re
from typing import NamedTuple

HEAD = 4096  # bytes to read; the farthest signature is tar's, at 257
_UNPACK = "unpack it, and give the file inside"


class Signature(NamedTuple):
    """A file type as a phrase after "it is", and advice, if any."""

    what: str
    advice: str = ""


_SIGNATURES = [
    (re.compile(pattern, re.DOTALL), Signature(*words))
    for pattern, *words in (
        (
            rb"(?i:(\xef\xbb\xbf)?\s*(<!--.{0,500}?-->\s*)?"
            rb"<(!doctype html|html|head|body|script))",
            "an HTML page",
            "the download returned a web page instead of the file: fetch it again from its "
            "direct address (often called raw or download), signed in if required",
        ),
        (
            rb"(\xef\xbb\xbf)?\s*<(\?xml|!DOCTYPE|!--)",
            "an XML document",
            "if it is a server's reply instead of the file, fetch it again from its direct "
            "address",
        ),
        (
            rb"version https://git-lfs\.github\.com/spec/",
            "a pointer of Git LFS",
            "the file itself was not fetched: run `git lfs pull` in its repository, or "
            "download it from its direct address",
        ),
        (
            rb"(\.\./|\.git/)*(\.git)?/?annex/objects/",
            "a pointer of git-annex",
            "the file itself was not fetched: run `git annex get` in its repository",
        ),
        (
            rb"\x00{64}|\x00+\Z",
            "nothing but zero bytes at its start",
            "its download or copy is incomplete; fetch it again",
        ),
        (rb"\x00\x05\x16\x07", "macOS metadata of a file, not the file itself"),
        (rb"\x89PNG\r\n", "a PNG image"),
        (rb"\xff\xd8\xff", "a JPEG image"),
        (rb"GIF8", "a GIF image"),
        (rb"BM.{4}\x00{4}", "a BMP image"),
        (rb"II\*\x00|MM\x00\*", "a TIFF image"),
        (rb"RIFF.{4}WEBP", "a WebP image"),
        (rb".{4}ftypavi", "an AVIF image"),
        (rb".{4}ftyp(hei|hev|mif|msf)", "a HEIC image", "convert it to JPEG"),
        (rb".{4}ftyp", "an MP4 or QuickTime video"),
        (rb"RIFF.{4}AVI ", "an AVI video"),
        (rb"\x1aE\xdf\xa3", "a Matroska or WebM video"),
        (rb"%PDF", "a PDF document"),
        (rb"\x1f\x8b", "compressed with gzip", _UNPACK),
        (rb"BZh[1-9]", "compressed with bzip2", _UNPACK),
        (rb"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
        (rb"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07", "a 7-Zip or RAR archive", _UNPACK),
        (rb"PK\x03\x04|PK\x05\x06", "a zip archive", _UNPACK),
        (rb".{257}ustar", "a tar archive", _UNPACK),
    )
]


def recognise(head: bytes) -> Signature | None:
    """The type of a file with these first bytes; None if unknown."""
    found = (signature for pattern, signature in _SIGNATURES if pattern.match(head))
    return next(found, None)


def describe(head: bytes) -> str | None:
    """As `recognise`, as one phrase after "it is"; recognises text as well."""
    if (seen := recognise(head)) is not None:
        return f"{seen.what}; {seen.advice}" if seen.advice else seen.what
    text = head[:HEAD].decode(errors="replace")
    # the last character may be truncated
    if text and all(c.isprintable() or c.isspace() for c in text) and "\ufffd" not in text[:-1]:
        return f"text that begins {text.strip()[:40]!r}"
    return None
