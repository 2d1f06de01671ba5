"""On which side costs lie, on the host or on a CUDA device, and how small vectors get there.

Solvers of transport keep potentials and weights, O(n + m) numbers, on the host. Costs, points and
plans stay where they are: kernels are called with copies of the vectors on that side.
"""

import numpy as np

from clusterlib.kernels._cupy.checks import as_device_matrix, as_device_pair
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.checks import (
    as_matrix,
    as_matrix_pair,
    as_numeric,
    check_finite,
    checked_values,
)
from clusterlib.kernels.dispatch import is_device_array

__all__ = ["HOST", "DeviceSide", "HostSide", "check_on_host", "side_of"]

_CHUNK_VALUES = 1 << 26


def side_of(array):
    """Return the side that an array lies on.

    Parameters
    ----------
    array : object
        A CuPy array, a CUDA tensor, or anything else, which is on the host.

    Returns
    -------
    side : HostSide or DeviceSide
        Results are made like the array.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.sides import side_of
    >>> side_of(np.zeros(3)).on_host
    True
    """
    return DeviceSide(array) if is_device_array(array) else HOST


def check_on_host(function, name, array):
    """Refuse costs or points on a CUDA device for a function that works on the host alone.

    Parameters
    ----------
    function : str
        Named in the message.
    name : str
        Of the argument.
    array : object
        What the user gave: an array, or a cost that knows its side.

    Raises
    ------
    TypeError
        Says how to bring the array to the host.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.sides import check_on_host
    >>> check_on_host("partial_sinkhorn", "cost", np.zeros((2, 2)))
    """
    is_cost = hasattr(array, "side")
    side = array.side if is_cost else side_of(array)
    if not side.on_host:
        cure = "points from the host to PointCost" if is_cost else f"cupy.asnumpy({name})"
        raise TypeError(
            f"{name} is on a CUDA device and {function} works on host arrays: pass {cure}"
        )


class HostSide:
    """Everything is on the host, and nothing has to be done."""

    on_host = True
    matrix = staticmethod(as_matrix)
    pair = staticmethod(as_matrix_pair)
    check_finite = staticmethod(check_finite)
    empty = staticmethod(np.empty)
    zeros = staticmethod(np.zeros)

    def native(self, array):
        """Return an array that arithmetic works with."""
        return array

    def beside(self, array):
        """Return a small array beside the costs."""
        return array

    def to_host(self, array):
        """Return a NumPy array."""
        return array

    def like(self, array):
        """Return a result as the kind of array that the data are."""
        return array

    def numbers(self, name, value):
        """Return numbers of the user on the host; None stays."""
        if is_device_array(value):
            raise TypeError(
                f"{name} is on a CUDA device and the costs are on the host: pass both on the same "
                "side"
            )
        return None if value is None else as_numeric(name, value)

    def values(self, values, length):
        """Return rows to average, in float64."""
        return checked_values(self.numbers("values", values), length, np.float64)

    def call(self, kernel, *args, written=(), **options):
        """Call a kernel; ``written`` names the vectors it may write."""
        return kernel(*args, **options)


HOST = HostSide()


class DeviceSide:
    """Costs are on a CUDA device.

    Parameters
    ----------
    original : device array
        Results are of its kind: a CuPy array, or a tensor.
    """

    on_host = False
    matrix = staticmethod(as_device_matrix)
    pair = staticmethod(as_device_pair)

    def __init__(self, original):
        self._original = original

    def empty(self, shape, dtype):
        """Allocate an array on the device."""
        return active().empty(shape, dtype)

    def zeros(self, shape, dtype):
        """Allocate an array of zeros on the device."""
        return active().zeros(shape, dtype)

    def native(self, array):
        """Return a CuPy array on the same memory."""
        return active().asarray(array)

    def beside(self, array):
        """Return a copy of a NumPy array on the device; what is there already stays."""
        if isinstance(array, np.ndarray) and not is_device_array(array):
            return active().to_device(array)
        return active().asarray(array) if is_device_array(array) else array

    def to_host(self, array):
        """Return a NumPy copy of a small device array."""
        if not is_device_array(array):
            return array
        return active().to_host(active().asarray(array))

    def like(self, array):
        """Return a result on the device, as a tensor if the data are one."""
        return active().like(self.beside(array), self._original)

    def check_finite(self, name, array):
        """Refuse NaN and infinity; temporaries are small."""
        step = max(1, _CHUNK_VALUES // array.shape[1])
        for start in range(0, len(array), step):
            if not bool(np.isfinite(array[start : start + step]).all()):
                raise ValueError(f"{name} contains NaN or infinity; every value must be finite")

    def numbers(self, name, value):
        """Return numbers of the user on the host; they may be on either side."""
        return None if value is None else as_numeric(name, self.to_host(value))

    def values(self, values, length):
        """Return rows to average, in float64; on the device."""
        values = as_device_matrix("values", values).astype(np.float64, copy=False)
        if len(values) != length:
            raise ValueError(f"values must have shape ({length}, q), got {values.shape}")
        self.check_finite("values", values)
        return values

    def call(self, kernel, *args, written=(), **options):
        """Call a kernel with copies of the host's vectors; those ``written`` come back.

        What the kernel returns is brought to the host, but for what was given to it as ``out``.
        """
        copies = [self.beside(value) for value in args]
        given = {name: self.beside(value) for name, value in options.items()}
        result = kernel(*copies, **given)
        for host, copy in zip(args, copies, strict=True):
            if any(host is vector for vector in written):
                host[...] = self.to_host(copy)
        if not isinstance(result, tuple):
            return self.to_host(result)
        out = options.get("out")
        parts = (part if part is out else self.to_host(part) for part in result)
        return result._make(parts) if hasattr(result, "_make") else tuple(parts)
