"""Reference of the kernel in ``kernels/linear_assignment.py``."""

import numpy as np

__all__ = ["linear_assignment"]


def linear_assignment(C, sign, columns, u, v):
    """Add one row after the other along a shortest augmenting path, in float64."""
    cost = sign * C.astype(np.float64)
    n, m = cost.shape
    largest = np.abs(cost[np.isfinite(cost)]).max(initial=0.0)
    if not (cost > -np.inf).all() or largest > np.finfo(np.float64).max / (32 * (n + 1)):
        return 1
    owner = np.full(m, -1)
    v[:] = 0.0
    for row in range(n):
        distance, before, done, end = _shortest_path(cost, row, v, owner)
        if end < 0:
            return 2
        v[done] += np.minimum(0, distance[done] - distance[end])  # prices never rise by rounding
        while end >= 0:  # everybody on the path takes the column that was reached from them
            i = before[end]
            owner[end] = i
            end, columns[i] = (-1 if i == row else columns[i]), end
    u[:] = (cost - v).min(axis=1)
    return 0


def _shortest_path(cost, row, v, owner):
    """Dijkstra from a row to the nearest column without one; (..., -1) if there is none."""
    distance, before = cost[row] - v, np.full(len(v), row)
    done = np.zeros(len(v), bool)
    while True:
        j = int(np.argmin(np.where(done, np.inf, distance)))
        if done[j] or distance[j] == np.inf:
            return distance, before, done, -1
        if owner[j] < 0:
            return distance, before, done, j
        done[j] = True
        i = owner[j]
        onwards = (cost[i] - v) - ((cost[i, j] - v[j]) - distance[j])
        nearer = ~done & (onwards < distance)
        distance[nearer], before[nearer] = onwards[nearer], i
