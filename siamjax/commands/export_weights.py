"""`siamjax export-weights`: our weights as a PySOT state dict."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def export_weights(
    weights: Annotated[Path, tyro.conf.Positional],
    *,
    config: Path,
    out: Path,
    alexnet: Literal["features", "layers"] = "features",
) -> None:
    """Writes weights as a state dict that PySOT loads.

    Args:
        weights: a checkpoint or work directory, or a file that `siamjax convert` takes
        config: the configuration of the network
        out: the file to write, .pth (for PyTorch 0.4 and later) or .npz
        alexnet: the names of AlexNet's keys: `features` as in PySOT's `alexnetlegacy`, `layers`
            as in its `alexnet`
    """
    from siamjax.config_files import load_config
    from siamjax.training.checkpoints import load_variables
    from siamjax.weights.convert import abstract_variables, load
    from siamjax.weights.pysot import to_state_dict
    from siamjax.weights.state_dict import write_state_dict

    settings = load_config(config)
    if weights.is_dir():
        variables = load_variables(weights, abstract_variables(settings.model))
    else:
        variables, _ = load(weights, settings)
    state_dict = to_state_dict(variables, settings.model, alexnet)
    write_state_dict(out, state_dict)
    print(f"{len(state_dict)} arrays of `{settings.name}` in {out}")
