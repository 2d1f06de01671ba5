"""How many starts and alternations there are, from where, and which of them is the answer."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.datasets import make_heterogeneous_mixture
from clusterlib.solvers import CovarianceType, StartKind, likelihood_sdp
from clusterlib.solvers.gaussian import CovariancePrior, GroupModel
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.gaussian_moments import group_moments, indicators
from clusterlib.solvers.likelihood_screening import Screened

module = importlib.import_module("clusterlib.solvers.likelihood_sdp")
DATA = make_heterogeneous_mixture("crossed", 90, random_state=0)
FULL = {"covariance_type": CovarianceType.FULL, "estimated_weights": False}
TIED = {"covariance_type": CovarianceType.TIED, "estimated_weights": False}


@pytest.fixture
def plan(monkeypatch):
    """Starts that were made, what was screened, and first labels of alternations."""
    seen = SimpleNamespace(starts=[], screened=[], firsts=[])
    make, screen, alternate = module.starting_labels, module.screen, module.alternate

    def made(X, n_clusters, kind, n_init, rng):
        seen.starts.append((len(X), kind, n_init))
        return make(X, n_clusters, StartKind.RANDOM, n_init, rng)

    def screened(frame, labels, n_clusters, model):
        found = screen(frame, labels, n_clusters, model)
        seen.screened.append((labels, model, found))
        return found

    def alternated(X, first, n_clusters, model, program, rng, callback):
        seen.firsts.append(first)
        # One of the later runs is the best, and the last one leaves a group empty.
        end = alternate(X, first, n_clusters, model, program._replace(max_iter=1), rng, callback)
        return end._replace(objective=float(-abs(len(seen.firsts) - 2)))

    monkeypatch.setattr(module, "starting_labels", made)
    monkeypatch.setattr(module, "screen", screened)
    monkeypatch.setattr(module, "alternate", alternated)
    return seen


def solve(X, n_clusters=3, **options):
    return likelihood_sdp(X, n_clusters, rng=np.random.default_rng(0), **options)


@pytest.mark.parametrize(
    ("options", "n_starts", "n_screened", "n_alternations"),
    [
        ({"n_init": 4, **FULL}, 16, 2, 4),  # three times as many random ones are screened
        ({"n_init": 5, **FULL}, 20, 2, 5),
        ({"n_init": 1, **FULL}, 4, 1, 1),
        ({"n_init": 4, "start": StartKind.KMEANS, **FULL}, 4, 2, 4),
        ({"n_init": 10, **TIED}, 40, 1, 3),  # a benign program
        ({"n_init": 2, **TIED}, 8, 1, 2),
    ],
)
def test_half_of_the_alternations_start_from_the_best_screened(
    plan, options, n_starts, n_screened, n_alternations
):
    solve(DATA.X, **options)
    assert plan.starts == [(90, options.get("start"), n_starts)]
    [(labels, _, found)] = plan.screened
    assert len(labels) == n_starts
    expected = np.concatenate([found.labels[:n_screened], labels])[:n_alternations]
    assert_array_equal(plan.firsts, expected)


@pytest.mark.parametrize(
    ("n", "n_clusters", "n_screened"), [(1000, 3, 1000), (1001, 3, 1000), (1201, 11, 1100)]
)
def test_starts_are_made_on_a_thousand_rows_or_a_hundred_for_each_group(
    plan, n, n_clusters, n_screened
):
    X = np.random.default_rng(1).normal(size=(n, 1))
    solve(X, n_clusters, n_init=1, **FULL)
    assert plan.starts == [(n_screened, None, 4)]
    assert len(plan.firsts[0]) == n
    rows = np.arange(n)
    if n > n_screened:
        rows = np.sort(np.random.default_rng(0).choice(n, n_screened, replace=False))
    # All rows go to the group of the sample that they belong to most likely.
    found = plan.screened[-1][2]
    frame = GaussianFrame.of(X, CovarianceType.FULL)
    one = indicators(found.labels[:1], n_clusters)
    model = found.model
    groups = model.groups(group_moments(frame.coordinates[rows], one, CovarianceType.FULL))
    expected = model.log_joint(frame.coordinates, groups)[0].argmax(axis=0)
    assert_array_equal(plan.firsts[0], found.labels[0] if n == n_screened else expected)


@pytest.mark.parametrize(("n", "n_alternations"), [(10_000, 2), (10_001, 1), (20_001, 1)])
def test_many_rows_have_few_alternations(monkeypatch, plan, n, n_alternations):
    # Labels and alternations alone count here: nothing is solved.
    ends = iter([3.0, 4.0, 5.0])

    def alternated(X, first, n_clusters, model, program, rng, callback):
        plan.firsts.append(first)
        memberships = np.eye(n_clusters)[first]
        return SimpleNamespace(
            labels=first,
            memberships=memberships,
            objective=next(ends),
            history=np.zeros(1),
            n_iter=1,
            converged=True,
        )

    monkeypatch.setattr(module, "alternate", alternated)
    solve(np.random.default_rng(1).normal(size=(n, 1)), 2, n_init=10, **FULL)
    assert len(plan.firsts) == n_alternations


def test_given_labels_are_screened_and_started_from(plan):
    labels = np.random.default_rng(0).integers(0, 3, 90).astype(np.int32)
    solve(DATA.X, labels=labels, n_init=10, **FULL)
    assert plan.starts == []
    assert_array_equal(plan.screened[0][0], labels[None])
    # Two runs: from what EM and classification EM end at, and from the labels if both agree.
    ends = plan.screened[0][2].labels
    assert_array_equal(plan.firsts, np.concatenate([ends, labels[None]])[:2])


def test_models_go_from_simple_to_rich_and_hand_their_best_on(plan):
    solve(DATA.X, n_init=2)
    *models, again = plan.screened
    kinds = [(model.covariance_type, model.estimated_weights) for _, model, _ in models]
    types = list(reversed(CovarianceType))
    assert kinds == [(kind, estimated) for kind in types for estimated in (False, True)]
    for count, (labels, _, _) in enumerate(models):
        assert len(labels) == 8 + count
        known = [found.labels[0] for _, _, found in models[:count]]
        assert_array_equal(labels[:count], np.reshape(known, (count, 90)))
    best = min((found for _, _, found in models), key=lambda found: found.criterion)
    assert again[1] is best.model
    shared = np.concatenate([found.labels[:3] for _, _, found in models])
    assert_array_equal(again[0], shared)


@pytest.mark.parametrize("gain", [-1.0, 0.0, 1.0])
def test_partitions_of_other_models_count_if_they_are_better(monkeypatch, gain):
    calls, first, later = [], np.zeros((1, 90), np.int32), np.ones((1, 90), np.int32)

    def screen(frame, labels, n_clusters, model):
        calls.append(model)
        is_again = len(calls) == 9
        objective = np.array([5.0 + gain if is_again else 5.0])
        criterion = float(abs(len(calls) - 3))
        return Screened(model, frame, later if is_again else first, objective, criterion)

    monkeypatch.setattr(module, "screen", screen)
    found = module._best_screened(DATA.X, first, 3, None, None, None, None)
    assert len(calls) == 9
    assert calls[8] is calls[2]
    assert_array_equal(found.labels, later if gain > 0 else first)


def test_known_covariances_try_all_orders(plan):
    covariances = np.array([np.eye(4), 2 * np.eye(4), 3 * np.eye(4)])
    solve(DATA.X, covariances=covariances, estimated_weights=False, n_init=2)
    [(labels, model, _)] = plan.screened
    assert len(labels) == 6 * 8
    assert model.covariance_type is CovarianceType.FULL
    frame = GaussianFrame.of(DATA.X, CovarianceType.FULL)
    assert_allclose(model.covariances, frame.enter(covariances))


def test_the_best_run_with_all_groups_is_the_answer(monkeypatch):
    ends = [(np.arange(90) % 3, 1.0), (np.arange(90) % 3 // 2, 9.0), (np.arange(90) // 30, 2.0)]
    calls = []

    def alternated(X, first, n_clusters, model, program, rng, callback):
        labels, objective = ends[len(calls)]
        calls.append((X, model))
        return SimpleNamespace(
            labels=labels.astype(np.int32),
            memberships=np.full((90, 3), len(calls)),
            objective=objective,
            history=np.array([7.0]),
            n_iter=len(calls),
            converged=False,
        )

    monkeypatch.setattr(module, "alternate", alternated)
    result = solve(DATA.X, n_init=3, **FULL)
    assert (result.n_iter, result.converged) == (3, False)
    assert_array_equal(result.memberships, 3)
    frame = GaussianFrame.of(DATA.X, CovarianceType.FULL)
    shift = 90 * frame.log_determinant
    assert_allclose(result.objective_history, [7.0 - shift])
    # The objective has the prior of the covariances in the frame, the likelihood has not.
    model = GroupModel(CovarianceType.FULL, False, CovariancePrior.weak(3, 4))
    one = group_moments(frame.coordinates, indicators(result.labels[None], 3), CovarianceType.FULL)
    groups = model.groups(one)
    likelihood = model.profile_likelihood(groups, one)[0] - shift
    assert_allclose(result.log_likelihood, likelihood, rtol=1e-6)
    prior = model.log_prior(groups)[0]
    assert_allclose(result.map_objective, likelihood + prior, rtol=1e-6)
