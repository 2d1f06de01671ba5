"""Bounds of eigenvalues: true for matrices whose eigenvalues are known, whatever is guessed."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from clusterlib.solvers.eigenvalue_bounds import (
    LowRank,
    dot_error,
    improved_vectors,
    largest_pairs,
    proved_top_sum,
    proved_top_sum_low_rank,
)


def with_eigenvalues(values):
    """A symmetric matrix of integers whose eigenvalues are n times these, a power of two."""
    H = hadamard(len(values)).astype(np.float64)
    return (H * np.asarray(values, dtype=np.float64)) @ H.T


def spectrum(n, kind, rng):
    values = rng.integers(-1000, 1000, n)
    if kind == "tied":
        values = np.sort(values)
        values[-n // 4 :] = values[-n // 4]
    elif kind == "negative":
        values = -1 - np.abs(values)
    elif kind == "low_rank":
        values[: n - 2] = 0
    return values


@pytest.mark.parametrize("kind", ["random", "tied", "negative", "low_rank"])
@pytest.mark.parametrize("n", [1, 2, 8, 64, 256])
@pytest.mark.parametrize("count", [1, 3])
def test_bound_of_known_eigenvalues(n, kind, count):
    values = spectrum(n, kind, np.random.default_rng(n))
    H = with_eigenvalues(values)
    exact = n * np.maximum(np.sort(values)[::-1][:count], 0).sum()
    bound = proved_top_sum(H, count)
    assert bound >= exact
    assert bound <= exact + 1e-9 * n * np.abs(values).max()


@pytest.mark.parametrize("given", ["one copy", "noise", "zeros"])
def test_vectors_that_miss_a_multiple_eigenvalue_do_not_spoil_the_bound(given):
    n = 256
    rng = np.random.default_rng(0)
    values = rng.integers(0, 100, n)
    values[[3, 50, 77, 200]] = 1000
    H = with_eigenvalues(values)
    columns = hadamard(n)[:, [3, 1, 2]] / 16.0
    vectors = {
        "one copy": columns,
        "noise": rng.normal(size=(n, 5)),
        "zeros": np.zeros((n, 5)),
    }[given]
    exact = n * 3000
    bound = proved_top_sum(H, 3, vectors)
    assert bound >= exact
    assert bound <= exact * (1 + 1e-6)


def test_slack_is_all_that_a_bound_may_lose():
    H = with_eigenvalues(np.arange(64))
    tight, loose = proved_top_sum(H, 2), proved_top_sum(H, 2, slack=50.0)
    assert tight < 64 * 125 + 1e-6
    assert tight <= loose <= tight + 50.0 + 1e-6


def test_improved_vectors_find_the_largest_eigenvalues():
    rng = np.random.default_rng(0)
    root = np.linalg.qr(rng.normal(size=(200, 200)))[0]
    values = np.concatenate([[90.0, 80.0, 70.0], np.linspace(-100.0, 40.0, 197)])
    H = (root * values) @ root.T
    vectors = improved_vectors(H, root[:, :12] + 0.02 * rng.normal(size=(200, 12)))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(12), atol=1e-12)
    found = np.sort(np.linalg.eigvalsh(vectors.T @ H @ vectors))[::-1]
    np.testing.assert_allclose(found[:3], [90.0, 80.0, 70.0], rtol=1e-3)


@pytest.mark.parametrize("n", [5, 150, 151, 300])
def test_largest_pairs_are_pairs(n):
    root = np.random.default_rng(n).normal(size=(n, 3))
    H = root @ root.T - np.eye(n)
    values, vectors = largest_pairs(H, 4)
    assert len(values) >= 4
    assert (np.diff(values) <= 0).all()
    np.testing.assert_allclose(values[:4], np.linalg.eigvalsh(H)[::-1][:4], atol=1e-11)
    np.testing.assert_allclose(H @ vectors, vectors * values, atol=1e-11)


def test_error_of_the_matrix_is_added():
    H = np.diag([3.0, 2.0, 1.0])
    assert proved_top_sum(H, 2, error=0.25) >= 5.5
    assert proved_top_sum(H, 2, error=0.25) <= 7.0


@pytest.mark.parametrize("dependent", [False, True])
@pytest.mark.parametrize("m", [1, 2, 7, 40])
def test_low_rank_bound_of_an_explicit_matrix(m, dependent):
    rng = np.random.default_rng(m)
    F = rng.integers(-8, 8, (120, m)).astype(np.float64)
    if dependent:
        F[:, m // 2 :] = F[:, : m - m // 2]
    core = rng.normal(size=(m, m))
    core += core.T
    lengths = np.linalg.norm(F, axis=0) * (1 + 1e-12)
    matrix = LowRank(F.T @ F, core, lengths, dot_error(120))
    values = np.linalg.eigvalsh(F @ core @ F.T)[::-1]
    exact = np.maximum(values[:3], 0).sum()
    bound = proved_top_sum_low_rank(matrix, 3)
    scale = np.abs(values).max()
    assert bound >= exact - 1e-12 * scale
    assert bound <= exact + 1e-8 * scale


def test_low_rank_bound_covers_the_error_of_the_gram_matrix():
    # The Gram matrix that is given is too small by as much as it says that it may be.
    F = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 4)))[0]
    error = 1e-3
    gram = np.eye(4) - error * np.ones((4, 4))
    core = np.diag([4.0, 3.0, -2.0, 1.0])
    bound = proved_top_sum_low_rank(LowRank(gram, core, np.ones(4), error), 2)
    assert bound >= np.linalg.eigvalsh(F @ core @ F.T)[-2:].sum()


def test_nothing_is_bounded_by_zero():
    assert proved_top_sum(np.zeros((0, 0)), 2) == 0.0
    assert proved_top_sum(np.zeros((0, 0)), 2, error=0.5) == 0.0
    assert proved_top_sum(np.zeros((3, 3)), 2) == 0.0
    assert proved_top_sum(np.zeros((3, 3)), 2, error=0.5) == 1.0
    assert proved_top_sum_low_rank(LowRank(np.zeros((3, 3)), np.eye(3), np.zeros(3), 0.0), 2) == 0.0
