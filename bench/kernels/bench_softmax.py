"""Ours: posteriors of rows of scores, into an array that is there."""

import numpy as np

from bench.kernels.levels import contestants
from clusterlib.kernels import row_softmax

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    if problem.case.op == "softmax":
        out = np.empty_like(problem.X)
        options = {"n_threads": problem.threads, "backend": problem.backend, "out": out}
        yield from contestants(
            lambda: row_softmax(problem.X, **options).posteriors, problem.backend
        )
