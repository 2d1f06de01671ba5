"""What a carrier offers, and the verbs that solvers apply to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks._reading import read_ahead
from clusterlib.blocks._tree import tree_reduce
from clusterlib.kernels.checks import checked_integer
from clusterlib.kernels.leaves import LEAF_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    from clusterlib.typing import Array, ArrayLike, DTypeLike, FloatArray

    _Result = TypeVar("_Result")

__all__ = ["Block", "Blocks", "aligned_rows", "map_blocks", "map_reduce"]


class Block(NamedTuple):
    """Some consecutive rows of X.

    Attributes
    ----------
    start, stop : int
        The block holds the rows from ``start`` up to ``stop``; ``start`` is a multiple of
        ``LEAF_ROWS`` times a power of two.
    array : ndarray of shape (stop - start, n_features), float32 or float64
        The rows, a view of the data wherever no conversion is needed; not to be written to.
    """

    start: int
    stop: int
    array: FloatArray


def aligned_rows(block_rows):
    """Round down to ``LEAF_ROWS`` times a power of two, at least ``LEAF_ROWS``.

    Parameters
    ----------
    block_rows : int
        Wanted number of rows, at least 1.

    Returns
    -------
    rows : int
        The largest number of that form that is not above ``block_rows``.

    Raises
    ------
    ValueError
        If ``block_rows`` is below 1.
    TypeError
        If ``block_rows`` is not an integer.

    Examples
    --------
    >>> from clusterlib.blocks._protocol import aligned_rows
    >>> aligned_rows(1), aligned_rows(20_000)
    (4096, 16384)
    """
    block_rows = checked_integer("block_rows", block_rows, 1, 2**62)
    return LEAF_ROWS << (max(block_rows // LEAF_ROWS, 1).bit_length() - 1)


def checked_finite(rows, start):
    """Refuse rows with NaN or infinity.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features), float32 or float64
        Rows of one block.
    start : int
        Number of the first one in X, for the message.

    Raises
    ------
    ValueError
        If a value is not finite: the first such row is named.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._protocol import checked_finite
    >>> checked_finite(np.zeros((2, 3)), 4096)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.add.reduce(rows, axis=None)):
            return
    for leaf in range(0, len(rows), LEAF_ROWS):  # the sum of finite numbers may overflow
        finite = np.isfinite(rows[leaf : leaf + LEAF_ROWS])
        if not finite.all():
            place = leaf + int(np.argmin(finite.all(axis=1)))
            raise _not_finite(rows[place], start + place)


def _not_finite(row, number):
    column = int(np.argmin(np.isfinite(row)))
    found = "NaN" if np.isnan(row[column]) else "infinity"
    return ValueError(
        f"Input X contains {found} in row {number}, column {column}; every value must be finite"
    )


class Blocks:
    """Base of the carriers: a matrix of n_samples rows that is read in aligned blocks.

    A carrier stores the attributes below and writes :meth:`rows` and :meth:`take`. One that
    spreads its rows over machines also writes :meth:`map` and :meth:`map_reduce`, by the same
    tree, and so gives the same bits.

    Attributes
    ----------
    n_samples, n_features : int
        Shape of the matrix.
    dtype : dtype
        float32 or float64, the type of every block.
    block_rows : int
        Rows of every block but the last: ``LEAF_ROWS`` times a power of two.
    on_host : bool
        Whether rows are NumPy arrays. Otherwise only kernels, and array functions that every
        array library has, work on them and on what lies beside them.
    in_memory : bool
        Whether the rows lie in the memory of this process. Rows that are elsewhere are read anew
        in every pass, each block while the one before it is worked on; solvers then keep as few
        numbers for each row as they can, and :meth:`take` may cost a pass.
    runs_here : bool
        Whether functions of the rows run in this process. Only then may they write to arrays
        beside the rows.
    takes_cheaply : bool
        Whether :meth:`take` reads little more than the rows that it returns. Otherwise some rows
        may cost a pass.
    is_finite : bool
        Whether all rows are known to be finite. Rows that are not in memory are looked at when
        they are first read, and a value that is not finite is refused with its row.
    observer : None or callable
        ``observer(n_rows)`` after each block of a pass over rows that are not in memory, and
        ``observer(0)`` when a pass begins.
    """

    on_host: bool = True
    in_memory: bool = True
    runs_here: bool = True
    takes_cheaply: bool = True
    is_finite: bool = False
    observer: Callable[[int], object] | None = None
    n_samples: int
    n_features: int
    dtype: np.dtype[Any]
    block_rows: int

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return the rows from ``start`` up to ``stop``, shape (stop - start, n_features)."""
        raise NotImplementedError

    def take(self, indices: ArrayLike) -> FloatArray:
        """Return the rows with these indices, in their order, as a new array in memory."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of samples and features."""
        return self.n_samples, self.n_features

    def __len__(self) -> int:
        """Return the number of blocks; a matrix without rows has one empty block."""
        return max(1, -(-self.n_samples // self.block_rows))

    def __iter__(self) -> Iterator[Block]:
        """Yield every :class:`Block` in the order of the rows."""
        if self.in_memory:
            for start, stop in self.ranges():
                yield Block(start, stop, self.rows(start, stop))
            return
        self._observe(0)
        for (start, stop), rows in read_ahead(self._checked_rows, self.ranges()):
            yield Block(start, stop, rows)
            self._observe(stop - start)
        self.is_finite = True

    def _observe(self, n_rows: int) -> None:
        if self.observer is not None:
            self.observer(n_rows)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield where every block starts and stops; a matrix without rows has one empty block."""
        for start in range(0, max(self.n_samples, 1), self.block_rows):
            yield start, min(start + self.block_rows, self.n_samples)

    def check_finite(self) -> None:
        """Refuse NaN and infinity with a ValueError that names the row, unless it is known."""
        if not self.is_finite:
            for block in self:
                checked_finite(block.array, block.start)
            self.is_finite = True

    def finite_rows(self, indices: ArrayLike) -> FloatArray:
        """Return what :meth:`take` does, and refuse rows that are not finite.

        For rows that are taken before the first complete pass.
        """
        rows = self.take(indices)
        if not self.is_finite:
            finite = np.isfinite(rows).all(axis=1)
            if not finite.all():
                place = int(np.argmin(finite))
                raise _not_finite(rows[place], indices[place])
        return rows

    def _checked_rows(self, start: int, stop: int) -> FloatArray:
        """Rows that are read, and refused if they are not finite, by the thread that reads."""
        rows = self.rows(start, stop)
        if not self.is_finite:
            checked_finite(rows, start)
        return rows

    def map(
        self,
        fn: Callable[..., Any],
        row_aligned: Sequence[Any] = (),
        broadcast: Sequence[Any] = (),
    ) -> Iterator[Any]:
        """Yield ``fn(rows, *slices of row_aligned, *broadcast)`` of every block, lazily."""
        for array in row_aligned:
            if array is not None and len(array) != self.n_samples:
                raise ValueError(
                    f"an array aligned with the rows must have length {self.n_samples}, "
                    f"got {len(array)}"
                )
        return (
            fn(
                block.array,
                *(None if a is None else a[block.start : block.stop] for a in row_aligned),
                *broadcast,
            )
            for block in self
        )

    def map_reduce(
        self,
        fn: Callable[..., Any],
        merge: Callable[..., Any],
        row_aligned: Sequence[Any] = (),
        broadcast: Sequence[Any] = (),
    ) -> Any:
        """Merge what :meth:`map` yields by :func:`tree_reduce`."""
        return tree_reduce(merge, self.map(fn, row_aligned, broadcast))

    def joined(self, parts: Iterable[Any]) -> Any:
        """Return the results of :meth:`map`, one for each row, as an array.

        A single part is not copied; others are written into the array as they come.
        """
        if not self.on_host:
            parts = list(parts)
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        joined, stop = None, 0
        for part in parts:
            start, stop = stop, stop + len(part)
            if joined is None and stop == self.n_samples:
                joined = part
                continue
            if joined is None:
                joined = np.empty((self.n_samples, *part.shape[1:]), part.dtype)
            joined[start:stop] = part
        return joined

    def zeros(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an array of zeros that lies where the rows lie."""
        return np.zeros(shape, dtype)

    def to_host(self, array: Any) -> Any:
        """Return a NumPy array of what lies where the rows lie, a copy if that is elsewhere."""
        return array

    def from_host(self, array: Any) -> Any:
        """Return a NumPy array, or None, where the rows lie, as a copy if that is elsewhere."""
        return array

    def like(self, array: Any) -> Any:
        """Return an array as the kind of array that the user gave for X."""
        return array


def map_blocks(
    fn: Callable[..., _Result],
    blocks: Blocks,
    *row_aligned: Array | range | None,
    broadcast: tuple[Any, ...] = (),
) -> list[_Result]:
    """Apply a function to every block of rows.

    Parameters
    ----------
    fn : callable
        ``fn(rows, *slices, *broadcast)``. It should depend on its arguments alone and not write
        to them: another carrier may run it in another process.
    blocks : Blocks
        A carrier, see :func:`as_blocks`.
    *row_aligned : arrays of length n_samples, or None
        Cut like the rows of X; None is passed on as None. ``range(n_samples)`` tells a function
        the numbers of its rows.
    broadcast : tuple, default=()
        Small arguments, the same for every block.

    Returns
    -------
    results : list
        One result for each block, in the order of the rows.

    Raises
    ------
    ValueError
        If a row-aligned array has not n_samples entries.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks, map_blocks
    >>> blocks = as_blocks(np.ones((10_000, 2)), block_rows=4096)
    >>> map_blocks(lambda rows, weight: float(weight @ rows[:, 0]), blocks, np.full(10_000, 2.0))
    [8192.0, 8192.0, 3616.0]
    """
    return list(blocks.map(fn, row_aligned, broadcast))


def map_reduce(
    fn: Callable[..., _Result],
    merge: Callable[[_Result, _Result], _Result],
    blocks: Blocks,
    *row_aligned: Array | range | None,
    broadcast: tuple[Any, ...] = (),
) -> _Result:
    """Apply a function to every block of rows and merge the results by the fixed tree.

    The same as ``tree_reduce(merge, map_blocks(fn, blocks, ...))`` with only O(log n) results in
    memory at a time, which matters when a result is as large as the centres.

    Parameters
    ----------
    fn : callable
        ``fn(rows, *slices, *broadcast)``, as in :func:`map_blocks`.
    merge : callable
        ``merge(left, right)`` returns the merged result; it may change and return ``left``.
    blocks : Blocks
        A carrier, see :func:`as_blocks`.
    *row_aligned : arrays of length n_samples, or None
        Cut like the rows of X; None is passed on as None.
    broadcast : tuple, default=()
        Small arguments, the same for every block.

    Returns
    -------
    merged : object
        The merged result.

    Raises
    ------
    ValueError
        If a row-aligned array has not n_samples entries.

    Examples
    --------
    >>> import operator
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks, leaf_sum, map_reduce
    >>> blocks = as_blocks(np.ones((10_000, 2)), block_rows=4096)
    >>> map_reduce(lambda rows: leaf_sum(rows[:, 0]), operator.add, blocks)
    10000.0
    """
    return blocks.map_reduce(fn, merge, row_aligned, broadcast)
