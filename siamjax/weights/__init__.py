"""Other projects' weights into our trees, and ours back."""

from siamjax.errors import InputError


class WeightsError(InputError):
    """A weights file cannot be used; the message names it and says why."""
