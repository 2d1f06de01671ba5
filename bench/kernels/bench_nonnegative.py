"""Ours: sweeps over a non-negative factor."""

from bench.factors import arguments
from bench.kernels.levels import contestants
from clusterlib.kernels import hals_sweep, masked_hals_sweep

DISTRIBUTION = "clusterlib-native"
_SWEEPS = {"hals": hals_sweep, "masked": masked_hals_sweep}


def entries(problem):
    sweep = _SWEEPS.get(problem.case.op)
    if sweep:
        W, *rest = arguments(problem)
        options = {"n_threads": problem.threads, "backend": problem.backend}

        def call():
            sweep(W, *rest, **options)
            return W

        yield from contestants(call, problem.backend)
