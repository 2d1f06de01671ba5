"""cvxpy: the semidefinite relaxations as they are written down, by SCS and by Clarabel.

The program is built and compiled before the clock starts. No solve begins where the last one
ended, and SCS has the tolerance 1e-5: it needs several times as long for 1e-6.
"""

import warnings

import numpy as np
from scipy.linalg import solve_triangular

from bench.others.blas import best_openblas
from bench.problems import Matrices

with best_openblas():
    import cvxpy

    cvxpy.installed_solvers()  # imports them, SCS with an OpenBLAS of its own

DISTRIBUTION = "cvxpy"
SCS = {"solver": "SCS", "eps_abs": 1e-5, "eps_rel": 1e-5, "max_iters": 50_000}
CLARABEL = {"solver": "CLARABEL"}
# Rows and groups above which nobody wants to wait.
MOST_NUMBERS = {"SCS": 300**2, "CLARABEL": 3 * 30**2}


def entries(problem):
    case = problem.case
    matrices = {"relaxation": 1, "likelihood": case.k}.get(case.op)
    if matrices is None:
        return
    for name, options in (("cvxpy SCS", SCS), ("cvxpy Clarabel", CLARABEL)):
        if matrices * case.n**2 <= MOST_NUMBERS[options["solver"]]:
            yield name, lambda options=options: _setup(problem, options)


def _setup(problem, options):
    case = problem.case
    A = _kmeans(problem) if case.op == "relaxation" else _likelihood(problem)
    scale = max(np.linalg.norm(matrix, 2) for matrix in A)
    Z = [cvxpy.Variable((case.n, case.n), PSD=True) for _ in A]
    constraints = [matrix >= 0 for matrix in Z]
    constraints.append(cvxpy.sum(sum(Z), axis=1) == 1)
    constraints += [cvxpy.trace(matrix) == case.k / len(Z) for matrix in Z]
    values = [cvxpy.sum(cvxpy.multiply(a / scale, z)) for a, z in zip(A, Z, strict=True)]
    program = cvxpy.Problem(cvxpy.Maximize(sum(values)), constraints)
    program.get_problem_data(options["solver"])

    def call():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what an answer is worth is judged by itself
            program.solve(**options, warm_start=False)
        found = np.array([(matrix.value + matrix.value.T) / 2 for matrix in Z])
        return Matrices(found, program.solver_stats.num_iters)

    return call


def _kmeans(problem):
    X = problem.X - problem.X.mean(axis=0)
    return (X @ X.T)[None]


def _likelihood(problem):
    """``-1/2 (x_i - x_j)' inv(S_k) (x_i - x_j) - log|S_k|``."""
    matrices = []
    for factor in np.linalg.cholesky(problem.covariances):
        Y = solve_triangular(factor, problem.X.T, lower=True).T
        squared = (Y * Y).sum(axis=1)
        distances = squared[:, None] + squared - 2 * Y @ Y.T
        matrices.append(-distances / 2 - 2 * np.log(np.diag(factor)).sum())
    return np.array(matrices)
