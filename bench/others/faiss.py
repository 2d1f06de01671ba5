"""faiss on the CPU: exhaustive search, the full matrix, and k-means without subsampling."""

from contextlib import contextmanager

import numpy as np

from bench.others.blas import best_openblas
from bench.problems import Fit
from bench.race import fastest

with best_openblas():
    import faiss

DISTRIBUTION = "faiss-cpu"
TUNING_ROWS = 32768


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

    def search(rows, settings):
        def call():
            with _settings(*settings):
                return index.search(problem.X[:rows], neighbours)[1]

        return call

    candidates = {settings: search(TUNING_ROWS, settings) for settings in _choices()}
    return search(len(problem.X), fastest(candidates))


def _choices():
    """Settings that lead to different loops: (rows x d from which BLAS is used, SIMD level).

    Which loop is fastest changes with d and k by factors of two and more; faiss itself looks at
    the first number only. Without SIMD the product and the search for its maximum are not fused.
    """
    threshold = faiss.cvar.distance_compute_blas_threshold
    yield threshold, None
    yield 0, None
    if hasattr(faiss, "SIMDConfig"):
        yield 0, faiss.SIMDLevel_NONE


@contextmanager
def _settings(threshold, level):
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = threshold
    held = faiss.SIMDConfig.get_level() if level is not None else None
    if level is not None:
        faiss.SIMDConfig.set_level(level)
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before
        if level is not None:
            faiss.SIMDConfig.set_level(held)


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
