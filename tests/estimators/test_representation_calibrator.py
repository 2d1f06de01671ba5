"""RepresentationCalibrator: what it finds, what it draws, and which labels it doubts."""

import logging
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from clusterlib.datasets import make_noisy_labels
from clusterlib.imbalance import RepresentationCalibrator
from clusterlib.imbalance._label_issues import warn_of_labels
from clusterlib.solvers import (
    HeadWeights,
    RidgeKind,
    calibrate_tail,
    class_inliers,
    inlier_gaussians,
    noisy_gaussians,
)

NAMES = np.array(["ape", "bee", "cat", "dog"])
SIZES = np.array([160, 80, 40, 20])


def tail(noise=0.0, seed=0, dtype=np.float64):
    """Four Gaussian classes whose sizes fall, their true classes, and labels."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.repeat(np.arange(4), SIZES))
    X = rng.normal(size=(300, 5)) * np.array([1.0, 1.5, 0.7, 1.0])[classes, None]
    X += 6 * np.eye(5)[classes]
    moved = (classes + rng.integers(1, 4, size=300)) % 4
    codes = np.where(rng.random(300) < noise, moved, classes)
    return X.astype(dtype), NAMES[classes], NAMES[codes]


def assert_same_fit(one, other):
    for name in ("means_", "covariances_", "class_prior_", "effective_counts_", "n_iter_"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.fixture(params=["noise_model", "paper"])
def calibrator(request):
    return RepresentationCalibrator(recovery=request.param, random_state=0)


def test_the_noise_model_is_that_of_the_solver():
    X, _, y = tail(noise=0.2)
    calibrator = RepresentationCalibrator(shrinkage=12, random_state=0)
    assert calibrator.fit(X, y) is calibrator
    codes = np.searchsorted(NAMES, y)
    fit = noisy_gaussians(X, codes, 4, shrinkage=12.0, max_iter=300)
    assert_array_equal(calibrator.classes_, NAMES)
    assert_array_equal(calibrator.means_, fit.means)
    assert_array_equal(calibrator.covariances_, fit.covariances)
    assert_array_equal(calibrator.class_prior_, fit.class_prior)
    assert_array_equal(calibrator.label_quality_, fit.label_quality)
    assert_array_equal(calibrator.transition_matrix_, fit.transition)
    assert_array_equal(calibrator.history_, fit.history)
    assert calibrator.n_iter_ == fit.n_iter == len(fit.history) and calibrator.converged_
    assert calibrator.shrinkage_ == 12 and calibrator.shrinkage_choice_ is None
    quality = [fit.label_quality[codes == k].sum() for k in range(4)]
    assert_allclose(calibrator.effective_counts_, quality)
    assert not hasattr(calibrator, "inlier_mask_") and not hasattr(calibrator, "gamma_")
    shared = clone(calibrator).set_params(shrinkage=np.inf).fit(X, y)
    assert_array_equal(shared.covariances_[0], shared.covariances_[3])


def test_the_shrinkage_is_chosen():
    X, _, y = tail(noise=0.2)
    calibrator = RepresentationCalibrator(random_state=0).fit(X, y)
    choice = calibrator.shrinkage_choice_
    assert calibrator.shrinkage_ == choice.shrinkage and choice.shrinkage in choice.candidates
    assert np.isfinite(choice.scores).sum() >= 3 and choice.n_scored == 300
    given = clone(calibrator).set_params(shrinkage=choice.shrinkage).fit(X, y)
    assert_same_fit(given, calibrator)
    short = clone(calibrator).set_params(max_iter=2)
    with pytest.warns(ConvergenceWarning):
        short.fit(X, y)
    # No fit of the choice takes more iterations than the fit itself.
    assert (short.shrinkage_choice_.scores[1:4] != choice.scores[1:4]).all()
    # Nor is one carried further than a comparison needs, or than the fit itself.
    for tol, same in ((1e-12, True), (1e-2, False)):
        other = clone(calibrator).set_params(tol=tol, max_iter=1000).fit(X, y).shrinkage_choice_
        assert (other.scores[1:4] == choice.scores[1:4]).all() == same


def test_the_paper_is_that_of_the_solvers():
    X, _, y = tail(noise=0.2)
    X[0] = 50.0  # an outlier
    codes, options = np.searchsorted(NAMES, y), {"n_neighbors": 7, "outlier_threshold": 1.3}
    calibrator = RepresentationCalibrator(
        recovery="paper",
        n_heads=1,
        gamma=0.2,
        alpha=0.7,
        ridge="identity",
        weights="inverse",
        **options,
    ).fit(X, y)
    inliers = class_inliers(X, codes, 4, n_neighbors=7, threshold=1.3)
    sizes = np.bincount(codes)
    means, covariances = inlier_gaussians(X, codes, 4, inliers)
    expected = calibrate_tail(
        sizes,
        means,
        covariances,
        n_neighbors=1,
        gamma=0.2,
        alpha=0.7,
        ridge=RidgeKind.IDENTITY,
        weights=HeadWeights.INVERSE,
    )
    assert not inliers[0]
    assert_array_equal(calibrator.inlier_mask_, inliers)
    for name in expected._fields:
        assert_array_equal(getattr(calibrator, f"{name}_"), getattr(expected, name), err_msg=name)
    assert_array_equal(calibrator.class_prior_, sizes / 300)
    assert_array_equal(calibrator.effective_counts_, np.bincount(codes[inliers]))
    assert calibrator.n_iter_ == 1 and calibrator.converged_ is True
    assert not hasattr(calibrator, "label_quality_") and not hasattr(calibrator, "shrinkage_")
    estimated = clone(calibrator).set_params(gamma="eb").fit(X, y)
    assert (estimated.gamma_ != calibrator.gamma_).any()


def test_another_recovery_leaves_nothing_of_the_first():
    X, _, y = tail(noise=0.1)
    calibrator = RepresentationCalibrator(shrinkage=5).fit(X, y)
    calibrator.set_params(recovery="paper").fit(X, y)
    fresh = RepresentationCalibrator(recovery="paper").fit(X, y)
    assert vars(calibrator).keys() == vars(fresh).keys()
    fresh = RepresentationCalibrator(shrinkage=5).fit(X, y)
    assert (
        vars(calibrator.set_params(recovery="noise_model").fit(X, y)).keys() == vars(fresh).keys()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_class_is_filled_up(calibrator, dtype):
    X, _, y = tail(noise=0.1, dtype=dtype)
    rows, labels = calibrator.fit_resample(X, y)
    assert rows.dtype == dtype and labels.dtype == y.dtype
    assert_array_equal(rows[:300], X)
    assert_array_equal(labels[:300], y)
    assert_array_equal(calibrator.sample_indices_, np.arange(300))
    sizes = np.unique(y, return_counts=True)[1]
    assert_array_equal(np.unique(labels, return_counts=True)[1], np.full(4, sizes.max()))
    assert_array_equal(labels[300:], np.repeat(NAMES, sizes.max() - sizes))
    assert_same_fit(clone(calibrator).fit(X, y), calibrator)
    again, _ = clone(calibrator).fit_resample(X, y)
    assert_array_equal(again, rows)
    other, _ = clone(calibrator).set_params(random_state=1).fit_resample(X, y)
    assert (other[300:] != rows[300:]).any()


@pytest.mark.parametrize("dof", [None, 8.0])
def test_drawn_rows_are_as_the_classes(dof):
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(size=(20000, 2)), rng.normal(size=(200, 2)) @ [[2, 1], [0, 1]] + [20, 0]]
    y = np.repeat([0, 1], [20000, 200])
    calibrator = RepresentationCalibrator(shrinkage=1, degrees_of_freedom=dof, random_state=0)
    rows, labels = calibrator.fit_resample(X, y)
    drawn = rows[20200:]
    assert_array_equal(labels[20200:], 1)
    covariance = calibrator.covariances_[1]
    fit = noisy_gaussians(X, y, 2, shrinkage=1, degrees_of_freedom=dof, max_iter=300)
    wider = 1 if dof is None else 8 / 6  # than the scale matrices of Student's t
    assert_allclose(calibrator.covariances_, wider * fit.covariances, rtol=1e-12)
    assert_allclose(drawn.mean(axis=0), calibrator.means_[1], atol=0.06)
    assert_allclose(np.cov(drawn.T), covariance, atol=0.08 * covariance.max())
    deviations = drawn - calibrator.means_[1]
    distances = np.sum(deviations @ np.linalg.inv(covariance) * deviations, axis=1)
    # Of a plane's Gaussian e^-6 of the rows are so far out; of Student's t, more.
    expected = np.exp(-6) if dof is None else (1 + 12 / (dof - 2)) ** (-dof / 2)
    assert_allclose(np.mean(distances > 12), expected, rtol=0.3)


def test_wrong_labels_are_found():
    X, classes, y = tail(noise=0.25)
    calibrator = RepresentationCalibrator(random_state=0).fit(X, y)
    rows, labels, probabilities = calibrator.find_label_issues()
    wrong = classes != y
    assert wrong[rows].mean() > 0.95 and wrong[rows].sum() > 0.9 * wrong.sum()
    hit = wrong[rows]
    assert np.mean(labels[hit] == classes[rows[hit]]) > 0.95
    assert (labels != y[rows]).all() and (probabilities > 0.5).all()
    assert (np.diff(probabilities) <= 0).all()
    assert_array_equal(probabilities, 1 - calibrator.label_quality_[rows])
    assert_array_equal(calibrator.find_label_issues(n_issues=3)[0], rows[:3])
    assert len(calibrator.find_label_issues(n_issues=0)[0]) == 0
    assert len(calibrator.find_label_issues(threshold=1)[1]) == 0
    strict = calibrator.find_label_issues(threshold=0.99)[2]
    assert 0 < len(strict) < len(rows) + 1 and (strict > 0.99).all()
    everything = calibrator.find_label_issues(threshold=0, n_issues=200)
    assert len(everything[0]) == 200
    # Rates of wrong labels are known as well, and how many rows are right.
    assert_allclose(calibrator.transition_matrix_.diagonal()[:2], 0.75, atol=0.08)
    right = [np.sum(~wrong & (y == name)) for name in NAMES]
    assert_allclose(calibrator.effective_counts_, right, atol=8)


def test_equal_doubts_come_in_the_order_of_the_rows():
    X, _, y = tail(noise=0.2)
    calibrator = RepresentationCalibrator(shrinkage=12).fit(X, y)
    calibrator.label_quality_ = np.repeat([0.25, 0.125, 0.25], 100)
    rows, labels, probabilities = calibrator.find_label_issues()
    assert_array_equal(rows, np.r_[100:200, 0:100, 200:300])
    assert_array_equal(labels, calibrator.other_labels_[rows])
    assert_array_equal(probabilities, np.repeat([0.875, 0.75], [100, 200]))


def test_means_of_rare_classes_in_spite_of_wrong_labels():
    X, _, y = tail(noise=0.4, seed=3)
    new, truth, _ = tail(seed=4)
    means = np.array([new[truth == name].mean(axis=0) for name in NAMES])
    errors = {}
    for recovery in ("noise_model", "paper"):
        calibrator = RepresentationCalibrator(recovery=recovery, random_state=0).fit(X, y)
        errors[recovery] = np.square(calibrator.means_ - means).sum(axis=1)
    assert (errors["noise_model"][1:] < 0.5 * errors["paper"][1:]).all()


@pytest.mark.parametrize(
    "labels",
    [
        NAMES.astype(object),
        np.array([-3, 0, 7, 9]),
        np.array([0.0, 1.0, 2.0, 3.0]),
        np.array([1, 2, 300, 301], dtype=np.uint16),
    ],
)
def test_labels_of_any_kind(calibrator, labels):
    X, _, y = tail(noise=0.1)
    other = labels[np.searchsorted(NAMES, y)]
    again = clone(calibrator)
    rows, filled = again.fit_resample(X, other)
    assert_same_fit(calibrator.fit(X, y), again)
    assert again.classes_.dtype == filled.dtype == labels.dtype
    as_list = clone(calibrator).fit_resample(X.tolist(), other.tolist())
    assert as_list == (rows.tolist(), filled.tolist())
    assert type(as_list[1][0]) is type(other.tolist()[0])


def test_frames_and_series(calibrator):
    pandas = pytest.importorskip("pandas")
    X, _, y = tail(noise=0.1)
    frame = pandas.DataFrame(X, columns=list("abcde"), index=np.arange(300) + 50)
    rows, labels = clone(calibrator).fit_resample(X, y)
    for target in (pandas.Series(y, name="animal"), pandas.Series(y).astype("category")):
        found, filled = calibrator.fit_resample(frame, target)
        assert isinstance(found, pandas.DataFrame) and list(found.columns) == list("abcde")
        assert_array_equal(found.to_numpy(), rows)
        assert_array_equal(found.index, np.arange(len(rows)))
        assert isinstance(filled, pandas.Series) and filled.dtype == target.dtype
        assert filled.name == target.name
        assert_array_equal(filled.to_numpy(), labels)
    target = pandas.DataFrame({"animal": y}, dtype="category")
    with pytest.warns(UserWarning, match="column-vector y"):
        _, column = calibrator.fit_resample(frame, target)
    assert column.columns.tolist() == ["animal"]
    assert column.dtypes.equals(target.dtypes)
    assert_array_equal(column["animal"], labels)
    assert_array_equal(calibrator.get_feature_names_out(), list("abcde"))
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({name: X[:, j] for j, name in enumerate("abcde")})
    assert_array_equal(calibrator.fit_resample(table, polars.Series(y))[0], rows)


def test_pipelines_of_imbalanced_learn_take_it(calibrator):
    pipeline = pytest.importorskip("imblearn.pipeline")
    X, _, y = tail(noise=0.2)
    model = pipeline.make_pipeline(calibrator, LogisticRegression(max_iter=2000)).fit(X, y)
    new, truth, _ = tail(seed=1)
    assert np.mean(model.predict(new) == truth) > 0.9
    filled = LogisticRegression(max_iter=2000).fit(*clone(calibrator).fit_resample(X, y))
    assert_array_equal(model[-1].coef_, filled.coef_)


def test_it_survives_storage(calibrator):
    X, _, y = tail(noise=0.1)
    assert_same_fit(pickle.loads(pickle.dumps(calibrator.fit(X, y))), calibrator)


def test_iterations_are_logged(caplog):
    X, _, y = tail()
    calibrator = RepresentationCalibrator(verbose=1, shrinkage=5)
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        calibrator.fit(X, y)
    assert len(caplog.messages) == calibrator.n_iter_
    assert caplog.messages[0].startswith("RepresentationCalibrator: iteration 1, objective ")


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
def test_warnings_come_once(method):
    X, _, y = tail()
    keep = np.r_[np.flatnonzero(y != "dog"), np.flatnonzero(y == "dog")[:2]]
    calibrator = RepresentationCalibrator(max_iter=3, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(calibrator, method)(X[keep], y[keep])
    assert [item.category for item in caught] == [ConvergenceWarning, UserWarning]
    assert all(item.filename == __file__ for item in caught)
    assert "max_iter=3" in str(caught[0].message) and not calibrator.converged_
    assert "fewer than 4 labels are right of: 'dog'. " in str(caught[1].message)
    assert calibrator.effective_counts_[3] < 2.01
    RepresentationCalibrator(recovery="paper", max_iter=1).fit(X[keep], y[keep])  # has none


def warned(calibrator, X, y, method="fit"):
    """Messages of warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(calibrator, method)(X, y)
    assert all(item.category is UserWarning and item.filename == __file__ for item in caught)
    return [str(item.message) for item in caught]


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
def test_classes_that_are_labelled_as_the_next_one_are_named(method):
    rng = np.random.default_rng(2)
    classes = np.repeat(np.arange(4), 150)
    X = rng.normal(size=(600, 5)) + 3 * np.eye(5)[classes]
    # One covariance: of their own, classes would stretch over two clusters each, and seem right.
    calibrator = RepresentationCalibrator(shrinkage=np.inf, random_state=0)
    labels = {}
    for rate in (0.1, 0.45):
        labels[rate], _ = make_noisy_labels(
            NAMES[classes], noise_rate=rate, kind="next", random_state=2
        )
    assert warned(calibrator, X, labels[0.1], method) == []
    [message] = warned(calibrator, X, labels[0.45], method)
    assert (
        "classes are labelled as another nearly as often as correctly: 'ape' (as 'bee'), "
        "'bee' (as 'cat'), 'cat' (as 'dog'), 'dog' (as 'ape'). One may"
    ) in message
    # Of one class alone: only it is named.
    only = np.where(classes == 1, labels[0.45], NAMES[classes])
    [message] = warned(calibrator, X, only, method)
    assert "correctly: 'bee' (as 'cat'). One may" in message


@pytest.mark.parametrize(
    ("transition", "named"),
    [
        ([[1.0]], None),
        ([[0.61, 0.39, 0.0], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]], None),
        ([[0.59, 0.41, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "7 (as 8)"),
        # Many wrong labels are no rival where each of them is rare.
        ([[0.4, 0.25, 0.35], [0.3, 0.4, 0.3], [0.26, 0.25, 0.49]], "7 (as 9), 8 (as 7)"),
        ([[0.1, 0.9, 0.0], [0.0, 0.2, 0.8], [0.0, 0.0, 1.0]], "7 (as 8), 8 (as 9)"),
    ],
)
def test_which_classes_are_doubtful(transition, named):
    calibrator = RepresentationCalibrator()
    calibrator.converged_ = True
    calibrator.classes_ = np.array([7, 8, 9])[: len(transition)]
    calibrator.label_quality_ = np.ones(1)
    calibrator.effective_counts_ = np.full(len(transition), 4.0)
    calibrator.transition_matrix_ = np.array(transition)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_labels(calibrator)
    messages = [str(item.message) for item in caught]
    assert len(messages) == (named is not None)
    assert named is None or f"correctly: {named}. One" in messages[0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_fit_takes_no_copy_of_the_rows(order):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=40_000)
    X = np.asarray(rng.normal(size=(40_000, 60)) + 3 * np.eye(60)[y], dtype=np.float32, order=order)
    calibrator = RepresentationCalibrator(shrinkage=np.inf, max_iter=2)
    tracemalloc.start()
    with pytest.warns(ConvergenceWarning):
        calibrator.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes
