"""Parts of the alternation: frames, starts, screening, single programs and how they are rounded."""

import numpy as np
import pytest

from clusterlib.datasets import make_heterogeneous_mixture
from clusterlib.metrics import clustering_accuracy
from clusterlib.solvers import (
    CovarianceType,
    StartKind,
    likelihood_alternation,
    likelihood_program,
    likelihood_sdp,
    low_rank_likelihood,
)
from clusterlib.solvers.gaussian import CovariancePrior, GroupModel
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.gaussian_moments import group_moments, indicators, lifted_moments
from clusterlib.solvers.likelihood_alternation import alternate, groups_for_clusters
from clusterlib.solvers.likelihood_program import Program, settle, solve_program
from clusterlib.solvers.likelihood_screening import permuted_labels, screen
from clusterlib.solvers.likelihood_starts import starting_labels

TYPES = list(CovarianceType)
CROSSED = make_heterogeneous_mixture("crossed", 90, random_state=0)
LABELS = CROSSED.labels.astype(np.int32)


def rng(seed=0):
    return np.random.default_rng(seed)


def setting(covariance_type, estimated=False):
    """Frame, model and groups of the true partition."""
    frame = GaussianFrame.of(CROSSED.X, covariance_type)
    model = GroupModel(covariance_type, estimated, CovariancePrior.weak(3, 4))
    moments = group_moments(frame.coordinates, indicators(LABELS[None], 3), covariance_type)
    return frame, model, model.groups(moments)


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_profile_likelihood_is_half_the_value_of_the_program(covariance_type, estimated):
    frame, model, groups = setting(covariance_type, estimated)
    X, (n, p) = frame.coordinates, frame.coordinates.shape
    W, group = rng().dirichlet(np.full(6, 0.5), size=n), np.repeat(np.arange(3), 2)
    moments = lifted_moments(X, W, group, 3, covariance_type)
    value = 0.0
    for k in range(3):
        columns = W[:, group == k]
        Z = columns / columns.sum(axis=0) @ columns.T
        differences = X[:, None] - X
        precision = np.linalg.inv(model.matrices(groups)[0, k])
        A = -0.5 * np.einsum("ija,ab,ijb->ij", differences, precision, differences)
        A += 2 * groups.log_weights[0, k] + np.linalg.slogdet(precision)[1]
        value += (A * Z).sum()
    expected = 0.5 * value - 0.5 * n * p * np.log(2 * np.pi)
    assert model.profile_likelihood(groups, moments)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_profile_likelihood_of_a_partition_is_its_log_likelihood(covariance_type):
    frame, model, groups = setting(covariance_type, True)
    one = indicators(LABELS[None], 3)
    moments = group_moments(frame.coordinates, one, covariance_type)
    expected = (one * model.log_joint(frame.coordinates, groups)).sum()
    assert model.profile_likelihood(groups, moments)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_frames_are_round_and_lead_back(covariance_type):
    X = CROSSED.X * [1.0, 1e3, 1e-3, 5.0] + [0.0, 1e3, 0.0, 2.0]
    frame = GaussianFrame.of(X, covariance_type)
    np.testing.assert_allclose(frame.origin + frame.coordinates @ frame.axes.T, X, rtol=1e-9)
    covariance = frame.coordinates.T @ frame.coordinates / len(X)
    if covariance_type.is_matrix:
        np.testing.assert_allclose(covariance, np.eye(4), atol=1e-9)
    elif covariance_type is CovarianceType.DIAG:
        np.testing.assert_allclose(np.diag(covariance), 1.0)
    else:
        assert np.trace(covariance) == pytest.approx(4.0)
    assert frame.log_determinant == pytest.approx(np.linalg.slogdet(frame.axes)[1])
    model = GroupModel(covariance_type, True, CovariancePrior.weak(3, 4))
    moments = group_moments(frame.coordinates, indicators(LABELS[None], 3), covariance_type)
    groups = model.groups(moments)
    outside = frame.leave(groups, covariance_type)
    inside = frame.enter(model.matrices(outside)[0])
    np.testing.assert_allclose(inside, model.matrices(groups)[0], atol=1e-7)
    moved = model.log_joint(X, outside) + frame.log_determinant
    np.testing.assert_allclose(moved, model.log_joint(frame.coordinates, groups), atol=1e-6)


def test_a_frame_of_dependent_features_has_no_infinite_axes():
    X = rng().normal(size=(20, 1)) * [1.0, 2.0]
    for covariance_type in TYPES:
        frame = GaussianFrame.of(np.column_stack([X, np.ones(20)]), covariance_type)
        assert np.isfinite(frame.coordinates).all()
        assert np.isfinite(frame.log_determinant)


@pytest.mark.parametrize("kind", [None, *StartKind])
def test_starts_are_partitions(kind):
    labels = starting_labels(CROSSED.X, 3, kind, 7, rng())
    assert labels.shape == (2 if kind is StartKind.WARD else 7, 90)
    assert labels.dtype == np.int32
    assert all(len(np.unique(start)) == 3 for start in labels)
    again = starting_labels(CROSSED.X, 3, kind, 7, rng())
    np.testing.assert_array_equal(labels, again)


def test_whitened_starts_see_more_of_long_groups():
    accuracies = []
    for seed in range(6):
        data = make_heterogeneous_mixture("elongated", random_state=seed)
        starts = starting_labels(data.X, 3, StartKind.KMEANS, 2, rng())
        accuracies.append([clustering_accuracy(data.labels, labels) for labels in starts])
    raw, whitened = np.array(accuracies).T
    assert (whitened >= raw).all()
    assert whitened.mean() > raw.mean() + 0.05


def test_no_tree_of_very_many_rows():
    X = rng().normal(size=(5001, 1))
    labels = starting_labels(X, 2, None, 3, rng())
    assert labels.shape == (3, 5001)


def test_screening_ranks_different_partitions():
    frame, model, _ = setting(CovarianceType.DIAG)
    starts = starting_labels(CROSSED.X, 3, None, 20, rng())
    screened = screen(frame, np.concatenate([starts, starts]), 3, model)
    assert len({labels.tobytes() for labels in screened.labels}) == len(screened.labels)
    assert (np.diff(screened.objective) <= 0).all()
    assert clustering_accuracy(CROSSED.labels, screened.labels[0]) > 0.9


def test_screening_puts_empty_groups_last():
    frame, model, _ = setting(CovarianceType.SPHERICAL, True)
    starts = np.stack([np.zeros(90, dtype=np.int32), LABELS])
    screened = screen(frame, starts, 3, model)
    used = [len(np.unique(labels)) for labels in screened.labels]
    assert used[0] == 3
    assert used == sorted(used, reverse=True)


def test_all_orders_of_few_groups():
    labels = np.array([[0, 1, 2, 3], [3, 3, 2, 1]], dtype=np.int32)
    permuted = permuted_labels(labels, 4, rng())
    assert permuted.shape == (48, 4)
    np.testing.assert_array_equal(permuted[:2], labels)
    assert len({row.tobytes() for row in permuted[::2]}) == 24
    many = permuted_labels(np.arange(6, dtype=np.int32)[None], 6, rng())
    assert many.shape == (24, 6)
    assert (np.sort(many, axis=1) == np.arange(6)).all()


@pytest.mark.parametrize("covariance_type", [CovarianceType.FULL, CovarianceType.DIAG])
def test_clusters_find_their_covariances(covariance_type):
    frame, model, groups = setting(covariance_type, True)
    for order in ([2, 0, 1], [1, 0, 2]):
        shuffled = np.asarray(order, dtype=np.int32)[LABELS]
        matched = groups_for_clusters(frame.coordinates, shuffled, groups, model)
        np.testing.assert_array_equal(matched, LABELS)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_program_gains_on_the_partition_it_is_built_around(covariance_type, rank):
    frame, model, groups = setting(covariance_type)
    X, program = frame.coordinates, Program(rank=rank)
    solution = solve_program(X, LABELS, groups, model, program, rng())
    one = group_moments(X, indicators(LABELS[None], 3), covariance_type)
    partition = model.profile_likelihood(groups, one)[0] + model.log_prior(groups)[0]
    assert solution.objective > partition - 1.0
    assert solution.columns.max() <= 2
    np.testing.assert_allclose(solution.W.sum(axis=1), 1.0)
    settled = settle(X, LABELS, 3, model, program, rng())
    assert settled.objective >= partition - 1e-9 * abs(partition)
    # Nothing is above the solution of a relaxation but what a better start finds.
    above = solution._replace(objective=solution.objective + 1e6)
    assert solve_program(X, LABELS, groups, model, program, rng(), above) is None


def test_alike_groups_are_a_relaxation_of_k_means():
    frame, model, groups = setting(CovarianceType.TIED)
    solution = solve_program(frame.coordinates, LABELS, groups, model, Program(), rng())
    assert 3 < len(solution.columns) <= 6
    again = solve_program(frame.coordinates, LABELS[::-1].copy(), groups, model, Program(), rng(7))
    # From other labels and noise: the program has one optimum, k-means has many.
    assert again.objective == pytest.approx(solution.objective, rel=1e-3)


def test_labels_keep_their_numbers():
    for covariance_type in TYPES:
        frame, model, _ = setting(covariance_type)
        for order in ([0, 1, 2], [2, 0, 1]):
            first = np.asarray(order, dtype=np.int32)[LABELS]
            found = alternate(frame.coordinates, first, 3, model, Program(rank=2), rng())
            assert (found.labels == first).mean() > 0.6
            assert (found.memberships.argmax(axis=1) == found.labels).mean() > 0.9


def test_solves_that_lose_a_group_end_soon(monkeypatch):
    runs = []

    def recorded(*args, **options):
        runs.append(low_rank_likelihood(*args, **options))
        return runs[-1]

    monkeypatch.setattr(likelihood_program, "low_rank_likelihood", recorded)
    data = make_heterogeneous_mixture("unequal_sizes", random_state=1)
    options = {"covariance_type": CovarianceType.TIED, "estimated_weights": True}
    result = likelihood_sdp(data.X, 3, rng=rng(1), **options)
    # All rows of the small groups may go to the large one, where nothing moves any more.
    assert any(run.trace_error > 0.5 for run in runs)
    assert max(run.n_iter for run in runs) < 1000
    assert len(np.unique(result.labels)) == 3


def test_no_group_is_left_empty_where_likelihood_would():
    # One group explains normal rows better than two of shares one half.
    X = rng().normal(size=(60, 1))
    frame = GaussianFrame.of(X, CovarianceType.FULL)
    model = GroupModel(CovarianceType.FULL, True, CovariancePrior.weak(2, 1))
    starts = np.stack([np.zeros(60), X[:, 0] > 0]).astype(np.int32)
    screened = screen(frame, starts, 2, model)
    used = [len(np.unique(labels)) for labels in screened.labels]
    assert (used[0], used[-1]) == (2, 1)
    assert screened.objective[-1] > screened.objective[0]
    result = likelihood_sdp(
        X, 2, rng=rng(), covariance_type=CovarianceType.FULL, estimated_weights=True
    )
    assert len(np.unique(result.labels)) == 2


def test_rounding_gives_clusters_their_known_covariances():
    data = make_heterogeneous_mixture("nested", random_state=0)
    X, labels = data.X - data.X.mean(axis=0), data.labels.astype(np.int32)
    prior = CovariancePrior.weak(4, 8)
    model = GroupModel(CovarianceType.FULL, False, prior, data.covariances)
    order = np.array([1, 2, 3, 0], dtype=np.int32)
    groups = model.groups(group_moments(X, indicators(labels[None], 4), CovarianceType.FULL))
    # The clusters are right and their covariances are not.
    W = indicators(order[labels][None], 4)[0].T
    wrong = likelihood_program.ProgramSolution(W, np.arange(4, dtype=np.int32), groups, 0.0)
    rounded = likelihood_alternation.rounded_partition(X, wrong, model, rng())
    assert (rounded.labels[0] == labels).mean() > 0.97
