"""Ground truth alone, for scoring results without the images."""

import json
from pathlib import Path

import numpy as np

from siamjax.evaluation.boxfiles import BoxFileError, read_boxes
from siamjax.evaluation.sequences import Problem, SequenceError, find_targets


def read_annotations(path: Path) -> tuple[dict[str, np.ndarray], list[Problem]]:
    """Sequence name -> true boxes `[t, 4]` in the file's own index base, and what is wrong.

    `path` is a folder in OTB layout or a json file as PySOT's toolkit has them: `{name:
    {"gt_rect": [[x, y, w, h], ...]}}`. Raises `SequenceError` where it is neither.
    """
    path = Path(path)
    if path.is_dir():
        annotations, problems = {}, []
        targets, problems = find_targets(path)
        for target in targets:
            try:
                annotations[target.name] = read_boxes(target.ground_truth)
            except BoxFileError as error:
                problems.append(Problem(target.name, f"skipped: {error}"))
    else:
        annotations, problems = _read_json(path)
    if not annotations:
        raise SequenceError(f"{str(path)!r} holds no ground truth that can be used")
    return annotations, problems


def _read_json(path: Path) -> tuple[dict[str, np.ndarray], list[Problem]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SequenceError(f"annotations {str(path)!r} do not exist") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SequenceError(f"annotations {str(path)!r} are no json: {error}") from error
    if not isinstance(content, dict):
        raise SequenceError(f"annotations {str(path)!r} must be a json object of sequences")
    annotations, problems = {}, []
    for name, entry in content.items():
        try:
            boxes = np.array(entry["gt_rect"], dtype=np.float64)
        except (TypeError, KeyError, ValueError):
            boxes = np.zeros(0)
        if boxes.ndim == 2 and boxes.shape[1] == 4:
            annotations[name] = boxes
        else:
            problems.append(
                Problem(name, "skipped: `gt_rect` is not a list of boxes x, y, w, h")
            )
    return annotations, problems
