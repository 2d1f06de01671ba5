"""Carrier of a Dask array: functions of the rows run where its blocks are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._dask_jobs import Job, Piece
from clusterlib.blocks._dask_passes import (
    active_client,
    block_sources,
    merged_by_workers,
    results_of_scheduler,
    results_of_workers,
)
from clusterlib.blocks._protocol import Blocks, aligned_rows
from clusterlib.blocks._stored import served_dtype
from clusterlib.blocks._tree import tree_reduce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from clusterlib.typing import ArrayLike, FloatArray

__all__ = ["DaskBlocks", "is_lazy_array"]

# Results of two batches of blocks are under way at a time. 32 blocks make one message to the
# scheduler worth while; a cluster gets at least this many blocks for each of its threads.
_BATCH_BLOCKS = 32
_BLOCKS_FOR_EACH_THREAD = 4
# What one batch may carry of arrays beside the rows: it passes through the scheduler.
_BATCH_BYTES = 64 * 2**20


def is_lazy_array(X):
    """Tell whether X is a Dask array, without importing Dask.

    Parameters
    ----------
    X : object
        Anything.

    Returns
    -------
    lazy : bool
        True for an array of ``dask.array``.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from clusterlib.blocks._dask import is_lazy_array
    >>> is_lazy_array(da.zeros((3, 2))), is_lazy_array(np.zeros((3, 2)))
    (True, False)
    """
    return any(
        cls.__name__ == "Array" and cls.__module__.split(".")[:2] == ["dask", "array"]
        for cls in type(X).__mro__
    )


class DaskBlocks(Blocks):
    """Rows of a Dask array, each block worked on where it is made or kept.

    With a ``distributed.Client`` its workers do the work: functions of the rows and merges are
    tasks, and only results come back. Without one, Dask's scheduler of this process does, with
    the same bits. Results do not depend on workers, threads or chunks, nor on a worker that dies:
    what it held is computed again.

    Parameters
    ----------
    X : dask.array.Array of shape (n_samples, n_features)
        Any dtype of real numbers; blocks are converted where they are (float16 and bfloat16 to
        float32, integers to float64). The sizes of the chunks must be known. Chunks of
        ``LEAF_ROWS`` times a power of two rows, all columns in one, are used as they are; write or
        make them so. Others are put together anew with ``X.rechunk``, in every pass: chunks are
        then cut and up to all of X travels between workers.
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        the chunks, or rounds the largest one down.

    Raises
    ------
    ValueError
        If X has not two dimensions and at least one feature, if sizes of its chunks are unknown,
        or ``block_rows`` is below 1.
    TypeError
        If X is no Dask array or does not hold real numbers.

    Notes
    -----
    The graph of X is optimised once. A pass then costs a task for each block, which makes the
    block and works on it, and a merge for every seven blocks: some milliseconds together, which
    ``python -m bench.dask_blocks overhead`` measures, so a block should take 100 ms or more.
    Blocks that depend on the same tasks, such as slices of one file, and blocks that were persisted
    are tasks of their own. ``persist`` what is dear to make and fits into the memory of the
    workers: every pass makes the blocks anew.

    Functions and broadcast arguments are sent once and fetched once by each worker. Arrays beside
    the rows are cut here, and each slice goes with its block, batch by batch.

    Kernels use ``default_threads()`` of the worker, divided by the number of tasks that it runs
    at once; :func:`~clusterlib.config.config_context` of the caller does not reach workers. Dask
    starts workers with ``OMP_NUM_THREADS`` of 1, hence one worker thread for each core is right;
    for workers with one thread and many cores set that variable for them.

    Examples
    --------
    >>> import dask.array as da
    >>> from clusterlib.blocks import DaskBlocks, leaf_sum, map_blocks
    >>> blocks = DaskBlocks(da.ones((10_000, 2), chunks=(4096, 2)))
    >>> map_blocks(lambda rows: leaf_sum(rows[:, 0]), blocks)
    [4096.0, 4096.0, 1808.0]
    """

    in_memory = False
    runs_here = False

    def __init__(self, X: Any, block_rows: int | None = None) -> None:
        if not is_lazy_array(X):
            raise TypeError(f"X must be a Dask array, got {type(X).__name__}")
        self.dtype = served_dtype("X", X.shape, X.dtype)
        _check_chunks(X)
        self.n_samples, self.n_features = X.shape
        self.block_rows, chunks = _cut(X.chunks[0], block_rows)
        if X.chunks != (chunks, (self.n_features,)):
            X = X.rechunk((chunks, (self.n_features,)))
        self._sources = block_sources(X)

    def rows(self, start: int, stop: int) -> FloatArray:
        """Fetch the rows from ``start`` up to ``stop``."""
        first, last = start // self.block_rows, max(start, stop - 1) // self.block_rows
        pieces = []
        for number in range(first, min(last + 1, len(self))):
            begin = number * self.block_rows
            cut = slice(max(start - begin, 0), min(stop - begin, self.block_rows))
            pieces.append(self._piece(number, (cut,)))
        return self._fetched(pieces)

    def take(self, indices: ArrayLike) -> FloatArray:
        """Fetch the rows with these indices; no other row travels, and equal ones travel once."""
        indices = np.asarray(indices, dtype=np.intp)
        if indices.size and not -self.n_samples <= indices.min() <= indices.max() < self.n_samples:
            raise IndexError(f"indices must lie in 0 to {self.n_samples - 1}, got {indices}")
        wanted, places = np.unique(indices % max(self.n_samples, 1), return_inverse=True)
        owners, firsts = np.unique(wanted // self.block_rows, return_index=True)
        pieces = [
            self._piece(number, (of_block - number * self.block_rows,))
            for number, of_block in zip(owners.tolist(), np.split(wanted, firsts[1:]), strict=False)
        ]
        return self._fetched(pieces)[places]

    def _fetched(self, pieces):
        """Rows that pieces ask for, one below the other."""
        if not pieces:
            return np.empty((0, self.n_features), self.dtype)
        parts = list(self._results(Job(self, _rows_asked_for), [pieces]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def check_finite(self) -> None:
        """Refuse NaN and infinity with a ValueError that names the row, unless it is known."""
        if not self.is_finite:
            for _ in self.map(_nothing):
                pass

    def map(
        self,
        fn: Callable[..., Any],
        row_aligned: Sequence[Any] = (),
        broadcast: Sequence[Any] = (),
    ) -> Iterator[Any]:
        """Yield ``fn(rows, *slices of row_aligned, *broadcast)`` of every block, lazily.

        Results are yielded in order. Those of at most three batches are kept by the workers, a
        batch being 32 blocks, or four for each thread of the cluster where that is more.
        """
        self._check_lengths(row_aligned)
        return self._pass(fn, row_aligned, broadcast)

    def map_reduce(
        self,
        fn: Callable[..., Any],
        merge: Callable[..., Any],
        row_aligned: Sequence[Any] = (),
        broadcast: Sequence[Any] = (),
    ) -> Any:
        """Merge what :meth:`map` yields by :func:`tree_reduce`, on the workers if there are some.

        Merges get copies of what they may change, as a result that a worker holds may be needed
        again when another one dies.
        """
        self._check_lengths(row_aligned)
        client = active_client()
        if client is None:
            return tree_reduce(merge, self._pass(fn, row_aligned, broadcast))
        self._observe(0)
        job = Job(self, fn, merge, broadcast, checks=not self.is_finite)
        batches = self._batches(row_aligned, client)
        merged = merged_by_workers(client, job, batches, self._observe)
        self.is_finite = True
        return merged

    def _pass(self, fn, row_aligned, broadcast):
        self._observe(0)
        job = Job(self, fn, None, broadcast, checks=not self.is_finite)
        batches = self._batches(row_aligned, active_client())
        yield from self._results(job, batches, self._observe)
        self.is_finite = True

    def _results(self, job, batches, observe=lambda n_rows: None):
        client = active_client()
        if client is None:
            return results_of_scheduler(job, batches, observe)
        return results_of_workers(client, job, batches, observe)

    def _batches(self, row_aligned, client):
        """Yield the pieces of as many blocks as are handed over at once, a power of two."""
        n_threads = sum(client.nthreads().values()) if client else 1
        size = max(_BATCH_BLOCKS, _BLOCKS_FOR_EACH_THREAD * n_threads)
        beside = sum(getattr(array, "nbytes", 0) for array in row_aligned)
        fitting = _BATCH_BYTES * len(self) // beside if beside else size
        size = 1 << (max(1, min(size, fitting)).bit_length() - 1)
        for first in range(0, len(self), size):
            yield [
                self._piece(number, self._slices(number, row_aligned))
                for number in range(first, min(first + size, len(self)))
            ]

    def _piece(self, number, slices):
        start = number * self.block_rows
        stop = min(start + self.block_rows, self.n_samples)
        return Piece(self._sources[number], start, stop, slices)

    def _slices(self, number, row_aligned):
        start = number * self.block_rows
        slices = (None if a is None else a[start : start + self.block_rows] for a in row_aligned)
        # A slice of a memory map is sent as the plain array that it is.
        return tuple(a.view(np.ndarray) if isinstance(a, np.ndarray) else a for a in slices)

    def _check_lengths(self, row_aligned):
        for array in row_aligned:
            if array is not None and len(array) != self.n_samples:
                raise ValueError(
                    f"an array aligned with the rows must have length {self.n_samples}, "
                    f"got {len(array)}"
                )


def _rows_asked_for(rows, which):
    return rows[which]


def _nothing(rows):
    return None


def _check_chunks(X):
    if any(np.isnan(size) for sizes in X.chunks for size in sizes):
        raise ValueError(
            "the sizes of the chunks of X must be known, got chunks of unknown size; "
            "call X.compute_chunk_sizes(), which takes a pass, or make X with known chunks"
        )


def _cut(sizes, block_rows):
    """Return the rows of a block and the chunks along the rows, those there are if they will do."""
    n_samples = sum(sizes)
    if block_rows is None:
        wanted = aligned_rows(max(1, 2 * n_samples if len(sizes) == 1 else max(sizes)))
    else:
        wanted = aligned_rows(block_rows)
    n_whole, rest = divmod(n_samples, wanted)
    chunks = (wanted,) * n_whole + ((rest,) if rest or not n_whole else ())
    return wanted, chunks
