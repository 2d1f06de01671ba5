"""Reference of the kernels in ``kernels/simplex.py``."""

from collections import deque

import numpy as np

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
from clusterlib.kernels.tiles import unpack_rows

__all__ = ["simplex_descent", "simplex_projection"]


def simplex_projection(V, out, n_threads):
    """Project in the Euclidean metric."""
    if V.size:
        with np.errstate(over="ignore"):
            V = V.astype(np.float64) - V.max(axis=1, keepdims=True)
        out[:] = projected(V, np.ones(V.shape[1]))


class Problem:
    """The augmented Lagrangian of a low-rank semidefinite program, and n times its gradient."""

    def __init__(self, X, linear, precisions, group, constraint, target, multiplier, penalty):
        self.X, self.linear, self.precisions = X, linear, precisions
        self.group, self.constraint = group, constraint
        self.target, self.multiplier, self.penalty = target, multiplier, penalty

    @np.errstate(over="ignore", invalid="ignore")
    def evaluate(self, W):
        """Return F, f, the violations and n times the gradient."""
        d = np.maximum(W.sum(axis=0), SMALLEST_SIZE)
        M = self.X.T @ W
        B = (
            M
            if self.precisions is None
            else np.einsum("cij,jc->ic", self.precisions[self.group], M)
        )
        q, t = (B * M).sum(axis=0), (W * W).sum(axis=0)
        f = (q / d).sum()
        violation = np.bincount(self.constraint, t / d, minlength=len(self.target)) - self.target
        mu = (self.multiplier + self.penalty * violation)[self.constraint]
        gradient = q / d**2 - mu * t / d**2 + 2 * mu / d * W - 2 * self.X @ (B / d)
        if self.linear is not None:
            f += (self.linear[:, self.group] * W).sum()
            gradient -= self.linear[:, self.group]
        F = -f + self.multiplier @ violation + self.penalty / 2 * (violation @ violation)
        return F, f, violation, len(W) * gradient


def projected(V, metric):
    """Nearest rows on the simplex, distances measured by ``sum (w - v)^2 / metric``.

    By sorting: theta is the last (sum of the first k - 1) / (sum of their metrics) below entry k.
    Entries are taken relative to a lower bound of it, since no w exceeds 1.
    """
    V = V - metric * ((V - 1) / metric).max(axis=1, keepdims=True)
    ratio = V / metric
    order = np.argsort(-ratio, axis=1, kind="stable")
    excess = np.take_along_axis(V, order, axis=1).cumsum(axis=1) - 1
    excess /= metric[order].cumsum(axis=1)
    last = np.count_nonzero(np.take_along_axis(ratio, order, axis=1) > excess, axis=1) - 1
    theta = excess[np.arange(len(V)), last]
    return np.maximum(V - metric * theta[:, None], 0)


def simplex_descent(
    n_rows,
    X,
    W,
    spare,
    linear,
    precisions,
    group,
    constraint,
    target,
    multiplier,
    penalty,
    tol,
    step,
    violation,
    sizes,
    history,
    n_threads,
):
    """Spectral projected gradients with a non-monotone line search, in float64."""
    rows = [None if a is None else unpack_rows(a, n_rows).astype(np.float64) for a in (X, linear)]
    problem = Problem(*rows, precisions, group, constraint, target, multiplier, penalty)
    factor = unpack_rows(W, n_rows).astype(np.float64)
    F, f, v, G = problem.evaluate(factor)
    if not np.isfinite(F):
        return 0
    if step[0] == 0:
        steepest = np.abs(G - G.mean(axis=1, keepdims=True)).max(initial=0.0)
        step[0] = FIRST_MOVE / max(steepest, FIRST_MOVE / LONGEST)
    past = deque([F], maxlen=MEMORY)
    unit = SLACK * float(np.finfo(W.dtype).eps)
    n_done = 0
    while n_done < len(history):
        metric = np.maximum(factor.sum(axis=0) * factor.shape[1] / n_rows, SMALLEST_SHARE)
        a, limit = step[0], max(past) + unit * (abs(past[-1]) + abs(f))
        for _ in range(MOST_BACKTRACKS):
            candidate = projected(factor - a * metric * G, metric)
            D = candidate - factor
            squared = (D * D / metric).sum()
            F, f, v, next_G = problem.evaluate(candidate)
            if F <= limit - DECREASE * squared / (2 * a * n_rows):
                break
            a *= BACKTRACK
        bend = (D * (next_G - G)).sum()
        if bend > 1e-300:
            step[0] = np.clip(squared / bend, SHORTEST, LONGEST)
        else:
            step[0] = np.clip(GROWTH * a, SHORTEST, GROWN)
        factor, G = candidate, next_G
        past.append(F)
        residual = np.sqrt(squared / n_rows) / a * RESIDUAL
        history[n_done] = f, residual
        n_done += 1
        if residual < tol:
            break
    violation[:] = v
    sizes[:] = factor.sum(axis=0)
    W[:] = 0
    W.transpose(0, 2, 1)[np.arange(n_rows) // W.shape[2], np.arange(n_rows) % W.shape[2]] = factor
    return n_done
