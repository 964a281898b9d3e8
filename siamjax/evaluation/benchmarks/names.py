"""Matching of sequence and benchmark names, which are spelled in many ways."""

import re
from collections.abc import Callable, Iterable

from siamjax.files import file_name, original_name

_SEPARATORS = r"[\s._-]"


def plain_name(name: str) -> str:
    """A name without case, hyphens, dots, underscores and spaces: how names are compared."""
    return re.sub(_SEPARATORS, "", name.casefold())


def _one_separator(name: str) -> str:
    return re.sub(_SEPARATORS, "-", name.casefold())


# From the strictest comparison to the loosest: UAV123's car1_1 and car11 are two sequences.
_FORMS: tuple[Callable[[str], str], ...] = (str, str.casefold, _one_separator, plain_name)


def match_names(wanted: Iterable[str], found: Iterable[str]) -> dict[str, str]:
    """Maps each `wanted` name to the one among `found` that it means.

    Names match exactly, or ignoring case, or with any separators, or without separators: in
    this order, and only if the match is unique on both sides. Names without a match are left
    out.
    """
    wanted, found = list(dict.fromkeys(wanted)), list(dict.fromkeys(found))
    matched: dict[str, str] = {}
    for form in _FORMS:
        here = _grouped(form, found)
        for key, names in _grouped(form, wanted).items():
            if len(names) == len(here.get(key, ())) == 1:
                matched[names[0]] = here[key][0]
        taken = set(matched.values())
        wanted = [name for name in wanted if name not in matched]
        found = [name for name in found if name not in taken]
    return matched


def match_files(wanted: Iterable[str], found: Iterable[str]) -> dict[str, str]:
    """As `match_names`, for file names as made by `files.file_name`."""
    wanted, found = list(dict.fromkeys(wanted)), set(found)
    own = {name: file_name(name) for name in wanted if file_name(name) in found}
    others = {original_name(each): each for each in sorted(found - set(own.values()))}
    matched = match_names([name for name in wanted if name not in own], others)
    own |= {name: others[original] for name, original in matched.items()}
    return {name: own[name] for name in wanted if name in own}


def _grouped(form: Callable[[str], str], names: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(form(name), []).append(name)
    return groups
