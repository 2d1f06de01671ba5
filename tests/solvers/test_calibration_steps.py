"""Newton steps of calibration against plain ones, row by row, and where they end."""

import numpy as np
import pytest
from scipy.special import logsumexp

from clusterlib.solvers.calibration import (
    CalibrationKind,
    calibrate,
    calibrated,
    calibration_influence,
    floored_logarithms,
)

KINDS = list(CalibrationKind)


def labelled(n, slope, offset=0.0, seed=0):
    """Logarithms of probabilities of three classes, and classes drawn after calibrating them."""
    rng = np.random.default_rng(seed)
    logarithms = np.log(rng.dirichlet(np.full(3, 0.7), size=n) + 1e-4)
    logarithms -= np.log(np.exp(logarithms).sum(axis=1, keepdims=True))
    p = calibrated(logarithms, np.full(3, slope), np.broadcast_to(offset, 3))
    return logarithms, np.minimum((p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), 2)


def plain_derivatives(theta, basis, logarithms, codes, share):
    """Loss, gradient and Hessian by the free parameters, row by row."""
    k = logarithms.shape[1]
    loss, gradient, hessian = 0.0, 0.0, 0.0
    for logs, code, w in zip(logarithms, codes, share, strict=True):
        scores = theta[:k] * logs + theta[k:]
        logs_p = scores - logsumexp(scores)
        p = np.exp(logs_p)
        by_parameters = np.hstack([np.diag(logs), np.eye(k)]) @ basis
        loss -= w * logs_p[code]
        gradient += w * (p - np.eye(k)[code]) @ by_parameters
        hessian += w * by_parameters.T @ (np.diag(p) - np.outer(p, p)) @ by_parameters
    return loss, gradient, hessian


def free_directions(kind, k):
    """Columns of slopes and offsets: one slope or k, and offsets of sum 0, or none."""
    slopes = np.vstack([np.eye(k), np.zeros((k, k))])
    if kind is not CalibrationKind.VECTOR:
        slopes = slopes.sum(axis=1, keepdims=True)
    if kind is CalibrationKind.TEMPERATURE:
        return slopes
    centred = np.linalg.qr(np.hstack([np.ones((k, 1)), np.eye(k)[:, 1:]]))[0][:, 1:]
    return np.hstack([slopes, np.vstack([np.zeros((k, k - 1)), centred])])


def newton(logarithms, codes, kind, weight, strength, n_iter):
    """Damped Newton steps; returns the parameters, the history and how often a step was halved."""
    k, total = logarithms.shape[1], weight.sum()
    basis, start = free_directions(kind, k), np.r_[np.ones(k), np.zeros(k)]
    data = basis, logarithms, codes, weight / total

    def value(free):
        return (
            plain_derivatives(start + basis @ free, *data)[0] + strength / total * free @ free / 2
        )

    free, n_halved = np.zeros(basis.shape[1]), 0
    history = [value(free)]
    for _ in range(n_iter):
        _, gradient, hessian = plain_derivatives(start + basis @ free, *data)
        gradient = gradient + strength / total * free
        step = -np.linalg.solve(hessian + strength / total * np.eye(len(free)), gradient)
        size = 1.0
        while value(free + size * step) > history[-1] + 1e-4 * size * gradient @ step:
            size, n_halved = size / 2, n_halved + 1
        free = free + size * step
        history.append(value(free))
    return start + basis @ free, history, n_halved


@pytest.mark.parametrize("n_iter", [1, 2, 4])
@pytest.mark.parametrize("strength", [1.0, 5.0])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_a_plain_newton(kind, strength, n_iter):
    logarithms, codes = labelled(40, 0.4, np.array([0.5, 0.0, -0.5]))
    weight = np.random.default_rng(0).uniform(0.0, 3.0, size=40)
    options = {"weight": weight, "strength": strength}
    result = calibrate(logarithms, codes, kind, **options, max_iter=n_iter, tol=0.0)
    found, history, _ = newton(logarithms, codes, kind, weight, strength, n_iter)
    np.testing.assert_allclose(np.r_[result.slope, result.offset], found, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(result.history, history, rtol=1e-10)
    assert result.n_iter == n_iter
    p = calibrated(logarithms, result.slope, result.offset)[np.arange(40), codes]
    assert result.log_loss == pytest.approx(-np.average(np.log(p), weights=weight), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_lead_too_far_are_halved(kind):
    """Sure of the wrong class, but for a few rows: the curvature says little at the start."""
    logarithms = floored_logarithms(np.eye(2).repeat(20, axis=0))
    codes = np.repeat([1, 0], 20)
    codes[:3], codes[20:22] = 0, 1
    found, history, n_halved = newton(logarithms, codes, kind, np.ones(40), 0.01, 3)
    assert n_halved > 0
    result = calibrate(logarithms, codes, kind, strength=0.01, max_iter=3)
    np.testing.assert_allclose(result.history, history, rtol=1e-7)  # curvatures of 1e-6 and less
    np.testing.assert_allclose(np.r_[result.slope, result.offset], found, rtol=1e-4, atol=1e-5)


def test_chunks_of_rows_add_up():
    logarithms, codes = labelled(300, 1.0)
    some = calibrate(logarithms, codes, CalibrationKind.VECTOR, strength=1.0)
    many = (np.tile(logarithms, (60, 1)), np.tile(codes, 60), CalibrationKind.VECTOR)
    result = calibrate(*many, strength=60.0)
    np.testing.assert_allclose(result.slope, some.slope, rtol=1e-9)
    np.testing.assert_allclose(result.history, some.history, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_where_a_step_gains_no_more_than_the_tolerance(kind):
    logarithms, codes = labelled(60, 0.4)
    basis, data = free_directions(kind, 3), (logarithms, codes, np.full(60, 1 / 60))
    gains, start = [], np.r_[np.ones(3), np.zeros(3)]
    for n_iter in range(4):
        theta = newton(logarithms, codes, kind, np.ones(60), 1.0, n_iter)[0]
        _, gradient, hessian = plain_derivatives(theta, basis, *data)
        free = np.linalg.lstsq(basis, theta - start)[0]
        gradient = gradient + free / 60
        step = np.linalg.solve(hessian + np.eye(len(gradient)) / 60, gradient)
        gains.append(gradient @ step)
    for n_iter in (1, 2, 3):
        result = calibrate(logarithms, codes, kind, tol=gains[n_iter] * 1.001)
        assert result.converged
        assert result.n_iter == n_iter
        result = calibrate(logarithms, codes, kind, tol=gains[n_iter] * 0.999)
        assert result.n_iter > n_iter


@pytest.mark.parametrize("kind", KINDS)
def test_influence_is_that_of_its_formula(kind):
    logarithms, codes = labelled(30, 0.6)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, size=30)
    result = calibrate(logarithms, codes, kind, weight=weight, strength=2.0)
    influence = calibration_influence(logarithms, codes, kind, result, weight=weight, strength=2.0)
    basis, theta = free_directions(kind, 3), np.r_[result.slope, result.offset]
    share = weight / weight.sum()
    hessian = plain_derivatives(theta, basis, logarithms, codes, share)[2]
    curvature = hessian + 2.0 / weight.sum() * np.eye(basis.shape[1])
    for row in range(30):
        one = logarithms[row : row + 1], codes[row : row + 1], np.ones(1)
        gradient = plain_derivatives(theta, basis, *one)[1]
        expected = -basis @ np.linalg.solve(curvature, gradient)
        np.testing.assert_allclose(influence[row], expected, rtol=1e-7, atol=1e-9)
    plain = calibration_influence(logarithms, codes, kind, result)
    ones = calibration_influence(
        logarithms, codes, kind, result, weight=np.full(30, 1.0), strength=1.0
    )
    np.testing.assert_allclose(plain, ones, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_probability_counts_as_less_than_a_millionth(dtype):
    found = floored_logarithms(np.array([[0.99e-6, 1.01e-6, 0.5]], dtype=dtype))
    np.testing.assert_allclose(found[0, 0], np.log(1e-6), rtol=1e-7)
    np.testing.assert_allclose(found[0, 1:], np.log([1.01e-6, 0.5]), rtol=1e-6)
