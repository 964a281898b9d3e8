"""Random runs in VOT's form, and its supervised measures written as plain loops."""

import numpy as np

from siamjax.evaluation.metrics.regions import Regions, VotSequence

SIZE = (100, 90)


def random_box(rng):
    # some of them across the frame's edges
    return [*rng.uniform(-10, 75, 2), *rng.uniform(15, 45, 2)]


def random_truth(rng, frames):
    """A slow walk of a box, in every second sequence as polygons."""
    box = np.array(random_box(rng))
    walk = box + np.cumsum(rng.normal(0, [1, 1, 0.2, 0.2], (frames, 4)), axis=0)
    walk[:, 2:] = walk[:, 2:].clip(5)
    return walk.tolist()


def random_run(rng, truth, failing=0.03, skip=5):
    """Rows of a supervised run: near the ground truth, failing now and then, starting again."""
    rows, start = [], 0
    for frame, box in enumerate(truth):
        if frame == start:
            rows.append([1.0])
        elif frame < start:
            rows.append([0.0])
        elif rng.random() < failing:
            rows.append([2.0])
            start = frame + skip
        else:
            rows.append((np.array(box[:4]) + rng.normal(0, 4, 4)).tolist())
    return rows


def sequence(name, truth, tags=None, size=SIZE):
    tags = {key: np.array(values, bool) for key, values in (tags or {}).items()}
    return VotSequence(name, Regions.from_rows(truth), tags, size, ())


def plain_pysot(truths, runs, tags, overlap, low, high, burnin=10, skip=5):
    """Accuracy, robustness, lost number and EAO of runs by sequence and repetition.

    `overlap(a, b, bounds)` compares two rows; `tags` weigh the pieces of each sequence.
    """
    accuracies, lost, pieces = [], 0.0, []
    length = max(map(len, truths))
    width, height = SIZE
    for truth, repetitions, tag in zip(truths, runs, tags, strict=True):
        table = []
        for run in repetitions:
            hidden = {f + i for f, row in enumerate(run) if row == [1.0] for i in range(burnin)}
            table.append(
                [
                    np.nan if f in hidden else overlap(run[f], truth[f], (width, height))
                    for f in range(len(truth))
                ]
            )
            failures = [f for f, row in enumerate(run) if row == [2.0]]
            lost += len(failures) / len(repetitions)
            near = [
                overlap(run[f], truth[f], (width - 1, height - 1)) for f in range(len(truth))
            ]
            near = [0.0 if np.isnan(value) else value for value in near]
            cuts = [0] + [f + skip for f in failures if f + skip <= len(truth)]
            for i, start in enumerate(cuts):
                if i + 1 < len(cuts):
                    end = cuts[i + 1]
                    padded = near[start : end + 1] + [0.0] * length
                    share = sum(tag[start : end + 1]) / (end - start + 1)
                    pieces.append((padded[:length], share))
                elif start < len(truth):
                    share = sum(tag[start:]) / (len(truth) - start)
                    pieces.append((near[start:], share))
        for column in zip(*table, strict=True):
            values = [value for value in column if not np.isnan(value)]
            if values:
                accuracies.append(sum(values) / len(values))
    curve = [1.0]
    for i in range(1, length):
        reaching = [(sum(p[1 : i + 1]) / i, w) for p, w in pieces if len(p) > i]
        weight = sum(w for _, w in reaching)
        curve.append(sum(m * w for m, w in reaching) / weight if weight else np.nan)
    eao = np.nanmean(curve[low - 1 : high])
    frames = sum(map(len, truths))
    return np.mean(accuracies), 100 * lost / frames, lost, eao, curve


def plain_toolkit(truths, runs, overlap, low, high, burnin=10):
    """The same by vot-toolkit's convention, without tags."""
    accuracies, failed, pieces = [], [], []
    for truth, repetitions in zip(truths, runs, strict=True):
        means, counts = [], []
        for run in repetitions:
            values = [overlap(run[f], truth[f], SIZE) for f in range(len(truth))]
            starts = [f for f, row in enumerate(run) if row == [1.0]]
            failures = [f for f, row in enumerate(run) if row == [2.0]]
            hidden = {f + i for f in starts for i in range(burnin)}
            counted = [v for f, v in enumerate(values) if f not in hidden and len(run[f]) > 1]
            means.append(np.mean(counted) if counted else 0.0)
            counts.append(len(failures))
            values = [v if len(run[f]) > 1 else 0.0 for f, v in enumerate(values)]
            for i, start in enumerate(starts):
                failing = i < len(failures)
                end = failures[i] if failing else len(truth)
                pieces.append((values[start:end], failing))
        accuracies.append(np.mean(means))
        failed.append(np.mean(counts))
    length = max(len(piece) for piece, _ in pieces)
    curve = [0.0]
    for i in range(1, length):
        reaching = [
            sum(piece[1 : i + 1]) / i for piece, failing in pieces if failing or len(piece) > i
        ]
        curve.append(np.mean(reaching))
    weights = [len(truth) for truth in truths]
    return (
        np.average(accuracies, weights=weights),
        np.average(failed, weights=weights),
        sum(failed),
        np.mean(curve[low : high + 1]),
        curve,
    )
