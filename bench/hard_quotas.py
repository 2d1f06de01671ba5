"""Inputs that make an assignment to clusters of n/k rows hard, each by another trait.

Auctions suffer from prices that must rise far above the gaps between costs, augmenting paths from
rows that are too many in a cluster when the prices are found: ties, copies, whole blocks.
"""

from collections.abc import Callable

import numpy as np

Input = tuple[np.ndarray, np.ndarray]  # rows (n, d), centres (k, d)

DIMENSION = 8
FAR = 1e3
PRICE_RANGE = 1e12
LEVEL, MOST_LEVELS = 100.0, 4


def equal(n: int, k: int, rng) -> Input:
    """All rows are the same: every assignment of the right sizes costs alike to the last row."""
    return np.zeros((n, DIMENSION)), rng.standard_normal((k, DIMENSION))


def copies(n: int, k: int, rng) -> Input:
    """Sixty-four copies of every row."""
    rows = rng.standard_normal((-(-n // 64), DIMENSION))
    return np.repeat(rows, 64, axis=0)[:n], rng.standard_normal((k, DIMENSION))


def grid(n: int, k: int, rng) -> Input:
    """Rows and centres on a small integer grid: costs are integers, and nearly all of them tie."""
    return (rng.integers(0, 16, (m, 2)).astype(np.float64) for m in (n, k))


def block(n: int, k: int, rng) -> Input:
    """Half of the rows lie far away around one centre, and must be shared by all of them."""
    X, Y = rng.standard_normal((n, DIMENSION)), rng.standard_normal((k, DIMENSION))
    X[: n // 2, 0] += FAR
    Y[0, 0] += FAR
    return X, Y


def crowd(n: int, k: int, rng) -> Input:
    """All rows are close to one centre, and the others are far away at different distances."""
    Y = rng.standard_normal((k, DIMENSION)) * np.geomspace(1, FAR, k)[:, None]
    Y[0] = 0
    return 0.01 * rng.standard_normal((n, DIMENSION)), Y


def ladder(n: int, k: int, rng) -> Input:
    """On a line, with centres in a geometric sequence: so are the prices, over twelve decades."""
    Y = np.geomspace(1, np.sqrt(PRICE_RANGE), k)[:, None]
    return rng.random((n, 1)), Y


def line(n: int, k: int, rng) -> Input:
    """On a line, rows on the left and centres on the right: a row pushes the next one on."""
    return np.sort(rng.random((n, 1)), axis=0), 1 + np.arange(k)[:, None] / k


def nested(n: int, k: int, rng) -> Input:
    """Groups of groups, each level a hundred times smaller than the last one, and most rows in one of
    the smallest: rows must leave at all scales, so that no single scale of prices fits."""
    levels = int(np.ceil(np.log2(k)))
    steps = LEVEL ** -np.arange(min(levels, MOST_LEVELS), dtype=np.float64)
    bits = np.arange(k)[:, None] >> np.arange(levels) & 1
    Y = np.zeros((k, DIMENSION))
    for level in range(levels):
        Y[:, level % DIMENSION] += bits[:, level] * steps[level % len(steps)]
    home = np.minimum(rng.geometric(0.3, size=n) - 1, k - 1)
    return Y[home] + steps[-1] * rng.standard_normal((n, DIMENSION)), Y


FAMILIES: dict[str, Callable[[int, int, np.random.Generator], Input]] = {
    family.__name__: family for family in (equal, copies, grid, block, crowd, ladder, line, nested)
}


def make(family: str, n: int, k: int, seed: int = 0) -> Input:
    """Rows and centres in float64."""
    X, Y = FAMILIES[family](n, k, np.random.default_rng(seed))
    return np.ascontiguousarray(X), np.ascontiguousarray(Y)
