"""Ours: the semidefinite relaxations, and the estimators that are built on them."""

import numpy as np

from bench.problems import Simplex
from clusterlib.cluster import LikelihoodAdjustedSDP, SDPClustering
from clusterlib.config import config_context
from clusterlib.solvers import low_rank_likelihood, low_rank_sdp

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    op = problem.case.op
    if op == "relaxation":
        yield "clusterlib", lambda: _relaxation(problem)
        if problem.backend is None:
            estimator = SDPClustering(problem.case.k, rank=problem.case.rank, random_state=0)
            yield "SDPClustering fit", lambda: _fit(problem, estimator, "labels_")
    if op == "likelihood":
        yield "clusterlib", lambda: _likelihood(problem)
    if op == "mixture" and problem.backend is None:
        estimator = LikelihoodAdjustedSDP(problem.case.k, rank=problem.case.rank, random_state=0)
        yield "clusterlib", lambda: _fit(problem, estimator, "labels_")
    if op == "sketch" and problem.backend is None:
        estimator = SDPClustering(problem.case.k, solver="sketch", random_state=0)
        yield "clusterlib", lambda: _fit(problem, estimator, "cluster_centers_")


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


def _fit(problem, estimator, answer):
    def call():
        with config_context(n_threads=problem.threads):
            return getattr(estimator.fit(problem.X), answer)

    return call
