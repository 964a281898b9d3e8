import resource
import struct

import av
import cv2
import numpy as np
import pytest

from siamjax import video as video_module
from siamjax.video import (
    ImageError,
    ImageFolder,
    VideoFile,
    VideoWriter,
    open_frames,
    read_image,
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
    """Ten frames, the picture moving to the right by eight pixels each."""
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
    with pytest.raises(ImageError, match=r"holds no image .* did you mean .*img\?"):
        open_frames(tmp_path)


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="holds no image"):
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


@pytest.mark.parametrize("content", [b"", b"hello " * 50])
def test_what_is_no_video_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.mp4: no readable video"):
        open_frames(path)


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


# --- writing ----------------------------------------------------------------------------


def test_an_exception_leaves_nothing_and_an_old_file_alone(tmp_path, picture):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"an earlier result")
    with pytest.raises(ZeroDivisionError), VideoWriter(path) as writer:
        writer.write(picture)
        1 / 0  # noqa: B018
    assert path.read_bytes() == b"an earlier result"
    assert list(tmp_path.iterdir()) == [path]


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
        with pytest.raises(OSError, match=r"cannot be written.*out\.mp4"):
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

    monkeypatch.setattr(video_module.cv2, "VideoCapture", Absent)
    with pytest.raises(ImageError, match="camera 7 cannot be opened"):
        open_frames("7")


def test_what_is_live_is_told_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert video_module.is_live("0") and video_module.is_live("rtsp://host/path")
    assert not video_module.is_live("clip.mp4") and not video_module.is_live(tmp_path)
    (tmp_path / "0").mkdir()
    assert not video_module.is_live("0")
