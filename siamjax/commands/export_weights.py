"""`siamjax export-weights`: weights as a PySOT state dict."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def export_weights(
    weights: Annotated[Path, tyro.conf.Positional],
    *,
    out: Path,
    config: Path | None = None,
    alexnet: Literal["features", "layers"] = "features",
) -> None:
    """Writes weights as a state dict that PySOT loads.

    Args:
        weights: a checkpoint or work directory, or a file that `siamjax convert` takes
        out: the file to write, .pth (for PyTorch 0.4 and later) or .npz
        config: a configuration file for these weights; by default the one that they come with
        alexnet: the names of AlexNet's keys: `features` as in PySOT's `alexnetlegacy`, `layers`
            as in its `alexnet`
    """
    from siamjax.api import load_model

    model = load_model(config, weights)
    count = model.save_pysot(out, alexnet=alexnet)
    print(f"{count} arrays of `{model.config.name}` in {out}")
