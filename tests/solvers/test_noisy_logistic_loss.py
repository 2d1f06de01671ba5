"""What the solver of noisy labels minimises: slopes, units, and what is known already."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from clusterlib.blocks import as_blocks
from clusterlib.solvers.noisy_logistic_loss import (
    LabelLikelihood,
    MeanLoss,
    coefficient_units,
    weighted_mean,
)


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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("n", [40, 5000])
def test_likelihoods_and_slopes_are_those_of_the_definition(weighted, with_prior, wrong, n):
    rng = np.random.default_rng(0)
    X, codes, weight = rng.normal(size=(n, 2)) + 3.0, np.arange(n) % 3, None
    rows = X.copy()
    if weighted:
        weight = rng.random(n)
        weight[::5] = 0.0
        rows[::5] = np.nan  # not looked at
    center, parameters = np.array([3.0, 2.5]), rng.normal(size=(3, 3))
    transition = np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])
    prior = np.array([0.5, 0.2, 0.3])
    found = LabelLikelihood(
        as_blocks(rows),
        codes,
        weight,
        center,
        transition if wrong else None,
        prior if with_prior else None,
    )(parameters)
    w = np.ones(n) if weight is None else weight
    T = transition if wrong else np.eye(3)

    def value(parameters):
        scores = (X - center) @ parameters[:, :-1].T + parameters[:, -1]
        classes = softmax(scores + (np.log(prior) if with_prior else 0), axis=1)
        return w @ np.log(np.einsum("ik,ki->i", classes, T[:, codes]))

    assert_allclose(found[0], value(parameters), rtol=1e-10)
    for place in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[place] = 1e-5
        rise = (value(parameters + step) - value(parameters - step)) / 2e-5
        assert_allclose(found[1][place], rise, rtol=1e-5, atol=1e-6 * n)


def test_labels_that_no_class_can_have_are_refused_where_they_have_weight():
    X, codes = np.zeros((4, 1)), np.array([0, 1, 2, 2])
    never = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])

    def check(weight, transition, prior):
        loss = LabelLikelihood(as_blocks(X), codes, weight, np.zeros(1), transition, prior)
        loss.check_labels(3)

    some = np.array([0.5, 0.5, 0.0])
    check(None, never, np.full(3, 1 / 3))
    check(None, None, None)
    for transition in (never, None):  # only the third class has the third label
        with pytest.raises(ValueError, match="no class can have the label 2"):
            check(None, transition, some)
        with pytest.raises(ValueError, match="no class can have the label 2"):
            check(np.array([1.0, 1.0, 0.0, 1e-300]), transition, some)
        check(np.array([1.0, 1.0, 0.0, 0.0]), transition, some)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_is_that_of_rows_with_weight(weighted):
    X, weight = np.random.default_rng(0).normal(size=(9000, 2)), None
    expected, total = X.mean(axis=0), 9000.0
    if weighted:
        weight = np.arange(9000) % 3 / 2
        expected, total = weight @ X / weight.sum(), weight.sum()
        X[weight == 0] = np.inf
    mean, found = weighted_mean(as_blocks(X, block_rows=4096), weight)
    assert_allclose(mean, expected, rtol=1e-9)
    assert_allclose(found, total)
    assert type(found) is float


def test_units_of_constant_columns_and_of_one_class_are_finite():
    X = np.column_stack([np.full(5000, 0.1), np.arange(5000.0), np.zeros(5000)])
    center = X.mean(axis=0)
    center[0] *= 1 + 1e-14  # off by rounding: the column has no spread for that
    weight = np.ones(5000)
    weight[7] = 0
    X[7] = np.nan
    spread = np.sqrt(np.square(np.delete(X[:, 1], 7) - center[1]).mean())
    units = coefficient_units(as_blocks(X), weight, center, 4999.0, 2.0, 1)
    assert_allclose(units, [1.0, 1 / spread, 1.0, 1.0], rtol=1e-9)
    penalty = 1 / (2.0 * 4999.0 * 0.25)
    units = coefficient_units(as_blocks(X), weight, center, 4999.0, 2.0, 2)
    expected = [penalty**-0.5, (spread**2 + penalty) ** -0.5, penalty**-0.5, 1.0]
    assert_allclose(units, expected, rtol=1e-9)
