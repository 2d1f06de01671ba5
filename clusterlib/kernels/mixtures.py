"""Contracts of the kernels on mixtures of a few distributions over many outcomes.

A mixture has k components. A table of counts (rows are documents, words or micro-clusters, columns
the outcomes) is explained by ``sum_t W_it H_jt``: :func:`plsa_step` is one step of expectation
maximisation for both factors, :func:`mixture_weights` fits the weights of single rows, and
:func:`tempered_posterior` is the step for rows that have one outcome each, their domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix,
    as_vector,
    checked_integer,
    checked_threads,
)
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.mixture_checks import (
    as_factor,
    as_factors,
    as_indices,
    as_power,
    as_table,
    check_extremes,
    checked_neighbors,
)

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, Backend, Float64Array, FloatArray, Int32Array

__all__ = ["TemperedPosterior", "mixture_weights", "plsa_step", "tempered_posterior"]

_MOST_ITERATIONS = 2**31 - 1
_MOST_LEAVES = 64
# A leaf reads and clears its table of sums once and adds it up once: with so many cells for every
# row of that table this is less than a tenth of the work.
_CELLS_OF_LEAF = 32
_ROWS_OF_LEAF = 16
_SHORTEST_LEAF = 4096


class TemperedPosterior(NamedTuple):
    """What :func:`tempered_posterior` returns.

    Attributes
    ----------
    responsibilities : ndarray of shape (n, k), dtype of H, or None
        G: the posterior to the power beta, normalised.
    posterior : ndarray of shape (n, k), dtype of H, or None
        P.
    counts : ndarray of shape (r, k), float64
        Weighted sums of G over the rows of each domain.
    totals : ndarray of shape (r, k), float64
        Weighted sums of P.
    log_likelihood : float
        ``sum_i weight_i log s_i``.
    """

    responsibilities: FloatArray | None
    posterior: FloatArray | None
    counts: Float64Array
    totals: Float64Array
    log_likelihood: float


@follows_data
def plsa_step(
    indptr: ArrayLike,
    indices: ArrayLike,
    data: ArrayLike,
    W: ArrayLike,
    H: ArrayLike,
    *,
    beta: float = 1.0,
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[FloatArray, FloatArray, float]:
    """Expected counts of the components of a sparse table, one step of (tempered) PLSA.

    A cell with count v in row i and column j has the products ``p_t = W_it H_jt`` with sum s and
    the shares ``g_t = (p_t / s)^beta``, normalised; ``v g`` is added to row i of ``W_sums`` and to
    row j of ``H_sums``. With beta = 1 and normalised sums this is expectation maximisation for
    probabilistic latent semantic analysis [1]_, the multiplicative update of the non-negative
    factorisation by the Kullback-Leibler divergence [2]_, for both factors at once.

    Parameters
    ----------
    indptr, indices, data : array-like of shape (n + 1,), (nnz,) and (nnz,)
        The table in compressed rows: cells ``indptr[i]`` to ``indptr[i + 1]`` belong to row i, with
        their columns and their counts, finite and at least 0. Cells of a row may come in any order
        and more than once. int64, int32 and the dtype of W are taken without a copy.
    W : array-like of shape (n, k)
        Finite, at least 0, in any scale. float32 stays float32 if H is too; else float64.
    H : array-like of shape (m, k)
        The same for columns.
    beta : float, default=1.0
        Positive. Above 1 shares become more extreme, below 1 less.
    n_threads : None or int, default=None
        Number of threads; the result has the same bits for any.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        Which implementation.

    Returns
    -------
    W_sums : ndarray of shape (n, k), dtype of W
        Sum of ``v g`` over the cells of each row; 0 for a row without cells.
    H_sums : ndarray of shape (m, k), dtype of W
        Sum of ``v g`` over the cells of each column.
    log_likelihood : float
        ``sum v log s``, of W and H as they are given. Cells without a component (s = 0) have shares
        of 1/k; the result is ``-inf`` if one of them has v > 0.

    Raises
    ------
    ValueError
        For NaN, infinity or negative numbers, cells that are not in the table, an indptr that
        decreases, wrong shapes, a beta that is not positive, an unknown backend.
    TypeError
        For what is not an array of numbers, or not of integers.

    Notes
    -----
    O(nnz k) time. Calculated and summed in float64 for both dtypes, with a relative error of
    ``(k + 8 beta + cells of the column + 8) 2^-53`` for beta in {1, 2, 3}, before the result is
    rounded to its dtype. Rows of both factors are taken relative to their largest entry, and
    s below 2^-300 of both counts as 0. Sums over rows are taken over at most 64 leaves of
    consecutive rows (fewer for a table with less than 32 m cells for each) and merged by a fixed
    tree. Memory: a float64 copy of H (two for beta 2 or 3), and ``log2(leaves) + 5`` float64 tables
    of the size of H for one thread, at most one for each leaf with many.

    References
    ----------
    .. [1] T. Hofmann, "Probabilistic latent semantic indexing", SIGIR 1999.
    .. [2] C. Ding, T. Li, W. Peng, "On the equivalence between non-negative matrix factorization
       and probabilistic latent semantic indexing", Comput. Stat. Data Anal. 52(8), 2008.

    Examples
    --------
    Two rows that share a column:

    >>> import numpy as np
    >>> from clusterlib.kernels import plsa_step
    >>> indptr, indices, data = [0, 2, 4], [0, 1, 1, 2], [3.0, 2.0, 2.0, 5.0]
    >>> W, H = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    >>> W_sums, H_sums, log_likelihood = plsa_step(indptr, indices, data, W, H)
    >>> W_sums
    array([[4., 1.],
           [1., 6.]])
    >>> H_sums
    array([[3., 0.],
           [2., 2.],
           [0., 5.]])
    >>> round(float(log_likelihood / np.log(0.5)), 6)
    12.0
    """
    n_threads = checked_threads(n_threads)
    W, H = as_factors(W, H)
    table = as_table(indptr, indices, data, W.dtype, len(H), len(W))
    beta = as_power("beta", beta)
    W_sums, H_sums = np.empty_like(W), np.empty_like(H)
    log_likelihood = implementation("plsa_step", backend)(
        *table, W, H, beta, _leaves(table.indptr, len(H)), W_sums, H_sums, n_threads
    )
    return W_sums, H_sums, log_likelihood


def _leaves(indptr, n_columns):
    """Bounds of runs of rows with about equally many cells; they do not depend on threads."""
    n_cells = int(indptr[-1])
    n_leaves = min(max(n_cells // (_CELLS_OF_LEAF * max(n_columns, 1)), 1), _MOST_LEAVES)
    bounds = np.searchsorted(indptr, n_cells * np.arange(n_leaves + 1) // n_leaves)
    bounds[0], bounds[-1] = 0, len(indptr) - 1
    return bounds.astype(np.int64)


@follows_data
def mixture_weights(
    indptr: ArrayLike,
    indices: ArrayLike,
    data: ArrayLike,
    H: ArrayLike,
    *,
    W: ArrayLike | None = None,
    max_iter: int = 100,
    tol: float = 0.0,
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[FloatArray, Int32Array]:
    """Fit the weights of known components to every row of a sparse table.

    For each row the w in the probability simplex that maximises ``sum_j v_j log (H w)_j``, by
    expectation maximisation: ``w_t <- w_t sum_j v_j H_jt / (H w)_j``, normalised. This is the
    projection onto the hull of the columns of H by the Kullback-Leibler divergence when those sum
    to 1, and the fold-in of new rows of probabilistic latent semantic analysis [1]_. The problem is
    concave and the likelihood never falls.

    Parameters
    ----------
    indptr, indices, data : array-like of shape (n + 1,), (nnz,) and (nnz,)
        The table, as in :func:`plsa_step`.
    H : array-like of shape (m, k)
        Finite, at least 0; float32 stays float32, everything else becomes float64.
    W : None or array-like of shape (n, k), default=None
        Where to start, finite and at least 0; rows are normalised, and 0 entries stay 0. None is
        the uniform start.
    max_iter : int, default=100
        Number of iterations at most.
    tol : float, default=0.0
        A row stops once none of its entries moved by more than this.
    n_threads, backend
        As in :func:`plsa_step`.

    Returns
    -------
    W : ndarray of shape (n, k), dtype of H
        Rows in the simplex. A row whose cells no component explains, or without cells, stays at
        its start.
    n_iter : ndarray of shape (n,), int32
        Iterations of each row.

    Raises
    ------
    ValueError, TypeError
        As in :func:`plsa_step`, and for ``max_iter`` below 1 or a negative tol.

    Notes
    -----
    O(nnz k) time for an iteration of all rows, in float64; rows do not see each other. Memory for
    each thread: a float64 copy of the rows of H that the longest row of the table needs. Rows of H
    are divided by their largest entry, which moves the likelihood by a constant; then sums below
    2^-300 count as 0, and such cells say nothing.

    References
    ----------
    .. [1] T. Hofmann, "Probabilistic latent semantic indexing", SIGIR 1999.

    Examples
    --------
    A row that is the mean of two components, and one that has nothing of the second:

    >>> import numpy as np
    >>> from clusterlib.kernels import mixture_weights
    >>> H = np.array([[0.8, 0.0], [0.2, 0.2], [0.0, 0.8]])
    >>> W, n_iter = mixture_weights([0, 3, 5], [0, 1, 2, 0, 1], [4.0, 2.0, 4.0, 4.0, 1.0], H)
    >>> W.round(6)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    n_threads = checked_threads(n_threads)
    H = as_factor("H", H)
    table = as_table(indptr, indices, data, H.dtype, len(H))
    n, k = len(table.indptr) - 1, H.shape[1]
    start = np.full((n, k), 1 / k, H.dtype)
    if W is not None:
        W = as_factor("W", W, H.dtype)
        if W.shape != (n, k):
            raise ValueError(f"W must have shape ({n}, {k}), got {W.shape}")
        start[:] = W
    max_iter = checked_integer("max_iter", max_iter, 1, _MOST_ITERATIONS)
    tol = float(as_vector("tol", tol, 1, low=0.0)[0])
    n_iter = np.empty(n, np.int32)
    implementation("mixture_weights", backend)(*table, H, max_iter, tol, start, n_iter, n_threads)
    return start, n_iter


@follows_data
def tempered_posterior(
    H: ArrayLike,
    D: ArrayLike,
    domains: ArrayLike,
    *,
    neighbors: ArrayLike | None = None,
    floor: float = 0.0,
    tau: float = 1.0,
    beta: float = 1.0,
    weight: ArrayLike | None = None,
    return_posterior: bool = False,
    return_responsibilities: bool = True,
    n_threads: int | None = None,
    backend: Backend = None,
) -> TemperedPosterior:
    """Posteriors of rows that come with a domain, and their sums by domain, in one pass.

    ``h_i`` is row i of H, or the mean of H over the neighbours of row i, plus ``floor``; it is
    raised to the power tau and normalised. Then ``P_i = h_i * D[domains_i] / s_i`` with s_i the
    sum of the products, and ``G_i = P_i^beta``, normalised. The sums of P and of G over the rows of
    each domain are what the next D and the next marginals are made of. tau undoes the smoothing of
    the mean, beta keeps the components apart; with both 1 and no neighbours this is a step of
    expectation maximisation for the marginals of each domain [1]_.

    Parameters
    ----------
    H : array-like of shape (n, k)
        Finite, at least 0, in any scale; float32 stays float32, everything else becomes float64.
        Rows that are 0 count as uniform.
    D : array-like of shape (r, k)
        Finite, at least 0: how likely each domain is under each component.
    domains : array-like of int of shape (n,)
        From 0 to r - 1.
    neighbors : None or array-like of int of shape (n, q), default=None
        Rows of H to average for each row.
    floor : float, default=0.0
        At least 0; added to every entry, with neighbours or without.
    tau, beta : float, default=1.0
        Positive powers. 1, 2 and 3 are multiplications, others take logarithms.
    weight : None or array-like of shape (n,), default=None
        Finite, at least 0. None means 1.
    return_posterior, return_responsibilities : bool
        Whether to write P and G; without them nothing of n rows is written.
    n_threads, backend
        As in :func:`plsa_step`.

    Returns
    -------
    result : TemperedPosterior
        Named tuple of ``responsibilities, posterior, counts, totals, log_likelihood``. A row with
        s = 0 has P and G uniform; the likelihood is ``-inf`` if one of them has a weight.

    Raises
    ------
    ValueError
        For NaN, infinity or negative numbers, domains or neighbours that do not exist, wrong
        shapes, powers that are not positive, an unknown backend.
    TypeError
        For what is not an array of numbers, or not of integers.

    Notes
    -----
    O(n k) time, and O(n q k) with neighbours, in float64 for both dtypes. The relative error of an
    entry of G is ``beta (2 tau (q + 3) + 2 k + 4) 2^-53`` for powers of 1, 2 and 3, with q = 0
    without neighbours, and of a sum that plus the rows of a leaf and the depth of the tree times
    2^-53. s below 2^-300 of the largest entries of h and of the row of D counts as 0. Sums run over
    leaves of rows that are merged by a fixed tree: 4096 rows, or 16 r rounded up to a power of two.
    Memory: a copy of D, and ``log2(leaves) + 5`` tables of the size of counts and totals for one
    thread, at most one for each leaf with many, which is a fourth of H.

    References
    ----------
    .. [1] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a
       priori probabilities: a simple procedure", Neural Computation 14(1), 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import tempered_posterior
    >>> H = np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]])
    >>> D = np.array([[0.75, 0.25], [0.25, 0.75]])
    >>> result = tempered_posterior(H, D, [0, 1, 1], beta=2.0, return_posterior=True)
    >>> result.posterior
    array([[0.75, 0.25],
           [0.25, 0.75],
           [1.  , 0.  ]])
    >>> result.responsibilities
    array([[0.9, 0.1],
           [0.1, 0.9],
           [1. , 0. ]])
    >>> result.totals
    array([[0.75, 0.25],
           [1.25, 0.75]])
    """
    n_threads = checked_threads(n_threads)
    H = as_matrix("H", H)
    H = np.require(H, H.dtype, ["C", "A"])
    D = as_factor("D", D, H.dtype)
    n, k = H.shape
    if D.shape[1] != k:
        raise ValueError(f"H and D must have the same number of columns, got {k} and {D.shape[1]}")
    domains = as_indices("domains", domains, np.int32, (n,))
    check_extremes("domains", domains, 0, len(D) - 1, f"from 0 to {len(D) - 1}")
    neighbors = checked_neighbors(neighbors, n)
    floor = float(as_vector("floor", floor, 1, low=0.0)[0])
    tau, beta = as_power("tau", tau), as_power("beta", beta)
    if weight is not None:
        weight = as_vector("weight", weight, n, low=0.0)
    responsibilities = np.empty_like(H) if return_responsibilities else None
    posterior = np.empty_like(H) if return_posterior else None
    counts, totals = np.empty(D.shape), np.empty(D.shape)
    log_likelihood = implementation("tempered_posterior", backend)(
        H, D, domains, neighbors, floor, tau, beta, weight, _rows_of_leaf(len(D)),
        responsibilities, posterior, counts, totals, n_threads,
    )  # fmt: skip
    # A logarithm on the way may have made a number of NaN.
    logarithms = neighbors is None and tau not in (1.0, 2.0, 3.0)
    if np.isnan(log_likelihood) or (logarithms and np.isnan(H).any()):
        raise ValueError("H must hold finite numbers that are at least 0")
    return TemperedPosterior(responsibilities, posterior, counts, totals, log_likelihood)


def _rows_of_leaf(n_domains):
    return max(_SHORTEST_LEAF, 1 << (_ROWS_OF_LEAF * n_domains - 1).bit_length())
