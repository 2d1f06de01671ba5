"""What the low-rank solvers hand to their descent, and what they make of its answer."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import cho_factor

from clusterlib.kernels import pairwise_argmin, unpack_rows
from clusterlib.solvers import (
    Trace,
    default_rank,
    kmeans_plusplus,
    low_rank_likelihood,
    low_rank_sdp,
)
from clusterlib.solvers.low_rank_likelihood import likelihood_value
from clusterlib.solvers.low_rank_sdp import (
    factor_value,
    leading_eigenvalues,
    power_of_two,
    starting_factor,
    trace_of,
)

MODULES = {
    solver: importlib.import_module(solver.__module__)
    for solver in (low_rank_sdp, low_rank_likelihood)
}


def recorded(monkeypatch, solver, **changes):
    """Problems, starts, options and solutions of the descents; what is changed in the latter."""
    calls, descend = [], MODULES[solver].augmented_descent

    def descent(problem, W, **options):
        start, solution = W.copy(), descend(problem, W, **options)
        new = {name: values[len(calls)] for name, values in changes.items()}
        calls.append((problem, start, options, solution._replace(**new)))
        return calls[-1][3]

    monkeypatch.setattr(MODULES[solver], "augmented_descent", descent)
    return calls


def rows(n=90, p=4, k=3, separation=4.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.eye(k, p)[np.arange(n) % k] * separation + rng.normal(size=(n, p)) + 2.0


def test_rows_are_centred_and_scaled_and_the_value_is_corrected(monkeypatch):
    X, calls = rows(), recorded(monkeypatch, low_rank_sdp)
    seen = []
    result = low_rank_sdp(
        X,
        3,
        rng=np.random.default_rng(0),
        rank=7,
        tol=1e-7,
        max_iter=60,
        callback=lambda *args: seen.append(args),
    )
    [(problem, start, options, solution)] = calls
    centred = X - X.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    top = 2.0 ** np.round(np.log2(values[0]))
    assert_allclose(unpack_rows(problem.X, 90), centred / np.sqrt(top), rtol=1e-12)
    assert (problem.n_rows, problem.target.tolist()) == (90, [3.0])
    assert_array_equal(problem.group, np.zeros(7))
    assert_array_equal(problem.constraint, np.zeros(7))
    first = 0.5 * 2.0 ** np.round(np.log2(values[2] / values[0]))
    assert (options["multiplier"].tolist(), options["penalty"]) == ([first], first)
    assert (options["tol"], options["max_iter"]) == (1e-7, 60)
    expected = starting_factor(X, 7, np.random.default_rng(0))
    assert_allclose(unpack_rows(start, 90), expected, rtol=1e-6)
    W = unpack_rows(solution.W, 90)
    W = W / W.sum(axis=1, keepdims=True)
    assert_allclose(result.W, W, rtol=1e-12)
    gram = centred @ centred.T
    value = sum(w @ gram @ w / w.sum() for w in W.T if w.any())
    trace = sum(w @ w / w.sum() for w in W.T if w.any())
    assert abs(trace - 3) > 1e-6
    expected = value - solution.multiplier[0] * top * (trace - 3)
    assert_allclose(result.objective, expected, rtol=1e-9)
    assert_allclose(factor_value(X, X.mean(axis=0), W), value, rtol=1e-10)
    assert_allclose(trace_of(W), trace, rtol=1e-12)
    assert_allclose(result.history, solution.history * [1, top, 1, 1])
    assert seen[-1][1] == pytest.approx(result.history[-1, 1], rel=1e-3)
    assert (result.n_iter, result.residual) == (solution.n_iter, solution.residual)


@pytest.mark.parametrize(
    ("dtype", "tol", "spread", "used", "used_tol"),
    [
        (np.float64, 2.0e-6, 1.1e-4, np.float32, 2.0e-6),
        (np.float64, 2.0e-6, 0.9e-4, np.float64, 2.0e-6),
        (np.float64, 1.9e-6, 1.1e-4, np.float64, 1.9e-6),
        (np.float32, 1.9e-6, 0.9e-4, np.float32, 2.0e-6),
        (np.float32, 3.0e-6, 0.9e-4, np.float32, 3.0e-6),
    ],
)
def test_single_precision_where_it_is_enough(monkeypatch, dtype, tol, spread, used, used_tol):
    calls = recorded(monkeypatch, low_rank_sdp)
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 10)
    X = (signs * [1.0, np.sqrt(spread)]).astype(dtype)
    low_rank_sdp(X, 2, rng=np.random.default_rng(0), tol=tol, max_iter=5)
    assert calls[0][0].X.dtype == calls[0][1].dtype == used
    assert calls[0][2]["tol"] == used_tol
    assert calls[0][2]["penalty"] == 0.5 * power_of_two(spread)


@pytest.mark.parametrize(
    ("errors", "kept"),
    [([0.9, 0.5, 0.7], 1), ([0.9, 0.7, 0.5], 2), ([1.01e-3, 0.99e-3], 1), ([0.99e-3], 0)],
)
def test_the_start_of_the_least_trace_error_is_kept(monkeypatch, errors, kept):
    changes = {"violation": [np.array([-e]) for e in errors], "n_iter": [500, 600, 700]}
    changes["residual"] = [0.1, 0.2, 0.3]
    calls = recorded(monkeypatch, low_rank_sdp, **changes)
    result = low_rank_sdp(rows(), 3, rng=np.random.default_rng(0))
    assert len(calls) == len(errors)
    assert (result.trace_error, result.residual) == (errors[kept], changes["residual"][kept])
    assert result.n_iter == sum(changes["n_iter"][: len(errors)])
    starts = [start.tobytes() for _, start, _, _ in calls]
    assert len(set(starts)) == len(starts)


def test_a_given_start_is_the_only_one(monkeypatch):
    calls = recorded(monkeypatch, low_rank_sdp, violation=[np.ones(1)], n_iter=[900])
    W = np.random.default_rng(1).dirichlet(np.ones(5), 90)
    result = low_rank_sdp(rows(), 3, rng=np.random.default_rng(0), rank=99, W=W, tol=1e-9)
    assert len(calls) == 1
    assert_allclose(unpack_rows(calls[0][1], 90), W)
    assert result.trace_error == 1.0


@pytest.mark.parametrize(
    ("n", "n_clusters", "rank"),
    [
        (1000, 5, 40),
        (1001, 5, 20),
        (10_000, 5, 20),
        (10_001, 5, 10),
        (39, 5, 39),
        (50_000, 2048, 4096),
        (50_000, 2049, 4096),
        (50_000, 4097, 4097),
        (10, 20, 10),
    ],
)
def test_columns_by_the_size_of_the_problem(n, n_clusters, rank):
    assert default_rank(n, n_clusters) == rank


def test_ranks_are_cut_to_the_rows_and_trivial_problems_have_partitions():
    X = rows(n=6)
    assert low_rank_sdp(X, 1, rng=np.random.default_rng(0), rank=4).W.shape == (6, 4)
    result = low_rank_sdp(np.ones((6, 2)), 4, rng=np.random.default_rng(0), rank=50)
    assert_array_equal(result.W, np.eye(6)[[0, 1, 2, 3, 0, 1]])
    assert_array_equal(result.group, np.zeros(6))
    assert result[2:7] == (0.0, 0.0, 0.0, 0, True)
    assert result.history.shape == (0, 4)


@pytest.mark.parametrize("ratio", [0.49, 0.51, 1.0, 1.95, 2.05])
def test_a_sample_gives_the_spectrum_if_its_spread_is_half_to_twice_that_of_all(ratio):
    n = 3 * 4096
    # Every third row is 1, the others are b: the sample has 3 / (1 + 2 b^2) of the spread.
    b = np.sqrt((3 / ratio - 1) / 2)
    X = np.full((n, 2), b) * np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
    X[::3] /= b
    total = 2 * np.square(X[:, 0]).sum()
    found = leading_eigenvalues(X, np.zeros(2), 3)
    expected = total * ratio if 0.5 < ratio < 2 else total
    assert_allclose(found, [expected, 0, 0], rtol=1e-12, atol=1e-9)


def test_up_to_twice_the_sample_all_rows_are_looked_at():
    X = np.random.default_rng(0).normal(size=(8192 + 1, 2))
    for n, step in ((8191, 1), (8192, 2)):
        sample = X[:n:step]
        expected = np.linalg.svd(sample, compute_uv=False) ** 2 * n / len(sample)
        assert_allclose(leading_eigenvalues(X[:n], np.zeros(2), 2), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_starts_are_noise_and_the_cells_of_seeds(dtype):
    X, rng = rows().astype(dtype), np.random.default_rng(3)
    found = starting_factor(X, 6, np.random.default_rng(3))
    labels = pairwise_argmin(X, kmeans_plusplus(X, 6, rng, n_local_trials=1).centers)
    noise = rng.random((90, 6), dtype=np.float32)
    expected = 0.7 * noise / noise.sum(axis=1, keepdims=True) + 0.3 * np.eye(6)[labels]
    assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == dtype


@pytest.mark.parametrize("trace", list(Trace))
@pytest.mark.parametrize("n", [30, 4100])  # in one look at the rows, and in two
def test_programs_of_likelihoods_are_scaled_and_corrected(monkeypatch, trace, n):
    X, calls = rows(n, 3, 2), recorded(monkeypatch, low_rank_likelihood)
    rng = np.random.default_rng(1)
    roots = rng.normal(size=(2, 3, 3))
    covariances = roots @ roots.transpose(0, 2, 1) + np.eye(3)
    covariances[1] *= 64.0  # the wider group has the smaller scale
    log_weights = np.log([0.3, 0.7])
    result = low_rank_likelihood(
        X,
        covariances,
        rng=np.random.default_rng(2),
        log_weights=log_weights,
        rank=2,
        trace=trace,
        tol=1e-7,
        max_iter=4,
    )
    [(problem, start, options, solution)] = calls
    centred, precisions = X - X.mean(axis=0), np.linalg.inv(covariances)
    distances = np.einsum("ip,kpq,iq->ik", centred, precisions, centred)
    offsets = 2 * log_weights - np.linalg.slogdet(covariances)[1]
    whitened = [centred @ np.linalg.cholesky(each) for each in precisions]
    largest = max(np.linalg.svd(each, compute_uv=False)[0] ** 2 for each in whitened)
    top = 2.0 ** np.round(np.log2(largest))
    assert_allclose(unpack_rows(problem.X, n), centred, atol=1e-12)
    assert_allclose(problem.precisions, precisions / top, rtol=1e-9, atol=1e-15)
    assert_allclose(unpack_rows(problem.linear, n) * top, offsets - distances, rtol=1e-9)
    assert_array_equal(problem.group, [0, 0, 1, 1])
    each = trace is Trace.GROUP
    assert_array_equal(problem.constraint, [0, 0, 1, 1] if each else [0, 0, 0, 0])
    assert problem.target.tolist() == ([1.0, 1.0] if each else [2.0])
    assert options["multiplier"].tolist() == [0.5] * len(problem.target)
    assert (options["penalty"], options["signed"]) == (0.5, True)
    noise = np.random.default_rng(2).standard_gamma(5.0, (n, 4))
    assert_allclose(unpack_rows(start, n), noise / noise.sum(axis=1, keepdims=True), rtol=1e-12)
    W, group = result.W, result.group
    assert_allclose(W.sum(axis=1), 1.0)
    value = sum(
        W[:, c] @ (offsets[k] - distances[:, k])
        + np.square((W[:, c] @ centred) @ np.linalg.cholesky(precisions[k])).sum() / W[:, c].sum()
        for c, k in enumerate(group)
    )
    factors = [cho_factor(each, lower=True) for each in covariances]
    assert_allclose(likelihood_value(X, factors, offsets, W, group), value, rtol=1e-9)
    expected = value - top * solution.multiplier @ solution.violation
    assert abs(expected - value) > 1e-8 * abs(value)
    assert_allclose(result.objective, expected, rtol=1e-10)
    assert_allclose(result.history, solution.history * [1, top, 1, 1])


def test_a_column_without_rows_has_no_value():
    X = rows(12, 2, 2)
    factors = [cho_factor(np.eye(2), lower=True)]
    W = np.column_stack([np.ones(12), np.zeros(12)])
    found = likelihood_value(X, factors, np.array([0.5]), W, np.array([0, 0]))
    assert_allclose(found, 6.0 - np.square(X - X.mean(axis=0)).sum())


def test_values_of_many_rows_are_those_of_all_at_once():
    X = rows(9000)
    W = np.random.default_rng(0).dirichlet(np.ones(4), 9000)
    W = np.column_stack([W, np.zeros(9000)])
    centred = X - X.mean(axis=0)
    expected = sum(np.square(w @ centred).sum() / w.sum() for w in W.T[:4])
    assert_allclose(factor_value(X, X.mean(axis=0), W), expected, rtol=1e-10)
    assert_allclose(trace_of(W), sum(w @ w / w.sum() for w in W.T[:4]), rtol=1e-12)
