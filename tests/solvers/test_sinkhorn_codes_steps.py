"""Codes to a tolerance: every step beside plain ones with the same momentum."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from clusterlib.solvers import sinkhorn_assign
from clusterlib.solvers.momentum import Momentum
from clusterlib.solvers.sinkhorn_codes import log_shares


def scores_of(n=90, k=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, size=(n, k)) + np.linspace(0, 1.5, k)


def plain(scores, epsilon, prior, tol, max_iter):
    """Loads and the number of steps."""
    here, n = prior > 0, len(scores)
    wanted = np.where(here, np.log(np.where(here, prior, 1) * n), -np.inf)
    S = np.where(here, scores / epsilon, -np.inf)

    def step_of(loads):
        """How far columns are from their shares once rows are normalised, and the row potentials."""
        rows = logsumexp(S[:, here] + loads[here], axis=1)
        return wanted[here] - logsumexp(S[:, here] - rows[:, None], axis=0), -rows

    loads = np.where(here, wanted - logsumexp(np.where(here, S, 0.0), axis=0), -np.inf)
    shares, momentum, before = np.exp(wanted), Momentum(1e-7, scale=n), loads
    for step in range(max_iter):
        target, f = step_of(loads)
        change = target - loads[here]
        error = (shares[here] * np.abs(np.expm1(-change))).sum() / n
        if error <= tol:
            return loads, step
        push, pull = momentum.weights(error, f.sum() + shares[here] @ loads[here])
        moved = loads.copy()
        moved[here] += push * change + pull * (loads[here] - before[here])
        loads, before = moved, loads
    return loads, max_iter


def codes(scores, epsilon, loads):
    logits = np.where(loads > -np.inf, scores / epsilon + loads, -np.inf)
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))


@pytest.mark.parametrize("max_iter", [1, 2, 3, 6, 11, 25])
@pytest.mark.parametrize("prior", [[0.2] * 5, [0.5, 0.3, 0.0, 0.1, 0.1]])
@pytest.mark.parametrize("epsilon", [0.3, 0.05])
def test_every_step_is_a_plain_one(epsilon, prior, max_iter):
    scores, prior = scores_of(), np.array(prior)
    loads, _ = plain(scores, epsilon, prior, 1e-12, max_iter)
    found = sinkhorn_assign(
        scores, epsilon, n_iters=None, prior=prior, tol=1e-12, max_iter=max_iter
    )
    assert_allclose(found, codes(scores, epsilon, loads), atol=1e-9)


@pytest.mark.parametrize("tol", [0.3, 1e-2, 1e-4])
@pytest.mark.parametrize("seed", range(3))
def test_it_ends_with_the_first_error_within_the_tolerance(seed, tol):
    scores, prior = scores_of(seed=seed), np.full(5, 0.2)
    loads, n = plain(scores, 0.1, prior, tol, 1000)
    found = sinkhorn_assign(scores, 0.1, n_iters=None, tol=tol)
    assert_allclose(found, codes(scores, 0.1, loads), atol=1e-9)
    same = sinkhorn_assign(scores, 0.1, n_iters=None, tol=tol, max_iter=max(n, 1))
    assert_allclose(same, found, atol=1e-12)
    off = np.abs(found.sum(axis=0) / 90 - 0.2).sum()
    assert off <= tol


def test_shares_of_any_size():
    assert_allclose(np.exp(log_shares(None, 4)), 0.25)
    assert_allclose(np.exp(log_shares([1, 0, 3], 3)), [0.25, 0, 0.75])
    assert_allclose(np.exp(log_shares([1e308, 1e308, 0], 3)), [0.5, 0.5, 0])
    assert_allclose(np.exp(log_shares([3e-320, 1e-320], 2)), [0.75, 0.25], rtol=1e-3)
    with pytest.raises(ValueError, match="prior must have a share above 0"):
        log_shares([0.0, 0.0], 2)


def test_outputs_beside_their_limits():
    scores = scores_of()
    for bad in (np.empty((90, 4)), np.empty((90, 5), np.float32), [[0.0]]):
        with pytest.raises(ValueError, match=r"out must be an array of shape \(90, 5\)"):
            sinkhorn_assign(scores, out=bad)
    read_only = np.empty((90, 5))
    read_only.flags.writeable = False
    for bad in (np.empty((90, 5), order="F"), read_only):
        with pytest.raises(ValueError, match="C-contiguous and writeable"):
            sinkhorn_assign(scores, out=bad)
    out = np.empty((90, 5))
    assert sinkhorn_assign(scores, out=out) is out
    assert sinkhorn_assign(scores[:0]).shape == (0, 5)


def test_no_iteration_is_refused():
    for name in ("n_iters", "max_iter"):
        with pytest.raises(ValueError, match=f"{name} must be from 1"):
            sinkhorn_assign(scores_of(), **{name: 0})
        sinkhorn_assign(scores_of(), **{name: 1})
