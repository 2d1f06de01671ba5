"""Rows in tiles: the layout that the descent on the simplex works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels.checks import as_numeric, as_vector, checked_integer
from clusterlib.kernels.dispatch import follows_data
from clusterlib.kernels.leaves import TILE_ROWS

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, DTypeLike, FloatArray

__all__ = ["pack_rows", "unpack_rows"]

# Rows that are turned around at a time, so that only a few of them are ever in memory twice.
_CHUNK_ROWS = 4096


@follows_data
def pack_rows(
    X: ArrayLike, *, shift: Array | None = None, scale: float = 1.0, dtype: DTypeLike | None = None
) -> FloatArray:
    """Copy rows into tiles of 16, with the rows of a tile side by side.

    Element (i, j) becomes ``tiles[i // 16, j, i % 16]``, so a register holds a feature of several
    rows, and a tile of a few features fits the first-level cache.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Numbers in any layout. That they are finite is not checked.
    shift : None or ndarray of shape (p,), default=None
        Taken from every row, in float64, before it is rounded to ``dtype``.
    scale : float, default=1.0
        Factor of what is left.
    dtype : None, float32 or float64, default=None
        Of the tiles; None means that of X if it is float32, else float64.

    Returns
    -------
    tiles : ndarray of shape (ceil(n / 16), p, 16), float32 or float64
        Rows that the last tile lacks are 0.

    Raises
    ------
    ValueError, TypeError
        For arguments of wrong shapes or types, and a shift or scale that is not finite.

    Notes
    -----
    O(n p) time; besides the tiles 4096 rows in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import pack_rows
    >>> tiles = pack_rows(np.arange(40.0).reshape(20, 2), shift=np.array([1.0, 0.0]))
    >>> tiles.shape, tiles[1, 0, 3], tiles[1, :, 4:].any()
    ((2, 2, 16), np.float64(37.0), np.False_)
    """
    X = as_numeric("X", X)
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"X must have shape (n, p) with p of at least 1, got {X.shape}")
    n, p = X.shape
    if shift is not None:
        shift = as_vector("shift", shift, p)
    scale = as_vector("scale", scale, 1)[0]
    dtype = _checked_type(dtype, X)
    tiles = np.zeros((-(-n // TILE_ROWS), p, TILE_ROWS), dtype=dtype)
    for begin in range(0, n, _CHUNK_ROWS):
        rows = X[begin : begin + _CHUNK_ROWS]
        if shift is not None or scale != 1.0:
            rows = (rows - (0.0 if shift is None else shift)) * scale
        whole = len(rows) // TILE_ROWS
        first = begin // TILE_ROWS
        tiles[first : first + whole] = (
            rows[: whole * TILE_ROWS].reshape(whole, TILE_ROWS, p).transpose(0, 2, 1)
        )
        rest = rows[whole * TILE_ROWS :]
        if len(rest):
            tiles[first + whole, :, : len(rest)] = rest.T
    return tiles


@follows_data
def unpack_rows(tiles: Array, n: int) -> Array:
    """Copy rows out of tiles.

    Parameters
    ----------
    tiles : ndarray of shape (ceil(n / 16), p, 16)
        What :func:`pack_rows` gives.
    n : int
        Number of rows: the last tile has one of them at least.

    Returns
    -------
    X : ndarray of shape (n, p)
        C-ordered, in the dtype of the tiles.

    Raises
    ------
    ValueError, TypeError
        For tiles of another shape, and an n that they cannot hold.

    Notes
    -----
    O(n p) time and memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import pack_rows, unpack_rows
    >>> unpack_rows(pack_rows(np.eye(3)), 3)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    if not isinstance(tiles, np.ndarray):
        raise TypeError(f"tiles must be a numpy array, got {type(tiles).__name__}")
    if tiles.ndim != 3 or tiles.shape[2] != TILE_ROWS:
        raise ValueError(f"tiles must have shape (n_tiles, p, {TILE_ROWS}), got {tiles.shape}")
    most = TILE_ROWS * len(tiles)
    n = checked_integer("n", n, max(0, most - TILE_ROWS + 1), most)
    rows = np.ascontiguousarray(tiles.transpose(0, 2, 1)).reshape(-1, tiles.shape[1])
    return rows[:n]


def _checked_type(dtype, X):
    if dtype is None:
        return np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
    try:
        dtype = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}") from error
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    return dtype
