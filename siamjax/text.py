"""Parsing of users' text files: lines of numbers, json and settings, by one set of rules.

A number is written in ASCII digits, with a point, or as `nan` or `inf`. Numbers in a line are
separated by commas (with optional blanks), or by semicolons, tabs and blanks. Ambiguous input
(decimal commas, empty cells) is refused.
"""

import codecs
import json
import math
import re
import stat
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siamjax.errors import InputError

_LARGEST = 1 << 33  # bytes: more than any annotation file, less than a machine's memory
_SHOWN = 60  # characters of a quoted value
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.A | re.I)
_PLAIN = re.compile(r"[\d.+-]+(,[\d.+-]+)*", re.A)  # nearly every line
_DECIMAL_COMMAS = re.compile(r"-?\d+,\d+(\s*,\s+-?\d+,\d+)+,?", re.A)  # 1,5, 2,5, ...
_LINES = re.compile(r"\r\n|\n|\r")
_LONG = re.compile(r"\d{19}|\d[eE]\+?\d{3}", re.A)
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_WHOLE = 2**63  # integers are stored in 64 bits


class TextError(InputError):
    """A text file cannot be parsed; the message names the file, the line and the rule."""


def quote(value: object) -> str:
    """A value as errors show it: quoted, on one line, shortened."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Raises `TextError` if it is missing, not a regular file, too large or not text.
    """
    path, content = Path(path), None
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
            content = path.read_bytes()
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise TextError(f"cannot read {str(path)!r}: {reason}") from error
    if content is None:
        raise TextError(
            f"cannot read {str(path)!r}: it is not a regular file, or larger than "
            f"{_LARGEST >> 30} GiB"
        )
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{str(path)!r} is not a text file: {error.reason} at byte {error.start}; "
            "save it as UTF-8"
        ) from None
    if "\0" in text:
        raise TextError(
            f"{str(path)!r} is not a text file: it holds zero bytes; save it as UTF-8"
        )
    return text


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without trailing blank ones; raises `TextError`."""
    text = read_text(path).rstrip()
    return _LINES.split(text) if text else []


def parse_number(word: str) -> float:
    """A number; `nan` and `inf` are allowed, 1e999 is not. Raises `TextError`."""
    match = _NUMBER.fullmatch(word)
    if not match:
        raise TextError(f"{quote(word)} is not a number")
    value = float(word)
    if match[1] and math.isinf(value):
        raise TextError(f"{quote(word)} is beyond the range of numbers")
    return value


def parse_numbers(line: str) -> list[float]:
    """The numbers of a line; none for a blank one. Raises `TextError`."""
    if _PLAIN.fullmatch(line):
        try:
            values = [float(word) for word in line.split(",")]
            if all(map(math.isfinite, values)):
                return values
        except ValueError:
            pass  # explained below
    return [parse_number(word) for word in split_cells(line)]


def split_cells(line: str) -> list[str]:
    """The cells of a line, as text; one trailing separator is ignored. Raises `TextError`."""
    line = line.strip()
    if "," not in line:
        return _split(line)
    if ";" in line:
        raise TextError(f"commas and semicolons in {quote(line)}: write decimal points")
    cells = _cells(line, ",")
    if any(len(cell.split()) > 1 for cell in cells):
        raise TextError(
            f"commas and blanks both separate numbers in {quote(line)}; use one of them"
        )
    if len(cells) >= 8 and _DECIMAL_COMMAS.fullmatch(line):
        raise TextError(f"{quote(line)} seems to have decimal commas: write decimal points")
    return cells


def _split(line: str) -> list[str]:
    for separator in ";\t":
        if separator in line:
            return [word for cell in _cells(line, separator) for word in _split(cell)]
    return line.split()


def _cells(line: str, separator: str) -> list[str]:
    cells = [cell.strip() for cell in line.split(separator)]
    if len(cells) > 1 and not cells[-1]:
        cells.pop()
    if not all(cells):
        raise TextError(
            f"an empty cell in {quote(line)}: write nan where there is not a number"
        )
    return cells


def read_rows(path: Path) -> Iterator[tuple[int, list[float]]]:
    """Line number, from 1, and numbers of each line that is not blank; raises `TextError`."""
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield number, in_line(path, number, parse_numbers, line)


def in_line(path: Path, number: int, parse, line: str | float):
    """`parse(line)`; its `TextError` names the file and the line."""
    try:
        return parse(line)
    except TextError as error:
        raise TextError(f"{str(path)!r} line {number}: {error}") from None


def read_boxes(path: Path) -> list[list[float]]:
    """Four numbers per line, one line per frame, as written; NaN where there is no box.

    Raises `TextError` for any other line and for an empty file.
    """
    return _read_frames(path, _refuse_no_box)


def read_regions(path: Path, *, masks: bool = False) -> list[list[float]]:
    """VOT's regions, one per line: a code, a box, or a polygon of four or more corners.

    With `masks`, a mask (a line that begins with m) gives its box. Raises `TextError` for any
    other line and for an empty file.
    """
    rows = _read_frames(path, refuse_no_region, masks)
    wide = [row for row in rows if len(row) >= 8]
    if len(wide) > 2 and _count_frames(wide):
        raise TextError(
            f"{str(path)!r} line 1: {_say_columns(wide[0])}, but the first column counts the "
            "frames: keep only x, y, w, h"
        )
    return rows


def _read_frames(path, refuse, masks=False) -> list[list[float]]:
    lines = read_lines(path)
    if not lines:
        raise TextError(f"{str(path)!r} is empty")

    def parse(line):
        if masks and line[:1] == "m":
            mask = parse_numbers(line[1:])
            if len(mask) < 4:
                raise TextError(f"{quote(line)} is not a mask: it does not begin with a box")
            return mask[:4]
        row = parse_numbers(line)
        refuse(row)
        return row

    return [in_line(path, number, parse, line) for number, line in enumerate(lines, 1)]


def _count_frames(rows) -> bool:
    """Whether rows begin with a frame number, from 0 or 1, so that they are not polygons.

    A target number follows it, or all rows end alike, as no moving polygon does.
    """
    start, target = rows[0][:2]
    if start not in (0, 1) or [row[0] - start for row in rows] != list(range(len(rows))):
        return False
    return all(row[1] == target for row in rows) or all(
        row[-2:] == rows[0][-2:] for row in rows
    )


def _refuse_no_box(row: list[float]) -> None:
    if len(row) != 4:
        raise TextError(f"{_say_columns(row)}; x, y, w, h are expected")


def refuse_no_region(row: list[float]) -> None:
    """Raises `TextError` unless the numbers are a code, a box or a polygon."""
    if len(row) not in (1, 4) and (len(row) < 8 or len(row) % 2):
        raise TextError(
            f"{_say_columns(row)}; a code (1), a box (4) or the corners of a polygon "
            "(8, 10, ...) are expected"
        )


def _say_columns(row) -> str:
    if not row:
        return "no values (write nan,nan,nan,nan for a frame without a box)"
    kind = ", a polygon, it seems" if len(row) == 8 else ""
    shown = quote(", ".join(f"{value:g}" for value in row))
    return f"{len(row)} values ({shown}){kind}"


def read_flags(path: Path) -> list[int]:
    """Integers, one per line or all on one line; raises `TextError`."""
    found = []
    for number, row in read_rows(path):
        found += [in_line(path, number, as_whole, value) for value in row]
    return found


def as_number(value: Any) -> float:
    """A number from json, or the text of one. Raises `TextError`."""
    if isinstance(value, str):
        return parse_number(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TextError(f"{quote(value)} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise TextError(f"{quote(value)} is beyond the range of numbers") from None


def as_whole(value: Any) -> int:
    """A 64-bit integer, also from 3.0 or "3". Raises `TextError`."""
    if type(value) is int and -_WHOLE <= value < _WHOLE:
        return value
    number = as_number(value)
    if not (float(number).is_integer() and abs(number) < _WHOLE):
        raise TextError(f"{quote(value)} is not a 64-bit integer")
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else int(number)


def read_json(path: Path) -> Any:
    """The content of a json file; raises `TextError`, see `parse_json`."""
    try:
        return parse_json(read_text(path))
    except TextError as error:
        named = str(path) in str(error)
        raise (
            error if named else TextError(f"{str(path)!r} is not valid json: {error}")
        ) from None


def read_object(path: Path, **kinds: type | types.UnionType) -> dict[str, Any]:
    """The object in a json file, with values of these types; raises `TextError`."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise TextError(f"{str(path)!r} must hold a json object; remove it if it is damaged")
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind):
            raise TextError(
                f"{str(path)!r} must hold {quote(key)} (={quote(content.get(key))}) of type "
                f"{getattr(kind, '__name__', 'number')}; remove the file if it is damaged"
            )
    return content


def parse_json(text: str) -> Any:
    """The content of json text. NaN and Infinity are numbers, as Python writes them.

    Also raises `TextError` for what other parsers accept: duplicate keys, numbers beyond 64
    bits, lone surrogates, excessive nesting.
    """
    is_long = _LONG.search(text)  # otherwise nothing is too large, and Python's parser is fast
    try:
        content = json.loads(
            text,
            parse_int=(lambda digits: as_whole(_integer(digits))) if is_long else None,
            parse_float=parse_number if is_long else None,
            object_pairs_hook=_unique,
        )
        if _HALF_PAIR.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise TextError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise TextError("it holds a lone surrogate") from None
    except json.JSONDecodeError as error:
        raise TextError(str(error)) from None
    return content


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise TextError(f"{quote(digits)} is beyond 64 bits")
    return int(digits)


def _unique(pairs) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise TextError(f"the key {quote(twice)} occurs twice in one object")
    return found


def read_settings(path: Path) -> dict[str, str]:
    """Lines of `key = value` or `key: value`, as in ini files, in any section.

    Blank lines, comments (# or ;) and section headings are skipped. Raises `TextError` for any
    other line, and for a key with two different values.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, read_lines(path)), 1):
        if not line or line[0] in "#;" or (line[0] == "[" and line[-1] == "]"):
            continue
        match = re.fullmatch(r"([^:=]+?)\s*[:=]\s*(.*)", line)
        if not match:
            raise TextError(
                f"{str(path)!r} line {number} is neither `key = value` nor `key: value`: "
                f"{quote(line)}"
            )
        key, value = match.groups()
        if found.setdefault(key, value) != value:
            raise TextError(f"{str(path)!r} line {number}: {quote(key)} has two values")
    return found
