"""A study: its rules, and one that is run, interrupted and resumed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from siamjax.config import Config, ConfigError, SyntheticConfig
from siamjax.config_files import changed
from siamjax.data.synthetic import write_otb
from siamjax.models.build import build_network
from siamjax.studies import runs
from siamjax.studies.cost import as_plan
from siamjax.studies.runs import adopt, keep, prepare_workdir, runs_of
from siamjax.studies.study import Claim, Study, Variant, load_study
from tests.conftest import ROOT
from tests.training.test_command import CONFIG_FILE

STUDY_FILE = """
from siamjax.config import SourceConfig, SyntheticConfig
from siamjax.config_files import changed, load_config
from siamjax.studies.study import Study, StudyBenchmark, Variant


def get_study(size):
    base = load_config("smallest.py")
    probe = SyntheticConfig(split="test", sequences=2, frames=4, width=128, height=96)
    return Study(
        name="tiny",
        question="Does it run?",
        base="shifted",
        variants=(
            Variant(name="shifted", config=base, published="AUC 0.696"),
            Variant(name="centred", config=changed(base, {"data.search.shift": 0.0})),
        ),
        seeds=(3,),
        benchmarks=(StudyBenchmark(name="otb", data="sequences"),),
        probes=("response", "equivariance"),
        probe_source=SourceConfig(synthetic=probe),
        probe_shift=16.0,
    )
"""


def test_fields_are_changed_by_their_dotted_names():
    config = changed(Config(name="a"), {"name": "b", "data.search.shift": 8.0, "optim.lr": 0.1})
    assert (config.name, config.data.search.shift, config.optim.lr) == ("b", 8.0, 0.1)
    assert config.data.search.scale == Config(name="a").data.search.scale
    with pytest.raises(ConfigError, match="has no field 'shfit'; did you mean 'shift'"):
        changed(config, {"data.search.shfit": 8.0})
    with pytest.raises(ConfigError, match="must be positive"):
        changed(config, {"optim.lr": -1.0})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base": "shiftd"}, "is none of its variants; did you mean 'shifted'"),
        ({"seeds": (1, 1)}, "must be different numbers"),
        ({"seeds": ()}, "must be different numbers, at least one"),
        ({"probes": ("response",)}, "need a `probe_source`"),
        ({"name": "a/b"}, "may hold letters"),
        ({"benchmarks": ()}, "has no benchmark"),
        (
            {"variants": (Variant(name="shifted", config=Config(name="a")),) * 2},
            "more than one",
        ),
    ],
)
def test_a_study_that_breaks_a_rule_is_refused(values, message):
    variants = (Variant(name="shifted", config=Config(name="a")),)
    arguments = {"name": "s", "question": "?", "base": "shifted", "variants": variants}
    with pytest.raises(ConfigError, match=message):
        Study(**arguments | values)


SIZES = {"pairs": ("small", "full"), "shift_law": ("small", "full"), "finetuning": ("real",)}
STUDIES = sorted((ROOT / "configs" / "ablations").glob("*.py"))


@pytest.mark.parametrize(
    ("path", "size"),
    [
        pytest.param(path, size, id=f"{path.stem}-{size}")
        for path in STUDIES
        for size in SIZES.get(path.stem, ("small", "full", "real"))
    ],
)
def test_every_study_of_ours_has_networks_that_can_be(path, size):
    study = load_study(path, size)
    assert len(study.seeds) >= 3
    if size != "full" or path.stem == "shift":
        for model in {variant.config.model for variant in study.variants}:
            build_network(model)


def test_runs_that_studies_on_pictures_share_are_the_same():
    shared: dict[str, Config] = {}
    for path in STUDIES:
        if "real" in SIZES.get(path.stem, ("real",)):
            for variant in load_study(path, "real").variants:
                assert shared.setdefault(variant.name, variant.config) == variant.config
    assert len(shared) == 18  # five studies of 24 runs a seed, of which 6 are another's


def test_a_size_that_a_study_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"`size` \(='small'\) of this study must be one of"):
        load_study(ROOT / "configs" / "ablations" / "finetuning.py", "small")


def test_a_claim_about_no_variant_is_refused():
    variant = Variant(name="shifted", config=Config(name="a"))
    claim = Claim(text="more", better="shifted", worse="centre")
    with pytest.raises(ConfigError, match="is about 'centre', which is none of its variants"):
        Study(name="s", question="?", base="shifted", variants=(variant,), claims=(claim,))


def study_of(**variants):
    made = tuple(Variant(name=name, config=config) for name, config in variants.items())
    return Study(name="s", question="?", base="a", variants=made, seeds=(0,))


def finish(run):
    outcome = {
        **dict.fromkeys(runs.OUTCOME, 1.0),
        "benchmarks": {"synthetic": {}},
        "probes": {},
    }
    run.folder.mkdir(parents=True)
    (run.folder / runs.OUTCOME_FILE).write_text(json.dumps(outcome))


def test_kept_outcomes_count_as_done_elsewhere(tmp_path):
    study = study_of(a=Config(name="a"))
    (first,) = runs_of(study, tmp_path / "first")
    keep(first, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()  # it is not done
    finish(first)
    keep(first, tmp_path / "kept")
    other = study_of(a=Config(name="a"), b=changed(Config(name="b"), {"optim.lr": 0.1}))
    again = runs_of(other, tmp_path / "second")
    assert adopt(other, again, tmp_path / "kept") == 1
    assert [run.is_done(other) for run in again] == [True, False]
    assert again[0].outcome == first.outcome
    assert adopt(other, again, tmp_path / "kept") == 0


def test_a_kept_outcome_of_another_configuration_is_refused(tmp_path):
    (run,) = runs_of(study_of(a=Config(name="a")), tmp_path / "first")
    finish(run)
    keep(run, tmp_path / "kept")
    other = study_of(a=changed(Config(name="a"), {"optim.lr": 0.1}))
    with pytest.raises(
        ConfigError, match=r"a_seed0.json is of another configuration than a, s"
    ):
        adopt(other, runs_of(other, tmp_path / "second"), tmp_path / "kept")


def test_a_file_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'levels'"):
        load_study(ROOT / "configs" / "ablations" / "level.py", "small")
    with pytest.raises(ConfigError, match="has no function `get_study"):
        load_study(ROOT / "configs" / "quickstart.py", "small")
    (tmp_path / "wrong.py").write_text("def get_study(size): return 1")
    with pytest.raises(ConfigError, match="returned int, not Study"):
        load_study(tmp_path / "wrong.py", "small")


def ablate(folder, *more):
    arguments = ["ablate", "study.py", "--workdir", "out", *more]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "siamjax.cli", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def cores_of_two_at_once(process):
    """Whether two runs ran at once, and on different cores where a process can be bound."""
    threads = Path(f"/proc/{process.pid}/task")
    seen = not threads.is_dir() or len(os.sched_getaffinity(0)) < 2
    deadline = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            children = " ".join(file.read_text() for file in threads.glob("*/children"))
            cores = [os.sched_getaffinity(int(child)) for child in children.split()]
            seen |= len(cores) == 2 and not cores[0] & cores[1]
        time.sleep(0.05)
    process.kill()  # nothing, where it has ended
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    return seen


@pytest.mark.usefixtures("heeds_sigint")
def test_ctrl_c_reaches_a_run_that_is_being_started(tmp_path, monkeypatch):
    started = []

    def start(study, run, workdir, place):
        time.sleep(0.5)  # the main thread waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.5)  # the main thread has dealt with it
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[0]

    for name, text in (("smallest.py", CONFIG_FILE), ("study.py", STUDY_FILE)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "_start", start)
    study = load_study("study.py", "small")
    planned = runs_of(study, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        runs.run_all(study, planned, tmp_path, [runs.Place()])
    assert started[0].returncode not in (None, 0) and len(started) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("heeds_sigint")
def test_a_study_is_run_interrupted_and_resumes(tmp_path, monkeypatch):
    (tmp_path / "smallest.py").write_text(CONFIG_FILE)
    (tmp_path / "study.py").write_text(STUDY_FILE)
    scene = SyntheticConfig(split="test", sequences=2, frames=4, width=128, height=96)
    write_otb(scene, tmp_path / "sequences")
    first, second = (
        tmp_path / "out" / "cells" / variant / "seed3" for variant in ("shifted", "centred")
    )

    monkeypatch.chdir(tmp_path)
    study = load_study("study.py", "small")
    plan = as_plan(study, runs_of(study, tmp_path / "out"))
    assert "tiny: 2 runs" in plan and "the time is known once" in plan and not first.exists()

    begun = ablate(tmp_path, "--outcomes", "kept")
    log = second / "log.txt"  # begun with what the second run says: it is under way
    while begun.poll() is None and not (log.is_file() and log.stat().st_size):
        time.sleep(0.1)
    begun.send_signal(signal.SIGINT)
    errors = begun.communicate(timeout=300)[1]
    assert begun.returncode == 130, errors
    assert (first / "outcome.json").is_file() and not (second / "outcome.json").is_file()
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["shifted_seed3.json"]
    kept = (first / "outcome.json").stat().st_mtime_ns

    resumed = ablate(tmp_path)
    errors = resumed.communicate(timeout=300)[1]
    assert resumed.returncode == 0, errors
    assert (first / "outcome.json").stat().st_mtime_ns == kept
    outcomes = [json.loads((each / "outcome.json").read_text()) for each in (first, second)]
    for outcome in outcomes:
        assert outcome["training_seconds"] > 0 and outcome["frame_ms"] > 0
        assert outcome["parameters"] > 1000 and outcome["flops"] > 1e6
        assert len(outcome["curve"]["loss"]) == len(outcome["curve"]["step"]) > 0
    aucs = [outcome["benchmarks"]["otb"]["success_auc"] for outcome in outcomes]
    table = (tmp_path / "out" / "table.md").read_text()
    assert f"| shifted (base) | 1 of 1 | {aucs[0]:.3f} |" in table
    assert f"| centred | 1 of 1 | {aucs[1]:.3f} | {aucs[1] - aucs[0]:+.3f} |" in table
    assert "AUC 0.696" in table
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png") == 4  # loss, response, localisation, equivariance
    assert (tmp_path / "out" / "table.tex").read_text().startswith("\\begin{tabular}")
    assert len((tmp_path / "out" / "table.csv").read_text().splitlines()) == 3

    pinned = hasattr(os, "sched_getaffinity")
    jobs = min(2, len(os.sched_getaffinity(0)) if pinned else 2)  # one core takes no two jobs
    assert cores_of_two_at_once(ablate(tmp_path, "--seeds", "4", "--jobs", str(jobs)))
    for variant in ("shifted", "centred"):
        run = tmp_path / "out" / "cells" / variant / "seed4"
        assert json.loads((run / "outcome.json").read_text())["training_seconds"] > 0

    plan = as_plan(study, runs_of(study, tmp_path / "out"))
    assert "about 0 minutes of training left, estimated from finished runs" in plan
    (tmp_path / "study.py").write_text(STUDY_FILE.replace('shift": 0.0', 'shift": 1.0'))
    with pytest.raises(ConfigError, match="'centred' of study 'tiny' is not what it was when"):
        prepare_workdir(load_study("study.py", "small"), tmp_path / "out")
