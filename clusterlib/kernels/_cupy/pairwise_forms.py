"""Distances as the kernels want them: products of prepared rows, and what makes distances of them.

Every metric is ``base_i + offset_j - factor_i <x'_i, y'_j>``, perhaps under a root, with the rows
x' and y' of :mod:`clusterlib.kernels._cupy.pairwise_setup`.
"""

from typing import Any, NamedTuple

import numpy as np

from clusterlib.kernels._cupy.pairwise_setup import (
    DeviceProblem,
    is_euclidean,
    prepare_problem,
    typed,
)
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.tiles import TileShape, choose_tile
from clusterlib.kernels.metrics import Metric

__all__ = ["DistanceForm", "prepare_form"]

_LEAST_NORM = 2.0**-60


class DistanceForm(NamedTuple):
    """What turns products into distances; T is the dtype of X.

    Attributes
    ----------
    problem : DeviceProblem
    base, factor : device arrays of shape (n,), T
    offset : device array of shape (m,), T, or None
    clipping : tuple of four scalars of T
        Values below the first become the second, those above the third become the fourth.
    rooted : bool
    unscale : tuple of two floats
        Powers of two; a distance times both is that of the rows as they were given.
    tile : TileShape
        Never one of tensor cores, whose errors are not proved to be within the contract.
    """

    problem: DeviceProblem
    base: Any
    factor: Any
    offset: Any
    clipping: tuple
    rooted: bool
    unscale: tuple
    tile: TileShape

    def arguments(self, rows=slice(None), columns=slice(None)):
        """Arguments of kernels for a part of X and of Y: the product, then the distance."""
        problem = self.problem
        X, Y = problem.X[rows], problem.columns[columns]
        offset = None if self.offset is None else self.offset[columns]
        product = (
            X, np.int64(len(X)), np.int32(X.shape[1]), problem.shift, problem.x_scale, Y,
            np.int64(len(Y)),
        )  # fmt: skip
        distance = (self.base[rows], self.factor[rows], offset)
        return (*product, *distance, *self.clipping, np.int32(self.rooted))


def prepare_form(X, Y, metric):
    """Prepare checked matrices; refuses NaN and infinity.

    Parameters
    ----------
    X, Y : device arrays of shape (n, d) and (m, d)
        See :func:`~clusterlib.kernels._cupy.checks.as_device_pair`.
    metric : Metric

    Returns
    -------
    form : DistanceForm
    """
    problem = prepare_problem(X, Y, metric, both=True)
    if metric is Metric.COSINE and _lengths_differ_much(problem):
        problem = _with_unit_rows(problem)
    dtype, norms = problem.dtype, problem.x_norms
    unscale = 1.0 / float(problem.x_scale), 1.0 / float(problem.y_scale)
    rooted = metric is Metric.EUCLIDEAN
    # The limit in prepared units of what leaves float64 in those of the input: infinite then.
    largest = np.finfo(np.float64).max
    parts = largest / max(unscale[0], 1.0), 1.0 / max(unscale[1], 1.0)
    infinity = typed(dtype, np.inf)
    if rooted:
        unscale, parts = (unscale[0], 1.0), (parts[0], parts[0])
    with np.errstate(over="ignore"):
        limit = typed(dtype, parts[0] * parts[1])
    if is_euclidean(metric):
        base = (norms * norms).astype(dtype)
        factor = _repeated(2.0, len(X), dtype)
        offset, clipping = -2 * problem.bias, (typed(dtype, 0),) * 2 + (limit, infinity)
    elif metric is Metric.COSINE:
        base, factor = _repeated(1.0, len(X), dtype), _inverse(norms, dtype)
        offset, clipping = None, tuple(typed(dtype, value) for value in (0, 0, 2, 2))
        unscale = (1.0, 1.0)
    else:
        base, factor = _repeated(0.0, len(X), dtype), _repeated(1.0, len(X), dtype)
        offset, clipping = None, (-limit, -infinity, limit, infinity)
    tile = choose_tile(problem.X, problem.columns, problem.shift)
    return DistanceForm(problem, base, factor, offset, clipping, rooted, unscale, tile)


def _lengths_differ_much(problem):
    """Tell whether products of a row of X may vanish beside those of others."""
    if len(problem.X) == 0:
        return False
    return problem.exponent != 0 or float(problem.x_norms.min()) < _LEAST_NORM


def _with_unit_rows(problem):
    """The same problem for rows of X of length 1, or 0 where the contract takes them for zeros."""
    units = prepare_problem(problem.Y, problem.X, problem.metric)
    one = typed(problem.dtype, 1)
    return problem._replace(X=units.columns, x_norms=units.y_norms, x_scale=one)


def _repeated(value, n, dtype):
    array = active().empty((n,), dtype)
    array[...] = value
    return array


def _inverse(norms, dtype):
    """1 / norms, finite in the dtype; 0 for norms of 0."""
    least = 4.0 / float(np.finfo(dtype).max)
    positive = np.where(norms > least, norms, least)
    return np.where(norms > 0, 1.0 / positive, 0.0).astype(dtype)
