"""What a file is, by its first bytes: for messages about files that are not what they say."""

import re

_KINDS = (
    (
        rb"version https://git-lfs\.github\.com/spec",
        "a pointer of Git LFS, not the file itself; `git lfs pull` fetches it",
    ),
    (
        rb"(\.\./)*(\.git|/)?[^\n]{0,200}annex/objects/",
        "a pointer of git-annex, not the file itself; `git annex get` fetches it",
    ),
    (
        rb"(?i)\s*(<!--.{0,500}?-->\s*)?<(!doctype html|html|head|body)",
        "an HTML page, as servers send in the place of a file; download it again",
    ),
    (rb"\x00\x05\x16\x07", "what macOS keeps beside a file, not the file itself"),
    (rb"\x89HDF\r\n", "an HDF5 file"),
    (rb"\x89PNG\r\n", "a PNG image"),
    (rb"\xff\xd8\xff", "a JPEG image"),
    (rb"GIF8", "a GIF image"),
    (rb"BM.{4}\x00{4}", "a BMP image"),
    (rb"II\*\x00|MM\x00\*", "a TIFF image"),
    (rb"RIFF.{4}WEBP", "a WebP image"),
    (rb"RIFF.{4}AVI ", "an AVI video"),
    (rb".{4}ftyp(hei|hev|mif|msf)", "a HEIC image; convert it to JPEG"),
    (rb".{4}ftypavi", "an AVIF image"),
    (rb".{4}ftyp", "an MP4 or QuickTime video"),
    (rb"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (rb"%PDF", "a PDF document"),
    (rb"\x1f\x8b", "a gzip archive; unpack it"),
    (rb"BZh", "a bzip2 archive; unpack it"),
    (rb"\xfd7zXZ", "an xz archive; unpack it"),
    (rb"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (rb"Rar!", "a RAR archive; unpack it"),
    (rb"PK\x03\x04", "a zip archive"),
    (rb"\x93NUMPY", "an array of NumPy's (.npy)"),
    (rb"\s*<\?xml", "an XML document"),
    (rb"\x00+\Z", "nothing but zero bytes: it was not copied to its end"),
)
_START = 4096  # bytes that are looked at


def kind_of(content: bytes) -> str | None:
    """What a file that begins with `content` is, in words that follow "it is"; None if unknown.

    Git LFS and git-annex pointers, HTML pages and the like come with what to do about them.
    """
    start = bytes(content[:_START])
    for pattern, words in _KINDS:
        if re.match(pattern, start, re.DOTALL):
            return words
    text = start.decode(errors="replace")
    # the last character may have been cut
    if text and all(c.isprintable() or c.isspace() for c in text) and "\ufffd" not in text[:-1]:
        return f"text, which begins {text.strip()[:40]!r}"
    return None
