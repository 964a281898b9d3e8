"""`siamjax search`: searches the tracker's hyper-parameters for a benchmark."""

from functools import partial
from pathlib import Path

from siamjax.errors import require_between
from siamjax.evaluation.search.proposals import Method


def search(
    *,
    benchmark: str,
    data: Path,
    out: Path,
    config: Path | None = None,
    weights: Path | None = None,
    method: Method = "random",
    candidates: int = 64,
    batch: int = 16,
    penalty_k: tuple[float, float] = (0.0, 0.5),
    window_influence: tuple[float, float] = (0.2, 0.65),
    size_lr: tuple[float, float] = (0.2, 0.6),
    search_sizes: tuple[int, ...] = (),
    sequences: tuple[str, ...] = (),
    tolerance: float = 1.0,
    seed: int = 0,
) -> None:
    """Searches a tracker's hyper-parameters for a benchmark.

    The same command resumes an interrupted search.

    Writes every candidate's score (table.csv, table.md) and the best configuration
    (best.json, which `--config` takes). Report results on other sequences than
    those searched on.

    Args:
        benchmark: as in `siamjax eval`; VOT's are scored by mean overlap without restarts
        data: the benchmark's own folder
        out: the folder to write; it also holds the state to resume from
        config: a configuration by name or file, for all settings that are not searched; by
            default the one that comes with the weights
        weights: a training's work directory or a checkpoint in it, a release, another file that
            `siamjax convert` takes, or a name that `siamjax models` lists; by default the
            tracker that ships
        method: how candidates are proposed; `tpe` needs Optuna (pip install "siamjax[search]")
        candidates: number of settings to try
        batch: number of candidates to track in parallel
        penalty_k: lowest and highest value to try
        window_influence: lowest and highest value to try
        size_lr: lowest and highest value to try
        search_sizes: search sizes to try, pixels; by default the configuration's own
        sequences: use only these sequences; by default all
        tolerance: candidates whose search images differ by at most this many pixels share one;
            the best candidates are rerun without sharing at the end. 0 shares identical
            images only
        seed: seed of the random candidates and of the optimiser
    """
    import dataclasses

    import siamjax
    from siamjax.api import resolve
    from siamjax.evaluation.benchmarks.protocols import get_benchmark
    from siamjax.evaluation.benchmarks.sequences import load_sequences
    from siamjax.evaluation.results.files import fingerprint
    from siamjax.evaluation.search import search as searching
    from siamjax.evaluation.search.proposals import Space, make_proposer
    from siamjax.locks import held
    from siamjax.models.build import build_network
    from siamjax.tracking.candidates import CandidateTracker

    require_between("--candidates", candidates, 1, 1_000_000)
    require_between("--batch", batch, 1, 1024)
    require_between("--tolerance", tolerance, 0, 1000)
    require_between("--seed", seed, 0, 2**32 - 1)
    settings, source = resolve(config, weights)
    conventions = get_benchmark(benchmark)
    space = Space(
        penalty_k=penalty_k,
        window_influence=window_influence,
        size_lr=size_lr,
        search_sizes=search_sizes or (settings.tracker.search_size,),
    )
    for size in space.search_sizes:
        settings.model.score_size_for(size)
        if size > settings.model.template_size:  # checks the score map's side
            build_network(dataclasses.replace(settings.model, search_size=size))
    proposer = make_proposer(method, space, seed, candidates)
    loaded, problems = load_sequences(data, conventions, sequences)
    model = siamjax.load_model(settings, source)
    made = fingerprint(settings, model.variables, siamjax.__version__)
    model = model.folded()

    def make(chosen, tolerance=0.0):
        parts = (model.network, model.variables, settings)
        return CandidateTracker(*parts, chosen, tolerance=tolerance)

    with held(out, "--out"):
        outcome = searching.search(
            partial(make, tolerance=tolerance),
            settings,
            loaded,
            conventions,
            proposer,
            out,
            mark={
                "benchmark": conventions.name,
                "weights": made["weights"],
                "sequences": [sequence.name for sequence in loaded],
                "method": method,
                "space": dataclasses.asdict(space),
                "seed": seed,
                "tolerance": tolerance,
                "batch": batch,
                "candidates": candidates if method == "grid" else None,
            },
            total=candidates,
            batch=batch,
            make_exact=make if tolerance else None,
        )
    print(searching.as_markdown(outcome, rows=10), end="")
    for problem in [*problems, *outcome.problems]:
        print(f"problem: {problem}")
    print(
        f"{outcome.evaluations} search images evaluated, {outcome.saving:.1f} times fewer "
        f"than the {outcome.alone} of one candidate at a time"
    )
    print(f"best: {out / 'best.json'}")
