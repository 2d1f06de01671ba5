"""Numba backend of the kernel in ``kernels/linear_assignment.py``: bids, then shortest paths."""

import numpy as np

from clusterlib.kernels._numba.compiling import compiled

__all__ = ["linear_assignment"]

_BIDS = 4  # of every row, on average
_PATIENCE = 1 << 26  # costs that are read between two chances to be interrupted


@compiled
def _best(C, sign, i, v):
    """Least cost - price of row i, its column, and the least of the others."""
    first, second, column = np.inf, np.inf, -1
    for j in range(len(v)):
        value = sign * np.float64(C[i, j]) - v[j]
        if value < first:
            first, second, column = value, first, j
        elif value < second:
            second = value
    return first, second, column


@compiled
def _tied(C, sign, i, v, owner, value):
    """A column without a row among those that cost row i ``value``, or -1."""
    for j in range(len(v)):
        if owner[j] < 0 and sign * np.float64(C[i, j]) - v[j] == value:
            return j
    return -1


@compiled
def _place(C, sign, i, best, columns, u, v, owner):
    """Give row i its best column; returns the row that loses it, -1, or -2 if i stays free."""
    first, second, j = best
    price = v[j] - (second - first)
    loser = owner[j]
    if loser >= 0 and not price < v[j]:
        j = _tied(C, sign, i, v, owner, first)
        if j < 0:
            return -2
        loser = -1
    elif price > -np.inf:
        v[j] = price
    owner[j], columns[i] = i, j
    u[i] = min(sign * np.float64(C[i, j]) - v[j], second)
    return loser


@compiled
def _bids(C, sign, columns, u, v, owner, free):
    """Rows bid for columns; returns a status and the number of rows that are free."""
    n, m = C.shape
    largest, n_free, budget = 0.0, 0, _BIDS * n
    for start in range(n):
        for j in range(m):
            value = sign * np.float64(C[start, j])
            if not value > -np.inf:
                return 1, 0
            if abs(value) < np.inf:
                largest = max(largest, abs(value))
        if not largest * (32.0 * (n + 1)) < np.inf:
            return 1, 0
        i = start
        while i >= 0:
            best = _best(C, sign, i, v)
            if best[2] < 0:
                return 2, 0
            budget -= 1
            loser = _place(C, sign, i, best, columns, u, v, owner)
            if loser == -2 or (loser >= 0 and budget <= 0):
                free[n_free] = i if loser == -2 else loser
                n_free += 1
                loser = -1
            i = loser
    return 0, n_free


@compiled
def _augment(C, sign, start, columns, v, owner, touched, spare):
    """Row ``start`` gets a column along a shortest path; returns the rows seen, -1 without one."""
    distance, before, done, scanned = spare
    m = len(v)
    distance[:], done[:] = np.inf, 0
    i, shift, n_scanned = start, 0.0, 0
    while True:
        touched[i] = 1
        nearest, least = -1, np.inf
        for j in range(m):
            if done[j]:
                continue
            value = (sign * np.float64(C[i, j]) - v[j]) - shift
            if value < distance[j]:
                distance[j], before[j] = value, i
            if distance[j] < least or (distance[j] == least and nearest >= 0 and owner[j] < 0):
                nearest, least = j, distance[j]
        if nearest < 0:
            return -1
        if owner[nearest] < 0:
            break
        done[nearest] = 1
        scanned[n_scanned] = nearest
        n_scanned += 1
        i = owner[nearest]
        shift = (sign * np.float64(C[i, nearest]) - v[nearest]) - least
    for j in scanned[:n_scanned]:
        v[j] += min(0.0, distance[j] - least)  # prices never rise by rounding
    i = -1
    while i != start:
        i = before[nearest]
        owner[nearest] = i
        columns[i], nearest = nearest, columns[i]
    return n_scanned + 1


@compiled
def _augment_some(C, sign, free, columns, v, owner, touched, spare):
    """Augment for as many of the free rows as patience allows; returns how many, or -1."""
    read = 0
    for k in range(len(free)):
        seen = _augment(C, sign, free[k], columns, v, owner, touched, spare)
        if seen < 0:
            return -1
        read += seen * len(v)
        if read > _PATIENCE:
            return k + 1
    return len(free)


@compiled
def _tighten(C, sign, u, v, touched):
    """Row potentials that hold to the last bit, of rows whose surroundings have changed."""
    for i in range(len(u)):
        if touched[i]:
            u[i] = _best(C, sign, i, v)[0]


def linear_assignment(C, sign, columns, u, v):
    """Bid, then augment in portions, between which Python hears of signals."""
    n, m = C.shape
    C = np.ascontiguousarray(C).view()
    C.flags.writeable = False  # one type for all that is compiled
    owner, free, touched = np.full(m, -1), np.empty(n, np.int64), np.zeros(n, np.int8)
    columns[:], v[:] = -1, 0.0
    status, n_free = _bids(C, sign, columns, u, v, owner, free)
    if status:
        return status
    spare = np.empty(m), np.empty(m, np.int64), np.empty(m, np.int8), np.empty(n, np.int64)
    free = free[:n_free]
    while len(free):
        done = _augment_some(C, sign, free, columns, v, owner, touched, spare)
        if done < 0:
            return 2
        free = free[done:]
    _tighten(C, sign, u, v, touched)
    return 0
