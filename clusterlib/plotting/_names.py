"""Names of classes along an axis: shortened, turned and thinned out so that they can be read."""

import numpy as np

__all__ = ["named_ticks", "short_names"]

_MOST_LETTERS = 18
_FONT_SIZE, _LEAST_FONT_SIZE = 9.0, 5.5
# Width of a letter and height of a line, in sizes of the font.
_LETTER, _LINE = 0.62, 1.15


def short_names(names):
    """Return names as text with at most 18 letters; of a longer one the middle is left out.

    Parameters
    ----------
    names : sequence
        Whatever the classes are called.

    Returns
    -------
    texts : list of str
        One for each name.
    """
    texts = [str(name) for name in names]
    half = _MOST_LETTERS // 2
    return [
        text if len(text) <= _MOST_LETTERS else f"{text[:half]}…{text[1 - half :]}"
        for text in texts
    ]


def named_ticks(axis, names, inches):
    """Put names at 0, 1, 2, ... of an axis.

    The font shrinks until they do not overlap; of too many only every second, third, ... is named.

    Parameters
    ----------
    axis : matplotlib Axis
        ``ax.xaxis``, where names that do not fit side by side stand upright, or ``ax.yaxis``.
    names : sequence
        Shown by :func:`short_names`.
    inches : float
        Length of the axis.
    """
    texts = short_names(names)
    room = 72 * inches / len(texts)  # points for each
    longest = max(len(text) for text in texts)
    is_upright = axis.axis_name == "x" and room < (longest + 1) * _LETTER * _FONT_SIZE
    is_flat = axis.axis_name == "x" and not is_upright
    size = _FONT_SIZE if is_flat else float(np.clip(room / _LINE, _LEAST_FONT_SIZE, _FONT_SIZE))
    step = 1 if is_flat else max(1, int(np.ceil(_LEAST_FONT_SIZE * _LINE / room - 0.05)))
    axis.set_ticks(np.arange(0, len(texts), step), texts[::step])
    axis.set_tick_params(labelsize=size, rotation=90 if is_upright else 0)
