"""Prices that tell the clusters of every row apart, where the optimum leaves them that freedom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce
from clusterlib.kernels import pairwise_distances

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, IntArray, Rows

__all__ = ["interior_prices", "nearest_prices"]

# Sweeps once no more prices get free, which widen the narrowest intervals.
_LAST_SWEEPS = 32
_STEP_VALUES = 1 << 20


def interior_prices(
    X: Rows,
    centers: Array,
    labels: IntArray,
    prices: Float64Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    spherical: bool = False,
) -> Float64Array:
    """Move the prices of an optimal assignment off the ends of the intervals that they may take.

    An assignment that takes paths to the optimum ends with prices at which some rows are tied:
    staying and leaving cost them the same to the last bit, and the smallest rounding decides for
    whoever predicts by these prices. Prices p are optimal if ``p_a - p_b <= W_ab`` for all pairs,
    W_ab being the least that a row of a pays more in b. Each price may move between the ends that
    the others leave it, and all may go half the way to their middles at once: none meets another.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres that the assignment belongs to.
    labels : ndarray of shape (n_samples,), int
        The assignment.
    prices : ndarray of shape (n_clusters,), float64
        Prices that prove it.
    size_min, size_max : int or ndarray of shape (n_clusters,), int
        Bounds of the sizes.
    spherical : bool, default=False
        Costs are 1 - cosine; else squared distances.

    Returns
    -------
    prices : ndarray of shape (n_clusters,), float64
        As good a proof, with the cost plus price of each row lowest in its own cluster alone,
        unless another assignment is as cheap.

    Notes
    -----
    O(n k d) time for the costs and O(k^2) for each of some dozens of sweeps; O(k^2) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import interior_prices
    >>> X, centers = np.array([[0.0], [1.0], [2.0], [9.0]]), np.array([[1.0], [9.0]])
    >>> labels = np.array([0, 0, 1, 1])
    >>> prices = interior_prices(X, centers, labels, np.array([48.0, 0.0]), 2, 2)
    >>> costs = np.square(X - centers.T) + prices
    >>> costs.argmin(axis=1), bool((np.ptp(costs, axis=1) > 1).all())
    (array([0, 0, 1, 1]), True)
    """
    prices = np.asarray(prices, dtype=np.float64)
    sizes = np.bincount(labels, minlength=len(prices))
    slacks, largest = _slacks(X, centers, labels, prices, spherical)
    slacks = _with_bounds(slacks, prices, sizes < size_max, sizes > size_min)
    moves = _middles(slacks, 16 * np.finfo(np.float64).eps * largest)
    moved = prices + (moves[:-1] - moves[-1])
    moved = np.where(sizes < size_max, np.minimum(moved, 0.0), moved)
    return np.where(sizes > size_min, np.maximum(moved, 0.0), moved)


def nearest_prices(X, centers, labels, prices, wanted, has_room, can_lose):
    """Move the prices of an optimal assignment as close to others as it lets them.

    Prices of clusters that no row is about to enter or to leave are free in a wide interval. Of all
    prices that prove the assignment and are nowhere above the wanted ones, these are the highest.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows; they pay squared distances.
    centers : ndarray of shape (n_clusters, n_features)
        The centres that the assignment belongs to.
    labels : ndarray of shape (n_samples,), int
        The assignment.
    prices : ndarray of shape (n_clusters,), float64
        Prices that prove it.
    wanted : ndarray of shape (n_clusters,), float64
        Where prices should be.
    has_room, can_lose : ndarray of shape (n_clusters,), bool
        Whether a cluster may get a row more, and may not charge; or a row less, and may not pay.

    Returns
    -------
    prices : ndarray of shape (n_clusters,), float64
        As good a proof: ``wanted``, if that is one, up to what is added to all of them.

    Notes
    -----
    O(n k d) time for the costs and O(k^2) for each of at most k sweeps, those of Bellman and Ford;
    O(k^2) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.interior_prices import nearest_prices
    >>> X, centers = np.array([[0.0], [1.0], [9.0]]), np.array([[1.0], [9.0]])
    >>> none = np.zeros(2, dtype=bool)
    >>> nearest_prices(X, centers, np.array([0, 0, 1]), np.zeros(2), np.array([70, 0.0]), none, none)
    array([63.,  0.])
    """
    slacks, _ = _slacks(X, centers, labels, prices, False)
    slacks = _with_bounds(slacks, prices, has_room, can_lose, is_bounded=False)
    rises, before = np.append(wanted - prices, 0.0), None
    while before is None or (rises < before).any():
        before = rises
        rises = np.minimum(rises, (rises + slacks).min(axis=1))
    moved = prices + (rises[:-1] - rises[-1])
    moved = np.where(has_room, np.minimum(moved, 0.0), moved)
    return np.where(can_lose, np.maximum(moved, 0.0), moved)


def _slacks(X, centers, labels, prices, spherical):
    """W_ab + p_b - p_a for every pair, and the largest number it was made of."""
    k = len(prices)
    metric = "cosine" if spherical else "sqeuclidean"
    broadcast = np.asarray(centers, dtype=np.float64), prices, metric
    slacks, largest = map_reduce(
        _least_surplus, _smaller, as_blocks(X), np.asarray(labels), broadcast=broadcast
    )
    slacks[np.arange(k), np.arange(k)] = np.inf
    return np.maximum(slacks, 0.0, out=slacks), largest


def _least_surplus(rows, labels, centers, prices, metric):
    k = len(prices)
    surplus, largest = np.full((k, k), np.inf), 0.0
    step = max(1, _STEP_VALUES // k)
    for start in range(0, len(rows), step):
        part, own = rows[start : start + step], labels[start : start + step]
        costs = pairwise_distances(part.astype(np.float64), centers, metric=metric) + prices
        largest = max(largest, float(np.abs(costs).max()))
        costs -= np.take_along_axis(costs, own[:, None], axis=1)
        order = np.argsort(own, kind="stable")
        present, first = np.unique(own[order], return_index=True)
        least = np.minimum.reduceat(costs[order], first, axis=0)
        surplus[present] = np.minimum(surplus[present], least)
    return surplus, largest


def _smaller(left, right):
    return np.minimum(left[0], right[0]), max(left[1], right[1])


def _with_bounds(slacks, prices, has_room, can_lose, *, is_bounded=True):
    """Add one more price, which stays 0: nobody with room may charge, nobody in need may pay."""
    k = len(prices)
    extended = np.full((k + 1, k + 1), np.inf)
    extended[:k, :k] = slacks
    extended[:k, k][has_room] = np.maximum(-prices[has_room], 0.0)
    extended[k, :k][can_lose] = np.maximum(prices[can_lose], 0.0)
    if is_bounded:
        is_free = ~np.isfinite(extended)
        extended[is_free] = extended[~is_free].max(initial=0.0)  # some end, so that a middle exists
    return extended


def _middles(slacks, rounding):
    """Moves q that keep ``slacks_ab + q_b - q_a`` from 0, wherever they can."""
    moves, n_tight, remaining = np.zeros(len(slacks)), np.inf, _LAST_SWEEPS
    while remaining:
        left = slacks + moves - moves[:, None]
        now = np.count_nonzero(left <= rounding)
        remaining -= now >= n_tight
        n_tight = now
        moves += (left.min(axis=1) - left.min(axis=0)) / 4
    return moves
