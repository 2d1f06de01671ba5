"""Both objectives of entropic transport, and the plan block by block, in float64."""

import numpy as np

from clusterlib.config import get_config

__all__ = ["dual_value", "kl_divergence", "plan_blocks", "row_blocks", "sum_p_log_p"]


def dual_value(problem, epsilon, f, g, plan_mass):
    """Dual objective ``<a, f> + <b, g> - epsilon sum P``, without the offset of the cost.

    A relaxed marginal replaces ``<a, f>`` by ``rho sum a (1 - exp(-f / rho))``.
    """
    return (
        _linear_term(problem.a, f, problem.rho_a)
        + _linear_term(problem.b, g, problem.rho_b)
        - epsilon * plan_mass
    )


def _linear_term(weight, potential, rho):
    if rho == 0:
        return 0.0 * weight.sum(axis=-1)
    present = weight > 0
    if np.isinf(rho):
        values = np.where(present, potential, 0.0)
    else:
        with np.errstate(over="ignore"):
            values = -rho * np.expm1(-np.where(present, potential, 0.0) / rho)
    return (weight * values).sum(axis=-1)


def kl_divergence(x, y):
    """``sum x log(x / y) - x + y``; infinite where x has mass and y has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(x > 0, x * np.log(x / y), 0.0)
    return float((terms - x + y).sum())


def sum_p_log_p(plan):
    """``sum P (log P - 1)`` with 0 log 0 = 0."""
    logs = np.log(plan, out=np.zeros_like(plan), where=plan > 0)
    return float((plan * (logs - 1.0)).sum())


def row_blocks(n_rows, n_columns, itemsize=8):
    """Slices of rows that take ``block_bytes`` of memory each, at least one row."""
    step = max(1, get_config()["block_bytes"] // (itemsize * n_columns))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def plan_blocks(problem, epsilon, f, g):
    """Yield ``(rows, costs, plan)`` block by block, costs without their offset."""
    for rows in row_blocks(*problem.shape):
        costs = problem.cost.block(rows)
        exponent = np.subtract(g, costs)
        exponent += f[rows, None]
        exponent /= epsilon
        yield rows, costs, np.exp(exponent, out=exponent)
