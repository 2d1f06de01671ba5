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
