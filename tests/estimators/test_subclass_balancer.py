"""SubclassBalancer: what it finds, what it predicts, and how it resamples."""

import logging
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline as plain_pipeline

from clusterlib.config import config_context
from clusterlib.datasets import make_long_tail
from clusterlib.imbalance import SubclassBalancer

NAMES = np.array(["ape", "bee", "cat"])
SIZES = np.array([60, 25, 9])


def tail(dtype=np.float64, seed=0):
    """Three classes whose sizes fall, their rows shuffled."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(3), SIZES))
    return (rng.normal(size=(len(codes), 6)) + 2 * np.eye(6)[codes]).astype(dtype), NAMES[codes]


def assert_same_fit(one, other):
    for name in ("subclass_labels_", "subclass_centers_", "prices_", "inertias_", "n_iter_"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.fixture(params=["cosine", "sqeuclidean"])
def balancer(request):
    return SubclassBalancer(delta=4, metric=request.param, random_state=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_a_fit_leaves(balancer, dtype):
    X, y = tail(dtype)
    assert balancer.fit(X, y) is balancer
    assert balancer.threshold_ == 9  # of the smallest class, which is above delta
    assert_array_equal(balancer.classes_, NAMES)
    assert_array_equal(balancer.n_subclasses_, [7, 3, 1])
    assert_array_equal(balancer.parent_, [0] * 7 + [1] * 3 + [2])
    assert_array_equal(balancer.to_classes(balancer.subclass_labels_), y)
    assert_array_equal(balancer.subclass_sizes_, np.bincount(balancer.subclass_labels_))
    assert_array_equal(np.sort(balancer.subclass_sizes_[:7]), [8, 8, 8, 9, 9, 9, 9])
    assert_array_equal(np.sort(balancer.subclass_sizes_[7:10]), [8, 8, 9])
    assert balancer.subclass_centers_.dtype == dtype and balancer.subclass_labels_.dtype == np.int32
    assert balancer.converged_ and (balancer.n_iter_ >= 1).all()
    assert (balancer.dual_gaps_ <= 1e-12 * balancer.inertias_).all()
    costs = cdist(X, balancer.subclass_centers_, balancer.metric)
    own = costs[np.arange(len(X)), balancer.subclass_labels_]
    expected = [own[y == name].sum() for name in NAMES]
    assert_allclose(balancer.inertias_, expected, rtol=1e-5)
    if balancer.metric == "cosine":
        assert_allclose(np.linalg.norm(balancer.subclass_centers_, axis=1), 1, rtol=1e-6)


def test_the_two_rules_differ_in_their_rounding():
    X, y = tail()
    capped = SubclassBalancer(delta=8, size_rule="cap").fit(X, y)
    coded = SubclassBalancer(delta=8, size_rule="code").fit(X, y)
    assert capped.threshold_ == coded.threshold_ == 9
    assert_array_equal(capped.n_subclasses_, [7, 3, 1])
    assert_array_equal(coded.n_subclasses_, [6, 2, 1])
    assert capped.subclass_sizes_.max() == 9
    assert coded.subclass_sizes_.min() >= 9 and coded.subclass_sizes_.max() <= 17


@pytest.mark.parametrize(("delta", "counts"), [(25, [3, 1, 1]), (59, [2, 1, 1]), (60, [1, 1, 1])])
def test_delta_is_a_least_size(delta, counts):
    X, y = tail()
    balancer = SubclassBalancer(delta=delta).fit(X, y)
    assert balancer.threshold_ == delta
    assert_array_equal(balancer.n_subclasses_, counts)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ape", "bee", "cat"], dtype=object),
        np.array([-3, 0, 7]),
        np.array([0.0, 1.0, 2.0]),
        np.array([1, 2, 300], dtype=np.uint16),
        np.array(["a" * 40, "b", "é"]),
    ],
)
def test_labels_of_any_kind(balancer, labels):
    X, y = tail()
    other = labels[np.searchsorted(NAMES, y)]
    again = clone(balancer).fit(X, other)
    assert_same_fit(balancer.fit(X, y), again)
    assert again.classes_.dtype == labels.dtype
    assert_array_equal(again.to_classes(again.predict(X, other)), other)
    assert_same_fit(balancer, clone(balancer).fit(X.tolist(), other.tolist()))


def test_frames_and_series(balancer):
    pandas = pytest.importorskip("pandas")
    X, y = tail()
    frame = pandas.DataFrame(X, columns=list("abcdef"), index=np.arange(len(X)) + 50)
    series = pandas.Series(y, index=frame.index, name="animal")
    expected = clone(balancer).fit(X, y)
    for target in (series, series.astype("category"), y):
        assert_same_fit(clone(balancer).fit(frame, target), expected)
    rows, labels = balancer.fit_resample(frame, series)
    assert rows is frame and isinstance(labels, pandas.Series)
    assert labels.name == "animal" and labels.index.equals(frame.index)
    assert_array_equal(labels, expected.subclass_labels_)
    assert_array_equal(balancer.predict(frame, series), expected.subclass_labels_)
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        _, column = balancer.fit_resample(frame, series.to_frame())
    assert column.columns.tolist() == ["animal"] and column.index.equals(frame.index)
    assert_array_equal(column["animal"], labels)
    assert_array_equal(balancer.get_feature_names_out(), list("abcdef"))
    with pytest.raises(ValueError, match="feature names"):
        balancer.predict(frame[list("fedcba")])


def test_polars(balancer):
    polars = pytest.importorskip("polars")
    X, y = tail()
    frame = polars.DataFrame({name: X[:, j] for j, name in enumerate("abcdef")})
    rows, labels = balancer.fit_resample(frame, polars.Series(y))
    assert rows is frame and isinstance(labels, np.ndarray)
    assert_same_fit(balancer, clone(balancer).fit(X, y))


def test_resampling_keeps_every_row(balancer):
    X, y = tail()
    rows, labels = balancer.fit_resample(X, y)
    assert rows is X
    assert_array_equal(labels, balancer.subclass_labels_)
    assert labels is not balancer.subclass_labels_  # whoever changes theirs does not change ours
    assert_array_equal(balancer.sample_indices_, np.arange(len(X)))
    # What samplers are for: before, the largest class had 6.7 times the rows of the smallest.
    counts = np.bincount(labels)
    assert counts.max() <= 1.2 * counts.min()
    assert_array_equal(clone(balancer).fit_predict(X, y), labels)
    assert clone(balancer).fit_resample(X.tolist(), y.tolist())[1] == labels.tolist()


def test_pipelines_of_imbalanced_learn_take_it(balancer):
    pipeline = pytest.importorskip("imblearn.pipeline")
    X, y = tail()
    model = pipeline.make_pipeline(balancer, LogisticRegression(max_iter=1000)).fit(X, y)
    fitted = model[0]
    assert_array_equal(model[-1].classes_, np.arange(11))
    # Predicted are subclasses: samplers have no say once a pipeline is fitted.
    found = fitted.to_classes(model.predict(X))
    assert np.mean(found == y) > 0.7
    assert model.predict_proba(X).shape == (len(X), 11)
    balancers = pytest.importorskip("imblearn.over_sampling")
    twice = pipeline.make_pipeline(
        balancer, balancers.RandomOverSampler(random_state=0), LogisticRegression(max_iter=1000)
    ).fit(X, y)
    assert_array_equal(twice[-1].classes_, np.arange(11))


def test_pipelines_of_scikit_learn_say_why_they_do_not():
    X, y = tail()
    with pytest.raises(TypeError, match="intermediate steps should be transformers"):
        plain_pipeline(SubclassBalancer(), LogisticRegression()).fit(X, y)


def test_a_row_finds_its_subclass_again(balancer):
    X, y = tail()
    balancer.fit(X, y)
    assert_array_equal(balancer.predict(X, y), balancer.subclass_labels_)
    rows = np.random.default_rng(0).permutation(len(X))[:30]
    assert_array_equal(balancer.predict(X[rows], y[rows]), balancer.subclass_labels_[rows])


def test_without_a_class_the_nearest_centre_of_any_class_wins(balancer):
    X, y = tail()
    new = np.random.default_rng(9).normal(size=(200, 6))
    found = balancer.fit(X, y).predict(new)
    costs = cdist(new, balancer.subclass_centers_, balancer.metric)
    assert_array_equal(found, costs.argmin(axis=1))
    assert set(balancer.parent_[found]) == {0, 1, 2}
    given = balancer.predict(new, NAMES[np.arange(200) % 3])
    assert_array_equal(balancer.parent_[given], np.arange(200) % 3)
    wide = clone(balancer).fit(X.astype(np.float32), y)  # rows of another precision than the fit
    assert np.mean(wide.predict(new) == found) > 0.9


def test_a_seed_is_an_answer_for_any_number_of_threads(balancer):
    X, y = tail()
    fits = []
    for n_threads in (1, 2):
        with config_context(n_threads=n_threads, block_bytes=4096 * 8):
            fits.append(clone(balancer).fit(X, y))
    assert_same_fit(*fits)
    assert_same_fit(fits[0], fits[0].fit(np.asfortranarray(X), y))  # a second fit starts afresh
    other = clone(balancer).set_params(random_state=1).fit(X, y)
    assert (other.subclass_labels_ != fits[0].subclass_labels_).any()


def test_more_starts_are_no_worse(balancer):
    X, y = tail()
    totals = [clone(balancer).set_params(n_init=n).fit(X, y).inertias_.sum() for n in (1, 4, 16)]
    assert totals == sorted(totals, reverse=True) and totals[2] < totals[0]


def test_scale_changes_nothing(balancer):
    X, y = tail()
    expected = balancer.fit(X, y).subclass_labels_
    for scale in (1e-12, 1e12):
        assert_array_equal(clone(balancer).fit_predict(scale * X, y), expected)


def test_digits_with_a_long_tail():
    from sklearn.datasets import load_digits

    X, y = make_long_tail(*load_digits(return_X_y=True), imbalance_ratio=25, random_state=0)
    balancer = SubclassBalancer(random_state=0).fit(X, y)
    assert balancer.threshold_ == 10 and balancer.subclass_sizes_.max() <= 10
    assert np.bincount(y).max() > 15 * balancer.subclass_sizes_.max()
    assert (balancer.dual_gaps_ <= 1e-12 * balancer.inertias_).all()
    assert_array_equal(balancer.predict(X, y), balancer.subclass_labels_)


def test_it_survives_storage(balancer):
    X, y = tail()
    again = pickle.loads(pickle.dumps(balancer.fit(X, y)))
    assert_same_fit(again, balancer)
    assert_array_equal(again.predict(X, y), balancer.subclass_labels_)


def test_classes_are_logged(caplog):
    X, y = tail()
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        SubclassBalancer(verbose=1, random_state=0).fit(X, y)
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("SubclassBalancer: class 'ape', 60 rows in 6 subclasses")


# What is unusual but not bad.


def test_a_single_class_stays_whole(balancer):
    balancer.fit(np.random.default_rng(0).normal(size=(50, 3)), ["only"] * 50)
    assert_array_equal(balancer.subclass_labels_, np.zeros(50))
    assert balancer.threshold_ == 50 and balancer.n_subclasses_.tolist() == [1]
    assert balancer.to_classes([0]).tolist() == ["only"]


def test_a_class_of_one_row(balancer):
    X, y = tail()
    X, y = np.r_[X, 5 * np.ones((1, 6))], np.r_[y, ["yak"]]
    balancer.fit(X, y)
    assert balancer.threshold_ == 4 and balancer.subclass_sizes_[-1] == 1
    unit = 1 / np.sqrt(6) if balancer.metric == "cosine" else 5
    assert_allclose(balancer.subclass_centers_[-1], unit, rtol=1e-12)
    balancer.set_params(delta=1).fit(X, y)  # every row is a subclass
    assert_array_equal(np.sort(balancer.subclass_labels_), np.arange(len(X)))
    assert_allclose(balancer.inertias_, 0, atol=1e-12)


def test_a_single_row(balancer):
    assert balancer.fit([[1.0, 2.0]], [3]).predict([[0.0, 1.0]]).tolist() == [0]


def test_equal_and_repeated_rows(balancer):
    y = np.repeat(["a", "b"], [23, 5])
    balancer.fit(np.full((28, 2), 3.0), y)
    assert sorted(balancer.subclass_sizes_) == [4, 4, 5, 5, 5, 5]
    assert_allclose(balancer.inertias_, 0, atol=1e-12)
    X = np.repeat(np.random.default_rng(0).normal(size=(7, 4)), 4, axis=0)
    balancer.fit(X, y)
    assert sorted(balancer.subclass_sizes_) == [4, 4, 5, 5, 5, 5]
    assert np.isfinite(balancer.subclass_centers_).all()


def test_rows_of_zeros():
    X, y = tail()
    X[np.flatnonzero(y == "ape")[:3]] = 0
    X[y == "cat"] = 0  # stays whole: nothing has to be compared
    balancer = SubclassBalancer(delta=4, random_state=0).fit(X, y)
    assert np.isfinite(balancer.subclass_centers_).all()
    assert_allclose(balancer.inertias_[2], 9)  # each row of zeros costs 1
    assert_array_equal(balancer.predict(np.zeros((2, 6)), ["cat", "cat"]), [10, 10])
    X[y == "bee"] = 0
    with pytest.raises(ValueError, match="every row of class 'bee' is zero .* 3 subclasses"):
        balancer.fit(X, y)
    flat = SubclassBalancer(delta=4, metric="sqeuclidean").fit(X, y)
    assert sorted(flat.subclass_sizes_[7:10]) == [8, 8, 9]


@pytest.mark.parametrize("method", ["fit", "fit_resample", "fit_predict"])
def test_too_few_iterations_warn_once(method):
    X, y = tail()
    balancer = SubclassBalancer(max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        getattr(balancer, method)(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert "max_iter=1 iterations for 2 of 3 classes, such as 'ape'" in str(caught[0].message)
    assert not balancer.converged_
    assert balancer.subclass_sizes_.max() == 10
