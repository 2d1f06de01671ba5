"""The only place that looks at what kind of container X is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from clusterlib.blocks._array import ArrayBlocks
from clusterlib.blocks._arrow import ArrowBlocks, is_arrow
from clusterlib.blocks._batches import BatchBlocks, are_batches
from clusterlib.blocks._csr import CsrBlocks, is_sparse_matrix
from clusterlib.blocks._dask import DaskBlocks, is_lazy_array
from clusterlib.blocks._device import DeviceBlocks
from clusterlib.blocks._files import stored_blocks
from clusterlib.blocks._memmap import is_mapped
from clusterlib.blocks._protocol import Blocks
from clusterlib.blocks._shards import ShardBlocks, is_sharded
from clusterlib.kernels.dispatch import is_device_array

if TYPE_CHECKING:
    from clusterlib.typing import Carrier, SparseMatrix

__all__ = ["as_blocks", "is_carried"]


def _is_path(X):
    return isinstance(X, (str, os.PathLike))


# Carriers of files and data that may have named columns.
_WITH_COLUMNS = [
    (is_sharded, ShardBlocks),
    (is_arrow, ArrowBlocks),
]
# What X may be, and what makes the carrier of it; asked in this order. A question looks at the
# type and never at the rows. What nobody claims is an array in memory.
_CARRIED = [
    (is_lazy_array, DaskBlocks),
    *_WITH_COLUMNS,
    (_is_path, stored_blocks),
    (is_mapped, stored_blocks),
    (are_batches, BatchBlocks),
]


def is_carried(X: object) -> bool:
    """Tell whether X is to be read block by block rather than as one array.

    Parameters
    ----------
    X : object
        Anything that may be given as X.

    Returns
    -------
    carried : bool
        True for a carrier and for everything that :func:`as_blocks` wraps in one that is read
        block by block, such as a path, a memory map or a function that returns batches. False
        for arrays in memory, on the host or a device, for sparse matrices, whose rows are made
        dense only where :func:`as_blocks` was asked to, and for what no carrier reads.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import is_carried
    >>> is_carried("embeddings.npy"), is_carried(np.zeros((3, 2)))
    (True, False)
    """
    return isinstance(X, Blocks) or any(is_one(X) for is_one, _ in _CARRIED)


def as_blocks(
    X: Carrier | SparseMatrix, *, block_rows: int | None = None, column: str | None = None
) -> Blocks:
    """Wrap X in the carrier that reads it in aligned blocks of rows.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or one of those below
        - An array in memory: one block unless ``block_rows`` says otherwise, float32 and float64
          uncopied. On a CUDA device it is one block that stays there.
        - A memory map or the path of a ``.npy`` file: :class:`FileBlocks`.
        - The path of a ``.parquet``, ``.arrow`` or ``.feather`` file, or a table of pyarrow:
          :class:`ArrowBlocks`.
        - The path of a folder of files of one of these kinds, or a list of paths of files:
          :class:`ShardBlocks`.
        - A function that returns an iterable of batches, or an iterable that is no array-like,
          such as a data loader: :class:`BatchBlocks`, which goes through them once to count rows.
        - A sparse matrix, whose blocks are made dense: :class:`CsrBlocks`.
        - A carrier, which is returned as it is.
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two and at least
        ``LEAF_ROWS``. None takes the default of the carrier.
    column : str, default=None
        Name of the column of vectors in Arrow or Parquet data; None takes the only one.

    Returns
    -------
    blocks : Blocks
        Has ``n_samples``, ``n_features``, ``dtype`` and ``block_rows``; iterating yields
        ``(start, stop, array)``.

    Raises
    ------
    FileNotFoundError
        If the path names no file.
    ValueError
        If X has not two dimensions and at least one feature, a file is not a ``.npy`` file or
        not whole, ``block_rows`` is below 1 or given together with a carrier or a device array,
        or ``column`` is given with anything but Arrow or Parquet data.
    TypeError
        If X does not hold real numbers, or is an iterator, which can be read once only; on a
        device, if it holds numbers other than float32 and float64.
    ImportError
        If X is an Arrow or Parquet file and pyarrow is not installed.

    Notes
    -----
    Takes no time and no memory that grows with X, unless X has to be converted: a list, or an
    array in memory that is not float32 or float64, a sparse matrix that is not in compressed rows.
    Of files nothing but the headers is read. Batches are counted.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> blocks = as_blocks(np.zeros((9000, 4), dtype=np.float32), block_rows=4096)
    >>> [(start, stop, array.shape) for start, stop, array in blocks]
    [(0, 4096, (4096, 4)), (4096, 8192, (4096, 4)), (8192, 9000, (808, 4))]
    """
    if column is not None:
        for is_one, carrier in _WITH_COLUMNS:
            if is_one(X):
                return carrier(X, block_rows, column=column)
        raise ValueError(
            f"column names the vectors of Arrow or Parquet data, got column={column!r} with X "
            f"of type {type(X).__name__}"
        )
    if isinstance(X, Blocks):
        if block_rows is not None:
            raise ValueError("block_rows cannot be changed on a carrier; give it the data instead")
        return X
    if is_device_array(X):
        if block_rows is not None:
            raise ValueError("block_rows cannot be chosen on a CUDA device: X is one block there")
        return DeviceBlocks(X)
    for is_one, carrier in [*_CARRIED, (is_sparse_matrix, CsrBlocks)]:
        if is_one(X):
            return carrier(X, block_rows)
    return ArrayBlocks(X, block_rows)
