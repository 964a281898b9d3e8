"""The error of this room."""


class WeightsError(ValueError):
    """A weights file cannot be used; the message names it and says why."""
