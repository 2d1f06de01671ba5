"""Single programs of the alternation: which solution is kept, starts around labels, rounds."""

import importlib
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.datasets import make_heterogeneous_mixture
from clusterlib.solvers import CovarianceType, likelihood_program
from clusterlib.solvers.gaussian import CovariancePrior, GroupModel
from clusterlib.solvers.gaussian_em import classification_em
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.gaussian_moments import group_moments, indicators, lifted_moments
from clusterlib.solvers.likelihood_alternation import (
    _aligned,
    _renumbered,
    alternate,
    groups_for_clusters,
    rounded_partition,
)
from clusterlib.solvers.likelihood_program import Program, ProgramSolution, settle, solve_program

alternation = importlib.import_module("clusterlib.solvers.likelihood_alternation")
CROSSED = make_heterogeneous_mixture("crossed", 90, random_state=0)
LABELS = CROSSED.labels.astype(np.int32)


def rng(seed=0):
    return np.random.default_rng(seed)


def setting(covariance_type, estimated=False, covariances=None):
    """Rows, model and groups of the true partition."""
    frame = GaussianFrame.of(CROSSED.X, covariance_type)
    model = GroupModel(covariance_type, estimated, CovariancePrior.weak(3, 4), covariances)
    moments = group_moments(frame.coordinates, indicators(LABELS[None], 3), covariance_type)
    return frame.coordinates, model, model.groups(moments)


def solution(objective):
    return None if objective is None else ProgramSolution(None, None, None, objective)


@pytest.mark.parametrize("exchangeable", [False, True])
@pytest.mark.parametrize(
    ("fresh", "last", "resumed", "lifted", "found"),
    [
        (5.0, None, None, True, 5.0),  # the first round takes what there is
        (None, None, None, True, None),
        (5.0, 4.0, None, True, 5.0),
        (5.0, 5.0, 5.2, True, 5.2),  # no better: then from the last factor
        (4.0, 5.0, 5.2, True, 5.2),
        (4.0, 5.0, 5.04, True, None),  # by less than the tolerance of 0.01 * 5
        (4.0, 5.0, 5.06, True, 5.06),
        (4.0, 0.5, 4.5, True, 4.0),
        (0.4, 0.5, 0.509, True, None),  # the tolerance is 0.01 at least
        (0.4, 0.5, 0.511, True, 0.511),
        (-6.0, -5.0, -4.96, True, None),
        (-6.0, -5.0, -4.94, True, -4.94),
        (4.0, 5.0, None, True, None),
        (None, 5.0, 6.0, True, 6.0),
        (4.0, 5.0, 6.0, False, 4.0),  # covariances of labels may make it fall
        (None, 5.0, 6.0, False, 6.0),
    ],
)
def test_a_round_keeps_what_is_better(
    monkeypatch, exchangeable, fresh, last, resumed, lifted, found
):
    names = ("_relaxed_kmeans", "_resumed_kmeans") if exchangeable else ("_from_labels", "_resumed")
    for name, objective in zip(names, (fresh, resumed), strict=True):
        monkeypatch.setattr(likelihood_program, name, lambda *_, o=objective: solution(o))
    _, model, _ = setting(CovarianceType.TIED if exchangeable else CovarianceType.FULL)
    program = Program(tol=0.01, lifted=lifted)
    result = solve_program(None, LABELS, None, model, program, rng(), solution(last))
    assert (None if result is None else result.objective) == found


@pytest.mark.parametrize("n_failures", [0, 1, 2])
@pytest.mark.parametrize("rank", [1, 2])
def test_starts_are_labels_and_noise_or_the_labels_themselves(monkeypatch, n_failures, rank):
    X, model, groups = setting(CovarianceType.FULL)
    starts = []

    def solved(X, start, *_):
        starts.append(start)
        return solution(1.0) if len(starts) > n_failures else None

    monkeypatch.setattr(likelihood_program, "_solved", solved)
    result = solve_program(X, LABELS, groups, model, Program(rank=rank), rng())
    assert len(starts) == min(n_failures + 1, 2)
    for start, noise in zip(starts, (0.7, 0.3), strict=False):
        assert start.shape == (90, 3 * rank)
        assert_allclose(start.sum(axis=1), 1.0)
        assert start.min() > 0
        own = start.reshape(90, 3, rank)[np.arange(90), LABELS].sum(axis=1)
        # The noise is spread evenly, in the mean, over the groups.
        assert_allclose(own.mean(), 1 - noise * 2 / 3, atol=0.05)
        assert own.min() > 1 - noise
        largest = start.argmax(axis=1)
        if noise < 0.5:
            assert_array_equal(largest // rank, LABELS)
            assert len(np.unique(largest)) == 3 * rank
    if n_failures == 2:
        assert_array_equal(result.columns, np.repeat(np.arange(3), rank))
        assert_array_equal(result.W, np.eye(3 * rank)[rank * LABELS])
        one = group_moments(X, indicators(LABELS[None], 3), CovarianceType.FULL)
        expected = model.profile_likelihood(groups, one)[0] + model.log_prior(groups)[0]
        assert_allclose(result.objective, expected, rtol=1e-12)


def test_a_factor_is_resumed_in_the_columns_of_its_groups(monkeypatch):
    X, model, groups = setting(CovarianceType.FULL)
    starts = []

    def solved(X, start, *_):
        starts.append(start)

    monkeypatch.setattr(likelihood_program, "_solved", solved)
    W = rng().dirichlet(np.ones(4), 90)
    last = ProgramSolution(W, np.array([2, 0, 2, 1], dtype=np.int32), groups, np.inf)
    assert solve_program(X, LABELS, groups, model, Program(rank=2), rng(), last) is None
    expected = np.zeros((90, 6))
    expected[:, [4, 0, 5, 2]] = W
    assert_array_equal(starts[-1], expected)


@pytest.mark.parametrize(("error", "fails"), [(0.99e-3, False), (1.01e-3, True)])
def test_a_solve_whose_trace_is_wrong_has_failed(monkeypatch, error, fails):
    X, model, groups = setting(CovarianceType.FULL, estimated=True)
    W = rng().dirichlet(np.ones(3), 90)
    calls = []

    def program(X, covariances, **options):
        calls.append((covariances, options))
        return SimpleNamespace(W=W, group=np.arange(3), trace_error=error)

    monkeypatch.setattr(likelihood_program, "low_rank_likelihood", program)
    settled = settle(X, LABELS, 3, model, Program(tol=0.125), rng())
    # Rows of noise are worse than the partition, which is returned in both cases.
    assert_array_equal(settled.W, np.eye(3)[LABELS])
    (covariances, options), start = calls[0], calls[0][1]["W"]
    assert_allclose(covariances, model.matrices(groups)[0])
    assert_allclose(options["log_weights"], np.log(np.bincount(LABELS) / 90), atol=0.1)
    assert (options["rank"], options["tol"]) == (1, 0.125)
    assert_allclose(start[np.arange(90), LABELS].mean(), 1 - 0.05 * 2 / 3, atol=0.01)
    found = solve_program(X, LABELS, groups, model, Program(), rng())
    assert len(calls) == (3 if fails else 2)
    if not fails:
        moments = lifted_moments(X, W, np.arange(3), 3, CovarianceType.FULL)
        best = model.groups(moments)
        expected = model.profile_likelihood(best, moments)[0] + model.log_prior(best)[0]
        assert_allclose(found.objective, expected, rtol=1e-12)
    stands = options["callback"]
    assert stands(9, 0.0, 2e-3, 0.0)
    assert not stands(9, 0.0, 0.5e-3, 0.0)
    assert not stands(9, 0.0, 2e-3, 1e-300)


def test_alike_groups_get_twice_as_many_columns_and_the_groups_of_most_rows(monkeypatch):
    X, model, groups = setting(CovarianceType.TIED)
    W = rng().dirichlet(np.full(6, 0.3), 90)
    calls = []

    def relaxed(rows, n_clusters, **options):
        calls.append((rows, n_clusters, options))
        return SimpleNamespace(W=W)

    monkeypatch.setattr(likelihood_program, "low_rank_sdp", relaxed)
    found = solve_program(X, LABELS, groups, model, Program(), rng())
    rows, n_clusters, options = calls[0]
    assert (n_clusters, options["rank"], options["W"]) == (3, 6, None)
    # Distances of the whitened rows are those of the covariance.
    precision = np.linalg.inv(groups.covariances[0])
    difference = X[3] - X[8]
    assert_allclose(np.square(rows[3] - rows[8]).sum(), difference @ precision @ difference)
    shares = [[W[LABELS == k, c].sum() for k in range(3)] for c in range(6)]
    assert_array_equal(found.columns, np.argmax(shares, axis=1))
    last = found._replace(objective=np.inf)
    assert solve_program(X, LABELS, groups, model, Program(), rng(), last) is None
    assert_array_equal(calls[-1][2]["W"], W)


@pytest.mark.parametrize("covariance_type", list(CovarianceType))
@pytest.mark.parametrize("estimated", [False, True])
def test_clusters_get_the_groups_of_the_largest_likelihood(covariance_type, estimated):
    X, model, groups = setting(covariance_type, estimated)
    for seed in range(4):
        labels = rng(seed).integers(0, 3, 90).astype(np.int32)
        labels = np.where(rng(seed).random(90) < 0.5, labels, (LABELS + seed) % 3)
        found = groups_for_clusters(X, labels, groups, model)
        values = {}
        for order in permutations(range(3)):
            named = np.array(order)[labels]
            one = group_moments(X, indicators(named[None], 3), covariance_type)
            values[order] = model.profile_likelihood(groups, one)[0]
        one = group_moments(X, indicators(found[None], 3), covariance_type)
        assert_allclose(model.profile_likelihood(groups, one)[0], max(values.values()), rtol=1e-12)


def test_numbers_agree_on_the_most_rows():
    first = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    labels = np.array([2, 2, 1, 0, 0, 1, 1, 1, 0])
    assert_array_equal(_renumbered(labels, first, 3), [0, 0, 2, 1, 1, 2, 2, 2, 1])
    memberships = np.eye(3)[labels]
    assert_array_equal(_aligned(memberships, first), np.eye(3)[[0, 0, 2, 1, 1, 2, 2, 2, 1]])


class Script:
    """Solutions of rounds that are given: labels, objectives, and None at the end."""

    def __init__(self, model, X, rounds):
        self.model, self.X, self.rounds, self.calls = model, X, iter(rounds), []

    def __call__(self, X, labels, groups, model, program, rng, last):
        self.calls.append((labels.copy(), groups, last))
        step = next(self.rounds)
        if step is None:
            return None
        labels, objective = step
        one = group_moments(X, indicators(labels[None], 3), model.needed_moments)
        W = np.eye(3)[labels]
        return ProgramSolution(W, np.arange(3, dtype=np.int32), model.groups(one), objective)


def after_a_step(X, labels, model):
    return classification_em(X, labels[None], 3, model, max_iter=1).labels[0]


def scripted(monkeypatch, rounds, covariances=None, callback=None, **options):
    kind = CovarianceType.FULL
    X, model, _ = setting(kind, covariances=covariances)
    script = Script(model, X, rounds)
    monkeypatch.setattr(alternation, "solve_program", script)
    found = alternate(X, LABELS, 3, model, Program(**options), rng(), callback)
    return found, script, X, model


def wrong(seed):
    labels = LABELS.copy()
    labels[rng(seed).integers(0, 90, 25)] = rng(seed + 9).integers(0, 3, 25)
    return labels


def test_rounds_end_when_labels_come_again(monkeypatch):
    first, second = wrong(1), wrong(2)
    rounds = [(first, 1e6), (second, 2e6), (first, 3e6), (second, 4e6)]
    found, script, X, model = scripted(monkeypatch, rounds)
    assert (found.n_iter, found.converged) == (3, True)
    assert_array_equal(found.history, [1e6, 2e6, 3e6])
    assert_array_equal(script.calls[0][0], LABELS)
    assert_array_equal(script.calls[1][0], after_a_step(X, first, model))
    assert script.calls[0][2] is None
    assert script.calls[1][2].objective == 1e6
    # Lifted: the covariances of a round are those of the factor before.
    assert script.calls[1][1] is script.calls[1][2].groups


def test_covariances_of_labels_are_those_of_the_rounded_ones(monkeypatch):
    first = wrong(1)
    _, script, X, model = scripted(monkeypatch, [(first, 1e6), None], lifted=False)
    labels = after_a_step(X, first, model)
    one = group_moments(X, indicators(labels[None], 3), CovarianceType.FULL)
    assert_allclose(script.calls[1][1].covariances, model.groups(one).covariances)


def test_rounds_end_at_the_most_and_when_nothing_is_better(monkeypatch):
    rounds = [(wrong(seed), 1e6 + seed) for seed in range(1, 5)]
    found, *_ = scripted(monkeypatch, rounds, max_iter=2)
    assert (found.n_iter, found.converged) == (2, False)
    found, *_ = scripted(monkeypatch, [*rounds[:2], None])
    assert (found.n_iter, found.converged) == (2, True)
    seen = []
    found, *_ = scripted(
        monkeypatch, rounds, callback=lambda *args: seen.append(args) or len(seen) == 2
    )
    assert seen == [(1, 1e6 + 1), (2, 1e6 + 2)]
    assert (found.n_iter, found.converged) == (2, False)


def test_known_covariances_take_one_round(monkeypatch):
    covariances = np.array([np.eye(4)] * 3)
    found, script, *_ = scripted(monkeypatch, [(wrong(1), 1e6)], covariances)
    assert (found.n_iter, found.converged, len(script.calls)) == (1, True, 1)


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_the_best_partition_is_settled_where_the_last_program_is_below_it(
    monkeypatch, above, known
):
    covariances = np.array([np.eye(4)] * 3) if known else None
    X, model, _ = setting(CovarianceType.FULL, covariances=covariances)
    # Of the given labels and those of the round the better ones count.
    ends = classification_em(X, np.stack([LABELS, wrong(1)]), 3, model)
    objective = ends.objective.max()
    settled = ProgramSolution(np.eye(3)[LABELS], np.arange(3, dtype=np.int32), None, -7.0)
    monkeypatch.setattr(alternation, "settle", lambda *_: settled)
    slack = 0.01 * abs(objective)
    last = objective - 1.1 * slack if above else objective - 0.9 * slack
    rounds = [(wrong(1), last), None]
    found, *_ = scripted(monkeypatch, rounds, covariances, tol=0.01)
    assert_allclose(found.objective, objective, rtol=1e-9)
    expected = [last, -7.0] if above and not known else [-7.0] if above else [last]
    assert_allclose(found.history, expected)
    assert found.n_iter == len(expected)


@pytest.mark.parametrize("n_columns", [3, 4])
def test_factors_of_one_column_each_are_partitions(monkeypatch, n_columns):
    X, model, groups = setting(CovarianceType.FULL)
    columns = np.array([2, 0, 1, 1][:n_columns], dtype=np.int32)
    W = rng().dirichlet(np.ones(n_columns), 90)
    calls, other = [], wrong(3)

    def candidates(X, factor, n_groups, rng, group):
        calls.append((factor, n_groups, group))
        return {"few": LABELS, "many": other}

    monkeypatch.setattr(alternation, "candidate_labels", candidates)
    found = rounded_partition(X, ProgramSolution(W, columns, groups, 0.0), model, rng())
    given = [LABELS, other] if n_columns == 4 else [columns[W.argmax(axis=1)]]
    matched = [groups_for_clusters(X, labels, groups, model) for labels in given]
    steps = classification_em(X, np.stack(matched), 3, model, max_iter=1)
    best = int(steps.objective.argmax())
    assert_array_equal(found.labels, steps.labels[[best]])
    assert_allclose(found.objective, steps.objective[[best]], rtol=1e-12)
    assert len(calls) == (n_columns == 4)
