"""Every step towards class shares beside a plain one, and what is left out on the way."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import nnls

from clusterlib.solvers import prior_ratio, shifted_prior
from clusterlib.solvers.prior_shift import prior_scores


def rows(n=300, k=5, seed=0):
    rng = np.random.default_rng(seed)
    source, target = rng.dirichlet(np.full(k, 4.0)), rng.dirichlet(np.full(k, 0.7))
    h = rng.dirichlet(np.full(k, 0.8), size=n) * target
    return h / h.sum(axis=1, keepdims=True), source, rng.uniform(size=n)


class Plain:
    """Value, gradient and steps from one matrix of scaled posteriors."""

    def __init__(self, h, source, weight):
        self.live = source > 0
        self.source = source / source.sum()
        self.R = np.where(self.live, h / np.where(self.live, self.source, 1.0), 0.0)
        weight = np.ones(len(h)) if weight is None else weight
        says = self.R.sum(axis=1) > 0
        self.R, self.w = self.R[says], weight[says] / weight[says].sum()

    def value(self, prior):
        return self.w @ np.log(self.R @ prior)

    def gradient(self, prior):
        return (self.w / (self.R @ prior)) @ self.R

    def newton(self, prior):
        """The minimum of the quadratic model over q >= 0, approached by halves of the way."""
        scaled = self.R * (np.sqrt(self.w) / (self.R @ prior))[:, None]
        H, g = scaled.T @ scaled, self.gradient(prior)
        lower = np.linalg.cholesky(H + 1e-12 * np.trace(H) * np.eye(len(H)))
        best = nnls(lower.T, np.linalg.solve(lower, 2 * g - 1))[0] * self.live
        best /= best.sum()
        gain, step = g @ (best - prior), 1.0
        while step >= 2.0**-12:
            moved = prior + step * (best - prior)
            with np.errstate(divide="ignore"):
                if self.value(moved) >= self.value(prior) - 1e-13 + 1e-4 * step * gain:
                    return moved
            step /= 2
        return None

    def run(self, start, max_iter, tol, newton):
        prior = np.where(self.live, self.source if start is None else start, 0) + 1e-6 * self.source
        prior /= prior.sum()
        history = [self.value(prior)]
        while len(history) <= max_iter and self.gradient(prior).max() - 1 > tol:
            moved = self.newton(prior) if newton and len(history) > 4 else None
            if moved is None:
                moved = prior * self.gradient(prior)
                moved /= moved.sum()
            prior = moved
            history.append(self.value(prior))
        return prior, history, self.gradient(prior).max() - 1


@pytest.mark.parametrize("max_iter", [0, 1, 3, 4, 5, 6, 7, 9])
@pytest.mark.parametrize("newton", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_every_step_is_that_of_the_whole_matrix(seed, newton, max_iter):
    h, source, weight = rows(seed=seed)
    weight = weight if seed % 2 else None
    found = shifted_prior(h, source, weight=weight, max_iter=max_iter, newton=newton, tol=1e-9)
    prior, history, gap = Plain(h, source, weight).run(None, max_iter, 1e-9, newton)
    assert found.n_iter == len(history) - 1
    assert_allclose(found.prior, prior, atol=1e-9)
    assert_allclose(found.history, history, rtol=1e-11, atol=1e-13)
    assert found.gap == pytest.approx(max(gap, 0), abs=1e-10)
    assert found.log_likelihood == pytest.approx(history[-1], abs=1e-12)


def test_starts_get_a_trace_of_every_class():
    h, source, _ = rows()
    start = np.array([0.0, 0.0, 0.5, 0.5, 0.0])
    found = shifted_prior(h, source, start=start, max_iter=0)
    assert_allclose(found.prior, (start + 1e-6 * source) / (1 + 1e-6), rtol=1e-12)
    for max_iter in (3, 8):
        found = shifted_prior(h, source, start=start, max_iter=max_iter)
        prior, history, _ = Plain(h, source, None).run(start, max_iter, 1e-9, True)
        assert_allclose(found.prior, prior, atol=1e-9)
        assert_allclose(found.history, history, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("max_iter", [0, 2, 6, 50])
def test_rows_and_classes_that_say_nothing_have_no_part(max_iter):
    h, source, weight = rows(k=4)
    h[::9, [0, 1, 3]] = 0.0  # mass for a class alone that the source lacks
    weight[5::11] = 0.0
    h[5::11] = 0.0
    source = source * [1, 1, 0, 1]
    found = shifted_prior(h, source, weight=weight, max_iter=max_iter)
    prior, history, gap = Plain(h, source, weight).run(None, max_iter, 1e-9, True)
    assert_allclose(found.prior, prior, atol=1e-8)
    assert_allclose(found.history[: len(history)], history, rtol=1e-10)
    assert found.prior[2] == 0.0
    assert found.converged == (max(gap, 0) <= 1e-9)


@pytest.mark.parametrize("n", [8191, 8192, 8193, 17_000])
def test_chunks_of_rows_are_added_up(n):
    h, source, weight = rows(n=n)
    for max_iter in (1, 6):
        found = shifted_prior(h, source, weight=weight, max_iter=max_iter)
        prior, history, _ = Plain(h, source, weight).run(None, max_iter, 1e-9, True)
        assert_allclose(found.prior, prior, atol=1e-9)
        assert_allclose(found.history, history, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("tol", [1e-1, 1e-2, 1e-4])
def test_it_ends_with_the_first_gap_within_the_tolerance(tol):
    h, source, _ = rows()
    for newton in (False, True):
        found = shifted_prior(h, source, tol=tol, newton=newton, max_iter=5000)
        _, history, gap = Plain(h, source, None).run(None, 5000, tol, newton)
        assert found.n_iter == len(history) - 1
        assert found.converged
        assert found.gap == pytest.approx(gap, rel=1e-4)
        assert found.gap <= tol
        before = shifted_prior(h, source, tol=tol, newton=newton, max_iter=found.n_iter - 1)
        assert not before.converged
        assert before.gap > tol


def test_scores_add_up_to_the_gradient():
    h, source, _ = rows(k=4)
    source = source * [1, 1, 0, 1]
    prior = np.array([0.2, 0.5, 0.0, 0.3])
    h[0] = [0, 0, 1, 0]
    scores = prior_scores(h, prior, source)
    expected = np.where(source > 0, h / np.where(source > 0, source, 1), 0.0)[1:]
    assert_allclose(scores[1:], expected / (expected @ prior)[:, None])
    assert_array_equal(scores[0], np.zeros(4))


def test_ratios_broadcast():
    ratio = prior_ratio(np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([0.4, 0.0]))
    assert_array_equal(ratio, [[0.5, 0.0], [2.5, 0.0]])
    assert prior_ratio(1, np.array([4, 0])).dtype == np.float64


def test_a_gap_of_exactly_the_tolerance_is_small_enough():
    h, source, _ = rows()
    for max_iter in (0, 2):
        gap = shifted_prior(h, source, max_iter=max_iter, tol=0.0).gap
        found = shifted_prior(h, source, tol=gap)
        assert found.n_iter == max_iter
        assert found.converged
