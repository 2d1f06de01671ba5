"""Prototypes that follow a stream: one batch, a queue of earlier rows, sums that fade."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.solvers.prototype_codes import PrototypeCodes
from clusterlib.solvers.sinkhorn_means import directions, spread

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, Int32Array

__all__ = ["PrototypePull", "pull_prototypes"]

_TOL = 1e-6
_MOST_SWEEPS = 1000


class PrototypePull(NamedTuple):
    """What one batch did.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        Unit vectors after the batch, in the dtype they had.
    labels : ndarray of shape (n_samples,), int32
        Prototype with the largest code of each row, under the centres before.
    vectors : ndarray of shape (n_clusters, n_features), float64
        Faded sums of rows under their codes, whose directions the centres are.
    counts : ndarray of shape (n_clusters,), float64
        Faded sums of the codes.
    prior : ndarray of shape (n_clusters,), float64
        Wanted shares; with ``estimate`` those of the counts.
    error : float
        Sum of the differences between the shares of queue and batch and the prior.
    """

    centers: Array
    labels: Int32Array
    vectors: Float64Array
    counts: Float64Array
    prior: Float64Array
    error: float


def pull_prototypes(
    X: Array,
    centers: Array,
    vectors: Float64Array,
    counts: Float64Array,
    *,
    queue: Array | None = None,
    epsilon: float = 0.05,
    log_prior: Float64Array | None = None,
    estimate: bool = False,
    n_iters: int | None = None,
    normalize: bool = True,
    decay: float = 0.9,
) -> PrototypePull:
    """Compute codes of a batch, with the queue beside it, and move the prototypes.

    ``M <- decay M + sum_i q_i x_i'`` over the rows of the batch (their directions), and the
    prototypes are the directions of the rows of M. The queue takes part in the codes alone, under
    the present prototypes.

    Parameters
    ----------
    X : ndarray or device array of shape (n, n_features)
        The batch.
    centers : ndarray of shape (n_clusters, n_features)
        Unit vectors.
    vectors, counts : ndarray of shape (n_clusters, n_features) and (n_clusters,), float64
        What the last pull returned; zeros at first.
    queue : ndarray or device array of shape (m, n_features), default=None
        Earlier rows, where those of the batch are.
    epsilon : float, default=0.05
        As for :func:`sinkhorn_means`.
    log_prior, n_iters
        As for :func:`sinkhorn_means`.
    estimate : bool, default=False
        Codes are posteriors under ``log_prior``; the queue then does not matter.
    normalize : bool, default=True
        As for :func:`sinkhorn_means`.
    decay : float, default=0.9
        What earlier batches count in the sums, from 0 (nothing) to 1 (as much as this one).

    Returns
    -------
    pull : PrototypePull
        Prototypes and sums after the batch; they are the same for a batch of zeros.

    Notes
    -----
    O((n + m) k d) time for each of some sweeps; O(n + m + k d) memory besides the queue. The
    result does not depend on the order of the rows in batch and queue, but for rounding. It does
    depend on what is called a batch: codes are shares of it.

    References
    ----------
    .. [1] M. Caron et al., "Unsupervised learning of visual features by contrasting cluster
       assignments", NeurIPS 2020 (the queue).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import pull_prototypes
    >>> X = np.array([[1.0, 0.2], [0.2, 1.0]])
    >>> pull = pull_prototypes(X, np.eye(2), np.zeros((2, 2)), np.zeros(2))
    >>> pull.centers.round(2), pull.labels
    (array([[0.98, 0.2 ],
           [0.2 , 0.98]]), array([0, 1], dtype=int32))
    """
    if log_prior is None:
        log_prior = np.full(len(centers), -np.log(len(centers)))
    options = {"normalize": normalize}
    batch = PrototypeCodes(as_blocks(X), epsilon, **options)
    if batch.total == 0:
        labels = np.zeros(len(X), dtype=np.int32)
        return PrototypePull(centers, labels, vectors, counts, np.exp(log_prior), 0.0)
    error = 0.0
    if estimate:
        g = epsilon * log_prior
    else:
        rows = X if queue is None else np.concatenate([queue, X])
        codes = batch if queue is None else PrototypeCodes(as_blocks(rows), epsilon, **options)
        if n_iters is None:
            start = np.zeros(len(centers))
            limits = {"tol": _TOL, "max_sweeps": _MOST_SWEEPS}
            g, _, error = codes.balance(centers, start, log_prior, **limits)
        else:
            g, _, error = codes.normalize(centers, log_prior, n_iters)
    logs = batch.sweep(centers, g)
    counts = decay * counts + batch.total * np.exp(logs)
    vectors = decay * vectors + batch.vectors()
    labels = batch.labels(centers, g)
    prior = spread(counts) if estimate else np.exp(log_prior)
    return PrototypePull(directions(vectors, centers), labels, vectors, counts, prior, error)
