"""The matrix product X Y^T alone, by NumPy's BLAS: what every product-based method pays first.

Block by block into one buffer that stays in cache, with the fastest of a few block sizes.
"""

import numpy as np

from bench.race import fastest

DISTRIBUTION = "numpy"
BLOCKS = (256, 512, 1024, 4096, 16384)
TUNING_ROWS = 32768
OPS = ("argmin", "topk", "logsumexp", "distances", "lazy")


def entries(problem):
    if problem.case.op in OPS:
        yield "dgemm" if problem.case.dtype == "float64" else "sgemm", lambda: _setup(problem)


def _setup(problem):
    X, Y = problem.X, problem.Y
    if problem.case.op == "distances":
        out = np.empty((len(X), len(Y)), dtype=X.dtype)
        return lambda: _multiply(X, Y, out, len(X))

    def product(rows, block):
        out = np.empty((min(block, len(X)), len(Y)), dtype=X.dtype)
        return lambda: _multiply(X[:rows], Y, out, block)

    block = fastest({block: product(TUNING_ROWS, block) for block in BLOCKS})
    return product(len(X), block)


def _multiply(X, Y, out, block):
    for start in range(0, len(X), block):
        rows = X[start : start + block]
        np.matmul(rows, Y.T, out=out[: len(rows)])
