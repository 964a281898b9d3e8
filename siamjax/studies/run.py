"""One run of a study, as a process: train, evaluate, probe, measure; resumes what is done.

python -m siamjax.studies.run FOLDER
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from absl import flags

from siamjax.allocator import keep_freed_memory
from siamjax.config_files import config_from_dict
from siamjax.errors import InputError, SiamjaxError
from siamjax.files import file_name, write_whole
from siamjax.interrupts import Interrupted, heeding_interrupts
from siamjax.locks import held
from siamjax.studies.runs import OUTCOME_FILE, PLAN_FILE
from siamjax.text import read_object


def execute(folder: Path) -> None:
    """Executes the plan in the folder's `cell.json`; writes `outcome.json` at the end."""
    from siamjax.api import evaluate, load_model
    from siamjax.studies import cost, probes
    from siamjax.training.loop import train

    plan = read_object(folder / PLAN_FILE)
    config = config_from_dict(plan["config"])
    data, run = Path(plan["data"]), folder / "run"
    _share(run / "data", data)
    train(config, run)

    outcome: dict[str, Any] = {"benchmarks": {}, "probes": {}}
    model = load_model(config, run)
    for benchmark in plan["benchmarks"]:
        name = benchmark["name"]
        report = evaluate(model, name, data=benchmark["data"], out=folder / file_name(name))
        scores = report.trackers[0]
        if scores.missing:
            problems = ", ".join(map(str, [*report.problems, *scores.problems]))
            raise InputError(
                f"benchmark {name!r} cannot be compared: {len(scores.missing)} sequences are "
                f"missing from its scores: {problems}"
            )
        outcome["benchmarks"][name] = scores.overall

    if plan["probes"]:
        probed = config_from_dict(plan["probe_config"])
        pairs = probes.draw_pairs(probed, plan["probe_shift"], data)
        if "response" in plan["probes"]:
            measured = probes.measure_response(model, pairs, plan["probe_shift"])
            outcome["probes"]["response"] = measured
        if "equivariance" in plan["probes"]:
            outcome["probes"]["equivariance"] = probes.measure_equivariance(model, pairs.search)
    outcome |= {**cost.of_network(config), "frame_ms": cost.frame_ms(model.folded())}
    outcome["training_seconds"] = cost.training_seconds(run, config.train.batch_size)
    outcome["curve"] = cost.training_curve(run)
    outcome["level_weights"] = cost.level_weights(model)
    write_whole(folder / OUTCOME_FILE, json.dumps(outcome) + "\n")


def _share(link: Path, data: Path) -> None:
    """Links the run's data folder to the one that all runs of the study share."""
    data.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(data, target_is_directory=True)


def main(folder: str) -> int:
    """Returns the exit code; the last line of the output is the error."""
    keep_freed_memory()
    flags.FLAGS.mark_as_parsed()
    os.environ.setdefault("NO_GCE_CHECK", "true")
    with heeding_interrupts():
        try:
            with held(Path(folder), "--workdir"):  # it may outlive the study that started it
                execute(Path(folder))
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
