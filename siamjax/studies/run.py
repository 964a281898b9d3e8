"""One cell, run as a process: train, evaluate, probe, measure; what is done is not redone.

python -m siamjax.studies.run FOLDER
"""

import json
import os
import sys
import traceback
from pathlib import Path

from absl import flags

from siamjax.config_files import config_from_dict
from siamjax.errors import InputError, SiamjaxError
from siamjax.files import file_name, write_whole
from siamjax.interrupts import Interrupted, heeding_interrupts
from siamjax.locks import held
from siamjax.studies.runs import CELL_FILE, OUTCOME_FILE
from siamjax.text import read_object


def run_cell(folder: Path) -> None:
    """Does what `cell.json` in the folder says, and writes `outcome.json` at the end."""
    import siamjax
    from siamjax.studies import cost, equivariance, response
    from siamjax.training.loop import train

    plan = read_object(folder / CELL_FILE)
    config = config_from_dict(plan["config"])
    data, run = Path(plan["data"]), folder / "run"
    _share(run / "data", data)
    train(config, run)

    outcome = {"benchmarks": {}, "probes": {}}
    for benchmark in plan["benchmarks"]:
        out = folder / file_name(benchmark["name"])
        evaluated = siamjax.evaluate(
            (config, run), benchmark["name"], data=benchmark["data"], out=out
        )
        scores = evaluated.trackers[0]
        if scores.missing:
            raise InputError(
                f"benchmark {benchmark['name']!r} cannot be compared: {len(scores.missing)} "
                f"sequences are missing from its scores: {', '.join(map(str, scores.problems))}"
            )
        outcome["benchmarks"][benchmark["name"]] = scores.overall

    model = siamjax.load_model(config, run)
    if plan["probes"]:
        probed = config_from_dict(plan["probe_config"])
        pairs = response.draw_pairs(probed, plan["probe_shift"], data)
        if "response" in plan["probes"]:
            measured = response.measure(model, pairs, plan["probe_shift"])
            outcome["probes"]["response"] = measured
        if "equivariance" in plan["probes"]:
            outcome["probes"]["equivariance"] = equivariance.measure(model, pairs.search)
    outcome |= {**cost.of_network(config), "frame_ms": cost.frame_ms(model.folded())}
    outcome["training_seconds"] = cost.training_seconds(run, config.train.batch_size)
    write_whole(folder / OUTCOME_FILE, json.dumps(outcome) + "\n")


def _share(link: Path, data: Path) -> None:
    """Lets the run find rendered sets where all cells of the study have them."""
    data.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(data, target_is_directory=True)


def main(folder: str) -> int:
    """Returns the exit code; the last line of the output tells what went wrong."""
    flags.FLAGS.mark_as_parsed()
    os.environ.setdefault("NO_GCE_CHECK", "true")
    with heeding_interrupts():
        try:
            with held(Path(folder), "--workdir"):  # a cell may outlive the study that began it
                run_cell(Path(folder))
        except (Interrupted, KeyboardInterrupt) as stop:
            print(stop or "interrupted")
            return 130
        except Exception as error:
            if not isinstance(error, SiamjaxError | OSError):
                traceback.print_exc(file=sys.stdout)
            print(str(error).splitlines()[0] if str(error) else repr(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
