"""What label shift with labels refuses, and when it warns."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from clusterlib.label_shift import BlackBoxShiftEstimator, EMShiftEstimator
from clusterlib.validation import (
    ShiftCalibration,
    checked_calibration,
    checked_known_classes,
)
from clusterlib.validation.folds import checked_folds

MODELS = [EMShiftEstimator(GaussianNB()), BlackBoxShiftEstimator(GaussianNB())]


@pytest.fixture(params=MODELS, ids=lambda model: type(model).__name__)
def model(request):
    return clone(request.param)


def rows(n=90, seed=0):
    y = np.arange(n) % 3
    return np.eye(3)[y] * 3 + np.random.default_rng(seed).normal(size=(n, 3)), y


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"estimator": GaussianNB},
            TypeError,
            "estimator must be a classifier, an object with fit",
        ),
        ({"estimator": "nb"}, TypeError, "estimator must be a classifier"),
        ({"estimator": LinearSVC()}, TypeError, "estimator must have predict_proba"),
        ({"cross_fit": 1}, ValueError, r"cross_fit must be an int in \[2, inf\); got 1"),
        ({"cross_fit": True}, TypeError, "cross_fit must be an int"),
        ({"cross_fit": "five"}, TypeError, "cross_fit must be an int .* or an iterable"),
        ({"cross_fit": 2.5}, TypeError, "cross_fit must be an int .* or an iterable"),
        ({"cross_fit": [([0, 1, 2], [3, 4])]}, ValueError, "row 0 is held out 0 times"),
    ],
)
def test_wrong_parameters_are_named(model, parameters, error, message):
    with pytest.raises(error, match=message):
        model.set_params(**parameters).fit(*rows())
    assert not hasattr(model, "estimator_")


def test_wrong_options_are_named():
    with pytest.raises(
        ValueError, match="calibration must be one of 'bcts', 'vector', 'temp.* None"
    ):
        EMShiftEstimator(calibration="isotonic").fit(*rows())
    with pytest.raises(TypeError, match="calibration must be one of .* None; got 1"):
        EMShiftEstimator(calibration=1).fit(*rows())
    with pytest.raises(TypeError, match="soft must be True or False; got 1"):
        BlackBoxShiftEstimator(soft=1).fit(*rows())
    assert checked_calibration("vector") is ShiftCalibration.VECTOR


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(90), "at least 2 classes, .* got 1 class in 90 rows"),
        (np.linspace(0, 1, 90), "Unknown label type"),
        (np.r_[np.nan, np.zeros(89)], "y contains NaN"),
        (np.arange(80) % 2, "inconsistent numbers of samples"),
        (np.r_[2, np.arange(89) % 2], "at least 2 rows: one to hold out .* 1 sample of class"),
        (None, "y should be a 1d array"),
    ],
)
def test_wrong_labels_are_named(model, y, message):
    with pytest.raises(ValueError, match=message):
        model.fit(rows()[0], y)


def test_rows_are_refused_by_the_classifier(model):
    X, y = rows()
    bad = np.where(np.eye(90, 3) > 0, np.nan, X)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(bad, y)
    model.fit(X, y)
    for wrong, message in ((bad, "NaN"), (X[:, :2], "3 features"), (X[:0], "0 sample")):
        with pytest.raises(ValueError, match=message):
            model.adapt(wrong)
        assert not hasattr(model, "target_prior_")


def test_missing_values_pass_where_the_classifier_takes_them(model):
    X, y = rows(200)
    X[::7, 0] = np.nan
    model.set_params(estimator=HistGradientBoostingClassifier(max_iter=5), cross_fit=2)
    model.fit(X, y).adapt(X[:60])
    assert np.isfinite(model.predict_proba(X)).all() and np.isfinite(model.target_prior_).all()


def test_a_batch_that_fails_leaves_the_last_one(model):
    X, y = rows()
    prior = model.fit(X, y).adapt(X[:60]).target_prior_
    for weight, message in (([1.0], "shape"), (-np.ones(90), "negative"), (np.zeros(90), "sum")):
        with pytest.raises(ValueError, match=f"sample_weight .*{message}"):
            model.adapt(X, sample_weight=weight)
    assert model.target_prior_ is prior


def test_the_order_of_calls_is_told(model):
    X, y = rows()
    for call in (model.adapt, model.predict, model.predict_proba, model.importance_weights):
        with pytest.raises(NotFittedError):
            call(X)
    model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.prior_interval()
    with pytest.raises(NotFittedError):
        model.importance_weights(y)
    model.adapt(X)
    with pytest.raises(ValueError, match=r"level must be a float in \(0, 1\)"):
        model.prior_interval(1.5)
    with pytest.raises(ValueError, match="y has the label 7, which fit has not seen"):
        model.importance_weights([0, 7])


def test_rare_classes_get_fewer_folds(model):
    X, y = rows()
    few = np.r_[np.flatnonzero(y < 2), np.flatnonzero(y == 2)[:2]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two rows say little about their class
        model.fit(X[few], y[few]).adapt(X)
    assert np.isfinite(model.prior_interval()).all()
    folds = checked_folds(10, X[few], y[few], y[few])
    assert len(folds) == 2


def test_weights_of_zero_make_a_class_absent(model):
    X, y = rows()
    with pytest.raises(ValueError, match="2 rows, with a sample_weight above 0: .* 0 sample"):
        model.fit(X, y, sample_weight=(y < 2).astype(float))


def test_splitters_and_their_faults():
    y = np.repeat([0, 1], 10)
    X = np.zeros((20, 1))
    for cross_fit in (StratifiedKFold(4), list(StratifiedKFold(4).split(X, y)), 4):
        folds = checked_folds(cross_fit, X, y, y)
        assert len(folds) == 4
        np.testing.assert_array_equal(np.sort(np.concatenate([t for _, t in folds])), range(20))
    with pytest.raises(ValueError, match="keeps all rows of class 0 out of the training rows"):
        checked_folds(KFold(2), X, y, y)
    masks = [(np.arange(20) % 2 == part) for part in (0, 1)]
    assert len(checked_folds([(masks[0], masks[1]), (masks[1], masks[0])], X, y, y)) == 2


def test_classifiers_that_know_other_classes_are_refused(model):
    X, y = rows()
    fitted = GaussianNB().fit(X, y)
    model.set_params(estimator=FrozenEstimator(fitted))
    with pytest.raises(ValueError, match=r"estimator knows the classes \[0, 1, 2\], but y has"):
        model.fit(X[y < 2], y[y < 2])


def test_classes_that_look_the_same_are_told(model):
    X, y = rows(200)
    X = np.zeros_like(X) + np.random.default_rng(1).normal(size=X.shape)
    model.fit(X, y)
    with pytest.warns(UserWarning, match="share of class . is hardly known: .* condition number"):
        model.adapt(X[:50])
    assert np.isfinite(model.target_prior_).all() and np.isfinite(model.predict_proba(X)).all()
    low, high = model.prior_interval()
    assert (high - low).max() > 0.5


def test_a_confusion_matrix_without_inverse_gives_the_widest_interval():
    X, y = rows()
    same = np.ones_like(X)
    model = BlackBoxShiftEstimator(cross_fit=[(np.arange(90), np.arange(90))]).fit(same, y)
    assert model.condition_number_ > 1e12
    with pytest.warns(UserWarning, match="hardly known"):
        model.adapt(same)
    np.testing.assert_array_equal(model.prior_interval(), [[0, 0, 0], [1, 1, 1]])


def test_well_separated_classes_do_not_warn(model):
    X, y = rows(300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(2 * X, y).adapt(2 * X[:100])


def test_known_classes_are_numbered():
    classes = np.array(["a", "b", "c"])
    np.testing.assert_array_equal(checked_known_classes(["c", "a", "a"], classes), [2, 0, 0])
