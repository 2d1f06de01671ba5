"""Upper bounds of the largest eigenvalues of symmetric matrices that hold in spite of rounding.

A bound of a relaxation is worth as much as the eigenvalues in it. What an eigensolver returns is
an approximation without a side: iterations miss multiple eigenvalues, and the constants in the
error bounds of dense ones are not known. A Cholesky factorisation, though, that runs to its end
proves that its matrix is positive semidefinite up to an explicit error.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, eigh
from scipy.sparse import csr_array
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigsh

__all__ = [
    "UNIT",
    "LowRank",
    "dot_error",
    "improved_vectors",
    "largest_pairs",
    "proved_top_sum",
    "proved_top_sum_low_rank",
]

UNIT = 2.0**-53  # half the distance from 1 to the next number of float64
_GROWTH = 16.0  # of the allowance between two attempts at a factorisation
_N_IMPROVEMENTS = 4
_ALL_PAIRS = 150  # rows up to which all eigenvalues are computed
# How often to look for eigenvalues that the given vectors miss, and what is not worth it.
_MOST_SEARCHES, _MOST_RESTARTS, _NEGLIGIBLE = 6, 20, 1e-9


def dot_error(length):
    """Higham's gamma: the relative error of an inner product of this length, in any order."""
    return length * UNIT / (1.0 - length * UNIT)


class LowRank(NamedTuple):
    """A symmetric matrix ``F core F'``, known by its core and the Gram matrix of F.

    Attributes
    ----------
    gram : ndarray of shape (m, m), float64
        F'F, or any matrix that is larger in the order of positive semidefinite ones, up to
        ``gram_error``.
    core : ndarray of shape (m, m), float64
        Symmetric, of any signs.
    lengths : ndarray of shape (m,), float64
        No less than the norms of the columns of F.
    gram_error : float
        Bound of the error of ``gram_ij``, in units of ``lengths_i lengths_j``.
    """

    gram: np.ndarray
    core: np.ndarray
    lengths: np.ndarray
    gram_error: float


def proved_top_sum(H, count, vectors=None, *, error=0.0, slack=0.0):
    """Bound the sum of the positive ones of the ``count`` largest eigenvalues from above.

    Parameters
    ----------
    H : ndarray of shape (n, n), float64
        Symmetric up to rounding; one triangle is believed.
    count : int
        How many, at least 1.
    vectors : ndarray of shape (n, m), default=None
        Approximations of a space of eigenvectors, m > count, which make the bound good but not
        true. None computes them, in O(n^3) time.
    error : float, default=0.0
        Bound of the spectral norm of what H differs by from the matrix that is meant.
    slack : float, default=0.0
        How far above the sum the bound may lie where vectors are given, at no cost.

    Returns
    -------
    bound : float
        No less than the sum for any matrix within ``error`` of H.

    Notes
    -----
    For numbers ``c_i >= 0``, vectors v_i and a level t with ``t I - H + sum_i c_i v_i v_i'``
    positive semidefinite, every P between 0 and I of trace at most ``count`` has
    ``<H, P> <= count t + sum_i c_i |v_i|^2``. With the eigenvectors, ``c_i`` the eigenvalue less
    t, and t the next eigenvalue, that is the sum itself. Semidefiniteness is shown by a Cholesky
    factorisation, whose backward error is at most ``gamma_(n+1) / (1 - gamma_(n+1))`` times the
    trace [1]_; t is raised by all errors, and further until the factorisation succeeds. One
    factorisation is the rule: n^3 / 3 operations.

    References
    ----------
    .. [1] S. M. Rump, "Verification of positive definiteness", BIT Numerical Mathematics 46,
       2006; N. J. Higham, "Accuracy and Stability of Numerical Algorithms", chapter 10.
    """
    n = len(H)
    if n == 0:
        return 0.0
    norm = float(np.linalg.norm(H)) * (1.0 + dot_error(n + 2))
    if norm == 0.0:
        return count * error
    if not np.isfinite(norm):
        raise ArithmeticError(f"the norm of the matrix must be finite, got {norm}")
    values, vectors = _approximate_pairs(H, count, vectors)
    lift, n_searches = None, 0
    while True:
        level = max(float(np.sort(values)[-count - 1]), 0.0) if len(values) > count else 0.0
        excess = np.maximum(values - level, 0.0)
        is_spike = excess > 0
        columns, excess = vectors[:, is_spike], excess[is_spike]
        squared_norms = np.square(columns).sum(axis=0) * (1.0 + dot_error(n + 2))
        spike = float(excess @ squared_norms) * (1.0 + dot_error(len(excess) + 2))
        # Entries are sums of len(excess) + 2 terms, and the norm of a matrix of errors is at most
        # that of Frobenius.
        rounding = error + dot_error(len(excess) + 4) * (spike + norm)
        rest = _rest(H, columns, excess)
        bare = rest.diagonal().copy()
        if lift is None:
            lift = 2.0 * _cholesky_error(n, np.abs(bare).sum() + n * level) + rounding
            lift = max(lift, slack / count)
        np.fill_diagonal(rest, bare + (level + lift))
        spare = _cholesky_error(n, np.abs(rest.diagonal()).sum()) + rounding
        spare += 2.0 * UNIT * (level + lift)
        if _has_factor(rest):
            return (count * (level + lift + spare) + spike) * (1.0 + 8.0 * UNIT)
        if lift >= _NEGLIGIBLE * norm and n_searches < _MOST_SEARCHES:
            n_searches += 1
            missed, found = _missed_pairs(_rest(H, columns, excess))
            if missed.max(initial=0.0) > level + lift + _NEGLIGIBLE * norm:
                values = np.concatenate([values, missed])
                vectors = np.concatenate([vectors, found], axis=1)
                continue
        lift = max(_GROWTH * lift, UNIT * norm)


def _rest(H, columns, excess):
    rest = (columns * excess) @ columns.T
    rest -= H
    return rest


def improved_vectors(H, vectors):
    """Bring vectors closer to eigenvectors of large eigenvalues, by a short block iteration.

    Parameters
    ----------
    H : ndarray of shape (n, n), float64
        Symmetric.
    vectors : ndarray of shape (n, m)
        Any, m <= n / 2.

    Returns
    -------
    vectors : ndarray of shape (n, m), float64
        Orthonormal; the best in the spaces of the given ones and of their images.
    """
    vectors = np.linalg.qr(vectors.astype(np.float64))[0]
    images = H @ vectors
    for _ in range(_N_IMPROVEMENTS):
        basis = np.linalg.qr(np.concatenate([vectors, images], axis=1))[0]
        images = H @ basis
        turn = np.linalg.eigh(basis.T @ images)[1][:, -vectors.shape[1] :]
        vectors, images = basis @ turn, images @ turn
    return vectors


def _missed_pairs(rest):
    """Large eigenvalues of H that the vectors have not seen, with vectors of their own."""
    n = len(rest)
    start = np.random.default_rng(n).standard_normal(n)
    try:
        values, vectors = eigsh(
            rest, k=min(4, n - 1), which="SA", v0=start, tol=1e-4, maxiter=_MOST_RESTARTS
        )
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
    except ArpackError:
        values, vectors = np.empty(0), np.empty((n, 0))
    return -values, vectors


def _cholesky_error(n, trace):
    gamma = dot_error(n + 1)
    return gamma / (1.0 - gamma) * float(trace) * (1.0 + dot_error(n))


def _has_factor(matrix):
    """Whether a Cholesky factorisation runs to its end, which overwrites the matrix."""
    try:
        # Transposed, LAPACK takes a C-ordered matrix as it is.
        cholesky(matrix.T, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return False
    return True


def _approximate_pairs(H, count, vectors):
    """Eigenvalues, the largest first, and vectors: given, or the ``count`` + 1 largest."""
    if vectors is None:
        return largest_pairs(H, count + 1)
    vectors = np.linalg.qr(vectors)[0]
    values, turn = np.linalg.eigh(vectors.T @ (H @ vectors))
    return values[::-1], vectors @ turn[:, ::-1]


def largest_pairs(H, count):
    """Largest eigenvalues, the largest first, and their vectors, by a dense solver.

    Parameters
    ----------
    H : ndarray of shape (n, n), float64
        Symmetric.
    count : int
        How many are wanted; all n are returned where they cost little more.

    Returns
    -------
    values : ndarray of shape (m,), float64
        Descending, m >= min(count, n).
    vectors : ndarray of shape (n, m), float64
        Orthonormal.
    """
    n = len(H)
    if n > _ALL_PAIRS:
        first = max(0, n - count)
        values, vectors = eigh(H, subset_by_index=[first, n - 1], check_finite=False)
        # LAPACK's method for a part of the spectrum may return less than it was asked for.
        if len(values) == n - first:
            return values[::-1], vectors[:, ::-1]
    values, vectors = np.linalg.eigh(H)
    return values[::-1], vectors[:, ::-1]


def proved_top_sum_low_rank(matrix, count):
    """The bound of :func:`proved_top_sum` for a matrix of low rank, however many rows it has.

    Parameters
    ----------
    matrix : LowRank
        ``F core F'``.
    count : int
        How many eigenvalues, at least 1.

    Returns
    -------
    bound : float
        No less than the sum of the positive ones of the ``count`` largest eigenvalues.

    Notes
    -----
    O(m^3) time. The Gram matrix is first enlarged by all its errors. Then it is that of F with
    some rows below, and ``F core F'`` is a principal submatrix of the product with those rows: by
    interlacing none of its eigenvalues is larger. With ``gram = R R'`` the eigenvalues other than
    0 are those of ``R' core R``.
    """
    present = matrix.lengths > 0
    if not present.any():
        return 0.0
    lengths = matrix.lengths[present]
    m = len(lengths)
    gram = matrix.gram[np.ix_(present, present)] / np.outer(lengths, lengths)
    core = matrix.core[np.ix_(present, present)] * np.outer(lengths, lengths)
    # Twice the errors of the entries and of the factorisation itself.
    enlargement = 2.0 * (m * (matrix.gram_error + 8.0 * UNIT) + _cholesky_error(m, 2.0 * m))
    ones = gram.diagonal().copy()
    while True:
        np.fill_diagonal(gram, ones + enlargement)
        try:
            factor = cholesky(gram, lower=True, check_finite=False)
            break
        except LinAlgError:
            enlargement *= _GROWTH
    # Cores have few entries. Norms bound those of the matrices of absolute values.
    H = factor.T @ (csr_array(core) @ factor)
    magnitude = float(np.square(factor).sum()) * float(np.linalg.norm(core))
    error = 2.0 * dot_error(2 * m + 8) * magnitude
    return proved_top_sum((H + H.T) / 2.0, count, error=error)
