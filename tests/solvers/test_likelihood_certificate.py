"""Bounds of the likelihood-adjusted program: above every partition, tight where groups are far."""

import itertools

import numpy as np
import pytest

from clusterlib.solvers import (
    Trace,
    certify_likelihood,
    certify_partition,
    low_rank_likelihood,
)
from tests.solvers.test_sdp_bounds import balls, nearest


def value(X, labels, covariances, log_weights=None):
    """Sum of ``<A_k, Z_k>`` at a partition, by the pairwise definition."""
    total = 0.0
    for k, covariance in enumerate(covariances):
        rows = X[labels == k]
        if len(rows) == 0:
            continue
        differences = rows[:, None] - rows
        A = -0.5 * np.einsum("ijp,pq,ijq->ij", differences, np.linalg.inv(covariance), differences)
        A -= np.linalg.slogdet(covariance)[1]
        A += 0.0 if log_weights is None else 2.0 * log_weights[k]
        total += A.sum() / len(rows)
    return float(total)


def random_covariance(p, rng):
    root = rng.normal(size=(p, p))
    return root @ root.T / p + 0.2 * np.eye(p)


def groups(n, p, n_groups, separation, seed=0):
    """Groups of unlike covariances."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_groups
    covariances = np.array([random_covariance(p, rng) for _ in range(n_groups)])
    centers = np.eye(n_groups, p) * separation / np.sqrt(2)
    roots = np.linalg.cholesky(covariances)
    X = centers[labels] + np.einsum("npq,nq->np", roots[labels], rng.normal(size=(n, p)))
    return X, labels, covariances


@pytest.mark.parametrize("trace", ["group", "total"])
@pytest.mark.parametrize("seed", range(12))
def test_no_partition_is_above_the_bound(trace, seed):
    rng = np.random.default_rng(seed)
    n, n_groups, p = 7, int(rng.integers(2, 4)), int(rng.integers(1, 3))
    covariances = np.array([random_covariance(p, rng) for _ in range(n_groups)])
    centers = rng.choice([0.0, 3.0, 20.0]) * rng.normal(size=(n_groups, p))
    X = centers[np.arange(n) % n_groups] + rng.normal(size=(n, p))
    if seed % 4 == 3:
        X[4:] = X[:3]
    log_weights = np.log(rng.dirichlet(np.ones(n_groups))) if seed % 2 else None
    tried = [
        np.array(labels)
        for labels in itertools.product(range(n_groups), repeat=n)
        if len(set(labels)) == n_groups
    ]
    values = np.array([value(X, labels, covariances, log_weights) for labels in tried])
    highest = values.max()
    if trace == "total":
        # Then every cluster may take any of the covariances.
        for of_cluster in itertools.product(range(n_groups), repeat=n_groups):
            chosen = list(of_cluster)
            weights = None if log_weights is None else log_weights[chosen]
            other = [value(X, labels, covariances[chosen], weights) for labels in tried[::7]]
            highest = max(highest, *other)
    scale = np.abs(values).max()
    for index in [int(values.argmax()), *rng.integers(0, len(tried), 2)]:
        found = certify_likelihood(
            X, tried[index], covariances, log_weights=log_weights, trace=trace
        )
        assert found.rigorous
        np.testing.assert_allclose(found.value, values[index], rtol=1e-10)
        assert found.upper_value >= highest - 1e-12 * scale
        if found.certified:
            assert values[index] >= values.max() - 1e-6 * n


def test_one_trace_for_all_lets_one_covariance_take_two_clusters():
    X = np.array([[0.0], [0.1], [50.0], [50.1]])
    labels, covariances = np.array([0, 0, 1, 1]), np.array([[[1.0]], [[4.0]]])
    assert certify_likelihood(X, labels, covariances, trace="group").certified
    bound = certify_likelihood(X, labels, covariances, trace="total")
    assert bound.upper_value >= value(X, labels, covariances[[0, 0]])
    assert not bound.certified


@pytest.mark.parametrize("trace", ["group", "total"])
@pytest.mark.parametrize("separation", [12.0, 30.0])
def test_distant_groups_are_certified(trace, separation):
    X, labels, covariances = groups(120, 4, 3, separation)
    found = certify_likelihood(X, labels, covariances, trace=trace)
    assert found.certified
    # Rounding is all that is left of the gap.
    assert found.upper_value - found.value <= 1e-8 * abs(found.value)


@pytest.mark.parametrize("seed", range(4))
def test_wrong_labels_are_not_certified(seed):
    X, labels, covariances = groups(90, 3, 3, 15.0, seed)
    rng = np.random.default_rng(seed)
    wrong = labels.copy()
    wrong[rng.integers(90)] += 1
    wrong %= 3
    for tried in (wrong, (labels + 1) % 3, rng.permutation(labels)):
        assert not certify_likelihood(X, tried, covariances).certified


@pytest.mark.parametrize("trace", [Trace.GROUP, Trace.TOTAL])
def test_no_factor_of_low_rank_is_above_the_bound(trace):
    X, labels, covariances = groups(60, 3, 3, 4.0)
    result = low_rank_likelihood(X, covariances, rank=3, trace=trace, rng=np.random.default_rng(0))
    for start in (labels, np.roll(labels, 1)):  # a good partition and a bad one
        bound = certify_likelihood(X, start, covariances, trace=trace)
        allowance = 10 * result.trace_error * abs(bound.value)
        assert result.objective <= bound.upper_value + allowance


def test_equal_covariances_are_the_relaxation_of_k_means():
    X, labels = balls(150, 5, 3, 8.0)
    identity = np.array([np.eye(5)] * 3)
    for trace in ("group", "total"):
        assert certify_likelihood(X, labels, identity, trace=trace).certified
    assert certify_partition(X, labels).certified
    X, labels = balls(150, 5, 3, 3.0)
    labels = nearest(X, labels)
    assert not certify_likelihood(X, labels, identity).certified


def test_affine_maps_do_not_change_the_gap():
    X, labels, covariances = groups(80, 3, 2, 9.0)
    rng = np.random.default_rng(5)
    T = 1e3 * (rng.normal(size=(3, 3)) + 3 * np.eye(3))
    plain = certify_likelihood(X, labels, covariances)
    mapped = certify_likelihood(X @ T.T + 1e5, labels, T @ covariances @ T.T)
    shift = -2.0 * len(X) * np.linalg.slogdet(T)[1]
    np.testing.assert_allclose(mapped.value - shift, plain.value, rtol=1e-6)
    np.testing.assert_allclose(mapped.upper_value - shift, plain.upper_value, rtol=1e-5)


def test_many_rows_are_searched_on_a_part_of_them():
    X, labels, covariances = groups(1300, 3, 3, 14.0)
    found = certify_likelihood(X, labels, covariances)
    assert found.certified
    assert found.history.shape[1] == 4


def test_one_group_is_its_own_optimum():
    X, labels, covariances = groups(40, 3, 1, 0.0)
    assert certify_likelihood(X, labels, covariances).certified


def test_groups_of_one_row():
    X = np.array([[0.0, 0.0], [40.0, 0.0], [41.0, 1.0], [40.0, 1.0]])
    found = certify_likelihood(X, [0, 1, 1, 1], np.array([np.eye(2), 2.0 * np.eye(2)]))
    assert np.isfinite(found.upper_value)
    assert found.upper_value >= found.value


@pytest.mark.parametrize("trace", ["group", "total"])
def test_every_row_a_group_of_its_own(trace):
    X = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    found = certify_likelihood(X, [0, 1, 2], np.array([np.eye(2)] * 3), trace=trace)
    assert found.certified
    assert found.upper_value >= found.value == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 0, 0, 0]}, "label 1 of 2"),
        ({"labels": [0, 1, 2, 0]}, "from 0 to 1, got 2"),
        ({"covariances": np.eye(2)}, r"shape \(n_groups, 2, 2\), got \(2, 2\)"),
        ({"covariances": -np.array([np.eye(2)] * 2)}, "positive definite"),
        ({"covariances": np.array([[[1.0, 0.5], [0.0, 1.0]]] * 2)}, "symmetric"),
        ({"covariances": np.full((2, 2, 2), np.nan)}, "covariances contains NaN"),
        ({"X": np.full((4, 2), np.inf)}, "X contains NaN or infinity"),
        ({"X": np.zeros((5001, 2))}, "at most 5000 rows here, got 5001"),
        ({"X": np.array([[0.0, 0.0]] * 3 + [[1e200, 0.0]])}, "orders of magnitude for float64"),
        ({"covariances": np.empty((0, 2, 2))}, r"\(n_groups, 2, 2\), got \(0, 2, 2\)"),
        ({"trace": "half"}, "trace must be one of 'group', 'total', got 'half'"),
        ({"tol": -1.0}, "tol must be a finite number at least 0, got -1.0"),
        ({"log_weights": np.zeros(3)}, "log_weights"),
    ],
)
def test_bad_arguments(changes, message):
    good = {
        "X": np.arange(8.0).reshape(4, 2),
        "labels": [0, 0, 1, 1],
        "covariances": np.array([np.eye(2)] * 2),
    }
    with pytest.raises(ValueError, match=message):
        certify_likelihood(**(good | changes))
