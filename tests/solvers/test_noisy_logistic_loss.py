"""What the solver of noisy labels minimises: slopes, units, and what is known already."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers.noisy_logistic_loss import LabelLikelihood, MeanLoss, coefficient_units


class Squares:
    """Minus half the squared distance from a matrix, which counts how often it is asked."""

    def __init__(self, best):
        self._best, self.n_calls = best, 0

    def __call__(self, parameters):
        self.n_calls += 1
        difference = parameters - self._best
        return -0.5 * np.square(difference).sum(), -difference


def loss(total=8.0, C=0.5):
    likelihood = Squares(np.arange(6.0).reshape(2, 3))
    return likelihood, MeanLoss(likelihood, total, C, np.array([0.5, 2.0, 1.0]))


def test_slopes_are_those_of_the_value():
    _, mean_loss = loss()
    at = np.array([0.3, -1.0, 2.0, 0.7, 0.1, -0.4])
    _, slopes = mean_loss(at)
    for j, step in enumerate(1e-5 * np.eye(6)):
        rise = (mean_loss(at + step)[0] - mean_loss(at - step)[0]) / 2e-5
        assert_allclose(slopes[j], rise, rtol=1e-8)


@pytest.mark.parametrize("wrong", [False, True])
def test_many_rows_count_like_few_of_them_several_times(wrong):
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(20, 2)), np.arange(20) % 3
    parameters, center = rng.normal(size=(3, 3)), np.zeros(2)
    transition = 0.7 * np.eye(3) + 0.1 if wrong else None

    def found(n_times):
        rows, labels = np.tile(X, (n_times, 1)), np.tile(codes, n_times)
        return LabelLikelihood(as_blocks(rows), labels, None, center, transition, None)(parameters)

    (value, slopes), (many_values, many_slopes) = found(1), found(1000)
    assert_allclose(many_values, 1000 * value, rtol=1e-9)
    assert_allclose(many_slopes, 1000 * slopes, rtol=1e-9)


def test_the_penalty_is_on_coefficients_alone_and_per_unit_of_weight():
    likelihood, mean_loss = loss(total=8.0, C=0.5)
    flat = np.array([2.0, 0.5, 3.0, 0.0, 0.0, 0.0])  # stands for 1, 1 and the intercept 3
    expected = (-likelihood(mean_loss.parameters(flat))[0] + (1 + 1) / (2 * 0.5)) / 8.0
    assert_allclose(mean_loss(flat)[0], expected, rtol=1e-14)


def test_the_last_vector_is_not_evaluated_again_and_its_slopes_are_kept_from_harm():
    likelihood, mean_loss = loss()
    first, second = np.full(6, 0.25), np.full(6, 0.5)
    value, slopes = mean_loss(first)
    expected = slopes.copy()
    slopes[:] = 0.0
    again = mean_loss(first.copy())
    assert likelihood.n_calls == 1
    assert again[0] == value
    assert_array_equal(again[1], expected)
    mean_loss(second)
    assert likelihood.n_calls == 2


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_units_are_inverse_roots_of_the_curvatures(n_classes, weighted, scale):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)) * [1.0, 5.0, 0.2] * scale
    weight = rng.uniform(0.5, 2.0, size=50) if weighted else None
    total, C = (50.0 if weight is None else weight.sum()), 0.3
    center = np.average(X, axis=0, weights=weight)
    units = coefficient_units(as_blocks(X), weight, center, total, C, n_classes)
    # At equal probabilities the mean loss has the curvature h = (K - 1) / K^2 times the variance.
    deviation = np.sqrt(np.average(np.square(X / scale - center / scale), axis=0, weights=weight))
    h = (n_classes - 1) / n_classes**2
    expected = 1 / np.hypot(deviation * scale, np.sqrt(1 / (h * C * total)))
    assert_allclose(units, [*expected, 1.0], rtol=1e-12)
