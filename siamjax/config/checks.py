"""What checks a configuration: ranges in annotations, rules between fields, and their error."""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from siamjax.errors import InputError

_LARGEST = 2**63 - 1
# An int is accepted where a float is expected; nothing else is converted.
_SCALARS = {str: str, bool: bool, int: int, float: (int, float)}


class ConfigError(InputError):
    """A configuration breaks a rule; the message names the field, its value and the rule."""


def did_you_mean(word: str, known: typing.Iterable[str]) -> str:
    """The end of an error about `word`: the closest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def require(holds: bool, message: str) -> None:
    """Raises `ConfigError` with `message` unless the rule `holds`."""
    if not holds:
        raise ConfigError(message)


class Range(NamedTuple):
    """What a number must fulfil, and how an error says it. Stands in a field's annotation."""

    holds: Callable[[float], bool]
    rule: str


def between(low: float, high: float) -> Range:
    """The numbers from `low` to `high`, both of them included."""
    return Range(lambda value: low <= value <= high, f"must lie in [{low}, {high}]")


POSITIVE = Range(lambda value: value > 0, "must be positive")
NOT_NEGATIVE = Range(lambda value: value >= 0, "must not be negative")
Share = Annotated[float, between(0, 1)]
Positive = Annotated[float, POSITIVE]
NotNegative = Annotated[float, NOT_NEGATIVE]
Count = Annotated[int, Range(lambda value: value >= 1, "must be at least 1")]
Natural = Annotated[int, NOT_NEGATIVE]
SearchSize = Annotated[int, between(1, 4095)]  # no machine computes a larger search image
Seed = Annotated[int, between(0, 2**32 - 1)]  # JAX's generators truncate larger seeds


def _check_kind(where: str, value: typing.Any, kind: typing.Any) -> None:
    """Raises `ConfigError` for a value of the wrong type or a number that is not finite."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is not None or type(None) not in inner:
            _check_kind(where, value, next(each for each in inner if each is not type(None)))
    elif origin is tuple:
        require(isinstance(value, tuple), f"{where} must be a tuple")
        for each in value:
            _check_kind(where, each, inner[0])
    elif origin is Literal:
        hint = did_you_mean(str(value), inner)
        require(value in inner, f"{where} must be one of {list(inner)}{hint}")
    elif kind in _SCALARS:
        fits = isinstance(value, _SCALARS[kind])
        fits = fits and (kind is bool or not isinstance(value, bool))
        require(fits, f"{where} must be of type {kind.__name__}")
        if kind in (int, float):
            require(-_LARGEST <= value <= _LARGEST, f"{where} must be a finite number")
    elif isinstance(kind, type):
        require(isinstance(value, kind), f"{where} must be of type {kind.__name__}")


@functools.cache
def _annotations(kind: type[typing.Any]) -> dict[str, tuple[typing.Any, Range | None]]:
    """The type and the range of each field."""
    found = {}
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        is_ranged = typing.get_origin(hint) is Annotated
        found[field.name] = typing.get_args(hint)[:2] if is_ranged else (hint, None)
    return found


@dataclasses.dataclass(frozen=True)
class Checked:
    """Checks the type and the range of every field, then the rules of the class."""

    _place: ClassVar[str] = ""  # what an error puts in front of a field's name

    def __init_subclass__(cls, place: str = ""):
        cls._place = place

    def __post_init__(self):
        for name, (kind, limits) in _annotations(type(self)).items():
            value = getattr(self, name)
            where = f"`{type(self).__name__}.{name}` (={value!r})"
            _check_kind(where, value, kind)
            require(
                limits is None or value is None or limits.holds(value),
                f"`{self._place}{name}` (={value}) {limits and limits.rule}",
            )
        self._check()

    def _check(self):
        """Rules between fields; raises `ConfigError`."""

    @classmethod
    def unchecked(cls, **values: typing.Any) -> Self:
        """One whose values have not been checked, until `check_all` is called."""
        made = object.__new__(cls)
        for field in dataclasses.fields(made):
            object.__setattr__(made, field.name, values.get(field.name, field.default))
        return made

    def check_all(self) -> None:
        """Checks this and the parts in it, down to those made by `unchecked`."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Checked):
                    part.check_all()
        self.__post_init__()
