"""The error of this room."""

from siamjax.errors import InputError


class WeightsError(InputError):
    """A weights file cannot be used; the message names it and says why."""
