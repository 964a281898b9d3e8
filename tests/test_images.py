"""Which images are usable, and that preparation, training, evaluation and tracking agree."""

import io
import os
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest

from siamjax import images as module
from siamjax.config import PrepareConfig
from siamjax.data.formats.cutting import cut_clips
from siamjax.data.formats.drops import Drops
from siamjax.data.formats.layouts import find_clips
from siamjax.data.jpeg import encode_tiled, open_tiled
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.images import ImageError, decode_image, read_image
from siamjax.signatures import describe
from siamjax.video import open_frames

SUFFIXES = (".jpg", ".png", ".bmp", ".tiff", ".webp", ".ppm")
# What is found behind the end of files: words filled up, trailers of phones, a second image.
BEHIND = {"zeros": b"\0" * 3, "0xff": b"\xff" * 8, "trailer": b"SEFT\xff\xd8 made by a phone"}


@pytest.fixture(scope="module")
def picture():
    """Smooth, and different in every corner."""
    y, x = np.mgrid[0:80, 0:120]
    return np.stack([2 * x, 3 * y, 255 - x - y], axis=-1).astype(np.uint8)


def encode(picture, suffix=".jpg", *flags):
    return cv2.imencode(suffix, picture, flags)[1].tobytes()


def away(image, picture):
    assert image.dtype == np.uint8 and image.shape == picture.shape
    return np.abs(image.astype(int) - picture).max()


# --- reading ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND.keys())
def test_bytes_behind_the_end_do_not_matter(picture, suffix, behind):
    content = encode(picture, suffix)
    np.testing.assert_array_equal(decode_image(content + behind), decode_image(content))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_content_counts_and_not_the_suffix(tmp_path, picture, suffix):
    path = tmp_path / "image.jpg"
    path.write_bytes(encode(picture, suffix))
    assert away(read_image(path), picture) <= (12 if suffix in (".jpg", ".webp") else 0)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_of_sixteen_bits_the_upper_eight_are_kept(rng, suffix):
    deep = rng.integers(0, 1 << 16, (20, 30, 3)).astype(np.uint16)
    assert away(decode_image(encode(deep, suffix)), deep >> 8) <= 1
    grey = deep[..., 0]
    assert away(decode_image(encode(grey, suffix)), np.dstack([grey >> 8] * 3)) <= 1


@pytest.mark.parametrize("side", [1, 2, 3])
def test_an_image_of_one_pixel_is_an_image(side):
    image = np.full((1, side, 3), 77, np.uint8)
    for suffix in (".png", ".bmp", ".tiff"):
        np.testing.assert_array_equal(decode_image(encode(image, suffix)), image)


def exif(orientation):
    """An EXIF segment with one entry, as cameras write it."""
    entry = struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0)
    body = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


TURNED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: p[::-1].transpose(1, 0, 2),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: p[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", TURNED)
def test_exif_turns_an_image_upright(picture, orientation):
    content = encode(picture)
    turned = content[:2] + exif(orientation) + content[2:]
    assert away(decode_image(turned), TURNED[orientation](picture)) <= 12


@pytest.mark.parametrize("orientation", TURNED)
def test_a_turned_jpeg_is_not_decoded_in_parts(picture, orientation):
    """A part of it would be turned about its own middle."""
    content = encode_tiled(np.tile(picture, (4, 4, 1)))
    assert open_tiled(content) is not None
    assert open_tiled(content[:2] + exif(orientation) + content[2:]) is None


@pytest.mark.parametrize("mode", ["CMYK", "P", "LA", "L", "1", "RGBA", "I;16"])
def test_pillow_sees_the_same_colours(picture, mode):
    image_of = pytest.importorskip("PIL.Image")
    image = image_of.fromarray(picture[..., ::-1])
    image = (
        image_of.fromarray(picture[..., 0].astype(np.uint16) << 8)
        if mode == "I;16"
        else (image.convert(mode))
    )
    buffer = io.BytesIO()
    image.save(
        buffer,
        "JPEG" if mode == "CMYK" else "PNG",
        **{"quality": 100} if mode == "CMYK" else {},
    )
    expected = np.asarray(image.convert("RGB"))[..., ::-1]
    if mode == "I;16":
        expected = np.dstack([picture[..., 0]] * 3)
    assert away(decode_image(buffer.getvalue()), expected) <= (4 if mode == "CMYK" else 0)


# --- refusing -----------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("behind", [b"", b"\0" * 500], ids=["", "zeros"])
def test_a_jpeg_cut_short_is_refused_also_with_zeros_behind(picture, kept, progressive, behind):
    content = encode(picture, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    thumbnail = (
        content[:2] + exif(1)[:-4] + b"\xff\xd9ab" + content[2:]
    )  # has an end of its own
    for whole in (content, thumbnail):
        assert decode_image(whole).shape == picture.shape
        with pytest.raises(ImageError, match=r"no readable image"):
            decode_image(whole[: int(kept * len(whole))] + behind)
    with pytest.raises(ImageError, match="it is truncated"):
        decode_image(content[:-2] + behind)


def chunk(kind, body):
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    )


def vast_png(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(b"\0"), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks.items())


def vast(suffix, picture):
    """A small file that claims to be 60,000 pixels wide and high."""
    content = bytearray(encode(picture, suffix))
    if suffix == ".jpg":
        place = content.find(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    elif suffix == ".bmp":
        content[18:26] = struct.pack("<ii", 60_000, -60_000)
    elif suffix == ".tiff":
        (place,) = struct.unpack_from("<I", content, 4)
        (count,) = struct.unpack_from("<H", content, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            if struct.unpack_from("<H", content, entry)[0] in (256, 257):
                content[entry : entry + 12] = content[entry : entry + 2] + struct.pack(
                    "<HII", 4, 1, 60_000
                )
    return bytes(content)


def test_a_file_that_claims_too_many_pixels_is_refused_unread(picture, monkeypatch):
    files = [vast_png(60_000), *(vast(s, picture) for s in (".jpg", ".bmp", ".tiff"))]
    files.append(b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\0\0\0\x3b")
    wide = (59_999).to_bytes(3, "little") * 2
    files.append(b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + wide + bytes(8))
    monkeypatch.setattr(module.cv2, "imdecode", None)
    for content in files:
        with pytest.raises(ImageError, match=r"claims 60000 x 60000 pixels; an image may have"):
            decode_image(content)


def test_what_holds_several_images_is_refused(picture):
    frames = cv2.Animation()
    frames.frames, frames.durations = [picture, picture[::-1].copy()], [40, 40]
    for suffix in (".gif", ".webp", ".png"):
        done, content = cv2.imencodeanimation(suffix, frames)
        assert done
        with pytest.raises(ImageError, match="holds 2 images"):
            decode_image(content.tobytes())
    pages = cv2.imencodemulti(".tiff", [picture, picture, picture])[1].tobytes()
    with pytest.raises(ImageError, match="holds 3 images"):
        decode_image(pages)
    single = encode(picture, ".gif")
    assert decode_image(single).shape == picture.shape


OTHER = {
    "an HTML page": b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>",
    "html without a type": b"  \n<HTML lang='en'>no</HTML>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "git-annex": b"../../.git/annex/objects/F8/q6/MD5E-s1--a.jpg/MD5E-s1--a.jpg\n",
    "macOS metadata": b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(80),
    "zero bytes": bytes(5000),
    "text that begins 'hello": b"hello " * 50,
    "a PDF document": b"%PDF-1.4 ...",
    "a zip archive": b"PK\3\4" + bytes(30),
    "a HEIC image; convert it to JPEG": b"\0\0\0\x18ftypheic" + bytes(30),
    "an MP4": b"\0\0\0\x20ftypisom" + bytes(30),
    "an XML document": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
}


@pytest.mark.parametrize("words", OTHER)
def test_what_is_no_image_is_called_by_its_name(tmp_path, words):
    path = tmp_path / "0001.jpg"
    path.write_bytes(OTHER[words])
    shown = words if words != "html without a type" else "an HTML page"
    with pytest.raises(ImageError, match=rf"0001\.jpg: no readable image: it is .*{shown}"):
        read_image(path)


def test_a_file_of_nothing_known_is_refused(rng):
    assert describe(b"") is None and describe(b"\x01\x02\x03" * 9) is None
    assert describe("Straße ".encode() * 1000) == "text that begins " + repr(
        ("Straße " * 6)[:40]
    )
    for content in (
        rng.bytes(1000),
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"RIFF",
        b"GIF8",
        b"BM",
        b"II*\0",
    ):
        with pytest.raises(ImageError, match="no readable image"):
            decode_image(content)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".gif"])
def test_damage_anywhere_ends_in_an_image_or_an_image_error(picture, suffix, rng, monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 1 << 20)  # for the test's sake: it is quick
    content = encode(picture, suffix)
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(2, len(content) + 1)])
        for _ in range(rng.integers(0, 4)):
            damaged[rng.integers(min(len(damaged), 60))] = rng.integers(256)
        try:
            image = decode_image(bytes(damaged))
        except ImageError as error:
            assert str(error).startswith("the image: ")
        else:
            assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8


def test_samples_of_other_kinds_are_refused_and_not_guessed(picture):
    for other in (np.float32, np.float64, np.int32):
        with pytest.raises(
            ImageError, match=r"TIFF image, unsupported or truncated; .* 8 or 16 bits"
        ):
            decode_image(encode(picture.astype(other), ".tiff"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_what_would_never_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "1.jpg")
    (tmp_path / "2.jpg").symlink_to("/dev/zero")
    (tmp_path / "3.jpg").symlink_to("3.jpg")
    with open(tmp_path / "4.jpg", "wb") as opened:
        opened.truncate(1 << 40)  # a file of holes
    told = []

    def read():
        told.extend(open_frames(tmp_path))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(60)
    for error, words in zip(
        told, ("a pipe", "a pipe or a device", "link", "bytes"), strict=True
    ):
        assert isinstance(error, ImageError) and words in str(error)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image("a\0b.jpg")


# --- the same everywhere --------------------------------------------------------------------

USABLE = {
    "padded": lambda p: encode(p) + b"\0\0\0",
    "trailer": lambda p: encode(p) + b"SEFT made by a phone",
    "two in one": lambda p: encode(p) + encode(p[::-1]),
    "a PNG": lambda p: encode(p, ".png"),
    "turned": lambda p: (c := encode(p))[:2] + exif(6) + c[2:],
    "in parts": lambda p: encode_tiled(p) + b"\0",
    "16 bits": lambda p: encode(p.astype(np.uint16) * 257, ".png"),
}
UNUSABLE = {
    "cut": lambda p: encode(p)[:-40],
    "cut, zeros behind": lambda p: encode(p)[:-40] + bytes(99),
    "empty": lambda p: b"",
    "a page": lambda p: OTHER["an HTML page"],
    "vast": lambda p: vast_png(60_000),
    "an animation": lambda p: cv2.imencodemulti(".tiff", [p, p])[1].tobytes(),
}


@pytest.fixture
def places(tmp_path, picture):
    """A sequence in OTB's layout whose second of three frames is written as told."""

    def make(content):
        folder = tmp_path / "data" / "a" / "img"
        folder.mkdir(parents=True)
        for number in (1, 3):
            (folder / f"{number:04}.jpg").write_bytes(encode(picture))
        (folder / "0002.jpg").write_bytes(content)
        (folder.parent / "groundtruth_rect.txt").write_text("31,21,30,30\n" * 3)
        return tmp_path / "data"

    return make


def kept_by(data, keep):
    drops = Drops()
    clips = find_clips("otb", data)
    settings = PrepareConfig(keep=keep, crop_size=63, template_size=31)
    return [each.image for each in cut_clips(clips, 0, settings, drops)], drops.counts


@pytest.mark.parametrize("kind", USABLE)
def test_what_is_usable_is_usable_everywhere(places, picture, kind):
    data = places(USABLE[kind](picture))
    image = read_image(data / "a" / "img" / "0002.jpg")
    for keep in ("frames", "crops"):
        stored, left_out = kept_by(data, keep)
        assert len(stored) == 3 and not left_out
        for content in stored:
            assert decode_image(content).ndim == 3  # as training reads it
    np.testing.assert_array_equal(decode_image(kept_by(data, "frames")[0][1]), image)
    np.testing.assert_array_equal(list(open_frames(data / "a" / "img"))[1], image)
    if kind != "turned":  # there, the frames differ in size, which evaluation refuses
        (sequence,), _ = load_sequences(data, get_benchmark("OTB100"))
        np.testing.assert_array_equal(sequence.read_frame(1), image)


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_is_unusable_is_unusable_everywhere(places, picture, kind):
    data = places(UNUSABLE[kind](picture))
    for keep in ("frames", "crops"):
        stored, left_out = kept_by(data, keep)
        assert len(stored) == 2 and left_out == {"the image cannot be read": 1}
    assert isinstance(list(open_frames(data / "a" / "img"))[1], ImageError)
    (sequence,), _ = load_sequences(data, get_benchmark("OTB100"))
    with pytest.raises(ImageError, match=r"0002\.jpg"):
        sequence.read_frame(1)
