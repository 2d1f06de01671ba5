"""Left-out rows: who is left out, whose neighbours are kept, what is known of their domains."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.domain_folds import blended_log_likelihoods, domain_folds
from clusterlib.solvers.domain_neighbors import domain_histograms, nearest_other_rows
from clusterlib.solvers.label_shift import tempered_label_shift
from clusterlib.solvers.label_shift_folds import left_out_log_likelihoods
from clusterlib.solvers.tempered_em import posteriors_of_neighbors


def rows(n=300, r=5, seed=0):
    rng = np.random.default_rng(seed)
    domains = rng.integers(0, r, n).astype(np.int32)
    return nearest_other_rows(rng.normal(size=(n, 4)), 30), domains


def folds_of(near, domains, r=5, n_folds=3, **options):
    return domain_folds(near, domains, r, n_folds, rng=np.random.default_rng(0), **options)


def test_every_row_is_left_out_once_and_domains_are_dealt_evenly():
    near, domains = rows()
    folds = folds_of(near, domains)
    left_out = np.concatenate([fold.left_out for fold in folds])
    assert_array_equal(np.sort(left_out), np.arange(300))
    sizes = np.bincount(domains)
    for fold in folds:
        assert_array_equal(np.union1d(fold.kept, fold.left_out), np.arange(300))
        assert np.abs(np.bincount(domains[fold.left_out]) - sizes / 3).max() < 1


def test_neighbors_are_the_nearest_that_are_kept():
    near, domains = rows()
    for fold in folds_of(near, domains):
        for lists, own in ((fold.neighbors, fold.kept), (fold.left_out_neighbors, fold.left_out)):
            for row, found in zip(own, fold.kept[lists], strict=True):
                expected = near[row][np.isin(near[row], fold.kept)][:10]
                assert_array_equal(found[: len(expected)], expected)
        counted = [
            np.bincount(domains[near[i][np.isin(near[i], fold.kept)]], minlength=5)
            for i in fold.kept
        ]
        expected = np.array(counted) / np.sum(counted, axis=1, keepdims=True)
        assert_allclose(fold.f.toarray(), expected)


def test_estimates_from_elsewhere_are_taken_as_they_are():
    near, domains = rows()
    f = domain_histograms(near, domains, 5)
    for fold in folds_of(near, domains, f=f):
        assert_allclose(fold.f.toarray(), f.toarray()[fold.kept])


def test_the_only_row_of_a_domain_is_kept():
    near, domains = rows()
    domains[domains == 4] = 3
    domains[17] = 4
    folds = folds_of(near, domains)
    assert all(17 in fold.kept for fold in folds)
    assert all((np.bincount(domains[fold.kept], minlength=5) > 0).all() for fold in folds)


def test_few_and_no_kept_neighbors():
    """Two neighbours: some rows keep one, which is repeated, and some none."""
    near, domains = rows()
    for fold in folds_of(near[:, :2], domains, n_folds=2, n_averaged=2):
        assert_allclose(fold.f.toarray().sum(axis=1), 1.0)
        assert fold.neighbors.min() >= 0
        assert fold.neighbors.max() < len(fold.kept)
        one = np.isin(near[fold.left_out, :2], fold.kept).sum(axis=1) == 1
        assert one.any()
        assert (np.diff(fold.left_out_neighbors[one], axis=1) == 0).all()


def test_one_class_predicts_the_shares_of_the_kept():
    near, domains = rows()
    folds = folds_of(near, domains)
    found = left_out_log_likelihoods(folds, domains, 5, 1, rng=np.random.default_rng(0))
    expected = [
        np.log(np.bincount(domains[fold.kept]) / len(fold.kept))[domains[fold.left_out]]
        for fold in folds
    ]
    assert_allclose(found, np.concatenate(expected))


@pytest.mark.parametrize("surest", [0.0, 1e-12])
def test_blend_is_the_best_of_its_shares(surest):
    rng = np.random.default_rng(0)
    likelihoods, others = rng.random(50), rng.random(50)
    likelihoods[0] = surest
    shares = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
    means = [np.log(np.maximum((1 - s) * likelihoods + s * others, 1e-320)).mean() for s in shares]
    found = blended_log_likelihoods(likelihoods, others)
    assert np.isfinite(found).all()
    assert_allclose(found.mean(), max(means), rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"tau": 1.5}])
def test_classes_of_the_kept_predict_the_left_out(options):
    near, domains = rows()
    folds = folds_of(near, domains)
    options = options | {"n_starts": 2, "max_iter": 15}
    found = left_out_log_likelihoods(folds, domains, 5, 3, rng=np.random.default_rng(1), **options)
    rng, own, mean = np.random.default_rng(1), [], []
    for fold in folds:
        known = domains[fold.kept]
        fit = tempered_label_shift(fold.f, fold.neighbors, known, 5, 3, rng=rng, **options)
        mixed = posteriors_of_neighbors(
            fit.responsibilities, fold.left_out_neighbors, tau=options.get("tau", 2.0)
        )
        asked = domains[fold.left_out]
        own.append(np.sum(mixed * fit.domain_given_class[asked], axis=1))
        mean.append(fit.domain_given_class.mean(axis=1)[asked])
    expected = blended_log_likelihoods(np.concatenate(own), np.concatenate(mean))
    assert_allclose(found, expected, rtol=1e-6)
