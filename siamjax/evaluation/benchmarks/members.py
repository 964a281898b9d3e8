"""Sequence lists of benchmarks whose folders hold more, and first frames within a folder.

Names are compared without case and separators; for a sequence with several targets, the name
without the target number matches too. `members.json` holds the lists:

    TB-50, CVPR13         names. Source: the benchmark's page (visual tracker benchmark, TB-50
                          and the CVPR 2013 set); the GOT-10k toolkit keeps the same lists
    LaSOT-test            its test split, numbers by category. Source: its paper and the GOT-10k
                          toolkit
    UAV123 first frames   of sequences that share a folder of images: of <folder>_1, <folder>_2
                          and so on, from 1. Each is as long as its ground truth. Source: the
                          benchmark's configSeqs.m, also kept by the GOT-10k toolkit
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from siamjax.evaluation.benchmarks.names import plain_name

_LISTS = json.loads(Path(__file__).with_name("members.json").read_text())
UAV123_FIRST_FRAMES: dict[str, list[int]] = _LISTS["UAV123 first frames"]
LASOT_TEST = [f"{name}-{n}" for name, numbers in _LISTS["LaSOT-test"].items() for n in numbers]
_MEMBERS = {
    "TB-50": frozenset(map(plain_name, _LISTS["TB-50"])),
    "CVPR13": frozenset(map(plain_name, _LISTS["CVPR13"])),
    "LaSOT-test": frozenset(map(plain_name, LASOT_TEST)),
}


def belongs(name: str, members: str) -> bool:
    """Whether a sequence is in a list; the empty name means that there is no list."""
    if not members:
        return True
    listed = _MEMBERS[members]
    return plain_name(name) in listed or plain_name(_target_of(name)) in listed


def not_among(names: Iterable[str], members: str) -> list[str]:
    """The members of a list, in plain form, that are not among `names`."""
    names = list(names)
    seen = set(map(plain_name, names)) | {plain_name(_target_of(name)) for name in names}
    return sorted(_MEMBERS[members] - seen) if members else []


def _target_of(name: str) -> str:
    return re.sub(r"[-_.]\d+$", "", name)


def member_count(members: str) -> int:
    """The number of members of a list."""
    return len(_MEMBERS[members])
