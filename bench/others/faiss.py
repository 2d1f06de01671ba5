"""faiss on the CPU: exhaustive search, the full matrix, and k-means without subsampling."""

import numpy as np

from bench.others.blas import best_openblas
from bench.problems import Fit

with best_openblas():
    import faiss

DISTRIBUTION = "faiss-cpu"


def set_threads(threads):
    faiss.omp_set_num_threads(threads)


def entries(problem):
    case = problem.case
    if case.dtype != "float32":
        return
    if case.op in ("argmin", "topk"):
        yield "faiss IndexFlatL2", lambda: _search(problem)
    if case.op == "distances" and case.metric == "sqeuclidean":
        yield "faiss pairwise_distances", lambda: _distances(problem)
    if case.op == "fit":
        yield "faiss Kmeans", lambda: _fit(problem)


def _search(problem):
    index = faiss.IndexFlatL2(problem.case.d)
    index.add(problem.Y)
    neighbours = problem.case.top if problem.case.op == "topk" else 1
    return lambda: index.search(problem.X, neighbours)[1]


def _distances(problem):
    X, Y = problem.X, problem.Y
    return lambda: faiss.pairwise_distances(X, Y)


def _fit(problem):
    case = problem.case

    def call():
        model = faiss.Kmeans(
            case.d,
            case.k,
            niter=case.iterations,
            nredo=1,
            min_points_per_centroid=1,
            max_points_per_centroid=case.n,  # no subsampling
        )
        model.train(problem.X, init_centroids=problem.Y)
        return Fit(np.array(model.centroids), len(model.obj))

    return call
