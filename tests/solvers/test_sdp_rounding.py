"""Partitions from relaxed memberships: exact on integral ones, never worse than what they saw."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.metrics import clustering_accuracy
from clusterlib.solvers import (
    Rounding,
    RowDraws,
    assign,
    candidate_labels,
    costs_of_assignment,
    kmeans_plusplus,
    lloyd,
    round_factor,
    round_membership,
    sdp_rounding,
    unit_trace_columns,
)
from clusterlib.solvers.factor_embedding import denoised_embedding, spectral_embedding


def generator(seed=0):
    return np.random.default_rng(seed)


def mixture(n=200, k=4, p=5, separation=7.0, seed=0, dtype=np.float64):
    rng = generator(seed)
    y = np.arange(n) % k
    X = separation / np.sqrt(2) * np.eye(k, p)[y] + rng.normal(size=(n, p))
    return X.astype(dtype), y


def memberships(y, rank, softness=0.3, seed=0):
    """Rows in the simplex; each cluster owns two columns, over which its rows spread at random."""
    rng = generator(seed)
    n, k = len(y), y.max() + 1
    W = softness * rng.dirichlet(np.full(rank, 0.5), size=n)
    share = (1 - softness) * rng.random(n)
    W[np.arange(n), y] += share
    W[np.arange(n), y + k] += 1 - softness - share
    return W


def test_unit_trace_columns_give_the_relaxed_matrix():
    W = memberships(mixture()[1], 8)
    U = unit_trace_columns(W)
    sums = W.sum(axis=0)
    assert_allclose(U @ U.T, W / sums @ W.T, atol=1e-15)
    assert_allclose((U @ U.T).sum(axis=1), 1, rtol=1e-13)


def test_empty_columns_are_left_out():
    W = np.c_[memberships(mixture()[1], 8), np.zeros((200, 2))]
    assert_array_equal(unit_trace_columns(W), unit_trace_columns(W[:, :8]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [4, 8])
def test_an_integral_factor_is_read_exactly(rank, dtype):
    X, y = mixture(dtype=dtype, separation=20.0)
    W = np.eye(rank)[y]
    partition = round_membership(X, W, 4, generator())
    assert clustering_accuracy(y, partition.labels) == 1
    assert partition.centers.dtype == dtype
    means = np.array([X[partition.labels == k].mean(axis=0, dtype=np.float64) for k in range(4)])
    assert_allclose(partition.centers, means, rtol=1e-6, atol=1e-6)
    assert_allclose(partition.inertia, np.square(X - means[partition.labels]).sum(), rtol=1e-6)


def test_every_candidate_reads_a_soft_factor():
    X, y = mixture()
    W = memberships(y, 8)
    found = candidate_labels(X, W, 4, generator(), group=np.arange(8) % 4)
    assert list(found) == [Rounding.LARGEST, Rounding.SPECTRAL, Rounding.DENOISED]
    for labels in found.values():
        assert labels.dtype == np.int32
        assert clustering_accuracy(y, labels) > 0.97


def test_the_largest_membership_needs_groups():
    X, y = mixture()
    found = candidate_labels(X, memberships(y, 8), 4, generator())
    assert set(found) == {Rounding.SPECTRAL, Rounding.DENOISED}


def test_the_largest_membership_keeps_the_numbers_of_the_groups():
    X, y = mixture()
    found = candidate_labels(X, np.eye(4)[y], 4, generator(), group=np.array([2, 0, 3, 1]))
    assert_array_equal(found[Rounding.LARGEST], np.array([2, 0, 3, 1])[y])


def test_columns_that_share_a_cluster_defeat_the_largest_membership_only():
    """Where only the sum of the groups' matrices is known, columns mix: singular vectors do not."""
    X, y = mixture(k=2)
    rotated = np.eye(2)[y] @ np.array([[0.55, 0.45], [0.6, 0.4]])
    found = candidate_labels(X, rotated, 2, generator(), group=np.arange(2))
    assert clustering_accuracy(y, found[Rounding.LARGEST]) == 0.5
    assert clustering_accuracy(y, found[Rounding.SPECTRAL]) == 1
    assert clustering_accuracy(y, found[Rounding.DENOISED]) == 1


def test_the_spectral_embedding_is_that_of_the_singular_value_decomposition():
    U = unit_trace_columns(memberships(mixture()[1], 8))
    vectors = np.linalg.svd(U, full_matrices=False)[0][:, :4]
    found = spectral_embedding(U, 4)
    assert_allclose(found @ found.T, vectors @ vectors.T, atol=1e-12)


def test_the_denoised_embedding_has_the_distances_of_averaged_rows():
    X, y = mixture()
    U = unit_trace_columns(memberships(y, 8))
    averaged = U @ (U.T @ X)
    found = denoised_embedding(X, U)
    for one, other in generator().integers(0, 200, size=(20, 2)):
        expected = np.linalg.norm(averaged[one] - averaged[other])
        assert_allclose(np.linalg.norm(found[one] - found[other]), expected, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_the_answer_is_no_dearer_than_any_candidate(seed):
    X = generator(seed).normal(size=(300, 3))
    W = generator(seed).dirichlet(np.full(10, 0.3), size=300)
    partition = round_membership(X, W, 5, generator(seed))
    for labels in candidate_labels(X, W, 5, generator(seed)).values():
        means = np.array([X[labels == k].mean(axis=0) for k in range(5)])
        assert partition.inertia <= lloyd(X, means).inertia
    assert_array_equal(partition.labels, assign(X, partition.centers))
    costs = costs_of_assignment(X, partition.centers, partition.labels)
    assert_allclose(partition.inertia, costs.sum(), rtol=1e-12)
    assert partition.rounding in (Rounding.SPECTRAL, Rounding.DENOISED)


@pytest.mark.parametrize("seed", range(3))
def test_the_better_end_of_two_starts_is_a_candidate(seed, monkeypatch):
    seen, original = [], sdp_rounding._clusters

    def spy(embedding, *options):
        seen.append((embedding, original(embedding, *options)))
        return seen[-1][1]

    monkeypatch.setattr(sdp_rounding, "_clusters", spy)
    X = generator(seed).normal(size=(120, 3))
    W = generator(seed).dirichlet(np.full(10, 0.3), size=120)
    candidates = candidate_labels(X, W, 9, generator(seed))
    for labels, (embedding, ends) in zip(candidates.values(), seen, strict=True):
        means = np.array([embedding[labels == k].mean(axis=0) for k in range(9)])
        inertias = [end.inertia for end in ends]
        assert np.ptp(inertias) > 1e-3 * min(inertias)
        assert_allclose(np.square(embedding - means[labels]).sum(), min(inertias), rtol=1e-9)


def test_a_bad_factor_loses_to_plain_starts():
    X, y = mixture()
    W = np.ones((200, 8)) / 8  # says nothing
    partition = round_membership(X, W, 4, generator(), n_kmeans=5)
    draws = RowDraws(as_blocks(X))
    rng = generator(1)
    starts = [kmeans_plusplus(X, 4, rng, draws=draws).centers for _ in range(10)]
    assert_allclose(partition.inertia, min(lloyd(X, s).inertia for s in starts), rtol=1e-3)
    assert clustering_accuracy(y, partition.labels) > 0.97


def test_any_factor_of_the_same_matrix_gives_the_same_partition():
    X, y = mixture()
    U = unit_trace_columns(memberships(y, 8))
    rotation = np.linalg.qr(generator().normal(size=(8, 8)))[0]
    one = round_factor(X, U, 4, generator())
    other = round_factor(X, U @ rotation, 4, generator())
    assert clustering_accuracy(one.labels, other.labels) == 1
    assert_allclose(one.inertia, other.inertia, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_offsets_and_scales_change_no_label(dtype):
    X, y = mixture(dtype=dtype)
    W = memberships(y, 8)
    expected = round_membership(X, W, 4, generator()).labels
    for scale in (1e-6, 1e6):
        scaled = (scale * X.astype(np.float64)).astype(dtype)
        assert_array_equal(round_membership(scaled, W, 4, generator()).labels, expected)
    if dtype == np.float64:
        assert_array_equal(round_membership(X + 1e6, W, 4, generator()).labels, expected)


def test_many_rows_are_seeded_on_some_of_them_for_any_blocks_and_layout():
    X, y = mixture(n=25_000, dtype=np.float32)
    W = memberships(y, 8)
    expected = round_membership(X, W, 4, generator(), n_kmeans=1)
    assert clustering_accuracy(y, expected.labels) > 0.97
    for other in (as_blocks(X, block_rows=4096), np.asfortranarray(X)):
        partition = round_membership(other, W, 4, generator(), n_kmeans=1)
        assert_array_equal(partition.labels, expected.labels)
        assert_array_equal(partition.centers, expected.centers)


def test_fewer_different_rows_than_clusters():
    X = np.repeat(np.eye(2), 5, axis=0)
    partition = round_membership(X, np.ones((10, 6)) / 6, 3, generator(), n_kmeans=1)
    assert partition.inertia == 0
    assert np.isfinite(partition.centers).all()
    constant = round_membership(np.full((9, 2), 7.0), np.eye(3)[np.arange(9) % 3], 3, generator())
    assert constant.inertia == 0


def test_a_column_without_rows_costs_no_cluster():
    """A factor that has lost a cluster still leads to as many as were asked for."""
    X, y = mixture(separation=20.0)
    W = np.eye(8)[np.minimum(y, 2)]  # the last two clusters share a column
    partition = round_membership(X, W, 4, generator())
    assert len(np.unique(partition.labels)) == 4


def test_blas_threads_change_no_bit():
    """A BLAS divides products of this size among its threads, and rounds them otherwise then."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    X, _ = mixture(n=5000, k=10, p=20)
    W = generator().dirichlet(np.full(100, 0.1), size=5000)
    answers = []
    for n_threads in (1, 2):
        with threadpoolctl.threadpool_limits(n_threads):
            places = denoised_embedding(X, W), spectral_embedding(W[:, :40], 10)
            answers.append((*places, round_membership(X, W, 10, generator()).labels))
    for one, other in zip(*answers, strict=True):
        assert_array_equal(one, other)
