"""A file is written as a whole or not at all."""

import errno
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from clusterlib.blocks import replacing, write_npy

OLD = b"the old file"

# A limit on the size of files stands for a full disk: the write beyond it fails.
ON_A_FULL_DISK = """
import resource, signal, sys
import numpy as np
from clusterlib.blocks import write_npy

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_npy(sys.argv[1], (np.zeros((1000, 8)) for _ in range(4)), n_samples=4000)
except OSError as error:
    sys.exit(error.errno)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "Zeilen äöü.npy"
    path.write_bytes(OLD)
    return path


def assert_untouched(path):
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


def parts_of(X, sizes):
    stops = np.cumsum(sizes)
    return (X[stop - size : stop] for size, stop in zip(sizes, stops, strict=True))


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8", "<f2", "<i8", "?", "<U3", "<c16", "M8[s]"])
@pytest.mark.parametrize("trailing", [(), (3,), (2, 2)])
def test_parts_make_the_file_that_numpy_saves(path, tmp_path, dtype, trailing):
    X = np.arange(60).reshape(15, 2, 2)[:, : 2 if trailing else 1].reshape(15, -1)
    X = X[:, : int(np.prod(trailing))].reshape(15, *trailing).astype(dtype)
    write_npy(path, parts_of(np.asfortranarray(X), [0, 4, 1, 0, 10, 0]), n_samples=15)
    np.save(tmp_path / "whole.npy", X)
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_no_rows_are_a_file_too(path):
    write_npy(path, [np.empty((0, 4), np.float32)], n_samples=0)
    assert np.load(path).shape == (0, 4)


def test_a_type_that_numpy_does_not_know_is_written(path):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    X = np.arange(6).reshape(3, 2).astype(bfloat16)
    write_npy(path, [X[:1], X[1:]], n_samples=3)
    np.testing.assert_array_equal(np.load(path).view(bfloat16), X)


@pytest.mark.parametrize(
    ("parts", "n_samples", "error", "message"),
    [
        ([], 0, ValueError, "no parts"),
        ([np.zeros((2, 3))], 3, ValueError, "n_samples=3 rows, got only 2"),
        ([np.zeros((2, 3))] * 3, 3, ValueError, "n_samples=3 rows, got more than 3"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], 4, ValueError, r"\(3,\).*got.*\(4,\) from row 2"),
        ([np.zeros(2), np.zeros(2, np.float32)], 4, ValueError, "float64.*got float32"),
        ([np.zeros(2), np.zeros(2, ">f8")], 4, ValueError, "float64.*got >f8"),
        ([np.array([None, 1])], 2, TypeError, "dtype object"),
        ([np.float64(1.0)], 1, TypeError, "at least 1 dimension"),
        ([np.zeros(2)], 2.0, TypeError, "n_samples"),
        ([np.zeros(2)], -1, ValueError, "n_samples"),
    ],
)
def test_wrong_parts_are_refused_and_nothing_changes(path, parts, n_samples, error, message):
    with pytest.raises(error, match=message):
        write_npy(path, iter(parts), n_samples=n_samples)
    assert_untouched(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full"), GeneratorExit])
def test_whatever_is_raised_leaves_the_old_file(path, error):
    def parts():
        yield np.zeros(10_000)
        raise error

    with pytest.raises(error if isinstance(error, type) else OSError):
        write_npy(path, parts(), n_samples=20_000)
    assert_untouched(path)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_at_the_end_leaves_the_old_file(path, monkeypatch, step):
    def full(*args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="full"):
        write_npy(path, [np.zeros(3)], n_samples=3)
    monkeypatch.undo()
    assert_untouched(path)


def test_a_full_disk_leaves_the_old_file(path):
    pytest.importorskip("resource", reason="limits on files are POSIX")
    done = subprocess.run([sys.executable, "-c", ON_A_FULL_DISK, str(path)], check=False)
    assert done.returncode == errno.EFBIG
    assert_untouched(path)


def test_the_old_file_is_there_until_the_new_one_is_complete(path):
    with replacing(str(path)) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == OLD
        (hidden,) = set(os.listdir(path.parent)) - {path.name}
        assert hidden.startswith(".")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("x" * 255)
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_the_file_behind_a_link_is_replaced(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path.name)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink() and path.read_bytes() == b"new"


def test_places_that_cannot_be_written_to_are_named(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"), replacing(tmp_path):
        pass
    with (
        pytest.raises(FileNotFoundError, match=r"nowhere.X\.npy: its folder"),
        replacing(tmp_path / "nowhere" / "X.npy"),
    ):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="folders cannot be opened here")
def test_the_name_reaches_the_disk_after_the_rows(path, monkeypatch):
    fsync, synced = os.fsync, []

    def noted(descriptor):
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        fsync(descriptor)

    path.unlink(missing_ok=True)
    monkeypatch.setattr(os, "fsync", noted)
    write_npy(path, [np.arange(3)], n_samples=3)
    assert synced == [(False, False), (True, True)]
