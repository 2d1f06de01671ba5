"""RepresentationCalibrator: what it refuses, and what is unusual but not bad."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from clusterlib.imbalance import RepresentationCalibrator
from tests.estimators.test_representation_calibrator import tail


@pytest.fixture(params=["noise_model", "paper"])
def calibrator(request):
    return RepresentationCalibrator(recovery=request.param, random_state=0)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("recovery", "em", ValueError, "recovery must be one of 'noise_model', 'paper'; got 'em'"),
        ("recovery", None, TypeError, "got None"),
        ("shrinkage", 0, ValueError, r"shrinkage must be 'auto' or a float in \(0, inf\]; got 0"),
        ("shrinkage", "cv", ValueError, "must be 'auto' or a float .* got 'cv'"),
        ("shrinkage", None, TypeError, "got None"),
        ("shrinkage", np.nan, ValueError, "got nan"),
        ("degrees_of_freedom", 2, ValueError, r"degrees_of_freedom must be a float in \(2, inf\)"),
        ("degrees_of_freedom", "t", TypeError, "got 't'"),
        ("n_neighbors", 0, ValueError, r"n_neighbors must be an int in \[1, inf\); got 0"),
        ("outlier_threshold", 0, ValueError, r"outlier_threshold must be a float in \(0, inf\)"),
        ("n_heads", 1.5, TypeError, "n_heads must be an int"),
        ("gamma", 1.1, ValueError, r"gamma must be 'eb' or a float in \[0, 1\]; got 1.1"),
        ("gamma", None, TypeError, "got None"),
        ("alpha", -1, ValueError, r"alpha must be a float in \[0, inf\); got -1"),
        ("ridge", "eye", ValueError, "ridge must be one of 'ones', 'identity'; got 'eye'"),
        ("weights", "near", ValueError, "weights must be one of 'paper', 'inverse', 'size'; got"),
        ("max_iter", 0, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
        ("tol", -1e-9, ValueError, r"tol must be a float in \[0, inf\)"),
        ("verbose", -1, ValueError, "verbose must be an int"),
        ("random_state", "seed", ValueError, "seed"),
    ],
)
def test_parameters(calibrator, name, value, error, message):
    X, y, _ = tail()
    calibrator.set_params(**{name: value})
    with pytest.raises(error, match=message):
        calibrator.fit(X, y)
    assert not hasattr(calibrator, "means_")


def changed(label):
    y = tail()[1].astype(object)
    y[3] = label
    return y


BAD_LABELS = [
    (None, ValueError, "requires y to be passed"),
    (changed(None), ValueError, "y has the missing label None in row 3"),
    (changed(np.nan), ValueError, "missing label nan in row 3; every row needs its class"),
    (changed(7), TypeError, "labels of one kind, numbers or strings; got int, str"),
    (np.zeros(299, int), ValueError, "inconsistent numbers of samples"),
    (np.linspace(0, 1, 300), ValueError, "Unknown label type: continuous"),
]
"""Labels that every estimator of this model refuses, the error and its message."""


@pytest.mark.parametrize(("y", "error", "message"), BAD_LABELS)
def test_labels(calibrator, y, error, message):
    with pytest.raises(error, match=message):
        calibrator.fit_resample(tail()[0], y)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "fit_resample"])
def test_rows(calibrator, method, bad):
    X, y, _ = tail()
    X[5, 2] = bad
    with pytest.raises(ValueError, match="NaN|infinity"):
        getattr(calibrator, method)(X, y)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_rows_whose_squares_leave_the_numbers(calibrator, scale):
    X, y, _ = tail()
    with pytest.raises(ValueError, match="X must have its largest absolute value .* Scale X"):
        calibrator.fit(scale * X, y)
    found = RepresentationCalibrator(random_state=0).fit(X, y)
    for inside in (1e-148, 1e130):
        scaled = clone(found).fit(inside * X, y)
        assert_allclose(scaled.label_quality_, found.label_quality_, atol=1e-6)
        assert_allclose(scaled.means_, inside * found.means_, rtol=1e-4)
        shapes = scaled.covariances_ / inside / inside
        assert_allclose(shapes, found.covariances_, atol=1e-6)
        rows = clone(calibrator).fit_resample(inside * X, y)[0]
        assert np.isfinite(rows).all()


def test_issues():
    X, y, _ = tail()
    fitted = RepresentationCalibrator(shrinkage=5)
    with pytest.raises(NotFittedError):
        fitted.find_label_issues()
    fitted.fit(X, y)
    with pytest.raises(ValueError, match=r"threshold must be a float in \[0, 1\]; got 1.5"):
        fitted.find_label_issues(threshold=1.5)
    with pytest.raises(ValueError, match=r"n_issues must be an int in \[0, inf\); got -1"):
        fitted.find_label_issues(n_issues=-1)
    with pytest.raises(TypeError, match="n_issues must be an int"):
        fitted.find_label_issues(n_issues=2.0)
    fitted.set_params(recovery="paper").fit(X, y)
    with pytest.raises(AttributeError, match="needs a fit with recovery='noise_model'"):
        fitted.find_label_issues()


# What is unusual but not bad.


def test_a_single_class(calibrator):
    X = np.random.default_rng(0).normal(size=(50, 3))
    rows, labels = calibrator.fit_resample(X, ["only"] * 50)
    assert_array_equal(rows, X)
    assert labels == ["only"] * 50
    assert_allclose(calibrator.means_[0], X.mean(axis=0), atol=0.05)
    if calibrator.recovery == "noise_model":
        assert_allclose(calibrator.label_quality_, 1)
        assert len(calibrator.find_label_issues()[0]) == 0


@pytest.mark.filterwarnings("ignore:By the noise model")
def test_two_classes_and_classes_of_one_row(calibrator):
    X, y, _ = tail()
    two = np.flatnonzero(np.isin(y, ["ape", "bee"]))
    labels = calibrator.fit_resample(X[two], y[two])[1]
    assert np.unique(labels, return_counts=True)[1].tolist() == [160, 160]
    X, y = np.r_[X, np.full((1, 5), 9.0)], np.r_[y, ["yak"]]
    rows, labels = clone(calibrator).fit_resample(X, y)
    assert np.isfinite(rows).all() and np.sum(labels == "yak") == 160
    rows, labels = clone(calibrator).fit_resample([[1.0, 2.0]], [3])
    assert rows == [[1.0, 2.0]] and labels == [3]
    rows, labels = clone(calibrator).fit_resample(np.eye(3), [1, 2, 3])  # nothing is alike
    assert_array_equal(rows, np.eye(3))


@pytest.mark.filterwarnings("ignore:By the noise model")
def test_flat_rows(calibrator):
    X, y, _ = tail()
    for rows in (
        np.c_[X, np.ones(300), np.zeros(300)],  # constant columns
        np.c_[X, X],  # columns that repeat others
        np.full((300, 2), 3.0),
        np.repeat(X[:6], 50, axis=0),
        np.random.default_rng(0).normal(size=(300, 200)),  # more features than rows of a class
        X[:, :1],
    ):
        found, labels = clone(calibrator).fit_resample(rows, y)
        assert_array_equal(found[:300], rows)
        assert np.isfinite(found).all() and len(found) == len(labels) == 640
