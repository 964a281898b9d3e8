import itertools
import os
import resource
import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from siamjax.errors import InputError
from siamjax.images import ImageError, read_image
from siamjax.video import (
    ImageFolder,
    SourceStopped,
    VideoFile,
    VideoWriter,
    is_live,
    open_frames,
    reading,
    sources,
)


@pytest.fixture
def picture():
    """Smooth, so that compression hardly changes it, and different in every corner."""
    y, x = np.mgrid[0:80, 0:120]
    return np.stack([2 * x, 3 * y, 255 - x - y], axis=-1).astype(np.uint8)


def write_video(path, frames, **options):
    with VideoWriter(path, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture
def video(tmp_path, picture):
    """Ten frames, the image moving to the right by eight pixels each."""
    return write_video(
        tmp_path / "moving.mp4", [np.roll(picture, 8 * i, 1) for i in range(10)], frame_rate=25
    )


# --- images -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tiff", ".webp"])
def test_an_image_is_read_as_bgr(tmp_path, picture, suffix):
    path = tmp_path / f"image{suffix}"
    cv2.imwrite(str(path), picture)
    image = read_image(path)
    assert image.dtype == np.uint8 and image.shape == picture.shape
    lossy = suffix in (".jpg", ".webp")
    assert np.abs(image.astype(int) - picture).max() <= (12 if lossy else 0)


def test_grey_alpha_and_sixteen_bits_become_three_channels(tmp_path, picture):
    grey = picture[..., 0]
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([picture, np.full((80, 120), 9, "u1")]))
    cv2.imwrite(str(tmp_path / "deep.png"), picture.astype(np.uint16) * 257)
    np.testing.assert_array_equal(
        read_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=2)
    )
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), picture)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), picture)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tiff", ".webp"])
@pytest.mark.parametrize("kept", [0.3, 0.97])
def test_a_truncated_image_is_an_error_that_names_it(tmp_path, picture, suffix, kept):
    encoded = cv2.imencode(suffix, picture)[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(encoded[: int(kept * len(encoded))])
    with pytest.raises(ImageError, match=f"cut{suffix}"):
        read_image(path)


def test_what_is_no_image_is_an_error_that_names_it(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello " * 50)
    (tmp_path / "folder.jpg").mkdir()
    for name, reason in {
        "empty.jpg": "empty",
        "text.jpg": "no readable image",
        "folder.jpg": "cannot be read",
        "missing.jpg": "No such file",
    }.items():
        with pytest.raises(ImageError, match=rf"{name}.*{reason}"):
            read_image(tmp_path / name)


# --- folders ----------------------------------------------------------------------------


def test_a_folder_is_read_in_natural_order(tmp_path, picture):
    for number in (10, 2, 1, 33):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    frames = open_frames(tmp_path)
    assert isinstance(frames, ImageFolder) and frames.count == 4
    assert [frame[0, 0, 0] for frame in frames] == [1, 2, 10, 33]
    assert [frame[0, 0, 0] for frame in frames] == [1, 2, 10, 33]  # once more, from the start


def test_a_broken_image_takes_the_place_of_its_frame(tmp_path, picture):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), picture)
    (tmp_path / "1.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:100])
    first, second, third = open_frames(tmp_path)
    assert isinstance(second, ImageError) and "1.jpg" in str(second)
    assert first.shape == third.shape == (80, 120, 3)


def test_a_folder_around_the_images_is_pointed_out(tmp_path, picture):
    (tmp_path / "img").mkdir()
    cv2.imwrite(str(tmp_path / "img" / "1.png"), picture)
    with pytest.raises(ImageError, match=r"holds no images .* did you mean .*img\?"):
        open_frames(tmp_path)


def test_a_video_in_the_folder_is_pointed_out(video):
    with pytest.raises(ImageError, match=r"holds no images .* did you mean .*moving\.mp4\?"):
        open_frames(video.parent)


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="holds no images"):
        open_frames(tmp_path)
    with pytest.raises(ImageError, match=r"gone\.mp4: does not exist"):
        open_frames(tmp_path / "gone.mp4")


# --- videos -----------------------------------------------------------------------------


def test_what_is_written_is_read_back(video, picture):
    frames = open_frames(video)
    assert isinstance(frames, VideoFile)
    assert frames.count == 10 and frames.frame_rate == 25
    for i, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - np.roll(picture, 8 * i, 1)).mean() < 3
    assert i == 9


def test_opencv_reads_what_we_write(video, picture):
    capture = cv2.VideoCapture(str(video))
    readable, frame = capture.read()
    assert readable and np.abs(frame.astype(int) - picture).mean() < 3
    assert capture.get(cv2.CAP_PROP_FPS) == 25
    capture.release()


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
def test_odd_sizes_grow_by_a_pixel_in_every_format(tmp_path, picture, suffix):
    odd = picture[:79, :117]
    (frame,) = open_frames(write_video(tmp_path / f"odd{suffix}", [odd]))
    assert frame.shape == (80, 118, 3)
    assert np.abs(frame[:79, :117].astype(int) - odd).mean() < 3


# Matrices of a track header: 16.16 fixed point, the last column 2.30.
ROTATIONS = {
    90: (0, 1, 0, -1, 0, 0),
    180: (-1, 0, 0, 0, -1, 0),
    270: (0, -1, 0, 1, 0, 0),
}


@pytest.mark.parametrize("angle", ROTATIONS)
def test_a_phone_video_is_turned_upright_as_opencv_does(video, angle):
    content = bytearray(video.read_bytes())
    matrix = content.index(b"tkhd") + 44
    values = [x * 65536 for x in ROTATIONS[angle]]
    content[matrix : matrix + 36] = struct.pack(">9i", *values, 0, 0, 1 << 30)
    video.write_bytes(content)
    ours = next(iter(open_frames(video)))
    capture = cv2.VideoCapture(str(video))
    theirs = capture.read()[1]
    capture.release()
    assert ours.shape == ((80, 120, 3) if angle == 180 else (120, 80, 3))
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_damage_in_a_video_costs_frames_and_not_the_rest(video):
    content = bytearray(video.read_bytes())
    start = content.index(b"mdat") + 4
    size = struct.unpack(">I", content[start - 8 : start - 4])[0]
    middle = start + size // 2
    content[middle : middle + size // 8] = bytes(size // 8)
    video.write_bytes(content)
    frames = list(open_frames(video))
    damaged = [frame for frame in frames if isinstance(frame, ImageError)]
    assert 0 < len(damaged) < 10 and len(frames) == 10
    assert all("moving.mp4: frame" in str(error) for error in damaged)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Invalid data"),
        (bytes(range(1, 250)), "Invalid data"),
        (b"hello " * 50, "it is text that begins 'hello"),
        (b"<!DOCTYPE html><html></html>", "it is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
    ],
)
def test_what_is_no_video_is_an_error_that_names_it(tmp_path, content, words):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"broken\.mp4: no readable video: {words}"):
        open_frames(path)


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".tiff", ".webp"])
def test_a_single_image_is_one_frame(tmp_path, picture, suffix):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(cv2.imencode(suffix.lower(), picture)[1].tobytes())
    frames = open_frames(path)
    (frame,) = frames
    np.testing.assert_array_equal(frame, read_image(path))
    assert frames.count == 1


def test_a_truncated_video_is_an_error_that_names_it(video):
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])  # the index is at the end
    with pytest.raises(ImageError, match=r"moving\.mp4: no readable video"):
        open_frames(video)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(ImageError, match="holds no video stream"):
        open_frames(path)


# --- headers that lie, streams that are no video, and cuts -------------------------------


def encode(path, frames, *, rate=25, codec="libx264", options=None, container=None):
    """A video as other programs write it."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        file.mux(stream.encode(None))
    return path


def numbered(count, height=48, width=64):
    """Frames that show their number in bits: eight bars, white or black."""
    bits = np.arange(count)[:, None] >> np.arange(8) & 1
    bars = np.repeat(bits * 255, width // 8, axis=1).astype(np.uint8)
    return list(np.broadcast_to(bars[:, None, :, None], (count, height, width, 3)))


def shown(elements):
    """The numbers of those frames of `numbered` that were read."""
    frames = [e for e in elements if not isinstance(e, ImageError)]
    bars = [np.array_split(frame, 8, axis=1) for frame in frames]
    return [sum((bar.mean() > 127) << k for k, bar in enumerate(each)) for each in bars]


def cut(source, target, start):
    """From `start` seconds on without encoding, as `ffmpeg -ss START -i SOURCE -c copy` does.

    The copy begins with the whole image before, at a negative time, if the format has any.
    """
    with av.open(str(source)) as file, av.open(str(target), "w") as copy:
        stream = file.streams.video[0]
        new = copy.add_stream_from_template(stream)
        offset = int(start / stream.time_base)
        file.seek(offset, stream=stream)
        for packet in file.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - offset,
                    packet.dts - offset,
                    new,
                )
                copy.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("start", [0.48, 0.6, 1.0])
def test_a_video_cut_without_encoding_has_the_frames_that_are_shown(tmp_path, suffix, start):
    whole = encode(tmp_path / "whole.mp4", numbered(50), options={"g": "12", "bf": "2"})
    frames = open_frames(cut(whole, tmp_path / f"cut{suffix}", start))
    elements = list(frames)
    assert shown(elements) == list(range(round(start * 25), 50))  # those a player shows
    assert frames.count == len(elements) == 50 - round(start * 25)
    assert frames.notes == []


def test_what_comes_before_the_first_whole_frame_is_left_out(tmp_path):
    """A broadcast that was joined in the middle of a group of pictures."""
    whole = encode(tmp_path / "whole.ts", numbered(48), options={"g": "12", "bf": "0"})
    content = whole.read_bytes()
    with av.open(str(whole)) as file:
        keys = [p.pos for p in file.demux(video=0) if p.is_keyframe and p.dts is not None]
    middle = (keys[0] + keys[1]) // 2 // 188 * 188  # in whole packets of 188 bytes
    joined = tmp_path / "joined.ts"
    joined.write_bytes(content[middle:])
    elements = list(open_frames(joined))
    assert isinstance(elements[0], np.ndarray)
    numbers = shown(elements)
    assert 0 < numbers[0] <= 12 and numbers == list(range(numbers[0], 48))


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [(suffix, "mpeg4", {"sc_threshold": "1000000000"}) for suffix in (".mp4", ".mkv", ".avi")]
    + [(s, "libx264", {"bf": "2", "sc_threshold": "0"}) for s in (".mp4", ".mkv", ".ts")],
)
@pytest.mark.parametrize("lost", [0, 5, 12, 13])
def test_frames_that_need_lost_ones_are_not_shown(tmp_path, suffix, codec, options, lost):
    """The first packets are lost; every twelfth frame stands alone, as the file says."""
    options = {"g": "12", **options}
    whole = encode(tmp_path / "whole.mp4", numbered(48), codec=codec, options=options)
    path = tmp_path / f"lost{suffix}"
    with av.open(str(whole)) as file, av.open(str(path), "w") as copy:
        stream = file.streams.video[0]
        new = copy.add_stream_from_template(stream)
        packets = [packet for packet in file.demux(stream) if packet.dts is not None]
        for packet in packets[lost:]:
            packet.stream = new
            copy.mux(packet)
    first = -(-lost // 12) * 12
    frames = open_frames(path)
    assert frames.count in (48 - first, None)
    for _ in range(2):
        assert shown(frames) == list(range(first, 48))
    cut_notes = [note for note in frames.notes if "cut without re-encoding" in note]
    assert len(cut_notes) == (lost % 12 > 0)
    assert frames.frame_rate == 25


def test_a_video_that_marks_no_frame_is_read_from_the_beginning(tmp_path):
    """No image is said to stand alone, as by some recorders."""
    path = encode(tmp_path / "plain.avi", numbered(20), codec="mpeg4")
    content = bytearray(path.read_bytes())
    index = content.index(b"idx1") + 8
    for entry in range(index, len(content) - 15, 16):
        content[entry + 4] &= ~0x10
    path.write_bytes(content)
    assert shown(open_frames(path)) == list(range(20))


def test_damage_before_the_first_frame_is_told_after_it(video):
    """Decoding in threads meets it before it has given a frame; the first one is there."""
    content = bytearray(video.read_bytes())
    start = content.index(b"mdat") + 4
    size = struct.unpack(">I", content[start - 8 : start - 4])[0]
    middle = start + size // 2
    content[middle : middle + size // 8] = bytes(size // 8)
    video.write_bytes(content)
    assert isinstance(next(iter(open_frames(video))), np.ndarray)


def patched(path, target, marks):
    """A copy with numbers written at places behind a word: (word, offset, format, values)."""
    content = bytearray(path.read_bytes())
    for word, offset, form, *values in marks:
        struct.pack_into(form, content, content.index(word) + offset, *values)
    target.write_bytes(content)
    return target


MANY = 10**9


@pytest.mark.parametrize(
    ("suffix", "codec", "marks"),
    [
        (".mp4", "libx264", [(b"stts", 12, ">I", MANY)]),
        (".avi", "mpeg4", [(b"avih", 8 + 16, "<I", MANY), (b"strh", 8 + 32, "<I", MANY)]),
        (".avi", "mpeg4", [(b"strh", 8 + 32, "<I", 3)]),
    ],
)
def test_the_number_of_frames_in_a_header_is_not_believed(tmp_path, suffix, codec, marks):
    good = encode(tmp_path / f"good{suffix}", numbered(20), codec=codec)
    frames = open_frames(patched(good, tmp_path / f"bad{suffix}", marks))
    assert frames.count == 20
    assert shown(frames) == list(range(20))


@pytest.mark.parametrize(
    ("suffix", "codec", "marks", "rate"),
    [
        # the stream's own rate is used where the file's is none
        (".avi", "mpeg4", [(b"strh", 8 + 20, "<II", 1, 10**6)], 25),
        (".avi", "mpeg4", [(b"strh", 8 + 20, "<II", 0, 25)], 25),
        (".avi", "mpeg4", [(b"strh", 8 + 20, "<II", 1, 0)], 25),
        (".avi", "mpeg4", [(b"strh", 8 + 20, "<II", 10**6, 1)], 30),
        (".mp4", "libx264", [(b"mdhd", 16, ">I", 2**31 - 1)], 30),
        (".mp4", "libx264", [(b"mdhd", 16, ">I", 12_800 * 10**4)], 30),
    ],
)
def test_a_rate_that_no_video_has_is_replaced_and_said(tmp_path, suffix, codec, marks, rate):
    good = encode(tmp_path / f"good{suffix}", numbered(20), codec=codec)
    frames = open_frames(patched(good, tmp_path / f"bad{suffix}", marks))
    assert frames.frame_rate == rate
    times = [frames.time for _ in frames]
    np.testing.assert_allclose(times, np.arange(20) / rate, atol=1e-6)
    assert shown(frames) == list(range(20))
    if rate != 25:
        assert any("30 are assumed" in note for note in frames.notes)
    with VideoWriter(tmp_path / "out.mp4", frames.frame_rate) as writer:
        for frame in frames:
            writer.write(frame)
    assert open_frames(tmp_path / "out.mp4").frame_rate == rate


@pytest.mark.parametrize(("nanoseconds", "stated"), [(1, 30000), (10**6, 1000), (10**9, 1)])
def test_where_the_rate_is_wrong_the_time_stamps_give_it(tmp_path, nanoseconds, stated):
    """In Matroska, the header says how long a frame lasts, and each has its own time."""
    good = encode(tmp_path / "good.mkv", numbered(20))
    content = bytearray(good.read_bytes())
    place = content.index(bytes.fromhex("23e383")) + 3  # DefaultDuration, a length, ns
    length = content[place] & 0x7F
    content[place + 1 : place + 1 + length] = nanoseconds.to_bytes(length)
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(content)
    frames = open_frames(bad)
    times = [frames.time for _ in frames]
    assert abs(frames.frame_rate - 25) < 0.2
    assert frames.notes == [f"the video states {stated} frames/s; 25 are assumed"]
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=2e-3)


@pytest.mark.parametrize("rate", [0, -25, np.nan, np.inf, 1e6, 1e-9])
def test_a_camera_without_a_sensible_rate_gets_one(monkeypatch, rate):
    class Fake:
        def __init__(self, index):
            pass

        def isOpened(self):
            return True

        def get(self, name):
            return rate

    monkeypatch.setattr(sources.cv2, "VideoCapture", Fake)
    assert open_frames("7").frame_rate == 30


@pytest.mark.parametrize("rate", [0, -25, np.nan, np.inf, 1e6, 1e-9])
def test_no_video_is_written_at_a_rate_that_none_has(tmp_path, rate):
    with pytest.raises(InputError, match=r"`frame_rate` .* must lie between"):
        VideoWriter(tmp_path / "out.mp4", rate)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), 0.5, 1000, 999.999, 239.76, 12.3456])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_any_other_rate_can_be_written(tmp_path, suffix, rate, codec, monkeypatch):
    if codec == "mpeg4":
        monkeypatch.setattr(reading.av, "codecs_available", {"mpeg4"})
    path = write_video(tmp_path / f"out{suffix}", numbered(4), frame_rate=rate)
    assert abs(open_frames(path).frame_rate / Fraction(rate) - 1) < 0.02
    assert len(list(open_frames(path))) == 4


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_times_are_those_of_the_frames_also_where_they_vary(tmp_path, suffix):
    stamps = [0, 40, 80, 500, 520, 1000, 9000]  # milliseconds
    path = tmp_path / f"varying{suffix}"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for image, stamp in zip(numbered(7), stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = stamp + 2000, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    frames = open_frames(path)
    times = [frames.time for _ in frames]
    np.testing.assert_allclose(times, np.array(stamps) / 1000, atol=2e-3)
    assert [frames.time for _ in frames] == times  # once more, from the start
    if suffix == ".mp4":  # written at the mean, it lasts as long
        assert 0.6 < frames.frame_rate < 0.8 and frames.notes == []


def test_images_of_a_folder_are_as_far_apart_as_they_are_written(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "1.png").write_bytes(b"")
    frames = open_frames(tmp_path)
    np.testing.assert_allclose([frames.time for _ in frames], [0, 1 / 30, 2 / 30])


def with_cover(path, frames, first, disposition):
    """A video with an image as another stream, which comes in front of it or behind."""
    with av.open(str(path), "w") as file:
        streams = {}
        for kind in ("cover", "video") if first else ("video", "cover"):
            streams[kind] = file.add_stream("mjpeg" if kind == "cover" else "libx264", rate=25)
        cover, video = streams["cover"], streams["video"]
        cover.height = cover.width = 400  # larger than the video
        cover.pix_fmt = "yuvj420p"
        cover.disposition = disposition
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        image = av.VideoFrame.from_ndarray(np.full((400, 400, 3), 255, np.uint8), "bgr24")
        file.mux(cover.encode(image))
        for frame in frames:
            file.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        file.mux(video.encode(None))
        file.mux(cover.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_marked", [True, False])
def test_a_cover_picture_is_no_video(tmp_path, suffix, is_first, is_marked):
    mark = av.stream.Disposition.attached_pic if is_marked else av.stream.Disposition(0)
    frames = open_frames(with_cover(tmp_path / f"a{suffix}", numbered(20), is_first, mark))
    elements = list(frames)
    assert elements[0].shape == (48, 64, 3) and shown(elements) == list(range(20))
    assert frames.count in (20, None)


def test_the_cover_of_a_song_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as file:
        cover = file.add_stream("mjpeg", rate=25)
        cover.height = cover.width = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = file.add_stream("aac", rate=8000, layout="mono")
        image = np.zeros((64, 64, 3), np.uint8)
        file.mux(cover.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        file.mux(cover.encode(None))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        file.mux(sound.encode(samples))
        file.mux(sound.encode(None))
    with pytest.raises(ImageError, match=r"song\.mp4: holds only a cover image"):
        open_frames(path)


def test_of_two_videos_the_larger_is_read_and_said(tmp_path):
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as file:
        streams = []
        for height in (32, 64):
            stream = file.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = height, 64, "yuv420p"
            streams.append(stream)
        for i in range(10):
            for stream in streams:
                image = np.full((stream.height, 64, 3), 4 * i, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        for stream in streams:
            file.mux(stream.encode(None))
    frames = open_frames(path)
    assert {frame.shape for frame in frames} == {(64, 64, 3)}
    assert frames.notes == ["it holds 2 videos; the largest, 64 x 64, is read"]


@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [
        (".mp4", "libx264", {"movflags": "faststart"}),
        (".mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        (".mkv", "libx264", {}),
        (".avi", "mpeg4", {}),
    ],
)
def test_a_file_cut_short_ends_with_saying_so(tmp_path, rng, suffix, codec, container):
    noise = list(rng.integers(0, 256, (30, 48, 64, 3), dtype=np.uint8))
    good = tmp_path / f"good{suffix}"
    encode(good, noise, codec=codec, container=container, options={"g": "6"})
    assert all(isinstance(frame, np.ndarray) for frame in open_frames(good))
    short = tmp_path / f"short{suffix}"
    short.write_bytes(good.read_bytes()[: good.stat().st_size * 6 // 10])
    frames = open_frames(short)
    *elements, last = frames
    assert isinstance(last, SourceStopped) and "is truncated" in str(last)
    assert 8 <= len(shown(elements)) <= 22
    assert frames.count is None


def test_a_length_that_counts_its_own_header_is_no_cut(tmp_path):
    good = encode(tmp_path / "good.avi", numbered(10), codec="mpeg4")
    size = good.stat().st_size  # it should be 8 less
    frames = list(open_frames(patched(good, tmp_path / "odd.avi", [(b"RIFF", 4, "<I", size)])))
    assert shown(frames) == list(range(10)) and len(frames) == 10


def test_frames_of_other_sizes_within_a_video_come_as_they_are(tmp_path):
    """Some cameras and streams change their resolution."""
    parts = [
        encode(tmp_path / f"{h}.ts", numbered(5, h, 64), codec="mpeg2video") for h in (48, 80)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    shapes = [f.shape for f in open_frames(joined) if not isinstance(f, ImageError)]
    assert shapes[0] == (48, 64, 3) and shapes[-1] == (80, 64, 3)


def test_a_video_that_claims_frames_too_large_is_refused(tmp_path, monkeypatch):
    path = encode(tmp_path / "large.mp4", numbered(3))
    monkeypatch.setattr(reading, "MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(ImageError, match=r"large\.mp4: claims frames of 64 x 48 pixels"):
        open_frames(path)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "libx264"), (".mkv", "libx264"), (".avi", "mpeg4"), (".ts", "mpeg2video")],
)
def test_damage_anywhere_ends_in_frames_or_in_errors_of_ours(tmp_path, rng, suffix, codec):
    good = encode(tmp_path / f"good{suffix}", numbered(12), codec=codec).read_bytes()
    path = tmp_path / f"bad{suffix}"
    for _ in range(40):
        content = bytearray(
            good[: rng.integers(1, len(good) + 1)] if rng.random() < 0.3 else good
        )
        for _ in range(rng.integers(1, 8)):
            end = len(content) if rng.random() < 0.5 else min(700, len(content))
            content[rng.integers(end)] = rng.choice([0, 127, 255, rng.integers(256)])
        path.write_bytes(content)
        try:
            frames = open_frames(path)
        except ImageError as error:
            assert path.name in str(error)
            continue
        assert frames.count is None or frames.count <= 1000
        assert 0.1 <= frames.frame_rate <= 1000
        for element in itertools.islice(frames, 1000):
            assert isinstance(element, ImageError) or element.dtype == np.uint8


@pytest.mark.parametrize("name", [b"10:30.mp4", b"\xff\xfe.mp4", b"a b%20c#.mp4", b"-i.mp4"])
def test_any_name_is_a_name(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = os.fsdecode(name)
    write_video(path, numbered(3))
    assert len(list(open_frames(path))) == 3


def test_a_playlist_leads_to_no_other_place(tmp_path):
    path = tmp_path / "list.mp4"
    for address in ("http://127.0.0.1:9/a.ts", "tcp://127.0.0.1:9"):
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n")
        with pytest.raises(ImageError, match=r"list\.mp4"):
            list(open_frames(path))


MIRRORED = {
    "across": ((-1, 0, 0, 0, 1, 0), "hflip"),
    "down": ((1, 0, 0, 0, -1, 0), "vflip"),
    "both": ((-1, 0, 0, 0, -1, 0), "hflip,vflip"),
    "left": ((0, -1, 0, 1, 0, 0), "transpose=cclock"),
    "right": ((0, 1, 0, -1, 0, 0), "transpose=clock"),
    "diagonal": ((0, 1, 0, 1, 0, 0), "transpose=cclock_flip"),
    "other diagonal": ((0, -1, 0, -1, 0, 0), "transpose=clock_flip"),
}


@pytest.mark.parametrize("kind", MIRRORED)
def test_a_video_is_turned_and_mirrored_as_ffmpeg_does(video, kind):
    matrix, filters = MIRRORED[kind]
    plain = next(iter(open_frames(video)))
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(width=120, height=80, format="bgr24", time_base=Fraction(1, 25))]
    for each in filters.split(","):
        nodes.append(graph.add(*each.split("=")))
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    frame = av.VideoFrame.from_ndarray(plain, format="bgr24")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    graph.push(frame)
    expected = graph.pull().to_ndarray(format="bgr24")
    numbers = [x * 65536 for x in matrix]
    patched(video, video, [(b"tkhd", 44, ">9i", *numbers, 0, 0, 1 << 30)])
    np.testing.assert_array_equal(next(iter(open_frames(video))), expected)


# --- writing ----------------------------------------------------------------------------


def test_an_exception_leaves_nothing_and_an_old_file_alone(tmp_path, picture):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"an earlier result")
    with pytest.raises(ZeroDivisionError), VideoWriter(path) as writer:
        writer.write(picture)
        1 / 0  # noqa: B018
    assert path.read_bytes() == b"an earlier result"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1)])
def test_frames_of_a_pixel_can_be_written(tmp_path, shape):
    image = np.full((*shape, 3), 200, np.uint8)
    (frame,) = open_frames(write_video(tmp_path / "out.mp4", [image]))
    assert np.abs(frame[: shape[0], : shape[1]].astype(int) - image).max() < 8


def test_frames_that_no_video_has_are_refused_in_words(tmp_path):
    with pytest.raises(InputError, match=r"out\.mp4: frames of 17000 x 2 pixels"):
        write_video(tmp_path / "out.mp4", [np.zeros((2, 17_000, 3), np.uint8)])
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_keeps_what_was_written(tmp_path, picture):
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt), VideoWriter(path) as writer:
        for _ in range(4):
            writer.write(picture)
        assert not path.exists()  # nothing half-written under its name
        raise KeyboardInterrupt
    assert len(list(open_frames(path))) == 4
    assert list(tmp_path.iterdir()) == [path]


def test_no_frame_makes_no_file(tmp_path):
    with VideoWriter(tmp_path / "out.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made(tmp_path, picture):
    assert write_video(tmp_path / "a" / "b" / "out.mp4", [picture]).is_file()


def test_another_size_or_format_is_refused(tmp_path, picture):
    with pytest.raises(ValueError, match="does not fit"), VideoWriter(tmp_path / "a.mp4") as w:
        w.write(picture)
        w.write(picture[:40])
    with pytest.raises(ValueError, match=r"\.avi \.mkv \.mov \.mp4"):
        VideoWriter(tmp_path / "out.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, rng):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = rng.integers(0, 256, (40, 200, 200, 3), dtype=np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=r"cannot write.*out\.mp4"):
            write_video(tmp_path / "out.mp4", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


# --- streams and cameras -----------------------------------------------------------------


def test_a_stream_gives_the_frames_of_its_file(tmp_path):
    import functools
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with VideoWriter(tmp_path / "clip.mp4") as writer:
        for i in range(5):
            writer.write(np.full((48, 64, 3), 40 * i, np.uint8))
    handler = functools.partial(Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/clip.mp4"
            frames = list(open_frames(address))
            with pytest.raises(ImageError, match="no readable video"):
                open_frames(address.replace("clip", "gone"))
        finally:
            server.shutdown()
            thread.join()
    expected = list(open_frames(tmp_path / "clip.mp4"))
    np.testing.assert_array_equal(frames, expected)


def test_a_camera_that_is_not_there_is_an_error(monkeypatch):
    class Absent:
        def __init__(self, index):
            pass

        def isOpened(self):
            return False

    monkeypatch.setattr(sources.cv2, "VideoCapture", Absent)
    with pytest.raises(ImageError, match="camera 7 cannot be opened"):
        open_frames("7")


def test_what_is_live_is_told_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_live("0") and is_live("rtsp://host/path")
    assert not is_live("clip.mp4") and not is_live(tmp_path)
    (tmp_path / "0").mkdir()
    assert not is_live("0")


def test_long_names_and_places_that_cannot_be_written(tmp_path, picture):
    with VideoWriter(tmp_path / f"{'x' * 251}.mp4") as writer:
        writer.write(picture)
    assert [p.name for p in tmp_path.iterdir()] == [f"{'x' * 251}.mp4"]
    with pytest.raises(OSError, match="cannot write"):
        VideoWriter(tmp_path / f"{'x' * 251}.mp4" / "inside.mp4")


def test_a_pipe_is_no_video(tmp_path):
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(ImageError, match="is a pipe, not a file"):
        open_frames(tmp_path / "clip.mp4")
