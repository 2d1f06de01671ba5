"""Steps of the clustered memory: balanced labels, sums kept up to date, retrieval."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import (
    PartitionSums,
    balanced_labels,
    moved_prototypes,
    nearest_in_partition,
    partition_sums,
    replace_rows,
    unit_rows,
)


def directions(n, d=6, seed=0):
    return unit_rows(np.random.default_rng(seed).normal(size=(n, d)))


def textbook_codes(scores, epsilon, n_iters):
    """Sinkhorn-Knopp as SwAV writes it: columns, then rows, of exp(scores / epsilon)."""
    log_codes = scores / epsilon
    for _ in range(n_iters):
        log_codes -= np.log(np.exp(log_codes - log_codes.max()).sum(axis=0)) + log_codes.max()
        log_codes -= np.log(np.exp(log_codes).sum(axis=1, keepdims=True))
    return np.exp(log_codes)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_iters", [1, 10])
def test_labels_are_those_of_the_textbook(metric, n_iters):
    rows, prototypes = directions(200), 3.0 * directions(7, seed=1)
    cosines = rows @ unit_rows(prototypes).T
    distances = np.sqrt(2 - 2 * cosines) if metric == "euclidean" else 1 - cosines
    expected = np.argmax(textbook_codes(-distances, 0.1, n_iters), axis=1)
    labels = balanced_labels(rows, prototypes, 0.1, n_iters=n_iters, metric=metric)
    assert_array_equal(labels, expected)
    assert labels.dtype == np.int32


def test_near_prototypes_get_the_rows():
    """The sign is right: with the wrong one, rows would go to the farthest prototype."""
    prototypes = np.eye(6)
    rows = unit_rows(np.repeat(prototypes, 20, axis=0) + 0.1 * directions(120))
    labels = balanced_labels(rows, prototypes, 0.1)
    assert_array_equal(labels, np.repeat(np.arange(6), 20))


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_epsilon_neither_overflows_nor_collapses(epsilon, dtype):
    rows, prototypes = directions(300).astype(dtype), directions(10, seed=1).astype(dtype)
    sizes = np.bincount(balanced_labels(rows, prototypes, epsilon), minlength=10)
    assert sizes.min() > 0 and sizes.max() < 100


def test_a_small_batch_gets_the_nearest_prototypes():
    rows, prototypes = directions(4), directions(5, seed=1)
    expected = np.argmax(rows @ prototypes.T, axis=1)
    assert_array_equal(balanced_labels(rows, prototypes, 0.1), expected)


def test_sums_after_many_steps_are_those_of_the_bank():
    rng = np.random.default_rng(0)
    bank, labels = np.zeros((50, 3)), np.full(50, -1, dtype=np.int32)
    partitions = PartitionSums(np.zeros((4, 3)), np.zeros(4))
    for step in range(30):
        slots = rng.choice(50, 8, replace=False)
        new_labels = rng.integers(0, 3 if step < 20 else 4, size=8).astype(np.int32)
        rows = rng.normal(size=(8, 3))
        partitions = replace_rows(bank, labels, partitions, slots, rows, new_labels)
        assert_array_equal(bank[slots], rows)
        expected = partition_sums(bank, labels, 4)
        assert_allclose(partitions.sums, expected.sums, atol=1e-12)
        assert_array_equal(partitions.sizes, expected.sizes)
    assert (labels == -1).sum() + partitions.sizes.sum() == 50


def test_means_belong_to_their_prototypes_when_one_is_empty():
    bank = directions(6)
    labels = np.array([0, 0, 3, 3, 3, 1], dtype=np.int32)
    prototypes = directions(4, seed=1)
    moved = moved_prototypes(prototypes, partition_sums(bank, labels, 4), 0.0)
    assert_allclose(moved[[0, 1, 3]], [bank[labels == c].mean(axis=0) for c in (0, 1, 3)])
    assert_array_equal(moved[2], prototypes[2])


def test_momentum_keeps_a_part():
    bank, prototypes = directions(6), directions(2, seed=1)
    partitions = partition_sums(bank, np.arange(6) % 2, 2)
    means, half, still = (moved_prototypes(prototypes, partitions, m) for m in (0.0, 0.5, 1.0))
    assert_allclose(half, (means + prototypes) / 2)
    assert_allclose(still, prototypes)


def test_a_mean_without_direction_moves_nothing():
    prototypes = np.eye(2)
    opposite = PartitionSums(np.zeros((2, 2)), np.array([2.0, 4.0]))
    assert_array_equal(moved_prototypes(prototypes, opposite, 0.0), prototypes)


def brute_force(queries, bank, labels, prototypes, k):
    found = []
    for query in queries:
        partition = np.argmax(unit_rows(prototypes) @ query)
        allowed = np.flatnonzero(labels == partition)
        if len(allowed) <= k:
            allowed = np.arange(len(bank))
        similarity = bank[allowed] @ query / np.linalg.norm(query)
        found.append(allowed[np.argsort(-similarity, kind="stable")[:k]])
    return np.array(found)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_neighbours_are_indices_of_the_whole_bank(k):
    bank, queries = directions(80), 2.0 * directions(30, seed=1)
    prototypes = 5.0 * directions(6, seed=2)
    labels = np.argmax(bank @ prototypes.T, axis=1).astype(np.int32)
    labels[np.flatnonzero(labels == 0)[2:]] = 1  # one small partition
    distances, indices = nearest_in_partition(queries, bank, labels, prototypes, k)
    assert_array_equal(indices, brute_force(queries, bank, labels, prototypes, k))
    cosines = np.einsum("nd,nkd->nk", unit_rows(queries), bank[indices])
    assert_allclose(distances, 1 - cosines, atol=1e-12)
    assert (np.diff(distances, axis=1) >= 0).all()


def test_no_queries_have_no_neighbours():
    bank = directions(5)
    distances, indices = nearest_in_partition(bank[:0], bank, np.zeros(5, int), bank[:1], 2)
    assert distances.shape == indices.shape == (0, 2)


def test_as_many_rows_as_prototypes_are_shared_out():
    """All rows are nearest to one prototype: one fewer goes there, as many are one for each."""
    prototypes, near = np.eye(3), np.array([[9.0, 1.0, 0.0], [9.0, 0.0, 1.0], [9.0, 0.1, 0.1]])
    rows = unit_rows(near)
    assert_array_equal(balanced_labels(rows[:2], prototypes, 0.01), [0, 0])
    assert_array_equal(balanced_labels(rows, prototypes, 0.01, n_iters=None), [1, 2, 0])


def test_ten_normalisations_of_distances_are_made_by_default():
    rows, prototypes = directions(40), directions(5, seed=1)
    assert_array_equal(
        balanced_labels(rows, prototypes, 0.02),
        balanced_labels(rows, prototypes, 0.02, n_iters=10, metric="euclidean"),
    )
    others = [
        balanced_labels(rows, prototypes, 0.02, n_iters=n_iters, metric=metric)
        for n_iters, metric in ((1, "euclidean"), (10, "cosine"))
    ]
    for other in others:
        assert (other != balanced_labels(rows, prototypes, 0.02)).any()


@pytest.mark.parametrize(("share", "moves"), [(0.99, False), (1.01, True)])
def test_means_as_short_as_the_rounding_of_narrow_numbers_have_no_direction(share, moves):
    epsilon = float(np.finfo(np.float32).eps)
    partitions = PartitionSums(np.array([[0.0, -3 * share * epsilon]]), np.array([3.0]))
    moved = moved_prototypes(np.array([[0.0, 1.0]]), partitions, 0.0)
    assert_allclose(moved, [[0.0, -share * epsilon if moves else 1.0]], rtol=1e-12)


def test_partitions_of_no_more_rows_than_are_wanted_are_left():
    bank = unit_rows(np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 1.01], [0.9, 1.0], [0.0, 1.0]]))
    labels, query = np.array([0, 0, 0, 1, 1], dtype=np.int32), np.array([[1.0, 1.02]])
    # Row 2 is the nearest of all, but in the other partition.
    one_row = nearest_in_partition(query, bank[:4], labels[:4], np.eye(2), 1)[1]
    assert_array_equal(one_row, [[2]])
    two_rows = nearest_in_partition(query, bank, labels, np.eye(2), 1)[1]
    assert_array_equal(two_rows, [[3]])
    assert_array_equal(nearest_in_partition(query, bank, labels, np.eye(2), 2)[1], [[2, 3]])
