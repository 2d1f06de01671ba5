"""Rows in tiles: what goes in comes out, and what is missing is 0."""

import numpy as np
import pytest

from clusterlib.kernels import pack_rows, unpack_rows
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SIZES


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_come_back(dtype):
    rng = np.random.default_rng(0)
    for n in [*SIZES, 4095, 4096, 4097, 8200]:
        for p in (1, 2, 7, 16):
            X = rng.normal(size=(n, p)).astype(dtype)
            tiles = pack_rows(X)
            assert tiles.shape == (-(-n // 16), p, 16) and tiles.dtype == dtype
            assert tiles.flags.c_contiguous
            back = unpack_rows(tiles, n)
            assert np.array_equal(back, X) and back.dtype == dtype and back.flags.c_contiguous


def test_every_entry_is_where_the_layout_says():
    X = np.arange(1.0, 75.0).reshape(37, 2)
    tiles = pack_rows(X)
    for i in range(37):
        assert np.array_equal(tiles[i // 16, :, i % 16], X[i])
    assert not tiles[2, :, 5:].any()


@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_any_layout(layout, tmp_path):
    X = np.random.default_rng(1).normal(size=(4101, 5))
    arranged = (LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path)
    assert np.array_equal(unpack_rows(pack_rows(arranged), 4101), X)


@pytest.mark.parametrize("dtype", DTYPES)
def test_shift_and_scale_are_rounded_once(dtype):
    X = np.random.default_rng(2).normal(1e4, 1.0, size=(5000, 3)).astype(dtype)
    shift = X.mean(axis=0, dtype=np.float64)
    expected = ((X.astype(np.float64) - shift) * 0.3).astype(np.float32)
    tiles = pack_rows(X, shift=shift, scale=0.3, dtype=np.float32)
    assert np.array_equal(unpack_rows(tiles, 5000), expected)
    scaled = unpack_rows(pack_rows(X, scale=0.3), 5000)
    assert np.array_equal(scaled, (X.astype(np.float64) * 0.3).astype(dtype))
    moved = pack_rows(X, shift=shift, scale=0.3, dtype=np.float32)
    assert not moved[-1, :, 5000 % 16 :].any()  # rows that are missing are not shifted


def test_types():
    assert pack_rows([[1, 2], [3, 4]]).dtype == np.float64
    assert pack_rows(np.ones((2, 2), np.float16)).dtype == np.float64
    assert pack_rows(np.ones((2, 2), np.float32)).dtype == np.float32
    assert pack_rows(np.ones((2, 2), np.float32), dtype="float64").dtype == np.float64
    assert pack_rows(np.ones((2, 2)), dtype=np.float32).dtype == np.float32


REFUSED = [
    ({"X": np.ones(3)}, ValueError, r"X must have shape \(n, p\) .*, got \(3,\)"),
    ({"X": np.ones((3, 0))}, ValueError, r"X must have shape .*, got \(3, 0\)"),
    ({"X": np.ones((2, 3, 1))}, ValueError, "X must have shape"),
    ({"X": None}, TypeError, "X must be an array of numbers, got None"),
    ({"X": [["a", "b"]]}, TypeError, "X must be an array of real numbers"),
    ({"X": np.ones((2, 3), complex)}, TypeError, "X must be an array of real numbers"),
    ({"shift": np.ones(2)}, ValueError, r"shift must be a scalar or have shape \(3,\), got \(2,\)"),
    ({"shift": [0, np.nan, 0]}, ValueError, "shift must be finite, got nan at index 1"),
    ({"shift": "a"}, TypeError, "shift must be an array of real numbers"),
    ({"scale": np.inf}, ValueError, "scale must be finite, got inf"),
    ({"scale": [1.0, 2.0]}, ValueError, "scale must be a scalar"),
    ({"scale": None}, TypeError, "scale must be an array of numbers, got None"),
    ({"dtype": np.float16}, ValueError, "dtype must be float32 or float64, got float16"),
    ({"dtype": int}, ValueError, "dtype must be float32 or float64, got int64"),
    ({"dtype": "wide"}, TypeError, "dtype must be float32 or float64, got 'wide'"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_bad_rows_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        pack_rows(**{"X": np.ones((2, 3))} | arguments)


@pytest.mark.parametrize(
    ("tiles", "n", "error", "message"),
    [
        ([[[0.0] * 16]], 3, TypeError, "tiles must be a numpy array, got list"),
        (np.zeros((2, 16)), 3, ValueError, r"tiles must have shape .*, got \(2, 16\)"),
        (np.zeros((2, 3, 8)), 3, ValueError, r"tiles must have shape .*, got \(2, 3, 8\)"),
        (np.zeros((2, 3, 16)), 16, ValueError, "n must be from 17 to 32, got 16"),
        (np.zeros((2, 3, 16)), 33, ValueError, "n must be from 17 to 32, got 33"),
        (np.zeros((2, 3, 16)), 20.0, TypeError, "n must be an integer, got 20.0"),
        (np.zeros((0, 3, 16)), 1, ValueError, "n must be from 0 to 0, got 1"),
    ],
)
def test_bad_tiles_are_refused(tiles, n, error, message):
    with pytest.raises(error, match=message):
        unpack_rows(tiles, n)
