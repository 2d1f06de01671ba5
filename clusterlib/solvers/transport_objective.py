"""Both objectives of entropic transport, and the plan block by block, in float64."""

import numpy as np

from clusterlib.config import get_config

__all__ = [
    "column_errors",
    "column_steps",
    "dual_value",
    "kl_divergence",
    "plan_blocks",
    "row_blocks",
    "sum_p_log_p",
]


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


def column_steps(problem, epsilon, g, column_sums):
    """What a plain Sinkhorn update would add to ``g / epsilon``; -inf or inf where sums fail."""
    _, tau_b = problem.damping(epsilon)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = tau_b * (problem.log_b - np.log(column_sums)) + (tau_b - 1) * (g / epsilon)
    return np.where(problem.b > 0, steps, 0.0)


def column_errors(problem, epsilon, g, column_sums):
    """``sum_j |s_j - target_j|``, the target being the mass after a plain update of g."""
    steps = column_steps(problem, epsilon, g, column_sums)
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = column_sums * np.abs(np.expm1(steps))
    # A column without mass lacks all that it should have.
    return np.where(np.isfinite(gaps), gaps, problem.b).sum(axis=-1)


def kl_divergence(x, y):
    """``sum x log(x / y) - x + y``; infinite where x has mass and y has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(x > 0, x * np.log(x / y), 0.0)
    return float((terms - x + y).sum())


def sum_p_log_p(plan):
    """``sum P (log P - 1)`` with 0 log 0 = 0."""
    logs = np.log(np.where(plan > 0, plan, 1.0))
    return float((plan * (logs - 1.0)).sum())


def row_blocks(n_rows, n_columns, itemsize=8):
    """Slices of rows that take ``block_bytes`` of memory each, at least one row."""
    step = max(1, get_config()["block_bytes"] // (itemsize * n_columns))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def plan_blocks(problem, epsilon, f, g):
    """Yield ``(rows, costs, plan)`` block by block, costs without their offset."""
    f, g = map(problem.cost.side.beside, (f, g))
    for rows in row_blocks(*problem.shape):
        costs = problem.cost.block(rows)
        exponent = np.subtract(g, costs)
        exponent += f[rows, None]
        exponent /= epsilon
        yield rows, costs, np.exp(exponent, out=exponent)
