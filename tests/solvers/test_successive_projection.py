"""Successive projection: planted vertices, invariances, ties, ranks, scales, carriers."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import (
    leading_coordinates,
    right_singular_vectors,
    successive_projection,
)


def mixtures(n=200, m=30, k=6, dtype=np.float64, seed=0):
    """Mixtures of k rows, which stand at known places."""
    rng = np.random.default_rng(seed)
    vertices = rng.random((k, m))
    weights = rng.dirichlet(np.full(k, 0.5), n)
    places = rng.permutation(n)[:k]
    weights[places] = np.eye(k)
    return (weights @ vertices).astype(dtype), np.sort(places)


def textbook(X, k):
    """The definition, with copies of all rows."""
    rest, found = X.copy(), []
    for _ in range(k):
        found.append(int(np.argmax((rest**2).sum(axis=1))))
        direction = rest[found[-1]] / np.linalg.norm(rest[found[-1]])
        rest -= np.outer(rest @ direction, direction)
    return found


@pytest.mark.parametrize("carrier", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [None, 6])
def test_planted_vertices_are_found(carrier, dtype, rank):
    X, places = mixtures(dtype=dtype)
    found = successive_projection(carrier(X), 6, rank=rank)
    assert found.dtype == np.int64
    assert_array_equal(np.sort(found), places)


@pytest.mark.parametrize("seed", range(5))
def test_order_is_that_of_the_definition(seed):
    X = np.random.default_rng(seed).normal(size=(300, 12))
    assert_array_equal(successive_projection(X, 12), textbook(X, 12))


def test_more_vertices_than_there_are_end_early():
    X, places = mixtures()
    for dtype in (np.float64, np.float32):
        found = successive_projection(X.astype(dtype), 20)
        assert_array_equal(np.sort(found), places)
    assert len(successive_projection(np.zeros((4, 3)), 2)) == 0
    assert len(successive_projection(np.ones((4, 3)), 2)) == 1
    assert_array_equal(successive_projection(np.eye(3), 5), [0, 1, 2])


def test_nearly_dependent_vertices_are_told_apart():
    # The third vertex is 1e-9 from the plane of the others, below what downdating resolves.
    vertices = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0.5, 0.5, 1e-9, 0]])
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    X = np.vstack([weights @ vertices, vertices])
    assert_array_equal(np.sort(successive_projection(X, 4)), [50, 51, 52])


def test_only_allowed_rows_are_taken():
    X, places = mixtures()
    allowed = np.ones(len(X), dtype=bool)
    allowed[places[:2]] = False
    found = successive_projection(X, 6, allowed=allowed)
    assert allowed[found].all()
    assert set(places[2:]) <= set(found)
    assert len(successive_projection(X, 6, allowed=np.zeros(len(X), dtype=bool))) == 0


def test_first_of_equal_rows_is_taken():
    X, _ = mixtures()
    doubled = np.vstack([X, X[::-1]])
    assert_array_equal(successive_projection(doubled, 6), successive_projection(X, 6))


@pytest.mark.parametrize(("excess", "taken"), [(0.9e-10, 0), (1.2e-10, 1)])
def test_rows_that_are_alike_to_ten_digits_are_equal(excess, taken):
    rows = np.array([[1.0, 0.0], [0.0, 1.0 + excess]])
    assert successive_projection(rows, 1).tolist() == [taken]


@pytest.mark.parametrize("scale", [1e-30, 1e30, 2.0**-100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_does_not_matter(scale, dtype):
    X, places = mixtures()
    assert_array_equal(np.sort(successive_projection((X * scale).astype(dtype), 6)), places)


def test_rows_in_another_order_and_a_rotation_give_the_same_vertices():
    X, _ = mixtures()
    found = successive_projection(X, 6)
    order = np.random.default_rng(1).permutation(len(X))
    assert_array_equal(order[successive_projection(X[order], 6)], found)
    rotation = scipy.linalg.qr(np.random.default_rng(2).normal(size=(30, 30)))[0]
    assert_array_equal(successive_projection(X @ rotation, 6), found)


def test_layouts_change_nothing_and_rows_are_left_alone():
    X, _ = mixtures()
    wide = np.zeros((len(X), 60))
    wide[:, ::2] = X
    X.flags.writeable = False
    found = successive_projection(X, 6)
    assert_array_equal(successive_projection(wide[:, ::2], 6), found)
    assert_array_equal(successive_projection(np.asfortranarray(X), 6), found)


def test_projecting_first_removes_noise():
    rng = np.random.default_rng(0)
    X, places = mixtures(n=2000, m=400, k=5)
    errors = []
    for rank in (None, 5):
        noisy = X + 0.2 * rng.normal(size=X.shape)
        found = successive_projection(noisy, 5, rank=rank)
        errors.append(np.linalg.norm(X[found][:, None] - X[places], axis=2).min(axis=0).max())
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("m", [40, 1100])
@pytest.mark.parametrize("carrier", [np.asarray, scipy.sparse.csr_array])
def test_leading_coordinates_are_those_of_the_singular_vectors(m, carrier):
    rng = np.random.default_rng(0)
    X = rng.random((60, m)) * (rng.random((60, m)) < 0.3)
    left, values, _ = np.linalg.svd(X, full_matrices=False)
    coordinates = leading_coordinates(carrier(X), 4)
    expected = left[:, :4] * values[:4]
    expected *= np.where((expected**3).sum(axis=0) < 0, -1, 1)
    assert_allclose(coordinates, expected, atol=1e-9 * values[0])


def test_all_coordinates_keep_the_distances():
    X, _ = mixtures(n=20, m=30)
    coordinates = leading_coordinates(X, 100)
    assert coordinates.shape == (20, 20)
    assert_allclose(coordinates @ coordinates.T, X @ X.T, atol=1e-9)


@pytest.mark.parametrize("carrier", [np.asarray, scipy.sparse.csr_array])
def test_few_rows_of_many_columns_take_no_square_of_the_columns(carrier):
    X = np.random.default_rng(0).random((6, 200_000)) * (np.arange(200_000) % 50 == 0)
    vectors = right_singular_vectors(carrier(X), 20)
    assert vectors.shape == (200_000, 6)
    assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-12)
    assert_allclose((X @ vectors) @ vectors.T, X, atol=1e-12)


@pytest.mark.parametrize("carrier", [np.asarray, scipy.sparse.csr_array])
def test_nothing_but_zeros_has_singular_vectors(carrier):
    vectors = right_singular_vectors(carrier(np.zeros((1100, 1100))), 2)
    assert_allclose(vectors.T @ vectors, np.eye(2), atol=1e-12)
