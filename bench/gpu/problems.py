"""Inputs of a case, drawn afresh on the device, and our calls."""

from typing import Any, NamedTuple

import numpy as np

from bench.gpu.cases import ITERATIONS, SWEEPS, TOP, Case
from clusterlib import kernels


class Problem(NamedTuple):
    """A case with its arrays on a device.

    X (n, d) and Y (k, d); for ``sinkhorn`` and ``softmax`` X is the matrix (n, k) and Y is None.
    ``labels`` are int32 from 0 to k - 1 for ``sums`` and ``moments``.
    """

    case: Case
    device: Any
    X: Any
    Y: Any = None
    labels: Any = None


def make_problem(case: Case, device: Any, seed: int) -> Problem:
    """Draw the inputs."""
    if case.op == "sinkhorn":
        return Problem(case, device, device.uniform((case.n, case.k), case.dtype, seed))
    if case.op == "softmax":
        return Problem(case, device, device.normal((case.n, case.k), case.dtype, seed))
    X = device.normal((case.n, case.d), case.dtype, seed)
    if case.op in ("sums", "moments"):
        uniform = device.uniform((case.n,), np.float64, seed + 1)
        return Problem(case, device, X, labels=(uniform * case.k).astype(np.int32))
    if case.op == "fit":
        return Problem(case, device, X, X[: case.k].copy())
    return Problem(case, device, X, device.normal((case.k, case.d), case.dtype, seed + 1))


def our_call(problem: Problem):
    """The call that is timed; what it returns is what :mod:`bench.gpu.judge` expects."""
    case, X, Y = problem.case, problem.X, problem.Y
    calls = {
        "argmin": lambda: lambda: kernels.pairwise_argmin(X, Y),
        "distances": lambda: _distances(problem),
        "topk": lambda: lambda: kernels.pairwise_topk(X, Y, TOP)[1],
        "logsumexp": lambda: lambda: kernels.pairwise_logsumexp(X, Y),
        "sums": lambda: lambda: kernels.cluster_sums(X, problem.labels, case.k)[0],
        "sinkhorn": lambda: _sinkhorn(problem),
        "points": lambda: _points(problem),
        "moments": lambda: _moments(problem),
        "softmax": lambda: _softmax(problem),
        "fit": lambda: _fit(problem),
    }
    return calls[case.op]()


def _distances(problem):
    case = problem.case
    out = problem.device.runtime.empty((case.n, case.k), np.dtype(case.dtype))
    return lambda: kernels.pairwise_distances(problem.X, problem.Y, out=out)


def _sinkhorn(problem):
    case, runtime = problem.case, problem.device.runtime
    log_a, f, g = (runtime.zeros((size,), np.float64) for size in (case.n, case.n, case.k))
    log_a[...] = -np.log(case.n)

    def call():
        kernels.sinkhorn_sweep(problem.X, case.epsilon, log_a, f, g)
        return f

    return call


def _points(problem):
    case, X, Y, runtime = problem.case, problem.X, problem.Y, problem.device.runtime
    sizes = case.n, case.k, case.n, case.k
    log_a, log_b, f, g = (runtime.zeros((size,), np.float64) for size in sizes)
    log_a[...], log_b[...] = -np.log(case.n), -np.log(case.k)

    def call():
        g[...] = 0.0
        kernels.sinkhorn_iterate_points(X, Y, case.epsilon, log_a, log_b, f, g, n_iters=SWEEPS - 1)
        kernels.sinkhorn_sweep_points(X, Y, case.epsilon, log_a, f, g)
        return f, g

    return call


def _moments(problem):
    return lambda: kernels.class_moments(problem.X, problem.labels, problem.case.k).scatters


def _softmax(problem):
    case = problem.case
    out = problem.device.runtime.empty((case.n, case.k), np.dtype(case.dtype))
    return lambda: kernels.row_softmax(problem.X, return_labels=True, out=out).posteriors


def _fit(problem):
    from clusterlib.cluster import KMeans

    start = problem.device.to_host(problem.Y)

    def call():
        kmeans = KMeans(problem.case.k, init=start, n_init=1, max_iter=ITERATIONS, tol=0)
        kmeans.fit(problem.X)
        return kmeans.labels_, kmeans.cluster_centers_

    return call
