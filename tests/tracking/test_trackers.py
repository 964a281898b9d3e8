import re

import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import AnchorConfig, Config, ModelConfig
from siamjax.tracking.frames import BoxError, FrameError, as_bgr
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesBrightness

FRAME = np.full((120, 160, 3), 90, np.uint8)
BOX = (40, 30, 20, 24)


@pytest.fixture(scope="module")
def network():
    return SeesBrightness()


@pytest.fixture
def follower(network):
    return Tracker(network, {}, Config(name="test"))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((40, 30, 0, 24), "positive width and height"),
        ((40, 30, 20, -3), "positive width and height"),
        ((160, 30, 20, 24), "outside the frame of 160 x 120"),
        ((-20, 30, 20, 24), "outside the frame"),
        ((40, 500, 20, 24), "outside the frame"),
        ((np.nan, 30, 20, 24), "finite"),
        ((40, 30, np.inf, 24), "finite"),
        ((40, 30, 20), "four numbers"),
        ("40,30,20,24", "four numbers"),
        (None, "four numbers"),
        ([[40, 30, 20, 24]], "four numbers"),
        ((-10, -10, 400, 400), "larger than the frame"),
    ],
)
def test_a_box_that_cannot_be_tracked_is_refused(follower, box, message):
    with pytest.raises(BoxError, match=message):
        follower.init(FRAME, box)


@pytest.mark.parametrize("box", [(-5, -5, 20, 24), (150, 110, 40, 40), np.array(BOX), [*BOX]])
def test_a_box_may_reach_out_of_the_frame_and_be_any_sequence(follower, box):
    follower.init(FRAME, box)
    np.testing.assert_array_equal(follower.box_xywh, np.asarray(box, np.float32))
    assert follower.score == 1.0


BAD_FRAMES = [
    (FRAME.astype(np.float32), "float32 and must be uint8"),
    (FRAME > 3, "bool and must be uint8"),
    (np.full((120, 160, 3), np.nan), "not finite"),
    (np.zeros((120, 160, 3), complex), "no array of numbers, but of complex128"),
    (np.zeros((120, 160, 4), np.uint8), r"alpha channel with `frame\[..., :3\]`"),
    (np.zeros((3, 120, 160), np.uint8), r"frame\.transpose\(1, 2, 0\)"),
    (np.zeros((2, 120, 160, 3), np.uint8), "must be \\(height, width, 3\\)"),
    (np.zeros((0, 160, 3), np.uint8), "no pixel"),
    (np.zeros(5, np.uint8), "must be \\(height, width, 3\\)"),
    (None, "could not be read"),
    ("frame.jpg", "`frame` \\(='frame.jpg'\\) is a name; read it with"),
    ([object()], "no array of numbers"),
    ([[1, 2], [3]], "is no array"),
]


@pytest.mark.parametrize(("frame", "message"), BAD_FRAMES)
def test_what_is_no_frame_is_refused(follower, frame, message):
    with pytest.raises(FrameError, match=message):
        follower.init(frame, BOX)
    follower.init(FRAME, BOX)
    with pytest.raises(FrameError, match=message):
        follower.update(frame)


LEVELS = np.array([0, 1, 100, 254, 255], np.float64).reshape(1, 5, 1)


@pytest.mark.parametrize(
    ("dtype", "top"),
    [
        (np.uint16, 65535),
        (np.uint16, 16383),
        (np.uint16, 4095),
        (np.uint16, 1023),
        (np.uint16, 255),
        (np.int64, 255),
        (np.int32, 4095),
        (np.uint32, 10**6),
        (np.float32, 1),
        (np.float64, 255),
        (np.float16, 1),
        (bool, 1),
    ],
)
@pytest.mark.parametrize("xp", [np, jnp])
def test_the_advice_for_other_types_gives_the_right_levels(dtype, top, xp):
    """What the message says is done, and the levels are those of an image of eight bits."""
    levels = LEVELS if dtype is not bool else LEVELS[:, [0, 4]]
    frame = (levels / 255 * top).round(0 if np.dtype(dtype).kind != "f" else 6).astype(dtype)
    if xp is jnp and np.dtype(dtype).itemsize == 8:
        return  # JAX has none of 64 bits
    frame = xp.asarray(frame)
    with pytest.raises(FrameError) as told:
        as_bgr(frame)
    advice = re.search(r"convert it with `([^`]*)`", str(told.value)).group(1)
    converted = eval(advice, {"frame": np.asarray(frame), "np": np})
    assert converted.dtype == np.uint8
    assert np.abs(np.asarray(converted, int) - levels).max() <= 1
    assert as_bgr(converted).shape == (*frame.shape[:2], 3)


def test_sixteen_bits_are_never_told_to_wrap():
    frame = np.full((4, 4, 3), 40000, np.uint16)
    with pytest.raises(FrameError, match=r"40000: convert it with `\(frame / 257\)\.astype"):
        as_bgr(frame)
    dark = np.full((4, 4), 900, np.uint16)  # of 10 bits, or a dark image of 16
    with pytest.raises(FrameError, match=r"for 10 bits, `\(frame / 257\)\.astype\S+ for 16"):
        as_bgr(dark)


def test_any_layout_in_memory_will_do(rng):
    image = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    fixed = image.copy()
    fixed.setflags(write=False)
    for frame in (
        image[::2, ::-1],
        np.asfortranarray(image),
        fixed,
        np.broadcast_to(image[:1], image.shape),
    ):
        np.testing.assert_array_equal(as_bgr(frame), frame)
        np.testing.assert_array_equal(as_bgr(frame, "rgb"), frame[..., ::-1])

    class Tensor:  # as PyTorch's are, on a device or with gradients
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Can't call numpy() on a tensor that requires grad")

    with pytest.raises(FrameError, match="no array: Can't call numpy"):
        as_bgr(Tensor())


def test_a_frame_of_another_size_is_refused_and_tracking_goes_on(follower):
    follower.init(FRAME, BOX)
    follower.update(FRAME)
    before = follower.box_xywh
    with pytest.raises(FrameError, match="100 x 80 pixels, but tracking began at 160 x 120"):
        follower.update(np.zeros((80, 100, 3), np.uint8))
    np.testing.assert_array_equal(follower.box_xywh, before)
    follower.update(FRAME)


def test_a_refused_init_keeps_the_old_target(follower):
    follower.init(FRAME, BOX)
    with pytest.raises(BoxError):
        follower.init(np.zeros((50, 50, 3), np.uint8), (60, 0, 4, 4))
    np.testing.assert_array_equal(follower.box_xywh, BOX)
    follower.update(FRAME)


def test_nothing_is_known_before_init(follower):
    for ask in (
        lambda: follower.update(FRAME),
        lambda: follower.box_xywh,
        lambda: follower.score,
    ):
        with pytest.raises(RuntimeError, match="call `init"):
            ask()


def test_grey_and_rgb_are_the_same_image_as_bgr(network, rng):
    colour = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    grey = colour[..., 0]
    as_colour = np.repeat(grey[..., None], 3, axis=2)

    def follow(frame, **options):
        follower = Tracker(network, {}, Config(name="test"))
        follower.init(frame, BOX, **options)
        follower.update(frame, **options)
        return follower.box_xywh

    np.testing.assert_array_equal(follow(colour), follow(colour[..., ::-1], color="rgb"))
    np.testing.assert_array_equal(follow(grey), follow(as_colour))
    np.testing.assert_array_equal(follow(grey[..., None]), follow(as_colour))


def test_an_unknown_colour_order_is_refused(follower):
    with pytest.raises(ValueError, match='must be "bgr" or "rgb"'):
        follower.init(FRAME, BOX, color="hsv")


def test_the_caller_may_reuse_its_frame(follower):
    frame = FRAME.copy()
    follower.init(frame, BOX)
    follower.update(frame)
    expected = follower.box_xywh
    follower.init(frame, BOX)
    follower.update(frame)
    frame[:] = 0  # before anybody has asked for the box
    np.testing.assert_array_equal(follower.box_xywh, expected)


def test_a_network_of_another_configuration_is_refused(network):
    model = ModelConfig(anchors=AnchorConfig(ratios=(0.5, 1.0, 2.0)))
    follower = Tracker(network, {}, Config(name="test", model=model))
    follower.init(FRAME, BOX)
    with pytest.raises(ValueError, match=r"\(25, 25, 5\) does not fit .* \(25, 25, 3\)"):
        follower.update(FRAME)
