"""Carrier of a sparse matrix whose rows are made dense block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._protocol import Blocks
from clusterlib.blocks._stored import chosen_rows, served_dtype, taken
from clusterlib.kernels.checks import as_matrix
from clusterlib.kernels.leaves import LEAF_ROWS

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, FloatArray, SparseMatrix

__all__ = ["CsrBlocks", "is_sparse_matrix"]

# The smallest block may take so much. Dense rows that are longer make no sense to cluster.
_MOST_LEAF_BYTES = 2**30


def is_sparse_matrix(X):
    """Tell whether X is a sparse matrix or array of SciPy, or of the like.

    Parameters
    ----------
    X : object
        Anything; SciPy is not imported.

    Returns
    -------
    sparse : bool
        True for what can be turned into compressed sparse rows.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._csr import is_sparse_matrix
    >>> is_sparse_matrix(np.zeros((2, 2)))
    False
    """
    return hasattr(type(X), "tocsr")


class CsrBlocks(Blocks):
    """Rows of a sparse matrix; each block is made dense when it is read.

    The answer is the one of ``X.toarray()``, which need not fit into memory. Work and time are
    those of dense rows, so this is for matrices of up to some ten thousand columns.

    Parameters
    ----------
    X : sparse matrix or sparse array of shape (n_samples, n_features)
        Any format of SciPy. Compressed sparse rows are not copied, other formats are converted
        once. Stored zeros are zeros, entries of one cell are added.
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        blocks of at most ``get_config()["block_bytes"]`` bytes, or a single leaf where that is
        larger.

    Raises
    ------
    TypeError
        If X is not sparse or does not hold real numbers.
    ValueError
        If X has not two dimensions and at least one feature, ``block_rows`` is below 1, the
        smallest block would take more than 1 GiB, or X is broken: an index is out of range, which
        would end the process when SciPy follows it.

    Notes
    -----
    float32 stays float32, all else is served as float64. In memory are X and up to three dense
    blocks. :meth:`take` makes only the wanted rows dense.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from clusterlib.blocks import CsrBlocks
    >>> CsrBlocks(csr_array([[0.0, 1.0], [0.0, 0.0], [2.0, 0.0]])).take([2, 0])
    array([[2., 0.],
           [0., 1.]])
    """

    in_memory = False

    def __init__(self, X: SparseMatrix, block_rows: int | None = None) -> None:
        if not is_sparse_matrix(X):
            raise TypeError(f"X must be a sparse matrix, got {type(X).__name__}")
        self.dtype = served_dtype("X", X.shape, X.dtype)
        self.n_samples, self.n_features = map(int, X.shape)
        row_bytes = self.n_features * self.dtype.itemsize
        least = min(LEAF_ROWS, self.n_samples) * row_bytes
        if least > _MOST_LEAF_BYTES:
            raise ValueError(
                f"X has {self.n_features} columns; {min(LEAF_ROWS, self.n_samples)} of its rows, "
                f"the smallest block, take {least / 2**30:.1f} GiB when they are made dense, and at "
                "most 1 GiB is allowed. Reduce the columns first, for example with "
                "sklearn.decomposition.TruncatedSVD"
            )
        self.block_rows = chosen_rows(block_rows, self.n_features, self.dtype)
        _check_structure(X)
        self._csr = X.tocsr()

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return the rows from ``start`` up to ``stop``, made dense."""
        return as_matrix("X", self._csr[start:stop].toarray())

    def take(self, indices: ArrayLike) -> FloatArray:
        """Return the rows with these indices, made dense."""
        return taken(
            indices, self.n_samples, lambda rows: as_matrix("X", self._csr[rows].toarray())
        )


def _check_structure(X):
    """Refuse compressed rows or columns that point beyond their arrays; X stays as it is."""
    if getattr(X, "format", None) not in {"csr", "csc"}:
        return
    n_lines, n_places = X.shape if X.format == "csr" else X.shape[::-1]
    ends, indices = X.indptr, X.indices
    whole = len(ends) == n_lines + 1 and ends[0] == 0 and bool(np.all(ends[:-1] <= ends[1:]))
    whole = whole and ends[-1] <= min(len(indices), len(X.data))
    used = indices[: ends[-1]] if whole else indices[:0]
    if not whole or (len(used) and not (used.min() >= 0 and used.max() < n_places)):
        raise ValueError("X is a broken sparse matrix: its indptr or indices are out of range")
