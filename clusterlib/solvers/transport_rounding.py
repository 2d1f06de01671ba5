"""Plans that meet exact marginals to the last digits, made from almost feasible ones."""

import numpy as np

from clusterlib.solvers.transport_objective import plan_blocks

__all__ = ["rounded_blocks"]


def rounded_blocks(problem, epsilon, f, g):
    """Yield ``(rows, costs, plan)`` of a feasible plan block by block.

    Rows and columns with too much mass are scaled down and what is missing is added as a matrix
    of rank one [1]_. A relaxed marginal is left as it is; an exact one beside it is scaled.

    Parameters
    ----------
    problem : TransportProblem
        With one right-hand side.
    epsilon : float
        Entropic strength.
    f, g : ndarray of shape (n,) and (m,), float64
        Potentials without the offset of the cost.

    Yields
    ------
    rows, costs, plan : slice, ndarray and ndarray of shape (n_rows_of_the_block, m), float64
        Costs without their offset.

    Notes
    -----
    Two evaluations of the plan, O(n m) time and one block of memory.

    References
    ----------
    .. [1] J. Altschuler, J. Weed and P. Rigollet, "Near-linear time approximation algorithms for
       optimal transport via Sinkhorn iteration", NIPS 2017, algorithm 2.
    """
    exact_rows, exact_columns = np.isinf(problem.rho_a), np.isinf(problem.rho_b)
    a, b = map(problem.cost.side.beside, (problem.a, problem.b))
    if not exact_columns:
        for rows, costs, plan in plan_blocks(problem, epsilon, f, g):
            if exact_rows:
                plan *= _ratio(a[rows], plan.sum(axis=1))[:, None]
            yield rows, costs, plan
        return
    column_sums = problem.cost.side.zeros(problem.shape[1], np.float64)
    for rows, _, plan in plan_blocks(problem, epsilon, f, g):
        column_sums += _scaled_rows(plan, a[rows], exact_rows).sum(axis=0)
    factor = _ratio(b, column_sums)
    if exact_rows:
        factor = np.minimum(factor, 1.0)
    missing = np.maximum(b - factor * column_sums, 0.0)
    total, shares = float(missing.sum()), a / a.sum()
    for rows, costs, plan in plan_blocks(problem, epsilon, f, g):
        plan = _scaled_rows(plan, a[rows], exact_rows)
        plan *= factor
        if total > 0:
            # Relaxed rows take what a column that has underflowed lacks by their weights.
            taken = np.maximum(a[rows] - plan.sum(axis=1), 0.0) if exact_rows else shares[rows]
            plan += np.outer(taken, missing / total if exact_rows else missing)
        yield rows, costs, plan


def _scaled_rows(plan, a, exact_rows):
    if exact_rows:
        plan *= np.minimum(_ratio(a, plan.sum(axis=1)), 1.0)[:, None]
    return plan


def _ratio(wanted, present):
    """wanted / present, finite; 1 where there is nothing to scale."""
    with np.errstate(over="ignore"):
        ratio = np.where(present > 0, wanted / np.where(present > 0, present, 1.0), 1.0)
    return np.minimum(ratio, np.finfo(np.float64).max)
