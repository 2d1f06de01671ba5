"""Carrier of batches that a program makes, again for every pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._csr import is_sparse_matrix
from clusterlib.blocks._protocol import aligned_rows
from clusterlib.blocks._stored import chosen_rows, served_dtype
from clusterlib.blocks._streamed import StreamedBlocks
from clusterlib.kernels.checks import as_numeric, checked_integer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["BatchBlocks", "are_batches"]

_MANY = 2**62


def are_batches(X):
    """Tell whether X is a function or an iterable that gives batches of rows.

    Parameters
    ----------
    X : object
        Anything. What NumPy takes for an array (lists, tuples, and all that has ``__array__`` or
        both ``__len__`` and ``__getitem__``) is one array, not batches.

    Returns
    -------
    batches : bool
        True for functions and for iterables that are no arrays, among them iterators, which
        :class:`BatchBlocks` refuses.

    Examples
    --------
    >>> from clusterlib.blocks._batches import are_batches
    >>> are_batches(lambda: iter([])), are_batches([[1.0, 2.0]])
    (True, False)
    """
    kind = type(X)  # special methods count on the type
    if is_sparse_matrix(X):  # some formats can be iterated
        return False
    if any(hasattr(kind, name) for name in ("__array__", "__array_interface__")):
        return False
    if hasattr(kind, "__len__") and hasattr(kind, "__getitem__"):
        return False
    return callable(X) or hasattr(kind, "__iter__")


class BatchBlocks(StreamedBlocks):
    """Rows of batches that are made anew for every pass, cut into aligned blocks.

    Parameters
    ----------
    batches : callable or iterable
        A function without arguments that returns an iterable of batches, or an iterable that can
        be gone through many times, such as a data loader or a list of batches. A batch is an
        array-like of shape (n_rows, n_features), real numbers of any dtype; n_rows may differ
        from batch to batch and may be 0. Every pass must give the same rows in the same order: a
        loader that shuffles does not.
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        blocks of at most ``get_config()["block_bytes"]`` bytes, or a single leaf where that is
        larger.
    n_samples : int, default=None
        Number of rows of all batches together. None counts them in a pass over the batches when
        the carrier is made; a given number saves that pass, and the dtype of the first batch with
        rows then decides.

    Raises
    ------
    TypeError
        If ``batches`` can be read once only (a generator), is an open file or not iterable, or a
        batch does not hold real numbers.
    ValueError
        If a batch has not two dimensions or another number of features than those before, if
        there is no batch, or ``block_rows`` or ``n_samples`` is out of range. Passes raise it if
        they meet another number of rows than the first one, or float64 where float32 was promised
        by the first batch.

    Notes
    -----
    Blocks are float32 if all batches are (float16 and bfloat16 become float32), else float64;
    batches without rows have no say. Rows are copied into the block, so a batch may be overwritten
    once the next one is asked for. In memory are up to three blocks (one worked on, one waiting or
    being filled, and while they change hands the one before) and one batch.

    Batches are made in a thread of their own while a block is worked on. An error of theirs
    reaches the caller as it is. Leaving a pass closes the iterator if it has a ``close``, as
    generators have, after the batch that is being made. :meth:`rows` and :meth:`take` make all
    batches up to the last row they need.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import BatchBlocks
    >>> def batches():
    ...     for number in range(10):
    ...         yield np.full((1000, 2), number, dtype=np.float32)
    >>> [(start, stop, rows[0, 0]) for start, stop, rows in BatchBlocks(batches, block_rows=4096)]
    [(0, 4096, np.float32(0.0)), (4096, 8192, np.float32(4.0)), (8192, 10000, np.float32(8.0))]
    """

    def __init__(
        self,
        batches: Callable[..., Any] | Iterable[Any],
        block_rows: int | None = None,
        *,
        n_samples: int | None = None,
    ) -> None:
        if hasattr(batches, "read"):
            raise TypeError(f"X is an open file ({type(batches).__name__}); pass its path")
        if isinstance(batches, Iterator):
            raise TypeError(
                f"X is an iterator ({type(batches).__name__}), which can be read once, and "
                "clustering reads the rows many times; pass a function that returns it"
            )
        if not callable(batches) and not hasattr(type(batches), "__iter__"):
            raise TypeError(
                "batches must be a function that returns an iterable of batches, or an iterable, "
                f"got {type(batches).__name__}"
            )
        if n_samples is not None:
            n_samples = checked_integer("n_samples", n_samples, 0, _MANY)
        if block_rows is not None:
            block_rows = aligned_rows(block_rows)  # refused before the batches are counted
        # A data loader may be callable as well; iterating it is what it is made for.
        self._batches, self._calls = batches, not hasattr(type(batches), "__iter__")
        self._count(n_samples)
        self.block_rows = chosen_rows(block_rows, self.n_features, self.dtype)

    def _count(self, n_samples):
        """Go through the batches, all of them unless the number of rows is known."""
        n_counted, dtype, empty_dtype = 0, None, None
        self.n_features = None
        checked = self._checked_batches()
        try:
            for array in checked:
                served, n_rows = served_dtype("X", array.shape, array.dtype), len(array)
                del array
                if not n_rows:
                    empty_dtype = empty_dtype or served
                    continue
                n_counted += n_rows
                dtype = served if dtype is None else np.promote_types(dtype, served)
                if n_samples is not None:
                    break
        finally:
            checked.close()
        if self.n_features is None:
            raise ValueError("X has no batches; at least one must tell the number of features")
        self.dtype = dtype or empty_dtype
        self.n_samples = n_counted if n_samples is None else n_samples

    def _checked_batches(self):
        """Yield the batches of a new pass as arrays, and close what they come from."""
        made = self._batches() if self._calls else self._batches
        if not isinstance(made, Iterable) and not hasattr(type(made), "__getitem__"):
            raise TypeError(
                "the function given for X must return an iterable of batches, "
                f"got {type(made).__name__}"
            )
        iterator, number = iter(made), 0
        del made
        try:
            # No loop variable and no enumerate: they would keep a batch while the next is made.
            while (array := self._next_checked(iterator, number)) is not None:
                number += 1
                yield array
                del array
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    def _next_checked(self, iterator, number):
        """Return the next batch as an array of real numbers, None at the end."""
        try:
            batch = next(iterator)
        except StopIteration:
            return None
        name = f"batch {number} of X"
        if str(getattr(batch, "dtype", "")) == "torch.bfloat16":  # NumPy has no such type
            batch = batch.float()
        if getattr(getattr(batch, "dtype", None), "name", "") == "bfloat16":
            batch = np.asarray(batch).astype(np.float32)
        if isinstance(batch, (list, tuple)) and len(batch) and getattr(batch[0], "ndim", 0) >= 2:
            raise ValueError(
                f"{name} is a {type(batch).__name__} of {len(batch)} arrays; batches hold the rows "
                "alone, so pass a function that yields these"
            )
        array = as_numeric(name, batch)
        if array.ndim != 2:
            raise ValueError(
                f"{name} must have 2 dimensions (rows, features), got shape {array.shape}"
            )
        if self.n_features is None:
            if not array.shape[1]:
                raise ValueError(f"{name} must have at least 1 feature, got shape {array.shape}")
            self.n_features = array.shape[1]
        if array.shape[1] != self.n_features:
            raise ValueError(
                f"{name} has {array.shape[1]} features, the batches before have {self.n_features}"
            )
        return array

    def _chunks(self, group):
        n_rows, number = 0, 0
        checked = self._checked_batches()
        try:
            for array in checked:
                n_rows += len(array)
                if len(array):
                    self._check_batch(array, number, n_rows)
                    yield array
                del array
                number += 1
        finally:
            checked.close()
        if n_rows != self.n_samples:
            hint = ""
            if not n_rows and self._calls:
                hint = "; the function has to return a new iterator every time"
            raise ValueError(
                f"the batches of X gave {n_rows} rows in this pass, {self.n_samples} are "
                f"expected{hint}"
            )

    def _check_batch(self, array, number, n_rows):
        if n_rows > self.n_samples:
            raise ValueError(
                f"the batches of X gave at least {n_rows} rows in this pass, {self.n_samples} are "
                "expected"
            )
        if served_dtype("X", array.shape, array.dtype).itemsize > self.dtype.itemsize:
            raise ValueError(
                f"batch {number} of X holds {array.dtype}, the batches before were read as "
                f"{self.dtype}; make all batches of one dtype, or leave n_samples out to have "
                "them looked at first"
            )
