"""One number that says how large a cost is: epsilon is chosen relative to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.solvers.sides import side_of
from clusterlib.solvers.transport_problem import PointCost

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import ArrayLike

__all__ = ["cost_scale"]

_CHUNK_VALUES = 1 << 20
_GATHER_VALUES = 1 << 22
_DIGIT_BITS = 16
_KINDS = ("max", "mean", "median")


def cost_scale(
    cost: ArrayLike | PointCost, kind: Literal["max", "mean", "median"] = "max"
) -> float:
    """Measure a cost matrix: its largest, mean or median absolute value.

    Parameters
    ----------
    cost : array-like of shape (n, m) or PointCost
        What is to be transported at which cost; neither side empty. Costs of points are computed
        chunk by chunk and never stored.
    kind : {"max", "mean", "median"}, default="max"
        Which value. All three are exact, the median of points included.

    Returns
    -------
    scale : float
        Positive and finite, in the units of the cost: ``epsilon = 0.05 * cost_scale(cost)``
        means the same for data in metres and in inches. 1.0 if every cost is 0.

    Raises
    ------
    ValueError
        For another ``kind``, NaN or infinity in the cost, an empty cost, or where the median is
        0 though the cost is not.
    TypeError
        For what is not an array of real numbers.

    Notes
    -----
    O(n m) time for a matrix and O(n m d) for points, in one pass; the median of more than 4
    million values takes up to five: each counts the next 16 bits of the values that can still be
    it, until few enough are left to be sorted. The memory on top is a few chunks of 8 MB.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PointCost, cost_scale
    >>> cost_scale(np.array([[0.0, 1.0], [4.0, 1.0]]), "median")
    1.0
    >>> cost_scale(PointCost(np.array([[0.0], [1.0]]), np.array([[3.0]])))
    9.0
    """
    if not isinstance(kind, str) or kind not in _KINDS:
        allowed = ", ".join(repr(name) for name in _KINDS)
        raise ValueError(f"kind must be one of {allowed}, got {kind!r}")
    chunks = _Magnitudes(cost)
    largest = chunks.largest()
    if kind == "max" or largest == 0:
        return largest or 1.0
    scale = chunks.mean(largest) if kind == "mean" else chunks.median()
    if scale == 0:
        raise ValueError(
            f"the {kind} of the cost is 0 though its maximum is {largest:g}, so it is no scale; "
            "use kind='max' or 'mean'"
        )
    return scale


class _Magnitudes:
    """Absolute values of a cost, chunk by chunk, as often as they are asked for."""

    def __init__(self, cost):
        self._is_points = isinstance(cost, PointCost)
        self._side = cost.side if self._is_points else side_of(cost)
        self._cost = cost if self._is_points else self._side.matrix("cost", cost)
        self._shape = self._cost.shape
        self._count = self._shape[0] * self._shape[1]
        if self._count == 0:
            raise ValueError(f"cost must have at least one entry, got shape {self._shape}")

    def __iter__(self):
        n, m = self._shape
        step = max(1, _CHUNK_VALUES // m)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            chunk = self._cost.block(rows) if self._is_points else self._cost[rows]
            yield np.abs(chunk).ravel()

    def largest(self):
        largest = max(float(chunk.max()) if _is_finite(chunk) else np.inf for chunk in self)
        if largest == np.inf:
            raise ValueError("cost contains NaN or infinity; every value must be finite")
        return largest

    def mean(self, largest):
        # Divided first, because a sum of huge costs may leave the range of float64.
        total = sum(float(np.sum(chunk / np.float64(largest))) for chunk in self)
        return largest * (total / self._count)

    def median(self):
        low, high = (self._count - 1) // 2, self._count // 2
        prefix, n_open, below, inside = self._leading_bits(low)
        sharing = (c[_bits(c) >> n_open == prefix] for c in self)
        if n_open:
            values = np.sort(np.concatenate(list(sharing)))
        else:  # they are all equal, however many there are
            values = np.broadcast_to(next(c[:1] for c in sharing if len(c)), inside)
        lower = float(values[low - below])
        if high - below < inside:
            upper = float(values[high - below])
        else:
            above = (c[_bits(c) >> n_open > prefix] for c in self)
            upper = min(float(values.min()) for values in above if len(values))
        return 0.5 * lower + 0.5 * upper

    def _leading_bits(self, rank):
        """Find the bits with which the value of a rank begins, until few values share them.

        Bits of floats that are not negative are ordered as the floats are. Returns those bits,
        the number of bits after them, and how many values lie below them and start with them.
        """
        n_open = 8 * next(iter(self)).itemsize
        prefix, below, inside = 0, 0, self._count
        while inside > _GATHER_VALUES and n_open > 0:
            n_open -= _DIGIT_BITS
            counts = np.zeros(1 << _DIGIT_BITS, dtype=np.int64)
            for chunk in self:
                leading = _bits(chunk) >> n_open
                digits = leading[leading >> _DIGIT_BITS == prefix] & (len(counts) - 1)
                found = np.bincount(digits.astype(np.intp), minlength=len(counts))
                counts += self._side.to_host(found)
            ends = below + np.cumsum(counts)
            digit = int(np.searchsorted(ends, rank, side="right"))
            inside = int(counts[digit])
            below = int(ends[digit]) - inside
            prefix = prefix << _DIGIT_BITS | digit
        return prefix, n_open, below, inside


def _is_finite(chunk):
    return bool(np.isfinite(chunk).all())


def _bits(values):
    return values.view(np.uint32 if values.itemsize == 4 else np.uint64)
