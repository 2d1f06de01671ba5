"""How far bounds of eigenvalues lie above what they bound: the documented errors, and no more."""

import importlib

import numpy as np
import pytest
from scipy.linalg import hadamard
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence

from clusterlib.solvers.eigenvalue_bounds import (
    LowRank,
    dot_error,
    improved_vectors,
    largest_pairs,
    proved_top_sum,
    proved_top_sum_low_rank,
)

module = importlib.import_module("clusterlib.solvers.eigenvalue_bounds")
UNIT = 2.0**-53


def test_the_error_of_an_inner_product_is_that_of_higham():
    assert dot_error(1) == UNIT / (1 - UNIT)
    assert dot_error(2**20) == 2.0**-33 / (1 - 2.0**-33)


@pytest.mark.parametrize("n", [64, 256])
@pytest.mark.parametrize("count", [1, 3])
def test_a_bound_exceeds_the_sum_by_the_errors_of_one_factorisation(n, count):
    """The level is raised by twice the backward error, and that of the factor is added again."""
    values = np.random.default_rng(n).integers(-1000, 1000, n).astype(float)
    H = (hadamard(n) * values) @ hadamard(n).T  # eigenvalues n times as large
    values = n * np.sort(values)[::-1]
    level, excess = values[count], values[:count] - values[count]
    gamma = dot_error(n + 1)
    bare = excess.sum() - values.sum()  # the trace before the level is added
    backward = gamma / (1 - gamma) * np.array([2 * abs(bare) + 2 * n * level, bare + n * level])
    rounding = dot_error(count + 4) * (excess.sum() + np.linalg.norm(H))
    expected = count * (backward.sum() + 2 * rounding)
    found = proved_top_sum(H, count) - values[:count].sum()
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("error", [1e-3, 2.0])
def test_the_error_of_the_matrix_counts_at_the_level_and_at_its_proof(count, error):
    values = np.array([9.0, 7.0, 4.0, 3.0, -50.0])
    root = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    bound = proved_top_sum((root * values) @ root.T, count, error=error)
    assert bound == pytest.approx(values[:count].sum() + 2 * count * error, rel=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_a_slack_raises_the_level_by_its_share(count):
    H = np.diag([9.0, 7.0, 4.0, 3.0])
    bound = proved_top_sum(H, count, slack=0.5, error=1e-4)
    assert bound == pytest.approx(np.sum([9.0, 7.0][:count]) + 0.5 + count * 1e-4, rel=1e-12)
    # A slack below the errors changes nothing.
    assert proved_top_sum(H, count, slack=1e-5, error=1e-4) == proved_top_sum(H, count, error=1e-4)


def test_negative_eigenvalues_do_not_count():
    H = np.diag([5.0, -1.0, -2.0])
    assert proved_top_sum(H, 2, error=1e-3) == pytest.approx(5.0 + 2 * 2e-3, rel=1e-12)
    assert proved_top_sum(-np.eye(3), 2, error=1e-3) == pytest.approx(4e-3, rel=1e-9)
    assert proved_top_sum(np.diag([5.0, 1.0]), 4, error=1e-3) == pytest.approx(6 + 8e-3, rel=1e-12)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_only_finite_matrices_have_bounds(value):
    with pytest.raises(ArithmeticError, match=f"norm of the matrix must be finite, got {value}"):
        proved_top_sum(np.diag([value, 1.0]), 1)


@pytest.mark.parametrize("n_told", [None, 0, 1])
def test_the_level_rises_sixteenfold_until_the_proof_succeeds(n_told, monkeypatch):
    """Vectors miss the eigenvalue 1, and the search for it finds nothing, or ends with it."""
    H, missed = np.diag(np.r_[1.0, np.zeros(7)]), np.eye(8)[:, :1]
    calls = []

    def search(matrix, k, **options):
        calls.append((k, options["which"]))
        if n_told is None:
            raise ArpackError(1)
        raise ArpackNoConvergence("", np.full(n_told, -1.0), missed[:, :n_told])

    monkeypatch.setattr(module, "eigsh", search)
    bound = proved_top_sum(H, 2, np.eye(8)[:, 4:], error=1e-3)
    if n_told == 1:
        # One look is enough: then the sum is 1, and the errors are those of the matrix.
        assert len(calls) == 1
        assert bound == pytest.approx(1.0 + 2 * 2e-3, rel=1e-9)
    else:
        # 0.001, 0.016 and 0.256 are too little.
        assert len(calls) == 4 - 1
        assert bound == pytest.approx(2 * (4.096 + 1e-3), rel=1e-9)
    assert set(calls) == {(4, "SA")}


def test_looks_come_to_an_end(monkeypatch):
    """A search that always tells of something new would go on for ever."""
    H, calls = np.diag(np.r_[np.ones(40), np.zeros(24)]), []
    search = module.eigsh

    def one_by_one(matrix, k, **options):
        calls.append(k)
        return tuple(part[..., :1] for part in search(matrix, k=4, which="SA"))

    monkeypatch.setattr(module, "eigsh", one_by_one)
    bound = proved_top_sum(H, 50, np.eye(64)[:, 40:], error=1e-5)
    assert 3 <= len(calls) <= 10
    assert 40 <= bound <= 40 + 50 * 16


def test_vectors_need_not_be_normal_or_exact():
    values = np.r_[9.0, 7.0, 4.0, np.linspace(1.0, -3.0, 30)]
    root = np.linalg.qr(np.random.default_rng(0).normal(size=(33, 33)))[0]
    H = (root * values) @ root.T
    mixed = root[:, :4] @ np.random.default_rng(1).normal(size=(4, 4))
    bound = proved_top_sum(H, 3, mixed, error=1e-6)
    assert bound == pytest.approx(20.0 + 6e-6, rel=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_improved_vectors_are_those_of_a_plain_block_iteration(dtype):
    rng = np.random.default_rng(0)
    H = rng.normal(size=(30, 30))
    H += H.T
    start = rng.normal(size=(30, 4)).astype(dtype)
    V = np.linalg.qr(start.astype(float))[0]
    for _ in range(4):
        basis = np.linalg.qr(np.hstack([V, H @ V]))[0]
        vectors = np.linalg.eigh(basis.T @ H @ basis)[1]
        V = basis @ vectors[:, 4:]
    found = improved_vectors(H, start)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found @ found.T, V @ V.T, atol=1e-9)


@pytest.mark.parametrize(("n", "count", "n_found"), [(150, 3, 150), (151, 3, 3), (151, 160, 151)])
def test_all_pairs_are_returned_where_they_cost_little(n, count, n_found):
    H = np.diag(np.random.default_rng(0).permutation(n).astype(float))
    values, vectors = largest_pairs(H, count)
    np.testing.assert_allclose(values, np.arange(n)[::-1][:n_found], atol=1e-10)
    np.testing.assert_allclose(H @ vectors, vectors * values, atol=1e-10)


@pytest.mark.parametrize("count", [1, 2])
def test_the_gram_matrix_is_enlarged_by_twice_its_errors(count):
    rng = np.random.default_rng(0)
    F, lengths = rng.normal(size=(50, 4)), np.array([3.0, 0.0, 2.0, 5.0, 4.0])
    F = np.insert(F / np.linalg.norm(F, axis=0), 1, 0.0, axis=1) * lengths
    core = rng.normal(size=(5, 5))
    core += core.T
    error = 1e-3
    bound = proved_top_sum_low_rank(LowRank(F.T @ F, core, lengths, error), count)
    here = lengths > 0
    unit = (F / np.where(here, lengths, 1.0))[:, here]
    enlarged = unit.T @ unit + 2 * 4 * error * np.eye(4)
    root = np.linalg.cholesky(enlarged)
    scaled = core[np.ix_(here, here)] * np.outer(lengths[here], lengths[here])
    values = np.linalg.eigvalsh(root.T @ scaled @ root)[::-1]
    assert bound == pytest.approx(np.maximum(values[:count], 0).sum(), rel=1e-10)


def test_an_indefinite_gram_matrix_is_enlarged_sixteenfold():
    """It is wrong by far more than it says: 0.04 on the diagonal is too little, 0.64 is enough."""
    gram = np.array([[1.0, 1.5], [1.5, 1.0]])
    core = np.diag([1.0, 2.0])
    bound = proved_top_sum_low_rank(LowRank(gram, core, np.ones(2), 0.01), 1)
    enlarged = gram + 16 * 2 * 2 * 0.01 * np.eye(2)
    values = np.linalg.eigvals(enlarged @ core)
    assert bound == pytest.approx(values.max(), rel=1e-10)
