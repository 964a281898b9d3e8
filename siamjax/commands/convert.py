"""`siamjax convert`: other projects' weights to a siamjax checkpoint."""

from pathlib import Path
from typing import Annotated

import tyro

from siamjax.errors import InputError
from siamjax.files import replacing_folder


def convert(
    file: Annotated[Path, tyro.conf.Positional],
    config: Path | None = None,
    out: Path | None = None,
) -> None:
    """Converts other projects' weights into a checkpoint.

    Without --config and --out, only prints what the file is and which configuration fits.
    With them, writes a checkpoint, config.json, and report.txt, which lists where each key of
    the file went. Backbone-only weights can initialise a training, but cannot track.

    Args:
        file: a .pth or .safetensors, read without executing anything in it, or a .npz of the
            state dict
        config: the configuration of the network
        out: the folder to write, new or empty
    """
    from siamjax.config_files import load_config
    from siamjax.training.checkpoints import save_variables
    from siamjax.weights.convert import load
    from siamjax.weights.detect import detect
    from siamjax.weights.state_dict import read_state_dict

    if (config is None) != (out is None):
        raise InputError("`--config` and `--out` go together: the network, and where to write")
    if config is None or out is None:
        detected = detect(read_state_dict(file))
        fitting = " or ".join(f"configs/{name}.py" for name in detected.configs)
        use = "fits" if detected.whole else "can start a training of"
        print(f"{file}: {detected}; {use} {fitting or 'no published configuration'}")
        return
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(
            f"`--out` (={str(out)!r}) exists and is not empty; name another folder"
        )
    settings = load_config(config)
    variables, report = load(file, settings)
    with replacing_folder(out) as partial:
        save_variables(partial, variables, settings)
        (partial / "report.txt").write_text(report.text())
    print(f"{report.summary}\nwritten to {out}")
