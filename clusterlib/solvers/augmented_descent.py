"""The outer loop of low-rank semidefinite programs: multipliers of the traces, columns that die."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels import simplex_descent

__all__ = ["FactorProblem", "FactorSolution", "augmented_descent"]

# Most iterations for one setting of the multipliers, and how many operations one call of the
# kernel may take before Ctrl-C and callbacks get their turn (about a quarter of a second).
_INNER_ITERATIONS = 500
_OPERATIONS_OF_CALL = 4e9
_FIRST_TOLERANCE = 1e-3
# A penalty that doubles for ever would leave nothing of the objective.
_LARGEST_PENALTY = 1e4
# A column with less than this share of the average is gone, and its curvature would stall the rest.
_DEAD_SHARE = 1e-8


class FactorProblem(NamedTuple):
    """What :func:`clusterlib.kernels.simplex_descent` needs to know of a program.

    Attributes
    ----------
    X : ndarray of shape (n_tiles, p, 16)
        Packed rows, scaled so that the products have eigenvalues near 1 at most.
    n_rows : int
        Number of rows.
    target : ndarray of shape (n_constraints,)
        Traces.
    group, constraint : ndarray of shape (r,), int32
        Group and constraint of each column.
    linear : None or ndarray of shape (n_tiles, n_groups, 16)
        Linear terms, packed likewise.
    precisions : None or ndarray of shape (n_groups, p, p)
        Inner product of each group.
    """

    X: np.ndarray
    n_rows: int
    target: np.ndarray
    group: np.ndarray
    constraint: np.ndarray
    linear: np.ndarray | None = None
    precisions: np.ndarray | None = None


class FactorSolution(NamedTuple):
    """What :func:`augmented_descent` returns.

    Attributes
    ----------
    W : ndarray of shape (n_tiles, r', 16)
        The factor without its dead columns.
    group : ndarray of shape (r',), int32
        Group of each column that is left.
    multiplier : ndarray of shape (n_constraints,)
        Of the traces, in the scale of the problem.
    violation : ndarray of shape (n_constraints,)
        What each trace is off.
    residual : float
        Of the last step.
    n_iter : int
        Iterations of the descent.
    converged : bool
        Whether both are within the tolerance.
    stopped : bool
        Whether the callback has ended the descent.
    history : ndarray of shape (n_outer, 4)
        Iterations so far, objective, trace error and residual after each setting of the
        multipliers.
    """

    W: np.ndarray
    group: np.ndarray
    multiplier: np.ndarray
    violation: np.ndarray
    residual: float
    n_iter: int
    converged: bool
    stopped: bool
    history: np.ndarray

    @property
    def trace_error(self):
        """Largest violation of a trace."""
        return float(np.abs(self.violation).max())


def augmented_descent(
    problem,
    W,
    *,
    multiplier,
    penalty,
    tol=1e-6,
    max_iter=5000,
    signed=False,
    callback=None,
    n_threads=None,
    backend=None,
):
    """Minimise minus the objective over factors in the simplex with given traces.

    Descend; move the multipliers by penalty times violation; double the penalty unless the
    violation fell to 0.3 of itself; ask for a residual that shrinks with the violation.

    Parameters
    ----------
    problem : FactorProblem
        The program; eigenvalues scaled to 1.
    W : ndarray of shape (n_tiles, r, 16)
        First factor, its rows in the simplex; changed in place.
    multiplier : ndarray of shape (n_constraints,)
        First multipliers.
    penalty : float
        First penalty.
    tol : float
        Largest violation, relative to the target, and a tenth of the largest residual.
    max_iter : int
        Most iterations in all.
    signed : bool
        Whether a multiplier may become negative.
    callback : None or callable
        Called with ``(n_iter, objective, trace_error, residual)``, the objective in the scale of
        the problem; True ends the descent.
    n_threads, backend
        As in :func:`clusterlib.kernels.simplex_descent`.

    Returns
    -------
    solution : FactorSolution
        Best effort when ``converged`` is False.

    Notes
    -----
    O(n p r) time for an iteration; two factors in memory besides X.
    """
    target, allowed = problem.target, tol * np.maximum(problem.target, 1.0)
    group, constraint = problem.group, problem.constraint
    multiplier, last_error = multiplier.astype(np.float64), np.inf
    inner_tol, step, n_iter, spare, history = _FIRST_TOLERANCE, 0.0, 0, np.empty_like(W), []
    stopped = converged = False
    while not (stopped or converged) and n_iter < max_iter:
        begun = n_iter
        while True:
            most = min(_INNER_ITERATIONS - (n_iter - begun), max_iter - n_iter)
            result = simplex_descent(
                problem.X,
                W,
                problem.n_rows,
                target=target,
                multiplier=multiplier,
                penalty=penalty,
                group=group,
                constraint=constraint,
                linear=problem.linear,
                precisions=problem.precisions,
                tol=inner_tol,
                n_iters=min(most, _iterations_of_call(problem, W)),
                step=step,
                spare=spare,
                n_threads=n_threads,
                backend=backend,
            )
            step, (objective, residual) = result.step, result.history[-1]
            n_iter += len(result.history)
            error = float(np.abs(result.violation).max())
            stopped = callback is not None and callback(n_iter, objective, error, residual)
            ended = n_iter - begun >= _INNER_ITERATIONS or n_iter >= max_iter
            if residual < inner_tol or ended or stopped:
                break
        history.append((n_iter, objective, error, residual))
        multiplier = multiplier + penalty * result.violation
        if not signed:
            multiplier = np.maximum(multiplier, 0.0)
        converged = bool(np.all(np.abs(result.violation) <= allowed) and residual <= 10 * tol)
        if error > 0.3 * last_error:
            penalty = min(2 * penalty, _LARGEST_PENALTY)
        last_error, inner_tol = error, max(min(0.3 * inner_tol, error), tol)
        alive = _alive(result.sizes, constraint, target, problem.n_rows)
        if not alive.all():
            W = _without_columns(W, alive)
            spare = np.empty_like(W)
            group, constraint = group[alive], constraint[alive]
    return FactorSolution(
        W,
        group,
        multiplier,
        result.violation,
        float(residual),
        n_iter,
        converged,
        bool(stopped),
        np.array(history),
    )


def _iterations_of_call(problem, W):
    operations = 4.0 * problem.n_rows * problem.X.shape[1] * W.shape[1]
    return max(1, int(_OPERATIONS_OF_CALL / operations))


def _alive(sizes, constraint, target, n_rows):
    """Columns that hold rows; all of them where too few would be left for the trace."""
    alive = sizes >= _DEAD_SHARE * n_rows / len(sizes)
    left = np.bincount(constraint[alive], minlength=len(target))
    return alive | (left < target)[constraint]


def _without_columns(W, alive):
    """Drop columns; what they held of a row is shared out among the others."""
    kept = np.ascontiguousarray(W[:, alive])
    total = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, total, out=kept, where=total > 0)
