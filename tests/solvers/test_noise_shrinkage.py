"""Choosing the shrinkage of Gaussian classes with wrong labels: scores, the rule, folds, samples."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import (
    choose_shrinkage,
    noisy_gaussian_scores,
    noisy_gaussians,
    noisy_label_likelihood,
)
from clusterlib.solvers.label_folds import label_folds, stratified_rows
from tests.solvers.test_noisy_gaussians import planted


def folds_of(codes, seed):
    """The folds of a call that takes no sample."""
    return label_folds(codes, np.random.default_rng(seed))


def choice_of(X, codes, n_classes, seed=0, **options):
    return choose_shrinkage(X, codes, n_classes, np.random.default_rng(seed), **options)


def left_out_scores(X, codes, candidates, weight=None, **options):
    """Score of each row by the fit without its fold, a line for each candidate."""
    folds = folds_of(codes, 0)
    found = np.zeros((len(candidates), len(X)))
    for f in range(3):
        out = folds == f
        kept = None if weight is None else weight[~out]
        for c, shrinkage in enumerate(candidates):
            fit = noisy_gaussians(
                X[~out], codes[~out], 4, shrinkage=shrinkage, sample_weight=kept, **options
            )
            found[c, out] = noisy_label_likelihood(X[out], codes[out], fit)
    return found


@pytest.mark.parametrize("dof", [None, 5.0])
def test_scores_are_those_of_rows_left_out(dof):
    X, _, codes, _, _ = planted(n=200)
    candidates, options = np.array([2.0, 30.0, np.inf]), {"degrees_of_freedom": dof, "max_iter": 7}
    choice = choice_of(X, codes, 4, candidates=candidates, **options)
    found = left_out_scores(X, codes, candidates, **options)
    assert choice.n_scored == 200
    assert_array_equal(choice.candidates, candidates)
    assert_allclose(choice.scores, found.mean(axis=1), rtol=1e-12)
    best = choice.scores.argmax()
    expected = np.std(found[best] - found, axis=1, ddof=1) / np.sqrt(200)
    assert_allclose(choice.standard_errors, expected, rtol=1e-9, atol=1e-15)
    assert choice.standard_errors[best] == 0


def test_scores_are_weighted():
    X, _, codes, _, _ = planted(n=200)
    weight = np.random.default_rng(3).choice([0.5, 1.0, 3.0], size=200)
    candidates = np.array([2.0, 30.0, np.inf])
    options = {"candidates": candidates, "max_iter": 7, "sample_weight": weight}
    choice = choice_of(X, codes, 4, **options)
    found = left_out_scores(X, codes, candidates, weight, max_iter=7)
    means = found @ weight / weight.sum()
    assert_allclose(choice.scores, means, rtol=1e-12)
    best = choice.scores.argmax()
    # Of a sum of independent rows, each times its weight.
    deviations = weight * (found[best] - found - (means[best] - means)[:, None])
    expected = np.sqrt(np.square(deviations).sum(axis=1) * 200 / 199) / weight.sum()
    assert_allclose(choice.standard_errors, expected, rtol=1e-9, atol=1e-15)


def test_weights_of_one_change_no_bit():
    X, _, codes, _, _ = planted(n=200)
    for max_rows in (3000, 120):
        plain = choice_of(X, codes, 4, max_iter=5, max_rows=max_rows)
        ones = choice_of(X, codes, 4, max_iter=5, max_rows=max_rows, sample_weight=np.ones(200))
        for one, other in zip(plain, ones, strict=True):
            assert_array_equal(one, other)


def test_weightless_rows_are_absent():
    X, _, codes, _, _ = planted(n=200)
    rng = np.random.default_rng(4)
    weight = np.where(rng.random(200) < 0.4, 0.0, rng.choice([1.0, 2.0], size=200))
    counted = weight > 0
    X[~counted] = 1e6
    for max_rows in (3000, 60):
        options = {"max_iter": 5, "max_rows": max_rows}
        choice = choice_of(X, codes, 4, sample_weight=weight, **options)
        left = choice_of(X[counted], codes[counted], 4, sample_weight=weight[counted], **options)
        for one, other in zip(choice, left, strict=True):
            assert_array_equal(one, other)
    assert choice.n_scored <= 60
    # Too few rows to score are left if three have a weight.
    few = np.where(np.arange(200) < 3, 1.0, 0.0)
    assert np.isnan(choice_of(X, codes, 4, sample_weight=few).scores).all()


def nearest_within_one_error(choice, m):
    """The rule as it is told, for what was tried."""
    losses = np.nanmax(choice.scores) - choice.scores
    order = sorted(
        np.flatnonzero(np.isfinite(losses)),
        key=lambda c: (abs(np.log(choice.candidates[c] / (5 * m))), c),
    )
    return next(choice.candidates[c] for c in order if losses[c] <= choice.standard_errors[c])


def test_the_nearest_to_five_times_the_features_within_one_error():
    chosen = set()
    for seed in range(6):
        X, _, codes, _, _ = planted(n=150, m=6, noise=0.3, seed=seed)
        choice = choice_of(X, codes, 4, seed)
        assert choice.shrinkage == nearest_within_one_error(choice, 6)
        assert_array_equal(choice.candidates, [6, 15, 30, 60, 120, np.inf])
        chosen.add(choice.shrinkage == choice.candidates[np.nanargmax(choice.scores)])
    assert chosen == {False, True}  # the best one, and another one within one error


def test_candidates_are_tried_until_those_at_the_ends_are_not_the_best():
    lowest, highest = set(), set()
    for seed in range(8):
        X, _, codes, _, _ = planted(n=150, m=6, noise=0.3, seed=seed)
        shapes = np.where(codes % 2, 1.0, 4.0 if seed % 2 else 1.0)[:, None]
        choice = choice_of(shapes * X, codes, 4, seed)
        assert np.isfinite(choice.scores[5])  # infinity, always
        tried = np.flatnonzero(np.isfinite(choice.scores[:5]))
        assert_array_equal(tried, np.arange(tried[0], tried[-1] + 1))
        assert tried[0] <= 1 and tried[-1] >= 3  # 5 times the features, and its neighbours
        best = np.nanargmax(choice.scores)
        assert best > tried[0] or best == 0
        assert best < tried[-1] or tried[-1] == 4
        # One step beyond the best is enough.
        assert tried[0] == 1 or tried[0] >= best - 1
        assert tried[-1] == 3 or tried[-1] <= best + 1
        assert_array_equal(np.isnan(choice.standard_errors), np.isnan(choice.scores))
        lowest.add(int(tried[0]))
        highest.add(int(tried[-1]))
    assert len(lowest) > 1 and len(highest) > 1


@pytest.mark.parametrize("seed", range(3))
def test_one_covariance_is_found_where_scores_fall_on_the_way_to_it(seed):
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(4), 150)
    X = rng.normal(size=(600, 5)) + 4 * np.eye(5)[classes]
    codes = np.where(np.arange(600) % 150 < 66, (classes + 1) % 4, classes)
    choice = choice_of(X, codes, 4)
    fit = noisy_gaussians(X, codes, 4, shrinkage=choice.shrinkage)
    assert np.mean(noisy_gaussian_scores(X, fit).argmax(axis=1) == classes) > 0.97
    stretched = noisy_gaussians(X, codes, 4, shrinkage=25.0)
    assert np.mean(noisy_gaussian_scores(X, stretched).argmax(axis=1) == classes) < 0.8


def test_fits_stop_by_the_tolerance():
    X, _, codes, _, _ = planted(n=120)
    options = {"candidates": np.array([8.0])}
    stopped = choice_of(X, codes, 4, tol=np.inf, max_iter=60, **options)
    # The first iteration in which the pooled covariance stands.
    assert_array_equal(stopped.scores, choice_of(X, codes, 4, max_iter=11, **options).scores)
    assert (stopped.scores != choice_of(X, codes, 4, tol=0, max_iter=60, **options).scores).any()


def test_shapes_decide():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, size=1200)
    shapes = np.where(codes, 0.2, 4.0)[:, None]  # one class within the other
    X = rng.normal(size=(1200, 8))
    assert choice_of(shapes * X, codes, 2).shrinkage <= 40
    assert choice_of(shapes * X, codes, 2, candidates=np.array([10.0, np.inf])).shrinkage == 10
    # Where classes have one shape and few rows, all but the smallest are as good.
    X, codes = X[:120] + 1.5 * np.eye(8)[codes[:120]], codes[:120]
    few = choice_of(X, codes, 2, candidates=np.array([0.1, np.inf]))
    assert few.shrinkage == np.inf


def test_every_training_part_has_every_class():
    codes = np.random.default_rng(1).permutation(np.repeat(np.arange(6), [40, 9, 3, 2, 1, 2]))
    for seed in range(20):
        folds = folds_of(codes, seed)
        assert_array_equal(folds == -1, codes == 4)
        sizes = np.bincount(folds[folds >= 0])
        assert sizes.max() - sizes.min() <= 1 and len(sizes) == 3
        for f in range(3):
            assert_array_equal(np.unique(codes[folds != f]), np.arange(6))
    assert (folds_of(codes, 0) != folds_of(codes, 1)).any()


def test_many_rows_are_sampled_by_class():
    codes = np.random.default_rng(1).permutation(np.repeat(np.arange(4), [9000, 900, 40, 2]))
    rows = stratified_rows(codes, None, 1000, np.random.default_rng(0))
    assert_array_equal(np.diff(rows) > 0, True)
    assert_array_equal(np.bincount(codes[rows]), [905, 90, 4, 2])
    X = np.random.default_rng(2).normal(size=(len(codes), 2)) + 3 * codes[:, None]
    choice = choice_of(X, codes, 4, max_rows=300, max_iter=3)
    assert choice.n_scored == 271 + 27 + 3 + 2


def test_the_generator_decides():
    X, _, codes, _, _ = planted(n=120)
    one, same, other = (choice_of(X, codes, 4, seed, max_iter=3).scores for seed in (0, 0, 1))
    assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("codes", [[0], [0, 1], [0, 1, 2], [0, 0, 1], [0, 0, 0]])
def test_too_few_rows_to_score(codes):
    X = np.random.default_rng(0).normal(size=(len(codes), 3))
    choice = choice_of(X, np.array(codes), 3)
    assert choice.shrinkage == 15 and np.isnan(choice.scores).all()


def test_hostile_rows():
    X, _, codes, _, _ = planted(n=60)
    for rows in (
        np.ones_like(X),
        np.repeat(X[:5], 12, axis=0),
        1e100 * X,
        np.c_[X, X, np.ones(60)],
    ):
        choice = choice_of(rows, codes, 5)  # the last class has no row
        assert np.isfinite(choice.scores[1:4]).all() and choice.shrinkage in choice.candidates
