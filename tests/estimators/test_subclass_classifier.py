"""SubclassClassifier: subclasses inside, classes outside."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

from clusterlib.imbalance import SubclassBalancer, SubclassClassifier


def two_sided(n=80, seed=0):
    """A class on both sides of another: no line separates them, subclasses do."""
    rng = np.random.default_rng(seed)
    y = np.repeat(["around", "inside"], [n, n // 5])
    places = np.zeros((len(y), 2))
    places[:n, 0] = rng.choice([-7.0, 7.0], size=n)
    order = rng.permutation(len(y))
    return (places + rng.normal(size=places.shape))[order], y[order]


@pytest.fixture
def model():
    return SubclassClassifier(metric="sqeuclidean", random_state=0)


def test_subclasses_bend_what_a_line_cannot(model):
    X, y = two_sided()
    new, truth = two_sided(400, seed=1)
    line = LogisticRegression(class_weight="balanced").fit(X, y).predict(new)
    assert balanced_accuracy_score(truth, line) < 0.8
    assert balanced_accuracy_score(truth, model.fit(X, y).predict(new)) > 0.9
    assert model.score(new, truth) > 0.9


def test_probabilities_are_sums_over_subclasses(model):
    X, y = two_sided()
    model.fit(X, y)
    balancer = SubclassBalancer(metric="sqeuclidean", random_state=0).fit(X, y)
    assert_array_equal(model.balancer_.subclass_labels_, balancer.subclass_labels_)
    inner = LogisticRegression(max_iter=1000).fit(X, balancer.subclass_labels_).predict_proba(X)
    expected = np.stack([inner[:, balancer.parent_ == c].sum(axis=1) for c in (0, 1)], axis=1)
    found = model.predict_proba(X)
    assert_allclose(found, expected, rtol=1e-12)
    assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    assert_array_equal(model.predict(X), model.classes_[found.argmax(axis=1)])
    assert_array_equal(model.classes_, ["around", "inside"])
    assert_array_equal(model.n_iter_, balancer.n_iter_)


def test_classes_that_stay_whole_are_the_classifier_itself(model):
    X, y = two_sided()
    whole = model.set_params(delta=1000).fit(X, y)
    plain = LogisticRegression(max_iter=1000).fit(X, y)
    assert_allclose(whole.predict_proba(X), plain.predict_proba(X), rtol=1e-10)


def test_settings_reach_the_balancer():
    settings = {
        "delta": 7,
        "size_rule": "code",
        "metric": "sqeuclidean",
        "n_init": 3,
        "max_iter": 50,
        "verbose": 0,
        "random_state": 4,
    }
    X, y = two_sided()
    model = SubclassClassifier(GaussianNB(), **settings).fit(X, y)
    assert model.balancer_.get_params() == settings
    assert isinstance(model.estimator_, GaussianNB)
    assert model.estimator is not model.estimator_ and not hasattr(model.estimator, "classes_")


def test_tags_are_those_of_the_classifier():
    for inner in (DummyClassifier(), GaussianNB()):
        expected = get_tags(inner).classifier_tags.poor_score
        assert get_tags(SubclassClassifier(inner)).classifier_tags.poor_score is expected
    assert get_tags(DummyClassifier()).classifier_tags.poor_score


def test_pipelines_searches_and_cross_validation(model):
    X, y = two_sided()
    pipeline = make_pipeline(StandardScaler(), model)
    assert np.mean(cross_val_predict(pipeline, X, y, cv=3) == y) > 0.85
    search = GridSearchCV(
        pipeline,
        {"subclassclassifier__delta": [10, 1000], "subclassclassifier__size_rule": ["cap", "code"]},
        cv=3,
        scoring="balanced_accuracy",
    ).fit(X, y)
    assert search.best_params_["subclassclassifier__delta"] == 10
    inner = GridSearchCV(model, {"estimator": [None, DecisionTreeClassifier(random_state=0)]}, cv=2)
    assert inner.fit(X, y).best_score_ > 0.8


def test_weights_go_to_the_classifier_alone(model):
    X, y = two_sided()
    weight = np.where(y == "inside", 5.0, 1.0)
    weighted = clone(model).fit(X, y, sample_weight=weight)
    plain = clone(model).fit(X, y)
    assert_array_equal(weighted.balancer_.subclass_labels_, plain.balancer_.subclass_labels_)
    inner = LogisticRegression(max_iter=1000)
    inner.fit(X, plain.balancer_.subclass_labels_, sample_weight=weight)
    assert_allclose(weighted.estimator_.coef_, inner.coef_)
    with config_context(enable_metadata_routing=True):
        routed = clone(model).set_params(
            estimator=LogisticRegression(max_iter=1000).set_fit_request(sample_weight=True)
        )
        assert_allclose(routed.fit(X, y, sample_weight=weight).estimator_.coef_, inner.coef_)
        with pytest.raises(TypeError, match="unexpected argument"):
            clone(model).fit(X, y, nonsense=weight)


def test_too_few_iterations_warn_once(model):
    with pytest.warns(ConvergenceWarning, match="SubclassClassifier did not .* 1 of 2") as caught:
        model.set_params(max_iter=1).fit(*two_sided())
    assert len(caught) == 1 and caught[0].filename == __file__


def test_frames_keep_their_names(model):
    pandas = pytest.importorskip("pandas")
    X, y = two_sided()
    frame = pandas.DataFrame(X, columns=["left", "right"])
    model.fit(frame, pandas.Series(y))
    assert list(model.feature_names_in_) == list(model.estimator_.feature_names_in_)
    assert_array_equal(model.predict(frame), clone(model).fit(X, y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["right", "left"]])


def test_it_survives_storage(model):
    X, y = two_sided()
    again = pickle.loads(pickle.dumps(model.fit(X, y)))
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (LinearSVC(), TypeError, "must have predict_proba, whose sums are those of the classes"),
        (LogisticRegression, TypeError, "must be a classifier, an object with fit"),
        ("logistic", TypeError, "an object with fit; got 'logistic'"),
    ],
)
def test_classifiers_without_probabilities_are_refused(estimator, error, message):
    with pytest.raises(error, match=message):
        SubclassClassifier(estimator).fit(*two_sided())


def test_a_classifier_that_knows_other_classes_is_found_out():
    X, y = two_sided()
    frozen = FrozenEstimator(DummyClassifier().fit(X, y))
    model = SubclassClassifier(frozen, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="of 2 classes, but was trained on 6 subclasses"):
        model.predict(X)


@pytest.mark.parametrize(
    ("options", "y", "error", "message"),
    [
        ({"delta": 0}, None, ValueError, r"delta must be an int in \[1, inf\); got 0"),
        ({"size_rule": "both"}, None, ValueError, "size_rule must be one of 'cap', 'code'"),
        ({"metric": 3}, None, TypeError, "metric must be one of 'sqeuclidean', 'cosine'; got 3"),
        ({}, np.full(96, "one"), ValueError, "at least 2 classes; got 1 class in 96 rows"),
        ({}, np.r_[[None], np.full(95, "a", object)], ValueError, "missing label None in row 0"),
    ],
)
def test_bad_input(options, y, error, message):
    X, labels = two_sided()
    model = SubclassClassifier(**options)
    with pytest.raises(error, match=message):
        model.fit(X, labels if y is None else y)
    assert not hasattr(model, "estimator_")


def test_rows_that_are_not_finite(model):
    X, y = two_sided()
    model.set_params(estimator=DecisionTreeClassifier()).fit(X, y)
    bad = X.copy()
    bad[0, 0] = np.nan
    for method in (lambda: model.predict(bad), lambda: clone(model).fit(bad, y)):
        with pytest.raises(ValueError, match="NaN"):
            method()
