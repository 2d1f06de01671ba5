"""RAPIDS cuVS: brute-force search and distances."""

from cuvs.distance import pairwise_distance
from cuvs.neighbors import brute_force

from bench.gpu.cases import TOP


def entries(problem):
    X, Y, op = problem.X, problem.Y, problem.case.op
    if op == "distances":
        yield "cuvs", lambda: lambda: pairwise_distance(X, Y, metric="sqeuclidean")
    if op in ("argmin", "topk"):
        yield "cuvs brute force", lambda: _search(problem, 1 if op == "argmin" else TOP)


def _search(problem, k):
    import cupy

    index = brute_force.build(problem.Y, metric="sqeuclidean")

    def call():
        nearest = cupy.asarray(brute_force.search(index, problem.X, k)[1])
        return nearest[:, 0] if k == 1 else nearest

    return call
