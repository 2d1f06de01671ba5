"""NumPy by the book: two products with the kernel per iteration, one problem or many at once.

Of a sweep over weighted cells: column after column, with the residuals of all rows.
"""

import numpy as np

from bench.factors import arguments
from bench.others.alignment import align
from bench.problems import Potentials

DISTRIBUTION = "numpy"
MAX_ITER, TOL = 1000, 1e-4  # of episodes, as published: the movement of the row potentials


def entries(problem):
    if problem.case.op == "masked":
        yield "numpy columns", lambda: _columns(problem)
    if problem.case.op == "scaling":
        yield "numpy two products", lambda: _scaling(problem)
    if problem.case.op == "batch":
        yield "numpy batch", lambda: _batch(problem)
    if problem.case.op == "episodes":
        yield "numpy batch", lambda: align(problem, lambda costs: _settled(problem, costs))


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
