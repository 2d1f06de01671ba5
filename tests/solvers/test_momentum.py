"""Momentum: as fast as over-relaxation on both sides, and plain again where the dual falls."""

import numpy as np
import pytest

from clusterlib.solvers.momentum import Momentum


def errors(rates, momentum, n_steps):
    """Errors of ``g -> M g``, M with these eigenvalues, and the dual ``-|g|^2``."""
    g = previous = np.ones(len(rates))
    found = []
    for _ in range(n_steps):
        found.append(np.abs(g - rates * g).sum())
        step, inertia = momentum.weights(found[-1], -float(g @ g)) if momentum else (1.0, 0.0)
        g, previous = g + step * (rates * g - g) + inertia * (g - previous), g
    return np.array(found)


@pytest.mark.parametrize("theta", [0.9, 0.99, 0.999])
def test_square_root_of_the_sweeps(theta):
    rates = np.linspace(0, theta, 50)
    plain = errors(rates, None, 20_000)
    fast = errors(rates, Momentum(1e-12), 2000)
    sweeps = [int(np.argmax(e < 1e-8 * e[0])) for e in (plain, fast)]
    # The rate of the best relaxation is (1 - s) / (1 + s), s = sqrt(1 - theta).
    best = np.log(1e-8) / np.log((1 - np.sqrt(1 - theta)) / (1 + np.sqrt(1 - theta)))
    assert 0 < sweeps[1] < 3 * best + 30
    assert sweeps[1] < sweeps[0]
    if theta > 0.95:
        assert sweeps[1] < sweeps[0] / 3


def test_first_steps_are_plain():
    momentum = Momentum(0.0)
    steps = [momentum.weights(0.99**k, float(k)) for k in range(14)]
    assert set(steps) == {(1.0, 0.0)}
    step, inertia = momentum.weights(0.99**14, 14.0)
    assert 1.0 < step < 4.0
    assert inertia == pytest.approx((np.sqrt(step) - 1) ** 2)


def test_a_falling_dual_restarts():
    momentum = Momentum(0.01)
    for k in range(15):
        moving = momentum.weights(0.99**k, 1.0)
    assert moving[1] > 0
    assert momentum.weights(0.8, 0.995)[1] > 0  # within the noise
    assert momentum.weights(0.8, 0.9) == (1.0, 0.0)
    assert momentum.weights(0.8, 0.95) == (1.0, 0.0)


def test_noise_has_a_scale_where_the_dual_is_near_zero():
    restarts, stays = Momentum(0.01), Momentum(0.01, scale=1.0)
    for momentum in (restarts, stays):
        for k in range(15):
            assert momentum.weights(0.99**k, 0.0)[1] == 0 or k == 14
    assert restarts.weights(0.8, -0.005) == (1.0, 0.0)
    assert stays.weights(0.8, -0.005)[1] > 0


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_errors_that_do_not_fall_leave_steps_plain(error):
    momentum = Momentum(0.0)
    assert {momentum.weights(error, 0.0) for _ in range(100)} == {(1.0, 0.0)}


def relaxation(weights):
    """The w of ``(w^2, (w - 1)^2)``."""
    assert weights[1] == pytest.approx((np.sqrt(weights[0]) - 1) ** 2, abs=1e-15)
    return np.sqrt(weights[0])


def rate_of(theta, w):
    """The slower root of ``(l + w - 1)^2 = l w^2 theta``, for w below the best."""
    half = w * w * theta / 2 - (w - 1)
    return half + np.sqrt(half**2 - (w - 1) ** 2)


@pytest.mark.parametrize("theta", [0.5, 0.9, 0.99])
def test_the_best_relaxation_is_found_from_any_rate(theta):
    best = 2 / (1 + np.sqrt(1 - theta))
    momentum, error, w = Momentum(0.0), 1.0, 1.0
    found = []
    for step in range(24):
        # From the 15th on it looks at every fifth; here a weaker relaxation is set in between.
        if step == 15:
            w = momentum._relaxation = 1 + 0.8 * (best - 1)
        error *= rate_of(theta, w)
        found.append(relaxation(momentum.weights(error, 0.0)))
    assert found[:14] == [1.0] * 14
    assert found[14] == pytest.approx(best, rel=1e-9)
    assert found[15:19] == pytest.approx([w] * 4)
    assert found[19:] == pytest.approx([best] * 5, rel=1e-6)


@pytest.mark.parametrize(("margin", "shrinks"), [(0.099, True), (0.101, False)])
def test_a_relaxation_that_cannot_be_told_from_too_much_is_lessened(margin, shrinks):
    momentum, error = Momentum(0.0), 1.0
    momentum._relaxation = 1.5
    for _ in range(15):
        error *= 0.5 + margin * 0.5  # every mode would shrink by a half
        last = relaxation(momentum.weights(error, 0.0))
    assert (1.4 < last < 1.5) == shrinks
    if not shrinks:
        rate = 0.5 + margin * 0.5
        theta = ((rate + 0.5) / 1.5) ** 2 / rate
        assert last == pytest.approx(2 / (1 + np.sqrt(1 - theta)), rel=1e-9)


def test_slow_errors_reach_the_largest_relaxation_and_others_none():
    momentum = Momentum(0.0)
    slow = [relaxation(momentum.weights(1 - 1e-9 * k, 0.0)) for k in range(15)]
    assert 1.99 < slow[-1] < 2.0
    faster = [Momentum(0.0) for _ in range(2)]
    for k in range(15):
        still = relaxation(faster[0].weights(1.0, 0.0))
        zero = relaxation(faster[1].weights(0.0 if k > 9 else 1.0, 0.0))
    assert still == zero == 1.0


def test_a_restart_forgets_the_errors():
    momentum = Momentum(0.01)
    for k in range(16):
        assert (relaxation(momentum.weights(0.9**k, 1.0)) > 1) == (k >= 14)
    found = [relaxation(momentum.weights(0.9**k, 0.5)) for k in range(15)]
    assert found[:14] == [1.0] * 14
    assert found[14] == pytest.approx(2 / (1 + np.sqrt(0.1)), rel=1e-9)


@pytest.mark.parametrize(("dual", "scale", "fall"), [(-2.0, 0.0, 0.02), (-2.0, 5.0, 0.05)])
def test_the_noise_is_a_part_of_the_dual_or_of_its_scale(dual, scale, fall):
    for factor in (0.98, 1.03):
        momentum = Momentum(0.01, scale)
        for k in range(15):
            momentum.weights(0.9**k, dual)
        stays = relaxation(momentum.weights(0.5, dual - factor * fall)) > 1
        assert stays == (factor < 1)
