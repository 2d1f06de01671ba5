"""How far a score of the screen may be from the defined evaluation's: the numbers of the bound.

docs/kernels/cuda_pairwise.md derives them; ``csrc/cuda/error_bound.cuh`` puts them together.
"""

import math

import numpy as np

from clusterlib.kernels._cupy.pairwise_setup import is_euclidean
from clusterlib.kernels.metrics import Metric

__all__ = ["BOUND_FACTOR", "screen_bound"]

BOUND_FACTOR = 1.0
"""1 but in the tests that show that the bound is needed."""

_DOUBLE_ROUNDOFF = 2.0**-53
_LEAST_EXPONENT = -1074  # of the smallest positive float64


def _power(exponent):
    """2^exponent, 0 or infinity beyond the range."""
    return math.inf if exponent > 1023 else math.ldexp(1.0, exponent)


def _exponent_of(scale):
    return math.frexp(float(scale))[1] - 1


def _screen_unit(d, dtype, tensor):
    """Relative error of a screened score against that of real numbers."""
    steps = d / 8 + 96 if tensor else d + 16
    lost = steps * float(np.finfo(dtype).eps) / 2
    return 1.02 * lost / (1.0 - lost) if lost < 0.5 else math.inf


def _vanishing(problem, d):
    """What underflow takes from the defined evaluation of float64 input, in units of the scores.

    Returns one number to add, and one that is divided by the smallest norm of Y.
    """
    if problem.dtype == np.float32:
        return 0.0, 0.0  # squares of float32 numbers are far inside the range of float64
    x_power = _exponent_of(problem.x_scale) + problem.exponent
    y_power = _exponent_of(problem.y_scale) + problem.exponent
    if problem.metric is Metric.COSINE:
        vanish = 4.0 * _power(_LEAST_EXPONENT + x_power)
        return vanish, (d + 1) * vanish
    return 4.0 * (d + 1) * _power(_LEAST_EXPONENT + x_power + y_power), 0.0


def screen_bound(problem, tensor=False):
    """Return the numbers of the bound in the order of the kernels' parameters.

    Parameters
    ----------
    problem : DeviceProblem
    tensor : bool, default=False
        Whether the screen multiplies on tensor cores.

    Returns
    -------
    numbers : tuple of float64
        unit, square, tiny, vanish, vanish_quotient, missing.
    """
    d = problem.X.shape[1]
    dtype = problem.dtype
    unit, square = _screen_unit(d, dtype, tensor), 0.0
    if is_euclidean(problem.metric):
        square = 1.02 * (d / 16 + 4) * _DOUBLE_ROUNDOFF
    elif problem.metric is Metric.COSINE:
        unit += 1.02 * (d / 4 + 12) * _DOUBLE_ROUNDOFF
    else:
        unit += 1.02 * (d / 8 + 6) * _DOUBLE_ROUNDOFF
    tiny = 4 * (d + 4) * float(np.finfo(dtype).smallest_normal)
    missing = 0.0 if dtype == np.float32 else math.ldexp(math.sqrt(d), -537)
    numbers = (unit, square, tiny, *_vanishing(problem, d), missing)
    return tuple(np.float64(BOUND_FACTOR * number) for number in numbers)
