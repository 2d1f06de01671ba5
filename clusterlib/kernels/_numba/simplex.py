"""Numba backend of the kernels in ``kernels/simplex.py``."""

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from clusterlib.kernels._numba import simplex_loops as loops
from clusterlib.kernels._numba.leaf_sums import sum_over_leaves
from clusterlib.kernels._numba.simplex_loops import STEP_SUMS
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
    SLACK,
    SMALLEST_SHARE,
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
    metric: np.ndarray  # (r,), of the next step


class _Problem:
    """The program as a function of sums over rows, of shape (r, p + STEP_SUMS).

    The sums of a factor are those of a step from nothing, whose products are X'W.
    """

    def __init__(self, n_rows, precisions, group, constraint, target, multiplier, penalty):
        self.n_rows, self.precisions, self.group = n_rows, precisions, group
        self.constraint, self.target = constraint, target
        self.multiplier, self.penalty = multiplier, penalty

    @np.errstate(over="ignore", invalid="ignore")
    def value(self, sums):
        """Evaluate a factor whose sums are given."""
        total, square = sums[:, -2], sums[:, -1]
        # What products that were added up have left of an empty column is rounding.
        M = np.where(total[:, None] > SMALLEST_SIZE, sums[:, :-STEP_SUMS], 0.0)
        B = M
        if self.precisions is not None:
            B = (self.precisions[self.group] @ M[:, :, None])[:, :, 0]
        q, size = (B * M).sum(axis=1), np.maximum(total, SMALLEST_SIZE)
        f = float((q / size + sums[:, -3]).sum())
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
            metric=np.maximum(total * len(sums) / self.n_rows, SMALLEST_SHARE),
        )


def _after_step(sums, step):
    """Sums of W + D from those of W and of D."""
    after = step.copy()
    after[:, :-STEP_SUMS] += sums[:, :-STEP_SUMS]
    after[:, -3] += sums[:, -3]
    return after


def _curvature(step, before, after):
    """Inner product of D with the change of n times the gradient along it."""
    change, square, product = step[:, -6:-3].T
    bend = (change * (after.offset - before.offset)).sum()
    bend += (after.slope * (product + square) - before.slope * product).sum()
    return float(bend - (step[:, :-STEP_SUMS] * (after.C - before.C)).sum())


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
            after, C, rest = W[:0], np.empty((p, r), W.dtype), np.empty((3, r), W.dtype)
        else:
            C, *rest = self.coefficients(value)
        length = W.dtype.type(length)

        def leaf_sums(rows):
            sums = np.empty((r, p + STEP_SUMS))
            loops.leaf_sums(
                self.n_rows, rows.start // TILE_ROWS, -(-rows.stop // TILE_ROWS), self.X, W, after,
                self.linear, self.group, C, *rest, self.scale, length, sums,
            )  # fmt: skip
            return sums

        return sum_over_leaves(
            self.n_rows, leaf_sums, (r, p + STEP_SUMS), self.n_threads, leaf_rows=_LEAF_ROWS
        )

    def coefficients(self, value):
        """C (p, r), offset, slope and metric in the type that is calculated in."""
        rest = value.offset, value.slope, value.metric
        with np.errstate(over="ignore"):
            return [
                np.ascontiguousarray(value.C.T, self.X.dtype),
                *(numbers.astype(self.X.dtype) for numbers in rest),
            ]

    def steepest(self, W, value):
        """Return the largest deviation of n times the gradient from the mean of its row."""
        *numbers, _ = self.coefficients(value)
        return loops.steepest(self.n_rows, self.X, W, self.linear, self.group, *numbers, self.scale)


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
    if not math.isfinite(value.F):  # numbers that are not are in these sums
        return 0
    if step[0] == 0:
        step[0] = FIRST_MOVE / max(sweep.steepest(factor, value), FIRST_MOVE / LONGEST)
    past, unit = deque([value.F], maxlen=MEMORY), SLACK * float(np.finfo(X.dtype).eps)
    n_done, residual = 0, math.inf
    while n_done < len(history) and not residual < tol:
        rounding = unit * (abs(value.F) + abs(value.f))
        a, limit = step[0], max(past) + rounding
        for _ in range(MOST_BACKTRACKS):
            change = sweep.sums(factor, after, value, a)
            next_sums = _after_step(sums, change)
            next_value = problem.value(next_sums)
            squared = float((change[:, -5] / value.metric).sum())
            if next_value.F <= limit - DECREASE * squared / (2 * a * n_rows):
                break
            a *= BACKTRACK
        bend = _curvature(change, value, next_value)
        if bend > 1e-300:
            step[0] = min(max(squared / bend, SHORTEST), LONGEST)
        else:
            step[0] = min(max(GROWTH * a, SHORTEST), GROWN)
        factor, after, sums, value = after, factor, next_sums, next_value
        past.append(value.F)
        residual = math.sqrt(squared / n_rows) / a * RESIDUAL
        history[n_done] = value.f, residual
        n_done += 1
    violation[:], sizes[:] = value.violation, sums[:, -2]
    if factor is not W:
        W[:] = factor
    return n_done
