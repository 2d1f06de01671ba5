"""POT: its solvers for as many iterations as everybody makes, with the checks of errors it ships.

``emd`` is its network simplex, for clusters of bounded sizes; its duals of the clusters are prices.

POT updates the columns first. It is given the transposed cost, stored anew, so that its iterates
are the same as everybody's. ``stopThr`` is 0 where iterations are counted, so that it never stops.
"""

import os

import numpy as np

from bench.others.alignment import align
from bench.problems import Potentials
from bench.quotas import Assigned, sizes
from bench.race import fastest

for _backend in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):
    os.environ.setdefault(f"POT_BACKEND_DISABLE_{_backend}", "1")  # imports it does not need here

import ot

DISTRIBUTION = "POT"
BATCHES = (50, 100, 200, 1000)
TUNING_ROWS = 2048
# Iterations after which a solve ends (1000 is its default); the error is checked every tenth.
LIMITS = {"sinkhorn": 1000, "sinkhorn_log": 101}
MOST_ENTRIES = 3_000_000  # of a matrix for its network simplex; beyond that nobody wants to wait
EPISODE_LIMIT = 50  # of a batch, which goes on until its slowest problem is done


def entries(problem):
    case = problem.case
    if case.op == "sinkhorn":
        yield "pot sinkhorn_log", lambda: _iterate(problem, "sinkhorn_log", case.dtype)
        if case.dtype != "float64":
            yield "pot float64 sinkhorn_log", lambda: _iterate(problem, "sinkhorn_log", "float64")
    if case.op == "scaling":
        yield "pot sinkhorn", lambda: _iterate(problem, "sinkhorn", case.dtype)
    if case.op == "lazy":
        yield "pot empirical_sinkhorn lazy", lambda: _lazy(problem)
    if case.op == "batch":
        for method in ("log_sinkhorn", "sinkhorn"):
            yield f"pot solve_batch {method}", lambda method=method: _batch(problem, method)
        for method in ("sinkhorn", "sinkhorn_log"):
            yield f"pot loop {method}", lambda method=method: _loop(problem, method)
    if case.op == "episodes":
        yield f"pot solve_batch, at most {EPISODE_LIMIT}", lambda: _episodes(problem)
    if case.op == "capacity" and case.n * case.k <= MOST_ENTRIES and case.n % case.k == 0:
        yield "pot emd", lambda: _network_simplex(problem)
    if case.op == "solve":
        for method, limit in LIMITS.items():
            name = f"pot {method}, at most {limit}"
            yield name, lambda method=method, limit=limit: _solve(problem, method, limit)


def _iterate(problem, method, dtype):
    cost = np.ascontiguousarray(problem.cost.T, dtype=dtype)
    a, b = problem.weights(dtype)
    options = {"method": method, "stopThr": 0.0, "warn": False}

    def run(number):
        return ot.sinkhorn(b, a, cost, problem.case.epsilon, numItermax=number, **options).T

    return problem.per_iteration(run)


def _lazy(problem):
    X, Y, epsilon = problem.X, problem.Y, problem.case.epsilon

    def run(number, *, rows=None, batch):
        options = {"isLazy": True, "batchSize": batch, "stopThr": 0.0, "warn": False}
        f, g = ot.bregman.empirical_sinkhorn(
            X[:rows], Y[:rows], epsilon, numIterMax=number, **options
        )
        return Potentials(epsilon * f, epsilon * g)

    batch = fastest(
        {batch: lambda batch=batch: run(1, rows=TUNING_ROWS, batch=batch) for batch in BATCHES}
    )
    return problem.per_iteration(lambda number: run(number, batch=batch))


def _batch(problem, method):
    case, cost = problem.case, problem.cost
    a, b = problem.weights()

    def call():
        options = {"max_iter": case.iterations, "tol": 0.0, "method": method}
        return ot.batch.solve_batch(cost, case.epsilon, a, b, **options).plan

    return call


def _network_simplex(problem):
    case, cost = problem.case, problem.cost
    rows, columns = np.ones(case.n), np.full(case.k, float(sizes(case)[0]))

    def call():
        plan, log = ot.emd(rows, columns, cost, numItermax=10**9, log=True)
        return Assigned(plan.argmax(axis=1), -log["v"])

    return call


def _episodes(problem):
    """In the log domain, as ``solve_batch`` does it by itself, but with less than 1000 iterations."""
    a, b = problem.weights()
    options = {"reg": problem.case.epsilon, "a": a, "b": b, "max_iter": EPISODE_LIMIT}
    return align(problem, lambda costs: ot.batch.solve_batch(costs, **options).plan)


def _loop(problem, method):
    case = problem.case
    costs = np.ascontiguousarray(np.swapaxes(problem.cost, 1, 2))
    a, b = (weights[0] for weights in problem.weights())
    options = {"numItermax": case.iterations, "stopThr": 0.0, "warn": False}

    def call():
        return np.stack([ot.sinkhorn(b, a, C, case.epsilon, method, **options).T for C in costs])

    return call


def _solve(problem, method, limit):
    """Stops when the L2 error of a marginal is below the tolerance: less than the L1 error asks."""
    case, (a, b) = problem.case, problem.weights()
    cost = np.ascontiguousarray(problem.cost.T)
    options = {"numItermax": limit, "stopThr": case.tol, "warn": False, "log": True}

    def call():
        log = ot.sinkhorn(b, a, cost, case.epsilon, method, **options)[1]
        g, f = (case.epsilon * _logarithm(log, key) for key in ("u", "v"))
        return Potentials(f, g, log["niter"] + 1)

    return call


def _logarithm(log, key):
    """Of a scaling vector; the log-domain solver gives it as it is, before it overflows."""
    if f"log_{key}" in log:
        return log[f"log_{key}"]
    with np.errstate(divide="ignore"):
        return np.log(log[key])
