"""Numbers as files hold them, and what they are served as."""

import numpy as np

from clusterlib.blocks._protocol import aligned_rows
from clusterlib.config import get_config
from clusterlib.kernels.checks import as_matrix

__all__ = ["as_served", "chosen_rows", "serve", "served_dtype", "taken"]


def _is_brain_float(dtype):
    """Whether a dtype is bfloat16, which files hold as two bytes without a meaning."""
    return dtype.name == "bfloat16" or dtype == np.dtype("V2")


def served_dtype(name, shape, dtype):
    """Return the type that rows of a stored matrix are served as.

    Parameters
    ----------
    name : str
        What the matrix is called in errors.
    shape : tuple of int
        Its shape.
    dtype : dtype
        Its type where it is stored.

    Returns
    -------
    served : dtype
        float32 for float32, float16 and bfloat16, float64 for float64, integers and booleans.

    Raises
    ------
    ValueError
        If the matrix has not two dimensions and at least one feature, or holds Python objects.
    TypeError
        If it holds anything else than real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._stored import served_dtype
    >>> served_dtype("X", (7, 3), np.dtype(np.int8))
    dtype('float64')
    """
    if dtype.hasobject:
        raise ValueError(f"{name} holds pickled objects, which are never loaded; store numbers")
    if len(shape) != 2:
        raise ValueError(f"{name} must have 2 dimensions (rows, features), got shape {shape}")
    if shape[1] == 0:
        raise ValueError(f"{name} must have at least 1 feature, got shape {shape}")
    if _is_brain_float(dtype):
        return np.dtype(np.float32)
    return as_matrix(name, np.empty((0, shape[1]), dtype)).dtype


def as_served(rows):
    """Convert stored rows to the type they are served as; what has it is not copied.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Of a type that :func:`served_dtype` allows.

    Returns
    -------
    rows : ndarray of shape (n, n_features), float32 or float64
        In the byte order of the machine.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._stored import as_served
    >>> as_served(np.array([[1, 2]], dtype=">i2"))
    array([[1., 2.]])
    """
    if _is_brain_float(rows.dtype):  # the upper half of a float32
        return np.left_shift(rows.view("<u2"), 16, dtype=np.uint32).view(np.float32)
    return as_matrix("X", rows)


def serve(stored, rows):
    """Convert stored rows into an array that is there already.

    Parameters
    ----------
    stored : ndarray of shape (n, n_features)
        Of a type that :func:`served_dtype` allows.
    rows : ndarray of shape (n, n_features), float32 or float64
        Written to; as wide as what :func:`as_served` returns, or wider.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._stored import serve
    >>> rows = np.empty((1, 2))
    >>> serve(np.array([[1, 2]], dtype=">i2"), rows)
    >>> rows
    array([[1., 2.]])
    """
    rows[...] = as_served(stored) if _is_brain_float(stored.dtype) else stored


def chosen_rows(block_rows, n_features, dtype):
    """Return the aligned number of rows of a block that is read.

    Parameters
    ----------
    block_rows : int or None
        Wanted rows of a block. None takes blocks of at most ``get_config()["block_bytes"]``
        bytes, or a single leaf where that is larger.
    n_features : int
        Columns of the matrix.
    dtype : dtype
        Type that rows are served as.

    Returns
    -------
    rows : int
        ``LEAF_ROWS`` times a power of two.

    Raises
    ------
    ValueError
        If ``block_rows`` is below 1.
    TypeError
        If ``block_rows`` is not an integer.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._stored import chosen_rows
    >>> chosen_rows(10_000, 3, np.dtype(np.float32))
    8192
    """
    if block_rows is None:
        block_rows = max(1, get_config()["block_bytes"] // (n_features * dtype.itemsize))
    return aligned_rows(block_rows)


def taken(indices, n_samples, read):
    """Return rows in any order, with repeats, by a function that reads increasing ones.

    Parameters
    ----------
    indices : array-like of int of shape (n,)
        Numbers of rows from 0 to ``n_samples - 1``.
    n_samples : int
        Rows that there are.
    read : callable
        ``read(rows)`` of a strictly increasing array of intp returns these rows, an array that
        nobody else holds.

    Returns
    -------
    rows : ndarray of shape (n, n_features)
        A new array of the dtype of what ``read`` returns.

    Raises
    ------
    IndexError
        If an index is negative or not below ``n_samples``.
    TypeError
        If the indices are not integers.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._stored import taken
    >>> taken([2, 0, 2], 3, lambda rows: 10.0 * rows[:, None]).ravel()
    array([20.,  0., 20.])
    """
    indices = np.asarray(indices)
    if indices.size and (indices.dtype.kind not in "iu" or indices.ndim != 1):
        raise TypeError(
            f"indices must be a list of integers, got dtype {indices.dtype} and shape "
            f"{indices.shape}"
        )
    outside = (indices < 0) | (indices >= n_samples)
    if outside.any():
        raise IndexError(
            f"indices must be from 0 to {n_samples - 1}, got {indices[outside][0]} at position "
            f"{int(np.argmax(outside))}"
        )
    indices = indices.astype(np.intp).reshape(-1)
    if np.all(indices[:-1] < indices[1:]):
        return read(indices)
    increasing, places = np.unique(indices, return_inverse=True)
    return read(increasing)[places]
