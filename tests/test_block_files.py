"""Files, memory maps and folders of shards are read like the array they hold, to the bit."""

import itertools
import mmap
import multiprocessing
import os
import pickle

import numpy as np
import pytest

from clusterlib.blocks import (
    FileBlocks,
    MemmapBlocks,
    ShardBlocks,
    as_blocks,
    is_carried,
    map_reduce,
)
from clusterlib.kernels import LEAF_ROWS, cluster_sums

N_SAMPLES = 3 * LEAF_ROWS + 17
# Borders inside leaves, on the border of a leaf, next to each other and at both ends.
CUTS = [0, 5, 5, LEAF_ROWS, LEAF_ROWS + 1, 3 * LEAF_ROWS - 2, N_SAMPLES]
STORED = ["<f4", "<f8", "<f2", ">f4", ">f8", ">i2", "i8", "u1", "?", "bfloat16"]


def stored_type(name):
    if name == "bfloat16":
        return pytest.importorskip("ml_dtypes").bfloat16
    return np.dtype(name)


def rows_of(name, n_samples=N_SAMPLES):
    """Rows whose sums depend on the order of the additions, for the types that can hold such."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 3)) * 10.0 ** rng.uniform(-3, 2, size=(n_samples, 1))
    return (X > 0 if name == "?" else np.abs(X)).astype(stored_type(name))


def served(X):
    """What carriers serve, by the plainest conversion."""
    narrow = X.dtype.name in {"float16", "float32", "bfloat16"}
    return X.astype(np.float32 if narrow else np.float64)


def as_file(X, folder):
    path = folder / "Zeilen äöü.npy"
    np.save(path, X)
    return path


def as_map(X, folder):
    # Not from the start of the file, nor of the map: the place of the rows has to be found.
    root = np.memmap(folder / "raw", X.dtype, "w+", offset=24, shape=(len(X) + 7, X.shape[1]))
    root[3 : 3 + len(X)] = X
    return root.view(np.ndarray)[1:][2 : 2 + len(X)]


def as_folder(X, folder):
    inside = folder / "shards"
    inside.mkdir()
    for number, (start, stop) in enumerate(itertools.pairwise(CUTS)):
        np.save(inside / f"shard_{number + 7}.npy", X[start:stop])  # 7 to 12
    return inside


def as_list(X, folder):
    inside = as_folder(X, folder)
    return [str(inside / f"shard_{number + 7}.npy") for number in range(len(CUTS) - 1)]


SOURCES = {as_file: FileBlocks, as_map: FileBlocks, as_folder: ShardBlocks, as_list: ShardBlocks}


def merge_pairs(left, right):
    return tuple(a + b for a, b in zip(left, right, strict=True))


def sums(rows, numbers):
    labels = np.arange(numbers.start, numbers.stop, dtype=np.int32) % 4
    return cluster_sums(rows, labels, 4)


@pytest.mark.parametrize("block_rows", [1, 2 * LEAF_ROWS, None])
@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("place", SOURCES)
def test_every_file_is_read_like_the_array(tmp_path, place, name, block_rows):
    X = rows_of(name)
    source = place(X, tmp_path)
    assert is_carried(source)
    blocks = as_blocks(source, block_rows=block_rows)
    expected = served(X)
    assert type(blocks) is SOURCES[place]
    assert not blocks.in_memory and blocks.runs_here
    assert blocks.shape == X.shape and blocks.dtype == expected.dtype
    parts = [block.array.copy() for block in blocks]
    assert all(part.dtype == expected.dtype and part.dtype.isnative for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert blocks.is_finite
    found = map_reduce(sums, merge_pairs, blocks, range(N_SAMPLES))
    for array, wanted in zip(found, sums(expected, range(N_SAMPLES)), strict=True):
        np.testing.assert_array_equal(array, wanted)
    wanted = [N_SAMPLES - 1, 0, 4, 5, 6, 6, LEAF_ROWS, 0, LEAF_ROWS - 1]
    np.testing.assert_array_equal(blocks.take(wanted), expected[wanted])
    np.testing.assert_array_equal(blocks.take(np.arange(3, 9)), expected[3:9])


@pytest.mark.parametrize("n_samples", [0, 1])
@pytest.mark.parametrize("name", ["<f4", "<f2", ">f8", "bfloat16"])
def test_few_rows(tmp_path, n_samples, name):
    X = rows_of(name, n_samples)
    for source in (as_file(X, tmp_path), as_map(X, tmp_path), [as_file(X, tmp_path)] * 2):
        blocks = as_blocks(source)
        times = 2 if isinstance(source, list) else 1
        (block,) = blocks
        np.testing.assert_array_equal(block.array, served(np.concatenate([X] * times)))
        assert blocks.take([]).shape == (0, 3) and blocks.take([]).dtype == blocks.dtype


@pytest.mark.parametrize("place", SOURCES)
@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([3, -1], IndexError, rf"from 0 to {N_SAMPLES - 1}, got -1 at position 1"),
        ([N_SAMPLES], IndexError, rf"from 0 to {N_SAMPLES - 1}, got {N_SAMPLES} at position 0"),
        ([1.0], TypeError, "indices must be a list of integers, got dtype float64"),
        (np.ones(N_SAMPLES, bool), TypeError, "indices must be a list of integers, got dtype bool"),
        ([[1]], TypeError, r"shape \(1, 1\)"),
    ],
)
def test_wrong_indices_are_refused(tmp_path, place, indices, error, message):
    with pytest.raises(error, match=message):
        as_blocks(place(rows_of("<f4"), tmp_path)).take(indices)


def test_bfloat16_in_memory_and_mapped(tmp_path):
    X = rows_of("bfloat16")
    blocks = as_blocks(X)
    np.testing.assert_array_equal(blocks.rows(0, N_SAMPLES), X.astype(np.float32))
    np.save(tmp_path / "X.npy", np.asfortranarray(X))
    mapped = as_blocks(tmp_path / "X.npy", block_rows=1)
    assert isinstance(mapped, MemmapBlocks)
    np.testing.assert_array_equal(np.concatenate([b.array for b in mapped]), served(X))


def test_what_cannot_be_read_is_mapped(tmp_path):
    X = rows_of("<f4")
    path = as_file(X, tmp_path)
    whole = np.load(path, mmap_mode="r")
    private = np.load(path, mmap_mode="c")
    private[5] = 7.0
    with path.open("rb") as file:
        nameless = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    nameless = nameless[nameless.size - X.nbytes :].view("<f4").reshape(X.shape)
    for view in (whole[::2], whole[::-1], whole[:, 1:], private, nameless):
        blocks = as_blocks(view)
        assert isinstance(blocks, MemmapBlocks)
        np.testing.assert_array_equal(np.concatenate([b.array for b in blocks]), np.array(view))
        with pytest.raises(ValueError, match="use as_blocks"):
            FileBlocks(view)
    assert isinstance(as_blocks(np.lib.stride_tricks.as_strided(whole)), FileBlocks)
    anonymous = np.frombuffer(mmap.mmap(-1, X.nbytes), "<f4").reshape(X.shape)
    assert isinstance(as_blocks(anonymous), MemmapBlocks)


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_map_is_not_mistaken_for_a_file_that_has_taken_its_name(tmp_path, how):
    X = rows_of("<f4")
    path = as_file(X, tmp_path)
    view = np.load(path, mmap_mode="r")
    os.remove(path)
    if how == "replaced":
        np.save(path, X + 1)
    blocks = as_blocks(view)
    assert isinstance(blocks, MemmapBlocks)
    np.testing.assert_array_equal(blocks.rows(0, 9), X[:9])


def test_a_map_that_is_written_to_is_read_as_it_is(tmp_path):
    view = as_map(rows_of("<f4"), tmp_path)
    blocks = as_blocks(view)
    view[1] = 42.0
    os.utime(tmp_path / "raw", (1, 1))
    np.testing.assert_array_equal(blocks.rows(0, 3), view[:3])


def cut_short(path):
    os.truncate(path, os.path.getsize(path) - 1)


def replace(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)


def change(path):
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"changed!")
    os.utime(path, ns=(1, 1))  # clocks of file systems may be slower than this test


@pytest.mark.parametrize("harm", [cut_short, replace, change])
@pytest.mark.parametrize("after", ["construction", "a pass", "a block"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_file_that_changes_is_an_error_that_names_the_rows(tmp_path, harm, after, listed):
    path = as_file(rows_of("<f4"), tmp_path)
    blocks = as_blocks([path] if listed else path, block_rows=LEAF_ROWS)
    passing = iter(blocks)
    if after == "a pass":
        list(passing)
        passing = iter(blocks)
    elif after == "a block":
        next(passing)
        assert next(passing).start == LEAF_ROWS  # the third may have been read by now
    harm(path)
    with pytest.raises(OSError, match=r"äöü\.npy has changed .* rows \d+ to \d+ cannot be read"):
        list(passing)
    with pytest.raises(OSError, match="rows 2 to 8 cannot be read"):
        blocks.take([7, 2])


def test_a_map_whose_file_is_cut_short_is_an_error(tmp_path):
    view = as_map(rows_of("<f4"), tmp_path)
    blocks = as_blocks(view, block_rows=LEAF_ROWS)
    os.truncate(tmp_path / "raw", 5000)
    with pytest.raises(OSError, match="raw has changed .* rows 0 to 4096 .* has 5000"):
        list(blocks)
    with (tmp_path / "raw").open("ab") as file:
        file.write(bytes(view.base.nbytes))  # longer than it was
    with pytest.raises(OSError, match="raw has changed .* rows 0 to 1 cannot be read"):
        blocks.take([0])


def test_a_file_that_ends_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    path = as_file(rows_of("<f4"), tmp_path)
    blocks = as_blocks(path, block_rows=LEAF_ROWS)
    status = os.stat(path)
    os.truncate(path, 60_000)
    monkeypatch.setattr(os, "fstat", lambda descriptor: status)
    np.testing.assert_array_equal(blocks.rows(0, LEAF_ROWS), rows_of("<f4")[:LEAF_ROWS])
    with pytest.raises(OSError, match="rows 4096 to 8192 cannot be read: it was cut short while"):
        blocks.rows(LEAF_ROWS, 2 * LEAF_ROWS)


@pytest.mark.parametrize("place", SOURCES)
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_a_late_value_that_is_not_finite_is_named_with_its_row(tmp_path, place, value, word):
    X = rows_of("<f4")
    X[N_SAMPLES - 2, 1] = value
    blocks = as_blocks(place(X, tmp_path), block_rows=LEAF_ROWS)
    with pytest.raises(ValueError, match=f"{word} in row {N_SAMPLES - 2}, column 1"):
        list(blocks)
    assert not blocks.is_finite


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones(4), ValueError, r"X\.npy must have 2 dimensions .* got shape \(4,\)"),
        (np.ones((4, 0)), ValueError, r"X\.npy must have at least 1 feature"),
        (np.array([[None]]), ValueError, r"X\.npy holds pickled objects"),
        (np.ones((2, 2), complex), TypeError, r"X\.npy must be .* real numbers, got dtype compl"),
        (np.array([["a"]]), TypeError, r"X\.npy must be .* real numbers, got dtype <U1"),
        (np.zeros((2, 2), "V3"), TypeError, r"X\.npy must be .* real numbers, got dtype \|V3"),
        (np.zeros((2, 2), [("a", "u2")]), TypeError, r"X\.npy must be .* real numbers"),
        (np.zeros((2, 2), [("ä", "u1"), ("b", "u1")]), TypeError, r"X\.npy must"),
        (np.zeros((2, 2), "M8[s]"), TypeError, r"X\.npy must be .* real numbers"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_files_of_anything_else_are_refused_by_name(tmp_path, X, error, message, listed):
    path = tmp_path / "X.npy"
    np.save(path, X, allow_pickle=True)
    with pytest.raises(error, match=message):
        as_blocks([path] if listed else path)


def test_broken_files_are_refused_by_name(tmp_path):
    path = as_file(rows_of("<f4"), tmp_path)
    cut_short(path)
    with pytest.raises(ValueError, match=r"äöü\.npy is cut short: shape \(12305, 3\)"):
        as_blocks(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"äöü\.npy has a broken header"):
        as_blocks(path)
    header = {"descr": "<f4", "fortran_order": False, "shape": (-1, 3)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match=r"äöü\.npy has a broken header: shape \(-1, 3\)"):
        as_blocks(path)
    path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4',\n")
    with pytest.raises(ValueError, match=r"äöü\.npy has a broken header"):
        as_blocks(path)
    for content in (b"", b"\x93NUM", b"PK\x03\x04 something else"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"äöü\.npy is not a \.npy file"):
            as_blocks(path)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    for source in ([tmp_path / "X.npy"], tmp_path / "pipe"):
        if source == tmp_path / "pipe":
            if not hasattr(os, "mkfifo"):
                pytest.skip("this system has no named pipes")
            os.mkfifo(source)
        else:
            source[0].mkdir()
        with pytest.raises(ValueError, match="must be a regular file"):
            as_blocks(source)


def test_a_read_only_file_in_another_folder(tmp_path, monkeypatch):
    X = rows_of("<f4")
    path = as_file(X, tmp_path)
    path.chmod(0o444)
    monkeypatch.chdir(tmp_path)
    blocks = as_blocks(path.name)
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(blocks.rows(2, 5), X[2:5])


def take_rows(blocks, queue):
    queue.put(blocks.take([5, 3]))


@pytest.mark.parametrize("place", SOURCES)
def test_carriers_travel_to_other_processes(tmp_path, place):
    X = rows_of("<f4")
    blocks = as_blocks(place(X, tmp_path), block_rows=LEAF_ROWS)
    blocks.observer = lambda n_rows: None  # stays here
    list(blocks)
    sent = pickle.dumps(blocks)
    assert len(sent) < 4000  # no rows
    again = pickle.loads(sent)
    assert again.is_finite and again.block_rows == LEAF_ROWS
    np.testing.assert_array_equal(np.concatenate([b.array for b in again]), X)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_reads_on(tmp_path):
    X = rows_of("<f4")
    blocks = as_blocks(as_file(X, tmp_path), block_rows=LEAF_ROWS)
    passing = iter(blocks)
    next(passing)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=take_rows, args=(blocks, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(), X[[5, 3]])
    child.join()
    np.testing.assert_array_equal(next(passing).array, X[LEAF_ROWS : 2 * LEAF_ROWS])
    passing.close()
