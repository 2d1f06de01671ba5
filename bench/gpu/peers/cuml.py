"""RAPIDS cuML: k-means."""

from cuml.cluster import KMeans

from bench.gpu.cases import ITERATIONS


def entries(problem):
    if problem.case.op == "fit":
        yield "cuml KMeans", lambda: _fit(problem)


def _fit(problem):
    def call():
        kmeans = KMeans(
            n_clusters=problem.case.k, init=problem.Y, n_init=1, max_iter=ITERATIONS, tol=0.0
        )
        kmeans.fit(problem.X)
        return kmeans.labels_, kmeans.cluster_centers_

    return call
