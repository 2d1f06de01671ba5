"""Carrier of a memory-mapped file, read block by block."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._protocol import Blocks
from clusterlib.blocks._spare import is_spare
from clusterlib.blocks._stored import as_served, chosen_rows, served_dtype, taken

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, FloatArray

__all__ = ["MemmapBlocks", "is_mapped", "open_npy", "root_of"]


def is_mapped(array):
    """Tell whether an array is a view of a memory-mapped file.

    Parameters
    ----------
    array : object
        Anything; only arrays can be mapped. Validation turns a ``numpy.memmap`` into a plain
        array, so the chain of bases is followed down to the map.

    Returns
    -------
    mapped : bool
        True if the data live in a ``numpy.memmap`` or ``mmap.mmap``.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._memmap import is_mapped
    >>> is_mapped(np.zeros(3))
    False
    """
    if not isinstance(array, np.ndarray):
        return False
    owner = _owner(root_of(array))
    return isinstance(owner, mmap.mmap) and not is_spare(owner)


def root_of(array):
    """Return the array at the end of the chain of bases.

    Parameters
    ----------
    array : ndarray of any shape
        Any dtype.

    Returns
    -------
    root : ndarray of any shape and dtype
        The array that the given one is a view of, or the array itself.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._memmap import root_of
    >>> X = np.zeros((3, 2))
    >>> root_of(X[1:].T) is X
    True
    """
    owner = array
    while owner is not None:
        array = owner if isinstance(owner, np.ndarray) else array
        owner = _owner(owner)
    return array


def _owner(thing):
    """Whose memory it shows: an array's, a map's, or None if it is its own."""
    owner = getattr(thing, "base", None)
    return owner.obj if isinstance(owner, memoryview) else owner


def open_npy(path):
    """Map a ``.npy`` file into memory, read-only.

    Parameters
    ----------
    path : str or path-like
        A file written by ``numpy.save``.

    Returns
    -------
    array : numpy.memmap
        The array of the file; nothing but its header is read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a ``.npy`` file of plain numbers.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from clusterlib.blocks._memmap import open_npy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, "X.npy"), np.ones((4, 2)))
    ...     print(open_npy(os.path.join(folder, "X.npy")).shape)
    (4, 2)
    """
    path = Path(path)
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError(f"{path} is not a .npy file; write X with numpy.save")
    return np.load(path, mmap_mode="r", allow_pickle=False)


class MemmapBlocks(Blocks):
    """Rows of a memory-mapped file, read block by block and never as a whole.

    Parameters
    ----------
    X : numpy.memmap or array with one as its base, of shape (n_samples, n_features)
        Any dtype of real numbers and any layout. Blocks of float32 and float64 are views; other
        types are converted block by block (float16 to float32, integers to float64).
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        blocks of at most ``get_config()["block_bytes"]`` bytes, or a single leaf where that
        is larger.

    Raises
    ------
    ValueError
        If X has not two dimensions and at least one feature, or ``block_rows`` is below 1.
    TypeError
        If X does not hold real numbers.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from clusterlib.blocks import MemmapBlocks
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     X = np.memmap(os.path.join(folder, "X"), np.float32, "w+", shape=(10_000, 8))
    ...     len(MemmapBlocks(X, block_rows=5000))
    3
    """

    in_memory = False

    def __init__(self, X: Array, block_rows: int | None = None) -> None:
        # A plain view: slices of numpy.memmap would drag its bookkeeping along. No advice is
        # given to the system: MADV_SEQUENTIAL changed nothing when measured, and MADV_WILLNEED
        # for the next block doubled the time of a pass.
        self._array = X.view(np.ndarray)
        self.dtype = served_dtype("X", X.shape, X.dtype)
        self.n_samples, self.n_features = X.shape
        self.block_rows = chosen_rows(block_rows, self.n_features, self.dtype)

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return the rows from ``start`` up to ``stop``, converted if their type asks for it."""
        return as_served(self._array[start:stop])

    def take(self, indices: ArrayLike) -> FloatArray:
        """Read the rows with these indices, shape (len(indices), n_features)."""
        return taken(indices, self.n_samples, lambda rows: as_served(self._array[rows]))
