"""Carriers whose rows come one after the other, in chunks of any size."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._protocol import Block, Blocks, checked_finite
from clusterlib.blocks._reading import read_ahead
from clusterlib.blocks._spare import SpareMemory
from clusterlib.blocks._stored import taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterlib.typing import ArrayLike, FloatArray

__all__ = ["StreamedBlocks"]


class _Stream:
    """A place in the rows, and the chunks from there on; they are cut anew into what is asked.

    The chunks end with an error if there are fewer rows than the carrier has, so that asking for
    rows below ``n_samples`` never runs into their end.
    """

    def __init__(self, chunks, position, like):
        self.position = position
        self.allocate = np.empty  # (shape, dtype) -> memory of a block
        self._chunks = chunks
        self._rest = None  # what is left of the chunk at hand
        self._width, self._dtype, self._views = like.n_features, like.dtype, like._serves_views

    def next_part(self, most):
        """Return at least one of the following rows and at most so many, as they are stored."""
        while self._rest is None or not len(self._rest):
            self._rest = None  # one chunk at a time is alive
            self._rest = next(self._chunks)
        part, self._rest = self._rest[:most], self._rest[most:]
        self.position += len(part)
        return part

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return rows that are not before the place as a matrix, and go on behind them."""
        while self.position < start:
            self.next_part(start - self.position)
        if start == stop:
            return np.empty((0, self._width), self._dtype)
        part = self.next_part(stop - start)
        if self._views and len(part) == stop - start and _is_served(part, self._dtype):
            return part
        matrix = self.allocate((stop - start, self._width), self._dtype)
        matrix[: len(part)] = part
        filled = len(part)
        while filled < len(matrix):
            del part  # or the chunk it is a view of would live while the next one is made
            part = self.next_part(len(matrix) - filled)
            matrix[filled : filled + len(part)] = part
            filled += len(part)
        return matrix

    def finish(self):
        """Read to the end, where too many rows are noticed."""
        self._rest = None
        for _ in self._chunks:
            pass

    def close(self):
        """Close what the chunks come from."""
        self._rest = None
        if not self._chunks.gi_running:  # left by a second Ctrl-C, which does not wait for reading
            self._chunks.close()


def _is_served(array, dtype):
    return array.dtype == dtype and array.dtype.isnative and array.flags.aligned


class StreamedBlocks(Blocks):
    """Base of carriers that read their rows in order, from the first one or from a later group.

    A carrier sets the attributes of :class:`~clusterlib.blocks.Blocks` and ``_group_starts``, and
    writes ``_chunks``. Every pass has a place of its own, so that passes may overlap.

    Attributes
    ----------
    n_samples, n_features : int
        Shape of the matrix.
    dtype : dtype
        float32 or float64, the type of every block.
    block_rows : int
        Rows of every block but the last: ``LEAF_ROWS`` times a power of two.
    """

    in_memory = False
    takes_cheaply = False
    # Whether chunks stay as they are after the next one was asked for, and so need no copy.
    _serves_views = False
    # Numbers of the rows at which reading may begin, ascending, the first one 0.
    _group_starts = np.zeros(1, np.int64)

    def _chunks(self, group):
        """Yield matrices of any number of rows from this group to the end, or raise before it."""
        raise NotImplementedError

    def _stream(self, row=0):
        """Return a stream whose place is the start of the group of a row; nothing is read yet."""
        group = self._group_of(row)
        return _Stream(self._chunks(group), int(self._group_starts[group]), self)

    def _group_of(self, row):
        return int(np.searchsorted(self._group_starts, row, side="right")) - 1

    def __iter__(self) -> Iterator[Block]:
        """Yield every :class:`Block` in the order of the rows; the source is read once."""
        self._observe(0)
        with closing(self._stream()) as stream:
            stream.allocate = SpareMemory().array

            def read(start, stop):
                rows = stream.rows(start, stop)
                if stop == self.n_samples:
                    stream.finish()
                if not self.is_finite:
                    checked_finite(rows, start)
                return rows

            # Closed first, as it waits for the reading that has begun.
            with closing(read_ahead(read, self.ranges())) as ahead:
                for (start, stop), rows in ahead:
                    yield Block(start, stop, rows)
                    del rows
                    self._observe(stop - start)
        self.is_finite = True

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return the rows from ``start`` up to ``stop``, read from the start of their group."""
        if start >= stop:
            return np.empty((0, self.n_features), self.dtype)
        with closing(self._stream(start)) as stream:
            return stream.rows(start, stop)

    def take(self, indices: ArrayLike) -> FloatArray:
        """Return the rows with these indices; groups without any of them are not read."""
        return taken(indices, self.n_samples, self._increasing)

    def _increasing(self, wanted):
        found = np.empty((len(wanted), self.n_features), self.dtype)
        done = 0
        while done < len(wanted):
            done = self._take_on(wanted, done, found)
        return found

    def _take_on(self, wanted, done, found):
        """Find rows up to the next group that can be left out; return how many are found."""
        with closing(self._stream(wanted[done])) as stream:
            while done < len(wanted):
                if self._group_of(wanted[done]) > self._group_of(stream.position):
                    break
                first = stream.position
                part = stream.next_part(self.n_samples)
                stop = int(np.searchsorted(wanted, stream.position))
                found[done:stop] = part[wanted[done:stop] - first]
                done = stop
                del part
        return done
