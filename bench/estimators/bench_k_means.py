"""Ours: KMeans from a given start, for a fixed number of iterations."""

from bench.kernels.levels import contestants
from bench.others.sklearn import fit
from clusterlib.cluster import KMeans
from clusterlib.config import set_config

DISTRIBUTION = "clusterlib-native"


def set_threads(threads):
    set_config(n_threads=threads)


def entries(problem):
    if problem.case.op == "fit" and problem.backend is None:
        yield from contestants(fit(KMeans, problem))
