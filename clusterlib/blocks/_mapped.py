"""Carrier of rows that a function makes of the rows of another carrier, whenever they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._door import as_blocks
from clusterlib.blocks._protocol import Block, Blocks
from clusterlib.kernels.checks import checked_integer
from clusterlib.kernels.leaves import LEAF_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from clusterlib.typing import Array, ArrayLike, DTypeLike, FloatArray, Rows

__all__ = ["MappedBlocks", "mapped"]


class MappedBlocks(Blocks):
    """The rows ``fn(rows, *beside)`` of a carrier, made anew in every pass and stored nowhere.

    The function runs where the rows of the carrier are, and what is done to the rows it returns
    runs there, too: on the workers of a Dask cluster nothing but results comes back.

    Parameters
    ----------
    blocks : Blocks
        The carrier, on the host.
    fn : callable
        ``fn(rows, *slices)`` returns an array of shape (len(rows), n_features) of finite numbers.
        It can be pickled, depends on its arguments alone, does not write to them and works on
        each row by itself. It is given at most ``LEAF_ROWS`` rows at a time, so that results do
        not depend on how the rows are cut into blocks.
    n_features : int
        Columns of the result.
    dtype : dtype
        float32 or float64, the type of the result.
    beside : tuple of ndarray of shape (n_samples, ...), default=()
        Cut like the rows, for ``fn``.

    Raises
    ------
    ValueError
        If the rows are on a device, ``n_features`` is below 1, ``dtype`` is another, or an array
        beside the rows has another length.

    Notes
    -----
    The rows of the carrier are looked at for NaN and infinity when they are first read, those of
    the function are not. Rows that are taken by :meth:`take` are handed to the function together,
    which may change the last bits of what BLAS works out.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import MappedBlocks, as_blocks
    >>> blocks = MappedBlocks(as_blocks(np.arange(6.0).reshape(3, 2)), np.sqrt, 2, np.float64)
    >>> blocks.shape, blocks.rows(2, 3)
    ((3, 2), array([[2.        , 2.23606798]]))
    """

    in_memory = False
    is_finite = True

    def __init__(
        self,
        blocks: Blocks,
        fn: Callable[..., Any],
        n_features: int,
        dtype: DTypeLike,
        *,
        beside: tuple[Array, ...] = (),
    ) -> None:
        if not blocks.on_host:
            raise ValueError("blocks lie on a device, and rows are mapped on the host alone")
        self.n_features = checked_integer("n_features", n_features, 1, 2**62)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {self.dtype}")
        for array in beside:
            if len(array) != blocks.n_samples:
                raise ValueError(
                    f"an array beside the rows must have length {blocks.n_samples}, "
                    f"got {len(array)}"
                )
        self._blocks, self._beside = blocks, tuple(beside)
        self._make = _Leafwise(fn, self.n_features, self.dtype, len(self._beside))
        self.n_samples, self.block_rows = blocks.n_samples, blocks.block_rows
        self.runs_here, self.takes_cheaply = blocks.runs_here, blocks.takes_cheaply

    @property
    def observer(self) -> Callable[[int], object] | None:
        """Who is told of every block that the carrier has read."""
        return self._blocks.observer

    @observer.setter
    def observer(self, value: Callable[[int], object] | None) -> None:
        self._blocks.observer = value

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return the rows from ``start`` up to ``stop``, made of those of the carrier."""
        beside = (array[start:stop] for array in self._beside)
        return self._make(self._blocks.rows(start, stop), *beside)

    def take(self, indices: ArrayLike) -> FloatArray:
        """Return the rows with these indices, made of those of the carrier."""
        beside = (array[indices] for array in self._beside)
        return self._make(self._blocks.finite_rows(indices), *beside)

    def __iter__(self) -> Iterator[Block]:
        """Yield every :class:`Block` in the order of the rows; the carrier is read once."""
        parts = self._blocks.map(self._make, self._beside)
        for (start, stop), rows in zip(self.ranges(), parts, strict=True):
            yield Block(start, stop, rows)

    def map(
        self, fn: Callable[..., Any], row_aligned: Sequence[Any] = (), broadcast: Sequence[Any] = ()
    ) -> Iterator[Any]:
        """Yield ``fn(rows, *slices of row_aligned, *broadcast)`` of every block, lazily."""
        return self._blocks.map(
            _Composed(self._make, fn), (*self._beside, *row_aligned), tuple(broadcast)
        )

    def map_reduce(
        self,
        fn: Callable[..., Any],
        merge: Callable[..., Any],
        row_aligned: Sequence[Any] = (),
        broadcast: Sequence[Any] = (),
    ) -> Any:
        """Merge what :meth:`map` yields by :func:`tree_reduce`, where the carrier merges."""
        return self._blocks.map_reduce(
            _Composed(self._make, fn), merge, (*self._beside, *row_aligned), tuple(broadcast)
        )


def mapped(
    X: Rows,
    fn: Callable[..., Any],
    n_features: int,
    dtype: DTypeLike,
    *,
    beside: tuple[Array, ...] = (),
) -> MappedBlocks:
    """Wrap X in a carrier of rows that a function makes of its rows.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n)
        Whatever :func:`as_blocks` takes.
    fn : callable
        ``fn(rows, *slices)`` as in :class:`MappedBlocks`: it can be pickled and works on each row
        by itself.
    n_features : int
        Columns of what it returns.
    dtype : dtype
        float32 or float64, the type of what it returns.
    beside : tuple of ndarray of shape (n_samples, ...), default=()
        Cut like the rows, for ``fn``.

    Returns
    -------
    blocks : MappedBlocks
        Of shape (n_samples, n_features).

    Raises
    ------
    ValueError
        As :class:`MappedBlocks` does.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import mapped
    >>> rows = mapped(np.arange(6.0).reshape(3, 2), np.square, 2, np.float64)
    >>> [block.array.sum() for block in rows]
    [np.float64(55.0)]
    """
    return MappedBlocks(as_blocks(X), fn, n_features, dtype, beside=beside)


class _Leafwise:
    """A function of rows that is given one leaf at a time; can be sent to where the rows are."""

    def __init__(self, fn, n_features, dtype, n_beside):
        self.fn, self.n_features, self.dtype, self.n_beside = fn, n_features, dtype, n_beside

    def __call__(self, rows, *beside):
        made = np.empty((len(rows), self.n_features), self.dtype)
        for start in range(0, len(rows), LEAF_ROWS):
            leaf = slice(start, start + LEAF_ROWS)
            found = self.fn(rows[leaf], *(array[leaf] for array in beside))
            wanted = made[leaf].shape
            if found.shape != wanted:
                raise ValueError(
                    f"the function of the rows must return an array of shape {wanted}, got "
                    f"{found.shape}"
                )
            made[leaf] = found
        return made


class _Composed:
    """A function of the rows that another function makes."""

    def __init__(self, make, fn):
        self.make, self.fn = make, fn

    def __call__(self, rows, *arguments):
        n_beside = self.make.n_beside
        return self.fn(self.make(rows, *arguments[:n_beside]), *arguments[n_beside:])
