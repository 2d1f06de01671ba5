"""Rows that a function makes of the rows of a carrier: the same everywhere, stored nowhere."""

import operator
import tracemalloc
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.blocks import MappedBlocks, as_blocks, leaf_sum, map_reduce, mapped
from clusterlib.kernels import LEAF_ROWS
from clusterlib.solvers import lloyd
from tests.carriers import BLOCK_ROWS, CARRIERS

X = np.random.default_rng(0).normal(size=(20_011, 5)).astype(np.float32)
SHIFT = np.arange(len(X)) % 3
MATRIX = np.random.default_rng(1).normal(size=(5, 2))


def product(rows, shift, *, matrix):
    return rows @ matrix + shift[:, None]


def leaf_length(rows):
    return np.full((len(rows), 1), len(rows), np.float64)


def first_column_sum(rows, weight, power):
    return leaf_sum(weight * rows[:, 0] ** power)


def copies(rows):
    return rows.copy()


def made(blocks):
    return mapped(blocks, partial(product, matrix=MATRIX), 2, np.float64, beside=(SHIFT,))


def expected_rows():
    cuts = range(0, len(X), LEAF_ROWS)
    return np.concatenate(
        [X[a : a + LEAF_ROWS] @ MATRIX + SHIFT[a : a + LEAF_ROWS, None] for a in cuts]
    )


@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_way_to_read_gives_the_same_rows(carrier, tmp_path):
    blocks = made(CARRIERS[carrier](X, tmp_path))
    expected = expected_rows()
    assert (blocks.shape, blocks.dtype, blocks.in_memory) == ((len(X), 2), np.float64, False)
    assert_array_equal(np.concatenate([block.array for block in blocks]), expected)
    assert [(b.start, b.stop) for b in blocks] == list(blocks.ranges())
    assert_array_equal(np.concatenate(list(blocks.map(copies))), expected)
    assert_array_equal(blocks.rows(BLOCK_ROWS, len(X)), expected[BLOCK_ROWS:])
    indices = np.array([20_010, 5, 8192, 5])
    np.testing.assert_allclose(blocks.take(indices), expected[indices], rtol=1e-12)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_sums_and_solvers_have_the_same_bits(carrier, tmp_path):
    weight = np.linspace(0, 1, len(X))
    expected = expected_rows()
    blocks = made(CARRIERS[carrier](X, tmp_path))
    total = map_reduce(first_column_sum, operator.add, blocks, weight, broadcast=(2,))
    assert total == first_column_sum(expected, weight, 2)
    found = lloyd(blocks, expected[:4], max_iter=5)
    wanted = lloyd(expected, expected[:4], max_iter=5)
    assert_array_equal(found.centers, wanted.centers)
    assert_array_equal(found.labels, wanted.labels)


def test_dask_arrays():
    da = pytest.importorskip("dask.array")
    blocks = made(as_blocks(da.from_array(X, chunks=(4096, 5))))
    assert not blocks.runs_here
    assert_array_equal(np.concatenate([block.array for block in blocks]), expected_rows())
    weight = np.linspace(0, 1, len(X))
    total = map_reduce(first_column_sum, operator.add, blocks, weight, broadcast=(1,))
    assert total == first_column_sum(expected_rows(), weight, 1)


def test_maps_of_maps():
    outer = mapped(made(X), np.square, 2, np.float64)
    assert_array_equal(np.concatenate([b.array for b in outer]), np.square(expected_rows()))
    # BLAS rounds a row alone in another way than among others, on some processors.
    alone = product(X[[3]], SHIFT[[3]], matrix=MATRIX)
    assert_array_equal(outer.take(np.array([3])), np.square(alone))


def test_the_function_is_given_leaves_whatever_the_blocks():
    rows = next(iter(MappedBlocks(as_blocks(X), leaf_length, 1, np.float64))).array
    assert set(rows[:16_384, 0]) == {4096.0}
    assert set(rows[16_384:, 0]) == {len(X) - 16_384.0}


def test_the_carrier_is_read_once_in_a_pass_and_its_rows_are_looked_at():
    calls = []

    def batches():
        calls.append(1)
        yield from np.array_split(X, 7)

    blocks = made(as_blocks(batches, block_rows=BLOCK_ROWS))
    calls.clear()
    for _ in blocks:
        pass
    assert len(calls) == 1
    bad = X.copy()
    bad[9_999, 1] = np.inf
    with pytest.raises(ValueError, match="infinity in row 9999, column 1"):
        list(made(as_blocks(lambda: iter([bad]))).map(copies))


def test_nothing_of_the_size_of_the_result_is_stored():
    blocks = mapped(
        as_blocks(X, block_rows=4096), partial(np.repeat, repeats=100, axis=1), 500, X.dtype
    )
    tracemalloc.start()
    total = map_reduce(np.sum, operator.add, blocks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.isfinite(total)
    assert peak < 0.75 * len(X) * 500 * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_features": 0}, "n_features"),
        ({"dtype": np.int64}, "dtype must be float32 or float64, got int64"),
        ({"beside": (np.zeros(3),)}, "must have length 20011, got 3"),
    ],
)
def test_what_is_refused(options, message):
    options = {"n_features": 5, "dtype": np.float64} | options
    with pytest.raises(ValueError, match=message):
        mapped(X, copies, **options)


def test_a_function_with_another_width_is_refused():
    with pytest.raises(ValueError, match=r"shape \(4096, 4\), got \(4096, 5\)"):
        list(mapped(X, copies, 4, np.float32))


def test_costs_and_progress_are_those_of_the_carrier(tmp_path):
    assert made(CARRIERS["file"](X, tmp_path)).takes_cheaply
    blocks = made(CARRIERS["batches"](X, tmp_path))
    assert not blocks.takes_cheaply
    seen = []
    blocks.observer = seen.append
    map_reduce(leaf_length, lambda left, right: left, blocks)
    assert blocks.observer(0) is None
    assert seen == [0, 8192, 8192, 3627, 0]
