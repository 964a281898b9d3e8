"""What tells one tracker's results from another's."""

import hashlib
from typing import Any

import numpy as np

from siamjax.config import Config
from siamjax.config_files import config_to_dict, flatten


def fingerprint(config: Config, variables: dict[str, Any], version: str) -> dict[str, Any]:
    """Everything that decides a tracker's boxes, as JSON-ready values.

    The model's and the tracker's settings, the package's version and a digest of the
    variables (a tree of arrays), so that the same weights are the same tracker from
    wherever they were read.
    """
    settings = config_to_dict(config)
    del settings["tracker"]["lost_score"]  # it says what a box is worth, and moves none
    digest = hashlib.sha256()
    for name, value in sorted(flatten(variables).items()):
        array = np.asarray(value)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return {
        "version": version,
        "weights": digest.hexdigest()[:16],
        "config": {"model": settings["model"], "tracker": settings["tracker"]},
    }
