"""scikit-learn: k-means, nearest rows, distances, and its mixtures beside semidefinite programs.

Of ``NMF`` the inner loops alone compete, private functions: through the public class nothing but
whole fits can be timed, whose products with X are not in question here.
"""

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import _cdnmf_fast, _nmf
from sklearn.metrics import pairwise_distances_argmin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from bench.factors import arguments
from bench.mixtures import table
from bench.problems import Fit

DISTRIBUTION = "scikit-learn"


def entries(problem):
    case, X, Y = problem.case, problem.X, problem.Y
    if case.op == "argmin":
        yield "sklearn predict", lambda: predict(KMeans, problem)
        yield (
            "sklearn pairwise_distances_argmin",
            lambda: lambda: pairwise_distances_argmin(X, Y, metric="sqeuclidean"),
        )
    if case.op == "topk":
        yield "sklearn NearestNeighbors", lambda: neighbours(NearestNeighbors, problem)
    if case.op == "distances":
        yield (
            "sklearn euclidean_distances",
            lambda: lambda: euclidean_distances(X, Y, squared=case.metric == "sqeuclidean"),
        )
    if case.op == "hals":
        yield "sklearn NMF, its inner loop", lambda: coordinate_descent(problem)
    if case.op == "plsa":
        yield "sklearn NMF, its updates", lambda: multiplicative_update(problem)
    if case.op == "fit":
        yield "sklearn lloyd", lambda: fit(KMeans, problem, algorithm="lloyd")
        yield "sklearn elkan", lambda: fit(KMeans, problem, algorithm="elkan")
    if case.op == "relaxation":
        model = KMeans(case.k, n_init=10, random_state=0)
        yield "sklearn KMeans, 10 starts", lambda: lambda: model.fit(X).labels_
    if case.op == "sketch":
        for model in (MiniBatchKMeans, KMeans):
            name = f"sklearn {model.__name__}"
            yield name, lambda model=model: centers(model(case.k, n_init=1, random_state=0), X)
    if case.op == "mixture":
        mixture = GaussianMixture(case.k, n_init=10, random_state=0)
        yield "sklearn GaussianMixture, 10 starts", lambda: lambda: mixture.fit_predict(X)


def coordinate_descent(problem):
    """A sweep in the order of the components."""
    W, R, G = arguments(problem)
    order = np.arange(problem.case.k, dtype=np.intp)

    def call():
        _cdnmf_fast._update_cdnmf_fast(W, G, R, order)
        return W

    return call


def multiplicative_update(problem):
    """Both factors by the Kullback-Leibler divergence.

    The first, times what it was divided by, is the expected count of our step.
    """
    (indptr, indices, data), W, H = table(problem)
    X, H = sparse.csr_array((data, indices, indptr), shape=problem.X.shape), H.T.copy()

    def call():
        after, *_ = _nmf._multiplicative_update_w(X, W, H, 1, 0, 0, 1)
        _nmf._multiplicative_update_h(X, W, H.copy(), 1, 0, 0, 1)
        return after * H.sum(axis=1)

    return call


def centers(model, X):
    """Centres of a fit."""
    return lambda: model.fit(X).cluster_centers_


def fit(estimator, problem, **options):
    """A fit from the given start, for a fixed number of iterations."""
    model = estimator(
        problem.case.k,
        init=problem.Y,
        n_init=1,
        max_iter=problem.case.iterations,
        tol=0,
        **options,
    )

    def call():
        model.fit(problem.X)
        return Fit(model.cluster_centers_, model.n_iter_)

    return call


def predict(estimator, problem):
    """Nearest centre by a fitted KMeans whose centres are those of the case."""
    few = np.repeat(problem.Y, 2, axis=0)  # a start that one iteration leaves where it is,
    model = estimator(problem.case.k, init=problem.Y, n_init=1, max_iter=1).fit(few)
    model.cluster_centers_ = problem.Y.copy()  # but for the rounding of scikit-learn's centring
    return lambda: model.predict(problem.X)


def neighbours(estimator, problem):
    """Indices of the nearest rows of Y by brute force, index built beforehand."""
    model = estimator(n_neighbors=problem.case.top, algorithm="brute", metric="sqeuclidean")
    model.fit(problem.Y)
    return lambda: model.kneighbors(problem.X)[1]
