"""Ours: the sums of every cluster, in a fixed order."""

from bench.kernels.levels import contestants
from clusterlib.kernels import cluster_sums

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    if problem.case.op == "sums":
        options = {"n_threads": problem.threads, "backend": problem.backend}
        yield from contestants(
            lambda: cluster_sums(problem.X, problem.labels, problem.case.k, **options)[0],
            problem.backend,
        )
