"""Carrier of an array in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._protocol import Blocks, aligned_rows
from clusterlib.kernels.checks import as_matrix

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, FloatArray

__all__ = ["ArrayBlocks"]


class ArrayBlocks(Blocks):
    """Rows of an array in memory, by default in a single block.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        float32 and float64 arrays of any layout are used as they are; anything else is converted
        once (float16 to float32, integers and objects to float64).
    block_rows : int, default=None
        Wanted rows of a block, rounded down to ``LEAF_ROWS`` times a power of two. None takes
        everything as one block: kernels work in tiles anyway.

    Raises
    ------
    ValueError
        If X has not two dimensions and at least one feature, or ``block_rows`` is below 1.
    TypeError
        If X is sparse or does not hold real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import ArrayBlocks
    >>> [(start, stop) for start, stop, _ in ArrayBlocks(np.zeros((5000, 3)), block_rows=5000)]
    [(0, 4096), (4096, 5000)]
    """

    def __init__(self, X: ArrayLike, block_rows: int | None = None) -> None:
        self._array = as_matrix("X", X)
        self.n_samples, self.n_features = self._array.shape
        self.dtype = self._array.dtype
        if block_rows is None:  # twice the rows, rounded down, holds them all
            block_rows = max(1, 2 * self.n_samples)
        self.block_rows = aligned_rows(block_rows)

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return a view of the rows from ``start`` up to ``stop``."""
        return self._array[start:stop]

    def take(self, indices: ArrayLike) -> FloatArray:
        """Return a copy of the rows with these indices, shape (len(indices), n_features)."""
        return self._array[np.asarray(indices, dtype=np.intp)]
