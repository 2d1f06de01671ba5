"""The dual of the relaxation: it closes the gap, and whatever interrupts it leaves a bound."""

import numpy as np
import pytest
from scipy.optimize import minimize

from clusterlib.solvers import kmeans_lower_bound, low_rank_sdp, sdp_dual
from clusterlib.solvers.sdp_dual import project_spectrum
from tests.solvers.test_sdp_bounds import balls, cost, nearest


def relaxed_cost(X, n_clusters):
    """What the low-rank solver reaches, which no bound may exceed, and its factor."""
    result = low_rank_sdp(X, n_clusters, rank=4 * n_clusters, rng=np.random.default_rng(0))
    centered = X - X.mean(axis=0)
    return float(np.square(centered).sum()) - result.objective, result


@pytest.mark.parametrize("n", [80, 300])
@pytest.mark.parametrize("separation", [6.0, 5.0, 4.0])
def test_gap_to_the_relaxation_closes(n, separation):
    X, labels = balls(n, 10, 4, separation)
    labels = nearest(X, labels)
    primal, result = relaxed_cost(X, 4)
    bound = kmeans_lower_bound(X, labels, 4, method="full", W=result.W, tol=1e-4)
    slack = 1e-5 * primal + result.trace_error * primal
    assert bound.lower_bound <= primal + slack
    assert bound.lower_bound >= primal - 3e-4 * primal


def test_thousand_rows():
    X, labels = balls(1000, 20, 4, 5.0)
    labels = nearest(X, labels)
    primal, _ = relaxed_cost(X, 4)
    bound = kmeans_lower_bound(X, labels, 4, method="full")
    assert primal * (1 - 1e-4) <= bound.lower_bound <= primal * (1 + 1e-5)


def test_start_of_a_factor_or_of_nothing_good():
    X, labels = balls(150, 6, 3, 5.0)
    primal, result = relaxed_cost(X, 3)
    random = np.random.default_rng(1).integers(0, 3, 150)
    for start, W in ((nearest(X, labels), result.W), (random, None)):
        bound = kmeans_lower_bound(X, start, 3, method="full", W=W)
        assert bound.lower_bound >= primal * (1 - 5e-4)


@pytest.mark.parametrize("max_iter", [1, 2, 13])
def test_bounds_are_true_after_any_number_of_iterations(max_iter):
    X, labels = balls(200, 5, 4, 3.0)
    labels = nearest(X, labels)
    fast = kmeans_lower_bound(X, labels, 4)
    full = kmeans_lower_bound(X, labels, 4, method="full", max_iter=max_iter)
    assert fast.lower_bound <= full.lower_bound <= cost(X, labels)
    assert full.n_iter == max_iter


def test_small_tolerance_in_wide_numbers():
    X, labels = balls(90, 5, 3, 5.0)
    labels = nearest(X, labels)
    loose, tight = (
        kmeans_lower_bound(X, labels, 3, method="full", tol=tol, max_iter=3000)
        for tol in (1e-3, 1e-7)
    )
    assert tight.lower_bound >= loose.lower_bound
    gap = (tight.history[-1, 2] - tight.history[-1, 1]) / cost(X, labels)
    assert abs(gap) < 1e-6


def test_many_positive_eigenvalues_widen_the_search():
    # Balls on top of each other: the relaxation spreads over many directions.
    X = np.random.default_rng(0).normal(size=(150, 10))
    labels = nearest(X, np.arange(150) % 5)
    primal, _ = relaxed_cost(X, 5)
    bound = kmeans_lower_bound(X, labels, 5, method="full")
    assert bound.lower_bound <= primal * (1 + 1e-5)
    # What is proved is what was estimated: no eigenvalue has been lost on the way.
    estimated = float(np.square(X - X.mean(axis=0)).sum()) - bound.history[-1, 2]
    assert bound.lower_bound >= estimated * (1 - 1e-3)


def test_callback_sees_progress_and_stops():
    X, labels = balls(200, 5, 4, 3.0)
    X *= 100.0
    seen = []

    def callback(n_iter, objective, bound, residual):
        seen.append((n_iter, objective, bound, residual))
        return n_iter >= 30

    bound = kmeans_lower_bound(X, labels, 4, method="full", callback=callback)
    assert [call[0] for call in seen] == [10, 20, 30]
    assert bound.n_iter == 30
    assert bound.history.shape == (3, 4)
    np.testing.assert_allclose(seen, bound.history)
    # Both are values of the relaxation in the units of X.
    total = float(np.square(X - X.mean(axis=0)).sum())
    np.testing.assert_allclose(bound.history[-1, 1:3], total - bound.lower_bound, rtol=0.1)


@pytest.mark.parametrize("method", ["full", "block"])
def test_interrupt_keeps_what_there_is(method):
    X, labels = balls(200, 5, 4, 5.0)
    labels = nearest(X, labels)

    def interrupt(*args):
        raise KeyboardInterrupt

    options = {"method": method, "callback": interrupt, "block_size": 50}
    bound = kmeans_lower_bound(X, labels, 4, **options)
    fast = kmeans_lower_bound(X, labels, 4)
    assert fast.lower_bound <= bound.lower_bound <= cost(X, labels)


def test_interrupt_of_one_block_is_the_end_of_all(monkeypatch):
    X, labels = balls(200, 5, 4, 5.0)
    advance, calls = sdp_dual._State.advance, []

    def interrupted(state, *args):
        calls.append(args)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return advance(state, *args)

    monkeypatch.setattr(sdp_dual._State, "advance", interrupted)
    bound = kmeans_lower_bound(X, labels, 4, method="block", block_size=50, max_iter=12)
    assert len(calls) == 15
    assert len(bound.history) == 2  # the second block was interrupted
    assert bound.lower_bound <= cost(X, labels)


@pytest.mark.parametrize("total", [0, 1, 3, 6])
def test_projection_of_eigenvalues(total):
    values = np.array([0.4, -1.0, 2.5, 0.4, 1.1, -0.2])
    projected = project_spectrum(values, total)
    assert projected.min() >= 0
    assert projected.max() <= 1
    np.testing.assert_allclose(projected.sum(), total, atol=1e-12)
    reference = minimize(
        lambda x: np.square(x - values).sum(),
        np.full(6, total / 6),
        bounds=[(0, 1)] * 6,
        constraints={"type": "eq", "fun": lambda x: x.sum() - total},
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(projected, reference.x, atol=1e-5)
