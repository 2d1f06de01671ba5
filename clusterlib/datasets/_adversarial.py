"""Small matrices on which careless arithmetic gives wrong answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.datasets._draws import checked_dtype, random_generator
from clusterlib.validation import checked_integer

if TYPE_CHECKING:
    from clusterlib.typing import DTypeLike, FloatArray, RandomState

__all__ = ["ADVERSARIAL_CASES", "make_adversarial"]


def make_adversarial(
    case: str,
    n_samples: int = 200,
    n_features: int = 8,
    *,
    dtype: DTypeLike = np.float32,
    random_state: RandomState = None,
) -> FloatArray:
    """Make data that break distances, centres or seeds when they are computed carelessly.

    Parameters
    ----------
    case : str
        One of ``ADVERSARIAL_CASES``:

        - "duplicates": every row occurs about four times, in shuffled order;
        - "few_distinct": three distinct rows, fewer than most numbers of clusters;
        - "all_equal": one row, repeated;
        - "far_point": one row is 1e4 away from all others;
        - "extreme_point": one row is 1e18 away from all others;
        - "offset": unit variance around a mean of 1e6, so that ``|x|^2 - 2 <x, y> + |y|^2``
          cancels;
        - "zero_rows": every fourth row is zero and has no direction;
        - "tiny": values around 1e-22, whose squares vanish in float32;
        - "subnormal": values below the smallest normal number of the dtype;
        - "huge": values whose squares overflow in the dtype;
        - "mixed_scales": columns from 1e-6 to 1e6;
        - "ties": integers from 0 to 2, so that most distances are tied;
        - "near_ties": three distinct rows, each value moved to a neighbouring number or not.
    n_samples : int, default=200
        Number of rows.
    n_features : int, default=8
        Number of columns.
    dtype : dtype, default=float32
        float32 or float64.
    random_state : None, int or RandomState, default=None
        The values.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        Finite, in the dtype asked for.

    Raises
    ------
    ValueError
        If there is no such case, a number is below 1 or dtype is another one.
    TypeError
        If a number is not an integer.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets import make_adversarial
    >>> X = make_adversarial("few_distinct", random_state=0)
    >>> np.unique(X, axis=0).shape
    (3, 8)
    """
    if not isinstance(case, str) or case not in _MAKERS:
        raise ValueError(f"case must be one of {', '.join(_MAKERS)}, got {case!r}")
    n_samples = checked_integer("n_samples", n_samples, 1)
    n_features = checked_integer("n_features", n_features, 1)
    dtype = checked_dtype(dtype)
    rng = random_generator(random_state)
    normal = rng.normal(size=(n_samples, n_features)).astype(dtype)
    return np.ascontiguousarray(_MAKERS[case](normal, rng), dtype=dtype)


def _repeat_rows(normal, rng, n_distinct):
    """Each of the first rows at least once while there is room, the others at random."""
    chosen = np.arange(len(normal)) % n_distinct
    return normal[rng.permutation(chosen)]


def _duplicates(normal, rng):
    return _repeat_rows(normal, rng, max(1, len(normal) // 4))


def _few_distinct(normal, rng):
    return _repeat_rows(normal, rng, min(3, len(normal)))


def _all_equal(normal, rng):
    return np.broadcast_to(normal[0], normal.shape)


def _far_point(normal, rng, distance=1e4):
    normal[rng.integers(len(normal))] = distance
    return normal


def _extreme_point(normal, rng):
    return _far_point(normal, rng, 1e18)


def _offset(normal, rng):
    return normal + normal.dtype.type(1e6)


def _zero_rows(normal, rng):
    normal[::4] = 0
    return normal


def _tiny(normal, rng):
    return normal * normal.dtype.type(1e-22)


def _subnormal(normal, rng):
    # Divided by the largest entry, every value lies below the smallest normal number.
    return normal / np.abs(normal).max() * (np.finfo(normal.dtype).tiny / 4)


def _huge(normal, rng):
    return normal * np.sqrt(np.finfo(normal.dtype).max) * 16


def _mixed_scales(normal, rng):
    return normal * np.logspace(-6, 6, normal.shape[1])


def _ties(normal, rng):
    return rng.integers(0, 3, size=normal.shape)


def _near_ties(normal, rng):
    rows = _few_distinct(normal, rng)
    directions = rng.choice([-np.inf, np.inf], size=rows.shape).astype(rows.dtype)
    return np.where(rng.random(rows.shape) < 0.5, rows, np.nextafter(rows, directions))


_MAKERS = {
    "duplicates": _duplicates,
    "few_distinct": _few_distinct,
    "all_equal": _all_equal,
    "far_point": _far_point,
    "extreme_point": _extreme_point,
    "offset": _offset,
    "zero_rows": _zero_rows,
    "tiny": _tiny,
    "subnormal": _subnormal,
    "huge": _huge,
    "mixed_scales": _mixed_scales,
    "ties": _ties,
    "near_ties": _near_ties,
}

ADVERSARIAL_CASES = tuple(_MAKERS)
"""Names of the cases, for parametrised tests."""
