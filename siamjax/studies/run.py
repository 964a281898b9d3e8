"""One run of a study, as a process: train, evaluate, probe, measure; resumes what is done.

python -m siamjax.studies.run FOLDER
"""

import json
import os
import sys
import traceback
from pathlib import Path

from absl import flags

from siamjax.commands.ending import heeding_interrupts
from siamjax.commands.evaluate import evaluate
from siamjax.config_files import config_from_dict
from siamjax.errors import InputError, SiamjaxError
from siamjax.files import file_name, write_whole
from siamjax.interrupts import Interrupted
from siamjax.locks import held
from siamjax.studies.runs import OUTCOME_FILE, PLAN_FILE
from siamjax.text import read_object


def execute(folder: Path) -> None:
    """Executes the plan in the folder's `cell.json`; writes `outcome.json` at the end."""
    import siamjax
    from siamjax.studies import cost, probes
    from siamjax.training.loop import train

    plan = read_object(folder / PLAN_FILE)
    config = config_from_dict(plan["config"])
    data, run = Path(plan["data"]), folder / "run"
    _share(run / "data", data)
    train(config, run)

    outcome = {"benchmarks": {}, "probes": {}}
    for benchmark in plan["benchmarks"]:
        out = folder / file_name(benchmark["name"])
        code = evaluate(
            config=run / "config.json",
            weights=run,
            benchmark=benchmark["name"],
            data=Path(benchmark["data"]),
            out=out,
        )
        summary = read_object(out / "summary.json", trackers=dict)
        scores = summary["trackers"][config.name]
        if code:
            raise InputError(
                f"benchmark {benchmark['name']!r} cannot be compared: {len(scores['missing'])} "
                f"sequences are missing from its scores: {', '.join(scores['problems'])}"
            )
        outcome["benchmarks"][benchmark["name"]] = scores["overall"]

    model = siamjax.load_model(config, run)
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
    write_whole(folder / OUTCOME_FILE, json.dumps(outcome) + "\n")


def _share(link: Path, data: Path) -> None:
    """Links the run's data folder to the one that all runs of the study share."""
    data.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(data, target_is_directory=True)


def main(folder: str) -> int:
    """Returns the exit code; the last line of the output is the error."""
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
