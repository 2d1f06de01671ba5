"""Columns of vectors in Arrow's memory and files give the rows and the bits of the array."""

import builtins
import itertools
import operator
import os
import pickle
import threading

import numpy as np
import pytest

from clusterlib.blocks import ArrowBlocks, as_blocks, is_carried, leaf_sum, map_reduce
from clusterlib.kernels import LEAF_ROWS

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")

N_SAMPLES = 3 * LEAF_ROWS + 17
X = (np.random.default_rng(0).normal(size=(N_SAMPLES, 3)) * 1e4 ** np.arange(3)).astype(np.float32)


def fixed_lists(rows, kind=None):
    values = pa.array(rows.ravel())
    kind = kind or pa.list_(values.type, rows.shape[1])
    return pa.FixedSizeListArray.from_arrays(values, type=kind)


def free_lists(rows, large=False):
    offsets = np.arange(0, rows.size + 1, rows.shape[1])
    if large:
        return pa.LargeListArray.from_arrays(offsets.astype(np.int64), pa.array(rows.ravel()))
    return pa.ListArray.from_arrays(offsets.astype(np.int32), pa.array(rows.ravel()))


def tensors(rows):
    return pa.FixedShapeTensorArray.from_numpy_ndarray(rows)


def table_of(array):
    return pa.table({"number": np.arange(len(array)), "vector": array})


def stream_of(table, path):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=777)


# Name of a file -> what writes it, in groups of rows of sizes that are not aligned.
WRITERS = {
    "groups.parquet": lambda table, path: pq.write_table(table, path, row_group_size=1000),
    "large_groups.PARQUET": lambda table, path: pq.write_table(table, path, row_group_size=5000),
    "whole.parquet": lambda table, path: pq.write_table(table, path, compression="gzip"),
    "packed.feather": lambda table, path: feather.write_feather(table, path, chunksize=5000),
    "plain.arrow": lambda table, path: feather.write_feather(
        table, path, chunksize=9000, compression="uncompressed"
    ),
    "stream.arrow": stream_of,
}
LISTS = {"fixed": fixed_lists, "free": free_lists, "tensors": tensors}


@pytest.fixture
def write(tmp_path):
    def write_table(table, name):
        WRITERS[name](table, str(tmp_path / name))
        return tmp_path / name

    return write_table


def joined(blocks):
    return np.concatenate([block.array for block in blocks])


def total(blocks):
    return map_reduce(lambda rows: leaf_sum(rows[:, 0]), operator.add, blocks)


@pytest.mark.parametrize("block_rows", [1, 2 * LEAF_ROWS, None])
@pytest.mark.parametrize("lists", LISTS)
@pytest.mark.parametrize("name", WRITERS)
def test_file_gives_the_rows_and_bits_of_the_array(write, name, lists, block_rows):
    path = write(table_of(LISTS[lists](X)), name)
    for source in (path, str(path)):
        assert is_carried(source)
        blocks = as_blocks(source, block_rows=block_rows)
    assert isinstance(blocks, ArrowBlocks) and not blocks.in_memory
    assert blocks.shape == X.shape and blocks.dtype == np.float32
    assert [block[:2] for block in blocks] == [*as_blocks(X, block_rows=blocks.block_rows).ranges()]
    np.testing.assert_array_equal(joined(blocks), X)
    assert total(blocks) == total(as_blocks(X))


def pieces(array):
    cuts = [0, 10, 10, 5000, N_SAMPLES]
    return pa.chunked_array([array[a:b] for a, b in itertools.pairwise(cuts)])


@pytest.mark.parametrize(
    "make",
    [
        lambda lists: lists,
        lambda lists: pa.concat_arrays([lists[:7], lists])[7:],
        pieces,
        table_of,
        lambda lists: table_of(pieces(lists)),
        lambda lists: pa.RecordBatch.from_arrays([lists], ["vector"]),
    ],
    ids=["array", "slice", "pieces", "table", "table of pieces", "batch"],
)
@pytest.mark.parametrize("lists", [fixed_lists, free_lists, lambda rows: free_lists(rows, True)])
def test_memory_gives_the_rows_of_the_array(lists, make):
    source = make(lists(X))
    assert is_carried(source)
    blocks = as_blocks(source, block_rows=LEAF_ROWS)
    assert isinstance(blocks, ArrowBlocks) and blocks.dtype == np.float32
    np.testing.assert_array_equal(joined(blocks), X)
    np.testing.assert_array_equal(blocks.take([9000, 0, 10, 10]), X[[9000, 0, 10, 10]])
    np.testing.assert_array_equal(blocks.rows(5, 5005), X[5:5005])


def test_blocks_are_views_where_memory_allows(write):
    lists = fixed_lists(X)
    memory = lists.flatten().to_numpy()
    for source in (lists, table_of(lists)):
        blocks = list(as_blocks(source, block_rows=LEAF_ROWS))
        assert all(np.shares_memory(block.array, memory) for block in blocks)
    path = write(table_of(lists), "plain.arrow")
    blocks = list(as_blocks(path, block_rows=LEAF_ROWS))
    are_copies = [block.array.flags.writeable for block in blocks]
    assert are_copies == [False, False, True, False]  # the third one lies in two batches
    np.testing.assert_array_equal(np.concatenate([block.array for block in blocks]), X)


@pytest.mark.parametrize(
    ("stored", "served"),
    [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i1", "f8"), ("u8", "f8"), ("?", "f8")],
)
@pytest.mark.parametrize("name", ["groups.parquet", "packed.feather"])
def test_any_type_of_numbers_reads_like_the_array(write, stored, served, name):
    rows = (np.abs(X[:6000]) > 1).astype(stored)
    values = pa.array(rows.ravel())
    lists = pa.FixedSizeListArray.from_arrays(values, 3)
    for source in (lists, write(table_of(lists), name)):
        blocks = as_blocks(source, block_rows=LEAF_ROWS)
        assert blocks.dtype == served
        assert all(block.array.dtype == served for block in blocks)
        np.testing.assert_array_equal(joined(blocks), rows)
        np.testing.assert_array_equal(blocks.take([5999, 3]), rows[[5999, 3]])


@pytest.mark.parametrize("name", ["groups.parquet", "packed.feather"])
def test_columns_of_numbers_are_the_features(write, name):
    columns = {"a": X[:, 0], "b.c": X[:, 1].astype(np.float16), "d": X[:, 2]}
    table = pa.table(columns)
    expected = np.stack([column.astype(np.float32) for column in columns.values()], axis=1)
    for source in (table, write(table, name)):
        blocks = as_blocks(source, block_rows=LEAF_ROWS)
        assert blocks.dtype == np.float32
        np.testing.assert_array_equal(joined(blocks), expected)
    assert as_blocks(table.append_column("e", pa.array(np.arange(N_SAMPLES)))).dtype == np.float64


def test_column_is_chosen_by_name():
    table = table_of(fixed_lists(X)).append_column("other", free_lists(2 * X))
    np.testing.assert_array_equal(joined(as_blocks(table, column="vector")), X)
    np.testing.assert_array_equal(joined(as_blocks(table, column="other")), 2 * X)
    with pytest.raises(ValueError, match="2 columns of vectors.*'number'.*'vector'.*'other'"):
        as_blocks(table)
    with pytest.raises(ValueError, match="no column 'vectors'; its columns are 'number'"):
        as_blocks(table, column="vectors")
    with pytest.raises(TypeError, match="column 'number' of X must hold vectors.*int64"):
        as_blocks(table, column="number")


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"a": ["x"], "b": [1.0]}, ValueError, r"0 columns of vectors.*'a' \(string\), 'b'"),
        ({}, ValueError, "0 columns of vectors"),
        ({"a": [["x"]]}, ValueError, "0 columns of vectors"),
        ({"a": [[[1.0]]]}, ValueError, "0 columns of vectors"),
        ({"a": [{"b": 1.0}]}, ValueError, "0 columns of vectors"),
        ({"a": pa.array([[]], pa.list_(pa.float32(), 0))}, ValueError, "at least 1 value"),
        ({"a": pa.array([[]], pa.list_(pa.float32()))}, ValueError, "no values in row 0"),
        ({"a": pa.array([None], pa.list_(pa.float32()))}, ValueError, "null in row 0"),
        ({"a": pa.array([], pa.list_(pa.float32()))}, ValueError, "'a' of X has no rows"),
    ],
)
def test_wrong_tables_are_refused(columns, error, message):
    with pytest.raises(error, match=message):
        as_blocks(pa.table(columns))


def test_columns_of_one_name_are_refused(write):
    table = pa.Table.from_arrays([fixed_lists(X)] * 2, ["a", "a"])
    for source in (table, write(table, "plain.arrow")):
        with pytest.raises(ValueError, match="several columns of one name: 'a'"):
            as_blocks(source, column="a")


@pytest.mark.parametrize("source", [pa.array([1.0]), pa.chunked_array([[1.0]])])
def test_vectors_are_demanded_of_arrays(source):
    with pytest.raises(TypeError, match="'X' of X must hold vectors of real numbers, got double"):
        as_blocks(source)
    with pytest.raises(TypeError, match="pyarrow, got ndarray"):
        ArrowBlocks(X)


@pytest.mark.parametrize("other", [X, [[1.0, 2.0]], "X.npy", lambda: [X], as_blocks(X)])
def test_column_is_refused_for_other_data(other):
    with pytest.raises(ValueError, match="Arrow or Parquet data, got column='a'"):
        as_blocks(other, column="a")


def test_tables_without_rows(write):
    lists = fixed_lists(X)[:0]
    for source in (lists, *(write(table_of(lists), name) for name in WRITERS)):
        blocks = as_blocks(source)
        assert blocks.shape == (0, 3) and blocks.take([]).shape == (0, 3)
        assert [block.array.shape for block in blocks] == [(0, 3)]


def with_lists(row, value, kind):
    rows = X.tolist()
    rows[row] = value
    return pa.array(rows, kind)


@pytest.mark.parametrize("row", [0, 5000, N_SAMPLES - 1])
@pytest.mark.parametrize("name", [None, "groups.parquet", "packed.feather"])
@pytest.mark.parametrize("size", [3, -1])
def test_nulls_are_refused_with_their_row(write, name, row, size):
    kind = pa.list_(pa.float32(), size)
    for value, message in [
        (None, f"column 'vector' of .* is null in row {row};"),
        ([1.0, None, 2.0], f"column 'vector' of .* has a null in row {row}, place 1;"),
    ]:
        table = table_of(with_lists(row, value, kind))
        with pytest.raises(ValueError, match=message):
            joined(as_blocks(table if name is None else write(table, name)))


def test_nulls_in_columns_of_numbers_are_refused_with_their_row():
    numbers = [1.0] * 5000 + [None]
    with pytest.raises(ValueError, match="column 'b' of X is null in row 5000"):
        joined(as_blocks(pa.table({"a": [1.0] * 5001, "b": numbers})))


@pytest.mark.parametrize("name", [None, "groups.parquet", "packed.feather"])
@pytest.mark.parametrize("value", [[1.0], [], [1.0] * 4])
def test_lists_of_other_lengths_are_refused_with_their_row(write, name, value):
    table = table_of(with_lists(7000, value, pa.list_(pa.float32())))
    blocks = as_blocks(table if name is None else write(table, name), block_rows=LEAF_ROWS)
    message = f"column 'vector' of .* has {len(value)} values in row 7000 and 3 in row 0"
    with pytest.raises(ValueError, match=message):
        joined(blocks)


@pytest.mark.parametrize("name", ["groups.parquet", "plain.arrow"])
def test_what_is_not_finite_is_refused_with_its_row(write, name):
    wrong = X.copy()
    wrong[9000, 2] = np.nan
    blocks = as_blocks(write(table_of(fixed_lists(wrong)), name), block_rows=LEAF_ROWS)
    with pytest.raises(ValueError, match="NaN in row 9000, column 2"):
        joined(blocks)


def test_observer_hears_of_every_block(write):
    blocks = as_blocks(write(table_of(fixed_lists(X)), "groups.parquet"), block_rows=LEAF_ROWS)
    heard = []
    blocks.observer = heard.append
    joined(blocks)
    assert heard == [0, LEAF_ROWS, LEAF_ROWS, LEAF_ROWS, 17] and blocks.is_finite


@pytest.mark.parametrize("name", WRITERS)
def test_rows_and_take_in_any_order(write, name):
    blocks = as_blocks(write(table_of(fixed_lists(X)), name))
    rng = np.random.default_rng(1)
    starts = [0, 4000, 4000, 8000, 2, N_SAMPLES - 5, 4999, 5000, *rng.integers(0, N_SAMPLES, 8)]
    for start in starts:
        stop = min(start + 4000, N_SAMPLES)
        np.testing.assert_array_equal(blocks.rows(start, stop), X[start:stop])
    for start in range(0, N_SAMPLES, 1500):  # one after the other, as a folder of files reads
        stop = min(start + 1500, N_SAMPLES)
        np.testing.assert_array_equal(blocks.rows(start, stop), X[start:stop])
    for size in (0, 1, 50, N_SAMPLES):
        indices = rng.integers(0, N_SAMPLES, size)
        np.testing.assert_array_equal(blocks.take(indices), X[indices])
    for wrong in ([N_SAMPLES], [-1]):
        with pytest.raises(IndexError):
            blocks.take(wrong)


@pytest.mark.parametrize("name", WRITERS)
def test_passes_may_overlap(write, name):
    blocks = as_blocks(write(table_of(fixed_lists(X)), name), block_rows=LEAF_ROWS)
    for outer in blocks:
        np.testing.assert_array_equal(joined(blocks), X)
        np.testing.assert_array_equal(outer.array, X[outer.start : outer.stop])
        break
    results = [[] for _ in range(4)]

    def work(result):
        result.append(joined(blocks))
        result.extend(blocks.rows(start, start + 3000) for start in range(0, 12_000, 3000))

    threads = [threading.Thread(target=work, args=(result,)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for whole, *parts in results:
        np.testing.assert_array_equal(whole, X)
        np.testing.assert_array_equal(np.concatenate(parts), X[:12_000])


@pytest.mark.parametrize("name", WRITERS)
def test_carrier_goes_to_another_process(write, name, monkeypatch, tmp_path):
    write(table_of(fixed_lists(X)), name)
    monkeypatch.chdir(tmp_path)
    blocks = as_blocks(name)
    blocks.rows(0, 10)
    monkeypatch.chdir(os.sep)
    np.testing.assert_array_equal(joined(pickle.loads(pickle.dumps(blocks))), X)


@pytest.mark.parametrize("name", ["groups.parquet", "packed.feather", "plain.arrow"])
def test_cut_file_is_refused(write, name):
    path = write(table_of(fixed_lists(X)), name)
    whole = path.read_bytes()
    blocks = as_blocks(path, block_rows=LEAF_ROWS)
    for size in (len(whole) // 2, 20, 4, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=f"{name} is not a complete"):
            as_blocks(path)
        for read in (joined, lambda blocks: blocks.take([9000])):
            with pytest.raises(OSError, match=f"{name} (has changed|cannot be read)"):
                read(blocks)
    path.unlink()
    with pytest.raises(OSError, match=name):
        joined(blocks)
    with pytest.raises(FileNotFoundError):
        as_blocks(path)


@pytest.mark.parametrize("name", ["groups.parquet", "plain.arrow"])
def test_file_that_changes_during_a_pass_is_refused(write, name):
    path = write(table_of(fixed_lists(X)), name)
    blocks = as_blocks(path, block_rows=LEAF_ROWS)
    for block in blocks:
        if block.start == 0:
            status = os.stat(path)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
            with pytest.raises(OSError, match=f"{name} has changed since it was opened.*row"):
                joined(blocks)
            break


def test_other_files_are_refused(tmp_path):
    for name in ("a.parquet", "a.arrow", "a.feather"):
        (tmp_path / name).write_bytes(b"something else " * 100)
        with pytest.raises(ValueError, match=f"{name} is not a complete"):
            as_blocks(tmp_path / name)


def test_missing_pyarrow_is_named(monkeypatch, tmp_path):
    import_module = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return import_module(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "clusterlib-native\[arrow\]"'):
        as_blocks(tmp_path / "a.parquet")


def test_row_group_is_never_in_memory_as_a_whole(tmp_path):
    rows = np.random.default_rng(2).normal(size=(40 * LEAF_ROWS, 64)).astype(np.float32)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": fixed_lists(rows)}), path, row_group_size=len(rows))
    assert pq.read_metadata(path).num_row_groups == 1
    blocks = as_blocks(path, block_rows=LEAF_ROWS)
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        sums = total(blocks)
    finally:
        pa.set_memory_pool(before)
    assert sums == total(as_blocks(rows))
    assert 0 < pool.max_memory() < rows.nbytes / 2
