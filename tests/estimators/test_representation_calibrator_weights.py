"""Weights of the rows of RepresentationCalibrator."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone

from clusterlib.imbalance import RepresentationCalibrator
from tests.estimators.test_representation_calibrator import NAMES, tail

RESULTS = (
    "means_",
    "covariances_",
    "class_prior_",
    "transition_matrix_",
    "effective_counts_",
    "label_quality_",
    "history_",
)


@pytest.fixture(params=[{}, {"degrees_of_freedom": 8}], ids=["gaussians", "student"])
def calibrator(request):
    return RepresentationCalibrator(shrinkage=12, random_state=0, **request.param)


def test_weights_are_repetitions(calibrator):
    X, _, y = tail(noise=0.2)
    weight = np.random.default_rng(1).integers(0, 4, size=300)
    calibrator.set_params(tol=1e-13, max_iter=1000)
    weighted = clone(calibrator).fit(X, y, sample_weight=weight)
    repeated = clone(calibrator).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    for name in RESULTS[:5]:
        one, other = getattr(weighted, name), getattr(repeated, name)
        assert_allclose(one, other, rtol=1e-7, atol=1e-8, err_msg=name)
    assert_allclose(np.repeat(weighted.label_quality_, weight), repeated.label_quality_, atol=1e-8)
    unweighted = [np.sum(weighted.label_quality_[y == name]) for name in NAMES]
    assert (np.abs(weighted.effective_counts_ - unweighted) > 1).all()


@pytest.mark.parametrize("shrinkage", ["auto", 12])
def test_weights_of_one_change_no_bit(calibrator, shrinkage):
    X, _, y = tail(noise=0.2)
    plain = calibrator.set_params(shrinkage=shrinkage).fit(X, y)
    for ones in (np.ones(300), 1, [True] * 300):
        fitted = clone(plain).fit(X, y, sample_weight=ones)
        for name in RESULTS:
            assert_array_equal(getattr(fitted, name), getattr(plain, name), err_msg=name)
        assert fitted.shrinkage_ == plain.shrinkage_


@pytest.mark.parametrize("shrinkage", ["auto", 12])
def test_weightless_rows_change_nothing_and_are_judged(calibrator, shrinkage):
    X, classes, y = tail(noise=0.2)
    counted = np.random.default_rng(2).random(300) < 0.7
    weight = np.where(counted, 1.0, 0.0)
    calibrator.set_params(shrinkage=shrinkage)
    left = clone(calibrator).fit(X[counted], y[counted])
    fitted = clone(calibrator).fit(X, y, sample_weight=weight)
    assert fitted.shrinkage_ == left.shrinkage_
    for name in RESULTS[:5]:
        assert_allclose(getattr(fitted, name), getattr(left, name), rtol=1e-9, atol=1e-12)
    assert_allclose(fitted.label_quality_[counted], left.label_quality_, atol=1e-9)
    judged, wrong = fitted.label_quality_[~counted], (classes != y)[~counted]
    assert judged[wrong].mean() < 0.1 and judged[~wrong].mean() > 0.9
    assert not counted[fitted.find_label_issues()[0]].all()
    # Wherever they lie.
    X[~counted] = 1e9
    moved = clone(calibrator).fit(X, y, sample_weight=weight)
    assert moved.shrinkage_ == left.shrinkage_
    assert_allclose(moved.means_, left.means_, rtol=1e-9)


def test_routing_and_clones(calibrator):
    X, _, y = tail(noise=0.2)
    weight = np.random.default_rng(1).random(300)
    fitted = clone(calibrator).fit(X, y, weight)
    with config_context(enable_metadata_routing=True):
        asked = clone(calibrator).set_fit_request(sample_weight=True)
        assert_array_equal(asked.fit(X, y, sample_weight=weight).means_, fitted.means_)
    assert (fitted.means_ != clone(calibrator).fit(X, y).means_).any()


ONES = np.ones(300)


def last(value):
    return np.r_[ONES[1:], value]


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (last(np.nan), ValueError, "sample_weight must be finite and not negative; got nan in row"),
        (last(np.inf), ValueError, "sample_weight must be finite .* got inf in row 299"),
        (last(-1), ValueError, "got -1.0 in row 299"),
        (last(2e30), ValueError, r"at most 1e\+30, as many rows .*; got 2e\+30 in row 299"),
        (0 * ONES, ValueError, "sample_weight must have a finite sum above zero; got 0.0"),
        (0, ValueError, "finite sum above zero"),
        (ONES[1:], ValueError, r"shape \(n_samples,\)=\(300,\); got \(299,\)"),
        (ONES[:, None], ValueError, r"got \(300, 1\)"),
        (["a"] * 300, TypeError, "sample_weight must hold real numbers"),
        (
            np.where(tail()[1] == "cat", 0, 1),
            ValueError,
            "sample_weight must be above 0 in some row of every class; class 'cat' has none",
        ),
    ],
)
def test_bad_weights(calibrator, weight, error, message):
    X, y, _ = tail()
    with pytest.raises(error, match=message):
        calibrator.fit(X, y, sample_weight=weight)
    assert not hasattr(calibrator, "means_")


def test_the_paper_takes_none():
    X, y, _ = tail()
    calibrator = RepresentationCalibrator(recovery="paper")
    with pytest.raises(ValueError, match="sample_weight is for recovery='noise_model'"):
        calibrator.fit(X, y, sample_weight=ONES)
    assert not hasattr(calibrator, "means_")
    calibrator.fit(X, y, sample_weight=None)
