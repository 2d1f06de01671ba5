"""cluster_sums: the same bits from every backend, thread count and layout."""

import math

import numpy as np
import pytest

from clusterlib.kernels import LEAF_ROWS, cluster_sums
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SIZES


def problem(n, d, k, dtype, seed=0):
    rng = np.random.default_rng([n, d, k, seed])
    X = rng.standard_normal((n, d)).astype(dtype)
    return X, rng.integers(-1, k, n).astype(np.int32), rng.uniform(0, 3, n)


def assert_same_bits(result, expected):
    for got, wanted in zip(result, expected, strict=True):
        assert got.dtype == np.float64
        assert np.array_equal(got, wanted)


def level_by_level(X, labels, n_clusters, weight):
    """The contract in other words than the reference: one list for each level of the tree."""
    parts = []
    for start in range(0, max(1, len(X)), LEAF_ROWS):
        sums, weights = np.zeros((n_clusters, X.shape[1])), np.zeros(n_clusters)
        for x, label, w in zip(
            *(a[start : start + LEAF_ROWS] for a in (X.astype(float), labels, weight)), strict=True
        ):
            if label >= 0:
                sums[label] = sums[label] + w * x
                weights[label] = weights[label] + w
        parts.append((sums, weights))
    while len(parts) > 1:
        odd = parts[-1:] if len(parts) % 2 else []
        parts = [
            (left[0] + right[0], left[1] + right[1])
            for left, right in zip(parts[0:-1:2], parts[1::2], strict=False)
        ] + odd
    return parts[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes(fast_backend, dtype):
    for i, n in enumerate(SIZES):
        for d in (SIZES[1 + i % 14], SIZES[1 + (5 * i + 3) % 14]):
            for k in (1, 3, 16):
                X, labels, weight = problem(n, d, k, dtype)
                for w in (None, weight):
                    result = cluster_sums(X, labels, k, sample_weight=w, backend=fast_backend)
                    expected = cluster_sums(X, labels, k, sample_weight=w, backend="reference")
                    assert_same_bits(result, expected)


@pytest.mark.parametrize("n_leaves", [1, 2, 3, 5, 7])
def test_tree_over_leaves(backend, n_leaves):
    n = n_leaves * LEAF_ROWS - (n_leaves % 2) * 1001
    X, labels, weight = problem(n, 2, 3, np.float32)
    expected = level_by_level(X, labels, 3, weight)
    for n_threads in (1, 2, 3):
        result = cluster_sums(
            X, labels, 3, sample_weight=weight, n_threads=n_threads, backend=backend
        )
        assert_same_bits(result, expected)


def test_many_leaves_and_threads(fast_backend):
    X, labels, weight = problem(37 * LEAF_ROWS + 5, 3, 4, np.float64)
    expected = cluster_sums(X, labels, 4, sample_weight=weight, n_threads=1, backend=fast_backend)
    for n_threads in (2, 3, 5):
        result = cluster_sums(
            X, labels, 4, sample_weight=weight, n_threads=n_threads, backend=fast_backend
        )
        assert_same_bits(result, expected)


def test_aligned_blocks_merge_to_the_same_bits(backend):
    X, labels, weight = problem(5 * LEAF_ROWS + 17, 3, 4, np.float32)
    whole = cluster_sums(X, labels, 4, sample_weight=weight, backend=backend)
    cut = 4 * LEAF_ROWS
    parts = [
        cluster_sums(X[s], labels[s], 4, sample_weight=weight[s], backend=backend)
        for s in (slice(None, cut), slice(cut, None))
    ]
    assert_same_bits([left + right for left, right in zip(*parts, strict=True)], whole)


def test_sums_are_close_to_exactly_rounded_ones(backend):
    X, labels, weight = problem(3 * LEAF_ROWS, 1, 1, np.float64)
    terms = (weight * X[:, 0])[labels >= 0]
    sums, weights = cluster_sums(X, labels, 1, sample_weight=weight, backend=backend)
    # The bound of the contract: a leaf's additions one after the other, two levels of the tree.
    factor = (LEAF_ROWS + 3) * 2.0**-53
    assert abs(sums[0, 0] - math.fsum(terms)) <= factor * math.fsum(np.abs(terms))
    assert abs(weights[0] - math.fsum(weight[labels >= 0])) <= factor * math.fsum(weight)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, tmp_path):
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    X, labels, weight = problem(LEAF_ROWS + 257, 9, 5, dtype)
    expected = cluster_sums(X, labels, 5, sample_weight=weight, backend=backend)
    vectors = [arrange(v[:, None], tmp_path)[:, 0] for v in (labels, weight)]
    result = cluster_sums(
        arrange(X, tmp_path), vectors[0], 5, sample_weight=vectors[1], backend=backend
    )
    assert_same_bits(result, expected)


@pytest.mark.parametrize("label_dtype", [np.int8, np.int16, np.int64, np.uint8, np.uint64])
def test_label_dtypes(backend, label_dtype):
    X, labels, _ = problem(65, 3, 4, np.float32)
    labels = np.abs(labels)
    expected = cluster_sums(X, labels, 4, backend="reference")
    assert_same_bits(cluster_sums(X, labels.astype(label_dtype), 4, backend=backend), expected)


def test_negative_labels_are_skipped_unseen(backend):
    X = np.array([[1.0], [np.nan], [np.inf], [2.0]])
    labels = np.array([0, -1, -(2**40), 1])  # the last would be 0 in 32 bits
    sums, weights = cluster_sums(X, labels, 3, backend=backend)
    assert np.array_equal(sums, [[1.0], [2.0], [0.0]])
    assert np.array_equal(weights, [1.0, 1.0, 0.0])


def test_weights_are_repetitions_and_may_take_rows_out(backend):
    X, labels, _ = problem(63, 4, 3, np.float32)
    X = np.round(8 * X) / 8  # sums of these are exact in any order
    repeats = np.arange(63) % 4
    weighted = cluster_sums(X, labels, 3, sample_weight=repeats, backend=backend)
    repeated = cluster_sums(
        np.repeat(X, repeats, axis=0), np.repeat(labels, repeats), 3, backend=backend
    )
    assert_same_bits(weighted, repeated)
    taken = cluster_sums(X, labels, 3, sample_weight=-1.0, backend=backend)
    kept = cluster_sums(X, labels, 3, backend=backend)
    assert_same_bits(
        [a + b for a, b in zip(taken, kept, strict=True)], (np.zeros((3, 4)), np.zeros(3))
    )
