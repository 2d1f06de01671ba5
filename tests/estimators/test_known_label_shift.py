"""Label shift with labels: shares, their intervals, adapted predictions, what fits around them."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.label_shift import BlackBoxShiftEstimator, EMShiftEstimator
from clusterlib.solvers import shifted_prior

NAMES = np.array(["ape", "bee", "cat"])
PLACES = 1.5 * np.eye(3)
SOURCE, TARGET = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
MODELS = [
    EMShiftEstimator(),
    EMShiftEstimator(calibration="vector"),
    EMShiftEstimator(calibration="temperature"),
    EMShiftEstimator(calibration=None),
    BlackBoxShiftEstimator(),
    BlackBoxShiftEstimator(soft=False),
]


class NearestMeans(ClassifierMixin, BaseEstimator):
    """Sure of itself, and quick: softmax of twice the logarithm that would be right."""

    def __init__(self, sharpness=2.0):
        self.sharpness = sharpness

    def fit(self, X, y, sample_weight=None):
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        shares = np.eye(len(self.classes_))[codes] * np.asarray(weight)[:, None]
        self.shares_ = shares.sum(axis=0) / shares.sum()
        self.means_ = shares.T @ X / shares.sum(axis=0)[:, None]
        return self

    def predict_proba(self, X):
        squares = ((np.asarray(X)[:, None] - self.means_) ** 2).sum(axis=2)
        scores = self.sharpness * (np.log(self.shares_) - squares / 2)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


def rows(n, shares, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.sort(rng.choice(3, size=n, p=shares))[rng.permutation(n)]
    return PLACES[codes] + rng.normal(size=(n, 3)), NAMES[codes]


@pytest.fixture(params=MODELS, ids=str)
def model(request):
    return clone(request.param)


def test_shares_and_predictions_of_a_batch(model):
    X, y = rows(3000, SOURCE)
    target, truth = rows(3000, TARGET, seed=1)
    before = model.fit(X, y).score(target, truth)
    assert not hasattr(model, "target_prior_")
    assert model.adapt(target) is model
    error = np.abs(model.target_prior_ - TARGET)
    assert (error < 3.5 * model.prior_errors_).all() and error.max() < 0.06
    assert model.score(target, truth) > before + 0.02
    assert_allclose(model.target_prior_.sum(), 1, atol=1e-12)
    p = model.predict_proba(target)
    assert p.dtype == np.float64 and p.shape == (3000, 3)
    assert_allclose(p.sum(axis=1), 1)
    assert_array_equal(model.predict(target), NAMES[p.argmax(axis=1)])
    assert_array_equal(model.classes_, NAMES)
    low, high = model.prior_interval()
    assert (low <= model.target_prior_).all() and (model.target_prior_ <= high).all()
    assert (np.diff(model.prior_interval(0.5), axis=0) < high - low).all()


@pytest.mark.parametrize("model", MODELS[:1] + MODELS[4:], ids=str)
def test_intervals_cover_what_they_promise(model):
    model = clone(model).set_params(estimator=NearestMeans())
    covered, priors, errors = [], [], []
    for seed in range(250):
        X, y = rows(400, SOURCE, seed=2 * seed)
        model.fit(X, y).adapt(rows(300, TARGET, seed=2 * seed + 1)[0])
        low, high = model.prior_interval(0.9)
        covered.append((low <= TARGET) & (TARGET <= high))
        priors.append(model.target_prior_)
        errors.append(model.prior_errors_)
    # 750 intervals, not independent: one standard error of the rate is about 0.015.
    assert 0.855 < np.mean(covered) < 0.945
    assert_allclose(np.mean(errors, axis=0), np.std(priors, axis=0), rtol=0.2)
    assert np.abs(np.mean(priors, axis=0) - TARGET).max() < 0.012


def test_calibration_repairs_what_a_classifier_claims():
    X, y = rows(2000, SOURCE)
    target, _ = rows(2000, TARGET, seed=1)
    errors, losses = {}, {}
    for calibration in (None, "temperature", "bcts", "vector"):
        model = EMShiftEstimator(NearestMeans(), calibration=calibration).fit(X, y).adapt(target)
        errors[calibration] = np.abs(model.target_prior_ - TARGET).sum()
        if calibration is not None:
            losses[calibration] = model.calibration_.log_loss
            assert model.calibration_.log_loss < model.calibration_.history[0] - 0.05
            assert_allclose(model.calibration_.slope, 0.5, atol=0.06)
    assert errors["bcts"] < 0.6 * errors[None]
    assert losses["temperature"] > losses["bcts"] > losses["vector"]


def test_the_source_prior_is_what_held_out_probabilities_say():
    X, y = rows(1500, SOURCE)
    frequencies = np.unique(y, return_counts=True)[1] / 1500
    offsets = EMShiftEstimator(NearestMeans()).fit(X, y)
    assert_allclose(offsets.source_prior_, frequencies, atol=2e-3)
    plain = EMShiftEstimator(NearestMeans(), calibration=None).fit(X, y)
    assert np.abs(plain.source_prior_ - frequencies).max() > 0.01
    assert_allclose(plain.class_frequencies_, frequencies)


def test_shares_are_those_of_the_solver():
    X, y = rows(600, SOURCE)
    target, _ = rows(300, TARGET, seed=1)
    model = EMShiftEstimator(calibration=None).fit(X, y)
    h = model.predict_proba(target)
    model.adapt(target)
    assert_array_equal(model.target_prior_, shifted_prior(h, model.source_prior_).prior)
    expected = h * (model.target_prior_ / model.source_prior_)
    expected /= expected.sum(axis=1, keepdims=True)
    assert_allclose(model.predict_proba(target), expected)
    assert model.converged_ and model.gap_ <= 1e-9 and model.log_likelihood_ > 0
    black = BlackBoxShiftEstimator().fit(X, y).adapt(target)
    mean = black.estimator_.predict_proba(target).mean(axis=0)
    assert_allclose(black.confusion_ @ black.unconstrained_prior_, mean, atol=1e-10)
    assert_allclose(black.confusion_.sum(axis=0), 1)


def test_adapting_again_forgets_and_fitting_does_too(model):
    X, y = rows(500, SOURCE)
    one, other = rows(400, TARGET, seed=1)[0], rows(400, SOURCE, seed=2)[0]
    first = clone(model).fit(X, y).adapt(one).target_prior_
    model.fit(X, y).adapt(other).adapt(one)
    assert_array_equal(model.target_prior_, first)
    before = clone(model).fit(X, y).predict_proba(one)
    model.fit(X, y)
    assert not any(hasattr(model, name) for name in model._adapted)
    assert_array_equal(model.predict_proba(one), before)


def test_importance_weights_give_the_source_the_shares_of_the_batch(model):
    X, y = rows(500, SOURCE)
    model.fit(X, y).adapt(rows(400, TARGET, seed=1)[0])
    weights = model.importance_weights(y)
    shares = np.array([weights[y == name].sum() for name in NAMES]) / 500
    assert_allclose(shares, model.target_prior_)
    kish = weights.sum() ** 2 / (weights**2).sum()
    assert model.effective_sample_size_ == pytest.approx(kish)


def test_weights_count_as_rows(model):
    model.set_params(estimator=NearestMeans())
    X, y = rows(300, SOURCE)
    target, _ = rows(200, TARGET, seed=1)
    folds = [(np.arange(150, 300), np.arange(150)), (np.arange(150), np.arange(150, 300))]
    weight = np.random.default_rng(0).integers(1, 4, size=300)
    model.set_params(cross_fit=folds).fit(X, y, sample_weight=weight)
    ends = np.repeat(np.arange(300) < 150, weight)
    folds = [
        (np.flatnonzero(~ends), np.flatnonzero(ends)),
        (np.flatnonzero(ends), np.flatnonzero(~ends)),
    ]
    other = clone(model).set_params(cross_fit=folds)
    other.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_allclose(model.confusion_, other.confusion_, rtol=1e-9)
    assert_allclose(model.source_prior_, other.source_prior_, rtol=1e-9)
    batch = np.random.default_rng(1).integers(1, 4, size=200)
    model.adapt(target, sample_weight=batch)
    other.adapt(np.repeat(target, batch, axis=0))
    assert_allclose(model.target_prior_, other.target_prior_, atol=1e-7)


def test_a_batch_of_one_class(model):
    X, y = rows(2000, SOURCE)
    model.fit(2 * X, y)
    target = 2 * rows(500, [0, 0, 1], seed=1)[0]
    model.adapt(target)
    assert model.target_prior_[2] > 0.95 and np.isfinite(model.predict_proba(target)).all()
    low, high = model.prior_interval()
    assert high[2] == 1 and low[0] == 0 and high[0] < 0.1


def test_fitted_classifiers_stay_as_they_are(model):
    X, y = rows(600, SOURCE)
    fitted = GaussianNB().fit(X[:300], y[:300])
    model.set_params(estimator=FrozenEstimator(fitted)).fit(X[300:], y[300:])
    plain = fitted.predict_proba(X)
    if not isinstance(model, EMShiftEstimator) or model.calibration is None:
        assert_allclose(model.predict_proba(X), plain)
    assert_array_equal(model.estimator_.predict_proba(X), plain)
    held_out = plain[300:][y[300:] == "ape"].mean(axis=0)
    if model.get_params().get("soft") is True:
        assert_allclose(model.confusion_[:, 0], held_out)


@pytest.mark.parametrize("kind", ["pandas", "polars", "csr", "lists", "strings", "fortran"])
def test_rows_may_be_whatever_the_classifier_takes(model, kind):
    X, y = rows(120, SOURCE)
    expected = clone(model).fit(X, y).adapt(X[:50]).predict_proba(X)
    if kind in {"pandas", "polars"}:
        frames = pytest.importorskip(kind)
        other = frames.DataFrame({name: X[:, j] for j, name in enumerate("abc")})
        batch = other[:50]
    elif kind == "csr":
        other = sparse.csr_array(X)
        batch = other[:50]
    elif kind == "strings":
        base = make_pipeline(_Parse(), LogisticRegression(max_iter=1000))
        model.set_params(estimator=base)
        other = [" ".join(map(repr, row.tolist())) for row in X]
        batch = other[:50]
    else:
        other = X.tolist() if kind == "lists" else np.asfortranarray(X)
        batch = other[:50]
    found = model.fit(other, y).adapt(batch).predict_proba(other)
    assert_allclose(found, expected, atol=1e-4)


class _Parse(BaseEstimator):
    """Rows of numbers out of texts."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.array([[float(word) for word in text.split()] for text in X])


def test_single_precision_is_near_double(model):
    X, y = rows(400, SOURCE)
    target = rows(300, TARGET, seed=1)[0]
    one = clone(model).fit(X, y).adapt(target)
    other = model.fit(X.astype(np.float32), y).adapt(target.astype(np.float32))
    assert_allclose(other.target_prior_, one.target_prior_, atol=2e-3)


def test_copies_pickles_pipelines_and_searches(model):
    X, y = rows(200, SOURCE)
    target, truth = rows(100, TARGET, seed=1)
    model.fit(X, y).adapt(target)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(target), model.predict_proba(target))
    assert_array_equal(again.prior_interval(), model.prior_interval())
    pipeline = make_pipeline(StandardScaler(), clone(model)).fit(X, y)
    assert pipeline.score(target, truth) > 0.5
    grid = {"estimator": [NearestMeans(), GaussianNB()], "cross_fit": [2, 3]}
    search = GridSearchCV(clone(model), grid, cv=2, scoring="accuracy").fit(X, y)
    assert search.best_estimator_.adapt(target).target_prior_.shape == (3,)
    nested = clone(model).set_params(estimator=NearestMeans(), estimator__sharpness=0.5)
    assert nested.fit(X, y).estimator_.sharpness == 0.5


def test_metadata_is_routed_to_the_classifier(model):
    X, y = rows(200, SOURCE)
    weight = np.random.default_rng(0).integers(1, 4, size=200)
    expected = clone(model).set_params(estimator=NearestMeans()).fit(X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        base = NearestMeans().set_fit_request(sample_weight=True)
        model.set_params(estimator=base)
        routed = clone(model).fit(X, y, sample_weight=weight)
        assert_array_equal(routed.predict_proba(X), expected.predict_proba(X))
        search = GridSearchCV(model, {"cross_fit": [2]}, cv=2).fit(X, y, sample_weight=weight)
        assert hasattr(search, "best_estimator_")
        with pytest.raises(Exception, match="sample_weight"):
            clone(model).set_params(estimator=NearestMeans()).fit(X, y, sample_weight=weight)


def test_the_correction_does_without_a_calibration_that_fits():
    model = EMShiftEstimator(GaussianNB(), cross_fit=2)
    errors, corrected, inside, naive = [], [], [], []
    for seed in range(60):
        (X, y), (target, _) = rows(2000, SOURCE, seed), rows(500, TARGET, seed + 1000)
        # A feature twice: naive Bayes counts its evidence twice, which no slope undoes.
        model.fit(np.c_[X, X[:, :1], X[:, :1]], y).adapt(
            np.c_[target, target[:, :1], target[:, :1]]
        )
        low, high = model.prior_interval()
        inside.append((low <= TARGET) & (TARGET <= high))
        naive.append(np.abs(model.target_prior_ - TARGET) <= 1.96 * model.prior_errors_)
        errors.append(model.target_prior_ - TARGET)
        corrected.append(model.corrected_prior_ - TARGET)
        assert ((low <= model.target_prior_) & (model.target_prior_ <= high)).all()
    assert np.abs(np.mean(corrected, axis=0)).max() < 0.012
    assert np.abs(np.mean(errors, axis=0)).max() > 0.02
    assert np.mean(naive) < np.mean(inside) - 0.05 and np.mean(inside) > 0.9


def test_the_correction_leaves_what_is_right():
    X, y = rows(5000, SOURCE)
    target, _ = rows(5000, TARGET, seed=1)
    plain = EMShiftEstimator().fit(X, y).adapt(target)
    assert_allclose(plain.corrected_prior_, plain.target_prior_, atol=0.01)
    wider = np.sqrt(np.diag(plain.corrected_covariance_)) / plain.prior_errors_
    assert ((wider > 0.95) & (wider < 1.3)).all()
    other = EMShiftEstimator(correct=True).fit(X, y).adapt(target)
    assert_array_equal(other.target_prior_, plain.corrected_prior_)
    assert_array_equal(other.prior_covariance_, plain.corrected_covariance_)
