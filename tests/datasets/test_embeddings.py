"""Embeddings are read from the folder the user names, and refused with a message that helps."""

import numpy as np
import pytest

from clusterlib.datasets import load_embeddings

GOOD = {
    "X": np.eye(3, dtype=np.float16),
    "y": np.array([1, 0, 1], dtype=np.int16),
    "classes": np.array(["earn", "acq"]),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CLUSTERLIB_DATA", str(tmp_path))
    np.savez(tmp_path / "own-set.v2.npz", **GOOD)
    return tmp_path


@pytest.mark.parametrize(
    ("dtype", "served"), [(np.float32, np.float32), ("float64", np.float64), (None, np.float16)]
)
def test_rows_labels_and_names(folder, dtype, served):
    embeddings = load_embeddings("own-set.v2", dtype=dtype)
    assert embeddings.data.dtype == served and embeddings.target.dtype == np.intp
    np.testing.assert_array_equal(embeddings.data, np.eye(3))
    assert embeddings.target_names[embeddings.target].tolist() == ["acq", "earn", "acq"]
    X, y = load_embeddings("own-set.v2", dtype=dtype, return_X_y=True)
    np.testing.assert_array_equal(X, embeddings.data)
    np.testing.assert_array_equal(y, embeddings.target)


def test_absent_file_says_what_to_put_where(folder):
    with pytest.raises(FileNotFoundError, match=r"reuters-r8-test\.npz.*CLUSTERLIB_DATA") as caught:
        load_embeddings("reuters-r8-test")
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_default_folder_is_a_cache_of_the_user(tmp_path, monkeypatch, system):
    monkeypatch.delenv("CLUSTERLIB_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", system)
    inside = {"linux": ".cache", "darwin": "Library/Caches", "win32": "AppData/Local"}[system]
    cache = tmp_path / inside / "clusterlib"
    cache.mkdir(parents=True)
    np.savez(cache / "some.npz", **GOOD)
    assert load_embeddings("some").data.shape == (3, 3)


def test_cache_folder_of_the_desktop_standard(tmp_path, monkeypatch):
    monkeypatch.delenv("CLUSTERLIB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(FileNotFoundError) as caught:
        load_embeddings("absent")
    assert str(tmp_path / "clusterlib" / "absent.npz") in str(caught.value)


@pytest.mark.parametrize("name", ["../own", "a/b", "/etc/passwd", "", ".hidden", "a b"])
def test_names_with_paths_are_refused(folder, name):
    with pytest.raises(ValueError, match="file name without folder"):
        load_embeddings(name)


def test_wrong_arguments_are_refused(folder):
    with pytest.raises(TypeError, match="name must be a string"):
        load_embeddings(3)
    with pytest.raises(TypeError, match="return_X_y"):
        load_embeddings("own-set.v2", return_X_y="yes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones(3)}, "floating matrix"),
        ({"X": np.ones((3, 2), dtype=int)}, "floating matrix"),
        ({"y": np.zeros(2, dtype=int)}, "integer for each of the 3 rows"),
        ({"y": np.zeros(3)}, "integer for each"),
        ({"y": np.array([0, 1, 2])}, "indices into its 2 classes"),
        ({"y": np.array([0, -1, 1])}, "indices into its 2 classes"),
        ({"classes": np.array("a")}, "integer for each"),
        ({"classes": None}, "lacks classes"),
    ],
)
def test_wrong_files_are_refused(folder, change, message):
    content = {key: value for key, value in (GOOD | change).items() if value is not None}
    np.savez(folder / "wrong.npz", **content)
    with pytest.raises(ValueError, match=message):
        load_embeddings("wrong")
