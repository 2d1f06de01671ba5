"""Passes for one covariance: what they save, what they keep, and when they must not be thin."""

import importlib
import tracemalloc

import numpy as np
import pytest

from clusterlib.blocks import ArrayBlocks, as_blocks
from clusterlib.config import config_context
from clusterlib.solvers import (
    likely_other_classes,
    noisy_gaussian_scores,
    noisy_gaussians,
    noisy_label_likelihood,
    noisy_shared_sweep,
)
from clusterlib.solvers.noisy_gaussian_sweep import (
    ClassDensities,
    label_statistics,
    swept_statistics,
)
from clusterlib.solvers.noisy_shared_sweep import SharedSweep, linear_scores, total_scatter
from tests.solvers.test_noisy_gaussians import assert_same_fit, planted

FIELDS = ("counts", "weights", "sums", "scatters", "log_likelihood")


def drawn(n, m, n_classes, spread=2.0, offset=0.0, seed=0):
    """Rows, labels of which some are wrong, class means, and one covariance."""
    rng = np.random.default_rng(seed)
    means = offset + spread * rng.normal(size=(n_classes, m))
    classes = rng.integers(n_classes, size=n)
    X = means[classes] + rng.normal(size=(n, m))
    codes = np.where(rng.random(n) < 0.3, rng.integers(n_classes, size=n), classes)
    A = rng.normal(size=(m, m))
    return X, codes, means, np.eye(m) + 0.3 * A @ A.T / m


def both_passes(X, codes, weight, densities, ridge=0.01):
    """Statistics and qualities of the pass under test and of that which sums scatters."""
    n_classes = len(densities.means)
    rng = np.random.default_rng(1)
    prior = rng.dirichlet(np.full(n_classes, 5.0))
    transition = rng.dirichlet(np.ones(n_classes), size=n_classes) / 2 + np.eye(n_classes) / 2
    blocks = as_blocks(X)
    w = np.ones(len(X)) if weight is None else weight
    origin = w @ X.astype(np.float64) / w.sum()
    rooted = np.sqrt(w)[:, None] * (X - origin)
    sweep = SharedSweep(blocks, codes, weight, origin, rooted.T @ rooted, ridge)
    summed = swept_statistics(blocks, codes, weight, densities, prior, transition)
    return sweep(densities, prior, transition), summed


def never(*_):
    raise AssertionError("rows were whitened, or scatters summed")


@pytest.fixture
def only_thin(monkeypatch):
    # The package shows the function of this name, not its module.
    fit = importlib.import_module("clusterlib.solvers.noisy_gaussians")
    for module in (fit, noisy_shared_sweep):
        monkeypatch.setattr(module, "swept_statistics", never)


@pytest.fixture
def thin_passes(monkeypatch):
    """Whether each thin pass was good enough."""
    found, has_digits = [], SharedSweep._has_digits

    def noted(self, scatter):
        found.append(has_digits(self, scatter))
        return found[-1]

    monkeypatch.setattr(SharedSweep, "_has_digits", noted)
    return found


@pytest.mark.parametrize(
    ("n", "m", "n_classes"), [(700, 3, 4), (9000, 6, 3), (12, 30, 3), (50, 4, 1), (1, 2, 2)]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 2.0**20])
def test_statistics_are_those_of_summed_scatters(only_thin, n, m, n_classes, weighted, offset):
    X, codes, means, covariance = drawn(n, m, n_classes, offset=offset)
    X = X.astype(np.float32)
    weight = np.random.default_rng(2).integers(0, 4, size=n) / 2 + (n == 1) if weighted else None
    densities = ClassDensities(means, covariance[None], None)
    found, expected = both_passes(X, codes, weight, densities, ridge=1.0)
    size = np.abs(expected[0].scatters).max()
    for name in FIELDS:
        left, right = getattr(found[0], name), getattr(expected[0], name)
        assert np.shape(left) == np.shape(right), name
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9 * size, err_msg=name)
    np.testing.assert_array_equal(found[0].scatters[0], found[0].scatters[0].T)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-10)


def test_least_posteriors_count_as_nothing(only_thin):
    X, codes, means, covariance = drawn(300, 3, 4, spread=30.0)
    (statistics, quality), expected = both_passes(
        X, codes, None, ClassDensities(means, covariance[None], None)
    )
    assert np.count_nonzero(quality == 0) > 20
    np.testing.assert_array_equal(quality == 0, expected[1] == 0)
    np.testing.assert_array_equal(statistics.counts == 0, expected[0].counts == 0)


def test_total_scatter_is_about_the_point():
    X, codes, centers, _ = drawn(500, 4, 3)
    weight = np.random.default_rng(1).random(500)
    origin = np.array([1.0, -2.0, 0.0, 3.0])
    for n_scatters in (1, 3):
        statistics = label_statistics(as_blocks(X), codes, weight, centers, n_scatters)
        found = total_scatter(statistics, centers, origin)
        expected = (X - origin).T @ (weight[:, None] * (X - origin))
        np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_fits_sum_no_scatters_and_keep_their_bits(only_thin):
    X, codes, _, _ = drawn(17_500, 6, 4)
    X = np.column_stack([X, np.full(len(X), 0.1)]).astype(np.float32)
    weight = np.random.default_rng(3).random(len(X))
    options = {"shrinkage": np.inf, "sample_weight": weight, "prior_iter": 3, "max_iter": 6}
    whole = noisy_gaussians(X, codes, 4, **options, tol=-np.inf)
    for block_rows, n_threads in ((4096, 1), (8192, 2), (16384, 1)):
        with config_context(n_threads=n_threads):
            blocks = ArrayBlocks(X, block_rows)
            cut = noisy_gaussians(blocks, codes, 4, **options, tol=-np.inf)
        for name, left, right in zip(whole._fields, whole, cut, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=name)
        for of_rows in (noisy_label_likelihood, likely_other_classes):
            np.testing.assert_array_equal(of_rows(blocks, codes, cut), of_rows(X, codes, whole))


def test_far_from_the_origin_single_precision_loses_nothing(only_thin):
    X, _, codes, _, _ = planted(n=300)
    X = np.round(X * 8) / 8  # exact beside the offset
    near, far = (
        noisy_gaussians(
            (X + offset).astype(np.float32), codes, 4, shrinkage=np.inf, max_iter=40, tol=-np.inf
        )
        for offset in (0.0, 2.0**20)
    )
    assert_same_fit(near, far._replace(means=far.means - 2.0**20), 1e-7)


def test_rows_without_weight_are_judged_and_change_nothing(only_thin):
    X, _, codes, _, _ = planted(n=300)
    weight = np.where(np.arange(300) % 3 == 0, 0.0, 1.5)
    fit = noisy_gaussians(X, codes, 4, shrinkage=np.inf, sample_weight=weight)
    X[::3] += np.random.default_rng(0).normal(size=X[::3].shape)
    moved = noisy_gaussians(X, codes, 4, shrinkage=np.inf, sample_weight=weight)
    np.testing.assert_allclose(moved.means, fit.means, rtol=1e-9)
    np.testing.assert_allclose(moved.history, fit.history, rtol=1e-11)
    assert np.abs(moved.label_quality - fit.label_quality)[::3].max() > 1e-3


@pytest.mark.parametrize("ridge", [0.01, 1e-6])
@pytest.mark.parametrize("distance", [1e2, 1e3, 1e4, 1e6, 1e9])
def test_classes_far_apart_are_what_summed_scatters_find(monkeypatch, ridge, distance):
    X, codes, _, _ = drawn(600, 20, 4, spread=distance)
    options = {"shrinkage": np.inf, "max_iter": 12, "prior_iter": 6, "tol": -np.inf}
    fit = noisy_gaussians(X, codes, 4, ridge=ridge, **options)
    monkeypatch.setattr(noisy_shared_sweep, "linear_scores", lambda *_: None)
    summed = noisy_gaussians(X, codes, 4, ridge=ridge, **options)
    size = np.abs(summed.covariances[0]).max()
    np.testing.assert_allclose(fit.covariances[0], summed.covariances[0], atol=1e-10 * size)
    np.testing.assert_allclose(fit.label_quality, summed.label_quality, atol=1e-9)
    np.testing.assert_allclose(fit.history[-3:], summed.history[-3:], rtol=1e-10)


def test_narrow_classes_are_noticed(thin_passes):
    # As wide as labels say: the covariance does not tell how narrow classes are.
    X, codes, means, _ = drawn(600, 4, 3, spread=1e6)
    covariance = np.cov(X.T)[None] / 100
    found, expected = both_passes(X, codes, None, ClassDensities(means, covariance, None), 0.5)
    assert thin_passes.pop() is False
    np.testing.assert_array_equal(found[0].scatters, expected[0].scatters)
    # These are wide, and it depends on what the ridge leaves of their least variance.
    X, codes, means, covariance = drawn(600, 4, 3)
    for ridge in (1e-5, 1e-9):
        both_passes(X, codes, None, ClassDensities(means, covariance[None], None), ridge)
    assert thin_passes == [True, False]


@pytest.mark.parametrize(("share", "is_tried"), [(0.9, True), (1.1, False)])
def test_rows_far_away_on_average_are_noticed(thin_passes, share, is_tried):
    X, codes, means, covariance = drawn(600, 4, 3)
    weight = np.random.default_rng(5).random(600)
    deviations = X - weight @ X / weight.sum()
    distances = np.einsum("ij,ij->i", deviations @ np.linalg.inv(covariance), deviations)
    covariance *= weight @ distances / weight.sum() / (share * 2**14)
    both_passes(X, codes, weight, ClassDensities(means, covariance[None], None))
    assert thin_passes == [True] * is_tried


def test_linear_scores_are_log_densities_up_to_a_term_of_the_row():
    X, _, means, covariance = drawn(40, 3, 5)
    densities = ClassDensities(means, covariance[None], None)
    origin = X.mean(axis=0)
    found = linear_scores(densities, origin).of_deviations(X - origin)
    expected = densities.log_densities(densities.squared_distances(X))
    rest = found - expected
    np.testing.assert_allclose(rest, np.repeat(rest[:, :1], 5, axis=1), atol=1e-11)


def test_where_scores_are_not_linear_there_are_none():
    _, _, means, covariance = drawn(40, 3, 2)
    origin = means.mean(axis=0)
    each = np.repeat(covariance[None], 2, axis=0)
    assert linear_scores(ClassDensities(means, covariance[None], 4.0), origin) is None
    assert linear_scores(ClassDensities(means, each, None), origin) is None
    unit = np.eye(1)[None]
    for distance, is_there in ((1000.0, True), (1050.0, False)):
        ends = ClassDensities(np.array([[0.0], [distance]]), unit, None)
        assert (linear_scores(ends, np.zeros(1)) is not None) == is_there


@pytest.mark.parametrize("distance", [2.0, 1e5])
def test_labels_and_other_classes_are_those_of_equal_covariances(distance):
    X, codes, means, covariance = drawn(300, 3, 4, spread=distance)
    fit = noisy_gaussians(X, codes, 4, shrinkage=np.inf)
    fit = fit._replace(means=means, covariances=np.broadcast_to(covariance, (4, 3, 3)))
    copied = fit._replace(covariances=fit.covariances.copy())
    np.testing.assert_allclose(
        noisy_label_likelihood(X, codes, fit),
        noisy_label_likelihood(X, codes, copied),
        rtol=1e-9,
        atol=1e-10,
    )
    others = likely_other_classes(X, codes, fit)
    np.testing.assert_array_equal(others, likely_other_classes(X, codes, copied))
    assert (others != codes).all()


def test_only_scores_whiten_rows(monkeypatch):
    X, codes, _, _ = drawn(100, 3, 4)
    fit = noisy_gaussians(X, codes, 4, shrinkage=np.inf)
    monkeypatch.setattr(ClassDensities, "squared_distances", never)
    assert np.isfinite(noisy_label_likelihood(X, codes, fit)).all()
    assert len(likely_other_classes(X, codes, fit)) == 100
    with pytest.raises(AssertionError, match="whitened"):
        noisy_gaussian_scores(X, fit)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    X, codes, _, _ = drawn(60, 3, 4)
    X[7, 1] = value
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="NaN or infinity"):
        noisy_gaussians(X, codes, 4, shrinkage=np.inf)


def test_no_array_has_a_number_for_each_row_and_class(only_thin):
    X, codes, _, _ = drawn(100_000, 2, 60)
    noisy_gaussians(X[:100], codes[:100], 60, shrinkage=np.inf, max_iter=1)
    tracemalloc.start()
    noisy_gaussians(ArrayBlocks(X), codes, 60, shrinkage=np.inf, max_iter=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One such array takes 48 MB, leaves of 4096 rows 2 MB each.
    assert peak < 24e6
