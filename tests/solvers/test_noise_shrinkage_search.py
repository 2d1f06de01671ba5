"""Which candidates of the shrinkage are tried, and what the choice takes by default."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import choose_shrinkage, noisy_gaussians, noisy_label_likelihood
from clusterlib.solvers.label_folds import label_folds
from clusterlib.solvers.noise_shrinkage import _around_the_best
from tests.solvers.test_noisy_gaussians import planted

module = importlib.import_module("clusterlib.solvers.noise_shrinkage")
FINITE, SHARED = np.arange(1.0, 7.0), np.array([1.0, 2, 3, 4, 5, np.inf])


@pytest.mark.parametrize(
    ("candidates", "start", "best", "tried"),
    [
        (SHARED, 2, 2, {1, 2, 3, 5}),  # its neighbours, and infinity always
        (SHARED, 2, 1, {0, 1, 2, 3, 5}),
        (SHARED, 2, 0, {0, 1, 2, 3, 5}),
        (SHARED, 2, 3, {1, 2, 3, 4, 5}),
        (SHARED, 2, 4, {1, 2, 3, 4, 5}),
        (SHARED, 1, 5, {0, 1, 2, 3, 4, 5}),  # the best is at the upper end: all on the way to it
        (SHARED, 0, 0, {0, 1, 5}),
        (SHARED, 5, 5, {4, 5}),
        (SHARED, 4, 0, {0, 1, 2, 3, 4, 5}),
        (FINITE, 2, 2, {1, 2, 3}),
        (FINITE, 2, 5, {1, 2, 3, 4, 5}),
        (FINITE, 3, 0, {0, 1, 2, 3, 4}),
        (FINITE[:1], 0, 0, {0}),
        (SHARED[-1:], 0, 0, {0}),
    ],
)
def test_candidates_beside_the_best_are_tried(candidates, start, best, tried):
    calls = []

    def of_rows(shrinkage):
        calls.append(shrinkage)
        place = int(np.flatnonzero(candidates == shrinkage)[0])
        # The second row counts three times as much: without that the others would be best.
        return np.array([5.0 * abs(place - best), -2.0 * abs(place - best)])

    found = _around_the_best(of_rows, candidates, np.array([0.25, 1.75]), start)
    assert set(found) == tried
    assert len(calls) == len(tried)


def test_of_equal_scores_the_smallest_is_the_best():
    calls = []
    found = _around_the_best(lambda s: calls.append(s) or np.zeros(2), FINITE, np.ones(2), 3)
    # It is at the lower end each time, down to the first.
    assert set(found) == {0, 1, 2, 3, 4}
    assert calls == [3.0, 4.0, 5.0, 2.0, 1.0]


def test_scores_by_default_are_those_of_forty_iterations():
    X, _, codes, _, _ = planted(n=60, m=3)
    choice = choose_shrinkage(X, codes, 4, np.random.default_rng(2))
    assert_array_equal(choice.candidates, [3, 7.5, 15, 30, 60, np.inf])
    folds = label_folds(codes, np.random.default_rng(2))
    for place in np.flatnonzero(np.isfinite(choice.scores))[:1]:
        scores = np.empty(60)
        for fold in range(3):
            out = folds == fold
            options = {"prior_iter": 10, "max_iter": 40, "tol": 1e-4}
            shrinkage = choice.candidates[place]
            fit = noisy_gaussians(X[~out], codes[~out], 4, shrinkage=shrinkage, **options)
            scores[out] = noisy_label_likelihood(X[out], codes[out], fit)
        assert_allclose(choice.scores[place], scores.mean(), rtol=1e-12)


@pytest.mark.parametrize(
    ("losses", "errors", "chosen"),
    [
        ([0.3, 0.0, 0.2], [0.1, 0.0, 0.1], 8.0),
        ([0.1, 0.0, 0.2], [0.1, 0.0, 0.1], 20.0),  # at most its standard error
        ([0.0, 0.1, 0.2], [0.0, 0.2, 0.3], 20.0),
        ([0.2, 0.0, 0.1], [0.1, 0.0, 0.2], 8.0),  # 8 and 50 are as near to 20 as each other
    ],
)
def test_the_nearest_within_an_error_is_taken(monkeypatch, losses, errors, chosen):
    # Five times four features are 20; distances are logarithmic.
    candidates = np.array([20.0, 8.0, 50.0])[[1, 0, 2]]
    order = [1, 0, 2]  # of losses and errors, which are for 20, 8 and 50
    table = {candidates[c]: (losses[order[c]], errors[order[c]]) for c in range(3)}
    monkeypatch.setattr(
        module,
        "_left_out_scores",
        lambda X, codes, K, folds, weight, *, shrinkage, **_: np.full(len(X), -table[shrinkage][0]),
    )
    monkeypatch.setattr(
        module,
        "paired_loss",
        lambda best, other, share: next(
            pair for pair in table.values() if abs(pair[0] + other[0]) < 1e-12
        ),
    )
    X, _, codes, _, _ = planted(n=40)
    choice = choose_shrinkage(X, codes, 4, np.random.default_rng(0), candidates=candidates)
    assert choice.shrinkage == chosen
    assert_allclose(choice.scores, [-losses[c] for c in order])
    assert_allclose(choice.standard_errors, [errors[c] for c in order])


@pytest.mark.parametrize(("codes", "n_scored"), [([0, 0, 1, 1], 4), ([0, 0, 0, 1, 2], 3)])
def test_four_rows_are_enough_to_score(codes, n_scored):
    X = np.random.default_rng(0).normal(size=(len(codes), 2))
    choice = choose_shrinkage(X, np.array(codes), 3, np.random.default_rng(0), max_iter=2)
    assert choice.n_scored == n_scored
    assert np.isnan(choice.scores).all() == (n_scored < 4)


def test_what_was_not_tried_is_not_taken(monkeypatch):
    # One covariance is best by far: all candidates on the way to it are tried, the least is not.
    monkeypatch.setattr(
        module,
        "_left_out_scores",
        lambda X, *_, shrinkage, **__: np.full(len(X), 0.0 if np.isinf(shrinkage) else -1.0),
    )
    X, _, codes, _, _ = planted(n=40)
    choice = choose_shrinkage(X, codes, 4, np.random.default_rng(0))
    assert_array_equal(np.isnan(choice.scores), [True] + [False] * 5)
    assert choice.shrinkage == np.inf
