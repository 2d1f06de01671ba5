"""Numba backend of the kernels in ``kernels/simplex.py``."""

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from clusterlib.kernels._numba import simplex_loops as loops
from clusterlib.kernels._numba.leaf_sums import sum_over_leaves
from clusterlib.kernels._numba.threads import parallel_map
from clusterlib.kernels.leaves import DESCENT_TILES, TILE_ROWS
from clusterlib.kernels.simplex_constants import (
    BACKTRACK,
    DECREASE,
    FIRST_MOVE,
    GROWN,
    GROWTH,
    LONGEST,
    MEMORY,
    MOST_BACKTRACKS,
    RESIDUAL,
    SHORTEST,
    SMALLEST_SIZE,
)

__all__ = ["simplex_descent", "simplex_projection"]

_LEAF_ROWS = DESCENT_TILES * TILE_ROWS


def simplex_projection(V, out, n_threads):
    """Project rows, a leaf of them at a time."""

    def work(begin):
        rows = out[begin : begin + _LEAF_ROWS]
        rows[...] = V[begin : begin + _LEAF_ROWS]
        loops.project_rows(rows)

    parallel_map(work, range(0, len(V), _LEAF_ROWS), n_threads)


class _Value(NamedTuple):
    """F, f and the violations of a factor, and the coefficients of n times its gradient."""

    F: float
    f: float
    violation: np.ndarray
    C: np.ndarray  # (r, p)
    offset: np.ndarray  # (r,)
    slope: np.ndarray  # (r,)


class _Problem:
    """The program as a function of sums over rows, of shape (r, p + 4).

    Columns hold X'W_c, then the sums of W_c and of W_c^2, an unused place and the sum of the linear
    terms; the sums of a step D have D W there.
    """

    def __init__(self, n_rows, precisions, group, constraint, target, multiplier, penalty):
        self.n_rows, self.precisions, self.group = n_rows, precisions, group
        self.constraint, self.target = constraint, target
        self.multiplier, self.penalty = multiplier, penalty

    def value(self, sums):
        """Evaluate a factor whose sums are given."""
        M, size, square = sums[:, :-4], np.maximum(sums[:, -4], SMALLEST_SIZE), sums[:, -3]
        B = M
        if self.precisions is not None:
            B = (self.precisions[self.group] @ M[:, :, None])[:, :, 0]
        q = (B * M).sum(axis=1)
        f = float((q / size + sums[:, -1]).sum())
        violation = (
            np.bincount(self.constraint, square / size, minlength=len(self.target)) - self.target
        )
        mu = (self.multiplier + self.penalty * violation)[self.constraint]
        return _Value(
            F=float((self.multiplier * violation + self.penalty / 2 * violation**2).sum()) - f,
            f=f,
            violation=violation,
            C=B * (2 * self.n_rows / size)[:, None],
            offset=self.n_rows * (q - mu * square) / size**2,
            slope=2 * self.n_rows * mu / size,
        )


def _after_step(sums, step):
    """Sums of W + D from those of W and of D."""
    after = sums + step
    after[:, -3] = sums[:, -3] + 2 * step[:, -2] + step[:, -3]
    return after


def _curvature(step, before, after):
    """Inner product of D with the change of n times the gradient along it."""
    bend = (step[:, -4] * (after.offset - before.offset)).sum()
    bend += (after.slope * (step[:, -2] + step[:, -3]) - before.slope * step[:, -2]).sum()
    return float(bend - (step[:, :-4] * (after.C - before.C)).sum())


class _Sweep:
    """Passes over the rows; every one reads X and W once."""

    def __init__(self, n_rows, X, linear, group, n_threads):
        self.n_rows, self.X, self.group, self.n_threads = n_rows, X, group, n_threads
        self.linear = np.empty((1, 0, TILE_ROWS), X.dtype) if linear is None else linear
        self.scale = X.dtype.type(n_rows)

    def sums(self, W, after=None, value=None, length=0.0):
        """Write the step of W into ``after`` and return its sums; without it those of W itself."""
        p, r = self.X.shape[1], W.shape[1]
        if after is None:
            after, C, rest = W[:0], np.empty((p, r), W.dtype), np.empty((2, r), W.dtype)
        else:
            C, *rest = self.coefficients(value)
        length = W.dtype.type(length)

        def leaf_sums(rows):
            sums = np.empty((r, p + 4))
            loops.leaf_sums(
                self.n_rows, rows.start // TILE_ROWS, -(-rows.stop // TILE_ROWS), self.X, W, after,
                self.linear, self.group, C, *rest, self.scale, length, sums,
            )  # fmt: skip
            return sums

        return sum_over_leaves(
            self.n_rows, leaf_sums, (r, p + 4), self.n_threads, leaf_rows=_LEAF_ROWS
        )

    def coefficients(self, value):
        """C (p, r), offset and slope in the type that is calculated in."""
        with np.errstate(over="ignore"):
            return (
                np.ascontiguousarray(value.C.T, self.X.dtype),
                value.offset.astype(self.X.dtype),
                value.slope.astype(self.X.dtype),
            )

    def steepest(self, W, value):
        """Return the largest deviation of n times the gradient from the mean of its row."""
        numbers = *self.coefficients(value), self.scale
        return loops.steepest(self.n_rows, self.X, W, self.linear, self.group, *numbers)


def simplex_descent(
    n_rows, X, W, spare, linear, precisions, group, constraint, target, multiplier, penalty, tol,
    step, violation, sizes, history, n_threads,
):  # fmt: skip
    """Spectral projected gradients with a non-monotone line search."""
    problem = _Problem(n_rows, precisions, group, constraint, target, multiplier, penalty)
    sweep = _Sweep(n_rows, X, linear, group, n_threads)
    factor, after = W, spare
    sums = sweep.sums(factor)
    value = problem.value(sums)
    if step[0] == 0:
        step[0] = FIRST_MOVE / max(sweep.steepest(factor, value), 1e-30)
    past = deque([value.F], maxlen=MEMORY)
    n_done, residual = 0, math.inf
    while n_done < len(history) and not residual < tol:
        a, limit = step[0], max(past)
        for _ in range(MOST_BACKTRACKS):
            change = sweep.sums(factor, after, value, a)
            next_sums = _after_step(sums, change)
            next_value = problem.value(next_sums)
            squared = float(change[:, -3].sum())
            if next_value.F <= limit - DECREASE * squared / (2 * a * n_rows):
                break
            a *= BACKTRACK
        bend = _curvature(change, value, next_value)
        step[0] = (
            min(max(squared / bend, SHORTEST), LONGEST) if bend > 1e-300 else min(GROWTH * a, GROWN)
        )
        factor, after, sums, value = after, factor, next_sums, next_value
        past.append(value.F)
        residual = math.sqrt(squared / n_rows) / a * RESIDUAL
        history[n_done] = value.f, residual
        n_done += 1
    violation[:], sizes[:] = value.violation, sums[:, -4]
    if factor is not W:
        W[:] = factor
    return n_done
