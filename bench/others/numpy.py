"""NumPy by the book: two products with the kernel per iteration, one problem or many at once."""

import numpy as np

from bench.problems import Potentials

DISTRIBUTION = "numpy"


def entries(problem):
    if problem.case.op == "scaling":
        yield "numpy two products", lambda: _scaling(problem)
    if problem.case.op == "batch":
        yield "numpy batch", lambda: _batch(problem)


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
