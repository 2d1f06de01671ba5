"""Successive projection at its limits: rounding, ties, chunks and scales."""

import sys

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import leading_coordinates, right_singular_vectors
from clusterlib.solvers import successive_projection as find
from clusterlib.solvers.successive_projection import _longest, _residuals, _scaled, _squared_norms

MODULE = sys.modules[find.__module__]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("part", "n_found"), [(15.0, 1), (17.0, 2)])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_what_rounding_may_have_left_is_no_vertex(scale, part, n_found, dtype):
    eps = np.finfo(dtype).eps
    X = scale * np.array([[1.0, 0.0], [0.0, part * eps]], dtype=dtype)
    assert_array_equal(find(X, 2), [0, 1][:n_found])


def test_the_rows_that_may_be_taken_say_what_rounding_is():
    X = np.array([[1e20, 0.0], [0.0, 1.0], [0.5, 0.5]])
    allowed = np.array([False, True, True])
    assert_array_equal(find(X, 2, allowed=allowed), [1, 2])
    assert_array_equal(allowed, [False, True, True])


@pytest.mark.parametrize("values", [1, 7, 40, 1 << 20])
def test_chunks_change_nothing(monkeypatch, values):
    X = np.random.default_rng(0).normal(size=(60, 5))
    X[30:] = X[:30]  # all are candidates twice
    expected = find(X, 5)
    monkeypatch.setattr(MODULE, "_CHUNK_VALUES", values)
    assert_array_equal(find(X, 5), expected)
    assert (expected < 30).all()


def test_rows_whose_norms_cannot_be_told_apart_are_compared():
    X = np.array([[1.0, 0.0], [0.0, 1.1], [0.3, 0.2]])
    norms = _squared_norms(X)
    basis, free = np.empty((0, 2)), np.ones(3, dtype=bool)
    row, residual = _longest(X, norms, np.zeros(3), free, basis)
    assert row == 1
    assert_array_equal(residual, X[1])
    # Norms that are wrong by as much as they may be wrong decide nothing.
    wrong = norms + [0.3, -0.3, 0.0]
    row, _ = _longest(X, wrong, np.array([0.31, 0.31, 0.0]), free, basis)
    assert row == 1
    row, _ = _longest(X, norms, np.zeros(3), np.array([True, False, True]), basis)
    assert row == 0


@pytest.mark.parametrize("carrier", [np.asarray, scipy.sparse.csr_array])
def test_residuals_are_orthogonal_to_the_basis(carrier):
    rng = np.random.default_rng(1)
    X, basis = rng.normal(size=(9, 6)), np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    found = _residuals(carrier(X), [2, 5], basis)
    assert_allclose(found, X[[2, 5]] @ (np.eye(6) - basis.T @ basis), atol=1e-14)
    near = basis[:1] + 1e-9 * X[:1]
    left = _residuals(carrier(near), [0], basis)
    assert np.abs(left @ basis.T).max() < 1e-24
    assert_array_equal(_residuals(carrier(X), [1], np.empty((0, 6))), X[[1]])


@pytest.mark.parametrize("carrier", [np.asarray, scipy.sparse.csr_array])
def test_rows_are_scaled_only_where_squares_leave_the_range(carrier):
    X = np.array([[1.0, -4.0], [2.0, 0.0]])
    for factor in (1.0, 1e59 / 4.01, 1.01e-60 / 4):
        fine = carrier(factor * X)
        assert _scaled(fine) is fine
    for factor in (1.01e60 / 4, 0.99e-60 / 4):
        found = _scaled(carrier(factor * X))
        largest = abs(found).max()
        assert 0.5 <= largest < 1
        assert np.frexp(largest)[0] == pytest.approx(np.frexp(4 * factor)[0])
    narrow = _scaled(carrier(X.astype(np.float32)))
    assert narrow.dtype == np.float64
    assert abs(narrow).max() == 0.5
    nothing = carrier(np.zeros((2, 2)))
    assert _scaled(nothing) is nothing
    assert_allclose(_squared_norms(carrier(X)), [17.0, 4.0])


@pytest.mark.parametrize("carrier", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("m", [30, 1025])
@pytest.mark.parametrize("rank", [1, 3, 8, 50])
def test_singular_vectors_in_their_order_and_with_their_signs(rank, m, carrier):
    X = np.random.default_rng(2).normal(size=(8, m)) * (np.arange(8) + 1)[:, None]
    found = right_singular_vectors(carrier(X), rank)
    k = min(rank, 8)
    left, values, rows = np.linalg.svd(X, full_matrices=False)
    assert found.shape == (m, min(rank, 8, m))
    signs = np.sign(((left * values) ** 3).sum(axis=0))[:k]
    assert_allclose(found, (rows[:k].T * signs), atol=1e-7)
    coordinates = leading_coordinates(carrier(X), rank)
    assert_allclose(coordinates[:, :k] / np.abs(coordinates).max(), (left * values)[:, :k] * signs
                    / np.abs((left * values)[:, :k]).max(), atol=1e-7)  # fmt: skip


def test_a_rank_projects_first():
    rng = np.random.default_rng(3)
    X = rng.dirichlet(np.full(4, 0.4), size=80) @ rng.uniform(size=(4, 20))
    noisy = X + 0.05 * rng.normal(size=X.shape)
    projected = leading_coordinates(noisy, 4)
    assert_array_equal(find(noisy, 4, rank=4), find(projected, 4))
    assert len(find(noisy, 9, rank=3)) == 3
