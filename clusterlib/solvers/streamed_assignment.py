"""Exact assignment to clusters of bounded sizes for rows that are read block by block.

Selection by sampling, with k prices in the place of one quantile: prices of a sample tell nearly all
rows where they belong, those near a border are sampled again, and the last few are assigned exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, leaf_sum, tree_reduce
from clusterlib.kernels import capacity_assignment_points, cluster_sums, priced_argmin
from clusterlib.solvers.assignment import row_costs
from clusterlib.solvers.geometry import Flat, Sphere
from clusterlib.solvers.interior_prices import nearest_prices
from clusterlib.solvers.labelling import add_totals
from clusterlib.solvers.undecided_rows import Look, decided_labels, lifted, undecided_rows

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, Int32Array, IntArray, Rows

__all__ = ["StreamedAssignment", "assign_streamed"]

# Rows that are held and assigned at once: enough for each cluster that a sample tells its price.
_MOST_ROWS, _ROWS_PER_CLUSTER = 1 << 14, 128
# Parts of a sample whose prices tell how far those of the whole sample may be off: each of them
# errs by the root of their number, here almost three times, as much. Errors are not mirrored nor
# enlarged: where rows lie in groups far apart, prices jump from one end of a gap to the other.
_PARTS = 8
# Most of the undecided rows that stay undecided after a sample of them.
_MOST_LEFT = 0.75
# How often others are moved farther from the prices before all rows are undecided again.
_MOST_FAILED = 2
# How much larger samples may become where they do not cut the undecided rows.
_GROWTH = 8
# Ties are broken by 2^-30 of the largest cost, 2^23 times its rounding.
_TIE_BREAK, _LEAST_TIE_BREAK, _ROUNDING = 2.0**-30, 2.0**-900, 2.0**-48
# Of the cost, within which an assignment is as good as proven.
_GAP = 1e-12


class StreamedAssignment(NamedTuple):
    """What :func:`assign_streamed` returns.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        Cluster of each row, within the bounds.
    prices : ndarray of shape (n_clusters,), float64
        Prices that prove what ``dual_gap`` says.
    cost : float
        Sum of the costs of the rows at their centres.
    dual_gap : float
        No assignment within the bounds costs less than ``cost - dual_gap``.
    sums : ndarray of shape (n_clusters, n_features), float64
        Sums of the rows of each cluster, of their directions on the sphere.
    weights : ndarray of shape (n_clusters,), float64
        How many rows these are; on the sphere the sum of what they were multiplied with.
    errors : ndarray of shape (n_errors, n_clusters), float64, or None
        How uncertain prices were taken to be, a hint for centres nearby.
    n_passes : int
        How often the rows were read.
    """

    labels: Int32Array
    prices: Float64Array
    cost: float
    dual_gap: float
    sums: Float64Array
    weights: Float64Array
    errors: Float64Array | None
    n_passes: int


def assign_streamed(
    X: Rows,
    centers: Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    hint: StreamedAssignment | None = None,
    spherical: bool = False,
    most_rows: int | None = None,
    max_passes: int = 40,
) -> StreamedAssignment:
    """Assign rows to centres within bounds of the sizes, in a few passes over the rows.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster; bounds that n_samples rows can meet.
    hint : StreamedAssignment, default=None
        To centres nearby: its prices and their errors are where the search starts.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.
    most_rows : int, default=None
        How many rows are held and assigned at once; None is 16384, or 128 for each cluster if
        that is more. Up to eight times as many where samples of so many do not decide enough.
    max_passes : int, default=40
        Passes after which rows beyond the bounds go wherever there is room; ``dual_gap`` then
        tells what that may have lost. Sizes are within the bounds in any case.

    Returns
    -------
    result : StreamedAssignment
        An optimum: ``dual_gap`` is 0 but for rounding. Where more rows than ``most_rows`` are tied,
        it is up to ``2^-29 n_samples`` times the largest cost.

    Notes
    -----
    O(n k d) time for each pass: two of them if all rows are held at once or the hint is good, else
    ``2 + log(n / m) / log(sqrt(m / k) / 4)`` or so for m = ``most_rows``. Memory is that of m rows,
    O(k d) and 8 bytes for each row. Nothing depends on blocks or on the number of threads.

    References
    ----------
    .. [1] R. W. Floyd and R. L. Rivest, "Expected time bounds for selection", Communications of the
       ACM 18(3), 1975.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import assign_streamed
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> result = assign_streamed(X, np.array([[1.0], [9.0]]), 2, 2)
    >>> result.labels, result.cost, result.dual_gap
    (array([0, 0, 1, 1], dtype=int32), 50.0, 0.0)
    """
    sizes = (np.broadcast_to(size, len(centers)).astype(np.int64) for size in (size_min, size_max))
    if most_rows is None:
        most_rows = max(_MOST_ROWS, _ROWS_PER_CLUSTER * len(centers))
    return _Search(as_blocks(X), centers, *sizes, spherical, most_rows, hint).run(max_passes)


class _Search:
    """Prices, and others that they may have to be, from pass to pass."""

    def __init__(self, blocks, centers, size_min, size_max, spherical, most_rows, hint):
        self._blocks, self._centers, self._spherical = blocks, centers, spherical
        self._size_min, self._size_max, self._most_rows = size_min, size_max, most_rows
        self._prices, self._errors = np.zeros(len(centers)), None
        self._hinted = None if hint is None else hint.prices
        if hint is not None:
            self._prices, self._errors = hint.prices, hint.errors
        self._others = None if self._errors is None else self._prices + self._errors
        self._expected = blocks.n_samples if self._others is None else most_rows
        self._tie_break, self._rounding, self._is_stuck = 0.0, 0.0, False
        # A hint that fails is given up at once: samples of all rows cost no more passes.
        self._n_failed, self._n_passes = 0 if self._others is None else _MOST_FAILED, 0
        self._before, self._limit = np.inf, _GROWTH * most_rows

    def run(self, max_passes):
        """Search until an assignment is proven; the cheapest one if none is."""
        best = None
        while self._n_passes < max_passes and not self._is_stuck:
            look, part = self._read()
            bounds = self._remaining(part)
            if bounds is None:
                self._widen()
                continue
            if len(part.ids) < part.n_undecided:
                self._narrow(look, part, *bounds)
                continue
            prices, labels = self._assigned(part.rows, part.ids, *bounds)
            found = self._finished(look, part.ids, labels, prices)
            n = self._blocks.n_samples
            allowed = _GAP * found.cost + n * self._tie_break
            if found.dual_gap <= allowed or found.cost == 0 or part.n_undecided == n:
                return found
            if best is None or found.cost < best.cost:
                best = found
            # Rows that these prices send elsewhere are undecided from now on: the set grows.
            self._others = np.vstack([look.others, prices])
        return self._spilled() if best is None else best._replace(n_passes=self._n_passes)

    def _read(self):
        """The rows that the prices leave undecided, or a sample of them."""
        rate = min(1.0, 1.25 * self._most_rows / self._expected)
        look = Look(
            self._centers, self._prices, self._others, self._rounding, self._spherical,
            self._tie_break, self._n_passes, rate, self._most_rows,
        )  # fmt: skip
        self._n_passes += 1
        return look, undecided_rows(self._blocks, look)

    def _remaining(self, part):
        """Bounds for the undecided rows; None if they cannot meet any."""
        least, most = self._size_min - part.counts, self._size_max - part.counts
        needed = np.maximum(least, 0).sum()  # below 0 where more than size_min are decided
        fits = (most >= 0).all() and needed <= part.n_undecided <= most.sum()
        return (least, most) if fits else None

    def _widen(self):
        """Leave more rows undecided; all of them, if that was not enough."""
        self._n_failed += 1
        self._before = np.inf
        self._expected = self._blocks.n_samples
        is_more = self._others is not None and self._n_failed <= _MOST_FAILED
        self._others = 3 * self._others - 2 * self._prices if is_more else None

    def _narrow(self, look, part, least, most):
        """Prices of a sample, and others within their errors."""
        n, n_sampled = part.n_undecided, len(part.ids)
        self._expected = n
        if n <= self._most_rows or 2 * n_sampled < self._most_rows:
            return  # fewer than were expected: read again, more of them
        if n > _MOST_LEFT * self._before:
            self._most_rows = min(2 * self._most_rows, self._limit)
        self._before = n
        self._prices, _ = self._sampled(part, slice(None), least, most)
        parts = [slice(first, None, _PARTS) for first in range(_PARTS)]
        found = np.array([self._sampled(part, some, least, most)[0] for some in parts])
        errors = found - self._prices
        if look.others is not None:  # what was decided by the earlier prices may be wrong
            errors = np.vstack([errors, look.prices - self._prices])
        at_once = look._replace(prices=self._prices, others=None)
        *_, largest = decided_labels(part.rows, part.ids, at_once)
        self._rounding = _ROUNDING * largest
        at_once = at_once._replace(rounding=self._rounding)
        _, _, n_tied, _ = decided_labels(part.rows, part.ids, at_once)
        # Prices tie a row for each cluster, by themselves.
        if n_tied > 4 * len(self._prices) and n_tied * n > n_sampled * self._most_rows:
            self._break_ties(largest)
        else:
            self._cut(at_once, part, errors)

    def _cut(self, look, part, errors):
        """Prices within errors, or closer if else too many rows stayed undecided."""
        share, factor = 1.0, 2.0

        def left(factor):
            others = self._prices + factor * errors
            _, undecided, _, _ = decided_labels(part.rows, part.ids, look._replace(others=others))
            return float(np.mean(undecided))

        while share > _MOST_LEFT and factor > _ROUNDING:
            factor /= 2
            share = left(factor)
        self._others = self._prices + factor * errors
        self._expected = max(share * part.n_undecided, 1)
        self._n_failed = 0
        if self._errors is None:
            self._errors = factor * errors

    def _sampled(self, part, some, least, most):
        """Prices and labels of a part of the sample, with its share of what remains."""
        ids = part.ids[some]
        n, scale = part.n_undecided, len(ids)
        # More room for the sample than for all: no bound binds that would not bind them.
        bounds = least * scale // n, -(-most * scale // n)
        return self._assigned(part.rows[some], ids, *bounds)

    def _break_ties(self, largest):
        """Let a coordinate of its own tell rows apart that the clusters do not."""
        self._is_stuck = self._tie_break > 0  # those that are left are ties of rounding
        self._tie_break = _TIE_BREAK * largest or _LEAST_TIE_BREAK
        self._others, self._expected = None, self._blocks.n_samples
        self._before = np.inf

    def _assigned(self, rows, ids, least, most):
        """Prices and labels of some rows at the least cost."""
        if len(ids) == 0:
            return self._prices, np.zeros(0, dtype=np.int32)
        rows, centers = lifted(rows, self._centers, ids, self._spherical, self._tie_break)
        labels, prices, *_ = capacity_assignment_points(
            rows, centers, np.maximum(least, 0), most, prices=self._prices
        )
        sizes = np.bincount(labels, minlength=len(prices))
        wanted = self._prices, sizes < most, sizes > least
        return nearest_prices(rows, centers, labels, prices, *wanted), labels

    def _finished(self, look, ids, labels, prices):
        """Labels of all rows, what they cost, and what prices prove of that."""
        settled = None
        if len(ids):
            settled = np.full(self._blocks.n_samples, -1, dtype=np.int32)
            settled[ids] = labels
        errors = self._errors
        if self._hinted is not None and errors is not None:  # the next move is like this one
            move, reach = np.ptp(prices - self._hinted), np.ptp(errors, axis=1).max()
            errors = errors * np.clip(4 * move / max(reach, np.finfo(float).tiny), 0.25, 2.0)
        self._n_passes += 1
        return self._result(settled, look, prices, errors)

    def _result(self, settled, look, prices, errors):
        n = self._blocks.n_samples
        labels = np.empty(n, dtype=np.int32)

        def totals():
            start = 0
            for part, *total in self._blocks.map(_labelled, (range(n), settled), (look, prices)):
                labels[start : start + len(part)] = part
                start += len(part)
                yield total

        cost, slack, sums, weights = tree_reduce(add_totals, totals())
        sizes = np.bincount(labels, minlength=len(prices))
        room = np.where(prices > 0, self._size_max - sizes, sizes - self._size_min)
        gap = slack + float((np.abs(prices) * room).sum())
        return StreamedAssignment(labels, prices, cost, gap, sums, weights, errors, self._n_passes)

    def _spilled(self):
        """Rows beyond the bounds, the last ones of each cluster, go wherever there is room."""
        look = Look(
            self._centers, self._prices, None, 0.0, self._spherical, self._tie_break, 0, 0.0, 0
        )  # fmt: skip
        nearest = self._result(None, look, self._prices, None)
        labels, sizes = nearest.labels, np.bincount(nearest.labels, minlength=len(self._prices))
        wanted = _nearest_sizes(sizes, self._size_min, self._size_max, len(labels))
        leaving = np.zeros(0, dtype=np.int64)
        for cluster in np.flatnonzero(sizes > wanted).tolist():
            rows = np.flatnonzero(labels == cluster)
            leaving = np.append(leaving, rows[wanted[cluster] :])
        labels[leaving] = np.repeat(np.arange(len(wanted)), np.maximum(wanted - sizes, 0))
        self._n_passes += 2
        return self._result(labels, look, self._prices, None)


def _nearest_sizes(sizes, least, most, n):
    """Sizes within bounds that add up to n, made of given ones by as few moves as it takes."""
    wanted = np.clip(sizes, least, most)
    for limit in (least, most):
        # Give up what is too many down to the one bound, or take what lacks up to the other.
        surplus = int(wanted.sum()) - n
        room = wanted - limit
        takes = np.clip(np.abs(surplus) - (np.cumsum(np.abs(room)) - np.abs(room)), 0, np.abs(room))
        if surplus * int(room.sum()) > 0:
            wanted = wanted - np.sign(surplus) * takes
    return wanted


def _labelled(rows, numbers, settled, look, prices):
    """Labels of a block, what they cost, what of it is beyond the priced least, sums of clusters."""
    if settled is None or (settled < 0).any():
        ids = np.arange(numbers.start, numbers.start + len(rows))
        labels, *_ = decided_labels(rows, ids, look)
        labels = labels if settled is None else np.where(settled < 0, labels, settled)
    else:
        labels = settled
    geometry = Sphere if look.spherical else Flat
    centers = look.centers.astype(np.float64)
    costs = row_costs(rows, labels, centers, look.spherical)
    least = priced_argmin(rows, look.centers, prices, metric=geometry.metric)
    other = np.flatnonzero(least != labels)
    slack = np.zeros(len(rows))
    others = row_costs(rows[other], least[other], centers, look.spherical)
    beyond = costs[other] - others + (prices[labels[other]] - prices[least[other]])
    slack[other] = np.maximum(beyond, 0.0)
    weight = geometry.row_weight(rows, None)
    totals = cluster_sums(rows, labels, len(prices), sample_weight=weight)
    return labels, leaf_sum(costs), leaf_sum(slack), *totals
