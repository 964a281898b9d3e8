"""The program in docs/tracking.md runs, and its parts agree."""

import re

import numpy as np
import pytest

from siamjax.models.build import build_network
from siamjax.training.checkpoints import save_variables
from tests.conftest import ROOT
from tests.tracking.networks import random_variables, small_config
from tests.tracking.test_batch import BOXES, film


@pytest.fixture
def weights(tmp_path):
    config = small_config()
    folder = tmp_path / "weights"
    save_variables(folder, random_variables(build_network(config.model), config), config)
    return folder


def test_the_documented_program_runs(weights):
    text = (ROOT / "docs" / "tracking.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    frames = film(3, 160, 120, length=3)
    names = {"frames": frames, "box": BOXES[0], "other_box": (90, 60, 30, 30)}
    exec(program.replace("runs/quickstart", str(weights)), names)
    # Every interface gives the same boxes as the tracker of one target.
    _, second, third = (result.box_xywh for result in names["tracked"])
    np.testing.assert_allclose(names["results"][0].box_xywh, second, atol=1e-3)
    np.testing.assert_allclose(names["several"].boxes_xywh[0], second, atol=1e-3)
    np.testing.assert_array_equal(names["tracker"].box_xywh, third)
