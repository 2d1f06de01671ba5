"""Carriers hand out the same rows, and any block size gives the same bits."""

import functools
import itertools
import operator
import tracemalloc

import numpy as np
import pytest
from sklearn.utils.validation import check_array

from clusterlib.blocks import (
    ArrayBlocks,
    FileBlocks,
    MemmapBlocks,
    as_blocks,
    leaf_sum,
    map_blocks,
    map_reduce,
    tree_reduce,
)
from clusterlib.config import config_context
from clusterlib.kernels import LEAF_ROWS, cluster_sums

N_SAMPLES = 5 * LEAF_ROWS + 17
BLOCK_ROWS = [1, LEAF_ROWS, 2 * LEAF_ROWS, 3 * LEAF_ROWS, 4 * LEAF_ROWS, 8 * LEAF_ROWS, 10**9]


def merge_pairs(left, right):
    return tuple(a + b for a, b in zip(left, right, strict=True))


def level_by_level(merge, parts):
    """The definition of the tree, with every level in memory."""
    parts = list(parts)
    while len(parts) > 1:
        merged = [merge(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = merged + parts[len(parts) & ~1 :]
    return parts[0]


@pytest.fixture
def rows():
    """Rows whose sums depend on the order of the additions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, 3)) * 10.0 ** rng.uniform(-8, 8, size=(N_SAMPLES, 1))
    labels = rng.integers(-1, 4, size=N_SAMPLES).astype(np.int32)
    return X.astype(np.float32), labels, rng.uniform(size=N_SAMPLES)


@pytest.fixture
def save(tmp_path):
    def save_array(X):
        path = tmp_path / "X.npy"
        np.save(path, X)
        return path

    return save_array


@pytest.mark.parametrize("n_parts", [*range(1, 34), 63, 64, 65, 100])
def test_tree_reduce_merges_level_by_level(n_parts):
    parts = [(i,) for i in range(n_parts)]
    assert tree_reduce(lambda a, b: (a, b), parts) == level_by_level(lambda a, b: (a, b), parts)


@pytest.mark.parametrize("n_leaves", range(1, 24))
@pytest.mark.parametrize("leaves_in_block", [1, 2, 4, 8, 32])
def test_aligned_block_is_a_node_of_the_tree(n_leaves, leaves_in_block):
    def pair(a, b):
        return (a, b)

    blocks = [
        tree_reduce(pair, range(start, min(start + leaves_in_block, n_leaves)))
        for start in range(0, n_leaves, leaves_in_block)
    ]
    assert tree_reduce(pair, blocks) == tree_reduce(pair, range(n_leaves))


def test_blocks_of_three_leaves_are_not_nodes():
    whole = tree_reduce(lambda a, b: (a, b), range(6))
    thirds = [tree_reduce(lambda a, b: (a, b), range(start, start + 3)) for start in (0, 3)]
    assert tree_reduce(lambda a, b: (a, b), thirds) != whole


def test_tree_reduce_keeps_few_parts_alive():
    alive, most = 0, 0

    def parts():
        nonlocal alive, most
        for _ in range(1000):
            alive += 1
            most = max(most, alive)
            yield 1

    def merge(a, b):
        nonlocal alive
        alive -= 1
        return a + b

    assert tree_reduce(merge, parts()) == 1000
    assert most <= 11  # log2(1000) + 1, rounded up, and the part at hand


def test_tree_reduce_refuses_nothing():
    with pytest.raises(ValueError, match="no parts"):
        tree_reduce(operator.add, [])


@pytest.mark.parametrize("block_rows", BLOCK_ROWS)
@pytest.mark.parametrize("carrier", ["array", "memmap"])
@pytest.mark.parametrize("weighted", [False, True])
def test_any_block_size_gives_the_same_bits(rows, save, block_rows, carrier, weighted):
    X, labels, weight = rows
    weight = weight if weighted else None

    def block_sums(block, labels, weight, n_clusters):
        return cluster_sums(block, labels, n_clusters, sample_weight=weight)

    blocks = as_blocks(save(X) if carrier == "memmap" else X, block_rows=block_rows)
    sums, weights = map_reduce(block_sums, merge_pairs, blocks, labels, weight, broadcast=(4,))
    expected_sums, expected_weights = cluster_sums(X, labels, 4, sample_weight=weight)
    np.testing.assert_array_equal(sums, expected_sums)
    np.testing.assert_array_equal(weights, expected_weights)


def test_left_fold_gives_other_bits(rows):
    X, labels, _ = rows
    leaves = map_blocks(lambda b, y: cluster_sums(b, y, 4), as_blocks(X, block_rows=1), labels)
    folded, _ = functools.reduce(merge_pairs, leaves)
    assert np.any(folded != cluster_sums(X, labels, 4)[0])


@pytest.mark.parametrize("block_rows", BLOCK_ROWS)
@pytest.mark.parametrize("step", [1, 2])
def test_leaf_sum_has_the_same_bits_for_any_block_size(rows, block_rows, step):
    values = rows[0].astype(np.float64)[:, ::step]
    blocks = as_blocks(values, block_rows=block_rows)
    total = map_reduce(lambda block: leaf_sum(block[:, 0]), operator.add, blocks)
    assert total == leaf_sum(values[:, 0])
    # 4096 additions in a leaf at worst, 3 levels above, each within half a unit of the last place.
    bound = (LEAF_ROWS + 3) * 2.0**-53 * np.abs(values[:, 0]).sum()
    assert abs(total - float(np.sum(values[:, 0].astype(np.longdouble)))) <= bound


def test_leaf_sum_of_nothing_and_of_a_matrix():
    assert leaf_sum([]) == 0.0
    with pytest.raises(ValueError, match="1 dimension"):
        leaf_sum(np.ones((2, 2)))


@pytest.mark.parametrize("block_rows", [*BLOCK_ROWS, None])
@pytest.mark.parametrize("n_samples", [0, 1, LEAF_ROWS - 1, LEAF_ROWS, LEAF_ROWS + 1, N_SAMPLES])
def test_blocks_tile_the_rows(n_samples, block_rows):
    X = np.arange(2.0 * n_samples).reshape(n_samples, 2)
    blocks = as_blocks(X, block_rows=block_rows)
    parts = list(blocks)
    assert len(parts) == len(blocks) >= 1
    assert parts[0].start == 0 and parts[-1].stop == n_samples
    assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
    assert all(part.stop - part.start == blocks.block_rows for part in parts[:-1])
    leaves = blocks.block_rows // LEAF_ROWS
    assert blocks.block_rows == leaves * LEAF_ROWS and leaves & (leaves - 1) == 0
    assert block_rows is None or blocks.block_rows <= max(block_rows, LEAF_ROWS)
    np.testing.assert_array_equal(np.concatenate([part.array for part in parts]), X)


def test_array_in_memory_is_one_uncopied_block(rows):
    X = np.asfortranarray(rows[0])[::-1]
    X.flags.writeable = False
    blocks = as_blocks(X)
    (block,) = blocks
    assert isinstance(blocks, ArrayBlocks)
    assert np.shares_memory(block.array, X) and block.array.strides == X.strides


@pytest.mark.parametrize(
    ("stored", "served"),
    [
        ("<f4", np.float32),
        ("<f8", np.float64),
        ("<f2", np.float32),
        (">f4", np.float32),
        ("i1", np.float64),
        ("?", np.float64),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_file_of_any_type_reads_like_the_array(save, stored, served, order):
    rng = np.random.default_rng(1)
    X = np.asarray(rng.integers(0, 2, size=(LEAF_ROWS + 5, 3)), dtype=stored, order=order)
    path = save(X)
    for source in (path, str(path), np.load(path, mmap_mode="r")):
        blocks = as_blocks(source, block_rows=LEAF_ROWS)
        assert isinstance(blocks, FileBlocks if order == "C" else MemmapBlocks)
        assert blocks.dtype == served and (blocks.n_samples, blocks.n_features) == X.shape
        parts = list(blocks)
        assert all(part.array.dtype == served and part.array.dtype.isnative for part in parts)
        np.testing.assert_array_equal(np.concatenate([part.array for part in parts]), X)


@pytest.mark.parametrize("stored", [np.float32, np.float16])
def test_file_is_never_in_memory_as_a_whole(save, stored):
    X = np.ones((64 * LEAF_ROWS, 4), dtype=stored)
    path = save(X)
    tracemalloc.start()
    try:
        blocks = as_blocks(path, block_rows=LEAF_ROWS)
        total = map_reduce(lambda rows: leaf_sum(rows[:, 0]), operator.add, blocks)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == len(X)
    # A converted block of float32, its float64 column, and what the interpreter needs.
    assert peak < 4 * LEAF_ROWS * 4 * 4 < X.nbytes


def test_map_survives_validation_and_slicing(save, rows):
    path = save(rows[0])
    checked = check_array(np.load(path, mmap_mode="r"))
    for X in (checked, checked[100:], checked[:, ::2], checked.T[:2].T):
        blocks = as_blocks(X)
        assert isinstance(blocks, FileBlocks if X.flags.c_contiguous else MemmapBlocks)
        np.testing.assert_array_equal(np.concatenate([b.array for b in blocks]), np.array(X))
    assert isinstance(as_blocks(checked.copy()), ArrayBlocks)


@pytest.mark.parametrize("block_bytes", [64 * 2**20, 200 * 2**20])
def test_default_block_of_a_file_is_bounded_in_bytes(save, block_bytes):
    path = save(np.zeros((1, 3000), dtype=np.float32))
    with config_context(block_bytes=block_bytes):
        served = as_blocks(path).block_rows * 3000 * 4
    assert served <= block_bytes < 2 * served


def test_smallest_block_is_a_leaf(save):
    path = save(np.zeros((1, 3000), dtype=np.float32))
    with config_context(block_bytes=1):
        assert as_blocks(path).block_rows == LEAF_ROWS


@pytest.mark.parametrize("mapped", [False, True])
def test_take_returns_rows_in_order(rows, save, mapped):
    X = rows[0]
    blocks = as_blocks(save(X) if mapped else X)
    indices = [N_SAMPLES - 1, 0, 0, 4097]
    taken = blocks.take(indices)
    np.testing.assert_array_equal(taken, X[indices])
    assert not np.shares_memory(taken, X)
    assert blocks.take([]).shape == (0, 3)


def test_map_blocks_slices_passes_none_and_broadcasts():
    X = np.arange(2.0 * N_SAMPLES).reshape(N_SAMPLES, 2)
    position = np.arange(N_SAMPLES)
    seen = map_blocks(
        lambda rows, i, nothing, offset: (len(rows), i[0] + offset, nothing),
        as_blocks(X, block_rows=2 * LEAF_ROWS),
        position,
        None,
        broadcast=(7,),
    )
    assert seen == [(8192, 7, None), (8192, 8199, None), (4113, 16391, None)]


def test_row_aligned_array_of_wrong_length_is_refused():
    with pytest.raises(ValueError, match="length 10, got 9"):
        map_blocks(lambda rows, y: 0, as_blocks(np.ones((10, 1))), np.ones(9))


def test_carrier_passes_through_the_door():
    blocks = as_blocks(np.ones((3, 2)))
    assert as_blocks(blocks) is blocks
    with pytest.raises(ValueError, match="block_rows"):
        as_blocks(blocks, block_rows=LEAF_ROWS)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones(4), ValueError, "2 dimensions"),
        (np.ones((4, 0)), ValueError, "at least 1 feature"),
        (np.ones((2, 2), dtype=complex), TypeError, "real numbers"),
        (np.array([["a"]]), TypeError, "X"),
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_wrong_data_is_refused(save, X, error, message, mapped):
    with pytest.raises(error, match=message):
        as_blocks(save(X) if mapped else X)


@pytest.mark.parametrize(
    ("block_rows", "error"), [(0, ValueError), (-5, ValueError), (2.5, TypeError)]
)
def test_wrong_block_rows_is_refused(save, block_rows, error):
    X = np.ones((4, 2))
    for source in (X, save(X)):
        with pytest.raises(error, match="block_rows"):
            as_blocks(source, block_rows=block_rows)


def test_wrong_paths_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        as_blocks(tmp_path / "nothing.npy")
    np.savez(tmp_path / "many.npz", X=np.ones((2, 2)))
    with pytest.raises(ValueError, match="not a .npy file"):
        as_blocks(tmp_path / "many.npz")
    np.save(tmp_path / "objects.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(ValueError):
        as_blocks(tmp_path / "objects.npy")
