"""Parameters of clusters whose sizes are bounded."""

from enum import Enum

import numpy as np

from clusterlib.blocks import as_blocks, map_blocks
from clusterlib.kernels.checks import largest_magnitude, sum_of_squares
from clusterlib.validation.data import checked_sample_weight
from clusterlib.validation.parameters import checked_integer

__all__ = [
    "CenterMetric",
    "SizeAssignment",
    "checked_equal_weight",
    "checked_range",
    "checked_sizes",
]

# Squares of smaller values are no normal numbers, and sums of them have lost their digits; of larger
# ones they leave no room for prices, which kernels take up to 2^900.
_LEAST_MAGNITUDE, _MOST_MAGNITUDE = 2.0**-500, 2.0**444


class SizeAssignment(Enum):
    """How rows are assigned to clusters whose sizes are bounded."""

    EXACT = "exact"
    SINKHORN = "sinkhorn"
    GREEDY = "greedy"
    STREAMED = "streamed"


class CenterMetric(Enum):
    """What a row pays at a centre."""

    SQEUCLIDEAN = "sqeuclidean"
    COSINE = "cosine"


def checked_sizes(size_min, size_max, n_clusters, n_samples, *, per_cluster=None):
    """Check the bounds of cluster sizes, and that so many rows can meet them.

    Parameters
    ----------
    size_min, size_max : None, int or array-like of int of shape (n_clusters,)
        Fewest and most rows of each cluster, at least 0. Both None stands for sizes as equal as
        possible, the floor and the ceiling of n_samples / n_clusters; one None sets no bound.
    n_clusters : int
        Number of clusters.
    n_samples : int
        Number of rows that have to be assigned.
    per_cluster : str, default=None
        Why there cannot be a bound for each cluster, as the end of a message; None if there can.

    Returns
    -------
    size_min, size_max : ndarray of shape (n_clusters,), int64
        Bounds within [0, n_samples].

    Raises
    ------
    ValueError
        For bounds that are negative, of another shape, or that no assignment can meet.
    TypeError
        For bounds that are no integers.

    Examples
    --------
    >>> from clusterlib.validation import checked_sizes
    >>> checked_sizes(None, None, 3, 11)
    (array([3, 3, 3]), array([4, 4, 4]))
    >>> checked_sizes(4, None, 3, 11)
    Traceback (most recent call last):
        ...
    ValueError: size_min=4 asks for 12 rows in n_clusters=3 clusters, but there are 11; allowed are \
sizes that add up to at most 11
    """
    equal = size_min is None and size_max is None
    low = _sizes("size_min", size_min, n_clusters, per_cluster)
    high = _sizes("size_max", size_max, n_clusters, per_cluster)
    if low is None:
        low = np.full(n_clusters, n_samples // n_clusters if equal else 0, dtype=np.int64)
    if high is None:
        high = np.full(n_clusters, -(-n_samples // n_clusters) if equal else n_samples)
    wrong = low > high
    if wrong.any():
        cluster = int(np.argmax(wrong))
        place = "" if np.ndim(size_min) == np.ndim(size_max) == 0 else f" (cluster {cluster})"
        raise ValueError(
            f"size_min must not be above size_max; got {low[cluster]} and {high[cluster]}{place}"
        )
    fewest, most = sum(low.tolist()), sum(high.tolist())
    clusters = f"n_clusters={n_clusters} clusters"
    if fewest > n_samples:
        raise ValueError(
            f"size_min={_shown(size_min)} asks for {fewest} rows in {clusters}, but there are "
            f"{n_samples}; allowed are sizes that add up to at most {n_samples}"
        )
    if most < n_samples:
        raise ValueError(
            f"size_max={_shown(size_max)} leaves room for {most} rows in {clusters}, but there are "
            f"{n_samples}; allowed are sizes that add up to at least {n_samples}"
        )
    return low, np.minimum(high, n_samples)


def _sizes(name, value, n_clusters, per_cluster):
    """(n_clusters,) integers, or None."""
    if value is None:
        return None
    try:
        sizes = np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"{name} must be an int or an array of ints; got {value!r}") from error
    if sizes.ndim == 0:
        size = checked_integer(name, value[()] if isinstance(value, np.ndarray) else value, 0)
        return np.full(n_clusters, min(size, np.iinfo(np.int64).max))
    if sizes.size > 0 and sizes.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an int or an array of ints; got dtype {sizes.dtype}")
    if per_cluster is not None:
        raise ValueError(f"{name} must be an int, not an array: {per_cluster}")
    if sizes.shape != (n_clusters,):
        raise ValueError(
            f"{name} must be an int or have shape (n_clusters,)=({n_clusters},); got {sizes.shape}"
        )
    if (sizes < 0).any():
        cluster = int(np.argmax(sizes < 0))
        raise ValueError(f"{name} must not be negative; got {sizes[cluster]} for cluster {cluster}")
    return np.minimum(sizes, np.iinfo(np.int64).max).astype(np.int64)


def _shown(sizes):
    return np.asarray(sizes).tolist() if np.size(sizes) <= 8 else "[...]"


def checked_range(X, *, tiny=False):
    """Check that squared distances of rows, and prices made of them, are numbers for the kernels.

    Parameters
    ----------
    X : ndarray or Blocks of shape (n_samples, n_features), float32 or float64
        Finite values. float64 ones of a carrier are read once.
    tiny : bool, default=False
        Whether values may be too small for their squares: beside centres that are not.

    Raises
    ------
    ValueError
        If the largest absolute value is neither 0 nor within the range.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_range
    >>> checked_range(np.array([[1e200]]))
    Traceback (most recent call last):
        ...
    ValueError: X must have its largest absolute value from 3.1e-151 to 4.5e+133, so that squared \
distances are in range, or be zero; got 1e+200. Scale X
    """
    if X.dtype == np.float32:
        return
    least = 0.0 if tiny else _LEAST_MAGNITUDE
    if isinstance(X, np.ndarray) and _squares_in_range(X, least):
        return
    largest = max(map_blocks(largest_magnitude, as_blocks(X)))
    if largest != 0.0 and not least <= largest <= _MOST_MAGNITUDE:
        raise ValueError(
            f"X must have its largest absolute value from {least:.2g} to "
            f"{_MOST_MAGNITUDE:.2g}, so that squared distances are in range, or be zero; got "
            f"{largest:.6g}. Scale X"
        )


def _squares_in_range(X, least):
    """Tell by one pass that the largest value is in range; False if that would take a closer look.

    The largest square is between the mean and the sum of all, which rounding does not double.
    """
    return 2 * X.size * least**2 <= sum_of_squares(X) <= _MOST_MAGNITUDE**2 / 2


def checked_equal_weight(sample_weight, n_samples):
    """Check weights of rows that are counted: equal ones, or 0 for rows that do not count.

    Parameters
    ----------
    sample_weight : None, float or array-like of shape (n_samples,)
        Finite and not negative, not all zero, and the same wherever it is not 0.
    n_samples : int
        Number of rows.

    Returns
    -------
    counts : None or ndarray of shape (n_samples,), bool
        Which rows count; None for all.
    weight : float
        The weight of each of them.

    Raises
    ------
    ValueError, TypeError
        As :func:`checked_sample_weight`, and for different weights.

    Examples
    --------
    >>> from clusterlib.validation import checked_equal_weight
    >>> checked_equal_weight([2, 0, 2], 3)
    (array([ True, False,  True]), 2.0)
    """
    weights = checked_sample_weight(sample_weight, n_samples)
    if weights is None:
        return None, 1.0
    weight = float(weights.max())
    wrong = (weights != 0) & (weights != weight)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"sample_weight must be equal for all rows, or 0 for rows to leave out; got {weight} "
            f"and {weights[row]} (row {row}). Sizes count rows: one that stands for several might "
            "have to be split between clusters; repeat it instead"
        )
    return (None if weights.all() else weights > 0), weight
