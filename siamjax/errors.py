"""Errors that the user can fix: commands print their message without a traceback.

Any exception that is neither a `SiamjaxError` nor an `OSError` is a bug, and keeps its
traceback.
"""


class SiamjaxError(Exception):
    """The base of all errors that siamjax raises deliberately.

    The message names the offending value, states the rule and suggests a fix.
    """


class InputError(SiamjaxError, ValueError):
    """An argument, an option or a file breaks a rule."""


class RefusedError(InputError):
    """A frame or box that cannot be tracked; an evaluation leaves its sequence out.

    Any other error in the middle of an evaluation stops it.
    """


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raises `InputError` for a number outside its bounds (inclusive), and for NaN."""
    if not low <= value <= high:
        raise InputError(f"`{name}` (={value}) must lie between {low} and {high}")
