"""Ours: proofs that a partition is optimal, and bounds where it is not known to be."""

import numpy as np

from bench.problems import Bound
from clusterlib.solvers import certify_partition, kmeans_lower_bound, lloyd, low_rank_sdp

DISTRIBUTION = "clusterlib-native"
MOST_ROWS = 10_000  # of the method that needs the matrix of all pairs


def entries(problem):
    if problem.case.op == "certificate":
        yield "clusterlib", lambda: _certificate(problem)
    if problem.case.op == "bound":
        yield "clusterlib", lambda: _bound(problem)


def _certificate(problem):
    labels = settled(problem)

    def call():
        found = certify_partition(problem.X, labels)
        return Bound(found.cost if found.certified else 0.0)

    return call


def _bound(problem):
    """The relaxation and its bound; blocks of rows where the whole is too large."""
    X, k = problem.X, problem.case.k
    labels = settled(problem)

    def whole():
        W = low_rank_sdp(X, k, rng=np.random.default_rng(0), n_threads=problem.threads).W
        return Bound(kmeans_lower_bound(X, labels, k, method="full", W=W).lower_bound, W)

    def blocks():
        return Bound(kmeans_lower_bound(X, labels, k, method="block").lower_bound)

    return whole if len(X) <= MOST_ROWS else blocks


def settled(problem):
    """The partition in question: where Lloyd's iteration from the planted centres ends."""
    return lloyd(problem.X, problem.Y.astype(problem.case.dtype), max_iter=300).labels
