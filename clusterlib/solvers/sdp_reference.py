"""The semidefinite relaxations as they are written down, solved by cvxpy: slow and beyond doubt."""

from __future__ import annotations

import warnings
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from clusterlib.solvers.low_rank_likelihood import Trace

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, Float64Array

__all__ = [
    "CVXPY_LIKELIHOOD_ROWS",
    "CVXPY_ROWS",
    "ConicSolver",
    "SDPReference",
    "likelihood_gram",
    "likelihood_reference_rows",
    "solve_likelihood_sdp_reference",
    "solve_sdp_reference",
]

CVXPY_ROWS = 200
"""Rows up to which :func:`solve_sdp_reference` takes seconds."""

CVXPY_LIKELIHOOD_ROWS = 90
"""Rows up to which :func:`solve_likelihood_sdp_reference` takes seconds with three groups."""

_DONE = "optimal"
_MOST_STEPS = {"SCS": 50_000, "CLARABEL": 200}


class ConicSolver(Enum):
    """Which solver behind cvxpy does the work.

    Attributes
    ----------
    SCS
        A method of first order: cheap iterations, hundreds of them.
    CLARABEL
        Interior points: a score of iterations, each of which factorises a huge matrix.
    """

    SCS = "SCS"
    CLARABEL = "CLARABEL"


class SDPReference(NamedTuple):
    """What a general conic solver found.

    Attributes
    ----------
    Z : ndarray of shape (n, n) or (n_groups, n, n), float64
        Membership matrices, symmetric, feasible up to ``feasibility_error``.
    objective : float
        <A, Z>, or the sum of <A_k, Z_k>, in the units of the input. As Z is only nearly feasible
        it may lie above the optimum by about ``feasibility_error`` times its size.
    upper_value : float
        What no feasible matrix exceeds, up to rounding: the dual value of the solver's
        multipliers, made feasible and evaluated with dense eigenvalues.
    feasibility_error : float
        Largest error of a row sum or a trace, or largest negative entry or eigenvalue.
    n_iter : int
        Iterations of the solver.
    converged : bool
        Whether the solver reached its tolerance.
    status : str
        In the words of cvxpy.
    """

    Z: Float64Array
    objective: float
    upper_value: float
    feasibility_error: float
    n_iter: int
    converged: bool
    status: str


def solve_sdp_reference(
    X: ArrayLike,
    n_clusters: int,
    *,
    solver: ConicSolver | str = ConicSolver.SCS,
    tol: float = 1e-6,
    max_iter: int | None = None,
) -> SDPReference:
    """Solve the semidefinite relaxation of k-means with a matrix of all pairs of rows.

    With the rows of X centred and A = X X', it is

        max <A, Z>  over symmetric Z with Z psd, Z >= 0, Z 1 = 1 and tr Z = K.

    The k-means cost of any partition is at least ``||X||^2 - max <A, Z>``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows, finite.
    n_clusters : int
        From 1 to n_samples.
    solver : ConicSolver or str, default=ConicSolver.SCS
        ``"SCS"`` or ``"CLARABEL"``; the second for at most 60 rows.
    tol : float, default=1e-6
        Absolute and relative tolerance of the solver, whose objective is divided by the largest
        eigenvalue of A.
    max_iter : int, default=None
        Most iterations; None allows 50 000 of SCS, 200 of Clarabel.

    Returns
    -------
    result : SDPReference
        ``Z`` has shape (n_samples, n_samples).

    Raises
    ------
    ImportError
        If cvxpy is not installed.
    RuntimeError
        If the solver gives no point at all.

    Notes
    -----
    Of the order of n^3 time for each iteration and n^2 memory with SCS, n^6 and n^4 with
    Clarabel. Above ``CVXPY_ROWS`` it takes minutes.

    References
    ----------
    .. [1] J. Peng and Y. Wei, "Approximating K-means-type clustering via semidefinite
       programming", SIAM Journal on Optimization 18(1), 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import solve_sdp_reference
    >>> result = solve_sdp_reference(np.array([[0.0], [1.0], [9.0], [10.0]]), 2)
    >>> np.round(result.Z, 2).tolist()[0], round(result.objective, 3)
    ([0.5, 0.5, 0.0, 0.0], 81.0)
    """
    X = _centred(X)
    A = X @ X.T
    Z, multipliers, outcome = _solve(A[None], n_clusters, Trace.TOTAL, solver, tol, max_iter)
    return SDPReference(
        Z[0],
        float(np.vdot(A, Z[0])),
        _kmeans_bound(A, multipliers.nonnegative[0], n_clusters),
        _feasibility_error(Z, n_clusters, Trace.TOTAL),
        *outcome,
    )


def solve_likelihood_sdp_reference(
    X: ArrayLike,
    covariances: ArrayLike,
    *,
    log_weights: ArrayLike | None = None,
    trace: Trace | str = Trace.GROUP,
    solver: ConicSolver | str = ConicSolver.SCS,
    tol: float = 1e-6,
    max_iter: int | None = None,
) -> SDPReference:
    """Solve the semidefinite relaxation of Gaussian groups with known covariances.

    With A_k from :func:`likelihood_gram` it is

        max sum_k <A_k, Z_k>  over Z_k psd, Z_k >= 0, (sum_k Z_k) 1 = 1 and traces as chosen.

    Half of the value and ``- n p log(2 pi) / 2`` is a bound on the log-likelihood of every
    partition, maximised over the means.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows, finite.
    covariances : array-like of shape (n_groups, n_features, n_features)
        Positive definite.
    log_weights : array-like of shape (n_groups,), default=None
        Logarithms of the shares of the groups; None leaves shares out of the likelihood.
    trace : Trace or str, default=Trace.GROUP
        ``"group"``: tr Z_k = 1 for each k, which is tighter and holds for every partition without
        an empty group. ``"total"``: the traces sum to the number of groups.
    solver : ConicSolver or str, default=ConicSolver.SCS
        As in :func:`solve_sdp_reference`.
    tol : float, default=1e-6
        As there; the objective is divided by the largest spectral norm of the A_k.
    max_iter : int, default=None
        As there.

    Returns
    -------
    result : SDPReference
        ``Z`` has shape (n_groups, n_samples, n_samples).

    Raises
    ------
    ImportError
        If cvxpy is not installed.
    RuntimeError
        If the solver gives no point at all.

    Notes
    -----
    As :func:`solve_sdp_reference` with one matrix for each group; above
    :func:`likelihood_reference_rows` it takes minutes.

    References
    ----------
    .. [1] Y. Zhuang, X. Chen and Y. Yang, "Likelihood adjusted semidefinite programs for
       clustering heterogeneous data", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import solve_likelihood_sdp_reference
    >>> X = np.array([[-0.1], [0.1], [-9.0], [9.0]])
    >>> result = solve_likelihood_sdp_reference(X, [[[0.01]], [[81.0]]])
    >>> result.Z.sum(axis=2).round().astype(int).tolist()
    [[1, 1, 0, 0], [0, 0, 1, 1]]
    """
    trace = Trace(trace)
    A = likelihood_gram(X, covariances, log_weights)
    Z, multipliers, outcome = _solve(A, len(A), trace, solver, tol, max_iter)
    return SDPReference(
        Z,
        float(np.vdot(A, Z)),
        _likelihood_bound(A, *multipliers, trace),
        _feasibility_error(Z, len(A), trace),
        *outcome,
    )


def likelihood_gram(
    X: ArrayLike, covariances: ArrayLike, log_weights: ArrayLike | None = None
) -> Float64Array:
    """Similarities of all pairs of rows as the groups see them.

    For group k with covariance S_k and share w_k,

        A_k[i, j] = -1/2 (x_i - x_j)' inv(S_k) (x_i - x_j) - log det S_k + 2 log w_k,

    so that for the indicator matrices Z_k = 1 1' / n_k of a partition 1/2 sum_k <A_k, Z_k> is the
    log-likelihood at the best means, and ``sum_k n_k log w_k`` with it, but for the constant
    ``-n p log(2 pi) / 2``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows; where their origin is does not matter.
    covariances : array-like of shape (n_groups, n_features, n_features)
        Positive definite.
    log_weights : array-like of shape (n_groups,), default=None
        Logarithms of the shares; None leaves them out.

    Returns
    -------
    A : ndarray of shape (n_groups, n_samples, n_samples), float64
        Symmetric.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a covariance is not positive definite.

    Notes
    -----
    O(n_groups n^2 p) time and n_groups n^2 memory: for tests and small problems.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import likelihood_gram
    >>> likelihood_gram(np.array([[0.0], [2.0]]), [[[4.0]]]) + np.log(4)
    array([[[ 0. , -0.5],
            [-0.5,  0. ]]])
    """
    X = _centred(X)
    covariances = np.asarray(covariances, dtype=np.float64)
    log_weights = np.zeros(len(covariances)) if log_weights is None else np.asarray(log_weights)
    A = np.empty((len(covariances), len(X), len(X)))
    for gram, covariance, log_weight in zip(A, covariances, log_weights, strict=True):
        factor = np.linalg.cholesky(covariance)
        whitened = solve_triangular(factor, X.T, lower=True).T
        norms = np.einsum("ij,ij->i", whitened, whitened)
        np.matmul(whitened, whitened.T, out=gram)
        gram -= 0.5 * (norms[:, None] + norms)
        gram += 2 * (log_weight - np.log(np.diag(factor)).sum())
    return A


def likelihood_reference_rows(n_groups: int) -> int:
    """Rows up to which the likelihood form by cvxpy takes seconds.

    Parameters
    ----------
    n_groups : int
        Number of membership matrices, at least 1.

    Returns
    -------
    n_rows : int
        As many as make ``n_groups n_rows^2`` numbers, the size of the program, what they are
        with three groups of ``CVXPY_LIKELIHOOD_ROWS``.

    Examples
    --------
    >>> from clusterlib.solvers import likelihood_reference_rows
    >>> [likelihood_reference_rows(n_groups) for n_groups in (2, 3, 12)]
    [110, 90, 45]
    """
    return int(CVXPY_LIKELIHOOD_ROWS * np.sqrt(3 / n_groups))


class _Multipliers(NamedTuple):
    nonnegative: np.ndarray  # (K, n, n), of Z_k >= 0; not negative
    rows: np.ndarray  # (n,), of the row sums


def _centred(X):
    X = np.asarray(X, dtype=np.float64)
    return X - X.mean(axis=0)


def _solve(A, total, trace, solver, tol, max_iter):
    """Matrices, multipliers in the units of A, and (n_iter, converged, status)."""
    try:
        import cvxpy
    except ImportError as error:
        raise ImportError(
            'the semidefinite reference needs cvxpy: pip install "clusterlib-native[cvx]"'
        ) from error
    solver = ConicSolver(solver).value
    n = A.shape[1]
    scale = max(np.linalg.norm(matrix, 2) for matrix in A) or 1.0
    Z = [cvxpy.Variable((n, n), PSD=True) for _ in A]
    nonnegative = [matrix >= 0 for matrix in Z]
    rows = cvxpy.sum(sum(Z), axis=1) == 1
    traces = [cvxpy.trace(matrix) for matrix in Z]
    traces = [one == 1 for one in traces] if trace is Trace.GROUP else [sum(traces) == total]
    scores = [cvxpy.sum(cvxpy.multiply(a / scale, z)) for a, z in zip(A, Z, strict=True)]
    problem = cvxpy.Problem(cvxpy.Maximize(sum(scores)), [*nonnegative, rows, *traces])
    max_iter = _MOST_STEPS[solver] if max_iter is None else max_iter
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an early stop is told by the status
        problem.solve(solver=solver, **_options(solver, tol, max_iter))
    if any(z.value is None for z in Z):
        raise RuntimeError(f"{solver} found no point of the semidefinite program: {problem.status}")
    found = np.array([(z.value + z.value.T) / 2 for z in Z])
    duals = np.array([np.asarray(one.dual_value) for one in nonnegative])
    duals = scale * np.maximum((duals + duals.transpose(0, 2, 1)) / 2, 0)
    multipliers = _Multipliers(duals, scale * np.asarray(rows.dual_value))
    outcome = int(problem.solver_stats.num_iters), problem.status == _DONE, problem.status
    return found, multipliers, outcome


def _options(solver, tol, max_iter):
    if solver == ConicSolver.SCS.value:
        return {"eps_abs": tol, "eps_rel": tol, "max_iters": max_iter}
    return {"tol_gap_abs": tol, "tol_gap_rel": tol, "tol_feas": tol, "max_iter": max_iter}


def _kmeans_bound(A, N, n_clusters):
    """What <A, Z> cannot exceed, for any N >= 0.

    Z has the eigenvector 1 with eigenvalue 1, and the others in [0, 1] that sum to K - 1; so
    <A, Z> <= <A + N, Z> <= 1'(A + N)1 / n + the K - 1 largest eigenvalues of P (A + N) P.
    """
    M = A + N
    means = M.mean(axis=1)
    centred = M - means[:, None] - means + means.mean()
    eigenvalues = np.linalg.eigvalsh(centred)
    return float(len(A) * means.mean() + eigenvalues[len(A) - n_clusters + 1 :].sum())


def _likelihood_bound(A, N, rows, trace):
    """What sum_k <A_k, Z_k> cannot exceed, for any N_k >= 0 and any multipliers of the rows."""
    slack = A + N - 0.5 * (rows[:, None] + rows)
    largest = np.linalg.eigvalsh(slack)[:, -1]
    traces = largest.sum() if trace is Trace.GROUP else len(A) * largest.max()
    return float(traces + rows.sum())


def _feasibility_error(Z, total, trace):
    traces = np.trace(Z, axis1=1, axis2=2)
    errors = traces - 1 if trace is Trace.GROUP else traces.sum() - total
    rows = Z.sum(axis=(0, 2)) - 1
    least = min(Z.min(), np.linalg.eigvalsh(Z).min())
    return float(max(np.abs(errors).max(), np.abs(rows).max(), -least))
