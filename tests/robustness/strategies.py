"""Strategies of the property tests: rows, weights, labels and settings that nobody would choose.

The tests of this folder draw few examples, the same in every run. A campaign draws
``CLUSTERLIB_CAMPAIGN`` times as many, other ones each time::

    CLUSTERLIB_CAMPAIGN=100 pytest tests/robustness -k estimator

An example is drawn as a recipe of a few numbers, which a failing test shows, and which makes the
arrays: ``Rows(kind="far_point", n=3, d=1, dtype="float32", seed=0).make()``.
"""

import os
import warnings
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from clusterlib.datasets import ADVERSARIAL_CASES, make_adversarial

CAMPAIGN = int(os.environ.get("CLUSTERLIB_CAMPAIGN", "1"))


def examples(number):
    """Settings of a test with so many examples, or so many times the factor of a campaign."""
    return settings(
        max_examples=number * CAMPAIGN,
        derandomize=CAMPAIGN == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def _blobs(rng, n, d):
    return 8 * rng.normal(size=(3, d))[rng.integers(0, 3, size=n)] + rng.normal(size=(n, d))


def _far(distance):
    def make(rng, n, d):
        rows = rng.normal(size=(n, d))
        rows[rng.integers(n)] = distance
        return rows

    return make


def _signed_zeros(rng, n, d):
    return rng.choice([-0.0, 0.0, 1.0, -1.0], size=(n, d))


def _constant_columns(rng, n, d):
    rows = rng.normal(size=(n, d))
    rows[:, ::2] = 3.0
    return rows


def _collinear(rng, n, d):
    return rng.normal(size=(n, 1)) * rng.normal(size=d)


def _wide_range(rng, n, d):
    return rng.normal(size=(n, d)) * 10.0 ** rng.integers(-30, 15, size=(n, d))


def _scaled(scale):
    return lambda rng, n, d: scale * rng.normal(size=(n, d))


def _shifted(offset):
    return lambda rng, n, d: offset + rng.normal(size=(n, d))


# Finite in float32; magnitudes whose squares leave it, and the dtype, are there.
MAKERS = {
    "blobs": _blobs,
    "normal": _scaled(1.0),
    "integers": lambda rng, n, d: rng.integers(-3, 4, size=(n, d)),
    "counts": lambda rng, n, d: rng.poisson(2.0, size=(n, d)),
    "zeros": lambda rng, n, d: np.zeros((n, d)),
    "signed_zeros": _signed_zeros,
    "constant_columns": _constant_columns,
    "collinear": _collinear,
    "wide_range": _wide_range,
    "offset_1e3": _shifted(1e3),
    "offset_1e7": _shifted(1e7),
    "far_1e10": _far(1e10),
    "far_1e30": _far(1e30),
    "scale_1e-15": _scaled(1e-15),
    "scale_1e15": _scaled(1e15),
}
# Only in float64.
WIDE_MAKERS = {
    "far_1e150": _far(1e150),
    "far_1e300": _far(1e300),
    "far_limit": _far(np.finfo(np.float64).max),
    "scale_1e-160": _scaled(1e-160),
    "scale_1e-300": _scaled(1e-300),
    "scale_1e150": _scaled(1e150),
    "scale_1e300": _scaled(1e300),
}
# Not finite.
BROKEN_MAKERS = {"one_nan": _far(np.nan), "one_infinity": _far(np.inf)}
KINDS = [*MAKERS, *ADVERSARIAL_CASES]


class Rows(NamedTuple):
    """Recipe of a matrix, which is finite unless its kind is one of the broken ones."""

    kind: str
    n: int
    d: int
    dtype: str
    seed: int

    def make(self):
        """Return the matrix, of shape (n, d)."""
        if self.n == 0:
            return np.zeros((0, self.d), self.dtype)
        if self.kind in ADVERSARIAL_CASES:
            dtype = np.dtype(self.dtype)
            return make_adversarial(self.kind, self.n, self.d, dtype=dtype, random_state=self.seed)
        rng = np.random.default_rng(self.seed)
        make = (MAKERS | WIDE_MAKERS | BROKEN_MAKERS)[self.kind]
        return make(rng, self.n, self.d).astype(self.dtype)


SEEDS = st.integers(0, 2**16)
SIZES = st.one_of(st.integers(1, 12), st.integers(1, 60))
WIDTHS = st.one_of(st.integers(1, 4), st.integers(1, 20), st.just(70))


@st.composite
def rows(draw, sizes=SIZES, kinds=None):
    """Recipes of matrices of both dtypes."""
    dtype = draw(st.sampled_from(["float64", "float32"]))
    kinds = kinds or (KINDS if dtype == "float32" else [*KINDS, *WIDE_MAKERS])
    return Rows(draw(st.sampled_from(kinds)), draw(sizes), draw(WIDTHS), dtype, draw(SEEDS))


def _some_zero(rng, n):
    weight = rng.integers(0, 3, size=n).astype(float)
    weight[rng.integers(n)] = 1.0
    return weight


def _one_counts(rng, n):
    weight = np.zeros(n)
    weight[rng.integers(n)] = 1.0
    return weight


WEIGHTS = {
    "uniform": lambda rng, n: rng.random(n) + 0.1,
    "some_zero": _some_zero,
    "one_counts": _one_counts,
    "tiny": lambda rng, n: np.full(n, 1e-300),
    "huge": lambda rng, n: np.full(n, 1e300),
    "wide": lambda rng, n: 10.0 ** rng.integers(-300, 300, size=n),
    "one_heavy": lambda rng, n: np.r_[1e300, np.ones(n - 1)],
    "one_light": lambda rng, n: np.r_[1e-300, np.ones(n - 1)],
    "one_number": lambda rng, n: 2.5,
    "zeros": lambda rng, n: np.zeros(n),
    "negative": lambda rng, n: np.r_[-1.0, np.ones(n - 1)],
    "nan": lambda rng, n: np.r_[np.nan, np.ones(n - 1)],
}

LABELS = {
    "few": lambda rng, n: rng.integers(0, 3, size=n),
    "balanced": lambda rng, n: rng.permutation(np.arange(n) % 3),
    "two": lambda rng, n: rng.permutation(np.arange(n) % 2),
    "negative": lambda rng, n: rng.integers(-2, 2, size=n) * 7,
    "strings": lambda rng, n: rng.choice(["b", "a", "long name", ""], size=n),
    "objects": lambda rng, n: rng.choice(["b", "a", "c"], size=n).astype(object),
    "bools": lambda rng, n: rng.integers(0, 2, size=n).astype(bool),
    "floats": lambda rng, n: rng.integers(0, 3, size=n).astype(float),
    "large": lambda rng, n: rng.integers(0, 3, size=n) + 2**60,
    "one_class": lambda rng, n: np.zeros(n, int),
    "each_its_own": lambda rng, n: rng.permutation(n),
    "one_alone": lambda rng, n: np.r_[1, np.zeros(n - 1, int)],
    "long_tail": lambda rng, n: np.minimum(rng.geometric(0.5, size=n), 5),
}


def make_weight(kind, n, seed):
    """Return weights of n rows, in an order of their own."""
    rng = np.random.default_rng(seed)
    weight = WEIGHTS[kind](rng, n)
    return weight if np.ndim(weight) == 0 else rng.permutation(weight)


def make_labels(kind, n, seed):
    """Return labels of n rows."""
    return LABELS[kind](np.random.default_rng(seed), n) if n else np.zeros(0, int)


class Refused(NamedTuple):
    """A clear refusal: ValueError or TypeError, nothing derived from them."""

    message: str


def outcome(function, *args, **kwargs):
    """Return what a call returns, or ``Refused``; whatever else it raises or warns of gets through.

    Warnings of the library's own are part of its answers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            if type(error) not in (TypeError, ValueError):
                raise
            return Refused(str(error))
