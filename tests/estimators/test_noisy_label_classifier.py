"""NoisyLabelClassifier: what it finds, how it classifies, and what it is made of."""

import logging
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.imbalance import NoisyLabelClassifier
from clusterlib.solvers import (
    HeadKind,
    choose_head,
    choose_shrinkage,
    fitted_parts,
    head_scores,
    noisy_gaussians,
    other_classes,
    principal_components,
    project,
)
from tests.estimators.test_representation_calibrator import NAMES, tail

HEADS = [kind.value for kind in HeadKind]
RESULTS = (
    "label_quality_",
    "other_labels_",
    "effective_counts_",
    "transition_matrix_",
    "class_prior_",
    "n_iter_",
    "head_",
)


def two_classes(n=200, seed=0):
    rng = np.random.default_rng(seed)
    classes = np.repeat(["no", "yes"], [n - n // 4, n // 4])
    X = rng.normal(size=(n, 4)) + 2.5 * (classes == "yes")[:, None]
    return (
        X,
        classes,
        np.where(rng.random(n) < 0.2, np.where(classes == "no", "yes", "no"), classes),
    )


def assert_same_fit(one, other, X):
    for name in RESULTS:
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.fixture(params=["auto", *HEADS])
def model(request):
    return NoisyLabelClassifier(head=request.param, shrinkage=12, random_state=0)


@pytest.mark.parametrize("n_components", [96, 3])
def test_wrong_labels_do_little_harm_and_are_found(model, n_components):
    X, classes, y = tail(noise=0.3, seed=2)
    new, truth, _ = tail(seed=3)
    model.set_params(n_components=n_components)
    assert model.fit(X, y) is model
    assert balanced_accuracy_score(classes, y) < 0.75
    assert balanced_accuracy_score(classes, model.predict(X)) > 0.93
    assert balanced_accuracy_score(truth, model.predict(new)) > 0.93
    assert average_precision_score(classes != y, 1 - model.label_quality_) > 0.97
    rows, labels, probabilities = model.find_label_issues()
    assert np.mean((classes != y)[rows]) > 0.9 and len(rows) > 0.85 * np.sum(classes != y)
    assert np.mean(labels == classes[rows]) > 0.9
    assert_array_equal(probabilities, 1 - model.label_quality_[rows])
    assert_array_equal(model.classes_, NAMES)


@pytest.mark.parametrize("data", [tail, two_classes])
def test_decisions_are_those_of_the_highest_probability(model, data):
    X, _, y = data()
    model.fit(X, y)
    found, scores = model.predict_proba(X), model.decision_function(X)
    assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    assert_array_equal(model.predict(X), model.classes_[found.argmax(axis=1)])
    if data is two_classes:
        assert scores.shape == (len(X),)
        assert_allclose(expit(scores), found[:, 1], rtol=1e-10, atol=1e-300)
        assert_allclose(expit(-scores), found[:, 0], rtol=1e-10, atol=1e-300)
        assert_array_equal(model.predict(X) == "yes", scores > 0)
    else:
        assert_allclose(softmax(scores, axis=1), found, rtol=1e-12)
    assert model.head_ == (
        model.head if model.head != "auto" else model.head_choice_.head.kind.value
    )
    assert (np.asarray(found).min(axis=0) < 0.3).all()  # no class is everywhere


@pytest.mark.parametrize("prior", [[4, 1, 2, 1], np.array([0.1, 0.2, 0.3, 0.4]), "estimated"])
def test_the_prior_shifts_the_scores(model, prior):
    X, _, y = tail(noise=0.2)
    even = model.fit(X, y)
    other = clone(model).set_params(prior=prior).fit(X, y)
    assert_array_equal(even.label_quality_, other.label_quality_)
    shares = other.class_prior_ if isinstance(prior, str) else np.array(prior) / np.sum(prior)
    shift = other.decision_function(X) - even.decision_function(X)
    expected = np.log(shares * 4)
    assert_allclose(shift, np.tile(expected, (len(X), 1)), atol=1e-8)
    assert np.ptp(expected) > 0.5


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_components", [96, 3])
def test_it_is_what_the_solvers_make(n_components, weighted):
    X, _, y = tail(noise=0.2)
    codes = np.searchsorted(NAMES, y)
    weight = np.random.default_rng(7).uniform(0.2, 3, size=300) if weighted else None
    own = {"sample_weight": weight}
    model = NoisyLabelClassifier(n_components=n_components, random_state=5).fit(X, y, **own)
    seed = np.random.RandomState(5).randint(np.iinfo(np.int32).max)
    rng = np.random.default_rng(seed)
    views = [X]
    if n_components == 3:
        views = [project(X, principal_components(X, 3, **own)), X]
    choice = choose_shrinkage(views[0], codes, 4, rng, **own)
    shrinkages = [choice.shrinkage, np.inf][: len(views)]
    head_choice = choose_head(views, codes, 4, shrinkages, rng, **own)
    strengths, options = head_choice.head.strengths(), {"max_iter": 300, "tol": 1e-6, **own}
    parts = fitted_parts(views, codes, 4, shrinkages, strengths, **options)
    assert model.shrinkage_ == choice.shrinkage
    assert_array_equal(model.shrinkage_choice_.scores, choice.scores)
    assert model.head_choice_.heads == head_choice.heads
    assert_array_equal(model.head_choice_.scores, head_choice.scores)
    assert model.head_ == head_choice.head.kind.value
    assert_array_equal(model.label_quality_, parts.label_quality)
    assert_array_equal(model.transition_matrix_, parts.transition)
    assert_array_equal(model.class_prior_, parts.class_prior)
    assert_array_equal(model.other_labels_, NAMES[other_classes(views, codes, parts)])
    right = parts.label_quality * (weight if weighted else 1)
    counts = [right[codes == k].sum() for k in range(4)]
    assert_allclose(model.effective_counts_, counts)
    assert model.n_iter_ == max(fit.n_iter for fit in parts.gaussians) and model.converged_
    scores = head_scores(views, parts, head_choice.head)
    assert_allclose(model.predict_proba(X), softmax(scores, axis=1), atol=1e-12)
    assert model.n_features_in_ == 5 and not hasattr(model, "estimator_")


def test_many_features_are_seen_twice():
    X, _, y = tail(noise=0.2)
    codes = np.searchsorted(NAMES, y)
    model = NoisyLabelClassifier(n_components=2, shrinkage=12, head="gaussian").fit(X, y)
    reduced = project(X, principal_components(X, 2))
    options = {"max_iter": 300, "tol": 1e-6}
    first = noisy_gaussians(reduced, codes, 4, shrinkage=12.0, **options)
    second = noisy_gaussians(X, codes, 4, shrinkage=np.inf, **options)
    assert np.abs(first.label_quality - second.label_quality).max() > 0.2
    mean = (first.label_quality + second.label_quality) / 2
    assert_allclose(model.label_quality_, mean, rtol=1e-12)
    assert model.n_iter_ == max(first.n_iter, second.n_iter)
    # As many components as features are all features: once.
    whole = clone(model).set_params(n_components=5).fit(X, y)
    one = noisy_gaussians(X, codes, 4, shrinkage=12.0, **options)
    assert_array_equal(whole.label_quality_, one.label_quality)


def test_auto_takes_what_was_chosen():
    X, _, y = tail(noise=0.2)
    auto = NoisyLabelClassifier(random_state=0).fit(X, y)
    assert [head.kind.value for head in auto.head_choice_.heads] == [
        "weighted",
        "gaussian",
        "combined",
    ]
    assert auto.head_choice_.n_scored == 300
    named = NoisyLabelClassifier(head=auto.head_, random_state=0).fit(X, y)
    assert_allclose(named.predict_proba(X), auto.predict_proba(X), atol=1e-12)
    assert len(named.head_choice_.heads) == 1


def test_a_seed_is_an_answer(model):
    X, _, y = tail(noise=0.2)
    one, same = (clone(model).fit(X, y) for _ in range(2))
    assert_same_fit(one, same, X)
    assert_same_fit(one, one.fit(X, y), X)
    other = clone(model).set_params(random_state=1).fit(X, y)
    assert_array_equal(other.label_quality_, one.label_quality_)  # nothing is drawn for these
    assert (other.head_choice_.scores != one.head_choice_.scores).any()
    state = np.random.RandomState(0)
    assert_same_fit(clone(model).set_params(random_state=state).fit(X, y), one, X)


@pytest.mark.parametrize(("power", "n_components"), [(-400, 96), (-400, 3), (-40, 3), (200, 96)])
def test_powers_of_two_change_nothing_but_rounding(model, power, n_components):
    X, _, y = tail(noise=0.2)
    model.set_params(shrinkage="auto", n_components=n_components)
    plain, scaled = clone(model).fit(X, y), clone(model).fit(np.ldexp(X, power), y)
    assert scaled.shrinkage_ == plain.shrinkage_ and scaled.head_ == plain.head_
    assert_allclose(scaled.label_quality_, plain.label_quality_, atol=1e-9)
    assert_allclose(scaled.predict_proba(np.ldexp(X, power)), plain.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("n_components", [96, 3])
def test_offsets_and_factors_change_no_label(model, n_components):
    X, _, y = tail(noise=0.2)
    model.set_params(n_components=n_components)
    plain = clone(model).fit(X, y)
    for change in (lambda rows: rows + 1000.0, lambda rows: 0.37 * rows):
        other = clone(model).fit(change(X), y)
        assert np.mean(other.predict(change(X)) == plain.predict(X)) > 0.985
        assert_allclose(other.label_quality_, plain.label_quality_, atol=1e-3)


def test_single_precision_is_near_double(model):
    X, _, y = tail(noise=0.2, dtype=np.float32)
    narrow, wide = clone(model).fit(X, y), clone(model).fit(X.astype(np.float64), y)
    assert_allclose(narrow.label_quality_, wide.label_quality_, atol=1e-4)
    assert np.mean(narrow.predict(X) == wide.predict(X)) > 0.985
    assert narrow.predict_proba(X).dtype == np.float64
    for factor in (1e-30, 1e30):  # whose squares leave float32
        far = clone(model).fit((factor * X).astype(np.float32), y)
        assert np.mean(far.predict((factor * X).astype(np.float32)) == wide.predict(X)) > 0.985


def test_it_survives_storage_and_copies(model):
    X, _, y = tail(noise=0.1)
    model.fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_same_fit(again, model, X)
    assert vars(again).keys() == vars(model).keys()
    assert not hasattr(clone(model), "classes_")


def test_pipelines_and_searches():
    X, _, y = tail(noise=0.1)
    pipeline = make_pipeline(StandardScaler(), NoisyLabelClassifier(shrinkage=12, random_state=0))
    inside = NoisyLabelClassifier(shrinkage=12, random_state=0)
    inside.fit(StandardScaler().fit_transform(X), y)
    assert_array_equal(
        pipeline.fit(X, y).predict(X), inside.predict(StandardScaler().fit_transform(X))
    )
    heads = {"noisylabelclassifier__head": HEADS}
    search = GridSearchCV(pipeline, heads, cv=3, scoring="balanced_accuracy").fit(X, y)
    assert search.best_params_["noisylabelclassifier__head"] in HEADS
    assert (search.cv_results_["mean_test_score"] > 0.7).all()


def test_work_is_logged(caplog):
    X, _, y = tail()
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        model = NoisyLabelClassifier(verbose=1, n_components=2, random_state=0).fit(X, y)
    lines = caplog.messages
    assert all(line.startswith("NoisyLabelClassifier: ") for line in lines)
    assert lines[0] == f"NoisyLabelClassifier: shrinkage {model.shrinkage_:.6g}"
    told = [line.split("head ")[1].split(",")[0] for line in lines if ": head " in line]
    assert told == ["weighted", "gaussian", "combined"]
    folds = [f"NoisyLabelClassifier: heads fitted without fold {fold}" for fold in range(3)]
    assert lines[1:4] == folds
    assert f": head weighted, score {model.head_choice_.scores[0]:.6g}" in lines[4]
    iterations = [line for line in lines if ": iteration " in line]
    # Of the second noise model the numbers start again.
    assert sum(": iteration 1," in line for line in iterations) == 2
    assert sum(f": iteration {model.n_iter_}," in line for line in iterations) >= 1
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        clone(model).set_params(verbose=0).fit(X, y)
    assert not [line for line in caplog.messages if "iteration" in line]


def test_warnings_come_once():
    X, _, y = tail()
    keep = np.r_[np.flatnonzero(y != "dog"), np.flatnonzero(y == "dog")[:2]]
    model = NoisyLabelClassifier(max_iter=1, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X[keep], y[keep])
    assert [item.category for item in caught[:2]] == [ConvergenceWarning, UserWarning]
    assert all(item.filename == __file__ for item in caught)
    assert "NoisyLabelClassifier did not converge in max_iter=1" in str(caught[0].message)
    assert not model.converged_ and model.n_iter_ == 1
    assert "fewer than 4 labels are right of: 'dog'. " in str(caught[1].message)


def test_nothing_is_left_of_another_fit():
    X, _, y = tail(noise=0.1)
    model = NoisyLabelClassifier(random_state=0).fit(X, y)
    model.set_params(shrinkage=5, head="gaussian").fit(X, y)
    fresh = NoisyLabelClassifier(shrinkage=5, head="gaussian", random_state=0).fit(X, y)
    assert vars(model).keys() == vars(fresh).keys()
    assert model.shrinkage_choice_ is None and model.shrinkage_ == 5
    assert_same_fit(model, fresh, X)


def test_the_display_draws_it():
    pytest.importorskip("matplotlib").use("Agg")
    from clusterlib.plotting import LabelQualityDisplay

    X, _, y = tail(noise=0.2)
    model = NoisyLabelClassifier(random_state=0).fit(X, y)
    for kind in ("classes", "quality", "transition"):
        display = LabelQualityDisplay.from_estimator(model, y, kind=kind)
        assert display.ax_.has_data()
    assert_array_equal(display.label_quality, model.label_quality_)


def test_both_noise_models_have_to_converge():
    X, _, y = tail(noise=0.2)
    model = NoisyLabelClassifier(head="weighted", shrinkage=12.0, n_components=2, random_state=0)
    few, many = sorted(fit.n_iter for fit in model.fit(X, y)._parts.gaussians)
    assert few < many
    with pytest.warns(ConvergenceWarning, match=f"max_iter={few}"):
        cut = clone(model).set_params(max_iter=few).fit(X, y)
    assert sorted(fit.converged for fit in cut._parts.gaussians) == [False, True]
    assert not cut.converged_
