"""Where Arrow data come from: tables in memory, IPC files and Parquet files."""

import os
from itertools import accumulate, islice
from pathlib import Path

__all__ = ["IpcFile", "ParquetFile", "TableBatches", "open_source"]

# Read at a time from the compressed bytes of a Parquet column.
_BUFFER_BYTES = 2**20


def open_source(X):
    """Tell the kind of X and look at what it says about itself; no rows are read.

    Parameters
    ----------
    X : str, path-like, pyarrow.Table, RecordBatch, ChunkedArray or Array
        An array is a column named X.

    Returns
    -------
    source : ParquetFile, IpcFile or TableBatches
        Has its ``name`` in messages, the ``column`` of vectors where none has to be chosen,
        ``schema``, ``lengths``, the rows of each group that can be read on its own, and
        ``batches(group, names, n_rows)``, which yields the columns from a group to the end in
        record batches, where it matters of at most ``n_rows`` rows.

    Raises
    ------
    FileNotFoundError
        If the path names no file.
    ValueError
        If the file is not of the kind that its name says, or not complete.
    TypeError
        If X is nothing of this.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from clusterlib.blocks._arrow_sources import open_source
    >>> open_source(pa.table({"a": [1.0, 2.0]})).lengths
    [2]
    """
    import pyarrow as pa

    if isinstance(X, (str, os.PathLike)):
        path = Path(X)
        return (ParquetFile if path.suffix.lower() == ".parquet" else IpcFile)(path)
    if isinstance(X, pa.RecordBatch):
        return TableBatches(pa.Table.from_batches([X]))
    if isinstance(X, (pa.Array, pa.ChunkedArray)):
        return TableBatches(pa.table({"X": X}), "X")
    if not isinstance(X, pa.Table):
        raise TypeError(
            "X must be the path of a Parquet or Arrow file, or a table, a record batch or an array "
            f"of pyarrow, got {type(X).__name__}"
        )
    return TableBatches(X)


class TableBatches:
    """A table in memory, or mapped into it; its record batches are the groups.

    Parameters
    ----------
    table : pyarrow.Table
        Nothing is copied.
    column : str, default=None
        Its only column, which must hold vectors.
    """

    name = "X"

    def __init__(self, table, column=None):
        self.column = column
        self.schema = table.schema
        self._batches = table.to_batches()
        self.lengths = [batch.num_rows for batch in self._batches]

    def batches(self, group, names, n_rows):
        """Yield the record batches from a group on."""
        for batch in self._batches[group:]:
            yield batch.select(names)


class _File:
    """A file that is opened anew whenever it is read, so that thousands may be at hand."""

    kind = "file"
    column = None

    def __init__(self, path):
        self.path = Path(os.path.abspath(path))
        self.name = str(path)
        self._stamp = self._seen()
        try:
            self._look()
        except _arrow_errors() as error:
            raise ValueError(
                f"{path} is not a complete {self.kind} file, or none at all: {error}"
            ) from error

    def _seen(self):
        seen = os.stat(self.path)
        return seen.st_size, seen.st_mtime_ns

    def batches(self, group, names, n_rows):
        """Yield record batches of these columns from a group to the end of the file."""
        row, starts = sum(self.lengths[:group]), [0, *accumulate(self.lengths)]
        try:
            for batch in self._read(group, names, n_rows):
                if self._seen() != self._stamp:
                    break
                row += batch.num_rows
                yield batch
                del batch
        except _arrow_errors() as error:
            raise OSError(
                f"{self.name} cannot be read from row {row} of {starts[-1]} on: {error}"
            ) from error
        if self._seen() != self._stamp or row != starts[-1]:
            raise OSError(
                f"{self.name} has changed since it was opened, noticed at row {row} of "
                f"{starts[-1]}; open it anew"
            )


class IpcFile(_File):
    """A file or stream of Arrow's IPC format (.arrow, .feather); its batches are the groups.

    Parameters
    ----------
    path : pathlib.Path
        It is mapped, so batches are views of the file unless they are compressed.
    """

    kind = "Arrow IPC"

    def _look(self):
        with self.path.open("rb") as file:
            self._is_stream = file.read(6) != b"ARROW1"  # what other programs write as .arrow
        with self._open() as reader:
            self.schema = reader.schema
        # One column tells how many rows there are, of compressed ones a narrow one soonest.
        with self._open(_narrowest(self.schema)) as reader:
            self.lengths = [batch.num_rows for batch in self._batches_from(0, reader)]

    def _open(self, fields=None):
        import pyarrow as pa

        file = pa.memory_map(str(self.path))
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        open_it = pa.ipc.open_stream if self._is_stream else pa.ipc.open_file
        return open_it(file, options=options)

    def _batches_from(self, group, reader):
        if self._is_stream:
            return islice(reader, group, None)
        return map(reader.get_batch, range(group, reader.num_record_batches))

    def _read(self, group, names, n_rows):
        with self._open([self.schema.get_field_index(name) for name in names]) as reader:
            yield from self._batches_from(group, reader)


def _narrowest(schema):
    """Return the place of a column with one number for each row, or of the first one, in a list."""
    import pyarrow.types

    numbers = [place for place, kind in enumerate(schema.types) if pyarrow.types.is_primitive(kind)]
    return [*numbers, *range(len(schema))][:1]


class ParquetFile(_File):
    """A Parquet file, read as a stream of pages; its row groups are the groups.

    Parameters
    ----------
    path : pathlib.Path
        A row group may be larger than memory.
    """

    kind = "Parquet"

    def _look(self):
        with self._open() as file:
            self.schema, self._metadata = file.schema_arrow, file.metadata
        self.lengths = [
            self._metadata.row_group(number).num_rows
            for number in range(self._metadata.num_row_groups)
        ]

    def _open(self, metadata=None):
        import pyarrow.parquet

        # Without a buffer, or with whole columns fetched ahead, a row group is read at once.
        return pyarrow.parquet.ParquetFile(
            self.path, metadata=metadata, buffer_size=_BUFFER_BYTES, pre_buffer=False
        )

    def _read(self, group, names, n_rows):
        if group == len(self.lengths):
            return
        with self._open(self._metadata) as file:
            groups = range(group, len(self.lengths))
            yield from file.iter_batches(n_rows, row_groups=groups, columns=names)


def _arrow_errors():
    import pyarrow as pa

    # FileNotFoundError says all there is to say; Arrow's own errors are ValueErrors and OSErrors.
    return (pa.ArrowException, OSError)
