"""Ours: nearest point, top k, log-sum-exp and the full matrix."""

import numpy as np

from bench.kernels.levels import contestants
from clusterlib.kernels import (
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_topk,
)

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    make = _CALLS.get(problem.case.op)
    if make:
        yield from contestants(make(problem), problem.backend)


def _options(problem):
    return {
        "metric": problem.case.metric,
        "n_threads": problem.threads,
        "backend": problem.backend,
    }


def _argmin(problem):
    return lambda: pairwise_argmin(problem.X, problem.Y, **_options(problem))


def _topk(problem):
    top = problem.case.top
    return lambda: pairwise_topk(problem.X, problem.Y, top, **_options(problem))[1]


def _logsumexp(problem):
    options = _options(problem) | {"inverse_temperature": problem.inverse_temperature}
    return lambda: pairwise_logsumexp(problem.X, problem.Y, **options)


def _distances(problem):
    out = np.empty((problem.case.n, problem.case.k), dtype=problem.case.dtype)
    return lambda: pairwise_distances(problem.X, problem.Y, out=out, **_options(problem))


_CALLS = {
    "argmin": _argmin,
    "topk": _topk,
    "logsumexp": _logsumexp,
    "distances": _distances,
}
