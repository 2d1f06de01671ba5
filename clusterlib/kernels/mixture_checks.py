"""Argument checks of the mixture kernels; what they share with others is in ``checks``."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels.checks import as_matrix, as_numeric, checked_integer

__all__ = [
    "Table",
    "as_factor",
    "as_factors",
    "as_indices",
    "as_power",
    "as_table",
    "check_extremes",
    "checked_neighbors",
]

_BLOCK = 1 << 15
_LARGEST_INDEX = 2**31 - 1


class Table(NamedTuple):
    """A sparse table in compressed rows."""

    indptr: np.ndarray  # (n + 1,) int64
    indices: np.ndarray  # (nnz,) int32
    data: np.ndarray  # (nnz,)


def check_extremes(name, array, low, high, wanted):
    """Refuse entries outside ``[low, high]`` and NaN, in one pass over the memory."""
    flat = array.reshape(-1)
    for begin in range(0, flat.size, _BLOCK):
        block = flat[begin : begin + _BLOCK]
        if not (block.min() >= low and block.max() <= high):
            position = int(np.argmin((block >= low) & (block <= high)))
            raise ValueError(
                f"{name} must be {wanted}, got {block[position]} at position {begin + position}"
            )


def check_weights(name, array):
    """Refuse NaN, infinity and negative numbers."""
    largest = np.finfo(array.dtype).max
    check_extremes(name, array, 0, largest, "finite and at least 0")


def as_factor(name, value, dtype=None):
    """Return a C-ordered matrix of finite numbers >= 0, float32 or float64 (or ``dtype``)."""
    array = as_matrix(name, value)
    with np.errstate(over="ignore"):  # what leaves the range of dtype is refused below
        array = np.require(array, array.dtype if dtype is None else dtype, ["C", "A"])
    check_weights(name, array)
    return array


def as_factors(W, H):
    """Return W and H of one dtype, float32 if both are, with the same number of columns."""
    W, H = as_factor("W", W), as_factor("H", H)
    if W.shape[1] != H.shape[1]:
        raise ValueError(
            f"W and H must have the same number of columns, got {W.shape[1]} and {H.shape[1]}"
        )
    dtype = np.result_type(W.dtype, H.dtype)
    return np.require(W, dtype, ["C", "A"]), np.require(H, dtype, ["C", "A"])


def as_indices(name, value, dtype, shape=None):
    """Return a C-ordered vector of integers, of ``shape`` if that is given."""
    array = as_numeric(name, value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.ndim != 1 or (shape is not None and array.shape != shape):
        wanted = "one dimension" if shape is None else f"shape {shape}"
        raise ValueError(f"{name} must have {wanted}, got {array.shape}")
    return _narrowed(name, array, dtype)


def _narrowed(name, array, dtype):
    """Convert integers; those that ``dtype`` cannot hold are refused, not wrapped."""
    if array.dtype != dtype and array.size:
        limits = np.iinfo(dtype)
        if int(array.max()) > limits.max or int(array.min()) < limits.min:
            raise ValueError(f"{name} must fit into {np.dtype(dtype)}")
    return np.require(array, dtype, ["C", "A"])


def as_table(indptr, indices, data, dtype, n_columns, n_rows=None):
    """Return the checked :class:`Table` with data of ``dtype``."""
    indptr = as_indices("indptr", indptr, np.int64)
    if indptr.size == 0 or (n_rows is not None and indptr.size != n_rows + 1):
        wanted = "n + 1" if n_rows is None else n_rows + 1
        raise ValueError(f"indptr must have shape ({wanted},), got {indptr.shape}")
    indices = as_indices("indices", indices, np.int32)
    with np.errstate(over="ignore"):
        data = np.require(as_numeric("data", data), dtype, ["C", "A"])
    if data.shape != indices.shape:
        raise ValueError(f"data and indices must have one shape, got {data.shape}, {indices.shape}")
    if indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(
            f"indptr must go from 0 to {len(indices)}, the number of cells, "
            f"got {indptr[0]} to {indptr[-1]}"
        )
    if (indptr[1:] < indptr[:-1]).any():
        row = int(np.argmax(indptr[1:] < indptr[:-1]))
        raise ValueError(f"indptr must not decrease, but does after row {row}")
    check_extremes("indices", indices, 0, n_columns - 1, f"from 0 to {n_columns - 1}")
    check_weights("data", data)
    return Table(indptr, indices, data)


def as_power(name, value):
    """Return a positive finite float."""
    array = as_numeric(name, value)
    if array.shape != () or not 0 < float(array) < np.inf:
        raise ValueError(f"{name} must be a positive finite number, got {value!r}")
    return float(array)


def checked_neighbors(neighbors, n):
    """Return None or an int32 matrix whose entries are rows."""
    if neighbors is None:
        return None
    array = as_numeric("neighbors", neighbors)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"neighbors must hold integers, got dtype {array.dtype}")
    if array.ndim != 2 or len(array) != n or array.shape[1] == 0:
        raise ValueError(f"neighbors must have shape ({n}, q) with q at least 1, got {array.shape}")
    checked_integer("the number of rows", n, 0, _LARGEST_INDEX)
    array = _narrowed("neighbors", array, np.int32)
    check_extremes("neighbors", array, 0, n - 1, f"from 0 to {n - 1}")
    return array
