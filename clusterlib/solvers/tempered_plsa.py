"""Latent label shift on a sparse table of clusters and domains: starts, and tempered EM."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from clusterlib.kernels import plsa_step
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.seeding import kmeans_plusplus
from clusterlib.solvers.successive_projection import successive_projection

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, CsrArray, Float64Array, FloatArray, Int32Array

__all__ = ["PLSAFit", "TableStarts", "smoothed_classes", "tempered_plsa"]

# As where rows are smoothed over their neighbours.
_FLOOR = 1e-3
_PRIOR_ROWS = 0.5
_KMEANS_ITERATIONS = 50
# Of the singular values: the noise of counts is larger.
_SINGULAR_TOL = 1e-4
# Up to so many rows or columns all singular vectors are cheap, and exact.
_DENSE_SIDE = 64
# Groups of clusters with less than this part of the mean number of rows are no corners.
_LEAST_PART = 0.2


class PLSAFit(NamedTuple):
    """Where tempered EM on a table ended.

    Attributes
    ----------
    pooled : ndarray of shape (m, k), dtype of the table
        q(class | cluster): sharpened means over the neighbours.
    responsibilities : ndarray of shape (m, k), dtype of the table
        Mean responsibilities of the rows of each cluster.
    domain_given_class : ndarray of shape (r, k), dtype of the table
        q(domain | class); columns sum to 1.
    log_likelihood : float
        Mean over the rows of log q(domain | cluster), in nats.
    converged : bool
        Whether the last iteration moved ``domain_given_class`` by no more than the tolerance.
    history : ndarray of shape (n_iter,), float64
        The log-likelihood at each iteration.
    """

    pooled: FloatArray
    responsibilities: FloatArray
    domain_given_class: FloatArray
    log_likelihood: float
    converged: bool
    history: Float64Array


def tempered_plsa(
    table: CsrArray,
    responsibilities: FloatArray,
    domain_given_class: FloatArray,
    neighbors: Int32Array,
    *,
    tau: float = 2.0,
    beta: float = 3.0,
    max_iter: int = 30,
    tol: float = 1e-3,
    callback: Callable[..., Any] | None = None,
) -> PLSAFit:
    """Alternate between the classes of clusters and the shares of the domains.

    The same as :func:`tempered_em` with clusters for rows: every cell of the table is divided
    among the classes in proportion to ``(h_cy D_dy)^beta``, where h is the mean of the
    responsibilities over neighbouring clusters to the power tau.

    Parameters
    ----------
    table : csr_array of shape (m, r), float32 or float64
        Rows of each cluster in each domain.
    responsibilities : ndarray of shape (m, k), dtype of the table
        Classes of the clusters to start from; rows sum to 1.
    domain_given_class : ndarray of shape (r, k), dtype of the table
        q(domain | class) to start from; columns sum to 1.
    neighbors : ndarray of shape (m, q), int32
        Clusters over which each one is smoothed, itself included.
    tau, beta : float, default=2.0 and 3.0
        Exponents, above 0; 1 for both is plain EM.
    max_iter : int, default=30
        Most iterations.
    tol : float, default=1e-3
        Stop when no column of ``domain_given_class`` moves by more than this, in total variation.
    callback : None or callable, default=None
        ``callback(iteration, log_likelihood)`` after each iteration; True stops.

    Returns
    -------
    fit : PLSAFit

    Notes
    -----
    O(nnz k + m q k) time for each iteration and O((m + r) k) memory.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> from clusterlib.solvers import tempered_plsa
    >>> table = scipy.sparse.csr_array(np.array([[8.0, 2.0], [2.0, 8.0]]))
    >>> start = np.array([[0.6, 0.4], [0.4, 0.6]])
    >>> near = np.array([[0], [1]], dtype=np.int32)
    >>> fit = tempered_plsa(table, start, np.array([[0.6, 0.4], [0.4, 0.6]]), near)
    >>> fit.pooled.round(2)
    array([[1., 0.],
           [0., 1.]])
    """
    cells = table.indptr.astype(np.int64), table.indices.astype(np.int32), table.data
    sizes = np.asarray(table.sum(axis=1)).ravel()
    G, D = responsibilities, domain_given_class
    history, converged = [], False
    while len(history) < max_iter and not converged:
        pooled = smoothed_classes(G, sizes, neighbors, tau)
        G, counted, log_likelihood = plsa_step(*cells, pooled, D, beta=beta)
        G = _unit_rows(G)
        counted = counted + counted.dtype.type(_PRIOR_ROWS / len(D))
        counted /= counted.sum(axis=0)
        converged = bool(0.5 * np.abs(counted - D).sum(axis=0).max() <= tol)
        D = counted
        history.append(log_likelihood / float(sizes.sum()))
        if callback is not None and callback(len(history), history[-1]):
            break
    pooled = smoothed_classes(G, sizes, neighbors, tau)
    log_likelihood = plsa_step(*cells, pooled, D)[2] / float(sizes.sum())
    return PLSAFit(pooled, G, D, log_likelihood, converged, np.array(history))


def smoothed_classes(
    responsibilities: Array, sizes: Array, neighbors: Int32Array, tau: float
) -> FloatArray:
    """Sharpen the means of clusters over their neighbours, weighted by their rows.

    Parameters
    ----------
    responsibilities : ndarray of shape (m, k)
        Of the clusters.
    sizes : ndarray of shape (m,)
        Rows of each cluster.
    neighbors : ndarray of shape (m, q), int32
        Clusters of each mean.
    tau : float
        Exponent.

    Returns
    -------
    pooled : ndarray of shape (m, k), dtype of the responsibilities
        Rows of sum 1, no entry 0.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import smoothed_classes
    >>> near = np.array([[0, 1], [1, 0]], dtype=np.int32)
    >>> smoothed_classes(np.eye(2), np.array([30.0, 10.0]), near, 1.0).round(3)
    array([[0.75, 0.25],
           [0.75, 0.25]])
    """
    weights = sizes[neighbors].astype(responsibilities.dtype)
    means = np.einsum("cq,cqk->ck", weights, responsibilities[neighbors])
    means /= np.maximum(weights.sum(axis=1, keepdims=True), 1)
    means += means.dtype.type(_FLOOR)
    # Divided first: a power of shares of 1 cannot vanish altogether.
    means /= means.max(axis=1, keepdims=True)
    return _unit_rows(means if tau == 1 else means**tau)


def _unit_rows(values):
    """Rows of sum 1; a row of zeros becomes equal shares."""
    sums = values.sum(axis=1, keepdims=True)
    equal = values.dtype.type(1 / values.shape[1])
    return np.where(sums > 0, values / np.where(sums > 0, sums, 1), equal)


class TableStarts:
    """Starts from the corners of the simplex of domain shares.

    Rows of the table, divided by their sums, lie in a simplex whose corners are the classes. Their
    coordinates along the leading singular vectors hold little of the noise of small counts; groups
    of clusters in these coordinates, by k-means from different seeds, hold still less. Corners are
    taken among the groups by successive projection.

    Parameters
    ----------
    table : csr_array of shape (m, r), float32 or float64
        Rows of each cluster in each domain; every domain has some.
    n_classes : int
        Number of corners; m and r at least.

    Notes
    -----
    O(nnz k) time for each of some dozens of products of Lanczos' iteration; O(m k^2) for a start.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> from clusterlib.solvers import TableStarts
    >>> counts = np.array([[80.0, 20.0, 5.0], [45.0, 55.0, 5.0], [10.0, 90.0, 5.0]])
    >>> starts = TableStarts(scipy.sparse.csr_array(counts), 2)
    >>> classes, D = starts.start(3, np.random.default_rng(0))
    >>> sorted(classes.argmax(axis=1)[[0, 2]].tolist()), D.shape
    ([0, 1], (3, 2))
    """

    def __init__(self, table: CsrArray, n_classes: int) -> None:
        self._table, self._n_classes = table, n_classes
        self._sizes = np.asarray(table.sum(axis=1), dtype=np.float64).ravel()
        shares = np.asarray(table.sum(axis=0), dtype=np.float64).ravel() / self._sizes.sum()
        # Counts have variances in proportion to the shares of the domains, and rows q(d | cluster)
        # to 1 / size: the square roots make the noise of all entries alike.
        scaled = table.astype(np.float64).multiply(1 / np.sqrt(shares)).tocsr()
        sizes = np.maximum(self._sizes, 1)
        levelled = scipy.sparse.diags_array(1 / np.sqrt(sizes)) @ scaled
        directions = _leading_directions(levelled, n_classes)
        self._coordinates = np.ascontiguousarray((scaled @ directions) / sizes[:, None])

    def start(self, n_groups: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Classes of the clusters and q(domain | class) of one start.

        Parameters
        ----------
        n_groups : int
            Groups of clusters, n_classes at least.
        rng : numpy.random.Generator
            Source of randomness of the groups.

        Returns
        -------
        classes : ndarray of shape (m, k), dtype of the table
            Rows of sum 1.
        domain_given_class : ndarray of shape (r, k), dtype of the table
            Columns of sum 1.
        """
        Z, sizes = self._coordinates, self._sizes
        centers = kmeans_plusplus(Z, n_groups, rng, sample_weight=sizes).centers
        fit = lloyd(Z, centers, sample_weight=sizes, max_iter=_KMEANS_ITERATIONS)
        masses = np.bincount(fit.labels, sizes, minlength=n_groups)
        corners = self._corners(fit.centers, masses)
        members = scipy.sparse.csr_array(
            (np.ones(len(Z)), (fit.labels, np.arange(len(Z)))), shape=(n_groups, len(Z))
        )
        D = (members @ self._table).toarray()[corners].T + _PRIOR_ROWS / self._table.shape[1]
        classes = np.maximum(Z @ np.linalg.pinv(fit.centers[corners]), _FLOOR)
        dtype = self._table.dtype
        return _unit_rows(classes.astype(dtype)), (D / D.sum(axis=0)).astype(dtype)

    def _corners(self, centers, masses):
        """Groups at the corners; the largest others where there are not enough."""
        allowed = masses >= _LEAST_PART * masses.sum() / len(masses)
        if allowed.sum() < self._n_classes:
            allowed = masses > 0
        corners = successive_projection(centers, self._n_classes, allowed=allowed)
        others = np.setdiff1d(np.argsort(-masses, kind="stable"), corners, assume_unique=True)
        return np.concatenate([corners, others[: self._n_classes - len(corners)]])


def _leading_directions(matrix, rank):
    """Right singular vectors of the largest singular values, in their order."""
    side = min(matrix.shape)
    if rank >= side or side <= _DENSE_SIDE:
        return np.linalg.svd(matrix.toarray(), full_matrices=False)[2][:rank].T
    # Not equal entries: where domains are of one size, these are a singular vector already, and
    # what Lanczos' iteration then goes on with is rounding, or drawn without a seed.
    start = np.random.default_rng(0).standard_normal(side)
    options = {"v0": start, "tol": _SINGULAR_TOL, "solver": "arpack"}
    _, values, rows = scipy.sparse.linalg.svds(matrix, k=rank, **options)
    return rows[np.argsort(-values)].T
