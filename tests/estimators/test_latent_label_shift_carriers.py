"""LatentLabelShift on rows that are read block by block: the bits of an array, and its quality."""

import tracemalloc
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from clusterlib.blocks import as_blocks
from clusterlib.datasets import make_latent_label_shift
from clusterlib.label_shift import (
    BlackBoxShiftEstimator,
    EMShiftEstimator,
    LatentLabelShift,
    _class_number,
    _domain_fit,
)
from clusterlib.metrics import latent_label_shift_scores
from clusterlib.solvers import class_choice
from tests.carriers import CARRIERS

FITTED = (
    "domains_",
    "label_marginals_",
    "class_prior_",
    "domain_shares_",
    "domain_given_class_",
    "labels_",
    "log_likelihood_",
    "start_log_likelihoods_",
    "history_",
    "n_iter_",
    "n_classes_",
    "converged_",
)
NAMES = np.array(["Basel", "Bern", "Chur", "Genf", "Sion"])
# What is read block by block whatever the number of rows, and what is where they are many.
SETTINGS = {
    "micro-clusters": {"n_micro_clusters": 60},
    "ddfa": {"method": "ddfa", "n_init": 2},
    "anchors": {"method": "ddfa", "factorizer": "anchor", "adjust": "kl", "cross_fit": 3},
    "in sample": {"method": "ddfa", "cross_fit": False, "domain_shares": "uniform"},
    "frozen": {"method": "ddfa", "factorizer": "anchor"},
}
FAR = ("batches", "elsewhere")
CASES = [
    (setting, carrier)
    for setting in SETTINGS
    for carrier in (CARRIERS if setting in ("micro-clusters", "ddfa") else FAR)
]


def blobs(n=10_000, dtype=np.float32, seed=0):
    """Classes of one blob each, dealt to domains whose sizes differ."""
    rng = np.random.default_rng(seed)
    blob = rng.integers(0, 3, n)
    pool = 4 * np.eye(3, 4)[blob] + rng.normal(size=(n, 4))
    data = make_latent_label_shift(
        pool.astype(dtype), blob, n_domains=5, max_condition=4, max_draws=2000, random_state=seed
    )
    return data._replace(domains=NAMES[np.unique(data.domains, return_inverse=True)[1]])


DATA = blobs()


@pytest.fixture(autouse=True)
def few_rows_are_many(monkeypatch):
    """Rows are many above 5000, and models of rows are fitted to 800 of them."""
    monkeypatch.setattr(_domain_fit, "_MOST_ROWS", 5_000)
    monkeypatch.setattr(class_choice, "_SAMPLE_ROWS", 800)


def model(setting="ddfa", **options):
    options = SETTINGS[setting] | {"n_classes": 3, "random_state": 0} | options
    if setting == "frozen":
        classifier = LogisticRegression(C=0.05).fit(DATA.X[::3], DATA.domains[::3])
        options["discriminator"] = FrozenEstimator(classifier)
    return LatentLabelShift(**options)


@cache
def fitted_to_array(setting):
    return model(setting).fit(DATA.X, DATA.domains)


def assert_same(found, expected):
    assert found.report_ == expected.report_
    for name in FITTED:
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize(("setting", "carrier"), CASES)
def test_every_carrier_gives_the_bits_of_an_array(setting, carrier, tmp_path):
    expected = fitted_to_array(setting)
    blocks = CARRIERS[carrier](DATA.X, tmp_path)
    found = model(setting).fit(blocks, DATA.domains)
    assert_same(found, expected)
    assert (found.posteriors_ is None) == (not blocks.in_memory)
    new = (tmp_path / "new").absolute()
    new.mkdir()
    new = CARRIERS[carrier](DATA.X[:8_501], new)
    new_array = DATA.X[:8_501]
    assert_array_equal(found.predict(new, "Bern"), expected.predict(new_array, "Bern"))
    domains = DATA.domains[:8_501]
    assert_array_equal(found.predict(new, domains), expected.predict(new_array, domains))
    assert_array_equal(found.transform(new), expected.transform(new_array))
    assert_array_equal(found.domain_probabilities(new), expected.domain_probabilities(new_array))
    assert found.score(new, domains) == expected.score(new_array, domains)
    assert found.adapt(new).gap == expected.adapt(new_array).gap


@pytest.mark.parametrize("setting", ["micro-clusters", "ddfa"])
def test_dask_arrays_give_the_bits_of_an_array(setting):
    da = pytest.importorskip("dask.array")
    expected = fitted_to_array(setting)
    found = model(setting).fit(da.from_array(DATA.X, chunks=(4096, 4)), DATA.domains)
    assert_same(found, expected)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_posteriors_of_an_array_belong_to_its_labels(setting):
    fitted = fitted_to_array(setting)
    assert_array_equal(fitted.posteriors_.argmax(axis=1), fitted.labels_)
    assert fitted.posteriors_.shape == (len(DATA.X), 3)


def scores(fitted):
    return latent_label_shift_scores(
        DATA.y, fitted.labels_, DATA.label_marginals, fitted.label_marginals_
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_classes_are_found(setting):
    """A factorisation by NMF is one of many that fit as well."""
    assert scores(fitted_to_array(setting)).accuracy > (0.9 if setting != "in sample" else 0.8)


@pytest.mark.parametrize("setting", ["micro-clusters", "anchors"])
def test_many_rows_are_told_apart_as_few_are(setting, monkeypatch):
    many = scores(fitted_to_array(setting))
    monkeypatch.setattr(_domain_fit, "_MOST_ROWS", 100_000)
    few = model(setting).fit(DATA.X, DATA.domains)
    few = scores(few)
    assert many.accuracy > few.accuracy - 0.005
    assert many.marginal_error < few.marginal_error + 0.01


@pytest.mark.parametrize("setting", ["neighbors", "student", "classifier", "diagnose"])
def test_few_rows_of_a_carrier_are_an_array(setting, tmp_path):
    """Up to the limit everything works, with the bits of the array."""
    options = {
        "neighbors": {},
        "student": {"student": LogisticRegression()},
        "classifier": {
            "method": "ddfa",
            "discriminator": LogisticRegression(),
            "factorizer": "anchor",
        },
        "diagnose": {"n_init": 2},
    }[setting]
    X, domains = DATA.X[::10], DATA.domains[::10]
    expected = LatentLabelShift(3, random_state=0, **options).fit(X, domains)
    np.save(tmp_path / "X.npy", X)
    found = LatentLabelShift(3, random_state=0, **options).fit(tmp_path / "X.npy", domains)
    assert_same(found, expected)
    assert_array_equal(found.posteriors_, expected.posteriors_)
    if setting == "diagnose":
        assert found.diagnose(2) == expected.diagnose(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_micro_clusters": None}, "n_micro_clusters='auto'"),
        ({"discriminator": "logistic"}, "method='ddfa'"),
        ({"method": "ddfa", "discriminator": "neighbors"}, "FrozenEstimator"),
        ({"method": "ddfa", "discriminator": LogisticRegression()}, "FrozenEstimator"),
        ({"student": "auto"}, "student must be None"),
        ({"method": "ddfa", "student": LogisticRegression()}, "student must be None"),
    ],
)
def test_what_needs_all_rows_is_refused_and_the_alternative_named(options, message):
    blocks = as_blocks(lambda: iter(np.array_split(DATA.X, 5)))
    with pytest.raises(ValueError, match=message) as error:
        LatentLabelShift(3, **options).fit(blocks, DATA.domains)
    assert "read block by block" in str(error.value)


def test_domains_have_to_fit_the_rows():
    blocks = as_blocks(lambda: iter(np.array_split(DATA.X, 5)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model().fit(blocks, DATA.domains[:-1])
    with pytest.raises(ValueError, match="at least 2 domains"):
        model().fit(blocks, np.zeros(len(DATA.X)))
    with pytest.raises(ValueError, match="requires y to be passed"):
        model().fit(blocks, None)
    same = as_blocks(lambda: iter([np.ones((6_000, 2))]))
    with pytest.raises(ValueError, match="all rows of X are the same"):
        model().fit(same, np.arange(6_000) % 5)
    bad = DATA.X.copy()
    bad[8_345, 2] = np.nan
    with pytest.raises(ValueError, match="NaN in row 8345, column 2"):
        model().fit(as_blocks(lambda: iter([bad])), DATA.domains)


def test_a_frozen_classifier_has_to_know_the_domains():
    stranger = LogisticRegression().fit(DATA.X[:100], np.arange(100) % 2)
    with pytest.raises(ValueError, match="no domain in y"):
        model(discriminator=FrozenEstimator(stranger)).fit(DATA.X, DATA.domains)


def test_the_number_of_classes_is_chosen_on_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(_class_number, "_MOST_ROWS", 800)
    options = {"method": "ddfa", "factorizer": "anchor", "random_state": 0}
    expected = LatentLabelShift(**options).fit(DATA.X, DATA.domains)
    found = LatentLabelShift(**options).fit(CARRIERS["batches"](DATA.X, tmp_path), DATA.domains)
    assert found.n_classes_ == 3
    assert found.class_choice_.scores.tolist() == expected.class_choice_.scores.tolist()


@pytest.mark.parametrize("setting", ["micro-clusters", "ddfa"])
def test_memory_does_not_hold_rows_times_anything(setting):
    """Beside some leaves a fit keeps a few dozen bytes of each row: less than X itself."""
    n, d = 40_000, 64
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, n)
    domains = np.where(rng.random(n) < 0.6, classes, rng.integers(0, 3, n))

    def batches():
        for start in range(0, n, 4096):
            part = classes[start : start + 4096]
            noise = np.random.default_rng(start).normal(size=(len(part), d))
            yield (noise + 5 * np.eye(3, d)[part]).astype(np.float64)

    blocks = as_blocks(batches, block_rows=4096)
    fitted = LatentLabelShift(
        3, random_state=0, **SETTINGS[setting] | {"cross_fit": 2, "n_init": 2}
    )
    tracemalloc.start()
    fitted.fit(blocks, domains)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.9 * n * d * 8
    assert (fitted.labels_.shape, fitted.posteriors_) == ((n,), None)


@pytest.mark.parametrize("cls", [BlackBoxShiftEstimator, EMShiftEstimator])
def test_estimators_around_a_classifier_name_the_alternative(cls, tmp_path):
    np.save(tmp_path / "X.npy", DATA.X)
    fitted = cls().fit(DATA.X[::50], DATA.domains[::50])
    for use in (lambda X: cls().fit(X, DATA.domains), fitted.adapt, fitted.predict):
        with pytest.raises(TypeError, match="shifted_prior"):
            use(as_blocks(tmp_path / "X.npy"))


@pytest.mark.parametrize(("setting", "most"), [("micro-clusters", 15), ("ddfa", 30), ("frozen", 5)])
def test_a_fit_takes_few_passes(setting, most):
    begun = []

    def batches():
        begun.append(1)
        yield from np.array_split(DATA.X, 7)

    blocks = as_blocks(batches)
    begun.clear()
    model(setting).fit(blocks, DATA.domains)
    assert 4 < len(begun) <= most
