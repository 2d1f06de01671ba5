"""Numba backend of the kernels in ``kernels/assignment.py``: costs in float64, one thread for paths."""

import numpy as np

from clusterlib.kernels._numba import assignment_loops as loops
from clusterlib.kernels._numba.pairwise import pairwise_distances
from clusterlib.kernels._numba.reductions import argmin_rows
from clusterlib.kernels._numba.tiles import Tiles

__all__ = ["capacity_assignment", "capacity_assignment_points", "priced_argmin"]

_LARGEST_COST = 2.0**900
# Of the search for good prices, which decides how long it takes and nothing else.
_BORDER, _RIDGE, _LONGEST = 4, 1e-3, 5.0
_LENGTHS = (1.0, 0.4, 0.16, 0.064)
_PATIENCE, _PROGRESS, _DAMPING = 3, 0.95, 0.7
_FEW, _SOFT_ROWS, _SOFT_STEPS, _SOFTNESS = 20, 2048, 8, 0.25 * 0.5 ** np.arange(11)


def _checked(C):
    """C as C-ordered float64; refuses what is not finite or too large."""
    D = np.ascontiguousarray(C, dtype=np.float64)
    largest = max(-float(D.min(initial=0.0)), float(D.max(initial=0.0)))
    if not np.isfinite(largest):
        raise ValueError("C contains NaN or infinity; every value must be finite")
    if largest > _LARGEST_COST:
        raise ValueError(
            f"C must be at most 2^900 in absolute value, got {largest:g}; divide C by a constant"
        )
    return D


class _Prices:
    """Prices, where they send the rows, and how many of these are in wrong places."""

    def __init__(self, D, lowest, size_min, size_max, prices):
        n, k = D.shape
        self.problem, self.prices = (D, lowest, size_min, size_max), prices
        self.labels, self.others = np.empty(n, np.int64), np.empty(n, np.int64)
        self.best, self.second = np.empty(n), np.empty(n)
        loops.two_cheapest(D, lowest, prices, self.labels, self.others, self.best, self.second)
        self.load, self.aim = np.bincount(self.labels, minlength=k), np.empty(k, np.int64)
        self.wrong = loops.aims(self.load, size_min, size_max, prices, self.aim)

    def at(self, prices):
        """The same for other prices; one that would change its sign stops at 0."""
        crossed = np.sign(self.prices) * np.sign(prices) < 0
        return _Prices(*self.problem, np.where(crossed, 0.0, prices))

    def newton_step(self):
        """Solve for the prices that bring all sizes right, if rows are as dense as near the borders.

        The width of a border is such that it holds some multiple of the rows that have to move.
        """
        n, k = len(self.labels), len(self.prices)
        gap = self.second - self.best
        held = min(n // 2, max(_BORDER * self.wrong, 4 * k, 1))
        width = np.partition(gap, held - 1)[held - 1]
        if not width > 0.0:
            return np.zeros(k)
        near = gap <= width
        pairs = np.bincount(self.labels[near] * k + self.others[near], minlength=k * k)
        density = pairs.reshape(k, k) + pairs.reshape(k, k).T
        hessian = np.diag(density.sum(axis=1)) - density.astype(np.float64)
        moving = (self.prices != 0.0) | (self.load != self.aim)
        hessian = hessian[np.ix_(moving, moving)]
        hessian[np.diag_indices(len(hessian))] += _RIDGE * max(np.diag(hessian).mean(), 1.0)
        step = np.zeros(k)
        step[moving] = np.linalg.solve(hessian, (self.load - self.aim)[moving].astype(np.float64))
        return 2.0 * width * np.clip(step, -_LONGEST, _LONGEST)

    def sweep(self):
        """Move each price to the one that is best while the others stay, most of the way."""
        D, lowest, size_min, size_max = self.problem
        prices = self.prices.copy()
        loops.price_sweep(
            D, lowest, prices, self.labels, self.best, self.second, size_min, size_max, _DAMPING
        )
        return prices

    def soft_prices(self):
        """Prices that share out a part of the rows by exponentials of their costs, ever steeper."""
        D, lowest, size_min, size_max = self.problem
        part = slice(None, None, -(-len(D) // _SOFT_ROWS))
        costs = D[part] - lowest[part, None]
        prices, widest = np.zeros(D.shape[1]), costs.max()
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.log(len(costs) / len(D))
            low, high = np.log(size_min) + share, np.log(size_max) + share
            for epsilon in np.repeat(widest * _SOFTNESS, _SOFT_STEPS):
                weights = -(costs + prices) / epsilon
                weights = np.exp(weights - weights.max(axis=1, keepdims=True))
                load = np.log((weights / weights.sum(axis=1, keepdims=True)).sum(axis=0))
                fewer = np.maximum(prices + epsilon * (load - high), 0.0)
                prices = fewer + np.minimum(prices + epsilon * (load - low), 0.0)
        return prices


def _good_prices(start):
    """The better prices of two searches, the second one only where the first one is of no use.

    What is not finite, where sizes or costs are 0, is no start.
    """
    found = _search(start)
    if found.wrong > len(start.labels) // _FEW and np.isfinite(soft := start.soft_prices()).all():
        other = _search(_Prices(*start.problem, soft))
        found = min(found, other, key=lambda prices: prices.wrong)
    return found.prices


def _search(now):
    """Newton steps while fewer rows are in wrong places after them, else sweeps."""
    n_clusters, kept, idle = len(now.prices), now, 0
    while kept.wrong > n_clusters and idle < _PATIENCE:
        step, before = now.newton_step(), now.wrong
        for length in _LENGTHS:
            tried = now.at(now.prices + length * step)
            if tried.wrong < before:
                break
        now = tried if tried.wrong < before else now.at(now.sweep())
        idle = 0 if now.wrong < _PROGRESS * kept.wrong else idle + 1
        kept = min(kept, now, key=lambda prices: prices.wrong)
    return kept


def _solve(D, size_min, size_max, prices, labels, sums):
    n, k = D.shape
    lowest = D.min(axis=1)
    widest = float((D.max(axis=1) - lowest).max(initial=0.0))
    potential = np.zeros(k + 1)
    potential[:k] = np.clip(prices, -widest, widest)
    if k > 1 and n > k:
        potential[:k] = _good_prices(_Prices(D, lowest, size_min, size_max, potential[:k].copy()))
    load, aim = np.empty(k, np.int64), np.empty(k, np.int64)
    loops.choose(D, lowest, potential, size_min, size_max, labels, load)
    loops.aims(load, size_min, size_max, potential, aim)
    n_paths = loops.balanced(D, size_min, size_max, potential, labels, load, aim)
    # Rounding may have missed the sign that fits a size by little.
    prices[:] = potential[:k]
    prices[load < size_max] = np.minimum(prices[load < size_max], 0.0)
    prices[load > size_min] = np.maximum(prices[load > size_min], 0.0)
    room = np.where(prices > 0, size_max - load, size_min - load)
    sums[0] = D[np.arange(n), labels].sum()
    sums[1] = loops.slack(D, lowest, prices, labels) + (room * prices).sum()
    return n_paths


def capacity_assignment(C, size_min, size_max, prices, labels, sums, n_threads):
    """Assign by shortest paths from where good prices send the rows."""
    return _solve(_checked(C), size_min, size_max, prices, labels, sums)


def capacity_assignment_points(X, Y, metric, size_min, size_max, prices, labels, sums, n_threads):
    """The same for the distances of the defined evaluation."""
    D = np.empty((len(X), len(Y)))
    pairwise_distances(X, Y, metric, D, n_threads)
    return _solve(D, size_min, size_max, prices, labels, sums)


def priced_argmin(X, Y, metric, prices, labels, n_threads):
    """Write where distance plus price is least."""
    tiles = Tiles(X, Y, metric)

    def work(rows, values, x_norms):
        argmin_rows(tiles.distances(values, x_norms) + prices, labels[rows], np.empty(len(values)))

    tiles.for_each(work, n_threads)
