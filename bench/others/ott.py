"""OTT-JAX: its Sinkhorn in the log domain, compiled, one check of the error in the whole call.

OTT updates the columns first and so gets the transposed cost. XLA takes its number of threads when
it starts; it is told to use one, so that OTT competes at one thread only.
"""

import os
import warnings

os.environ["XLA_FLAGS"] = " ".join(
    (
        os.environ.get("XLA_FLAGS", ""),
        "--xla_cpu_multi_thread_eigen=false",
        "intra_op_parallelism_threads=1",
    )
).strip()

import jax
import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # one of its dependencies is retired
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

from bench.problems import Potentials

DISTRIBUTION = "ott-jax"


def entries(problem):
    case = problem.case
    if problem.threads == 1 and case.dtype == "float32" and case.op == "sinkhorn":
        yield "ott Sinkhorn", lambda: _setup(problem)


def _setup(problem):
    epsilon = problem.case.epsilon
    cost = jax.device_put(np.ascontiguousarray(problem.cost.T))

    def solver(number):
        """Ends after ``number`` iterations: the threshold is out of reach."""
        options = {"min_iterations": number, "max_iterations": number, "inner_iterations": number}

        @jax.jit
        def solve(C):
            geometry = Geometry(cost_matrix=C, epsilon=epsilon)
            out = Sinkhorn(threshold=-1.0, **options)(LinearProblem(geometry))
            return out.f, out.g

        return solve

    solvers = {number: solver(number) for number in problem.case.counts}

    def run(number):
        g, f = jax.block_until_ready(solvers[number](cost))
        return Potentials(np.asarray(f), np.asarray(g))

    for number in solvers:
        run(number)  # compiles
    return problem.per_iteration(run)
