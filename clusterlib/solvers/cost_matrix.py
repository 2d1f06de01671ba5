"""A cost that is stored: its range, its offset, its blocks of rows."""

from dataclasses import dataclass, field, replace

import numpy as np

from clusterlib.kernels.checks import as_numeric
from clusterlib.solvers.sides import HOST, side_of

__all__ = ["CostMatrix"]

# An offset beyond this many ranges is subtracted; the differences are then exact.
_LARGE_OFFSET = 4.0
# A quarter of the range of the type, as differences of costs must stay inside.
_LARGEST = {kind: np.finfo(kind).max / 4 for kind in (np.float32, np.float64)}
# Outside these, 1 / epsilon or a product with it may leave the range of float32.
_NARROW_LOW, _NARROW_HIGH = 1e-12, 1e24


@dataclass(frozen=True)
class CostMatrix:
    """A dense cost ``values + offset``.

    Attributes
    ----------
    values : ndarray or device array of shape (n, m), float32 or float64
        Costs without the offset.
    offset : float
        What was subtracted from all of them, 0 unless it is large against their range.
    magnitude : float
        Largest absolute value.
    side : HostSide or DeviceSide
        Where the values lie.
    """

    values: np.ndarray
    offset: float = 0.0
    magnitude: float = 0.0
    side: object = field(default=HOST, repr=False)

    @classmethod
    def checked(cls, cost, subtract_offset=True):
        """Take an array-like; one pass for what is not finite, the smallest and the largest."""
        side = side_of(cost)
        array = as_numeric("cost", cost) if side.on_host else side.native(cost)
        if array.ndim != 2 or array.size == 0:
            raise ValueError(
                f"cost must be a matrix of at least 1 row and 1 column, got shape {array.shape}"
            )
        values = side.matrix("cost", array)
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("cost contains NaN or infinity; every value must be finite")
        offset, spread = 0.0, high - low
        if subtract_offset and low and max(abs(low), abs(high)) > _LARGE_OFFSET * spread:
            offset = low
            values = values - values.dtype.type(low)
            low, high = 0.0, spread
        magnitude = max(abs(low), abs(high))
        if magnitude > _LARGEST[values.dtype.type]:
            raise ValueError(
                f"cost must not exceed {_LARGEST[values.dtype.type]:g} in {values.dtype}, "
                f"got {magnitude:g}"
            )
        if values.dtype == np.float32 and not _NARROW_LOW < (magnitude or 1.0) < _NARROW_HIGH:
            values = values.astype(np.float64)
        return cls(values, offset, magnitude, side)

    @property
    def shape(self):
        """Number of rows and columns."""
        return self.values.shape

    @property
    def dtype(self):
        """float32 or float64."""
        return self.values.dtype

    @property
    def T(self):
        """The cost with rows and columns exchanged, a view."""
        return replace(self, values=self.values.T)

    def astype(self, dtype):
        """The same cost in another dtype."""
        return replace(self, values=self.values.astype(dtype, copy=False))

    def block(self, rows, dtype=np.float64):
        """Costs of some rows, a slice, without the offset, as an array in ``dtype``."""
        return self.values[rows].astype(dtype, copy=False)
