"""Ours: the semidefinite relaxations, the estimators that are built on them, and certificates."""

import numpy as np

from bench.problems import Simplex
from clusterlib.solvers import low_rank_likelihood, low_rank_sdp

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    op = problem.case.op
    if op == "relaxation":
        yield "clusterlib", lambda: _relaxation(problem)
    if op == "likelihood":
        yield "clusterlib", lambda: _likelihood(problem)


def _options(problem):
    return {"n_threads": problem.threads, "backend": problem.backend}


def _relaxation(problem):
    X, case, options = problem.X, problem.case, _options(problem)

    def call():
        rng = np.random.default_rng(0)
        result = low_rank_sdp(X, case.k, rank=case.rank, tol=case.tol, rng=rng, **options)
        return Simplex(result.W, result.n_iter)

    return call


def _likelihood(problem):
    X, case, options = problem.X, problem.case, _options(problem)
    options |= {"rank": case.rank, "tol": case.tol}
    covariances = problem.covariances

    def call():
        result = low_rank_likelihood(X, covariances, rng=np.random.default_rng(0), **options)
        return Simplex(result.W, result.n_iter, result.group)

    return call
