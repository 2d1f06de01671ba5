"""Sparse rows, made dense block by block, give the rows and the bits of the dense matrix."""

import operator
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from clusterlib.blocks import CsrBlocks, as_blocks, is_carried, leaf_sum, map_reduce
from clusterlib.kernels import LEAF_ROWS

N_SAMPLES = 2 * LEAF_ROWS + 17
FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]


def some_rows(n_samples=N_SAMPLES, n_features=7, dtype=np.float32):
    X = np.random.default_rng(0).normal(scale=100, size=(n_samples, n_features))
    return np.where(X > 50, X, 0).astype(dtype)


def joined(blocks):
    return np.concatenate([block.array for block in blocks])


@pytest.mark.parametrize("block_rows", [1, 2 * LEAF_ROWS, None])
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_rows_and_bits_of_the_dense_matrix(kind, block_rows):
    X = some_rows()
    blocks = as_blocks(kind(X), block_rows=block_rows)
    assert isinstance(blocks, CsrBlocks) and blocks.shape == X.shape and not blocks.in_memory
    expected = as_blocks(X, block_rows=blocks.block_rows)
    for _ in range(2):
        assert [block[:2] for block in blocks] == [*expected.ranges()]
        np.testing.assert_array_equal(joined(blocks), X)
    for carrier in (blocks, expected):
        carrier.total = map_reduce(lambda rows: leaf_sum(rows[:, 0]), operator.add, carrier)
    assert blocks.total == expected.total and blocks.is_finite
    indices = [N_SAMPLES - 1, 0, 0, 5000]
    np.testing.assert_array_equal(blocks.take(indices), X[indices])
    assert type(blocks.take([1])) is np.ndarray and blocks.take([]).shape == (0, 7)
    with pytest.raises(IndexError):
        blocks.take([N_SAMPLES])
    for outer in blocks:
        np.testing.assert_array_equal(joined(blocks), X)
        np.testing.assert_array_equal(outer.array, X[outer.start : outer.stop])


@pytest.mark.parametrize("kind", FORMATS)
def test_any_format_reads_like_the_dense_matrix(kind):
    X = some_rows(30)
    matrix = sparse.coo_array(X).asformat(kind)
    assert not is_carried(matrix)
    np.testing.assert_array_equal(joined(as_blocks(matrix)), X)


@pytest.mark.parametrize(
    ("stored", "served"), [("f4", "f4"), ("f8", "f8"), ("i1", "f8"), ("u4", "f8"), ("?", "f8")]
)
def test_any_type_of_numbers_reads_like_the_dense_matrix(stored, served):
    X = some_rows(30, dtype=stored)
    blocks = as_blocks(sparse.csr_array(X))
    assert blocks.dtype == joined(blocks).dtype == blocks.take([1]).dtype == served
    np.testing.assert_array_equal(joined(blocks), X)


def test_stored_zeros_unsorted_columns_and_repeats():
    values = np.array([1.0, 0.0, 2.0, 4.0, 8.0, -8.0])
    columns, starts = np.array([2, 0, 1, 2, 0, 0]), np.array([0, 2, 2, 4, 6])
    X = sparse.csr_array((values, columns, starts), shape=(4, 3))
    expected = [[0, 0, 1], [0, 0, 0], [0, 2, 4], [0, 0, 0]]
    np.testing.assert_array_equal(joined(as_blocks(X)), expected)
    X.data[2:4], X.indices[2:4] = [2.0, 4.0], [2, 2]
    expected[2] = [0, 0, 6]
    np.testing.assert_array_equal(joined(as_blocks(X)), expected)
    assert len(X.data) == 6  # the matrix of the user is as it was


def test_compressed_rows_are_not_copied():
    X = sparse.random_array((100_000, 10), density=0.5, format="csr", random_state=0)
    tracemalloc.start()
    try:
        blocks = as_blocks(X, block_rows=LEAF_ROWS)
        for _ in blocks:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Three dense blocks and the sparse rows of one, with its columns.
    assert peak < 5 * LEAF_ROWS * 10 * 8 < X.data.nbytes


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_with_its_row(value):
    X = some_rows()
    X[5000, 3] = value
    with pytest.raises(ValueError, match="in row 5000, column 3"):
        joined(as_blocks(sparse.csr_array(X), block_rows=LEAF_ROWS))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (sparse.csr_array((9, 0)), ValueError, "at least 1 feature"),
        (sparse.csr_array((3, 3), dtype=complex), TypeError, "real numbers"),
        (sparse.csr_array((4096, 65_537), dtype=np.float32), ValueError, None),
        (sparse.csr_array((10**6, 2**31 - 1), dtype=np.float32), ValueError, "TruncatedSVD"),
        (sparse.csr_array((10**6, 32_769)), ValueError, "32769 columns.*1.0 GiB.*TruncatedSVD"),
        (np.ones((3, 3)), TypeError, "must be a sparse matrix, got ndarray"),
    ],
)
def test_wrong_matrices_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        CsrBlocks(X)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize(
    ("array", "at", "value"),
    [
        ("indices", 1, 99),
        ("indices", 1, -1),
        ("indptr", 0, 1),
        ("indptr", 2, -5),
        ("indptr", 2, 2**30),
        ("indptr", -1, 2**30),
    ],
)
def test_indices_out_of_range_are_refused(kind, array, at, value):
    """SciPy follows them to memory that is not the matrix's, and the process ends."""
    X = kind(some_rows(50))
    getattr(X, array)[at] = value
    with pytest.raises(ValueError, match="X is a broken sparse matrix: its indptr or indices"):
        CsrBlocks(X)


def test_widest_matrices_are_taken():
    widest = sparse.csr_array((10**6, 2**15))
    assert CsrBlocks(widest).block_rows == LEAF_ROWS
    few = sparse.csr_array(([1.0], ([1], [10**6])), shape=(2, 10**6 + 1))
    assert joined(as_blocks(few))[1, 10**6] == 1.0


def test_carrier_of_a_sparse_matrix_is_carried():
    assert is_carried(as_blocks(sparse.csr_array((3, 2))))
