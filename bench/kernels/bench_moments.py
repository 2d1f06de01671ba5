"""Ours: weights, means and scatters of classes; the scatters are the answer."""

from bench.kernels.levels import contestants
from clusterlib.kernels import class_moments

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    if problem.case.op == "moments":
        options = {"n_threads": problem.threads, "backend": problem.backend}
        yield from contestants(
            lambda: class_moments(problem.X, problem.labels, problem.case.k, **options).scatters,
            problem.backend,
        )
