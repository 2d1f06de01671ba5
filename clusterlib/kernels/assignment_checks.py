"""Argument checks of the assignment kernels; what they share with others is in ``checks``."""

import numpy as np

from clusterlib.kernels.checks import (
    as_metric,
    as_numeric,
    as_vector,
    checked_integer,
    largest_magnitude,
)
from clusterlib.kernels.metrics import Metric

__all__ = [
    "LARGEST_COST",
    "as_costs_metric",
    "as_hint",
    "as_prices",
    "checked_bounds",
    "points_in_range",
    "scaled",
]

LARGEST_COST = 2.0**900
# Distances are screened in the dtype of the points: their squares have to stay far from its limits.
_POINTS = {np.dtype(np.float32): 2.0**50, np.dtype(np.float64): 2.0**450}
# By which power of the unit of length a cost grows.
_DEGREES = {
    Metric.SQEUCLIDEAN: 2,
    Metric.EUCLIDEAN: 1,
    Metric.COSINE: 0,
    Metric.INNER_PRODUCT: 2,
}


def as_costs_metric(metric):
    """Return a member of Metric; functions are not taken, for their scale is unknown."""
    if callable(metric) and not isinstance(metric, (str, Metric)):
        raise TypeError(
            f"metric must be a name or a Metric, got the function "
            f"{getattr(metric, '__name__', metric)!r}; capacity_assignment takes its values"
        )
    return as_metric(metric, None)[0]


def _as_sizes(name, value, default, n_clusters):
    """Return (k,) integers of any width; None means ``default`` for all."""
    if value is None:
        return np.full(n_clusters, default, dtype=np.int64)
    if np.ndim(value) == 0 and not isinstance(value, np.ndarray):
        return np.full(n_clusters, min(checked_integer(name, value, 0, np.inf), 2**62))
    sizes = as_numeric(name, value)
    if sizes.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {sizes.dtype}")
    if sizes.ndim and sizes.shape != (n_clusters,):
        raise ValueError(
            f"{name} must be an integer or have shape ({n_clusters},), got {sizes.shape}"
        )
    if (sizes < 0).any():
        position = int(np.argmax(sizes < 0))
        raise ValueError(
            f"{name} must be at least 0, got {sizes.flat[position]} at index {position}"
        )
    return np.broadcast_to(
        np.minimum(sizes.astype(np.uint64), 2**62).astype(np.int64), (n_clusters,)
    )


def checked_bounds(size_min, size_max, n_rows, n_clusters):
    """Return ``(size_min, size_max)`` as int64 (k,) that some assignment of all rows meets."""
    lower = _as_sizes("size_min", size_min, 0, n_clusters)
    upper = _as_sizes("size_max", size_max, n_rows, n_clusters)
    if (lower > upper).any():
        position = int(np.argmax(lower > upper))
        raise ValueError(
            f"size_min must not exceed size_max, got {lower[position]} and {upper[position]} for "
            f"cluster {position}"
        )
    # Python integers, because a sum of large ones would wrap around.
    needed, room = sum(lower.tolist()), sum(upper.tolist())
    if needed > n_rows:
        raise ValueError(f"size_min must not need more than the {n_rows} rows, but needs {needed}")
    if room < n_rows:
        raise ValueError(f"size_max must leave room for all {n_rows} rows, got room for {room}")
    # One more than there are rows says as much as any larger number: no price is above 0 there.
    return np.array(lower), np.minimum(upper, n_rows + 1)


def as_prices(prices, n_clusters):
    """Return prices that are added to costs: at most as large as these may be."""
    prices = as_vector("prices", prices, n_clusters)
    large = np.abs(prices) > LARGEST_COST
    if large.any():
        position = int(np.argmax(large))
        raise ValueError(
            f"prices must be at most 2^900 in absolute value, got {prices[position]} at index "
            f"{position}"
        )
    return prices


def as_hint(prices, n_clusters):
    """Return a copy of the prices to start from, 0 for None."""
    if prices is None:
        return np.zeros(n_clusters)
    return np.clip(as_vector("prices", prices, n_clusters), -LARGEST_COST, LARGEST_COST)


def _finite_magnitude(name, A):
    largest = largest_magnitude(A)
    if not np.isfinite(largest):
        raise ValueError(f"{name} contains NaN or infinity; every value must be finite")
    return largest


def points_in_range(X, Y, metric):
    """Return ``(X, Y, e)`` whose costs, 2^-e times those that are meant, are far from the limits."""
    largest = max(_finite_magnitude("X", X), _finite_magnitude("Y", Y))
    limit = _POINTS[X.dtype]
    if largest == 0.0 or 1 / limit <= largest <= limit:
        return X, Y, 0
    exponent = int(np.frexp(largest)[1])
    return np.ldexp(X, -exponent), np.ldexp(Y, -exponent), exponent * _DEGREES[metric]


def scaled(values, exponent):
    """Return values times 2^exponent; what leaves float64 becomes infinite or 0."""
    with np.errstate(over="ignore"):
        return np.ldexp(values, exponent) if exponent else values
