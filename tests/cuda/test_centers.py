"""Sums of clusters on the emulated device: the bits of the host, whatever runs first."""

from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.kernels import (
    BOUND_GROUPS,
    LEAF_ROWS,
    bounded_argmin,
    cluster_sums,
    pairwise_argmin,
)
from clusterlib.kernels._cupy import centers as passes
from clusterlib.kernels._cupy import sorted_rows
from clusterlib.kernels._cupy.sorted_rows import sort_rows
from tests.cuda.emul.arguments import Shifted
from tests.cuda.emul.emulator import ORDERS
from tests.helpers import DTYPES, SIZES

in_any_order = pytest.mark.parametrize("emulated", ORDERS, indirect=True)


def problem(n, d, k, dtype):
    rng = np.random.default_rng([n, d, k])
    X = rng.standard_normal((n, d)).astype(dtype)
    return X, rng.integers(-1, k, n).astype(np.int32), rng.uniform(0, 3, n)


def sums_on(device, X, labels, k, weight=None):
    weight = None if weight is None else device.to_device(weight)
    result = cluster_sums(device.to_device(X), device.to_device(labels), k, sample_weight=weight)
    return [device.to_host(array) for array in result]


def assert_bits_of_the_host(device, X, labels, k, weight=None):
    expected = cluster_sums(X, labels, k, sample_weight=weight)
    for got, wanted in zip(sums_on(device, X, labels, k, weight), expected, strict=True):
        assert got.dtype == np.float64
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@in_any_order
def test_all_sizes(emulated, dtype):
    for i, n in enumerate(SIZES):
        d, k = SIZES[1 + (5 * i + 3) % 14], (1, 3, 16)[i % 3]
        X, labels, weight = problem(n, d, k, dtype)
        for w in (None, weight):
            assert_bits_of_the_host(emulated, X, labels, k, w)


@pytest.mark.parametrize(
    ("n", "d", "k"),
    [
        (2 * LEAF_ROWS, 1, 1),
        (3 * LEAF_ROWS + 1, 2, 3),  # fewer threads than a warp for a cluster
        (5 * LEAF_ROWS - 1, 33, 2),  # a panel of one feature
        (9000, 3, 700),  # clusters that many leaves do not have
        (LEAF_ROWS + 3, 1, 5000),  # more labels than threads of the scan, long units
        (70 * LEAF_ROWS + 5, 1, 1),
    ],
)
@in_any_order
def test_tree_over_leaves(emulated, n, d, k):
    X, labels, weight = problem(n, d, k, np.float32)
    assert_bits_of_the_host(emulated, X, labels, k, weight)


def test_spans_of_several_leaves(emulation):
    # Partial sums of 75 leaves would take more than X does: leaves are merged on the way, and a
    # cluster is missing in most of them.
    n, d, k = 75 * LEAF_ROWS + 99, 1, 400
    X, labels, weight = problem(n, d, k, np.float32)
    labels[labels == 7] = -1
    labels[[LEAF_ROWS, 2 * LEAF_ROWS, 70 * LEAF_ROWS, n - 1]] = 7
    assert_bits_of_the_host(emulation, X, labels, k, weight)
    grids = {instance.kernel: grid for instance, grid in emulation.launched}
    assert "cl::merge_parts" in grids
    assert grids["cl::sum_rows<float>"][0] < 75 * k // 256 // 2


@pytest.mark.parametrize("n", [1, 10**6, 2**28 + 1, 2**31 - 1])
@pytest.mark.parametrize(("d", "k"), [(1, 1), (64, 1000), (64, 10**5), (2, 10**7)])
def test_spans_are_what_the_stacks_of_nodes_hold(n, d, k):
    X = SimpleNamespace(shape=(n, d), dtype=np.dtype(np.float32))  # no memory for that many rows
    for unit_rows in (2048, 1 << 20, 1 << 24):
        span = passes._span_leaves(X, k, unit_rows)
        leaves = -(-n // LEAF_ROWS)
        assert span & (span - 1) == 0
        assert span <= 4096
        assert -(-leaves // span) <= 4096
        assert span * LEAF_ROWS % unit_rows == 0
        # Tables of partial sums: few, or small.
        spans = -(-leaves // span)
        assert spans <= 2 or spans * k * d * 8 <= 64 << 20 or span == 4096


def test_rows_are_sorted_stably(emulated):
    for n, k in [(0, 3), (1, 1), (700, 5), (5000, 2), (4097, 3000)]:
        labels = np.random.default_rng(n).integers(-1, k, n).astype(np.int32)
        order = sort_rows(emulated.to_device(labels), k)
        starts, rows = emulated.to_host(order.starts), emulated.to_host(order.rows)
        kept = labels[labels >= 0]
        assert np.array_equal(
            starts, np.concatenate([[0], np.cumsum(np.bincount(kept, minlength=k))])
        )
        expected = np.argsort(labels, kind="stable")[n - len(kept) :]
        assert np.array_equal(rows[: len(kept)], expected)


def test_units_are_longer_where_labels_are_many(emulated, monkeypatch):
    monkeypatch.setattr(sorted_rows, "_MOST_PLACES", 1 << 14)
    labels = emulated.to_device(np.arange(5000, dtype=np.int32))
    order = sort_rows(labels, 1 << 13)
    assert order.unit_rows == 4096
    assert np.array_equal(emulated.to_host(order.rows), np.arange(5000))


def test_skipped_rows_are_not_looked_at(emulated):
    X = np.array([[1.0], [np.nan], [np.inf], [2.0]])
    labels = np.array([0, -1, -(2**40), 1])
    sums, weights = sums_on(emulated, X, labels, 3)
    assert np.array_equal(sums, [[1.0], [2.0], [0.0]])
    assert np.array_equal(weights, [1.0, 1.0, 0.0])


def test_bounded_labels_are_those_of_the_nearest_centres(emulated):
    rng = np.random.default_rng(0)
    X, centers = rng.standard_normal((300, 5)), rng.standard_normal((40, 5))
    arrays = [
        np.ones(40, np.float32),
        np.zeros(300, np.int32),
        np.full(300, 9, np.float32),
        np.full((300, BOUND_GROUPS), 9, np.float32),
    ]
    moves, labels, upper, lower = map(emulated.to_device, arrays)
    on_device = [emulated.to_device(array) for array in (X, centers)]
    assert bounded_argmin(*on_device, moves, labels, upper, lower) == (0, 0)
    assert np.array_equal(emulated.to_host(labels), pairwise_argmin(X, centers))
    # Bounds that promise nothing.
    assert np.isinf(emulated.to_host(upper)).all()
    assert (emulated.to_host(lower) == 0).all()
    with pytest.raises(ValueError, match="lower must be an array of shape"):
        bounded_argmin(*on_device, moves, labels, upper, upper)


def test_offsets_beyond_the_range_of_int(emulation):
    # Rows whose numbers are so large that their offsets leave the int range; as many leaves as a
    # power of two before them change nothing in the tree.
    n, d, k, before = LEAF_ROWS + 30, 515, 2, 1 << 22
    X, labels, weight = problem(n, d, k, np.float32)
    order = sort_rows(emulation.to_device(labels), k)
    results = []
    for shift in (0, before):
        sums = emulation.empty((k, d), np.float64)
        emulation.launch(
            passes._SUM[X.dtype], -(-k * 17 * 32 // 256),
            Shifted(emulation.to_device(X), shift * d), np.int32(d),
            Shifted(emulation.to_device(weight), shift), order.rows + shift, order.starts,
            order.places, np.int64(3), np.int32(4), np.int32(2), np.int64(1), np.int64(k),
            np.int32(32), sums,
        )  # fmt: skip
        results.append(emulation.to_host(sums))
    assert np.array_equal(*results)
    assert np.array_equal(results[0], cluster_sums(X, labels, k, sample_weight=weight)[0])


def test_bad_input(emulated):
    X, labels, weight = problem(7, 2, 3, np.float32)
    on_device, L = emulated.to_device(X), emulated.to_device(labels)
    with pytest.raises(TypeError, match="labels is on the host"):
        cluster_sums(on_device, labels, 3)
    with pytest.raises(TypeError, match="X is on the host"):
        cluster_sums(X, L, 3)
    with pytest.raises(TypeError, match="sample_weight is on the host"):
        cluster_sums(on_device, L, 3, sample_weight=weight)
    with pytest.raises(ValueError, match="labels must be below n_clusters=2, got 2"):
        cluster_sums(on_device, emulated.to_device(np.full(7, 2)), 2)
    for dtype in (np.uint32, np.int64, np.uint64):
        with pytest.raises(ValueError, match="labels must be below n_clusters=3, got 4294967295"):
            cluster_sums(on_device, emulated.to_device(np.full(7, 2**32 - 1, dtype)), 3)
    with pytest.raises(TypeError, match="X must be float32 or float64"):
        cluster_sums(emulated.to_device(X.astype(np.float16)), L, 3)
    with pytest.raises(ValueError, match="n_clusters must be from 1"):
        cluster_sums(on_device, L, 0)
    with pytest.raises(ValueError, match="X .* contains NaN or infinity"):
        cluster_sums(emulated.to_device(X * np.float32(np.nan)), emulated.to_device(labels * 0), 3)
    with pytest.raises(ValueError, match="backend must be None, 'auto' or 'cupy'"):
        cluster_sums(on_device, L, 3, backend="numba")
