"""scikit-learn's NMF: coordinate descent for squares, multiplicative updates for both losses.

Large problems have fewer iterations, and of squares no multiplicative updates, which take longer.
"""

import warnings

from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from bench.factor_fits import OPS, Factors, matrix

DISTRIBUTION = "scikit-learn"
LARGE = 10_000_000  # cells, empty ones too


def entries(problem):
    case = problem.case
    if case.op not in OPS:
        return
    large = case.n * case.d > LARGE
    loss = "frobenius" if case.op == "nmf" else "kullback-leibler"
    if case.op == "nmf":
        for n_iter in (50, 200) if large else (50, 200, 1000):
            model = NMF(case.k, init="nndsvda", tol=0, max_iter=n_iter, random_state=0)
            yield f"sklearn NMF cd, {n_iter} iterations", lambda model=model: fit(case, model)
        if large:
            return
    for n_iter in (20,) if large else (50, 200):
        options = {"solver": "mu", "beta_loss": loss, "tol": 0, "random_state": 0}
        model = NMF(case.k, init="nndsvda", max_iter=n_iter, **options)
        yield f"sklearn NMF mu, {n_iter} iterations", lambda model=model: fit(case, model)


def fit(case, model):
    """A fit from scratch, for a fixed number of iterations."""
    X = matrix(case)

    def call():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            W = model.fit_transform(X)
        return Factors(W, model.components_)

    return call
