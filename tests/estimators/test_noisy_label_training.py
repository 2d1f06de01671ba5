"""NoisyLabelClassifier with a classifier of the user: what this is given to learn from."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from clusterlib.imbalance import NoisyLabelClassifier
from clusterlib.imbalance._label_training import mixed_rows, scaled_to_shares, with_drawn_rows
from clusterlib.solvers import noisy_gaussians, principal_components, project
from tests.estimators.test_representation_calibrator import NAMES, tail


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps what it was given."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = X, np.searchsorted(NAMES, y), sample_weight
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        self.asked_ = X
        return np.repeat(self.classes_[1], len(X))


def given(X, y, sample_weight=None, **options):
    """The fitted model, and the rows, labels and weights that the classifier saw."""
    options = {"shrinkage": 12, "random_state": 0} | options
    model = NoisyLabelClassifier(Recorder(), **options).fit(X, y, sample_weight=sample_weight)
    return model, *model.estimator_.seen_


def totals(codes, weight, n_classes=4):
    return np.bincount(codes, weights=weight, minlength=n_classes)


@pytest.mark.parametrize("prior", ["uniform", "estimated", [4.0, 3.0, 2.0, 1.0]])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_are_those_of_right_labels_in_the_shares_of_the_prior(weighted, prior):
    X, _, y = tail(noise=0.2)
    own = np.random.default_rng(1).uniform(0.5, 3, size=300) if weighted else None
    model, rows, codes, weight = given(X, y, own, prior=prior)
    assert_array_equal(rows, X)
    assert_array_equal(NAMES[codes], y)
    right = model.label_quality_ * (1 if own is None else own)
    shares = {"uniform": np.full(4, 0.25), "estimated": model.class_prior_}
    shares = shares[prior] if isinstance(prior, str) else np.array([0.4, 0.3, 0.2, 0.1])
    assert_allclose(totals(codes, weight), right.sum() * shares)
    for k in range(4):  # within a class as far as labels are right
        assert_allclose(
            weight[codes == k] / weight.sum(),
            shares[k] * right[codes == k] / right[codes == k].sum(),
        )
    assert model.head_ is None and model.head_choice_ is None


def test_rows_of_rare_classes_are_drawn():
    X, _, y = tail(noise=0.2)
    model, rows, codes, weight = given(X, y, training="resampled")
    assert_array_equal(rows[:300], X)
    assert_array_equal(NAMES[codes[:300]], y)
    missing = model.effective_counts_.max() - model.effective_counts_
    assert_array_equal(np.bincount(codes[300:], minlength=4), np.rint(missing))
    assert_allclose(totals(codes, weight), weight.sum() / 4)
    assert_allclose(weight[:300], model.label_quality_, rtol=1e-9)  # all classes weigh the same
    assert_allclose(weight[300:], 1, atol=0.02)
    # They lie where the classes are.
    fit = noisy_gaussians(X, np.searchsorted(NAMES, y), 4, shrinkage=12.0, max_iter=300)
    for k in range(1, 4):
        drawn = rows[300:][codes[300:] == k]
        assert_allclose(drawn.mean(axis=0), fit.means[k], atol=0.5)
        assert_allclose(np.cov(drawn.T), fit.covariances[k], atol=0.7)
    again = given(X, y, training="resampled")[1]
    assert_array_equal(rows, again)
    other = given(X, y, training="resampled", random_state=1)[1]
    assert (other[300:] != rows[300:]).any()
    assert given(X.astype(np.float32), y, training="resampled")[1].dtype == np.float32


def test_heavy_rows_draw_no_more_rows_than_the_largest_class_has():
    X, _, y = tail()
    _, rows, codes, weight = given(X, y, np.full(300, 1e3), training="resampled")
    assert_array_equal(np.bincount(codes[300:], minlength=4)[1:], 160)
    assert_allclose(totals(codes, weight), weight.sum() / 4)
    assert len(rows) == 300 + 3 * 160


def test_mixed_rows_lie_between_pairs():
    rng = np.random.default_rng(0)
    rows, codes = rng.normal(size=(200, 3)), rng.integers(0, 3, size=200)
    weight = rng.uniform(0.1, 1, size=200)
    mixed, labels, weights = mixed_rows(rows, codes, weight, 0.5, np.random.default_rng(1))
    assert_array_equal(mixed[:200], mixed[200:])
    assert_array_equal(labels[:200], codes)
    rng = np.random.default_rng(1)
    partner, share = rng.permutation(200), rng.beta(0.5, 0.5, size=200)
    assert_array_equal(labels[200:], codes[partner])
    assert_allclose(mixed[:200], rows[partner] + share[:, None] * (rows - rows[partner]))
    # Every row is one end and once the other: what it weighs is divided among both.
    assert_allclose(weights[:200] / weight, share)
    assert_allclose(weights[200:] / weight[partner], 1 - share)
    assert mixed_rows(rows.astype(np.float32), codes, weight, 0.5, rng)[0].dtype == np.float32
    # The larger alpha, the nearer to the middle.
    middle = mixed_rows(rows, codes, weight, 1e6, np.random.default_rng(1))
    assert_allclose(middle[2][:200] / weight, 0.5, atol=0.01)


def test_mixup_comes_after_drawing():
    X, _, y = tail(noise=0.2)
    drawn = given(X, y, training="resampled")[1]
    _, rows, codes, weight = given(X, y, training="resampled", mixup=0.4)
    n = len(drawn)
    assert len(rows) == len(codes) == len(weight) == 2 * n
    assert_array_equal(rows[:n], rows[n:])
    assert_allclose(totals(codes, weight), weight.sum() / 4)
    # Between the same rows: each coordinate stays in its range, and most move.
    assert (rows.max(axis=0) <= drawn.max(axis=0)).all()
    assert np.mean((rows[:n] != drawn).any(axis=1)) > 0.9
    alone = given(X, y, mixup=0.4)[1]
    assert len(alone) == 600


def test_a_class_of_little_weight_counts_little():
    codes = np.repeat([0, 1, 2], [10, 10, 1])
    weight = np.r_[np.ones(20), 0.1]
    found = scaled_to_shares(weight, codes, np.array([0.2, 0.3, 0.5]))
    assert_allclose(totals(codes, found, 3), 20.1 * np.array([0.2, 0.3, 0.05]))
    # Where all weigh little, hardly any is what no single row has.
    small = scaled_to_shares(1e-300 * weight, codes, np.array([0.2, 0.3, 0.5]))
    assert_allclose(small / 1e-300, found)


def test_nothing_is_drawn_where_nothing_is_missing():
    X, codes = np.arange(8.0)[:, None], np.zeros(8, dtype=int)
    fit = noisy_gaussians(X, codes, 1, shrinkage=1)
    rows, labels, weight = with_drawn_rows(X, codes, np.ones(8), fit, np.random.default_rng(0))
    assert_array_equal(rows, X)
    assert_array_equal(labels, codes)
    assert_array_equal(weight, 1)


def test_it_sees_components():
    X, _, y = tail(noise=0.2)
    model, rows, *_ = given(X, y, n_components=2)
    reduction = principal_components(X, 2)
    assert_array_equal(rows, project(X, reduction))
    assert_array_equal(model.predict(X[:9]), ["bee"] * 9)
    assert_array_equal(model.estimator_.asked_, project(X[:9], reduction))


@pytest.mark.parametrize("options", [{}, {"training": "resampled"}, {"mixup": 0.3}])
@pytest.mark.parametrize("inner", [DecisionTreeClassifier(min_samples_leaf=5), GaussianNB()])
def test_classifiers_learn_in_spite_of_wrong_labels(inner, options):
    X, _, y = tail(noise=0.3, seed=2)
    new, truth, _ = tail(seed=3)
    model = NoisyLabelClassifier(inner, random_state=0, **options).fit(X, y)
    assert balanced_accuracy_score(truth, model.predict(new)) > 0.85
    plain = balanced_accuracy_score(truth, clone(inner).fit(X, y).predict(new))
    assert balanced_accuracy_score(truth, model.predict(new)) > plain
    assert not hasattr(inner, "classes_") and model.estimator_ is not inner
    assert_array_equal(model.predict_proba(X), model.estimator_.predict_proba(X))
    assert_array_equal(model.predict(X), model.estimator_.predict(X))


def test_methods_are_those_of_the_classifier():
    X, _, y = tail()
    bayes = NoisyLabelClassifier(GaussianNB(), shrinkage=5).fit(X, y)
    assert hasattr(bayes, "predict_proba") and not hasattr(bayes, "decision_function")
    machine = NoisyLabelClassifier(LinearSVC(random_state=0), shrinkage=5)
    assert hasattr(machine, "decision_function") and not hasattr(machine, "predict_proba")
    machine.fit(X, y)
    assert_array_equal(machine.decision_function(X), machine.estimator_.decision_function(X))
    assert hasattr(NoisyLabelClassifier(), "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        machine.predict_proba(X)


def test_searches_reach_the_classifier():
    X, _, y = tail(noise=0.1)
    model = NoisyLabelClassifier(DecisionTreeClassifier(random_state=0), shrinkage=12)
    search = GridSearchCV(model, {"estimator__max_depth": [1, 5]}, cv=3).fit(X, y)
    assert search.best_params_ == {"estimator__max_depth": 5}


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            KNeighborsClassifier(),
            "estimator must take sample_weight in fit, .* KNeighborsClassifier",
        ),
        (LogisticRegression, "estimator must be a classifier, an object with fit; got <class"),
        ("logistic", "estimator must be a classifier, an object with fit; got 'logistic'"),
    ],
)
def test_bad_classifiers(estimator, message):
    X, _, y = tail()
    model = NoisyLabelClassifier(estimator)
    with pytest.raises(TypeError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "classes_")
