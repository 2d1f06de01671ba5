"""Carrier of an array on a CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks._protocol import Blocks, aligned_rows
from clusterlib.kernels._cupy.checks import as_device_matrix
from clusterlib.kernels._cupy.runtime import active

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from clusterlib.typing import ArrayLike, DTypeLike, FloatArray

__all__ = ["DeviceBlocks"]


class DeviceBlocks(Blocks):
    """Rows of an array on a CUDA device, in a single block that never leaves it.

    Small arrays that solvers keep on the host, such as centres, are copied to the device where
    :meth:`map` hands them to a function of the rows.

    Parameters
    ----------
    X : device array of shape (n_samples, n_features), float32 or float64
        A CuPy array or a CUDA tensor. Used as it is in C order, copied once otherwise.

    Raises
    ------
    ValueError
        If X has not two dimensions and at least one feature.
    TypeError
        If X is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks._device import DeviceBlocks
    >>> DeviceBlocks.on_host
    False
    """

    on_host = False

    def __init__(self, X):
        self._runtime = active()
        self._original = X
        self._array = as_device_matrix("X", X)
        self.n_samples, self.n_features = self._array.shape
        self.dtype = np.dtype(self._array.dtype)
        self.block_rows = aligned_rows(max(1, 2 * self.n_samples))

    def rows(self, start: int, stop: int) -> FloatArray:
        """Return a view of the rows from ``start`` up to ``stop``, on the device."""
        return self._array[start:stop]

    def take(self, indices: ArrayLike) -> FloatArray:
        """Return a copy of the rows with these indices, on the device."""
        return self._array[self.from_host(np.asarray(indices, dtype=np.intp))]

    def map(
        self,
        fn: Callable[..., Any],
        row_aligned: Sequence[Any] = (),
        broadcast: Sequence[Any] = (),
    ) -> Iterator[Any]:
        """Yield ``fn(rows, ...)`` with every array among its arguments on the device."""
        row_aligned = [self.from_host(array) for array in row_aligned]
        return super().map(fn, row_aligned, [self.from_host(value) for value in broadcast])

    def zeros(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an array of zeros on the device."""
        return self._runtime.zeros(shape, dtype)

    def to_host(self, array: Any) -> Any:
        """Copy an array of the device into a NumPy array; waits for what computes it."""
        if self._runtime.owns(array):
            return self._runtime.to_host(self._runtime.asarray(array))
        return array

    def from_host(self, array: Any) -> Any:
        """Copy a NumPy array to the device; what is no array, or there already, stays as it is."""
        if self._runtime.owns(array):
            return self._runtime.asarray(array)
        return self._runtime.to_device(array) if isinstance(array, np.ndarray) else array

    def like(self, array: Any) -> Any:
        """Return an array on the device, a tensor if X was given as one."""
        return self._runtime.like(self.from_host(array), self._original)
