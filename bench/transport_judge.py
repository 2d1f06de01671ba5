"""Are the answers of the transport cases right? Plans are compared with plain iterations in float64.

Everybody starts at g = 0 and updates the rows first, so that plans must agree after any number of
iterations, not only at the end. Compared are whole rows of the plan (of many problems: all rows of
some problems), as the L1 distance over the mass of those rows.
"""

from collections.abc import Mapping

import numpy as np

from bench.cases import ITERATED
from bench.problems import Potentials, Problem, row_blocks, squared_distances


def digest(problem: Problem, answer) -> object:
    """What is kept of an answer: the sampled rows of the plan, or what a case is about.

    An answer holds potentials, or is the plan itself (``batch``), the codes, or the labels that
    ``episodes`` predict.
    """
    if problem.case.op == "solve":
        return marginal_error(problem, answer), answer.sweeps
    if problem.case.op == "episodes":
        return np.array(answer)
    if isinstance(answer, Potentials):
        f, g = (np.asarray(potential, dtype=np.float64) for potential in answer[:2])
        g = g[problem.rows][:, None] if problem.case.problems > 1 else g
        exponents = f[problem.rows][..., None] + g
        return np.exp((exponents - _costs(problem, problem.rows)) / problem.case.epsilon)
    return np.array(np.asarray(answer)[problem.rows], dtype=np.float64)


def verdicts(problem: Problem, digests: Mapping[str, object]) -> dict[str, dict]:
    """Fields of a result line about correctness.

    ``error`` is the L1 distance of the sampled plan from the true one over its mass; of a ``solve``
    that of the marginals of the final plan in float64, beside the ``sweeps`` it took; ``accuracy``
    the share of queries whose class was found.
    """
    if problem.case.op == "solve":
        return {name: {"error": e, "sweeps": int(n)} for name, (e, n) in digests.items()}
    if problem.case.op == "episodes":
        classes = np.arange(problem.case.k) % problem.case.n
        return {name: {"accuracy": float(np.mean(x == classes))} for name, x in digests.items()}
    truth = _codes(problem) if problem.case.op == "codes" else _plan(problem)
    return {
        name: {"error": float(np.abs(value - truth).sum() / truth.sum())}
        for name, value in digests.items()
    }


def marginal_error(problem: Problem, answer: Potentials) -> float:
    """L1 error of both marginals of a plan, which is evaluated in float64."""
    f, g = (np.asarray(potential, dtype=np.float64) for potential in answer[:2])
    with np.errstate(over="ignore", invalid="ignore"):
        exponents = f[:, None] + g - problem.cost.astype(np.float64)
        plan = np.exp(exponents / problem.case.epsilon)
    a, b = problem.weights("float64")
    return float(np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum())


def _costs(problem, rows):
    """Costs of some rows in float64: the given ones, or of points, from the points."""
    if problem.case.op == "lazy":
        return squared_distances(problem.X[rows].astype(np.float64), problem.Y.astype(np.float64))
    return problem.cost[rows].astype(np.float64)


def _plan(problem):
    """Sampled rows of the plan after the iterations that were timed, in the scaling form.

    The largest cost is 1, and epsilon large enough for float64 to hold every entry of the kernel.
    """
    case = problem.case
    iterations = case.counts[1] if case.op in ITERATED else case.iterations
    if case.problems > 1:
        return _iterate_problems(problem, iterations)
    a, b = problem.weights("float64")
    blocks = [block[:, 0] for block in row_blocks(np.arange(case.n)[:, None])]
    kernels = [np.exp(-_costs(problem, rows) / case.epsilon) for rows in blocks]
    v = np.ones(case.k)
    u = np.empty(case.n)
    for _ in range(iterations):
        sums = np.zeros(case.k)
        for rows, kernel in zip(blocks, kernels, strict=True):
            u[rows] = a[rows] / (kernel @ v)
            sums += u[rows] @ kernel
        v = b / sums
    kernel = np.exp(-_costs(problem, problem.rows) / case.epsilon)
    return u[problem.rows][:, None] * kernel * v


def _iterate_problems(problem, iterations):
    kernel = np.exp(-_costs(problem, problem.rows) / problem.case.epsilon)
    a, b = (weights[problem.rows] for weights in problem.weights("float64"))
    v = np.ones_like(b)
    for _ in range(iterations):
        u = a / np.einsum("bij,bj->bi", kernel, v)
        v = b / np.einsum("bij,bi->bj", kernel, u)
    return u[:, :, None] * kernel * v[:, None, :]


def _codes(problem):
    """Rows of the codes: columns scaled to equal mass, then rows to 1, a few times over."""
    codes = np.exp(problem.cost.astype(np.float64) / problem.case.epsilon)
    for _ in range(problem.case.iterations):
        codes /= codes.sum(axis=0)
        codes /= codes.sum(axis=1, keepdims=True)
    return codes[problem.rows]


def column_errors(problem: Problem, answer: Potentials) -> float:
    """Largest relative error of the column sums, which the last update made exact, on a sample."""
    f, g = (np.asarray(potential, dtype=np.float64) for potential in answer[:2])
    columns = problem.rows[problem.rows < problem.case.k]
    sums = np.zeros(len(columns))
    for block in row_blocks(np.arange(problem.case.n)[:, None]):
        rows = block[:, 0]
        X, Y = problem.X[rows].astype(np.float64), problem.Y[columns].astype(np.float64)
        exponents = f[rows][:, None] + g[columns] - squared_distances(X, Y)
        sums += np.exp(exponents / problem.case.epsilon).sum(axis=0)
    return float(np.abs(sums * problem.case.k - 1).max())
