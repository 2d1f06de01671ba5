"""Random draws of rows that depend on what the rows are, not on where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import map_blocks
from clusterlib.kernels import Metric, pairwise_distances

if TYPE_CHECKING:
    from clusterlib.blocks._protocol import Blocks
    from clusterlib.typing import Array, Float64Array, IntArray

__all__ = ["RowDraws"]

_CHUNK_VALUES = 1 << 15
_DEVICE_CHUNK_VALUES = 1 << 25
# Masses on a device are summed in leaves there; only the leaves that are hit come to the host.
_LEAF_ROWS = 4096
# Seeds of two fixed directions; nothing but a coincidence of projections depends on them.
_DIRECTION_SEEDS = (20_011, 20_021)


def _direction(seed, n_features):
    """Numbers in [0.5, 1.5) / n_features; raw bits, whose stream NumPy guarantees."""
    bits = np.random.PCG64(seed).random_raw(n_features) >> np.uint64(11)
    return (0.5 + bits * 2.0**-53) / n_features


def _projections(rows, directions):
    """Inner products of the rows, each in an order that neither layout nor block can change."""
    step = max(1, _CHUNK_VALUES // rows.shape[1])
    keys = np.empty((len(directions), len(rows)))
    scratch = np.empty((step, rows.shape[1]))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        products = scratch[: len(chunk)]
        for key, direction in zip(keys, directions, strict=True):
            np.multiply(chunk, direction, out=products)
            key[start : start + step] = products.sum(axis=1)
    return keys


def _projections_by_kernel(rows, directions):
    """The same on a device, in float64 whatever the rows are in; yields (start, stop, keys)."""
    step = max(1, _DEVICE_CHUNK_VALUES // rows.shape[1])
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step].astype(np.float64)
        products = pairwise_distances(chunk, directions, metric=Metric.INNER_PRODUCT)
        yield start, start + len(chunk), -products.T


def _places(cumulated, targets):
    """Where cumulated mass passes each target; never a place without mass."""
    # A product that rounds up to the total would miss the last row with mass.
    last = np.searchsorted(cumulated, cumulated[-1])
    return np.minimum(np.searchsorted(cumulated, targets, side="right"), last)


class RowDraws:
    """The rows that have weight, in an order of their own, and draws from them.

    Rows are sorted by their projections on two fixed directions. Equal rows come to stand side by
    side (a group), so that inverting the cumulated mass at random numbers gives the same places
    for any order of the rows, and for a row of weight 3 as for three rows of weight 1. Two
    different rows share both projections only by a coincidence of rounding; they then count as
    one group.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, at least one above zero; rows of weight 0 are never drawn.

    Attributes
    ----------
    sample_weight : ndarray of shape (n_samples,), float64
        The weights, 1 if there are none.
    n_groups : int
        Number of different rows that have weight.

    Notes
    -----
    O(n d + n log n) time, O(n) memory. Rows on a CUDA device are sorted there, and their order comes
    to the host (9 bytes for each row, once); a draw from a mass that lies on the device brings
    to the host the sums of leaves of 4096 rows and the leaves that are hit.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.solvers import RowDraws
    >>> X = np.array([[2.0], [1.0], [2.0], [5.0]])
    >>> draws = RowDraws(as_blocks(X), np.array([1.0, 1.0, 1.0, 0.0]))
    >>> draws.n_groups, draws.group_of(2)
    (2, array([0, 2]))
    """

    def __init__(self, blocks: Blocks, sample_weight: Array | None = None) -> None:
        self.sample_weight = (
            np.ones(blocks.n_samples) if sample_weight is None else np.asarray(sample_weight)
        )
        present = np.flatnonzero(self.sample_weight > 0)
        keys = self._keys(blocks)[:, blocks.from_host(present)]
        order = np.lexsort(keys)
        keys = keys[:, order]
        is_first = np.ones(len(present), dtype=bool)
        is_first[1:] = blocks.to_host((keys[:, 1:] != keys[:, :-1]).any(axis=0))
        order = blocks.to_host(order)
        self._order = present[order]
        self._starts = np.append(np.flatnonzero(is_first), len(present))
        self._group = np.empty(blocks.n_samples, dtype=np.intp)
        self._group[self._order] = np.cumsum(is_first) - 1
        self._cumulated_weight = np.cumsum(self.sample_weight[self._order])
        self.n_groups = len(self._starts) - 1
        self._blocks = blocks
        self._order_beside = None if blocks.on_host else blocks.from_host(self._order)

    @staticmethod
    def _keys(blocks):
        """Two projections of every row, where the rows lie: (2, n_samples)."""
        directions = [_direction(seed, blocks.n_features) for seed in _DIRECTION_SEEDS]
        if blocks.on_host:
            return np.concatenate(map_blocks(_projections, blocks, broadcast=(directions,)), axis=1)
        keys = blocks.zeros((len(directions), blocks.n_samples), np.float64)
        for parts in blocks.map(_projections_by_kernel, (), (np.array(directions),)):
            for start, stop, part in parts:
                keys[:, start:stop] = part
        return keys

    def group_of(self, row: int) -> IntArray:
        """Indices of the rows that equal a row with weight, itself included."""
        group = self._group[row]
        return self._order[self._starts[group] : self._starts[group + 1]]

    def draw(
        self, rng: np.random.Generator, size: int, mass: Float64Array | None = None
    ) -> IntArray:
        """Draw rows with replacement, in proportion to their weights or to another mass.

        Parameters
        ----------
        rng : numpy.random.Generator
            Gives ``size`` uniform numbers.
        size : int
            Number of draws.
        mass : array of shape (n_samples,), float64, default=None
            Not negative, with a finite sum above zero over the rows with weight; where the rows
            lie. None means the weights.

        Returns
        -------
        rows : ndarray of shape (size,), int
            Indices of rows, none of mass 0, in the order of this object.

        Notes
        -----
        O(n + size log n) time for a mass, O(size log n) for the weights.
        """
        # Sorted numbers are found several times faster.
        shares = np.sort(rng.random(size))
        if mass is not None and not self._blocks.on_host:
            return self._order[self._places_of_leaves(shares, mass)]
        cumulated = self._cumulated_weight if mass is None else np.cumsum(mass[self._order])
        return self._order[_places(cumulated, shares * cumulated[-1])]

    def _places_of_leaves(self, shares, mass):
        """Places of a mass on a device: which leaf by the sums of leaves, then which row of it."""
        n_rows = len(self._order)
        n_leaves = -(-n_rows // _LEAF_ROWS)
        ordered = self._blocks.zeros(n_leaves * _LEAF_ROWS, np.float64)
        ordered[:n_rows] = mass[self._order_beside]
        leaves = ordered.reshape(n_leaves, _LEAF_ROWS)
        cumulated = np.cumsum(self._blocks.to_host(leaves.sum(axis=1)))
        targets = shares * cumulated[-1]
        hit = _places(cumulated, targets)
        places = np.empty(len(targets), dtype=np.intp)
        for leaf in np.unique(hit):
            before = cumulated[leaf - 1] if leaf else 0.0
            inside = before + np.cumsum(self._blocks.to_host(leaves[int(leaf)]))
            places[hit == leaf] = leaf * _LEAF_ROWS + _places(inside, targets[hit == leaf])
        return places

    def draw_different(self, rng: np.random.Generator, size: int) -> IntArray:
        """Draw groups without replacement, in proportion to their weights.

        Parameters
        ----------
        rng : numpy.random.Generator
            Gives ``n_groups`` exponential numbers.
        size : int
            Number of groups wanted.

        Returns
        -------
        rows : ndarray of shape (min(size, n_groups),), int
            The first row of each group, in the order of being drawn.

        Notes
        -----
        Exponential races: the arrival times E_g / w_g, sorted, are a draw without replacement
        (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", Inf. Process. Lett.
        97(5), 2006).
        """
        weights = np.add.reduceat(self.sample_weight[self._order], self._starts[:-1])
        with np.errstate(over="ignore"):
            arrivals = rng.exponential(size=self.n_groups) / weights
        first = np.argsort(arrivals, kind="stable")[:size]
        return self._order[self._starts[first]]
