"""The errors that a user can mend: commands print their message and nothing else.

Whatever is raised that is neither a `SiamjaxError` nor an `OSError` is a fault of siamjax, and
keeps its traceback.
"""


class SiamjaxError(Exception):
    """The base of every error that siamjax raises on purpose.

    Its message names the thing, shows its value, states the rule and offers the way out.
    """


class InputError(SiamjaxError, ValueError):
    """An argument, an option or a file breaks a rule."""


class RefusedError(InputError):
    """A frame or a box that nothing can be tracked in: an evaluation leaves its sequence out.

    Any other error in the middle of an evaluation stops it.
    """


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raises `InputError` for a number outside of its bounds, both included, and for NaN."""
    if not low <= value <= high:
        raise InputError(f"`{name}` (={value}) must lie between {low} and {high}")
