"""k-means on small batches: every batch pulls the centres a little, later ones less and less."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce
from clusterlib.kernels import Metric, cluster_sums, pairwise_argmin
from clusterlib.solvers.assignment import (
    assign,
    costs_of_assignment,
    row_costs,
    weighted_total,
)
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.labelling import add_totals
from clusterlib.solvers.races import race_rows
from clusterlib.solvers.seeding import random_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, Float64Array, FloatArray, Rows

__all__ = ["MiniBatchResult", "Pull", "minibatch", "pull"]

# Rows up to which those of a batch are sorted to draw some: 80 bytes for each.
_FEW_ROWS = 1 << 20


class Pull(NamedTuple):
    """What one batch did.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        Centres after the batch, in the dtype of X.
    counts : ndarray of shape (n_clusters,), float64
        Weight that each centre has seen so far.
    inertia : float
        Sum of weight times squared distance of the batch, to the centres before it.
    n_reassigned : int
        Centres that were put on rows of the batch.
    """

    centers: FloatArray
    counts: Float64Array
    inertia: float
    n_reassigned: int


class MiniBatchResult(NamedTuple):
    """What :func:`minibatch` found.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.
    counts : ndarray of shape (n_clusters,), float64
        Number of drawn rows, or weight of rows in order, that each centre has seen.
    n_steps : int
        Batches done.
    n_iter : int
        Passes over X they amount to, rounded up.
    converged : bool
        Whether the centres moved by no more than ``tol``, or inertia stopped falling.
    n_reassigned : int
        Centres that were put on new rows, in all batches together.
    history : ndarray of shape (n_steps,), float64
        Mean cost of a row of each batch before it pulled, smoothed from the second batch on; the
        first one measures the start.
    """

    centers: FloatArray
    counts: Float64Array
    n_steps: int
    n_iter: int
    converged: bool
    n_reassigned: int
    history: Float64Array


def pull(
    X: Rows,
    centers: Array,
    counts: Float64Array,
    rng: np.random.Generator,
    *,
    sample_weight: Array | None = None,
    reassignment_ratio: float = 0.01,
    reassign: bool = False,
) -> Pull:
    """Move centres towards the rows of one batch.

    Each centre stays the weighted mean of the rows it has seen:
    ``c + (sum of its rows - m c) / (count + m)`` with m the weight of its rows in the batch.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The batch.
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.
    counts : ndarray of shape (n_clusters,), float64
        Weight that each centre has seen so far.
    rng : numpy.random.Generator
        Used only for reassignment.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    reassignment_ratio : float, default=0.01
        Centres that have seen less than this part of the highest count are put on rows.
    reassign : bool, default=False
        Whether to look for such centres; at most half as many as the batch has different rows.

    Returns
    -------
    pull : Pull
        New centres and counts.

    Notes
    -----
    O(n k d) time in one pass, O(k d log n) memory besides a block. Reassignment takes a pass more
    and, up to 1,048,576 rows, 80 bytes for each; beyond, rows are drawn by :func:`race_rows`.

    References
    ----------
    .. [1] D. Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import pull
    >>> rng = np.random.default_rng(0)
    >>> pull(np.array([[2.0]]), np.array([[0.0]]), np.ones(1), rng).centers
    array([[1.]])
    """
    blocks = as_blocks(X)
    sums, weights, inertia = _totals(blocks, centers, sample_weight)
    new_counts = counts + weights
    pulled = centers.copy()
    hit = weights > 0
    old = centers[hit].astype(np.float64)
    drift = (sums[hit] - weights[hit, None] * old) / new_counts[hit, None]
    pulled[hit] = old + drift
    n_reassigned = 0
    if reassign:
        n_reassigned = _reassign(pulled, new_counts, blocks, rng, sample_weight, reassignment_ratio)
    return Pull(pulled, new_counts, inertia, n_reassigned)


def _totals(blocks, centers, sample_weight):
    """Sums and weights of the rows nearest to each centre, and what all rows cost."""
    if blocks.on_host:
        return map_reduce(_totals_of_block, add_totals, blocks, sample_weight, broadcast=(centers,))
    labels = assign(blocks, centers)
    inertia = weighted_total(costs_of_assignment(blocks, centers, labels), sample_weight)
    rows, beside = blocks.rows(0, blocks.n_samples), blocks.from_host(sample_weight)
    totals = cluster_sums(rows, labels, len(centers), sample_weight=beside)
    return *map(blocks.to_host, totals), inertia


def _totals_of_block(rows, sample_weight, centers):
    labels = pairwise_argmin(rows, centers, metric=Metric.SQEUCLIDEAN)
    costs = row_costs(rows, labels, centers.astype(np.float64), False)
    totals = cluster_sums(rows, labels, len(centers), sample_weight=sample_weight)
    return *totals, weighted_total(costs, sample_weight)


def _reassign(centers, counts, blocks, rng, sample_weight, ratio):
    """Put centres that see too little on rows of the batch, in place."""
    seldom = np.flatnonzero(counts < ratio * counts.max())
    if len(seldom) == 0:
        return 0
    seldom = seldom[np.argsort(counts[seldom], kind="stable")]
    rows = _some_rows(blocks, len(seldom), rng, sample_weight)
    if len(rows) == 0:
        return 0
    seldom = seldom[: len(rows)]
    centers[seldom] = rows
    others = np.ones(len(counts), dtype=bool)
    others[seldom] = False
    # Not the least seen again at once: they start with the lowest count among the others.
    counts[seldom] = counts[others].min()
    return len(seldom)


def _some_rows(blocks, n_rows, rng, sample_weight):
    """Different rows drawn at random, at most half as many as there are."""
    if blocks.n_samples <= _FEW_ROWS or not blocks.on_host:
        draws = RowDraws(blocks, sample_weight)
        n_rows = min(n_rows, draws.n_groups // 2)
        return random_rows(blocks, n_rows, rng, draws=draws).centers if n_rows else ()
    seeds = race_rows(blocks, 2 * n_rows, rng, sample_weight=sample_weight)
    return seeds.centers[: len(np.unique(seeds.indices)) // 2]


def minibatch(
    X: Rows,
    centers: Array,
    rng: np.random.Generator,
    *,
    draws: RowDraws | None = None,
    sample_weight: Array | None = None,
    batch_size: int = 1024,
    max_iter: int = 100,
    tol: float = 0.0,
    max_no_improvement: int = 10,
    reassignment_ratio: float = 0.01,
    callback: Callable[..., Any] | None = None,
) -> MiniBatchResult:
    """Run mini-batch k-means from given centres.

    With ``draws`` a batch is drawn with replacement in proportion to the weights, and its rows
    count 1 each, so a row of weight 3 acts as three rows. A pass over X is as many draws as the
    weights add up to, or as there are different rows if those are more (weights that add up to 1).

    Without, batches are rows that follow each other, ``batch_size`` from the first row on and the
    rest of X at the end of each pass, and count with their weights; a batch of weight 0 is left
    out. Which rows are a batch depends on their numbers alone.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows; only the drawn ones are read. Those in order are on the host, and are read
        block by block.
    centers : ndarray of shape (n_clusters, n_features)
        Where to start, in the dtype of X.
    rng : numpy.random.Generator
        Source of randomness.
    draws : RowDraws, default=None
        Order and weights of the rows to draw. None takes them in order.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of rows in order, not negative, one of them above zero.
    batch_size : int, default=1024
        Rows of a batch, cut to those of a pass.
    max_iter : int, default=100
        Most passes.
    tol : float, default=0.0
        Stop when the squared moves of the centres add up to no more than this; 0 never does.
    max_no_improvement : int, default=10
        Stop after so many batches in a row without a new lowest smoothed inertia; None never
        does.
    reassignment_ratio : float, default=0.01
        See :func:`pull`.
    callback : callable, default=None
        ``callback(so_far)`` after each batch, with a :class:`MiniBatchResult` whose ``history`` is a
        list that grows; True stops.

    Returns
    -------
    result : MiniBatchResult
        Centres; labels are left to the caller.

    Notes
    -----
    O(b k d) time for each batch of b rows, O(b d + k d) memory besides ``draws``; in order two
    batches and the blocks that are read.

    References
    ----------
    .. [1] D. Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.solvers import RowDraws, minibatch
    >>> X = as_blocks(np.array([[0.0], [1.0], [8.0], [9.0]]))
    >>> rng = np.random.default_rng(0)
    >>> result = minibatch(X, X.take([0, 3]), rng, draws=RowDraws(X))
    >>> np.round(result.centers.ravel())
    array([0., 8.])
    """
    blocks = as_blocks(X)
    if draws is None:
        pass_size = blocks.n_samples
        batch_size = min(batch_size, pass_size)
        batches = _in_order(blocks, sample_weight, batch_size, max_iter)
    else:
        pass_size = max(round(float(draws.sample_weight.sum())), draws.n_groups)
        batch_size = min(batch_size, pass_size)
        n_steps = max(1, max_iter * pass_size // batch_size)
        batches = _drawn(blocks, draws, rng, batch_size, n_steps)
    counts = np.zeros(len(centers))
    progress = _Progress(pass_size, tol, max_no_improvement)
    n_reassigned = since_reassignment = 0
    with closing(batches):
        for batch, weight, n_read in batches:
            n_iter = -(-n_read // pass_size)
            since_reassignment += len(batch)
            # Ten rows per centre: by then each one had its chance, those of the seeding included.
            reassign = since_reassignment >= 10 * len(centers)
            since_reassignment = 0 if reassign else since_reassignment
            done = pull(
                batch,
                centers,
                counts,
                rng,
                sample_weight=weight,
                reassignment_ratio=reassignment_ratio,
                reassign=reassign,
            )
            n_reassigned += done.n_reassigned
            with np.errstate(over="ignore"):  # infinity tells the caller
                moves = float(np.square(done.centers.astype(np.float64) - centers).sum())
            mass = len(batch) if weight is None else float(weight.sum())
            converged = progress.add(done.inertia / mass, moves, len(batch))
            centers, counts = done.centers, done.counts
            history = progress.history
            so_far = MiniBatchResult(
                centers, counts, len(history), n_iter, converged, n_reassigned, history
            )
            is_stopped = callback is not None and callback(so_far)
            if converged or is_stopped:
                break
    return so_far._replace(history=np.array(history))


def _drawn(blocks, draws, rng, batch_size, n_steps):
    """Yield batches drawn at random, their weights, and how many rows that were so far."""
    for step in range(1, n_steps + 1):
        yield blocks.take(draws.draw(rng, batch_size)), None, step * batch_size


def _in_order(blocks, sample_weight, batch_size, n_passes):
    """Yield batches in the order of the rows, cut by the numbers of rows and not by blocks."""
    n_samples = blocks.n_samples
    for number in range(n_passes):
        begun = []  # parts of a batch that goes on in the next block
        for start, stop, rows in blocks:
            place = start
            while place < stop:
                first = place // batch_size * batch_size
                last = min(first + batch_size, n_samples)
                part = rows[place - start : min(last, stop) - start]
                place = min(last, stop)
                if last > stop:
                    begun.append(part.copy())  # a carrier may use the memory of a block again
                    continue
                batch = np.concatenate([*begun, part]) if begun else part
                begun = []
                weight = None if sample_weight is None else sample_weight[first:last]
                if weight is None or weight.any():
                    yield batch, weight, number * n_samples + last


class _Progress:
    """Running mean of the inertia of batches, and when it is time to stop."""

    def __init__(self, pass_size, tol, patience):
        self.pass_size, self.tol, self.patience = pass_size, tol, patience
        self.history = []
        self.mean = None
        self.lowest = np.inf
        self.without_improvement = 0

    def add(self, inertia, moves, n_rows):
        """Take in a batch; True if the centres stand still or inertia falls no more."""
        if not self.history:  # measures the start, not what a batch did
            self.history.append(inertia)
            return False
        if self.mean is None:
            self.mean = inertia
        else:
            # A whole pass weighs about 2.
            share = min(1.0, 2.0 * n_rows / (self.pass_size + 1))
            self.mean += share * (inertia - self.mean)
        self.history.append(self.mean)
        if self.tol > 0 and moves <= self.tol:
            return True
        self.without_improvement += 1
        if self.mean < self.lowest:
            self.lowest, self.without_improvement = self.mean, 0
        return self.patience is not None and self.without_improvement >= self.patience
