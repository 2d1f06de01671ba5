"""Search beyond the nearest minimum of balanced k-means: centres tried in other places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.solvers.assignment import costs_of_assignment
from clusterlib.solvers.balanced import balanced_lloyd
from clusterlib.solvers.geometry import Flat, Sphere

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.solvers.balanced import PricedPartition
    from clusterlib.typing import ArrayLike, IntArray

__all__ = ["swap_centers"]

# Enough for a better place to show: measured, 2 accept half as many, 10 take twice as long.
_TRIAL_ITERATIONS = 5


def swap_centers(
    X: ArrayLike,
    start: PricedPartition,
    size_min: int | IntArray,
    size_max: int | IntArray,
    n_swaps: int,
    rng: np.random.Generator,
    *,
    spherical: bool = False,
    max_iter: int = 300,
    tol: float = 0.0,
    exchange: bool = False,
    callback: Callable[..., Any] | None = None,
) -> PricedPartition:
    """Try centres in other places, one at a time, and keep what lowers the inertia.

    A centre goes to a row; some iterations of :func:`balanced_lloyd` show what that is worth. The
    row is drawn in proportion to its cost, the centre in proportion to how far its price is below
    the highest: a low price says that few rows would miss the cluster. What was kept is run to rest
    at the end.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    start : PricedPartition
        Where the search starts.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster.
    n_swaps : int
        How many places to try.
    rng : numpy.random.Generator
        Source of randomness.
    spherical : bool, default=False
        As in :func:`balanced_lloyd`.
    max_iter : int, default=300
        As in :func:`balanced_lloyd`, for the iterations at the end.
    tol : float, default=0.0
        As in :func:`balanced_lloyd`, for the iterations at the end.
    exchange : bool, default=False
        As in :func:`balanced_lloyd`, for the iterations at the end.
    callback : callable, default=None
        ``callback(centers, prices, history)`` after each try and each iteration at the end, with
        the best centres, their prices and the inertia since the start; True stops.

    Returns
    -------
    result : PricedPartition
        Its inertia is not above that of ``start``; every try counts as one iteration.

    Notes
    -----
    Each try takes up to 6 assignments and 5 moves of the centres.

    References
    ----------
    .. [1] P. Franti, "Efficiency of random swap clustering", Journal of Big Data 5(13), 2018.

    Examples
    --------
    Two centres share a group of four, one has two groups of two.

    >>> import numpy as np
    >>> from clusterlib.solvers import balanced_lloyd, swap_centers
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [50.0], [51.0], [90.0], [91.0]])
    >>> start = balanced_lloyd(X, np.array([[0.5], [2.5], [70.0]]), 2, 4)
    >>> start.inertia, swap_centers(X, start, 2, 4, 9, np.random.default_rng(0)).inertia
    (1602.0, 6.0)
    """
    best, history, stopped = start, list(start.history), False
    for _ in range(n_swaps):
        centers, prices = _swapped(X, best, rng, spherical)
        found = balanced_lloyd(
            X, centers, size_min, size_max, spherical=spherical, max_iter=_TRIAL_ITERATIONS,
            tol=tol, prices=prices,
        )  # fmt: skip
        best = found if found.inertia < best.inertia else best
        history.append(best.inertia)
        stopped = callback is not None and callback(best.centers, best.prices, history)
        if stopped:
            break
    if best is start or stopped:
        converged = start.converged and best is start
        return best._replace(n_iter=len(history), converged=converged, history=np.array(history))
    n_tried = len(history)

    def report(centers, prices, since):
        history[n_tried:] = [min(best.inertia, value) for value in since]
        return callback is not None and callback(centers, prices, history)

    end = balanced_lloyd(
        X, best.centers, size_min, size_max, spherical=spherical, max_iter=max_iter, tol=tol,
        prices=best.prices, exchange=exchange, callback=report,
    )  # fmt: skip
    # An assignment that is as good may cost more by a rounding.
    end = end if end.inertia <= best.inertia else best._replace(converged=end.converged)
    return end._replace(n_iter=len(history), history=np.array(history))


def _swapped(X, best, rng, spherical):
    """Centres of which one has gone to a row, and the prices of where they are."""
    room = best.prices.max() - best.prices
    leaving = _draw(rng, room if room.any() else np.ones(len(room)))
    costs = costs_of_assignment(X, best.centers, best.labels, spherical=spherical)
    row = _draw(rng, costs if 0 < costs.sum() < np.inf else np.ones(len(costs)))
    centers, prices = best.centers.copy(), best.prices.copy()
    point = np.ascontiguousarray(X[row : row + 1])
    if point.any() or not spherical:
        centers[leaving] = (Sphere if spherical else Flat).points(point)[0]
        prices[leaving] = prices[best.labels[row]]
    return centers, prices


def _draw(rng, weights):
    mass = np.cumsum(weights)
    return int(np.searchsorted(mass, rng.random() * mass[-1], side="right"))
