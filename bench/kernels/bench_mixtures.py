"""Ours: a step of PLSA, weights of rows, posteriors by domain."""

from bench.kernels.levels import contestants
from bench.mixtures import POWERS, posterior_arguments, table
from clusterlib.kernels import mixture_weights, plsa_step, tempered_posterior

DISTRIBUTION = "clusterlib-native"


def entries(problem):
    call = _call(problem, {"n_threads": problem.threads, "backend": problem.backend})
    if call:
        yield from contestants(call, problem.backend)


def _call(problem, options):
    op = problem.case.op
    if op in POWERS:
        arrays = posterior_arguments(problem)
        options |= {"beta": POWERS[op], "return_responsibilities": False}
        return lambda: tempered_posterior(*arrays, **options).counts
    if op == "plsa":
        cells, W, H = table(problem)
        return lambda: plsa_step(*cells, W, H, **options)[0]
    if op == "fold":
        cells, _, H = table(problem)
        return lambda: mixture_weights(*cells, H, max_iter=problem.case.iterations, **options)[0]
    return None
