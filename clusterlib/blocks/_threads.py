"""Carrier whose blocks are worked on several at a time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

from clusterlib.blocks._protocol import Blocks
from clusterlib.config import config_context, default_threads
from clusterlib.kernels.checks import checked_integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from clusterlib.blocks._protocol import Block
    from clusterlib.typing import ArrayLike, FloatArray

__all__ = ["ThreadedBlocks"]


class ThreadedBlocks(Blocks):
    """Rows of another carrier, with several blocks worked on at once by threads.

    Kernels use threads of their own, so this gains nothing where they take all the time: they
    then get one thread each. It is for functions that spend their time in NumPy or SciPy, which
    use one core, and for what lies between the kernels.

    Parameters
    ----------
    blocks : Blocks
        A carrier of more than one block whose functions run in this process: any but that of a
        Dask array, which has schedulers for this, or of a device. Rows are read by one thread in
        their order, as ever, so that iterators and files are read as without this.
    n_threads : int, default=None
        How many blocks at once, at least 1. None takes ``default_threads()``.

    Raises
    ------
    ValueError
        If functions of the rows do not run in this process, or ``n_threads`` is below 1.
    TypeError
        If ``blocks`` is no carrier, or ``n_threads`` is no integer.

    Notes
    -----
    Results come in the order of the rows and merge by the same tree: the bits do not change.
    ``n_threads + 1`` blocks are in memory, and those that the carrier has read ahead. Functions
    must depend on their arguments alone, as those of a Dask array. ``python -m bench.dask_blocks
    threads`` compares both ways to use the threads.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import ThreadedBlocks, as_blocks, map_blocks
    >>> blocks = ThreadedBlocks(as_blocks(np.ones((10_000, 2)), block_rows=4096), n_threads=2)
    >>> map_blocks(lambda rows: float(np.log(rows).sum() + len(rows)), blocks)
    [4096.0, 4096.0, 1808.0]
    """

    runs_here = False  # several calls at a time: nothing of theirs may be shared

    def __init__(self, blocks: Blocks, n_threads: int | None = None) -> None:
        if not isinstance(blocks, Blocks):
            raise TypeError(f"blocks must be a carrier, see as_blocks, got {type(blocks).__name__}")
        if not (blocks.runs_here and blocks.on_host):
            raise ValueError(
                f"blocks must be worked on in this process and on the host, got "
                f"{type(blocks).__name__}"
            )
        if n_threads is not None:
            n_threads = checked_integer("n_threads", n_threads, 1, 2**15)
        self._blocks, self._n_threads = blocks, n_threads
        self.n_samples, self.n_features = blocks.shape
        self.dtype, self.block_rows = blocks.dtype, blocks.block_rows
        self.in_memory, self.takes_cheaply = blocks.in_memory, blocks.takes_cheaply

    @property
    def is_finite(self) -> bool:
        """Whether all rows are known to be finite."""
        return self._blocks.is_finite

    @is_finite.setter
    def is_finite(self, value: bool) -> None:
        self._blocks.is_finite = value

    @property
    def observer(self) -> Callable[[int], object] | None:
        """Who is told of every block that was read."""
        return self._blocks.observer

    @observer.setter
    def observer(self, value: Callable[[int], object] | None) -> None:
        self._blocks.observer = value

    def __iter__(self) -> Iterator[Block]:
        """Yield every block in the order of the rows."""
        return iter(self._blocks)

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return the rows from ``start`` up to ``stop``."""
        return self._blocks.rows(start, stop)

    def take(self, indices: ArrayLike) -> FloatArray:
        """Return the rows with these indices."""
        return self._blocks.take(indices)

    def map(
        self,
        fn: Callable[..., Any],
        row_aligned: Sequence[Any] = (),
        broadcast: Sequence[Any] = (),
    ) -> Iterator[Any]:
        """Yield ``fn(rows, *slices of row_aligned, *broadcast)`` of every block, in order."""
        calls = self._blocks.map(_arguments, row_aligned, broadcast)
        return self._results(fn, calls)

    def _results(self, fn, calls):
        n_threads = self._n_threads or default_threads()
        settings, waiting = copy_context(), deque()

        def call(arguments):
            with config_context(n_threads=1):
                return fn(*arguments)

        with ThreadPoolExecutor(n_threads, thread_name_prefix="clusterlib-blocks") as pool:
            try:
                for arguments in calls:
                    # A context is entered by one thread at a time.
                    waiting.append(pool.submit(settings.copy().run, call, arguments))
                    del arguments
                    if len(waiting) > n_threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for result in waiting:  # an error, or a caller that leaves early
                    result.cancel()


def _arguments(*arguments):
    return arguments
