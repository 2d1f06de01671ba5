"""Carrier of many files that together hold one matrix."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._arrow import ArrowBlocks, is_arrow
from clusterlib.blocks._files import FileBlocks, stored_blocks
from clusterlib.blocks._protocol import Blocks
from clusterlib.blocks._spare import SpareMemory
from clusterlib.blocks._stored import chosen_rows, taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterlib.typing import ArrayLike, FloatArray

__all__ = ["ShardBlocks", "is_sharded"]

_ALLOWED = ".npy, .parquet, .arrow or .feather"
# Hidden files, what tools write beside data (_SUCCESS, _metadata), and what is being written.
_NO_DATA = re.compile(r"[._].*|.*(~|\.part|\.tmp)", re.DOTALL)


def is_sharded(X):
    """Tell whether X names several files: a folder, or a list of paths.

    Parameters
    ----------
    X : object
        Anything that may be given as X.

    Returns
    -------
    sharded : bool
        True for the path of a folder, and for a list or tuple of paths only, at least one.

    Examples
    --------
    >>> from clusterlib.blocks._shards import is_sharded
    >>> is_sharded(["a.npy", "b.npy"]), is_sharded([[1.0, 2.0]])
    (True, False)
    """
    if isinstance(X, (list, tuple)):
        return len(X) > 0 and all(isinstance(path, (str, os.PathLike)) for path in X)
    return isinstance(X, (str, os.PathLike)) and os.path.isdir(X)


def _is_shard(path):
    return path.suffix.lower() == ".npy" or is_arrow(path)


def _natural(path):
    """Order in which shard_2 comes before shard_10."""
    parts = re.split(r"([0-9]+)", path.stem)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def _shards_in(folder):
    """Return the paths of the shards in a folder, in their natural order."""
    files = [path for path in Path(folder).iterdir() if not _NO_DATA.fullmatch(path.name)]
    shards = [path for path in files if _is_shard(path) and path.is_file()]
    kinds = sorted({path.suffix.lower() for path in shards})
    if not shards:
        seen = ", ".join(sorted(path.name for path in files)[:5]) or "nothing"
        raise ValueError(f"the folder {folder} must hold {_ALLOWED} files, got {seen}")
    if len(kinds) > 1:
        raise ValueError(f"the folder {folder} must hold shards of one kind, got {kinds}")
    return sorted(shards, key=_natural)


def _opened(path, column):
    """Return the carrier of a shard; all it needs is what :class:`Blocks` asks of a carrier."""
    path = Path(path)
    if not _is_shard(path):
        raise ValueError(f"a shard must be a file named {_ALLOWED}, got {path}")
    if is_arrow(path):
        return ArrowBlocks(path, column=column)
    if column is not None:
        raise ValueError(
            f"column names the vectors of Arrow or Parquet data, got column={column!r} with {path}"
        )
    return stored_blocks(path)


class ShardBlocks(Blocks):
    """Rows of several files as one matrix; its blocks run across the borders of files.

    Parameters
    ----------
    X : str or path-like, or list of these, of shape (n_samples, n_features) in all
        A folder or the files themselves, in the order of the rows: ``.npy``, ``.parquet``,
        ``.arrow`` or ``.feather``. A folder must hold files of one of these kinds. They are taken
        in natural order, ``shard_2`` before ``shard_10``. Names that begin with ``.`` or ``_`` or
        end in ``~``, ``.part`` or ``.tmp``, files of other kinds and folders inside it are passed
        over. Files may have no rows and may differ in their type.
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        blocks of at most ``get_config()["block_bytes"]`` bytes, or a single leaf where that
        is larger.
    column : str, default=None
        Name of the column of vectors in Arrow or Parquet files; None takes the only one.

    Raises
    ------
    FileNotFoundError
        If a path names no file.
    ValueError
        If there is no file, the folder has files of several kinds, the files differ in the number
        of features, ``column`` is given with ``.npy`` files, or one cannot be used, see
        :class:`FileBlocks` and :class:`ArrowBlocks`.
    TypeError
        If a file does not hold real numbers.
    OSError
        When rows are read and their file has changed.

    Notes
    -----
    Served as float64 if one of the files is, else as float32. Rows of ``.npy`` files are
    read where the block wants them, those of others are copied once. The folder is listed once:
    files that are added later are not seen.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from clusterlib.blocks import ShardBlocks
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(12):
    ...         np.save(os.path.join(folder, f"part_{i}.npy"), np.full((1000, 2), float(i)))
    ...     blocks = ShardBlocks(folder)
    ...     blocks.shape, blocks.take([0, 2000, 11_999])[:, 0]
    ((12000, 2), array([ 0.,  2., 11.]))
    """

    in_memory = False

    def __init__(
        self,
        X: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        block_rows: int | None = None,
        *,
        column: str | None = None,
    ) -> None:
        paths = list(X) if isinstance(X, (list, tuple)) else _shards_in(X)
        if not paths:
            raise ValueError("X must name at least one file, got an empty list")
        self._shards = [_opened(path, column) for path in paths]
        self.n_features = self._shards[0].n_features
        for path, shard in zip(paths, self._shards, strict=True):
            if shard.n_features != self.n_features:
                raise ValueError(
                    f"all files must have the same number of features: {path} has "
                    f"{shard.n_features}, {paths[0]} has {self.n_features}"
                )
        # Where every shard starts, and where the last one stops.
        self._starts = [0, *accumulate(shard.n_samples for shard in self._shards)]
        self.n_samples = self._starts[-1]
        self.dtype = np.result_type(*{shard.dtype for shard in self._shards})
        self.block_rows = chosen_rows(block_rows, self.n_features, self.dtype)
        self.takes_cheaply = all(shard.takes_cheaply for shard in self._shards)
        self._spare = SpareMemory()

    def rows(self, start: int, stop: int) -> FloatArray:
        """Read the rows from ``start`` up to ``stop``, from as many files as they lie in."""
        rows, filled = self._spare.array((stop - start, self.n_features), self.dtype), 0
        for shard, first, last in self._pieces(start, stop):
            part = rows[filled : filled + last - first]
            if isinstance(shard, FileBlocks):
                shard.fill(part, first)
            else:
                part[:] = shard.rows(first, last)
            filled += len(part)
        if stop == self.n_samples:  # a pass ends here
            self._spare.release()
        return rows

    def __getstate__(self):
        """Return what another process needs; who watches passes stays here."""
        return {name: value for name, value in vars(self).items() if name != "observer"}

    def _pieces(self, start, stop):
        """Return the shards that hold some rows, each with where its rows start and stop in it."""
        pieces = []
        number = bisect_right(self._starts, start) - 1
        while start < stop:
            here, border = self._starts[number], self._starts[number + 1]
            if start < border:
                pieces.append((self._shards[number], start - here, min(stop, border) - here))
                start = min(stop, border)
            number += 1
        return pieces

    def take(self, indices: ArrayLike) -> FloatArray:
        """Read the rows with these indices, shape (len(indices), n_features)."""
        return taken(indices, self.n_samples, self._increasing)

    def _increasing(self, wanted):
        rows = np.empty((len(wanted), self.n_features), self.dtype)
        bounds = np.searchsorted(wanted, self._starts).tolist()
        for shard, here, first, last in zip(
            self._shards, self._starts[:-1], bounds[:-1], bounds[1:], strict=True
        ):
            if first < last:
                rows[first:last] = shard.take(wanted[first:last] - here)
        return rows
