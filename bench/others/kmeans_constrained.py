"""k-means-constrained: its assignment on our matrix, and whole fits from the same centres.

It rounds costs to thousandths, and assigns by distances that are not squared; on a matrix it is
given the squared ones.
"""

import numpy as np
from k_means_constrained import KMeansConstrained
from k_means_constrained.k_means_constrained_ import (
    minimum_cost_flow_problem_graph,
    solve_min_cost_flow_graph,
)

from bench.quotas import Assigned, sizes

DISTRIBUTION = "k-means-constrained"
MOST_ENTRIES = 3_000_000  # of a matrix; beyond that nobody wants to wait


def entries(problem):
    case = problem.case
    if case.op == "capacity" and case.n * case.k <= MOST_ENTRIES:
        yield "k-means-constrained assignment", lambda: _assignment(problem)
    if case.op == "balanced":
        yield "k-means-constrained", lambda: _fit(problem)


def _assignment(problem):
    cost, bounds = problem.cost, sizes(problem.case)

    def call():
        graph = minimum_cost_flow_problem_graph(cost, problem.Y, cost, *bounds)
        return Assigned(solve_min_cost_flow_graph(*graph))

    return call


def _fit(problem):
    low, high = sizes(problem.case)
    start = np.array(problem.Y, dtype=np.float64)

    def call():
        model = KMeansConstrained(
            problem.case.k, size_min=low, size_max=high, init=start, n_init=1, random_state=0
        )
        return model.fit(problem.X).labels_

    return call
