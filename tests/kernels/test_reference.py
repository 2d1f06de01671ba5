"""The judge is judged: by rational arithmetic, and lane by lane in plain Python."""

import math
from fractions import Fraction

import numpy as np
import pytest

from clusterlib.kernels import (
    pairwise_argmin,
    pairwise_distances,
    pairwise_threshold,
    pairwise_topk,
)
from tests.helpers import DTYPES, METRICS

REFERENCE = {"backend": "reference"}


def lane_sum(terms):
    """The defined order of a sum, one Python float at a time."""
    s = [0.0] * 8
    for p, term in enumerate(terms):
        s[p % 8] += term
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


def defined_value(x, y, metric):
    """(value to compare, distance) by the words of the contract."""
    x, y = [float(v) for v in x], [float(v) for v in y]
    if metric in ("sqeuclidean", "euclidean"):
        value = lane_sum((a - b) * (a - b) for a, b in zip(x, y, strict=True))
        return value, math.sqrt(value) if metric == "euclidean" else value
    dot = lane_sum(a * b for a, b in zip(x, y, strict=True))
    if metric == "inner_product":
        return -dot, -dot
    x_norm, y_norm = (math.sqrt(lane_sum(a * a for a in row)) for row in (x, y))
    value = -dot / y_norm if y_norm > 0 else 0.0
    return value, min(2.0, max(0.0, 1.0 + value / x_norm)) if x_norm > 0 else 1.0


def exact_distance(x, y, metric):
    """The distance of rational arithmetic; its root, if any, is taken last."""
    x, y = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    if metric in ("sqeuclidean", "euclidean"):
        square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
        return math.sqrt(square) if metric == "euclidean" else square
    dot, xx, yy = (
        sum(a * b for a, b in zip(u, v, strict=True)) for u, v in ((x, y), (x, x), (y, y))
    )
    if metric == "inner_product":
        return -dot
    return 1 - dot / Fraction(math.sqrt(xx * yy)) if xx and yy else Fraction(1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 7, 8, 9, 17, 65])
def test_every_bit_follows_the_defined_order(d, dtype, metric):
    rng = np.random.default_rng(d)
    X, Y = (rng.standard_normal((n, d)).astype(dtype) for n in (5, 6))
    X[1], Y[2] = 0.0, 0.0
    expected = [[defined_value(x, y, metric) for y in Y] for x in X]
    distances = pairwise_distances(X, Y, metric=metric, **REFERENCE)
    assert np.array_equal(distances, np.array([[e[1] for e in row] for row in expected], dtype))
    order = [sorted(range(6), key=lambda j: (row[j][0], j)) for row in expected]
    assert np.array_equal(pairwise_topk(X, Y, 6, metric=metric, **REFERENCE)[1], order)


@pytest.mark.parametrize("metric", METRICS)
def test_distances_are_close_to_rational_arithmetic(metric):
    rng = np.random.default_rng(7)
    X, Y = rng.standard_normal((4, 37)), rng.standard_normal((5, 37))
    D = pairwise_distances(X, Y, metric=metric, **REFERENCE)
    for i, x in enumerate(X):
        for j, y in enumerate(Y):
            # Eight lanes: 5 additions each and 3 to join them, a product or square, a difference.
            scale = 1.0 if metric == "cosine" else float(np.linalg.norm(x) + np.linalg.norm(y)) ** 2
            error = abs(Fraction(float(D[i, j])) - Fraction(exact_distance(x, y, metric)))
            assert error <= 12 * 2.0**-53 * scale


def test_integers_give_exact_distances_and_the_lowest_index():
    rng = np.random.default_rng(3)
    X, Y = rng.integers(-3, 4, (60, 5)), rng.integers(-3, 4, (40, 5))
    squares = [
        [sum((int(a) - int(b)) ** 2 for a, b in zip(x, y, strict=True)) for y in Y] for x in X
    ]
    labels, distances = pairwise_argmin(X, Y, return_distance=True, **REFERENCE)
    assert np.array_equal(labels, [row.index(min(row)) for row in squares])
    assert np.array_equal(distances, [min(row) for row in squares])
    counts = pairwise_threshold(X, Y, 20, **REFERENCE)
    assert np.array_equal(counts, [sum(s <= 20 for s in row) for row in squares])


@pytest.mark.parametrize("scale", [-1060, -900, -452, 501, 800, 1018])
def test_powers_of_two_only_scale_the_distances(scale):
    # At both ends of the range squares leave float64, and the rows are scaled before comparing.
    rng = np.random.default_rng(11)
    X, Y = (rng.integers(-8, 9, (n, 9)).astype(np.float64) for n in (30, 20))
    labels, distances = pairwise_argmin(X, Y, metric="euclidean", return_distance=True, **REFERENCE)
    scaled = pairwise_argmin(
        np.ldexp(X, scale),
        np.ldexp(Y, scale),
        metric="euclidean",
        return_distance=True,
        **REFERENCE,
    )
    assert np.array_equal(scaled[0], labels)
    # Near the small end distances lie on the coarse grid of denormal numbers.
    assert np.allclose(np.ldexp(scaled[1], -scale), distances, rtol=1e-15, atol=0.51 * 2.0**-14)


def test_overflow_and_underflow_of_distances_do_not_change_labels():
    Y = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    X = np.array([[2.9, 0.0], [0.1, 0.8]])
    for scale in (1e300, 1e-300):
        labels, distances = pairwise_argmin(X * scale, Y * scale, return_distance=True, **REFERENCE)
        assert np.array_equal(labels, [1, 2])
        assert np.array_equal(distances, [scale * scale] * 2)  # inf or 0
