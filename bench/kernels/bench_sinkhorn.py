"""Ours: iterations of Sinkhorn in the log domain, in the scaling form, on points, in a batch."""

import numpy as np

from bench.problems import Potentials
from clusterlib.kernels import (
    scaling_iterate,
    sinkhorn_batch,
    sinkhorn_iterate,
    sinkhorn_iterate_points,
)

DISTRIBUTION = "clusterlib-native"
PLAIN_SWEEPS = 20_000  # after which plain iterations give up; smaller epsilons are not tried
NO_LIMIT = 1e100  # of the scaling vectors: an absorption would end the loop early


def entries(problem):
    make = _CALLS.get(problem.case.op)
    if make:
        yield "clusterlib", lambda: make(problem)
    if problem.case.op == "solve" and problem.case.epsilon >= 0.01:
        yield "plain log", lambda: _plain(problem)


def _options(problem):
    return {"n_threads": problem.threads, "backend": problem.backend}


def _start(problem):
    """Log weights of rows and columns, and potentials that are zero."""
    a, b = problem.weights("float64")
    return np.log(a), np.log(b), np.zeros_like(a), np.zeros_like(b)


def _sinkhorn(problem):
    C, epsilon, options = problem.cost, problem.case.epsilon, _options(problem)

    def run(number):
        log_a, log_b, f, g = _start(problem)
        sinkhorn_iterate(C, epsilon, log_a, log_b, f, g, n_iters=number, **options)
        return Potentials(f, g)

    return problem.per_iteration(run)


def _plain(problem):
    """What the solver must not fall behind: the same kernel, iterated to the tolerance."""
    C, case, options = problem.cost, problem.case, _options(problem)

    def call():
        log_a, log_b, f, g = _start(problem)
        history = sinkhorn_iterate(
            C, case.epsilon, log_a, log_b, f, g, n_iters=PLAIN_SWEEPS, tol=case.tol, **options
        )
        return Potentials(f, g, len(history))

    return call


def _scaling(problem):
    K, epsilon, options = problem.kernel, problem.case.epsilon, _options(problem)
    a, b = problem.weights("float64")

    def run(number):
        u, v = np.ones_like(a), np.ones_like(b)
        scaling_iterate(K, a, b, u, v, n_iters=number, limit=NO_LIMIT, **options)
        return Potentials(epsilon * np.log(u), epsilon * np.log(v))

    return problem.per_iteration(run)


def _lazy(problem):
    X, Y, epsilon = problem.X, problem.Y, problem.case.epsilon
    options = _options(problem) | {"metric": problem.case.metric}

    def run(number):
        log_a, log_b, f, g = _start(problem)
        sinkhorn_iterate_points(X, Y, epsilon, log_a, log_b, f, g, n_iters=number, **options)
        return Potentials(f, g)

    return problem.per_iteration(run)


def _batch(problem):
    C, epsilon = problem.cost, problem.case.epsilon
    options = _options(problem) | {"max_iter": problem.case.iterations, "tol": 0.0}

    def call():
        log_a, log_b, f, g = _start(problem)
        sinkhorn_batch(C, epsilon, log_a, log_b, f, g, **options)
        return Potentials(f, g)

    return call


_CALLS = {"sinkhorn": _sinkhorn, "scaling": _scaling, "lazy": _lazy, "batch": _batch}
