"""Hyper-parameter search for the tracker on a benchmark, many candidates at once.

Candidates are tried in rounds. All candidates of a round track a sequence together, so that a
frame is read and transferred once, and the network is evaluated once per distinct state rather
than per candidate: at the start of a sequence all agree.

    <out>/search.json         the configuration, weights and sequences
    <out>/round_001.json      candidates, and their scores on finished sequences
    <out>/finals.json         the same for the best ones, if rounds are approximate
    <out>/table.csv           all candidates, best first; table.md has the best
    <out>/best.json           the configuration with the best settings, for `--config`

A stopped search resumes after its last finished sequence.
"""

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from siamjax.config import Config, TrackerConfig
from siamjax.config_files import config_to_dict
from siamjax.errors import InputError, RefusedError
from siamjax.evaluation.benchmarks.protocols import Benchmark
from siamjax.evaluation.benchmarks.sequences import Sequence as VideoSequence
from siamjax.evaluation.problems import Problem
from siamjax.evaluation.search.following import CandidatesLike, follow, score_boxes
from siamjax.evaluation.search.proposals import Proposer, Settings
from siamjax.files import write_whole
from siamjax.text import read_json

SHOWN = 20  # rows of table.md
FINALISTS = 4  # candidates that are scored exactly at the end


class SearchError(InputError):
    """A folder holds another search, or no sequence could be tracked."""


class Outcome(NamedTuple):
    """The result of a search."""

    ranking: list[tuple[Settings, float]]  # best first
    problems: list[Problem]
    evaluations: int  # search images that the network evaluated
    alone: int  # the same with one candidate at a time

    @property
    def best(self) -> Settings:
        """The settings with the highest score."""
        return self.ranking[0][0]

    @property
    def saving(self) -> float:
        """The factor by which sharing reduced the evaluations of the network."""
        return self.alone / max(self.evaluations, 1)


@dataclasses.dataclass
class _Round:
    """Candidates that are tried together, and their results so far."""

    file: Path
    candidates: list[Settings]
    scores: dict[str, list[float]]  # by sequence, one per candidate
    refused: dict[str, str]
    evaluations: int = 0
    alone: int = 0

    def save(self) -> None:
        content = dataclasses.asdict(self)
        content["candidates"] = [list(each) for each in self.candidates]
        del content["file"]
        write_whole(self.file, json.dumps(content) + "\n")

    @classmethod
    def load(cls, file: Path) -> "_Round":
        try:
            content = read_json(file)
            content["candidates"] = [Settings(*each) for each in content["candidates"]]
            return cls(file, **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SearchError(
                f"{str(file)!r} is not a round of a search: {error}; delete it to run it again"
            ) from None

    def is_done(self, names: list[str]) -> bool:
        return all(name in self.scores or name in self.refused for name in names)

    def totals(self) -> list[float]:
        """The mean over sequences, one per candidate."""
        if not self.scores:
            return [float("-inf")] * len(self.candidates)
        return np.mean(list(self.scores.values()), axis=0).tolist()


def search(
    make: Callable[[list[TrackerConfig]], CandidatesLike],
    config: Config,
    sequences: list[VideoSequence],
    benchmark: Benchmark,
    proposer: Proposer,
    out: Path,
    *,
    mark: dict[str, Any],
    total: int,
    batch: int,
    make_exact: Callable[[list[TrackerConfig]], CandidatesLike] | None = None,
) -> Outcome:
    """Tries `total` candidates, `batch` per round, and writes the results.

    `make` builds a tracker for candidates with the same compiled shapes. If its scores are
    approximate, `make_exact` builds an exact one, with which the best candidates are scored
    again and lead the ranking. `mark` identifies the search. Raises `SearchError` if `out`
    holds another search, `ConfigError` for settings that the configuration does not allow.
    """
    out = Path(out)
    _open(out, {**mark, "config": config_to_dict(config)})
    names = [sequence.name for sequence in sequences]
    rounds: list[_Round] = []
    tried = 0
    with tqdm(
        total=total * sum(map(len, sequences)),
        desc="search",
        unit="frame",
        mininterval=0.2 if sys.stderr.isatty() else 10,
        dynamic_ncols=True,
    ) as bar:
        while tried < total:
            current = _next_round(out, len(rounds) + 1, proposer, min(batch, total - tried))
            if not current.candidates:
                break
            if not current.is_done(names):
                _run_round(current, make, config, sequences, benchmark, bar)
            proposer.tell(current.candidates, current.totals())
            rounds.append(current)
            tried += len(current.candidates)
            _write_tables(out, config, _outcome(rounds))
        final = None
        if make_exact is not None and any(each.scores for each in rounds):
            best = [settings for settings, _ in _outcome(rounds).ranking[:FINALISTS]]
            final = _finals(out / "finals.json", best)
            bar.total += len(best) * sum(map(len, sequences))
            if not final.is_done(names):
                _run_round(final, make_exact, config, sequences, benchmark, bar)
            _write_tables(out, config, _outcome(rounds, final))
    outcome = _outcome(rounds, final)
    if not any(each.scores for each in rounds):
        shown = "; ".join(map(str, outcome.problems[:3]))
        raise SearchError(f"no sequence could be tracked ({shown})")
    return outcome


def _open(out: Path, mark: dict[str, Any]) -> None:
    file = out / "search.json"
    text = json.dumps(mark, indent=1, sort_keys=True) + "\n"
    if file.is_file() and file.read_text(encoding="utf-8") != text:
        raise SearchError(
            f"{str(out)!r} holds another search, with the settings, weights and "
            "sequences in its search.json; give another `--out`, or delete that folder"
        )
    write_whole(file, text)


def _next_round(out: Path, number: int, proposer: Proposer, count: int) -> _Round:
    file = out / f"round_{number:03d}.json"
    if file.is_file():
        return _Round.load(file)
    current = _Round(file, proposer.ask(count), {}, {})
    if current.candidates:
        current.save()
    return current


def _finals(file: Path, candidates: list[Settings]) -> _Round:
    """The stored results for these candidates, or an empty round."""
    if file.is_file() and (found := _Round.load(file)).candidates == candidates:
        return found
    return _Round(file, candidates, {}, {})


def _run_round(current: _Round, make, config: Config, sequences, benchmark, bar) -> None:
    by_size: dict[int, list[int]] = {}
    for place, settings in enumerate(current.candidates):
        by_size.setdefault(settings.search_size, []).append(place)
    trackers = []
    for places in by_size.values():
        chosen = [
            dataclasses.replace(config.tracker, **current.candidates[place]._asdict())
            for place in places
        ]
        trackers.append((places, make(chosen)))
    for sequence in sequences:
        if sequence.name in current.scores or sequence.name in current.refused:
            bar.update(len(sequence) * len(current.candidates))
            continue
        scores = [0.0] * len(current.candidates)
        before = sum(tracker.evaluations for _, tracker in trackers)
        try:
            for places, tracker in trackers:
                boxes = follow(tracker, sequence, len(places), bar.update)
                for place, found in zip(places, boxes, strict=True):
                    scores[place] = score_boxes(sequence, found, benchmark)
        except RefusedError as error:
            current.refused[sequence.name] = str(error)
        else:
            current.scores[sequence.name] = scores
            current.alone += (len(sequence) - 1) * len(current.candidates)
        current.evaluations += sum(tracker.evaluations for _, tracker in trackers) - before
        current.save()


def _outcome(rounds: Sequence[_Round], final: _Round | None = None) -> Outcome:
    scored = [
        pair for each in rounds for pair in zip(each.candidates, each.totals(), strict=True)
    ]
    ranking = sorted(scored, key=lambda pair: -pair[1])
    if final is not None:
        exact = zip(final.candidates, final.totals(), strict=True)
        others = [pair for pair in ranking if pair[0] not in final.candidates]
        ranking = sorted(exact, key=lambda pair: -pair[1]) + others
    problems = {
        name: Problem(name, f"not searched: {why}")
        for each in rounds
        for name, why in each.refused.items()
    }
    return Outcome(
        ranking,
        list(problems.values()),
        sum(each.evaluations for each in [*rounds, *([final] if final else [])]),
        sum(each.alone for each in rounds),
    )


def _write_tables(out: Path, config: Config, outcome: Outcome) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*Settings._fields, "score"])
    writer.writerows([*settings, f"{score:.6f}"] for settings, score in outcome.ranking)
    write_whole(out / "table.csv", text.getvalue())
    write_whole(out / "table.md", as_markdown(outcome))
    tracker = dataclasses.replace(config.tracker, **outcome.best._asdict())
    best = config_to_dict(dataclasses.replace(config, tracker=tracker))
    write_whole(out / "best.json", json.dumps(best, indent=1) + "\n")


def as_markdown(outcome: Outcome, rows: int = SHOWN) -> str:
    """The best candidates as a Markdown table."""
    lines = [f"| {' | '.join((*Settings._fields, 'score'))} |", "|" + " ---: |" * 5]
    for settings, score in outcome.ranking[:rows]:
        *numbers, size = settings
        cells = [*(f"{number:.4f}" for number in numbers), str(size), f"{score:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
