"""Ours: BalancedKMeans from the given centres, and from those of plain k-means as it does itself."""

from bench.quotas import sizes
from clusterlib.cluster import BalancedKMeans
from clusterlib.config import config_context

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    if problem.case.op == "balanced" and problem.backend is None:
        yield "clusterlib", lambda: _fit(problem, problem.Y)
        yield "BalancedKMeans from plain k-means", lambda: _fit(problem, "k-means++")


def _fit(problem, init):
    low, high = sizes(problem.case)
    options = {"size_min": low, "size_max": high, "init": init, "n_init": 1, "random_state": 0}

    def call():
        with config_context(n_threads=problem.threads):
            return BalancedKMeans(problem.case.k, **options).fit(problem.X).labels_

    return call
