"""Greedy assignment to clusters of bounded sizes: the closest pair of a row and a centre first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_blocks
from clusterlib.kernels import pairwise_argmin
from clusterlib.solvers.geometry import Flat, Sphere

if TYPE_CHECKING:
    from clusterlib.typing import Array, Int32Array, IntArray, Rows

__all__ = ["GreedyAssignment", "greedy_assignment"]

_CHUNK_ROWS = 1 << 14


class GreedyAssignment(NamedTuple):
    """What :func:`greedy_assignment` returns.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        Cluster of each row.
    cost : float
        Sum of the costs of the rows at their centres, in float64.
    """

    labels: Int32Array
    cost: float


def greedy_assignment(
    X: Rows,
    centers: Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    spherical: bool = False,
) -> GreedyAssignment:
    """Assign the closest pair of a row and an open centre, over and over.

    A centre closes when it has ``size_max`` rows. Once as many rows are left as centres lack for
    ``size_min``, only the centres that lack some stay open. The result is that of sorting all pairs by
    cost, row and centre, and going through them once [1]_; it is not an optimum.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster; bounds that n_samples rows can meet.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    result : GreedyAssignment
        Named tuple of ``labels, cost``.

    Notes
    -----
    Every row waits at its cheapest open centre. Nothing but a centre that closes sends rows elsewhere,
    and each centre closes once: O(n k) time for at most k + 1 rounds of looking who is first, besides
    the distances of all rows to all centres once, and of those that are sent away to the centres left.
    O(n) memory. Costs are compared in float64, those of one row as :func:`pairwise_argmin` does.

    References
    ----------
    .. [1] C. Hou, J. Zhang, H. Wang, T. Zhou, "Subclass-balancing Contrastive Learning for Long-tailed
       Recognition", ICCV 2023, algorithm 1 (upper bounds on the sphere).

    Examples
    --------
    The second row is the closest to the second centre, which then has no room for the third one.

    >>> import numpy as np
    >>> from clusterlib.solvers import greedy_assignment
    >>> X = np.array([[0.0], [2.0], [3.0]])
    >>> greedy_assignment(X, np.array([[-4.0], [1.9]]), 0, np.array([2, 1])).labels
    array([0, 1, 0], dtype=int32)
    """
    sizes = (np.broadcast_to(size, len(centers)).astype(np.int64) for size in (size_min, size_max))
    waiting = _Waiting(as_blocks(X), centers, (Sphere if spherical else Flat).metric, *sizes)
    while waiting.close_next():
        pass
    return GreedyAssignment(waiting.labels, float(waiting.costs.sum()))


class _Waiting:
    """Rows at their cheapest open centres, those of each centre in the order of (cost, row).

    The first ``room`` of them are those that the centre takes if nobody comes who is before them.
    """

    def __init__(self, blocks, centers, metric, size_min, size_max):
        n, k = blocks.n_samples, len(centers)
        self._blocks, self._centers, self._metric = blocks, centers.astype(np.float64), metric
        self.labels, self.costs = np.zeros(n, dtype=np.int32), np.zeros(n)
        self._queues = [np.empty(0, dtype=np.int64)] * k
        self._size_min, self._room = size_min, size_max
        # How many rows centres may take beyond their size_min, all of them together.
        self._spare = n - int(size_min.sum())
        if self._spare == 0:
            self._room, self._spare = size_min, None
        self._open = self._room > 0
        self._send(np.arange(n))

    def close_next(self):
        """Let happen what happens first: a centre is full, or no rows are to spare; False: neither."""
        lengths = np.array([len(queue) for queue in self._queues])
        full = np.flatnonzero(self._open & (lengths >= self._room)).tolist()
        center = min(full, key=self._last_taken, default=None)
        if self._spare is not None and self._is_spent(center):
            self._keep_only_lacking()
        elif center is None:
            return False
        else:
            self._close([center])
        return True

    def _last_taken(self, center):
        row = self._queues[center][self._room[center] - 1]
        return self.costs[row], row

    def _is_before(self, rows, last):
        """Whether rows come no later than the (cost, row) of another one."""
        costs = self.costs[rows]
        return (costs < last[0]) | ((costs == last[0]) & (rows <= last[1]))

    def _spare_rows(self):
        """Rows that their centres do not need for their size_min."""
        pairs = zip(self._queues, self._size_min, strict=True)
        return np.concatenate([queue[needed:] for queue, needed in pairs])

    def _is_spent(self, center):
        """Whether no rows are to spare by the time a centre is full, or at the end for None."""
        if center is None:
            return True
        before = self._is_before(self._spare_rows(), self._last_taken(center))
        return np.count_nonzero(before) >= self._spare

    def _keep_only_lacking(self):
        """Close the centres that have their size_min when the last spare row is taken."""
        rows = self._spare_rows()
        rows = rows[np.lexsort((rows, self.costs[rows]))]
        last = self.costs[rows[self._spare - 1]], rows[self._spare - 1]
        taken = np.array([np.count_nonzero(self._is_before(queue, last)) for queue in self._queues])
        self._room, self._spare = np.maximum(taken, self._size_min), None
        self._close(np.flatnonzero(taken >= self._size_min))

    def _close(self, centers):
        """Send away whom these centres do not take."""
        self._open[centers] = False
        sent = [self._queues[center][self._room[center] :] for center in centers]
        for center in centers:
            self._queues[center] = self._queues[center][: self._room[center]]
        self._send(np.concatenate(sent))

    def _send(self, rows):
        """Let rows wait at their cheapest open centres."""
        if len(rows) == 0:
            return
        wanted = np.zeros(len(self.labels), dtype=bool)
        wanted[rows] = True
        rows, centers = np.flatnonzero(wanted), np.flatnonzero(self._open)
        parts = map_blocks(
            _cheapest, self._blocks, wanted, broadcast=(self._centers[centers], self._metric)
        )
        labels, costs = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.labels[rows], self.costs[rows] = centers[labels], costs
        order = np.argsort(self.labels[rows], kind="stable")
        arrived, starts = np.unique(self.labels[rows[order]], return_index=True)
        for center, new in zip(arrived, np.split(rows[order], starts[1:]), strict=True):
            queue = np.concatenate([self._queues[center], new])
            self._queues[center] = queue[np.lexsort((queue, self.costs[queue]))]


def _cheapest(rows, wanted, centers, metric):
    """Cheapest centres of the wanted rows, and the costs in float64."""
    chosen = np.flatnonzero(wanted)
    labels, costs = np.empty(len(chosen), dtype=np.int32), np.empty(len(chosen))
    for start in range(0, len(chosen), _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        chunk = rows[chosen[part]].astype(np.float64)
        labels[part], costs[part] = pairwise_argmin(
            chunk, centers, metric=metric, return_distance=True
        )
    return labels, costs
