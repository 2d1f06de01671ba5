"""Exchanges of rows between clusters, which lower what no iteration of k-means can lower.

Lloyd's iteration compares rows with centres that stand still. A row that changes its cluster moves
two centres, and where clusters are small that is worth more than the change itself costs. Sizes
that are full are kept by letting two rows change places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import pairwise_distances
from clusterlib.solvers.assignment import costs_of_assignment
from clusterlib.solvers.cluster_worth import ClusterWorth
from clusterlib.solvers.geometry import Flat, Sphere

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Float64Array, Int32Array, IntArray

__all__ = ["exchange_rows"]

_CHUNK_VALUES = 1 << 18
_PAIRS_AT_ONCE = 1 << 12
# More would find little more and take longer: measured on clusters of 10 to 100 rows.
_N_ALTERNATIVES, _LONGEST_LIST, _N_PASSES = 4, 32, 3


class _Near(NamedTuple):
    """Rows near a border, each beside a cluster it might go to.

    ``slack`` is what the row would pay to go there if the centres stood still, prices included;
    ``here`` and ``there`` are the square roots of its costs in both clusters.
    """

    row: np.ndarray
    own: np.ndarray
    other: np.ndarray
    slack: np.ndarray
    here: np.ndarray
    there: np.ndarray

    def at(self, index):
        """Some of them, by a mask or by indices."""
        return _Near(*(part[index] for part in self))


class _Changes(NamedTuple):
    """Rows that would gain by going to another cluster; partner -1 means that none comes back."""

    row: np.ndarray
    own: np.ndarray
    other: np.ndarray
    partner: np.ndarray
    gain: np.ndarray


def exchange_rows(
    X: ArrayLike,
    labels: Int32Array,
    centers: Array,
    prices: Float64Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    spherical: bool = False,
) -> Int32Array:
    """Let rows change places, two by two or alone where sizes allow it, while that gains.

    Every change is made on its exact gain, the moves of both centres included: for rows i of
    cluster A and j of B, with squared distances d to the means,

    ``|x_i - x_j|^2 (1 / n_A + 1 / n_B) - (d_iB - d_iA) - (d_jA - d_jB)``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    labels : ndarray of shape (n_samples,), int32
        Cluster of each row, within the bounds.
    centers : ndarray of shape (n_clusters, n_features)
        Means of the clusters; they decide which rows are looked at.
    prices : ndarray of shape (n_clusters,), float64
        Prices of an optimal assignment; so do they.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster.
    spherical : bool, default=False
        Directions and cosines instead of places and squared distances.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        The new labels; the same array if nothing was gained.

    Notes
    -----
    O(n k d) time for the costs that show which rows are near a border, and O(d) for each pair of
    them that is looked at: at most 4 clusters for each row, 32 rows on each side of each border.
    O(n + k d) memory besides chunks. Gains come from sums in float64, and one that rounding might
    have made is not taken, so that the inertia falls with every change.

    References
    ----------
    .. [1] J. A. Hartigan, "Clustering Algorithms", Wiley 1975, chapter 4.
    .. [2] M. Telgarsky and A. Vattani, "Hartigan's method: k-means clustering without Voronoi",
       AISTATS 2010.

    Examples
    --------
    The left and the right half of a high rectangle are at rest, every row is at its nearest centre.
    The upper and the lower half are better.

    >>> import numpy as np
    >>> from clusterlib.solvers import exchange_rows
    >>> X = np.array([[-1.0, 2.0], [-1.0, -2.0], [1.0, 2.0], [1.0, -2.0]])
    >>> labels, centers = np.array([0, 0, 1, 1], dtype=np.int32), np.array([[-1.0, 0.0], [1.0, 0.0]])
    >>> exchange_rows(X, labels, centers, np.zeros(2), 2, 2)
    array([1, 0, 1, 0], dtype=int32)
    """
    if len(centers) == 1:
        return labels
    sizes = np.broadcast_to(size_min, len(centers)), np.broadcast_to(size_max, len(centers))
    worth = ClusterWorth(X, labels, len(centers), *sizes, spherical=spherical)
    near = _near_borders(worth, centers, prices)
    n_changes = 0
    for _ in range(_N_PASSES):
        changes = [_exchanges(worth, near), _moves(worth, near)]
        changes = _Changes(*map(np.concatenate, zip(*changes, strict=True)))
        n_made = _make(worth, changes)
        n_changes += n_made
        if n_made == 0:
            break
        near = near.at(worth.labels[near.row] == near.own)
    return worth.labels if n_changes else labels


def _near_borders(worth, centers, prices):
    """Find the rows whose change might gain, and the clusters they might go to."""
    own_costs = costs_of_assignment(worth.blocks, centers, worth.labels, spherical=worth.spherical)
    farthest = np.zeros(len(centers))
    np.maximum.at(farthest, worth.labels, own_costs)
    scale = worth.curvature(), np.sqrt(farthest)
    step, found = max(1, _CHUNK_VALUES // len(centers)), []
    for block in worth.blocks:
        for start in range(0, block.stop - block.start, step):
            part = block.array[start : start + step]
            first = block.start + start
            labels = worth.labels[first : first + len(part)]
            near = _near_in_chunk(part, labels, centers, prices, scale, worth.spherical)
            found.append(near._replace(row=near.row + first))
    near = _Near(*map(np.concatenate, zip(*found, strict=True)))
    border = near.own * len(centers) + near.other
    order = np.lexsort((near.row, near.slack, border))
    near, border = near.at(order), border[order]
    return near.at(np.arange(len(border)) - np.searchsorted(border, border) < _LONGEST_LIST)


def _near_in_chunk(rows, labels, centers, prices, scale, spherical):
    """The nearest few other clusters of each row, where the row is near enough to the border.

    Rows i of A and j of B gain at most ``(curvature_A + curvature_B) (there_i + here_j)^2`` less
    the slacks of both.
    """
    metric = (Sphere if spherical else Flat).metric
    costs = pairwise_distances(rows.astype(np.float64), centers.astype(np.float64), metric=metric)
    each = np.arange(len(rows))
    here = costs[each, labels]
    slack = costs + prices
    slack -= slack[each, labels][:, None].copy()
    slack[each, labels] = np.inf
    n_others = min(_N_ALTERNATIVES, len(centers) - 1)
    others = np.argpartition(slack, n_others - 1, axis=1)[:, :n_others]
    slack = np.take_along_axis(slack, others, axis=1)
    there = np.sqrt(np.take_along_axis(costs, others, axis=1))
    curvature, farthest = scale
    bound = (curvature[labels][:, None] + curvature[others]) * np.square(there + farthest[others])
    row, place = np.nonzero(slack < bound)
    here = np.sqrt(here[row])
    return _Near(
        row, labels[row].astype(np.int64), others[row, place], slack[row, place], here,
        there[row, place],
    )  # fmt: skip


def _exchanges(worth, near):
    """For every row of the lower cluster of a border the best row beyond it to change with."""
    border = near.own * len(worth.counts) + near.other
    lower = np.flatnonzero(near.own < near.other)
    opposite = near.other[lower] * len(worth.counts) + near.own[lower]
    first, last = (np.searchsorted(border, opposite, side) for side in ("left", "right"))
    n_partners = last - first
    found = [_none()]
    for start, stop in _chunks(n_partners):
        number = n_partners[start:stop]
        left = np.repeat(lower[start:stop], number)
        offset = np.arange(len(left)) - np.repeat(np.cumsum(number) - number, number)
        right = np.repeat(first[start:stop], number) + offset
        near_enough = _may_gain(worth, near, left, right)
        found.append(_best_of_each(worth, near, left[near_enough], right[near_enough]))
    return _Changes(*map(np.concatenate, zip(*found, strict=True)))


def _chunks(numbers):
    """Consecutive slices in which the numbers add up to about as many pairs as fit at once."""
    part = (np.cumsum(numbers) - numbers) // _PAIRS_AT_ONCE
    cuts = np.flatnonzero(np.diff(part, prepend=-1)) if len(part) else part
    return zip(cuts, np.append(cuts[1:], len(part)), strict=True) if len(part) else ()


def _may_gain(worth, near, left, right):
    """Whether two rows are far enough apart for what they would pay, by their distances alone."""
    i, j = near.at(left), near.at(right)
    curvature = worth.curvature()
    apart = np.minimum(i.here + j.there, i.there + j.here)
    return i.slack + j.slack < (curvature[i.own] + curvature[i.other]) * np.square(apart)


def _best_of_each(worth, near, left, right):
    """Of the partners of each row the one that gains most, if any does."""
    i = near.at(left)
    partner = near.row[right]
    difference = worth.points(partner) - worth.points(i.row)
    gain = worth.gains(difference, i.own, i.other, 0)
    order = np.lexsort((partner, -gain, left))
    best = order[np.diff(left[order], prepend=-1) != 0]
    best = best[gain[best] > 0]
    return _Changes(i.row[best], i.own[best], i.other[best], partner[best], gain[best])


def _moves(worth, near):
    """Rows that gain by going alone, where sizes allow it."""
    near = near.at(worth.has_room(near.own, near.other))
    changes = [_none()]
    for start in range(0, len(near.row), _PAIRS_AT_ONCE):
        part = near.at(slice(start, start + _PAIRS_AT_ONCE))
        gain = worth.gains(-worth.points(part.row), part.own, part.other, 1)
        part, gain = part.at(gain > 0), gain[gain > 0]
        changes.append(_Changes(part.row, part.own, part.other, np.full(len(gain), -1), gain))
    return _Changes(*map(np.concatenate, zip(*changes, strict=True)))


def _none():
    return _Changes(*([np.empty(0, dtype=np.int64)] * 4), np.empty(0))


def _make(worth, changes):
    """Make the changes that still gain, the best ones first; returns how many were made."""
    order = np.lexsort((changes.row, -changes.gain))
    n_made = 0
    for start in range(0, len(order), _PAIRS_AT_ONCE):
        part = _Changes(*(values[order[start : start + _PAIRS_AT_ONCE]] for values in changes))
        alone = part.partner < 0
        steps = -worth.points(part.row)
        steps[~alone] += worth.points(part.partner[~alone])
        for step, row, own, other, partner in zip(
            steps, *(values.tolist() for values in part[:4]), strict=True
        ):
            n_made += worth.change(step, row, own, other, partner)
    return n_made
