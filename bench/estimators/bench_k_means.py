"""Ours: KMeans from a given start, for a fixed number of iterations."""

from bench.kernels.levels import contestants
from bench.others.sklearn import fit
from clusterlib.cluster import KMeans
from clusterlib.config import config_context

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    if problem.case.op == "fit" and problem.backend is None:
        yield from contestants(_fit(problem))


def _fit(problem):
    call = fit(KMeans, problem)

    def limited():
        with config_context(n_threads=problem.threads):
            return call()

    return limited
