"""Class shares under label shift: optimum, certificate, closed forms, classes that are absent."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from clusterlib.solvers import prior_ratio, reweighted_posteriors, shifted_prior
from clusterlib.solvers.prior_shift import prior_scores


def shifted_rows(n=400, k=4, spread=1.0, seed=0):
    """Exact posteriors of rows from overlapping Gaussians, for a source prior that is not theirs."""
    rng = np.random.default_rng(seed)
    means = spread * rng.normal(size=(k, 3))
    source, target = rng.dirichlet(np.full(k, 3.0)), rng.dirichlet(np.full(k, 1.0))
    x = means[rng.choice(k, size=n, p=target)] + rng.normal(size=(n, 3))
    h = source * np.exp(-((x[:, None] - means) ** 2).sum(axis=2) / 2)
    return h / h.sum(axis=1, keepdims=True), source, target


def log_likelihood(posteriors, prior, source, weight=None):
    return np.average(np.log(posteriors @ (prior / source)), weights=weight)


def solved_by_scipy(posteriors, source, weight=None):
    k = len(source)
    found = minimize(
        lambda p: -log_likelihood(posteriors, np.abs(p) + 1e-300, source, weight),
        np.full(k, 1 / k),
        method="SLSQP",
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return np.clip(found.x, 0, None) / np.clip(found.x, 0, None).sum()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
def test_no_general_solver_finds_a_better_prior(seed, weighted):
    h, source, _ = shifted_rows(seed=seed)
    weight = np.random.default_rng(seed).random(len(h)) if weighted else None
    result = shifted_prior(h, source, weight=weight)
    other = solved_by_scipy(h, source, weight)
    assert result.converged and result.gap <= 1e-9
    assert result.log_likelihood >= log_likelihood(h, other, source, weight) - 1e-13
    np.testing.assert_allclose(result.prior, other, atol=2e-5)
    value = log_likelihood(h, result.prior, source, weight)
    assert result.log_likelihood == pytest.approx(value, abs=1e-13)


def test_two_classes_solve_one_equation():
    h, source, _ = shifted_rows(k=2)
    scaled = h / source
    slope = scaled[:, 0] - scaled[:, 1]
    root = brentq(lambda p: np.mean(slope / (scaled[:, 1] + p * slope)), 1e-9, 1 - 1e-9)
    np.testing.assert_allclose(shifted_prior(h, source, tol=1e-13).prior[0], root, atol=1e-9)


def test_certain_posteriors_are_counted():
    labels = np.array([0, 0, 0, 1, 2, 2, 2, 2])
    result = shifted_prior(np.eye(3)[labels], np.array([0.2, 0.3, 0.5]))
    np.testing.assert_allclose(result.prior, [3 / 8, 1 / 8, 4 / 8], atol=1e-9)


@pytest.mark.parametrize("n_steps", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("newton", [False, True])
def test_the_gap_bounds_what_is_missing_and_steps_only_rise(n_steps, newton):
    h, source, _ = shifted_rows(k=6, spread=0.7)
    best = shifted_prior(h, source, tol=1e-13)
    result = shifted_prior(h, source, max_iter=n_steps, newton=newton)
    assert result.n_iter == len(result.history) - 1 <= n_steps
    assert best.log_likelihood - result.log_likelihood <= result.gap + 1e-15
    assert (np.diff(result.history) >= 0).all()
    assert result.converged == (result.gap <= 1e-9)
    assert result.prior.sum() == pytest.approx(1, abs=1e-14) and (result.prior >= 0).all()


def test_em_agrees_and_needs_far_more_steps():
    h, source, _ = shifted_rows(n=2000, k=5, spread=0.7)
    fast, slow = (shifted_prior(h, source, newton=f, max_iter=20_000) for f in (True, False))
    assert fast.converged and slow.converged
    np.testing.assert_allclose(fast.prior, slow.prior, atol=1e-5)
    assert fast.n_iter * 10 < slow.n_iter


def test_em_is_the_published_iteration():
    h, source, _ = shifted_rows()
    prior = shifted_prior(h, source, max_iter=1, newton=False, start=source).prior
    adjusted = h * (source / source)
    expected = (adjusted / adjusted.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(prior, expected, atol=1e-12)


def test_weights_are_repetitions_and_rows_may_have_any_scale_and_order():
    h, source, _ = shifted_rows(n=60)
    rng = np.random.default_rng(0)
    weight, order = rng.integers(0, 4, size=60), rng.permutation(60)
    repeated = shifted_prior(np.repeat(h, weight, axis=0), source, tol=1e-12)
    scaled = h * rng.uniform(0.1, 9, size=(60, 1))
    weighted = shifted_prior(scaled[order], source, weight=weight[order], tol=1e-12)
    np.testing.assert_allclose(weighted.prior, repeated.prior, atol=1e-7)


def test_classes_may_be_named_in_any_order():
    h, source, _ = shifted_rows(k=5)
    order = np.array([3, 0, 4, 1, 2])
    one = shifted_prior(h, source, tol=1e-12).prior
    other = shifted_prior(h[:, order], source[order], tol=1e-12).prior
    np.testing.assert_allclose(one[order], other, atol=1e-8)


def test_a_class_that_is_absent_gets_exactly_nothing():
    h, source, _ = shifted_rows(n=3000, k=3, spread=3.0)
    h = h[h[:, 2] < 1e-3]
    result = shifted_prior(h, source)
    assert result.converged and result.prior[2] == 0


def test_classes_that_the_source_lacks_are_left_out():
    h = np.array([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0], [0.7, 0.3, 0.0]])
    source = np.array([0.5, 0.5, 0.0])
    result = shifted_prior(h, source)
    expected = shifted_prior(h[[0, 1, 3], :2], source[:2])
    np.testing.assert_allclose(result.prior, [*expected.prior, 0], atol=1e-9)
    assert result.log_likelihood == pytest.approx(expected.log_likelihood)


@pytest.mark.parametrize("h", [np.zeros((0, 2)), np.zeros((3, 2)), np.array([[0.0, 0.0]])])
def test_rows_that_say_nothing_leave_the_source_prior(h):
    result = shifted_prior(h, np.array([0.3, 0.7]))
    np.testing.assert_allclose(result.prior, [0.3, 0.7])
    assert result.converged and result.n_iter == 0


def test_one_class_has_everything():
    result = shifted_prior(np.ones((5, 1)), np.ones(1))
    assert result.prior.tolist() == [1.0] and result.converged


def test_classes_that_cannot_be_told_apart_do_no_harm():
    h, source, _ = shifted_rows(k=3)
    same = np.column_stack([h[:, :2], h[:, 2] / 2, h[:, 2] / 2])
    result = shifted_prior(same, np.array([source[0], source[1], source[2] / 2, source[2] / 2]))
    expected = shifted_prior(h, source)
    assert result.converged
    merged = [*result.prior[:2], result.prior[2:].sum()]
    np.testing.assert_allclose(merged, expected.prior, atol=1e-5)


def test_single_precision_and_any_layout():
    h, source, _ = shifted_rows(n=20_000)
    expected = shifted_prior(h, source)
    for other in (h.astype(np.float32), np.asfortranarray(h), np.repeat(h, 2, axis=0)[::2]):
        other.flags.writeable = False
        np.testing.assert_allclose(shifted_prior(other, source).prior, expected.prior, atol=1e-5)


def test_the_true_prior_is_found_within_its_standard_error():
    h, source, target = shifted_rows(n=200_000, k=4)
    scores = prior_scores(h, target, source)
    basis = np.linalg.qr(np.column_stack([np.ones(4), np.eye(4)[:, :3]]))[0][:, 1:]
    covariance = basis @ np.linalg.inv(basis.T @ (scores.T @ scores) @ basis) @ basis.T
    error = shifted_prior(h, source).prior - target
    assert np.abs(error / np.sqrt(np.diag(covariance))).max() < 3.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_posteriors_are_reweighted_by_bayes_rule(dtype):
    h, source, target = shifted_rows(n=50)
    found = reweighted_posteriors(h.astype(dtype), prior_ratio(target, source))
    expected = h / source * target
    assert found.dtype == dtype
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=50 * np.finfo(dtype).eps)


def test_rows_without_a_possible_class_fall_back_to_the_ratio():
    found = reweighted_posteriors(np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([2.0, 0.0]))
    np.testing.assert_array_equal(found, [[1, 0], [1, 0]])
    each = reweighted_posteriors(np.full((2, 2), 0.5), np.array([[1.0, 3.0], [3.0, 1.0]]))
    np.testing.assert_array_equal(each, [[0.25, 0.75], [0.75, 0.25]])


@pytest.mark.parametrize("seed", range(6))
def test_rounding_near_the_optimum_does_not_bring_em_back(seed):
    # The last Newton step gains less than float64 can tell, which must not count as a failure.
    h, source, _ = shifted_rows(n=20_000, k=8, spread=0.4, seed=seed)
    result = shifted_prior(h, source)
    assert result.converged and result.n_iter <= 15
    assert (np.diff(result.history) >= 0).all()
