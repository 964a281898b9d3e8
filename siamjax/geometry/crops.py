"""Arithmetic of context crops: how large, where, and what a pixel of the crop maps to.

A target of size w x h is seen with context: the template covers a square of side
`context_side(w, h)` around it, and every other crop is a multiple of that. Works on
scalars, NumPy arrays and traced JAX arrays.
"""


def context_side(width, height, context_amount: float = 0.5):
    """Side of the square that the template shows, pixels of the frame: `[...]`.

    sqrt((w + p)(h + p)) with p = context_amount * (w + h), so a square target fills half of
    the template's side at the usual 0.5. (SiamFC, section 2.4)
    """
    context = context_amount * (width + height)
    return ((width + context) * (height + context)) ** 0.5


def window_origin(center, side, floor):
    """First pixel of a window of `side` whole pixels around `center`, one axis.

    `floor` rounds down (`math.floor`, `np.floor` or `jnp.floor`). Reference: PySOT's
    sub-window, floor(center - (side + 1) / 2 + 0.5); the window's last pixel is origin +
    side - 1.
    """
    return floor(center - (side + 1) / 2 + 0.5)
