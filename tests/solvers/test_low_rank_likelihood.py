"""The likelihood-adjusted program for known covariances: value, invariances, traps."""

import numpy as np
import pytest
from scipy.linalg import cho_factor

from clusterlib.solvers import (
    Trace,
    group_memberships,
    low_rank_likelihood,
    low_rank_sdp,
    solve_likelihood_sdp_reference,
)
from clusterlib.solvers.low_rank_likelihood import likelihood_value


def groups(n, p, k, separation, seed=0):
    """Gaussian groups of unlike covariances, and these covariances."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    covariances = []
    X = np.zeros((n, p))
    for g in range(k):
        A = rng.standard_normal((p, p))
        covariances.append(np.eye(p) * (0.5 + 0.5 * g) + 0.2 * A @ A.T)
        mean = np.zeros(p)
        mean[g % p] = separation * (1 + g // p) / np.sqrt(2)
        X[y == g] = rng.multivariate_normal(mean, covariances[g], (y == g).sum())
    return X, y, np.array(covariances)


def profiled(X, y, covariances, log_weights=None):
    """Twice the classification log-likelihood with the best means, less its constant."""
    total = 0.0
    for k, covariance in enumerate(covariances):
        rows = X[y == k] - X[y == k].mean(axis=0)
        total -= len(rows) * np.linalg.slogdet(covariance)[1]
        total -= np.einsum("ij,jk,ik->", rows, np.linalg.inv(covariance), rows)
        if log_weights is not None:
            total += 2 * len(rows) * log_weights[k]
    return total


def solve(X, covariances, seed=0, **options):
    return low_rank_likelihood(X, covariances, rng=np.random.default_rng(seed), **options)


def best_of(X, covariances, n_starts=5, **options):
    return max(
        (solve(X, covariances, seed, **options) for seed in range(n_starts)),
        key=lambda result: result.objective,
    )


@pytest.mark.parametrize("weights", [None, np.log([0.2, 0.3, 0.5])])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_value_at_a_partition_is_the_profiled_likelihood(weights, offset):
    X, y, covariances = groups(60, 4, 3, 4.0)
    factors = [cho_factor(covariance, lower=True) for covariance in covariances]
    offsets = -np.array([np.linalg.slogdet(covariance)[1] for covariance in covariances])
    if weights is not None:
        offsets = offsets + 2 * weights
    value = likelihood_value(X + offset, factors, offsets, np.eye(3)[y], np.arange(3))
    # An offset of 1e6 leaves ten digits of the rows themselves.
    allowed = 1e-12 if offset == 0 else 1e-8
    assert value == pytest.approx(profiled(X, y, covariances, weights), rel=allowed)


def test_one_column_for_each_group_gives_labels():
    X, y, covariances = groups(150, 4, 3, 9.0)
    # From noise alone rank 1 ties groups to the wrong covariances; the rows tell which is whose.
    result = solve(X, covariances, W=0.2 + 0.4 * np.eye(3)[y])
    memberships = group_memberships(result.W, result.group, 3)
    assert result.converged and np.minimum(memberships, 1 - memberships).max() < 1e-3
    labels = memberships.argmax(axis=1)
    assert result.objective == pytest.approx(profiled(X, labels, covariances), rel=1e-6)
    assert result.objective >= profiled(X, y, covariances) - 1e-6


@pytest.mark.parametrize("trace", list(Trace))
def test_value_of_the_full_program(trace):
    X, _, covariances = groups(30, 2, 2, 6.0, seed=2)
    exact = solve_likelihood_sdp_reference(X, covariances, trace=trace, tol=1e-6)
    result = best_of(X, covariances, rank=4, trace=trace)
    noise = 2e-5 * abs(exact.objective)
    assert result.objective <= exact.objective + noise
    assert exact.objective - result.objective <= 4e-3 * abs(exact.objective) + noise


def test_the_total_trace_is_the_looser_rule():
    X, _, covariances = groups(60, 3, 3, 4.0)
    each = best_of(X, covariances, rank=3)
    total = best_of(X, covariances, rank=3, trace=Trace.TOTAL)
    assert total.objective >= each.objective - 1e-5 * abs(each.objective)


def test_traces_are_what_the_rule_says():
    X, _, covariances = groups(90, 3, 3, 4.0)
    for trace in Trace:
        result = solve(X, covariances, rank=2, trace=trace)
        parts = (result.W**2).sum(axis=0) / result.W.sum(axis=0)
        traces = np.bincount(result.group, parts, minlength=3)
        if trace is Trace.GROUP:
            assert np.abs(traces - 1).max() < 1e-4
        assert traces.sum() == pytest.approx(3, abs=1e-4)


def test_rules_by_name():
    X, _, covariances = groups(40, 2, 2, 6.0)
    for trace in Trace:
        one, other = (solve(X, covariances, rank=2, trace=rule) for rule in (trace, trace.value))
        assert np.array_equal(one.W, other.W)
    with pytest.raises(ValueError, match="'each' is not a valid Trace"):
        solve(X, covariances, trace="each")


def test_equal_spheres_are_the_relaxation_of_k_means():
    X, _, _ = groups(90, 4, 3, 8.0)
    variance = 2.5
    spheres = np.repeat(variance * np.eye(4)[None], 3, axis=0)
    plain = low_rank_sdp(X, 3, rng=np.random.default_rng(0), rank=6)
    scatter = ((X - X.mean(axis=0)) ** 2).sum()
    expected = (plain.objective - scatter) / variance - X.size * np.log(variance)
    result = best_of(X, spheres, rank=2, trace=Trace.TOTAL)
    assert -2e-3 * abs(expected) <= result.objective - expected <= 1e-4 * abs(expected)


def test_translation_and_linear_maps():
    X, _, covariances = groups(80, 3, 2, 7.0)
    plain = best_of(X, covariances)
    T = np.array([[2.0, 0.5, 0.0], [0.0, 1.0, -1.0], [0.0, 0.0, 3.0]])
    moved = best_of(X @ T.T - 100.0, T @ covariances @ T.T)
    constant = -len(X) * np.linalg.slogdet(T @ T.T)[1]
    assert moved.objective == pytest.approx(plain.objective + constant, rel=1e-6)


def test_renaming_groups_permutes_the_answer():
    X, _, covariances = groups(90, 3, 3, 7.0)
    order = [2, 0, 1]
    W = np.random.default_rng(0).dirichlet(np.ones(3), 90)
    plain, renamed = solve(X, covariances, W=W), solve(X, covariances[order], W=W[:, order])
    assert renamed.objective == pytest.approx(plain.objective, rel=1e-9)
    assert np.allclose(renamed.W, plain.W[:, order], atol=1e-5)


def test_weights_move_rows_to_the_heavier_group():
    X, _, _ = groups(200, 1, 2, 2.0)
    covariances = np.ones((2, 1, 1))
    heavy = best_of(X, covariances, log_weights=np.log([0.99, 0.01]))
    sizes = group_memberships(heavy.W, heavy.group, 2).sum(axis=0)
    even = best_of(X, covariances, log_weights=np.log([0.5, 0.5]))
    even_sizes = group_memberships(even.W, even.group, 2).sum(axis=0)
    assert sizes[0] > even_sizes.max() + 10


def test_the_descent_pays_for_shares_what_the_value_says():
    X, _, _ = groups(200, 1, 2, 6.0)
    covariances, shares = np.ones((2, 1, 1)), np.log([0.8, 0.2])
    result = best_of(X, covariances, log_weights=shares)
    labels = group_memberships(result.W, result.group, 2).argmax(axis=1)
    assert result.objective == pytest.approx(profiled(X, labels, covariances, shares), rel=1e-6)
    assert result.history[-1, 1] == pytest.approx(result.objective, rel=1e-4)
    # A row changes groups where the squared distances differ by the shares: none is on the wrong
    # side of that.
    means = np.array([X[labels == k].mean() for k in range(2)])
    scores = 2 * shares - (X - means) ** 2
    assert np.array_equal(labels, scores.argmax(axis=1))


def test_a_small_column_does_not_stall_the_others():
    # One column keeps a fraction of a row, and in the plain metric its curvature bounds every step:
    # 3658 iterations, three times as many.
    rng = np.random.default_rng(1)
    y = np.arange(150) % 3
    X = np.eye(3, 5)[y] * 5 / np.sqrt(2) + np.random.default_rng(0).standard_normal((150, 5))
    covariances = []
    for _ in range(3):
        A = rng.standard_normal((5, 5))
        covariances.append(np.eye(5) + 0.1 * A @ A.T)
    W = rng.dirichlet(np.full(9, 5.0), 150)
    result = solve(X, np.array(covariances), rank=3, W=W)
    assert result.converged and result.n_iter < 2000


def test_multipliers_may_be_negative():
    # All rows are more likely in the narrow group, so the trace of the broad one has to be held up;
    # multipliers that stop at 0 leave that to the penalty, which takes a hundred iterations.
    X = np.random.default_rng(0).standard_normal((60, 2))
    covariances = np.array([np.eye(2), 20 * np.eye(2)])
    W = np.eye(2)[np.isin(np.arange(60), np.argsort((X**2).sum(axis=1))[-2:]).astype(int)]
    result = solve(X, covariances, W=W)
    assert result.converged and result.trace_error < 1e-6 and result.n_iter < 60


def test_scale_changes_only_the_constant():
    X, _, covariances = groups(60, 3, 2, 6.0)
    plain = solve(X, covariances, 3)
    for scale in (1e-6, 1e6):
        scaled = solve(X * scale, covariances * scale**2, 3)
        constant = -X.size * np.log(scale**2)
        assert scaled.objective - constant == pytest.approx(plain.objective, rel=1e-5)


def test_same_bits_for_any_number_of_threads():
    X, _, covariances = groups(6000, 8, 3, 6.0)
    one, two = (solve(X, covariances, rank=2, n_threads=t, max_iter=60) for t in (1, 2))
    assert np.array_equal(one.W, two.W)


def test_group_memberships_add_up():
    W = np.random.default_rng(0).dirichlet(np.ones(5), 7)
    memberships = group_memberships(W, np.array([0, 0, 2, 2, 2]), 3)
    assert np.allclose(memberships.sum(axis=1), 1) and np.all(memberships[:, 1] == 0)
    assert np.allclose(memberships[:, 0], W[:, :2].sum(axis=1))
