"""The screen's error bound: needed, since labels go wrong when it shrinks, and large enough.

The data want the screen to err as far as it can: values just off the middle between two numbers
of its grid, with signs that add the errors of one rival up and take the other's away, and a
distance between the two that only float64 can see.
"""

import functools
import itertools

import numpy as np
import pytest

from clusterlib.kernels import (
    available_backends,
    pairwise_argmin,
    pairwise_threshold,
    pairwise_topk,
)
from tests.helpers import DTYPES, TARGETS, running_on

NATIVE = [target for target in TARGETS if target.backend == "native"]
pytestmark = pytest.mark.skipif(
    "native" not in available_backends(), reason="only the native kernels have a screen"
)

# Integer units of the narrow screen: the longest row of Y gets the length 32000, and every row of
# X a length of 32000 (1 - 1e-5). csrc/screen_pack.hpp
LENGTH = 32000.0
X_LENGTH = LENGTH * (1 - 1e-5)
# (m, d): both sides of where the narrow screen begins, one tile and many, sampled medians.
SHAPES = [(64, 1), (65, 2), (300, 3), (66, 6), (2000, 64), (256, 768), (80, 4096)]
# Parts of a unit of the grid: nearly the largest rounding error, just below and above a half.
OFFSETS = {"below_half": 0.4985, "above_half": 0.5015}


@pytest.fixture(params=NATIVE, ids=str)
def native(request):
    with running_on(request.param):
        yield request.param.isa


@pytest.fixture
def set_factor():
    """Function that shrinks the bound until the end of the test."""
    from clusterlib.kernels import _native

    yield _native.set_screen_bound_factor
    _native.set_screen_bound_factor(1.0)


def _with_length(rows, length):
    """Give rows their length by the last feature alone, which leaves the others on the grid."""
    rest = np.sum(rows[:, :-1] ** 2, axis=1)
    rows[:, -1] = np.sqrt(np.maximum(length**2 - rest, 1.0))
    return rows


def _tie(x, first, second, gap):
    """Move one feature of ``second`` until it is as far from ``x`` as ``first``, but for gap."""
    excess = np.sum((x - first) ** 2, axis=1) - np.sum((x - second) ** 2, axis=1)
    nearer = excess < 0  # moving away always reaches the tie, moving closer may not
    first[nearer], second[nearer] = second[nearer], first[nearer].copy()
    excess = np.abs(excess)
    q = np.argmax(np.abs(x - second), axis=1)[:, None]
    step = np.take_along_axis(second - x, q, axis=1)
    moved = np.sqrt(step[:, 0] ** 2 + excess)[:, None] * (1 + gap)
    value = np.take_along_axis(x, q, axis=1) + np.copysign(moved, step)
    np.put_along_axis(second, q, value, axis=1)


def _gaps(rng, count, dtype):
    """Both signs of 1 to 100 units in the last place, and exact ties."""
    return rng.choice([-100, -10, -3, -1, 0, 1, 3, 10, 100], (count, 1)) * np.finfo(dtype).eps


def _near_pairs(rng, pairs, d, offset):
    """Rows x between two rows that are close to each other and off the grid to opposite sides."""
    size = 0.7 * LENGTH / np.sqrt(d)
    sign = rng.choice([-1.0, 1.0], (pairs, d))
    whole = sign * np.rint(size * rng.uniform(0.5, 1.2, (pairs, d)))
    first = whole + sign * offset
    second = whole + np.rint(rng.standard_normal((pairs, d)) * 2) - sign * offset
    return (first + second) / 2 + rng.standard_normal((pairs, d)) / 8, first, second


def _arranged(rng, m, x, first, second, dtype):
    """Tie each row with its pair; all pairs in any order are Y, with a row that sets its scale."""
    _tie(x, first, second, _gaps(rng, len(x), dtype))
    Y = np.zeros((m, x.shape[1]))
    Y[0, 0] = -LENGTH
    Y[1 : 1 + 2 * len(x)] = rng.permutation(np.concatenate([first, second]))
    return x, Y


def close_rivals(rng, m, d, offset, dtype):
    """Neighbouring rows of Y whose packing errors have opposite signs against all of x."""
    return _arranged(rng, m, *_near_pairs(rng, m // 2 - 1, d, offset), dtype)


def opposite_rivals(rng, m, d, offset, dtype):
    """Two far rows of Y on either side of all x, whose own packing errors lean to one of them."""
    n = 60
    size = LENGTH / np.sqrt(2 * d)
    axis = np.zeros(d)
    axis[-1] = LENGTH / np.sqrt(2)
    side = rng.choice([-1.0, 1.0], d) * np.rint(size)
    side[-1] = 0.0
    Y = np.zeros((m, d))
    Y[:-2] = -axis / 2 + rng.standard_normal((m - 2, d))
    Y[-2:] = axis + side, axis - side
    part = np.where(rng.random((n, 1)) < 0.5, offset, -offset)
    x = np.rint(rng.standard_normal((n, d)) * size / 2)
    # Turn signs until x lies nearly in the middle, then let the features add the errors up.
    x = np.where(np.cumsum(x * side, axis=1) * x * side > 0, -x, x) + part * np.sign(side)
    x = _with_length(x, X_LENGTH)
    x[:, 0] -= (x @ side) / side[0] if d > 1 else 0.0
    x[:, 0] += _gaps(rng, n, dtype)[:, 0] * np.abs(x[:, 0])
    return x, Y


def rounded_rivals(rng, m, d, offset, dtype):
    """The same off the grid of float32: x outwards, one row of the pair too, the other inwards."""

    def off_the_grid(rows, side):
        rows = rows.astype(np.float32)
        return rows + side * offset * np.copysign(np.spacing(np.abs(rows)), rows).astype(float)

    x, first, second = _near_pairs(rng, m // 2 - 1, d, 0.25)
    rows = off_the_grid(x, 1), off_the_grid(first, 1), off_the_grid(second, -1)
    return _arranged(rng, m, *rows, dtype)


FAMILIES = {f.__name__: f for f in (close_rivals, opposite_rivals, rounded_rivals)}


@functools.cache
def judged(family, shape, offset, dtype, metric):
    """Data, and the two nearest rows of Y by the reference."""
    seed = [*shape, *family.encode()]
    X, Y = FAMILIES[family](np.random.default_rng(seed), *shape, OFFSETS[offset], dtype)
    X, Y = X.astype(dtype), Y.astype(dtype)
    return X, Y, pairwise_topk(X, Y, 2, metric=metric, backend="reference")[1]


def _wrong(family, shape, offset, dtype, metric="sqeuclidean"):
    """How many answers of argmin, of topk for one row and for two, differ from the reference's."""
    X, Y, nearest = judged(family, shape, offset, dtype, metric)
    options = {"metric": metric, "backend": "native"}
    labels = pairwise_argmin(X, Y, **options)
    one = pairwise_topk(X, Y, 1, **options)[1]
    two = pairwise_topk(X, Y, 2, **options)[1]
    wrong = (labels != nearest[:, 0], one != nearest[:, :1], two != nearest)
    return tuple(map(np.count_nonzero, wrong))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("family", "offset"), list(itertools.product(FAMILIES, OFFSETS)))
def test_data_built_against_the_bound_get_the_labels_of_the_reference(
    native, family, offset, shape, dtype
):
    assert _wrong(family, shape, offset, dtype) == (0, 0, 0)


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_products_built_against_the_bound_do_too(native, family, dtype, metric):
    assert _wrong(family, (256, 768), "below_half", dtype, metric) == (0, 0, 0)


@pytest.mark.parametrize("factor", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(66, 6), (2000, 64), (256, 768)], ids=str)
def test_a_smaller_bound_gives_wrong_labels(native, set_factor, shape, dtype, factor):
    set_factor(factor)
    labels, one, _ = _wrong("close_rivals", shape, "below_half", dtype)
    assert labels > 0
    assert one > 0
    set_factor(1.0)
    assert _wrong("close_rivals", shape, "below_half", dtype) == (0, 0, 0)


@pytest.mark.skipif(
    "avx512_vnni" not in {target.isa for target in NATIVE},
    reason="this machine has no 16-bit dot products",
)
def test_the_narrow_screen_needs_more_than_the_wide_one(set_factor):
    """A bound that still suffices for float32 fails for 16 bits, so both really run."""
    wrong = {}
    for target in NATIVE:
        with running_on(target):
            set_factor(0.02)
            wrong[target.isa] = _wrong("close_rivals", (2000, 64), "below_half", np.float64)[0]
    assert wrong["avx512_vnni"] > 2 * wrong["avx512"]


def _half_range(rng, x_scale, y_scale):
    """Small rows beside one of size 1: float64 loses their products, so all is tied."""
    X, Y = x_scale * rng.standard_normal((600, 8)), y_scale * rng.standard_normal((80, 8))
    X[301] = 1.0  # for no sample of the rows to see
    return X, Y


def _hidden_rows(rng):
    """The only rows of Y that differ are tiny, and the sample that sets the scale misses them."""
    X, Y = np.ones((300, 6), np.float32), np.zeros((300, 6), np.float32)
    X[1::2] = 0.0
    X[1::2, 0] = np.linspace(7e-23, 9.2e-23, 150)
    Y[1, 0], Y[3, 0] = 1e-23, -1e-23
    return X, Y


ENDS = {
    "squares_lost": (lambda rng: _half_range(rng, 1e-170, 1e-170), "sqeuclidean"),
    "products_lost": (lambda rng: _half_range(rng, 1e-200, 1e-130), "inner_product"),
    "quotients_lost": (lambda rng: _half_range(rng, 1e-200, 1e-130), "cosine"),
    "hidden_rows": (_hidden_rows, "sqeuclidean"),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_vanishes_at_the_ends_of_the_range_is_tied(native, name):
    make, metric = ENDS[name]
    X, Y = make(np.random.default_rng(0))
    expected = pairwise_topk(X, Y, 2, metric=metric, backend="reference")[1]
    assert np.array_equal(pairwise_topk(X, Y, 2, metric=metric, backend="native")[1], expected)
    labels = pairwise_argmin(X, Y, metric=metric, backend="native")
    assert np.array_equal(labels, expected[:, 0])


def test_a_threshold_near_the_score_of_padding(native):
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((300, 1)).astype(np.float32)
    Y[::2] = np.clip(Y[::2], -0.9, 0.9)
    Y[0], Y[1] = 0.9, 1.38e19
    X = np.zeros((40, 1), dtype=np.float32)
    counts = pairwise_threshold(X, Y, float(Y[1, 0]) ** 2, backend="native")
    assert np.array_equal(counts, np.full(40, 300))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1.0, 1e19, 3e25])
def test_rows_that_no_sample_shows(native, size, dtype):
    # Every fourth row is looked at when scales are chosen: all others are of another size.
    rng = np.random.default_rng(2)
    Y = rng.standard_normal((1020, 5)).astype(dtype)
    Y[np.arange(1020) % 4 != 0] *= dtype(size)
    Y[700:] = Y[rng.integers(0, 700, 320)]  # repeated rows, of either size
    X = np.concatenate([Y[::7] * dtype(1.001), rng.standard_normal((50, 5)).astype(dtype)])
    labels, distances = pairwise_argmin(X, Y, return_distance=True, backend="native")
    expected = pairwise_argmin(X, Y, return_distance=True, backend="reference")
    assert np.array_equal(labels, expected[0])
    assert np.array_equal(distances, expected[1])
    wanted = pairwise_topk(X, Y, 7, backend="reference")
    assert np.array_equal(pairwise_topk(X, Y, 7, backend="native")[1], wanted[1])
