"""NumPy by the book: two products with the kernel per iteration, one problem or many at once.

Of a sweep over weighted cells: column after column, with the residuals of all rows. Of posteriors:
arrays of all rows and a count for each class; tuned, one array, and one count of its cells, whose
places are known beforehand. Of the weights of rows: two products with the full table an iteration.
Of scatters: a product for each class. Of a softmax: the formula.
"""

import numpy as np

from bench.factors import arguments
from bench.mixtures import POWERS, full_table, posterior_arguments, table
from bench.others.alignment import align
from bench.problems import Potentials

DISTRIBUTION = "numpy"
MAX_ITER, TOL = 1000, 1e-4  # of episodes, as published: the movement of the row potentials


def entries(problem):
    if problem.case.op == "masked":
        yield "numpy columns", lambda: _columns(problem)
    if problem.case.op in POWERS:
        yield "numpy by the book", lambda: _posteriors(problem)
        yield "numpy tuned", lambda: _tuned_posteriors(problem)
    if problem.case.op == "moments":
        yield "numpy by class", lambda: lambda: _scatters(problem)
    if problem.case.op == "softmax":
        yield "numpy by the book", lambda: lambda: _softmax(problem.X)
    if problem.case.op == "fold":
        yield "numpy dense rows", lambda: _fold(problem)
    if problem.case.op == "scaling":
        yield "numpy two products", lambda: _scaling(problem)
    if problem.case.op == "batch":
        yield "numpy batch", lambda: _batch(problem)
    if problem.case.op == "episodes":
        yield "numpy batch", lambda: align(problem, lambda costs: _settled(problem, costs))


def _scatters(problem):
    scatters = np.zeros((problem.case.k, problem.case.d, problem.case.d))
    for label in range(problem.case.k):
        x = problem.X[problem.labels == label].astype(np.float64)
        if len(x):
            x -= x.mean(axis=0)
            np.matmul(x.T, x, out=scatters[label])
    return scatters


def _softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def _columns(problem):
    W, X, V, H = arguments(problem)

    def call():
        E = X - W @ H
        for t, h in enumerate(H):
            d = V @ (h * h)
            after = np.maximum(0, W[:, t] + (V * E) @ h / np.where(d > 0, d, 1))
            E -= np.outer(after - W[:, t], h)
            W[:, t] = after
        return W

    return call


def _posteriors(problem):
    H, D, domains = posterior_arguments(problem)
    cubed = POWERS[problem.case.op] == 3

    def sums(rows):
        return np.stack([np.bincount(domains, column, len(D)) for column in rows.T], axis=1)

    def call():
        P = H * D[domains]
        s = P.sum(axis=1, keepdims=True)
        P /= s
        likelihood, totals = np.log(s).sum(), sums(P)
        if not cubed:
            return totals, totals, likelihood
        G = P * P * P
        G /= G.sum(axis=1, keepdims=True)
        return sums(G), totals, likelihood

    return lambda: call()[0]


def _tuned_posteriors(problem):
    H, D, domains = posterior_arguments(problem)
    cubed = POWERS[problem.case.op] == 3
    places = (domains[:, None] * np.int64(D.shape[1]) + np.arange(D.shape[1])).ravel()

    def sums(rows):
        return np.bincount(places, rows.ravel(), D.size).reshape(D.shape)

    def call():
        P = D.take(domains, axis=0)
        P *= H
        s = np.einsum("ij->i", P)[:, None]
        P /= s
        likelihood, totals = np.log(s).sum(), sums(P)
        if not cubed:
            return totals, totals, likelihood
        P *= P * P
        P /= np.einsum("ij->i", P)[:, None]
        return sums(P), totals, likelihood

    return lambda: call()[0]


def _fold(problem):
    X, H, k = full_table(problem), table(problem)[2], problem.case.k
    filled = X.any(axis=1)
    shares = X[filled] / X[filled].sum(axis=1, keepdims=True)

    def call():
        W = np.full((len(shares), k), 1 / k, X.dtype)
        for _ in range(problem.case.iterations):
            expected = W @ H.T
            np.divide(shares, expected, out=expected)
            W *= expected @ H
        weights = np.full((len(X), k), 1 / k, X.dtype)
        weights[filled] = W
        return weights

    return call


def _scaling(problem):
    K, epsilon = problem.kernel, problem.case.epsilon
    a, b = problem.weights()

    def run(number):
        v = np.ones_like(b)
        for _ in range(number):
            u = a / (K @ v)
            v = b / (u @ K)
        return Potentials(epsilon * np.log(u), epsilon * np.log(v))

    return problem.per_iteration(run)


def _batch(problem):
    C, case = problem.cost, problem.case
    a, b = (weights[..., None] for weights in problem.weights())

    def call():
        K = np.exp(C / np.asarray(-case.epsilon, case.dtype))
        transposed = K.transpose(0, 2, 1)
        v = np.ones_like(b)
        for _ in range(case.iterations):
            u = a / (K @ v)
            v = b / (transposed @ u)
        return u * K * v.transpose(0, 2, 1)

    return call


def _settled(problem, costs):
    """Plans of a batch, iterated until the row potentials of every problem stand still."""
    epsilon = np.asarray(problem.case.epsilon, costs.dtype)
    a, b = (weights[..., None] for weights in problem.weights())
    K = np.exp(-costs / epsilon)
    transposed = K.transpose(0, 2, 1)
    v, previous = np.ones_like(b), None
    for _ in range(MAX_ITER):
        u = a / (K @ v)
        v = b / (transposed @ u)
        moved = np.inf if previous is None else np.abs(np.log(u / previous)).sum(axis=1).max()
        if epsilon * moved < TOL:
            break
        previous = u
    return u * K * v.transpose(0, 2, 1)
