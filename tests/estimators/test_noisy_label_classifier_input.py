"""NoisyLabelClassifier: what it takes, what it refuses, and what is unusual but not bad."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeClassifier

from clusterlib.imbalance import NoisyLabelClassifier
from tests.estimators.test_noisy_label_classifier import HEADS, assert_same_fit
from tests.estimators.test_representation_calibrator import NAMES, tail
from tests.estimators.test_representation_calibrator_input import BAD_LABELS
from tests.helpers import COPIED_LAYOUTS, LAYOUTS

ONES = np.ones(300)
TREE = DecisionTreeClassifier(random_state=0)
MODELS = [
    NoisyLabelClassifier(random_state=0),
    NoisyLabelClassifier(random_state=0, n_components=2, prior="estimated"),
    *[NoisyLabelClassifier(head=head, random_state=0) for head in HEADS],
    NoisyLabelClassifier(TREE, training="resampled", mixup=0.5, random_state=0),
]


@pytest.fixture
def model():
    return NoisyLabelClassifier(shrinkage=12, random_state=0)


@pytest.fixture(params=MODELS, ids=lambda model: f"{model.head}-{model.n_components}-{model.mixup}")
def any_model(request):
    return clone(request.param)


def assert_sound(model, X, y):
    """Numbers are finite, probabilities are probabilities, and classes are among those of y."""
    found = model.predict_proba(X)
    assert found.shape == (len(X), len(model.classes_))
    assert np.isfinite(found).all() and (found >= 0).all()
    assert_allclose(found.sum(axis=1), 1, rtol=1e-9)
    assert np.isin(model.predict(X), y).all()
    if model.estimator is None:
        assert np.isfinite(model.decision_function(X)).all()
    quality = model.label_quality_
    assert (quality >= 0).all() and (quality <= 1 + 1e-12).all()
    assert_allclose(model.transition_matrix_.sum(axis=1), 1)
    assert_allclose(model.class_prior_.sum(), 1)
    assert np.isin(model.other_labels_, y).all()


# Rows and labels of all kinds.


@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED_LAYOUTS])
@pytest.mark.parametrize("n_components", [96, 2])
def test_layouts_do_not_matter(model, layout, n_components, tmp_path):
    X, _, y = tail(noise=0.2)
    expected = model.set_params(n_components=n_components).fit(X, y)
    other = (LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path)
    found = clone(model).fit(other, y)
    assert_allclose(found.label_quality_, expected.label_quality_, atol=1e-10)
    assert_array_equal(found.predict(other), expected.predict(X))
    assert_array_equal(other, X)


def test_nothing_that_is_given_is_changed(any_model):
    X, _, y = tail(noise=0.2)
    weight, prior = 2 * ONES, np.array([4.0, 3, 2, 1])
    for array in (X, y, weight, prior):
        array.flags.writeable = False
    any_model.set_params(prior=prior).fit(X, y, sample_weight=weight)
    any_model.predict_proba(X)


@pytest.mark.parametrize(
    "labels",
    [
        NAMES.astype(object),
        np.array([-3, 0, 7, 9]),
        np.array([0.0, 1.0, 2.0, 3.0]),
        np.array([1, 2, 300, 301], dtype=np.uint16),
    ],
)
def test_labels_of_any_kind(model, labels):
    X, _, y = tail(noise=0.1)
    codes = np.searchsorted(NAMES, y)
    found = clone(model).fit(X, labels[codes])
    expected = model.fit(X, y)
    assert found.classes_.dtype == found.predict(X).dtype == labels.dtype
    assert found.other_labels_.dtype == labels.dtype
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    assert_array_equal(found.other_labels_, labels[np.searchsorted(NAMES, expected.other_labels_)])
    as_lists = clone(model).fit(X.tolist(), labels[codes].tolist())
    assert_array_equal(as_lists.predict_proba(X.tolist()), expected.predict_proba(X))
    flags = clone(model).fit(X, codes > 0)
    assert flags.predict(X).dtype == bool


def test_frames(model):
    pandas = pytest.importorskip("pandas")
    X, _, y = tail(noise=0.1)
    frame = pandas.DataFrame(X, columns=list("abcde"), index=np.arange(300) + 50)
    expected = clone(model).fit(X, y)
    for target in (pandas.Series(y, name="animal"), pandas.Series(y).astype("category")):
        found = model.fit(frame, target)
        assert_same_fit_of_frames(found, expected, frame, X)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("edcba")])
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({name: X[:, j] for j, name in enumerate("abcde")})
    assert_same_fit_of_frames(model.fit(table, polars.Series(y)), expected, table, X)


def assert_same_fit_of_frames(found, expected, frame, X):
    assert_array_equal(found.feature_names_in_, list("abcde"))
    assert_array_equal(found.predict_proba(frame), expected.predict_proba(X))
    assert_array_equal(found.other_labels_, expected.other_labels_)


# Weights.


@pytest.mark.parametrize("n_components", [96, 3])
def test_weights_are_repetitions(n_components):
    X, _, y = tail(noise=0.2)
    weight = np.random.default_rng(1).integers(0, 4, size=300)
    model = NoisyLabelClassifier(shrinkage=12, head="gaussian", n_components=n_components)
    model.set_params(tol=1e-13, max_iter=2000, random_state=0, prior="estimated")
    weighted = clone(model).fit(X, y, sample_weight=weight)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    for name in ("transition_matrix_", "class_prior_", "effective_counts_"):
        one, other = getattr(weighted, name), getattr(repeated, name)
        assert_allclose(one, other, rtol=1e-6, atol=1e-7, err_msg=name)
    assert_allclose(np.repeat(weighted.label_quality_, weight), repeated.label_quality_, atol=1e-7)
    assert np.mean(weighted.predict(X) == repeated.predict(X)) > 0.99
    plain = clone(model).fit(X, y)
    assert np.abs(plain.transition_matrix_ - weighted.transition_matrix_).max() > 0.01


def test_weights_of_one_change_no_bit(any_model):
    X, _, y = tail(noise=0.2)
    plain = clone(any_model).fit(X, y)
    for ones in (ONES, 1, [True] * 300):
        assert_same_fit(clone(any_model).fit(X, y, sample_weight=ones), plain, X)


@pytest.mark.parametrize("head", ["auto", *HEADS])
@pytest.mark.parametrize("n_components", [96, 3])
def test_weightless_rows_change_nothing_and_are_judged(head, n_components):
    X, classes, y = tail(noise=0.2)
    counted = np.random.default_rng(2).random(300) < 0.7
    model = NoisyLabelClassifier(head=head, n_components=n_components, random_state=0)
    left = clone(model).fit(X[counted], y[counted])
    fitted = clone(model).fit(X, y, sample_weight=np.where(counted, 1.0, 0.0))
    assert fitted.shrinkage_ == left.shrinkage_ and fitted.head_ == left.head_
    assert_allclose(fitted.label_quality_[counted], left.label_quality_, atol=1e-7)
    assert_allclose(fitted.effective_counts_, left.effective_counts_, rtol=1e-6)
    assert np.mean(fitted.predict(X) == left.predict(X)) > 0.985
    judged, wrong = fitted.label_quality_[~counted], (classes != y)[~counted]
    assert judged[wrong].mean() < 0.1 and judged[~wrong].mean() > 0.9


@pytest.mark.filterwarnings("ignore:By the noise model")
@pytest.mark.parametrize("scale", [1e-300, 1e-6, 1e6])
def test_weights_of_any_scale(any_model, scale):
    X, _, y = tail(noise=0.2)
    any_model.fit(X, y, sample_weight=scale)
    assert_sound(any_model, X, y)


def test_weights_are_routed(model):
    X, _, y = tail(noise=0.2)
    weight = np.random.default_rng(1).random(300)
    with config_context(enable_metadata_routing=True):
        asked = clone(model).set_fit_request(sample_weight=True)
        assert_same_fit(asked.fit(X, y, sample_weight=weight), model.fit(X, y, weight), X)


# What is refused.


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("head", "linear", ValueError, "head must be one of 'logistic', .* 'auto' chooses"),
        ("head", None, TypeError, "head must be one of .* got None"),
        ("training", "sampled", ValueError, "training must be one of 'weighted', 'resampled'; got"),
        ("training", 1, TypeError, "training must be one of .* got 1"),
        ("mixup", -0.1, ValueError, r"mixup must be a float in \[0, inf\); got -0.1"),
        ("mixup", np.inf, ValueError, "got inf"),
        ("mixup", "yes", TypeError, "mixup must be a float .* got 'yes'"),
        (
            "prior",
            "equal",
            ValueError,
            "prior must be 'uniform', 'estimated' or one share .*'equal'",
        ),
        (
            "prior",
            [1, 2, 3],
            ValueError,
            r"prior must have shape \(n_classes,\)=\(4,\), for 4 class",
        ),
        ("prior", [1, 2, 3, 0], ValueError, "prior must be finite and above 0, .* at index 3"),
        ("prior", [1, 2, 3, np.nan], ValueError, "prior must be finite .* got nan at index 3"),
        ("prior", [1, 2, -3, 1], ValueError, "got -3.0 at index 2"),
        ("prior", 3, ValueError, r"prior must have shape .* got \(\)"),
        ("prior", None, TypeError, "prior must be an array of numbers, got None"),
        ("n_components", 0, ValueError, r"n_components must be an int in \[1, inf\); got 0"),
        ("n_components", 2.0, TypeError, "n_components must be an int"),
        ("shrinkage", 0, ValueError, r"shrinkage must be 'auto' or a float in \(0, inf\]; got 0"),
        ("shrinkage", "cv", ValueError, "must be 'auto' or a float .* got 'cv'"),
        ("shrinkage", None, TypeError, "got None"),
        ("max_iter", 0, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
        ("tol", -1e-9, ValueError, r"tol must be a float in \[0, inf\)"),
        ("verbose", -1, ValueError, "verbose must be an int"),
        ("random_state", "seed", ValueError, "seed"),
    ],
)
def test_parameters(model, name, value, error, message):
    X, _, y = tail()
    model.set_params(**{name: value})
    with pytest.raises(error, match=message):
        model.fit(X, y)
    assert not hasattr(model, "label_quality_")


@pytest.mark.parametrize(("y", "error", "message"), BAD_LABELS)
def test_labels(model, y, error, message):
    with pytest.raises(error, match=message):
        model.fit(tail()[0], y)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (np.r_[ONES[1:], np.nan], ValueError, "sample_weight must be finite .* got nan in row 299"),
        (np.r_[ONES[1:], -1], ValueError, "got -1.0 in row 299"),
        (0 * ONES, ValueError, "sample_weight must have a finite sum above zero; got 0.0"),
        (ONES[1:], ValueError, r"shape \(n_samples,\)=\(300,\); got \(299,\)"),
        (["a"] * 300, TypeError, "sample_weight must hold real numbers"),
        (
            np.where(tail()[1] == "cat", 0, 1),
            ValueError,
            "sample_weight must be above 0 in some row of every class; class 'cat' has none",
        ),
    ],
)
def test_weights(model, weight, error, message):
    X, y, _ = tail()
    with pytest.raises(error, match=message):
        model.fit(X, y, sample_weight=weight)
    assert not hasattr(model, "label_quality_")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows(any_model, bad):
    X, _, y = tail()
    any_model.fit(X, y)
    X[5, 2] = bad
    for call in (
        lambda: clone(any_model).fit(X, y),
        lambda: any_model.predict(X),
        lambda: any_model.predict_proba(X),
    ):
        with pytest.raises(ValueError, match="NaN|infinity"):
            call()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_rows_to_be_classified(model, method):
    X, _, y = tail()
    with pytest.raises(NotFittedError, match="NoisyLabelClassifier instance is not fitted yet"):
        getattr(model, method)(X)
    model.fit(X, y)
    with pytest.raises(
        ValueError, match="X has 4 features, but NoisyLabelClassifier is expecting 5"
    ):
        getattr(model, method)(X[:, :4])
    with pytest.raises(ValueError, match="Expected 2D array"):
        getattr(model, method)(X[0])
    with pytest.raises(ValueError, match="X must have its largest absolute value .* Scale X"):
        getattr(model, method)(1e200 * X)
    with pytest.raises(ValueError, match="X must have its largest absolute value .* Scale X"):
        model.fit(1e200 * X, y)


def test_issues(model):
    with pytest.raises(NotFittedError):
        model.find_label_issues()
    X, _, y = tail()
    with pytest.raises(ValueError, match=r"threshold must be a float in \[0, 1\]; got 1.5"):
        model.fit(X, y).find_label_issues(threshold=1.5)


# What is unusual but not bad.


def test_rows_far_away(any_model):
    X, _, y = tail()
    any_model.fit(X, y)
    if any_model.estimator is not None:  # trees take single precision
        assert_sound(any_model, np.array([[1e30] * 5, [-1e30] * 5]), y)
        return
    assert_sound(any_model, np.array([[1e100] * 5, [-1e130, 0, 0, 0, 1e130], [0] * 5]), y)


@pytest.mark.filterwarnings("ignore:By the noise model")
@pytest.mark.parametrize(
    ("X", "y"),
    [
        (tail()[0], np.full(300, "only")),
        (np.array([[1.0, 2.0, 3.0]]), np.array([3])),
        (np.eye(3), np.array([1, 2, 3])),
        (np.r_[tail()[0], np.full((1, 5), 9.0)], np.r_[tail()[2], ["yak"]]),
        (np.c_[tail()[0], ONES, 0 * ONES], tail()[2]),
        (np.c_[tail()[0], tail()[0]], tail()[2]),
        (np.full((300, 3), 3.0), tail()[2]),
        (np.zeros((300, 3)), tail()[2]),
        (np.repeat(tail()[0][:6], 50, axis=0), tail()[2]),
        (np.random.default_rng(0).normal(size=(60, 110)), np.repeat([0, 1, 2], [40, 15, 5])),
        (np.random.default_rng(0).normal(size=(8, 110)), np.array([0, 0, 0, 0, 1, 1, 2, 3])),
        (tail()[0][:, :1], tail()[2]),
    ],
    ids=[
        "one class",
        "one row",
        "classes of one row",
        "a class of one row",
        "constant columns",
        "repeated columns",
        "equal rows",
        "zeros",
        "repeated rows",
        "more features than rows of a class",
        "more features than rows",
        "one feature",
    ],
)
def test_unusual_rows(any_model, X, y):
    any_model.fit(X, y)
    assert_sound(any_model, X, y)
    if len(np.unique(y)) == 1:
        assert_allclose(any_model.label_quality_, 1)
        assert_allclose(any_model.predict_proba(X), 1)
        assert len(any_model.find_label_issues()[0]) == 0


def test_labels_that_are_all_wrong_are_another_naming(model):
    X, classes, _ = tail()
    moved = NAMES[(np.searchsorted(NAMES, classes) + 1) % 4]
    model.fit(X, moved)
    assert np.mean(model.predict(X) == moved) > 0.98  # nothing in the rows could tell
    assert len(model.find_label_issues()[0]) < 6


@pytest.mark.filterwarnings("ignore:By the noise model")
def test_a_class_with_few_right_labels_is_told():
    X, _, y = tail()
    keep = np.r_[np.flatnonzero(y != "dog"), np.flatnonzero(y == "dog")[:3]]
    with pytest.warns(UserWarning, match="fewer than 4 labels are right of: 'dog'"):
        NoisyLabelClassifier(random_state=0).fit(X[keep], y[keep])
