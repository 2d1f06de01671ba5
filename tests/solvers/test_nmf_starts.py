"""Components to start at, and which component is which."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from clusterlib.solvers import (
    filled_by_margins,
    matched_components,
    random_components,
    singular_components,
    vertex_components,
)


def separable(n=50, m=12, k=4, seed=0):
    """Rows in the cone of k rows, at known places, all of them of different sizes."""
    rng = np.random.default_rng(seed)
    H = rng.random((k, m)) ** 2
    W = rng.dirichlet(np.full(k, 0.5), n)
    W[:k] = np.eye(k)
    return W * rng.uniform(0.5, 2.0, n)[:, None] @ H, H


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("carrier", [np.asarray, csr_array])
def test_starts_are_positive_and_of_the_dtype(dtype, carrier):
    X = carrier(separable()[0].astype(dtype))
    rng = np.random.default_rng(0)
    for H in (
        random_components(X, 3, rng)[0],
        vertex_components(X, 3, rng, scale_rows=True, blend=True)[0],
        singular_components(X, 3, rng),
    ):
        assert H.shape == (3, 12)
        assert H.dtype == dtype
        assert H.min() > 0


def test_random_starts_know_the_mean_alone():
    X, _ = separable()
    weight = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    repeated = np.repeat(X, weight.astype(int), axis=0)[::-1]
    one = random_components(X, 2, np.random.default_rng(0), n_starts=3, sample_weight=weight)
    other = random_components(repeated, 2, np.random.default_rng(0), n_starts=3)
    assert one.shape == (3, 2, 12)
    assert_allclose(one, other, rtol=1e-12)
    assert_allclose(one.mean(axis=(0, 1)), repeated.mean(axis=0), rtol=1)


def test_vertices_of_a_cone_are_found_whatever_their_size():
    X, H = separable()
    for carrier in (np.asarray, csr_array):
        found, indices = vertex_components(carrier(X), 4, np.random.default_rng(0), scale_rows=True)
        assert len(set(indices)) == 4
        assert matched_components(H, found)[1].min() > 0.95


def test_rows_without_weight_are_no_vertices():
    X, _ = separable()
    weight = np.ones(len(X))
    weight[:2] = 0
    _, indices = vertex_components(
        X, 4, np.random.default_rng(0), scale_rows=True, sample_weight=weight
    )
    assert weight[indices].all()


def test_what_is_lacking_is_drawn():
    X = np.outer(np.arange(1.0, 6.0), [1.0, 2.0, 0.0])
    H, indices = vertex_components(X, 3, np.random.default_rng(0), scale_rows=True)
    assert len(indices) == 1
    assert H.shape == (3, 3)
    assert H.any(axis=1).all()
    assert singular_components(X, 5, np.random.default_rng(0)).shape == (5, 3)


def test_singular_start_of_blocks_is_the_blocks():
    X = np.zeros((9, 6))
    X[:4, :2], X[4:7, 2:4], X[7:, 4:] = 3.0, 2.0, 1.0
    for carrier in (np.asarray, csr_array):
        H = singular_components(carrier(X), 3, np.random.default_rng(0))
        assert_array_equal(H.argmax(axis=1) // 2, [0, 1, 2])
    weighted = singular_components(
        X, 1, np.random.default_rng(0), sample_weight=np.r_[np.full(7, 0.01), 1.0, 1.0]
    )
    assert weighted.argmax() // 2 == 2


def test_components_are_matched_in_any_order_and_scale():
    rng = np.random.default_rng(0)
    H = rng.random((5, 20))
    order = rng.permutation(5)
    found, cosines = matched_components(H, H[order] * 10.0 ** rng.integers(-100, 100, (5, 1)))
    assert_array_equal(order[found], np.arange(5))
    assert_allclose(cosines, 1)
    H[2] = 0
    assert np.isfinite(matched_components(H, H)[1]).all()


def repeated(X, weight):
    return np.repeat(X, weight.astype(int), axis=0)


@pytest.mark.parametrize("carrier", [np.asarray, csr_array])
def test_random_starts_are_uniform_to_twice_the_mean(carrier):
    X, _ = separable()
    weight = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    draws = np.random.default_rng(0).random((2, 3, 12))
    found = random_components(carrier(X), 3, np.random.default_rng(0), n_starts=2)
    assert_allclose(found, 2 * draws * X.mean(axis=0), rtol=1e-12)
    options = {"n_starts": 2, "sample_weight": weight}
    found = random_components(carrier(X), 3, np.random.default_rng(0), **options)
    assert_allclose(found, 2 * draws * repeated(X, weight).mean(axis=0), rtol=1e-12)
    [alone] = random_components(carrier(X), 3, np.random.default_rng(0))
    assert_allclose(alone, 2 * draws[0] * X.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("carrier", [np.asarray, csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_blended_vertices_have_a_twentieth_of_the_mean_of_their_sum(carrier, weighted):
    X, _ = separable()
    X[5] = 0
    weight = np.random.default_rng(1).integers(1, 4, len(X)).astype(float)
    options = {"scale_rows": True, "sample_weight": weight if weighted else None}
    rows, indices = vertex_components(carrier(X), 3, np.random.default_rng(0), **options)
    assert_array_equal(rows, X[indices])
    options["blend"] = True
    found, same = vertex_components(carrier(X), 3, np.random.default_rng(0), **options)
    assert_array_equal(same, indices)
    mean = (repeated(X, weight) if weighted else X).mean(axis=0)
    expected = 0.95 * rows + 0.05 * rows.sum(axis=1, keepdims=True) * mean / mean.sum()
    assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("carrier", [np.asarray, csr_array])
def test_rows_are_compared_by_their_sums_and_the_mean_of_these(carrier):
    # Divided by s + mean, with a mean of 140 / 3, the row that is spread is the longer one:
    # 0.48 to 0.46. With 20 rows of zeros the mean is 140 / 22, and it is 0.66 to 0.86.
    X = carrier(np.array([[40.0, 0.0, 0.0], [0.0, 50.0, 50.0], [0.0, 0.0, 0.0]]))
    for weight, expected in ((None, [1, 0]), (np.array([1.0, 1.0, 20.0]), [0, 1])):
        options = {"scale_rows": True, "sample_weight": weight}
        found = vertex_components(X, 2, np.random.default_rng(0), **options)[1]
        assert_array_equal(found, expected)
    plain = vertex_components(X, 1, np.random.default_rng(0), scale_rows=False)[1]
    assert_array_equal(plain, [1])


@pytest.mark.parametrize("carrier", [np.asarray, csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_singular_starts_are_the_larger_sides(carrier, weighted):
    X, _ = separable(seed=2)
    weight = np.random.default_rng(1).integers(1, 4, len(X)).astype(float)
    every = repeated(X, weight) if weighted else X
    U, values, Vt = np.linalg.svd(every, full_matrices=False)
    expected = []
    for left, value, right in zip(U.T[:4], values, Vt, strict=False):
        sides = [(np.maximum(sign * left, 0), np.maximum(sign * right, 0)) for sign in (1, -1)]
        _, side = max(sides, key=lambda pair: np.linalg.norm(pair[0]) * np.linalg.norm(pair[1]))
        expected.append(side * value / np.sqrt(len(every)))
    mean, expected = every.mean(axis=0), np.array(expected)
    expected = 0.95 * expected + 0.05 * expected.sum(axis=1, keepdims=True) * mean / mean.sum()
    options = {"sample_weight": weight if weighted else None}
    found = singular_components(carrier(X), 4, np.random.default_rng(0), **options)
    assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_nothing_starts_at_nothing():
    X = np.zeros((4, 3))
    assert_array_equal(singular_components(X, 2, np.random.default_rng(0)), 0)
    H, indices = vertex_components(X, 2, np.random.default_rng(0), scale_rows=True, blend=True)
    assert_array_equal(H, 0)
    assert len(indices) == 0
    assert_array_equal(filled_by_margins(X, np.ones((4, 3))), 0)


def test_empty_margins_fill_with_zeros_and_weights_of_cells_count():
    X = np.array([[1.0, 3.0, np.nan], [2.0, np.nan, np.nan], [np.nan] * 3])
    V = np.array([[1.0, 3.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    rows, columns = [10 / 4, 2.0], [5 / 3, 3.0]
    mean = (1 + 9 + 4) / 6
    expected = [[1.0, 3.0, 0.0], [2.0, rows[1] * columns[1] / mean, 0.0], [0.0, 0.0, 0.0]]
    for dtype in (np.float32, np.float64):
        found = filled_by_margins(X.astype(dtype), V.astype(dtype))
        assert found.dtype == dtype
        assert_allclose(found, expected, rtol=1e-6)
