"""Linear assignment: the costs of a ``pairing``, and whether an answer is the best one.

The costs of points are their squared distances; all other kinds of data are the costs themselves,
rows with as many columns as there are second points. Nobody is believed: costs and dual values are put into the problem in float64.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

LARGEST = 100  # of whole numbers, so that there are many ties
POINTS = "gaussian"


class Paired(NamedTuple):
    """Answer: the column of every row, and dual values (u, v) if the method has some."""

    columns: np.ndarray
    u: np.ndarray | None = None
    v: np.ndarray | None = None


def uniform(rng, case):
    """Costs between 0 and 1: short paths."""
    return rng.random((case.n, case.d)), np.zeros((case.k, case.d))


def integers(rng, case):
    """Whole numbers up to LARGEST."""
    return rng.integers(0, LARGEST + 1, (case.n, case.d)), np.zeros((case.k, case.d))


def products(rng, case):
    """C_ij = i j of Machol and Wien: every path runs through all rows that came before."""
    return np.outer(np.arange(1, case.n + 1), np.arange(1, case.d + 1)), np.zeros((case.k, case.d))


def costs(problem) -> np.ndarray:
    """Costs (n, k) in the type of the case."""
    if problem.case.data != POINTS:
        return problem.X
    return cdist(problem.X, problem.Y, "sqeuclidean").astype(problem.case.dtype)


def digest(problem, answer: Paired) -> tuple[float, float, float]:
    """Cost, what the dual values prove (NaN without), and by how much they break the costs."""
    C = problem.cost.astype(np.float64)
    columns = np.asarray(answer.columns)
    if columns.shape != (len(C),) or len(np.unique(columns)) < len(C):
        raise ValueError("an answer gives a column to two rows, or none to one")
    cost = float(C[np.arange(len(C)), columns].sum())
    if answer.u is None:
        return cost, np.nan, 0.0
    excess = float((answer.u - (C - answer.v).min(axis=1)).max())
    return cost, float(answer.u.sum() + answer.v.sum()), max(excess, float(answer.v.max()), 0.0)


def verdicts(problem, digests: Mapping[str, object]) -> dict[str, dict]:
    """Fields of a result line.

    ``error`` is how much the cost is above the least one, relative to it; ``gap`` the same above what
    the contestant's own dual values prove, and ``infeasible`` by how much these break a cost.
    """
    best = min(cost for cost, _, _ in digests.values())
    scale = abs(best) or 1.0
    return {
        name: {
            "error": (cost - best) / scale,
            "gap": None if np.isnan(dual) else (cost - dual) / scale,
            "infeasible": excess,
        }
        for name, (cost, dual, excess) in digests.items()
    }
