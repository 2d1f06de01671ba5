"""Ours: rows to clusters of bounded sizes, and what no method that looks at all distances avoids.

``one pass`` finds the nearest centre without any bound, ``all distances`` writes the matrix.
"""

import numpy as np

from bench.quotas import Assigned, sizes
from clusterlib.kernels import (
    capacity_assignment,
    capacity_assignment_points,
    pairwise_argmin,
    pairwise_distances,
)

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    case, options = problem.case, {"n_threads": problem.threads, "backend": problem.backend}
    if case.op == "capacity":
        yield "clusterlib", lambda: _stored(problem, options)
    if case.op == "quotas":
        yield "clusterlib", lambda: _points(problem, options)
        yield "one pass", lambda: _pass(problem, options)
        yield "all distances", lambda: _distances(problem, options)


def _stored(problem, options):
    cost, bounds = problem.cost, sizes(problem.case)
    return lambda: _assigned(capacity_assignment(cost, *bounds, **options))


def _points(problem, options):
    X, Y, bounds = problem.X, problem.Y, sizes(problem.case)
    return lambda: _assigned(capacity_assignment_points(X, Y, *bounds, **options))


def _assigned(result):
    return Assigned(result.labels, result.prices)


def _pass(problem, options):
    def call():
        pairwise_argmin(problem.X, problem.Y, **options)

    return call


def _distances(problem, options):
    out = np.empty((problem.case.n, problem.case.k), dtype=problem.case.dtype)

    def call():
        pairwise_distances(problem.X, problem.Y, out=out, **options)

    return call
