"""Carrier of a column of vectors in Arrow's memory or files."""

from __future__ import annotations

import os
from collections import OrderedDict
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._arrow_columns import choose_columns
from clusterlib.blocks._arrow_sources import open_source
from clusterlib.blocks._stored import chosen_rows
from clusterlib.blocks._streamed import StreamedBlocks

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.typing import FloatArray

__all__ = ["ArrowBlocks", "is_arrow"]

_SUFFIXES = (".parquet", ".arrow", ".feather")
_TYPES = {"Array", "ChunkedArray", "RecordBatch", "Table"}
# Rows that are decoded at a time, in bytes.
_PART_BYTES = 2**23
# Places at which :meth:`ArrowBlocks.rows` can go on reading.
_MOST_PLACES = 2


def is_arrow(X):
    """Tell whether X is Arrow data or the path of an Arrow or Parquet file, by type and name.

    Parameters
    ----------
    X : object
        Anything; pyarrow is not imported.

    Returns
    -------
    arrow : bool
        True for tables, record batches and arrays of pyarrow, and for names that end in
        ``.parquet``, ``.arrow`` or ``.feather``.

    Examples
    --------
    >>> from clusterlib.blocks._arrow import is_arrow
    >>> is_arrow("embeddings.parquet"), is_arrow("embeddings.npy")
    (True, False)
    """
    if isinstance(X, (str, os.PathLike)):
        return str(os.fspath(X)).lower().endswith(_SUFFIXES) and not os.path.isdir(X)
    return any(
        kind.__module__.partition(".")[0] == "pyarrow" and kind.__name__ in _TYPES
        for kind in type(X).__mro__
    )


class ArrowBlocks(StreamedBlocks):
    """Rows of a column of vectors in Parquet or Arrow files, or in pyarrow's memory.

    Parameters
    ----------
    X : str, path-like, pyarrow.Table, RecordBatch, ChunkedArray or Array
        A ``.parquet`` file, an ``.arrow`` or ``.feather`` file in the IPC format, or data of
        pyarrow.
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        blocks of at most ``get_config()["block_bytes"]`` bytes, or a single leaf where that is
        larger.
    column : str, default=None
        Name of the column of vectors: lists of a fixed size, lists that all have the same length,
        or tensors of a fixed shape. None takes the only such column; if there is none and every
        column holds one real number for each row, the columns are the features.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    FileNotFoundError
        If the path names no file.
    TypeError
        If X is nothing of this, or the column does not hold vectors of real numbers.
    ValueError
        If the file is not of the kind that its name says or is cut short, the column cannot be
        told, or ``block_rows`` is below 1. Passes raise it for nulls and for lists of another
        length, with their row.
    OSError
        When rows are read and the file cannot be, or has another size or time of change than when
        it was opened.

    Notes
    -----
    Values of float16 and float32 are served as float32, others as float64. Blocks are views of
    Arrow's memory where a block lies within one record batch, needs no conversion and the file is
    not compressed; otherwise they are copied once.

    Parquet files are decoded in pieces of about 8 MiB, also within a row group, so that row groups
    may be larger than memory; in memory are up to three blocks, one such piece and what Arrow
    needs to decode it. ``.arrow`` and ``.feather`` files are mapped, and must not be cut short
    while blocks are in use. Of a compressed one, whole record batches are unpacked, and live as
    long as blocks that lie in them; a narrow column is unpacked when the file is opened, to count
    the rows. Files are opened for each pass and are not kept open.

    :meth:`rows` goes on where an earlier call ended, and otherwise reads from the start of the row
    group or record batch; :meth:`take` reads those that hold a wanted row.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from clusterlib.blocks import ArrowBlocks
    >>> vectors = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    >>> table = pa.table({"name": ["a", "b"], "embedding": vectors})
    >>> ArrowBlocks(table, column="embedding").take([1])
    array([[3., 4.]], dtype=float32)
    """

    _serves_views = True

    def __init__(self, X: Any, block_rows: int | None = None, *, column: str | None = None) -> None:
        _check_installed()
        self._source = open_source(X)
        column = self._source.column if column is None else column
        columns = choose_columns(self._source.schema, column, self._source.name)
        starts = np.fromiter(accumulate(self._source.lengths, initial=0), np.int64)
        self._group_starts, self.n_samples = starts[:-1], int(starts[-1])
        if not len(self._group_starts):
            self._group_starts = starts
        if columns.width is None:
            columns = self._with_width(columns)
        self._columns, self.dtype, self.n_features = columns, columns.dtype, columns.width
        self.block_rows = chosen_rows(block_rows, self.n_features, self.dtype)
        row_bytes = self.n_features * self.dtype.itemsize
        self._part_rows = min(self.block_rows, max(1, _PART_BYTES // row_bytes))
        self._places, self._lock = OrderedDict(), Lock()

    def __getstate__(self):
        """Return what another process needs; files are opened there anew."""
        return {k: v for k, v in vars(self).items() if k not in {"_places", "_lock", "observer"}}

    def __setstate__(self, state):
        vars(self).update(state, _places=OrderedDict(), _lock=Lock())

    def _with_width(self, columns):
        for batch in self._source.batches(0, columns.names, 1):
            if batch.num_rows:
                return columns.with_width(batch.column(columns.names[0]))
        raise ValueError(
            f"column {columns.names[0]!r} of {self._source.name} has no rows, so the number of "
            "features cannot be told"
        )

    def _chunks(self, group):
        row = int(self._group_starts[group])
        for batch in self._source.batches(group, self._columns.names, self._part_rows):
            yield self._columns.matrix(batch, row)
            row += batch.num_rows
            del batch

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return the rows from ``start`` up to ``stop``, going on where a call before ended."""
        if start >= stop:
            return super().rows(start, stop)
        with self._lock:
            stream = self._places.pop(start, None)
        if stream is None:
            stream = self._stream(start)
        try:
            rows = stream.rows(start, stop)
        except BaseException:
            stream.close()
            raise
        with self._lock:
            if stop < self.n_samples:
                left, self._places[stop] = self._places.pop(stop, None), stream
                if len(self._places) > _MOST_PLACES:
                    _, left = self._places.popitem(last=False)
            else:
                left = stream
        if left is not None:
            left.close()
        return rows


def _check_installed():
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'Arrow and Parquet data need pyarrow: pip install "clusterlib-native[arrow]"'
        ) from error
