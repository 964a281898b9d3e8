"""The whole step against PySOT's tracker: AlexNet, depthwise, nine rendered frames."""

import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import BackboneConfig, Config, ModelConfig, TrackerConfig
from siamjax.models.build import build_network
from siamjax.tracking import step
from siamjax.tracking.frames import pad_frame
from siamjax.tracking.tracker import Tracker
from siamjax.weights.convert import convert
from tests.goldens.standin_weights import make_array

CONFIG = Config(
    name="siamrpn_alex_dwxcorr",
    model=ModelConfig(
        backbone=BackboneConfig(name="alexnet"),
        levels=("layer5",),
        channels=(256,),
        neck=False,
        template_crop=None,
        base_size=0,
    ),
    tracker=TrackerConfig(search_size=287, penalty_k=0.16, window_influence=0.40, size_lr=0.30),
)


@pytest.fixture(scope="module")
def golden(goldens):
    return np.load(goldens / "track_siamrpn_alex_dwxcorr.npz")


@pytest.fixture(scope="module")
def variables(goldens):
    state_dict = {}
    for line in (goldens / "keys" / "siamrpn_alex_dwxcorr.txt").read_text().splitlines():
        key, shape = line.split("\t")
        array = make_array(key, tuple(map(int, shape.strip("()[]").replace(",", " ").split())))
        state_dict[key] = array * np.float32(0.01) if key.endswith("head.3.weight") else array
    return convert(state_dict, CONFIG)[0]


@pytest.fixture(scope="module")
def network():
    return build_network(CONFIG.model)


def test_every_step_is_the_references(golden, variables, network):
    frames = [jnp.asarray(pad_frame(frame)) for frame in golden["frames"]]
    frame_size = jnp.array(golden["frames"].shape[2:0:-1], jnp.float32)
    options = {"network": network, "config": CONFIG}
    box = jnp.array([120.0, 80.0, 64.0, 48.0])
    state = step.init(variables, frames[0], frame_size, box, **options)
    for frame, row in zip(frames[1:], golden["steps"], strict=True):
        before, returned, score, after = np.split(row, [4, 8, 9])
        state = state._replace(
            center=jnp.array(before[:2], jnp.float32), size=jnp.array(before[2:], jnp.float32)
        )
        state, output = step.update(variables, state, frame, frame_size, **options)
        np.testing.assert_allclose(output.box_xywh, returned, atol=0.5)
        np.testing.assert_allclose(output.score, score[0], atol=1e-3)
        np.testing.assert_allclose(np.r_[state.center, state.size], after, atol=0.5)
    # The reference moves by 58 pixels and more: a tracker that stays would not pass.
    moves = golden["steps"][:, 9:11] - golden["steps"][:, 0:2]
    assert np.linalg.norm(moves, axis=1).min() > 50


def test_the_objects_first_step_is_the_references(golden, variables, network):
    follower = Tracker(network, variables, CONFIG)
    follower.init(golden["frames"][0], (120, 80, 64, 48))
    follower.update(golden["frames"][1])
    np.testing.assert_allclose(follower.box_xywh, golden["steps"][0, 4:8], atol=0.5)
    np.testing.assert_allclose(follower.score, golden["steps"][0, 8], atol=1e-3)
