"""Balanced spherical k-means: prototypes are means under codes of which every one has its share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.solvers.prototype_codes import PrototypeCodes

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, Float64Array, FloatArray, Int32Array, Rows

__all__ = ["SinkhornMeansResult", "directions", "sinkhorn_means", "spread"]

# Codes are this much more exact than prototypes have moved last: measured on digits, a tenth of
# the sweeps of codes to 1e-6 throughout, with the same prototypes and a rising objective.
_INNER_SHARE = 0.1
_INNER_TOL = 1e-6
_MOST_SWEEPS = 1000
_UNIT_ROUNDOFF = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
# Balanced prototypes that shares are estimated from need not be more exact than this angle.
_FIRST_ANGLE = 1e-2
# Share of its mass that an estimated prior keeps evenly spread, so that none of it vanishes.
_SPREAD = 1e-6


class SinkhornMeansResult(NamedTuple):
    """What :func:`sinkhorn_means` found.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        Unit vectors in the dtype of X, of the last codes.
    labels : array of shape (n_samples,), int32
        Prototype with the largest code of each row, under the returned centres. Where the rows
        lie; all else is on the host.
    g : ndarray of shape (n_clusters,), float64
        Potentials of the prototypes.
    prior : ndarray of shape (n_clusters,), float64
        Wanted, or estimated, shares; their sum is 1.
    sums : ndarray of shape (n_clusters,), float64
        Shares that the prototypes have.
    vectors : ndarray of shape (n_clusters, n_features), float64
        Weighted sums of the rows (of their directions) under the codes.
    objective : float
        ``<Q, similarity> - epsilon KL(Q | a prior')``, which rises.
    entropy : float
        Mean entropy of the code of a row, in nats.
    angle : float
        Largest turn of a prototype in the last move, in radians.
    n_iter : int
        Moves of the prototypes.
    n_sweeps : int
        Comparisons of all rows with all prototypes.
    converged : bool
        Whether prototypes stand still within ``tol``, and shares are within it of the prior.
    history : ndarray of shape (n_iter,), float64
        The objective before each move.
    """

    centers: FloatArray
    labels: Int32Array
    g: Float64Array
    prior: Float64Array
    sums: Float64Array
    vectors: Float64Array
    objective: float
    entropy: float
    angle: float
    n_iter: int
    n_sweeps: int
    converged: bool
    history: Float64Array


def sinkhorn_means(
    X: Rows,
    centers: Array,
    *,
    epsilon: float = 0.05,
    log_prior: Float64Array | None = None,
    estimate: bool = False,
    balance_first: bool = True,
    n_iters: int | None = None,
    sample_weight: Array | None = None,
    normalize: bool = True,
    max_iter: int = 300,
    tol: float = 3e-4,
    callback: Callable[..., Any] | None = None,
) -> SinkhornMeansResult:
    """Alternate codes and prototypes until the prototypes stand still.

    With ``S = X C'`` (directions of X), weights a that sum to 1 and a prior b, maximises

    ``F(Q, C, b) = <Q, S> - epsilon KL(Q | a b')``

    over unit vectors C and plans Q with row sums a and column sums b: Q by Sinkhorn's iteration,
    C as the directions of ``Q' X``. With ``estimate`` the column sums of Q are free and b is
    sought as well: Q are the posteriors of a mixture of von Mises-Fisher laws of concentration
    ``1 / epsilon``, b is its maximum-likelihood estimate.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        Where to start: unit vectors in the dtype of X.
    epsilon : float, default=0.05
        Entropic strength, in units of cosines.
    log_prior : ndarray of shape (n_clusters,), float64, default=None
        Logarithms of the shares; None for equal ones. A start for ``estimate``.
    estimate : bool, default=False
        Whether shares are estimated.
    balance_first : bool, default=True
        With ``estimate``: whether prototypes are first found for the given shares.
    n_iters : int, default=None
        Normalisations for the codes of each iteration, always from the start, as SwAV does. None
        goes on from the last codes to a tolerance.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    normalize : bool, default=True
        Whether rows count by their directions.
    max_iter : int, default=300
        Most moves of the prototypes.
    tol : float, default=3e-4
        Stop when no prototype turns by more than this angle, in radians, and with ``estimate``
        the shares change by no more in sum.
    callback : callable, default=None
        ``callback(centers, history)`` after each move; True stops.

    Returns
    -------
    result : SinkhornMeansResult
        Labels, g and sums belong to the returned centres.

    Notes
    -----
    O(n k d) time for a sweep and as much for a move, O(n + k d log n) memory: no n x k array, and
    nothing but labels for rows that are not in memory. Those are read once for each sweep and each
    move, once before and twice after.
    Codes are computed to a tenth of the last angle, at most 1e-6, from the last potentials.
    F rises from move to move as far as codes are exact; with ``n_iters`` it need not. Sums have a
    fixed order, so the result depends on neither threads nor blocks.

    References
    ----------
    .. [1] M. Caron et al., "Unsupervised learning of visual features by contrasting cluster
       assignments", NeurIPS 2020 (codes).
    .. [2] A. Banerjee, I. S. Dhillon, J. Ghosh and S. Sra, "Clustering on the unit hypersphere
       using von Mises-Fisher distributions", JMLR 6, 2005 (the mixture).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn_means
    >>> X = np.array([[1.0, 0.1], [1.0, 0.0], [0.9, 0.5], [0.1, 1.0]])
    >>> sinkhorn_means(X, np.eye(2)).labels
    array([0, 0, 1, 1], dtype=int32)
    >>> sinkhorn_means(X, np.eye(2), estimate=True).labels
    array([0, 0, 0, 1], dtype=int32)
    """
    blocks = as_blocks(X)
    if log_prior is None:
        log_prior = np.full(len(centers), -np.log(len(centers)))
    codes = PrototypeCodes(blocks, epsilon, sample_weight=sample_weight, normalize=normalize)
    run = _Run(codes, centers, log_prior, n_iters, callback)
    if not estimate:
        run.move(run.balanced, max_iter, tol)
        return run.result(run.balanced, tol)
    if balance_first:
        run.move(run.balanced, max_iter - 1, max(tol, _FIRST_ANGLE))
    run.move(run.estimated, max_iter, tol)
    return run.result(run.estimated, tol)


class _Run:
    """Prototypes on their way."""

    def __init__(self, codes, centers, log_prior, n_iters, callback):
        self.codes, self.centers, self.log_prior = codes, centers, log_prior
        self.n_iters, self.callback = n_iters, callback
        self.g = np.zeros(len(centers))
        self.angle, self.change = 1.0, 0.0
        self.history = []
        self.converged = self.stopped = False
        dtype = codes.blocks.dtype
        # Costs are of the order of 1 and their rounding is divided by epsilon.
        self.least_tol = max(_INNER_TOL, _UNIT_ROUNDOFF[dtype] / codes.epsilon)

    def balanced(self):
        """Codes with the wanted shares; returns the sums and the objective."""
        if self.n_iters is not None:
            found = self.codes.normalize(self.centers, self.log_prior, self.n_iters)
        else:
            tol = max(self.least_tol, _INNER_SHARE * self.angle)
            found = self.codes.balance(
                self.centers, self.g, self.log_prior, tol=tol, max_sweeps=_MOST_SWEEPS
            )
        self.g, logs, _ = found
        sums = np.exp(logs)
        # The dual value bounds that of exact codes from above; truncated ones have their own.
        wanted = sums if self.n_iters is not None else np.exp(self.log_prior)
        return sums, self.codes.value(self.g, wanted, self.log_prior)

    def estimated(self):
        """Codes without wanted shares, which give new ones; returns sums and objective."""
        self.g = self.codes.epsilon * self.log_prior
        sums = np.exp(self.codes.sweep(self.centers, self.g))
        value = self.codes.value(self.g, sums, self.log_prior)
        prior = spread(sums)
        self.change = float(np.abs(prior - np.exp(self.log_prior)).sum())
        self.log_prior = np.log(prior)
        return sums, value

    def move(self, find_codes, max_iter, tol):
        """Alternate until prototypes turn by no more than ``tol``."""
        self.converged = False
        while len(self.history) < max_iter and not (self.converged or self.stopped):
            _, value = find_codes()
            self.history.append(value)
            _, means = self.codes.means()
            centers = directions(means, self.centers)
            self.angle = _largest_angle(centers, self.centers)
            self.centers = centers
            self.converged = self.angle <= tol and self.change <= tol
            self.stopped = self.callback is not None and bool(
                self.callback(self.centers, self.history)
            )

    def result(self, find_codes, tol):
        """Codes of the last prototypes, and everything that belongs to them."""
        turn = self.angle
        self.angle = 0.0 if self.converged else turn  # then codes are as exact as they get
        log_prior = self.log_prior  # estimated() finds another one
        prior = np.exp(log_prior)
        sums, value = find_codes()
        vectors = self.codes.vectors()
        similarity = float((vectors * self.centers).sum()) / self.codes.total
        entropy = (value - similarity) / self.codes.epsilon - float(sums @ log_prior)
        # What n_iters normalisations leave of the error is what was asked for.
        error = 0.0 if self.n_iters is not None else float(np.abs(sums - prior).sum())
        return SinkhornMeansResult(
            centers=self.centers,
            labels=self.codes.labels(self.centers, self.g),
            g=self.g,
            prior=prior,
            sums=sums,
            vectors=vectors,
            objective=value,
            entropy=max(0.0, entropy),
            angle=turn,
            n_iter=len(self.history),
            n_sweeps=self.codes.n_sweeps,
            converged=self.converged and error <= max(tol, self.least_tol),
            history=np.array(self.history),
        )


def spread(sums):
    """Shares that are proportional to the sums, but for a trace that keeps them above 0."""
    return (1 - _SPREAD) * sums / sums.sum() + _SPREAD / len(sums)


def directions(vectors, previous):
    """Unit vectors in the dtype of ``previous``, which stays where a vector vanishes."""
    lengths = np.sqrt(np.square(vectors).sum(axis=1))
    centers = previous.copy()
    filled = lengths > np.finfo(np.float64).tiny
    centers[filled] = vectors[filled] / lengths[filled, None]
    return centers


def _largest_angle(one, other):
    """The largest angle between unit vectors of the same number, exact for small ones."""
    chords = one.astype(np.float64) - other
    return float(2 * np.arcsin(np.minimum(np.sqrt(np.square(chords).sum(axis=1)) / 2, 1)).max())
