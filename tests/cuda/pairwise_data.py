"""Rows that are hard to compare: ties, offsets, both ends of the range; and what must be refused."""

import numpy as np

from clusterlib.kernels._cupy import pairwise_setup

__all__ = ["FAMILIES", "REFUSED", "SHAPES", "few_rows_at_once", "rows_of"]

# (n, m, d) beside the edges of every tile (128 or 64 rows, 64 or 32 columns, 32 or 16 features):
# rows of whole vectors and others, primes, single rows and features.
SHAPES = [
    (1, 1, 1),
    (3, 2, 1),
    (127, 31, 3),
    (128, 32, 8),
    (129, 33, 31),
    (64, 64, 32),
    (65, 65, 33),
    (131, 67, 64),
    (17, 129, 13),
    (0, 5, 3),
]


def _normal(rng, n, m, d):
    return rng.standard_normal((n, d)), rng.standard_normal((m, d))


def _grid(rng, n, m, d):
    """Integers: exact ties."""
    return rng.integers(-2, 3, (n, d)), rng.integers(-2, 3, (m, d))


def _repeated(rng, n, m, d):
    """Every row of Y twice or more, and X among them."""
    Y = rng.standard_normal((m, d))[rng.integers(0, (m + 1) // 2, m)]
    return Y[rng.integers(0, m, n)] + 0.1 * rng.standard_normal((n, d)), Y


def _offset(rng, n, m, d):
    """Far from the origin: float32 cannot see the differences without a shift."""
    return 3e4 + rng.standard_normal((n, d)), 3e4 + rng.standard_normal((m, d))


def _two_sides(rng, n, m, d):
    """Y on both sides of the origin, far away: no shift helps."""
    Y = rng.standard_normal((m, d)) / 64 + np.where(np.arange(m) % 2, 1000.0, -1000.0)[:, None]
    return rng.standard_normal((n, d)), Y


def _outlier(rng, n, m, d):
    """One row of Y far from all others."""
    X, Y = _normal(rng, n, m, d)
    Y[m // 2] *= 1e6
    return X, Y


def _zeros(rng, n, m, d):
    X, Y = _normal(rng, n, m, d)
    X[::3], Y[::2] = 0.0, 0.0
    return X, Y


def _scaled(factor):
    def make(rng, n, m, d):
        X, Y = _normal(rng, n, m, d)
        return factor * X, factor * Y

    return make


def _both_ends(rng, n, m, d):
    """Rows of X from 1e-25 to 1e25."""
    X, Y = _normal(rng, n, m, d)
    return X * 10.0 ** rng.uniform(-25, 25, (n, 1)), Y


FAMILIES = {
    "normal": _normal,
    "grid": _grid,
    "repeated": _repeated,
    "offset": _offset,
    "two_sides": _two_sides,
    "outlier": _outlier,
    "zeros": _zeros,
    "tiny": _scaled(1e-22),
    "huge": _scaled(1e25),
    "denormal": _scaled(1e-41),
    "both_ends": _both_ends,
}


def rows_of(family, n, m, d, dtype):
    """X and Y of a family, in a dtype."""
    X, Y = FAMILIES[family](np.random.default_rng([n, m, d]), n, m, d)
    return X.astype(dtype), Y.astype(dtype)


def few_rows_at_once(monkeypatch, rows):
    """Let products of matrices have so many rows at a time."""
    monkeypatch.setattr(pairwise_setup, "_CACHED_BYTES", 1)
    monkeypatch.setattr(pairwise_setup, "_LEAST_ROWS", rows)


# What is given for X, what for Y, the error and its words. "host" stays on the host.
_GOOD = np.ones((3, 2))
REFUSED = {
    "nan in X": (np.array([[1.0, np.nan]]), _GOOD, ValueError, "X contains NaN or infinity"),
    "infinity in Y": (_GOOD, np.array([[1.0, -np.inf]]), ValueError, "Y contains NaN or infinity"),
    "no row in Y": (_GOOD, np.ones((0, 2)), ValueError, "Y must have at least 1 row"),
    "no feature": (np.ones((3, 0)), np.ones((3, 0)), ValueError, "at least 1 feature"),
    "features differ": (_GOOD, np.ones((3, 1)), ValueError, "same number of features"),
    "one dimension": (np.ones(3), _GOOD, ValueError, "must have 2 dimensions"),
    "integers": (np.ones((3, 2), np.int64), _GOOD, TypeError, "must be float32 or float64"),
    "half precision": (np.ones((3, 2), np.float16), _GOOD, TypeError, "must be float32 or float64"),
    "dtypes differ": (_GOOD.astype(np.float32), _GOOD, TypeError, "must have one dtype"),
}
