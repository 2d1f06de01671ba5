"""A folder of files, or a list of them, is one matrix in the order of their names."""

import os

import numpy as np
import pytest

from clusterlib.blocks import ArrayBlocks, ShardBlocks, as_blocks, is_carried
from clusterlib.kernels import LEAF_ROWS


def save(path, first, n_samples=1, n_features=2, dtype=np.float32):
    np.save(path, np.full((n_samples, n_features), first, dtype))


def first_column(blocks):
    return np.concatenate([block.array[:, 0].copy() for block in blocks]).tolist()


def test_numbers_in_names_are_numbers(tmp_path):
    ordered = [
        "9",
        "10",
        "B3",
        "a_1_2",
        "a_1_10",
        "a_2_1",
        "a_010",
        "b",
        "b1c",
        "b01c2",
        "b01d",
        "b1d",
        "äö2",
        "äö11",
    ]
    names = sorted(ordered)
    assert names != ordered
    for number, name in enumerate(names):
        save(tmp_path / f"{name}.npy", number)
    found = first_column(as_blocks(tmp_path))
    assert [names[int(number)] for number in found] == ordered


def test_what_is_no_shard_is_passed_over(tmp_path):
    save(tmp_path / "shard_1.npy", 1)
    save(tmp_path / "shard_2.NPY.npy", 2)
    os.rename(tmp_path / "shard_2.NPY.npy", tmp_path / "shard_2.NPY")
    (tmp_path / "inside.npy").mkdir()
    save(tmp_path / "inside.npy" / "shard_3.npy", 3)
    for name in (
        "README.md",
        ".hidden.npy",
        "_SUCCESS",
        "_old.npy",
        "X.npy~",
        "X.npy.part",
        "X.tmp",
    ):
        (tmp_path / name).write_bytes(b"no rows")
    assert first_column(as_blocks(str(tmp_path))) == [1.0, 2.0]


def test_folders_without_shards_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold .*\.npy.* files, got nothing"):
        as_blocks(tmp_path)
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"must hold .*\.npy.* files, got notes\.txt"):
        as_blocks(tmp_path)


def test_lists_keep_their_order_and_may_repeat(tmp_path):
    save(tmp_path / "1.npy", 1.0, 2)
    save(tmp_path / "2.npy", 2.0, 1)
    paths = [tmp_path / "2.npy", str(tmp_path / "1.npy"), tmp_path / "2.npy"]
    for source in (paths, tuple(paths)):
        blocks = as_blocks(source)
        assert is_carried(source) and isinstance(blocks, ShardBlocks)
        assert first_column(blocks) == [2.0, 1.0, 1.0, 2.0]
        assert blocks.take([3, 0, 2])[:, 0].tolist() == [2.0, 2.0, 1.0]


def test_lists_of_numbers_are_arrays():
    assert not is_carried([[1.0, 2.0]]) and not is_carried([])
    assert isinstance(as_blocks([[1.0, 2.0]]), ArrayBlocks)


def test_wrong_lists_are_refused(tmp_path):
    save(tmp_path / "1.npy", 1)
    with pytest.raises(ValueError, match="at least one file"):
        ShardBlocks([])
    with pytest.raises(FileNotFoundError, match=r"2\.npy"):
        as_blocks([tmp_path / "1.npy", tmp_path / "2.npy"])
    with pytest.raises(ValueError, match=r"named .*\.npy.*, got .*1\.txt"):
        as_blocks([tmp_path / "1.npy", tmp_path / "1.txt"])


@pytest.mark.parametrize("n_samples", [0, 1])
def test_another_number_of_features_is_refused_by_name(tmp_path, n_samples):
    save(tmp_path / "1.npy", 1)
    save(tmp_path / "2.npy", 1, n_samples, n_features=3)
    with pytest.raises(ValueError, match=r"features: .*2\.npy has 3, .*1\.npy has 2"):
        as_blocks(tmp_path)


@pytest.mark.parametrize(
    ("stored", "served"),
    [
        (["f4", "f4"], "f4"),
        (["f2", "f4"], "f4"),
        (["f4", "f8"], "f8"),
        (["i4", "f2"], "f8"),
        ([">f4", "V2", ">f8"], "f8"),
    ],
)
def test_files_of_different_types_are_served_as_the_widest(tmp_path, stored, served):
    values = []
    for number, dtype in enumerate(stored):
        bits = np.array([[0x3F80 + number]], "<u2")  # 1 and a little, as bfloat16
        X = bits.view("V2") if dtype == "V2" else np.array([[1.5 + number]]).astype(dtype)
        values.append(1.0 + number * 2.0**-7 if dtype == "V2" else float(X[0, 0]))
        np.save(tmp_path / f"{number}.npy", X)
    blocks = as_blocks(tmp_path)
    assert blocks.dtype == served and blocks.take([1]).dtype == served
    assert first_column(blocks) == values
    assert blocks.take([1, 0])[:, 0].tolist() == values[1::-1]


def test_shards_that_have_to_be_mapped(tmp_path):
    X = np.arange(2.0 * LEAF_ROWS).reshape(LEAF_ROWS, 2)
    np.save(tmp_path / "1.npy", X)
    np.save(tmp_path / "2.npy", np.asfortranarray(X))
    blocks = as_blocks(tmp_path, block_rows=LEAF_ROWS)
    np.testing.assert_array_equal(np.concatenate([block.array for block in blocks]), [*X, *X])
    np.testing.assert_array_equal(blocks.take([LEAF_ROWS + 1, 1]), X[[1, 1]])


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_folders_of_arrow_files(tmp_path, suffix):
    pa = pytest.importorskip("pyarrow")
    kind = pytest.importorskip(f"pyarrow.{suffix}")
    write = kind.write_table if suffix == "parquet" else kind.write_feather
    X = np.arange(6.0 * LEAF_ROWS, dtype=np.float32).reshape(-1, 2)
    for number, part in enumerate(np.split(X, [5, 5, LEAF_ROWS + 1]), start=8):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), 2)
        table = pa.table({"id": np.arange(len(part)), "vector": vectors})
        write(table, tmp_path / f"part_{number}.{suffix}")
    (tmp_path / "_metadata").write_bytes(b"")
    for column in (None, "vector"):
        blocks = as_blocks(tmp_path, block_rows=LEAF_ROWS, column=column)
        assert isinstance(blocks, ShardBlocks) and blocks.dtype == np.float32
        np.testing.assert_array_equal(np.concatenate([b.array for b in blocks]), X)
        wanted = [LEAF_ROWS + 1, 4, 5, 4, len(X) - 1]
        np.testing.assert_array_equal(blocks.take(wanted), X[wanted])
    save(tmp_path / "part_3.npy", 3)
    with pytest.raises(ValueError, match=r"one kind, got \['\.\w+', '\.\w+'\]"):
        as_blocks(tmp_path)
    files = [tmp_path / "part_3.npy", tmp_path / f"part_8.{suffix}"]
    assert as_blocks(files).shape == (6, 2)
    with pytest.raises(ValueError, match=r"column='vector' with .*part_3\.npy"):
        as_blocks(files, column="vector")


def test_files_of_no_rows_only(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.npy", 0, n_samples=0)
    blocks = as_blocks(tmp_path)
    assert blocks.shape == (0, 2)
    assert [block.array.shape for block in blocks] == [(0, 2)]
    assert blocks.take([]).shape == (0, 2)


@pytest.mark.parametrize("seed", range(5))
def test_any_cut_gives_any_rows(tmp_path, seed):
    rng = np.random.default_rng(seed)
    X = np.arange(50.0)[:, None]
    cuts = np.sort(rng.integers(0, 51, size=rng.integers(1, 12)))
    for number, part in enumerate(np.split(X, cuts)):
        np.save(tmp_path / f"{number}.npy", part)
    blocks = as_blocks(tmp_path)
    for start, stop in [(0, 0), (0, 50), (50, 50), *np.sort(rng.integers(0, 51, size=(40, 2)))]:
        np.testing.assert_array_equal(blocks.rows(int(start), int(stop)), X[start:stop])
        wanted = rng.integers(0, 50, size=20)
        np.testing.assert_array_equal(blocks.take(wanted), X[wanted])
