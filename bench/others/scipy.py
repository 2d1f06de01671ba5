"""SciPy: cdist, softmax, logsumexp over products in blocks, and linear assignment. One thread by nature."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax

from bench.pairings import Paired
from bench.race import fastest

DISTRIBUTION = "scipy"
BLOCKS = (64, 256, 1024, 4096)
TUNING_ROWS = 2048


def entries(problem):
    if problem.case.op == "distances":
        X, Y, metric = problem.X, problem.Y, problem.case.metric
        yield "scipy cdist", lambda: lambda: cdist(X, Y, metric)
    if problem.case.op == "logsumexp":
        yield "scipy logsumexp", lambda: _logsumexp(problem)
    if problem.case.op == "softmax":
        yield "scipy softmax", lambda: lambda: softmax(problem.X, axis=1)
    if problem.case.op == "pairing":
        cost = problem.cost
        yield "scipy linear_sum_assignment", lambda: lambda: Paired(linear_sum_assignment(cost)[1])


def _logsumexp(problem):
    X, Y, beta = problem.X, problem.Y, problem.inverse_temperature

    def pass_over(rows, block):
        def call():
            return np.concatenate([one_block(X[s : s + block]) for s in range(0, rows, block)])

        return call

    def one_block(x):
        scores = x @ Y.T
        scores -= np.einsum("ij,ij->i", Y, Y) / 2
        scores *= 2 * beta
        return logsumexp(scores, axis=1) - beta * np.einsum("ij,ij->i", x, x)

    rows = min(len(X), TUNING_ROWS)
    block = fastest({block: pass_over(rows, block) for block in BLOCKS})
    return pass_over(len(X), block)
