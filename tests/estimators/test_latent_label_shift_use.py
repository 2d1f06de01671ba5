"""LatentLabelShift at work: new domains, students, searches, pipelines, logs."""

import logging

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context as sklearn_context
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.label_shift import LatentLabelShift
from clusterlib.metrics import label_marginal_error, latent_label_shift_scores
from tests.estimators.test_latent_label_shift import DATA, NAMES, blobs_in_domains, model

FITTED = model().fit(DATA.X, NAMES[DATA.domains])
# Other rows of blobs at the same places, wider, in other shares.
NEW = blobs_in_domains(n=3000, seed=5, noise=1.4, alpha=1.0)


# Domains that fit has not seen.


def test_shares_of_a_new_domain_are_found_from_its_rows():
    """Classes that overlap: with the shares of all domains, more rows are put into wrong ones."""
    seen = NEW.domains < 5
    fitted = model().fit(NEW.X[seen], NEW.domains[seen])
    classes = latent_label_shift_scores(
        NEW.y[seen], fitted.labels_, NEW.label_marginals[:5], fitted.label_marginals_
    ).class_of_label
    rows, y = NEW.X[~seen], NEW.y[~seen]
    adapted = fitted.adapt(rows)
    assert_allclose(adapted.prior.sum(), 1, rtol=1e-12)
    assert adapted.gap < 1e-6
    assert_array_equal(adapted.labels, adapted.posteriors.argmax(axis=1))
    error = label_marginal_error(
        NEW.label_marginals[5:], adapted.prior[None], class_of_label=classes
    )
    unadapted = label_marginal_error(
        NEW.label_marginals[5:], fitted.class_prior_[None], class_of_label=classes
    )
    assert error < 0.5 * unadapted
    accuracy = np.mean(classes[adapted.labels] == y)
    assert accuracy > np.mean(classes[fitted.predict(rows)] == y)


def test_shares_of_rows_that_fit_has_seen_are_those_of_fit():
    """The source prior is the mean of what the rows say, so that nothing moves them."""
    adapted = FITTED.adapt(DATA.X)
    assert_allclose(adapted.prior, FITTED.class_prior_, atol=0.01)


def test_a_named_domain_is_known_from_then_on():
    fitted = model().fit(DATA.X, NAMES[DATA.domains])
    before = fitted.predict_proba(DATA.X[:50], domain="Genf")
    rows = DATA.X[DATA.domains == 2]
    with pytest.raises(ValueError, match="'Thun'.*not seen by fit.*adapt"):
        fitted.predict(rows, domain="Thun")
    assert fitted.adapt(rows).prior.shape == (3,)
    with pytest.raises(ValueError, match="'Thun'"):
        fitted.predict(rows, domain="Thun")
    adapted = fitted.adapt(rows, domain="Thun")
    assert_allclose(fitted.predict_proba(rows, domain="Thun"), adapted.posteriors, rtol=1e-12)
    other = fitted.adapt(DATA.X[DATA.domains == 3], domain="Olten")
    mixed = fitted.predict_proba(rows[:2], domain=["Thun", "Olten"])
    assert_allclose(mixed[0], adapted.posteriors[0], rtol=1e-12)
    assert other.prior.tolist() != adapted.prior.tolist()
    again = fitted.adapt(DATA.X[DATA.domains == 4], domain="Thun")
    moved = fitted.predict_proba(DATA.X[DATA.domains == 4], domain="Thun")
    assert_allclose(moved, again.posteriors, rtol=1e-12)
    assert_array_equal(fitted.predict_proba(DATA.X[:50], domain="Genf"), before)
    assert_array_equal(fitted.domains_, NAMES)
    with pytest.raises(ValueError, match="not seen by fit"):
        fitted.score(rows, ["Thun"] * len(rows))
    with pytest.raises(ValueError, match="'Thun'"):
        fitted.fit(DATA.X, NAMES[DATA.domains]).predict(rows, domain="Thun")


# Students.


def noisy_columns(n=4000, seed=0):
    """Classes that differ in one of many features: near rows are seldom of one class."""
    data = blobs_in_domains(n=n, seed=seed, alpha=0.5)
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(len(data.X), 20))
    X[:, 0] += 2.5 * data.y
    return data._replace(X=X)


def test_a_student_that_predicts_the_domains_better_is_taken():
    data = noisy_columns()
    options = {"n_neighbors": 10, "n_init": 4}
    alone = model(**options).fit(data.X, data.domains)
    student = LogisticRegression(C=0.1, max_iter=1000)
    taught = model(student=student, **options).fit(data.X, data.domains)
    assert taught.student_ is not None
    assert taught.student_ is not student
    assert taught.student_gain_ > 0
    assert alone.student_ is None
    assert alone.student_gain_ is None

    def accuracy(fitted):
        found = fitted.predict(data.X, domain=data.domains)
        return latent_label_shift_scores(
            data.y, found, data.label_marginals, fitted.label_marginals_
        ).accuracy

    assert accuracy(taught) > accuracy(alone) + 0.01
    raw = taught.student_.predict_proba(data.X)
    assert_allclose(np.sort(taught.transform(data.X), axis=1), np.sort(raw, axis=1), rtol=1e-12)
    assert (np.diff(taught.class_prior_) <= 0).all()
    assert taught.adapt(data.X[:100]).prior.shape == (3,)


def test_a_student_that_has_learnt_nothing_is_not_taken():
    fitted = model(student=DummyClassifier(strategy="prior")).fit(DATA.X, NAMES[DATA.domains])
    assert fitted.student_ is None
    assert fitted.student_gain_ < 0
    assert fitted.transform(DATA.X[:5]).shape == (5, 3)


# Searches, pipelines and frames.


def test_a_search_finds_the_number_of_classes_by_the_domains():
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(model(n_init=3), {"n_classes": [1, 2, 3]}, cv=folds)
    search.fit(DATA.X, DATA.domains)
    assert search.best_params_ == {"n_classes": 3}
    assert (np.diff(search.cv_results_["mean_test_score"]) > 0.01).all()


def test_folds_without_a_domain_say_what_to_do():
    fitted = model().fit(DATA.X[DATA.domains < 5], DATA.domains[DATA.domains < 5])
    with pytest.raises(ValueError, match="y has 5, which was not seen by fit.*stratified"):
        fitted.score(DATA.X, DATA.domains)


def test_a_pipeline_routes_the_domain():
    with sklearn_context(enable_metadata_routing=True):
        last = model(n_init=2).set_predict_request(domain=True)
        pipeline = make_pipeline(StandardScaler(), last).fit(DATA.X, DATA.domains)
        labels = pipeline.predict(NEW.X, domain=NEW.domains)
        rows = pipeline[0].transform(NEW.X)
    assert_array_equal(labels, pipeline[-1].predict(rows, domain=NEW.domains))
    assert (labels != pipeline[-1].predict(rows)).any()


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames_in_and_out(frames):
    library = pytest.importorskip(frames)
    names = [f"x{j}" for j in range(6)]
    frame = library.DataFrame({name: DATA.X[:, j] for j, name in enumerate(names)})
    domains = library.Series("site", NAMES[DATA.domains]) if frames == "polars" else None
    if domains is None:
        domains = library.Series(NAMES[DATA.domains], name="site", index=frame.index[::-1])
    fitted = model(n_init=2).set_output(transform=frames).fit(frame, domains)
    out = fitted.transform(frame)
    assert isinstance(out, library.DataFrame)
    assert list(out.columns) == [f"latentlabelshift{y}" for y in range(3)]
    assert_array_equal(
        fitted.predict(frame, domain=domains), fitted.predict(frame, NAMES[DATA.domains])
    )
    assert_array_equal(fitted.domains_, NAMES)


def test_categories_are_domains_too():
    pandas = pytest.importorskip("pandas")
    domains = pandas.Series(NAMES[DATA.domains], dtype="category")
    fitted = model(n_init=2).fit(DATA.X, domains)
    assert fitted.domains_.tolist() == NAMES.tolist()
    assert fitted.predict(DATA.X[:3], domain=domains[:3]).shape == (3,)


# What a fit says on its way, and leaves behind if it is cut off.


def test_verbose_tells_starts_and_iterations(caplog):
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        model(n_init=2, verbose=1).fit(DATA.X, DATA.domains)
    lines = [record.getMessage() for record in caplog.records]
    assert any("start 1/" in line and "log-likelihood" in line for line in lines)
    assert any("start 2/" in line for line in lines)
    caplog.clear()
    model(n_init=2).fit(DATA.X, DATA.domains)
    assert not caplog.records


class Listener:
    """Counts tasks; stops each start after its first iteration if it is impatient."""

    def __init__(self, impatient=False):
        self.impatient = impatient
        self.begun, self.ended = [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, X=None, metadata=None, fitted_estimator=None):
        self.ended.append(context.task_name)
        return self.impatient and context.task_name == "iteration"


@pytest.mark.skipif(
    not hasattr(LatentLabelShift, "set_callbacks"),
    reason="this scikit-learn has no callbacks",
)
@pytest.mark.parametrize("options", [{}, {"method": "ddfa"}, {"n_micro_clusters": 100}])
def test_callbacks_see_tasks_begin_and_end_and_may_stop(options):
    listener = Listener()
    estimator = model(n_init=2, max_iter=1000, **options).set_callbacks(listener)
    estimator.fit(DATA.X, DATA.domains)
    assert sorted(listener.begun) == sorted(listener.ended)
    assert listener.begun.count("fit") == 1
    assert listener.begun.count("iteration") >= listener.begun.count("start") > 0
    plain = model(n_init=2, max_iter=1000, **options).fit(DATA.X, DATA.domains)
    assert_array_equal(plain.labels_, estimator.labels_)
    listener.impatient = True
    estimator.fit(DATA.X, DATA.domains)  # without a warning that max_iter was too small
    assert estimator.predict(DATA.X[:3], 1).shape == (3,)


class Interrupted(LogisticRegression):
    """A discriminator during which somebody presses Ctrl-C."""

    def fit(self, X, y):
        raise KeyboardInterrupt


def test_an_interrupted_fit_leaves_the_estimator_as_it_was():
    fitted = model(n_init=2).fit(DATA.X, DATA.domains)
    before = dict(vars(fitted))
    fitted.set_params(discriminator=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(DATA.X[:, :4], DATA.domains)
    fitted.set_params(discriminator="auto")
    assert vars(fitted).keys() == before.keys()
    assert fitted.n_features_in_ == 6
    assert fitted.predict(DATA.X[:3]).shape == (3,)
    fresh = LatentLabelShift(3, discriminator=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(DATA.X, DATA.domains)
    assert not hasattr(fresh, "n_features_in_")
