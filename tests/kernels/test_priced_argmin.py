"""Where distance plus price is least: exact, in float64, the lowest index on ties."""

import numpy as np
import pytest

from clusterlib.kernels import (
    capacity_assignment_points,
    pairwise_argmin,
    pairwise_distances,
    priced_argmin,
)
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, METRICS, SHAPES


def random_points(n, k, d, dtype=np.float64, seed=0):
    rng = np.random.default_rng([seed, n, k, d])
    X, Y = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(k, d)).astype(dtype)
    return X, Y, rng.normal(size=k)


def expected_labels(X, Y, prices, metric="sqeuclidean"):
    """Of the defined evaluation, which the reference writes in float64 whatever the points are."""
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    return (pairwise_distances(X, Y, metric=metric, backend="reference") + prices).argmin(axis=1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_of_all_shapes(backend, dtype, metric):
    for n, k, d in SHAPES:
        if k == 0:
            continue
        X, Y, prices = random_points(n, k, d, dtype)
        labels = priced_argmin(X, Y, prices, metric=metric, backend=backend)
        assert labels.dtype == np.int32
        assert np.array_equal(labels, expected_labels(X, Y, prices, metric)), (n, k, d)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_prices_that_nearly_tie(backend, dtype, metric):
    # Every row of a group has the same two cheapest centres up to a few roundings of the sum.
    X, Y, _ = random_points(400, 12, 5, dtype)
    D = pairwise_distances(X.astype(float), Y.astype(float), metric=metric, backend="reference")
    for row in range(0, 40, 5):
        exact = D[row].max() - D[row]
        for prices in (exact, np.nextafter(exact, 9.0), exact + 2.0**-40):
            labels = priced_argmin(X, Y, prices, metric=metric, backend=backend)
            assert np.array_equal(labels, (D + prices).argmin(axis=1))


def test_ties_go_to_the_lowest_index(backend):
    X = np.arange(6.0)[:, None]
    Y = np.array([[3.0], [1.0], [1.0], [3.0]])
    assert priced_argmin(X, Y, 0.0, backend=backend).tolist() == [1, 1, 0, 0, 0, 0]
    # |x - 1|^2 - |x - 3|^2 = 4 x - 8
    assert priced_argmin(X, Y, [0, 4.0, 4, 0], backend=backend).tolist() == [1, 0, 0, 0, 0, 0]


def test_a_price_counts_to_its_last_bit(backend):
    X, Y = np.zeros((3, 2)), np.ones((2, 2))
    assert priced_argmin(X, Y, [0.0, -(2.0**-52)], backend=backend).tolist() == [1] * 3
    assert priced_argmin(X, Y, [2.0**-51, 0.0], backend=backend).tolist() == [1] * 3
    # Half a unit in the last place of the sum is rounded away, and the tie is the lowest index's.
    assert priced_argmin(X, Y, [2.0**-53, 0.0], backend=backend).tolist() == [0] * 3


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_without_prices_it_is_the_nearest_centre(backend, metric):
    X, Y, _ = random_points(300, 17, 6)
    labels = priced_argmin(X, Y, 0.0, metric=metric, backend=backend)
    assert np.array_equal(labels, pairwise_argmin(X, Y, metric=metric))


def test_one_centre_and_huge_prices(backend):
    X, Y, _ = random_points(5, 3, 2)
    assert not priced_argmin(X, Y[:1], -3.0, backend=backend).any()
    labels = priced_argmin(X, Y, [2.0**900, -(2.0**900), 0.0], backend=backend)
    assert labels.tolist() == [1] * 5


@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_and_threads(backend, dtype, layout, tmp_path):
    make = (LAYOUTS | COPIED_LAYOUTS)[layout]
    X, Y, prices = random_points(200, 9, 7, dtype)
    expected = expected_labels(X, Y, prices)
    X, Y = make(X, tmp_path), make(Y, tmp_path)
    for threads in (1, 2, 3):
        labels = priced_argmin(X, Y, prices, n_threads=threads, backend=backend)
        assert np.array_equal(labels, expected)


@pytest.mark.parametrize("exponent", [-1040, -600, 600, 1010])
@pytest.mark.parametrize("metric", METRICS)
def test_points_of_any_magnitude(backend, metric, exponent):
    X, Y, prices = random_points(50, 6, 3)
    X, Y = np.round(64 * X), np.round(64 * Y)  # few bits, which subnormal numbers have, too
    degree = {"sqeuclidean": 2, "euclidean": 1, "cosine": 0, "inner_product": 2}[metric]
    prices = np.round(64 * prices - (64 * prices).min())
    plain = priced_argmin(X, Y, prices, metric=metric, backend=backend)
    X, Y = np.ldexp(X, exponent), np.ldexp(Y, exponent)
    with np.errstate(over="ignore"):
        far = np.ldexp(prices, degree * exponent)
    if (far <= 2.0**900).all() and ((far > 0) == (prices > 0)).all():
        labels = priced_argmin(X, Y, far, metric=metric, backend=backend)
        assert np.array_equal(labels, plain)
    free = priced_argmin(X, Y, 7.0, metric=metric, backend=backend)
    assert np.array_equal(free, pairwise_argmin(X, Y, metric=metric))


def test_prices_far_above_tiny_distances_decide_alone(backend):
    X, Y, _ = random_points(50, 4, 3)
    X, Y = np.ldexp(X, -600), np.ldexp(Y, -600)
    assert priced_argmin(X, Y, [3.0, 2.0, 1.0, 2.0], backend=backend).tolist() == [2] * 50
    nearest = pairwise_argmin(X, Y[[1, 2]]) + 1
    assert np.array_equal(priced_argmin(X, Y, [3.0, 1.0, 1.0, 2.0], backend=backend), nearest)


@pytest.mark.parametrize("metric", METRICS)
def test_prices_of_an_assignment_send_its_rows_back(backend, metric):
    X, Y, _ = random_points(400, 8, 6)
    result = capacity_assignment_points(X, Y, 45, 55, metric=metric, backend=backend)
    labels = priced_argmin(X, Y, result.prices, metric=metric, backend=backend)
    # A path ends where a row is as cheap in two clusters: at most one for each pair of these.
    assert np.count_nonzero(labels != result.labels) <= 28
    D = pairwise_distances(X, Y, metric=metric) + result.prices
    assert np.allclose(D[np.arange(400), labels], D[np.arange(400), result.labels], atol=1e-12)
