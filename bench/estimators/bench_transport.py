"""Ours: SwAV's codes, problems solved to a tolerance, and few-shot episodes from end to end."""

import numpy as np

from bench.problems import Potentials
from clusterlib.config import config_context
from clusterlib.solvers import sinkhorn, sinkhorn_assign
from clusterlib.transport import OTPrototypeClassifier

DISTRIBUTION = "clusterlib-native"
SWEEPS = 100_000  # more than any method needs; the tolerance ends a solve


def entries(problem):
    if problem.case.op == "codes":
        yield "clusterlib", lambda: _codes(problem)
    if problem.case.op == "solve":
        yield "clusterlib", lambda: _solve(problem)
    if problem.case.op == "episodes" and problem.backend is None:
        yield "clusterlib", lambda: _episodes(problem, OTPrototypeClassifier())
        published = OTPrototypeClassifier(epsilon=problem.case.epsilon, marginals="uniform")
        yield "plain OpTA", lambda: _episodes(problem, published)


def _options(problem):
    return {"n_threads": problem.threads, "backend": problem.backend}


def _codes(problem):
    scores, case, options = problem.cost, problem.case, _options(problem)
    return lambda: sinkhorn_assign(scores, case.epsilon, n_iters=case.iterations, **options)


def _solve(problem):
    """The method is left to the solver."""
    cost, case = problem.cost, problem.case
    options = _options(problem) | {"max_iter": SWEEPS, "tol": case.tol}

    def call():
        result = sinkhorn(cost, case.epsilon, **options)
        return Potentials(np.asarray(result.f), np.asarray(result.g), result.n_iter)

    return call


def _episodes(problem, classifier):
    classes = np.arange(problem.case.n)

    def call():
        with config_context(n_threads=problem.threads):
            return classifier.predict_episodes(problem.X, classes, problem.Y)

    return call
