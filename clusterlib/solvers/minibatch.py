"""k-means on small batches: every batch pulls the centres a little, later ones less and less."""

from typing import NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.kernels import cluster_sums
from clusterlib.solvers.assignment import assign, costs_of_assignment, weighted_total
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.seeding import random_rows

__all__ = ["MiniBatchResult", "Pull", "minibatch", "pull"]


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

    centers: np.ndarray
    counts: np.ndarray
    inertia: float
    n_reassigned: int


class MiniBatchResult(NamedTuple):
    """What :func:`minibatch` found.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.
    counts : ndarray of shape (n_clusters,), float64
        Number of drawn rows that each centre has seen.
    n_steps : int
        Batches done.
    n_iter : int
        Passes over X they amount to, rounded up.
    converged : bool
        Whether the centres moved by no more than ``tol``, or inertia stopped falling.
    n_reassigned : int
        Centres that were put on new rows, in all batches together.
    history : ndarray of shape (n_steps,), float64
        Mean cost of a drawn row before each batch pulled, smoothed from the second batch on; the
        first one measures the start.
    """

    centers: np.ndarray
    counts: np.ndarray
    n_steps: int
    n_iter: int
    converged: bool
    n_reassigned: int
    history: np.ndarray


def pull(X, centers, counts, rng, *, sample_weight=None, reassignment_ratio=0.01, reassign=False):
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
    O(n k d) time, O(n + k d) memory.

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
    labels = assign(blocks, centers)
    inertia = weighted_total(costs_of_assignment(blocks, centers, labels), sample_weight)
    rows, beside = blocks.rows(0, blocks.n_samples), blocks.from_host(sample_weight)
    totals = cluster_sums(rows, labels, len(centers), sample_weight=beside)
    sums, weights = map(blocks.to_host, totals)
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


def _reassign(centers, counts, blocks, rng, sample_weight, ratio):
    """Put centres that see too little on rows of the batch, in place."""
    seldom = np.flatnonzero(counts < ratio * counts.max())
    if len(seldom) == 0:
        return 0
    draws = RowDraws(blocks, sample_weight)
    seldom = seldom[np.argsort(counts[seldom], kind="stable")][: draws.n_groups // 2]
    if len(seldom) == 0:
        return 0
    centers[seldom] = random_rows(blocks, len(seldom), rng, draws=draws).centers
    others = np.ones(len(counts), dtype=bool)
    others[seldom] = False
    # Not the least seen again at once: they start with the lowest count among the others.
    counts[seldom] = counts[others].min()
    return len(seldom)


def minibatch(
    X,
    centers,
    rng,
    *,
    draws,
    batch_size=1024,
    max_iter=100,
    tol=0.0,
    max_no_improvement=10,
    reassignment_ratio=0.01,
    callback=None,
):
    """Run mini-batch k-means from given centres.

    A batch is drawn with replacement in proportion to the weights, and its rows count 1 each, so
    a row of weight 3 acts as three rows. A pass over X is as many draws as the weights add up to,
    or as there are different rows if those are more (weights that add up to 1).

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows; only the drawn ones are read.
    centers : ndarray of shape (n_clusters, n_features)
        Where to start, in the dtype of X.
    rng : numpy.random.Generator
        Source of randomness.
    draws : RowDraws
        Order and weights of the rows.
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
        ``callback(centers, history)`` after each batch; True stops.

    Returns
    -------
    result : MiniBatchResult
        Centres; labels are left to the caller.

    Notes
    -----
    O(b k d) time for each batch of b rows, O(b d + k d) memory besides ``draws``.

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
    pass_size = max(round(float(draws.sample_weight.sum())), draws.n_groups)
    batch_size = min(batch_size, pass_size)
    n_steps = max(1, max_iter * pass_size // batch_size)
    counts = np.zeros(len(centers))
    # Weight of a batch in the running mean; a whole pass weighs about 2.
    progress = _Progress(min(1.0, 2.0 * batch_size / (pass_size + 1)), tol, max_no_improvement)
    n_reassigned, since_reassignment, converged = 0, 0, False
    while len(progress.history) < n_steps and not converged:
        batch = blocks.take(draws.draw(rng, batch_size))
        since_reassignment += batch_size
        # Ten rows per centre: by then each one had its chance, those of the seeding included.
        reassign = since_reassignment >= 10 * len(centers)
        since_reassignment = 0 if reassign else since_reassignment
        done = pull(
            batch, centers, counts, rng, reassignment_ratio=reassignment_ratio, reassign=reassign
        )
        n_reassigned += done.n_reassigned
        moves = float(np.square(done.centers.astype(np.float64) - centers).sum())
        converged = progress.add(done.inertia / batch_size, moves)
        centers, counts = done.centers, done.counts
        if callback is not None and callback(centers, progress.history):
            break
    history = np.array(progress.history)
    n_iter = -(-len(history) * batch_size // pass_size)
    return MiniBatchResult(centers, counts, len(history), n_iter, converged, n_reassigned, history)


class _Progress:
    """Running mean of the inertia of batches, and when it is time to stop."""

    def __init__(self, share, tol, patience):
        self.share, self.tol, self.patience = share, tol, patience
        self.history = []
        self.mean = None
        self.lowest = np.inf
        self.without_improvement = 0

    def add(self, inertia, moves):
        """Take in a batch; True if the centres stand still or inertia falls no more."""
        if not self.history:  # measures the start, not what a batch did
            self.history.append(inertia)
            return False
        if self.mean is None:
            self.mean = inertia
        else:
            self.mean += self.share * (inertia - self.mean)
        self.history.append(self.mean)
        if self.tol > 0 and moves <= self.tol:
            return True
        self.without_improvement += 1
        if self.mean < self.lowest:
            self.lowest, self.without_improvement = self.mean, 0
        return self.patience is not None and self.without_improvement >= self.patience
