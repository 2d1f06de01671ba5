"""Carrier of a file whose rows are read, not mapped.

Mapping saves a copy, reading saves the process from a file that is cut short and keeps what is in
memory in our hands. With 1.6 GB of float32, 768 features, on one busy core that has to read and to
compute, the nearest of 16 centres took a pass at 1.1 GB/s read and 1.7 GB/s mapped with the file in
the page cache, and at 0.8 and 0.9 GB/s with the cache dropped. Reading alone goes at 3.5 GB/s, and
beside the kernels where there is a second core.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks._memmap import MemmapBlocks, open_npy, root_of
from clusterlib.blocks._protocol import Blocks
from clusterlib.blocks._spare import SpareMemory
from clusterlib.blocks._stored import as_served, chosen_rows, serve, served_dtype, taken

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, FloatArray

__all__ = ["FileBlocks", "stored_blocks"]

# Rows that have to be converted are read in this many parts of a block: little memory beside it.
_CONVERTED_PARTS = 16

_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Place(NamedTuple):
    """Where a file holds a matrix in C order, and by what the file is known again."""

    path: Path
    name: str  # of the matrix in errors
    offset: int
    shape: tuple
    dtype: np.dtype
    size: int
    stamp: tuple  # empty where the file may be written to


def _stamp(status):
    # Not the device: machines that mount the same folder number it differently.
    return status.st_mtime_ns, status.st_ino


def _npy_place(path):
    """Return the place of the matrix in a ``.npy`` file, or None if it is in Fortran order."""
    path = Path(os.path.abspath(path))
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path} must be a regular file, a .npy file written with numpy.save")
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        try:
            version = np.lib.format.read_magic(file)
        except ValueError:
            raise ValueError(f"{path} is not a .npy file; write X with numpy.save") from None
        if version not in _READ_HEADER:  # written for names of fields that are not ASCII
            raise TypeError(f"{path} must hold real numbers, got a .npy file of version {version}")
        try:
            shape, is_fortran, dtype = _READ_HEADER[version](file)
        except Exception as error:  # of the parsers of Python, or of NumPy
            raise ValueError(f"{path} has a broken header: {error}") from error
        if min(shape, default=0) < 0:
            raise ValueError(f"{path} has a broken header: shape {shape}")
        offset = file.tell()
    served_dtype(str(path), shape, dtype)
    place = _Place(path, str(path), offset, shape, dtype, status.st_size, _stamp(status))
    needed = offset + shape[0] * shape[1] * dtype.itemsize
    if status.st_size < needed:
        raise ValueError(
            f"{path} is cut short: shape {shape} and dtype {dtype} need {needed} bytes, it has "
            f"{status.st_size}"
        )
    return None if is_fortran and min(shape) > 1 else place


def _mapped_place(array):
    """Return where the file of a memory map holds a view of it, or None if it has to be mapped.

    Only rows in C order of a map that shares its changes with a named file are read. The name may
    have passed to another file meanwhile: its size and the first and last row are compared.
    """
    root = root_of(array)
    if not isinstance(root, np.memmap) or root.filename is None or root.mode == "c":
        return None
    if not array.flags.c_contiguous or array.ndim != 2:
        return None
    if os.name == "nt" and root.flags.writeable:  # maps and reads may differ there
        return None
    path = Path(root.filename)
    start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    try:
        status = path.stat()
        place = _Place(path, "X", root.offset + start, array.shape, array.dtype, status.st_size, ())
        if not stat.S_ISREG(status.st_mode) or place.size != root._mmap.size():
            return None
        for row in {0, len(array) - 1} if len(array) else ():
            stored = _read(place, [(row, row + 1)], np.empty((1, array.shape[1]), array.dtype))
            if stored.tobytes() != array[row].tobytes():
                return None
    except OSError:
        return None
    return place


def _read(place, runs, rows):
    """Read runs of rows, (start, stop) each, one below the other, into rows of the stored type.

    The file is opened for each call: there is no descriptor to keep, to pickle, to share with a
    forked process or to run out of when there are thousands of files, and its identity is checked
    each time. That takes 10 microseconds.
    """
    unread = rows.reshape(-1).view(np.uint8).data
    row_bytes = place.shape[1] * place.dtype.itemsize
    with open(place.path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if status.st_size != place.size or (place.stamp and _stamp(status) != place.stamp):
            raise _changed(place, runs, f"had {place.size} bytes, has {status.st_size}")
        for start, stop in runs:
            file.seek(place.offset + start * row_bytes)
            run, unread = unread[: (stop - start) * row_bytes], unread[(stop - start) * row_bytes :]
            while run:
                n_read = file.readinto(run)  # without the lock of the interpreter
                if not n_read:
                    raise _changed(place, runs, "was cut short while it was read")
                run = run[n_read:]
    return rows


def _changed(place, runs, how):
    start, stop = runs[0][0], runs[-1][1]
    return OSError(
        f"{place.path} has changed since X was opened, rows {start} to {stop} cannot be read: it "
        f"{how}"
    )


class FileBlocks(Blocks):
    """Rows of a file in C order, read block by block and never as a whole.

    Unlike a memory map, a block is memory of this process that goes when the block goes, and a
    file that is cut short while it is read is an error, not the end of the process.

    Parameters
    ----------
    X : str, path-like, or view of a numpy.memmap, of shape (n_samples, n_features)
        A ``.npy`` file, or a map of any file that is not copy-on-write, in C order. float32 and
        float64 are served as they are, float16 and bfloat16 as float32, integers and booleans as
        float64, in any byte order. ``numpy.save`` writes bfloat16 as bytes without a meaning,
        dtype ``V2``, so this type is taken for bfloat16.
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        blocks of at most ``get_config()["block_bytes"]`` bytes, or a single leaf where that
        is larger.

    Raises
    ------
    FileNotFoundError
        If the path names no file.
    ValueError
        If it is not a whole ``.npy`` file of a matrix in C order with at least one feature, or
        ``block_rows`` is below 1.
    TypeError
        If X does not hold real numbers.
    OSError
        When rows are read and the file has another size than before or, given by its path, was
        changed or replaced: it is known by its size, time of change and inode.

    Notes
    -----
    Rows that :meth:`take` is asked for are read in the order of the file, neighbours together.
    Nothing is open between two reads. A carrier may be pickled; another process finds the file
    by its absolute path.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from clusterlib.blocks import FileBlocks
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "X.npy")
    ...     np.save(path, np.arange(30_000, dtype=np.float16).reshape(10_000, 3))
    ...     blocks = FileBlocks(path)
    ...     blocks.shape, blocks.dtype, blocks.take([7, 1])[:, 0]
    ((10000, 3), dtype('float32'), array([21.,  3.], dtype=float32))
    """

    in_memory = False

    def __init__(self, X: str | os.PathLike[str] | Array, block_rows: int | None = None) -> None:
        place = X if isinstance(X, _Place) else _place(X)
        if place is None:
            raise ValueError("X must be a file in C order that need not be mapped; use as_blocks")
        self._place = place
        self.n_samples, self.n_features = place.shape
        self.dtype = served_dtype(place.name, place.shape, place.dtype)
        self.block_rows = chosen_rows(block_rows, self.n_features, self.dtype)
        self._spare = SpareMemory()

    def __getstate__(self):
        """Return what another process needs; who watches passes stays here."""
        return {name: value for name, value in vars(self).items() if name != "observer"}

    def rows(self, start: int, stop: int) -> FloatArray:
        """Read the rows from ``start`` up to ``stop``, converted if their type asks for it."""
        rows = self._spare.array((stop - start, self.n_features), self.dtype)
        self.fill(rows, start)
        if stop == self.n_samples:  # a pass ends here
            self._spare.release()
        return rows

    def fill(self, rows: FloatArray, start: int) -> None:
        """Read the rows from ``start`` on into an array that is in C order."""
        place = self._place
        if rows.dtype == place.dtype:
            _read(place, [(start, start + len(rows))], rows)
            return
        step = max(1, -(-len(rows) // _CONVERTED_PARTS))
        stored = np.empty((step, self.n_features), place.dtype)
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            runs = [(start + first, start + first + len(part))]
            serve(_read(place, runs, stored[: len(part)]), part)

    def take(self, indices: ArrayLike) -> FloatArray:
        """Read the rows with these indices, shape (len(indices), n_features)."""
        return taken(indices, self.n_samples, self._increasing)

    def _increasing(self, wanted):
        stored = np.empty((len(wanted), self.n_features), self._place.dtype)
        # Neighbours are one run: it ends where the next wanted row is not the next row.
        last = np.flatnonzero(np.diff(wanted, append=-1) != 1)
        stops = wanted[last] + 1
        starts = stops - np.diff(last, prepend=-1)
        return as_served(
            _read(self._place, list(zip(starts.tolist(), stops.tolist(), strict=True)), stored)
        )


def _place(X):
    return _npy_place(X) if isinstance(X, (str, os.PathLike)) else _mapped_place(X)


def stored_blocks(X, block_rows=None):
    """Return the carrier of a ``.npy`` file or a memory map: read if possible, else mapped.

    Parameters
    ----------
    X : str, path-like, or array of shape (n_samples, n_features)
        The path of a ``.npy`` file, or a view of a memory map.
    block_rows : int, default=None
        Wanted rows of a block.

    Returns
    -------
    blocks : FileBlocks or MemmapBlocks
        The latter for what is not in C order, is copy-on-write or has no file with a name.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As :class:`FileBlocks` and :class:`MemmapBlocks` do.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from clusterlib.blocks._files import stored_blocks
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "X.npy")
    ...     np.save(path, np.ones((4, 2), order="F"))
    ...     type(stored_blocks(path)).__name__
    'MemmapBlocks'
    """
    place = _place(X)
    if place is not None:
        return FileBlocks(place, block_rows)
    return MemmapBlocks(open_npy(X) if isinstance(X, (str, os.PathLike)) else X, block_rows)
