"""Calibration: optimum, identity, gains on new rows, classes that are separated, influence."""

import numpy as np
import pytest
from scipy.optimize import minimize

from clusterlib.solvers.calibration import (
    CalibrationKind,
    calibrate,
    calibrated,
    calibration_influence,
    floored_logarithms,
)

KINDS = list(CalibrationKind)


def labelled(n=3000, k=4, seed=0, slope=1.0, offset=0.0, sharpness=1.5):
    """Logarithms of probabilities, and classes drawn after calibrating these by slope and offset."""
    rng = np.random.default_rng(seed)
    logarithms = np.log(rng.dirichlet(np.full(k, 1 / sharpness), size=n) + 1e-4)
    logarithms -= np.log(np.exp(logarithms).sum(axis=1, keepdims=True))
    p = calibrated(logarithms, np.broadcast_to(slope, k), np.broadcast_to(offset, k))
    codes = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logarithms, np.minimum(codes, k - 1)


def log_loss(logarithms, codes, slope, offset):
    p = calibrated(logarithms, slope, offset)
    return -np.log(p[np.arange(len(codes)), codes]).mean()


def penalised(parameters, kind, logarithms, codes):
    k = logarithms.shape[1]
    slope, offset = np.ones(k), np.zeros(k)
    if kind is CalibrationKind.VECTOR:
        slope, offset = parameters[:k], parameters[k:]
    else:
        slope = np.full(k, parameters[0])
        offset = parameters[1:] if kind is CalibrationKind.BIAS_CORRECTED else offset
    free = np.r_[parameters[:k] - 1, offset] if len(parameters) == 2 * k else None
    if free is None:
        free = np.r_[parameters[0] - 1, offset]
    return log_loss(logarithms, codes, slope, offset) + free @ free / (2 * len(codes))


@pytest.mark.parametrize("kind", KINDS)
def test_no_general_solver_finds_a_lower_loss(kind):
    logarithms, codes = labelled(slope=0.4, offset=np.array([0.5, 0.0, -0.5, 0.0]))
    result = calibrate(logarithms, codes, kind)
    start = {
        CalibrationKind.TEMPERATURE: np.ones(1),
        CalibrationKind.BIAS_CORRECTED: np.r_[1, np.zeros(4)],
        CalibrationKind.VECTOR: np.r_[np.ones(4), np.zeros(4)],
    }[kind]
    other = minimize(penalised, start, (kind, logarithms, codes), tol=1e-9)
    assert result.converged and 2 <= result.n_iter <= 12
    assert result.history[-1] <= other.fun + 1e-12
    assert result.history[-1] == pytest.approx(other.fun, abs=1e-7)
    assert (np.diff(result.history) < 0).all()
    loss = log_loss(logarithms, codes, result.slope, result.offset)
    assert result.log_loss == pytest.approx(loss, rel=1e-12)


def test_more_freedom_fits_better_and_offsets_match_the_frequencies():
    logarithms, codes = labelled(slope=0.5, offset=np.array([1.0, 0.0, 0.0, -1.0]))
    losses = [calibrate(logarithms, codes, kind).log_loss for kind in KINDS]
    assert losses == sorted(losses, reverse=True)
    frequencies = np.bincount(codes) / len(codes)
    for kind in KINDS[1:]:
        result = calibrate(logarithms, codes, kind, strength=1e-9)
        p = calibrated(logarithms, result.slope, result.offset)
        np.testing.assert_allclose(p.mean(axis=0), frequencies, atol=1e-8)
        assert abs(result.offset.sum()) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_calibrated_probabilities_stay(kind):
    logarithms, codes = labelled(n=100_000)
    result = calibrate(logarithms, codes, kind)
    np.testing.assert_allclose(result.slope, 1, atol=0.05)
    np.testing.assert_allclose(result.offset, 0, atol=0.1)


def test_a_known_distortion_is_undone():
    offset = np.array([0.8, -0.3, -0.5, 0.0])
    logarithms, codes = labelled(n=50_000, slope=0.5, offset=offset)
    result = calibrate(logarithms, codes, CalibrationKind.BIAS_CORRECTED)
    np.testing.assert_allclose(result.slope, 0.5, atol=0.02)
    np.testing.assert_allclose(result.offset, offset, atol=0.06)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_new_rows_get_a_lower_loss(kind, seed):
    logarithms, codes = labelled(n=1000, seed=seed, slope=0.4, offset=np.array([0.5, 0, 0, -0.5]))
    result = calibrate(logarithms[:500], codes[:500], kind)
    new = logarithms[500:], codes[500:]
    assert log_loss(*new, result.slope, result.offset) < log_loss(*new, np.ones(4), np.zeros(4))


@pytest.mark.parametrize("kind", KINDS)
def test_separated_classes_get_finite_slopes(kind):
    logarithms = floored_logarithms(np.eye(3).repeat(20, axis=0))
    result = calibrate(logarithms, np.repeat([0, 1, 2], 20), kind)
    assert result.converged and np.isfinite(result.slope).all() and (result.slope > 0.5).all()
    p = calibrated(logarithms, result.slope, result.offset)
    assert (np.diag(p[::20]) > 0.999).all()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_repetitions(kind):
    logarithms, codes = labelled(n=200)
    weight = np.random.default_rng(0).integers(0, 4, size=200)
    one = calibrate(logarithms, codes, kind, weight=weight)
    other = calibrate(np.repeat(logarithms, weight, axis=0), np.repeat(codes, weight), kind)
    np.testing.assert_allclose(one.slope, other.slope, rtol=1e-9)
    np.testing.assert_allclose(one.offset, other.offset, atol=1e-9)


def test_a_class_without_labels_gets_less():
    logarithms, codes = labelled(n=500)
    few = calibrate(logarithms, np.where(codes == 3, 0, codes), CalibrationKind.BIAS_CORRECTED)
    assert few.converged and few.offset[3] == few.offset.min()


def test_too_few_steps_are_told():
    logarithms, codes = labelled(slope=0.2)
    result = calibrate(logarithms, codes, CalibrationKind.VECTOR, max_iter=1)
    assert not result.converged and result.n_iter == 1


@pytest.mark.parametrize("kind", KINDS)
def test_influence_is_what_leaving_a_row_out_changes(kind):
    logarithms, codes = labelled(n=300, slope=0.6)
    result = calibrate(logarithms, codes, kind)
    influence = calibration_influence(logarithms, codes, kind, result)
    for row in (0, 17, 299):
        kept = np.arange(300) != row
        other = calibrate(logarithms[kept], codes[kept], kind)
        change = np.r_[result.slope - other.slope, result.offset - other.offset]
        np.testing.assert_allclose(change, influence[row] / 300, atol=3e-3)
        assert np.corrcoef(change, influence[row])[0, 1] > 0.95


def test_floors_are_finite():
    found = floored_logarithms(np.array([[0.0, 1.0]], dtype=np.float32))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [[np.log(1e-6), 0]])
