"""Ours: whole factorisations of non-negative matrices."""

from bench.factor_fits import OPS, Factors, matrix
from clusterlib.config import config_context
from clusterlib.decomposition import SimplexNMF

DISTRIBUTION = "clusterlib-native"
LOSS = {"nmf": "frobenius", "counts": "kullback-leibler"}


def entries(problem):
    case = problem.case
    if case.op in OPS and problem.backend is None:
        model = SimplexNMF(case.k, loss=LOSS[case.op], max_iter=1000, random_state=0)
        yield "clusterlib", lambda: fit(problem, model)
        fast = SimplexNMF(case.k, loss=LOSS[case.op], tol=1e-3, max_iter=1000, random_state=0)
        yield "clusterlib, tol 1e-3", lambda: fit(problem, fast)


def fit(problem, model):
    """A fit from scratch, starts included."""
    X = matrix(problem.case)

    def call():
        with config_context(n_threads=problem.threads):
            W = model.fit_transform(X)
        return Factors(W, model.components_)

    return call
