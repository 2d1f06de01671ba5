"""Problems for the Sinkhorn kernels, and the error bounds their contract promises."""

from typing import NamedTuple

import numpy as np

TAUS = [1.0, 0.5, 0.0]
# (n, m): sizes around registers, blocks of rows, leaves and strips of columns.
SHAPES = [
    (n, m)
    for i, n in enumerate([0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 257, 513])
    for m in {1, [2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 257][i % 13], [9, 33, 64][i % 3]}
]


class Problem(NamedTuple):
    """A cost with weights, a sixth of which are 0, and column potentials to start from."""

    C: np.ndarray
    log_a: np.ndarray
    log_b: np.ndarray
    g: np.ndarray


def logs(weights):
    with np.errstate(divide="ignore"):
        return np.log(weights)


def weights(rng, size):
    """Random weights of sum 1; some are 0, but never all."""
    w = rng.uniform(0.1, 1.0, size) * (rng.uniform(size=size) > 1 / 6)
    w[..., 0] = 1.0 if size else 0.0
    return w / w.sum(axis=-1, keepdims=True)


def problem(n, m, dtype=np.float64, seed=0):
    """Costs from 0 to 1; g is -inf where a column has no weight."""
    rng = np.random.default_rng([n, m, seed])
    C = rng.uniform(size=(n, m)).astype(dtype)
    log_a = logs(weights(rng, n)) if n else np.empty(0)
    log_b = logs(weights(rng, m))
    return Problem(C, log_a, log_b, np.where(log_b > -np.inf, rng.normal(0.0, 0.1, m), -np.inf))


def unit_roundoff(dtype, precise=False):
    return 2.0**-53 if precise or dtype == np.float64 else 2.0**-24


def largest_gap(C, g):
    """S of the contract: the largest |g_j - C_ij| of a column that is there."""
    here = g > -np.inf
    gaps = np.abs(g[here] - C[:, here].astype(np.float64))
    return gaps.max(initial=0.0)


# Rounding of a sum in units of u: rows are added in lanes of up to 130 terms, columns by 64 rows,
# both with a tree or float64 above, and each exponential has a few units of its own.
SUM_ERROR = 256


class Bound:
    """Errors of one sweep in dtype with S the largest gap: of potentials, of entries, of sums."""

    def __init__(self, C, g, epsilon, precise=False, cost_error=0.0, hinted=False):
        u = unit_roundoff(C.dtype, precise)
        # Of an exponent times epsilon, and twice: the maximum, or shift, that is taken off a row.
        gap_error = 4 * u * largest_gap(C, g) + cost_error
        # A hint may take exponents that far before the maximum is looked for instead.
        if hinted:
            gap_error += 4 * u * epsilon * (100 if u == 2.0**-24 else 900)
        self.potential = 2 * gap_error + SUM_ERROR * u * epsilon
        # An entry has the errors of f and of its own exponent.
        self.relative = np.expm1(min(600.0, (self.potential + gap_error) / epsilon + SUM_ERROR * u))
        # Shifted exponentials below the normal range are lost. A shift may be off by 2^40 in
        # float32 and by 2^500 in float64 before the maximum is looked for.
        self.lost = 2.0**-80 if u == 2.0**-24 else 2.0**-500

    def assert_sums(self, sums, expected, mass):
        """Column sums against exact ones; ``mass`` is the sum of the plan."""
        allowed = self.relative * expected + self.lost * mass
        assert np.all(np.abs(sums - expected) <= allowed)

    def assert_potentials(self, f, expected, factor=1.0):
        """Potentials: the same ones are -inf, the others within the bound."""
        here = expected > -np.inf
        assert np.array_equal(f > -np.inf, here)
        allowed = factor * self.potential + 2.0**-50 * np.abs(expected[here])
        assert np.all(np.abs(f[here] - expected[here]) <= allowed)
