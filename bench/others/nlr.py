"""NLR, the published low-rank solver of the k-means relaxation, in numpy.

Y. Zhuang, X. Chen, Y. Yang, R. Y. Zhang, "Statistically optimal k-means clustering via nonnegative
low-rank semidefinite programming", ICLR 2024. ``Z = U U'`` with U >= 0 and ``|U|^2 = K``; the row
sums are constraints with a multiplier y and a penalty, which stays as it is. The constants are
those that its authors distribute with it: a step of 1e-6, a penalty of 10, a multiplier that moves
when steps are below 1e-3, an end at 1e-6. The step is not free of scale; it suits unit noise.
"""

import numpy as np

from bench.problems import Factor

DISTRIBUTION = "numpy"
STEP, PENALTY = 1e-6, 10.0
SMALL_STEP, TOLERANCE = 1e-3, 1e-6
MOST_STEPS = 50_000
ROWS = range(2000, 10_001)  # below it stops early or late, above it takes minutes


def entries(problem):
    if problem.case.op == "relaxation" and problem.case.n in ROWS:
        yield "NLR", lambda: lambda: _solve(problem)


def _solve(problem):
    case = problem.case
    X = problem.X - problem.X.mean(axis=0)
    U = _projected(np.abs(np.random.default_rng(0).standard_normal((case.n, case.rank))), case.k)
    y, steps = np.zeros(case.n), 0
    for _ in range(MOST_STEPS):
        steps += 1
        sums = U.sum(axis=0)
        z = y + PENALTY * (U @ sums - 1)
        gradient = -2 * (X @ (X.T @ U)) + np.outer(z, sums) + z @ U
        last, U = U, _projected(U - STEP * gradient, case.k)
        change = np.linalg.norm(U - last) / np.sqrt(case.k)
        if change < SMALL_STEP:
            excess = U @ U.sum(axis=0) - 1
            if max(change, np.linalg.norm(excess) / np.sqrt(case.n)) < TOLERANCE:
                break
            y += PENALTY * excess
    return Factor(U, steps)


def _projected(U, n_clusters):
    """Non-negative, of the length that the trace asks for."""
    U = np.maximum(U, 0)
    return U * (np.sqrt(n_clusters) / np.linalg.norm(U))
