"""Arrays that stand in for those of a CUDA device, as strict as CuPy's about mixing with NumPy's."""

import functools
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

__all__ = [
    "GUARD",
    "POISON",
    "Allocation",
    "DeviceArray",
    "allocate",
    "as_host",
    "host_copies_refused",
]

POISON = np.uint32(0xFFFDA5A5)
"""NaN as float32 and, twice, as float64: what memory holds that nobody has written."""
GUARD = 256
"""Bytes before and behind every allocation; allocations are aligned to as many."""


class Allocation(np.ndarray):
    """Raw memory: an array, and before and behind it bytes that no kernel may write."""


class DeviceArray(np.ndarray):
    """A NumPy array that says it lies on a CUDA device.

    As with CuPy, operations with NumPy arrays raise TypeError and elements come as arrays of no
    dimension. ``numpy.asarray`` takes a subclass unasked: see :func:`host_copies_refused`.
    """

    def __dlpack_device__(self):
        return (2, 0)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        arrays = inputs + (out or ())
        foreign = [a for a in arrays if isinstance(a, np.ndarray) and not _on_device(a)]
        if foreign:
            raise TypeError(f"{ufunc.__name__} of a device array and a numpy.ndarray")
        if out:
            options["out"] = tuple(map(as_host, out))
        result = getattr(ufunc, method)(*map(as_host, inputs), **options)
        if out:
            return out[0] if len(out) == 1 else out
        return tuple(map(_wrapped, result)) if isinstance(result, tuple) else _wrapped(result)

    def __array_function__(self, function, types, args, kwargs):
        if any(issubclass(t, np.ndarray) and not issubclass(t, DeviceArray) for t in types):
            raise TypeError(f"{function.__name__} of a device array and a numpy.ndarray")
        result = super().__array_function__(function, types, args, kwargs)
        return tuple(map(_wrapped, result)) if isinstance(result, tuple) else _wrapped(result)

    def __getitem__(self, key):
        return _wrapped(super().__getitem__(key))

    def __setitem__(self, key, value):
        if isinstance(value, np.ndarray) and not _on_device(value):
            raise TypeError("a numpy.ndarray cannot be assigned to a device array")
        super().__setitem__(key, value)


def _on_device(array):
    return isinstance(array, DeviceArray)


def as_host(value):
    """Return the NumPy view of a device array; anything else as it is."""
    return value.view(np.ndarray) if isinstance(value, DeviceArray) else value


def _wrapped(value):
    if isinstance(value, np.generic):
        value = np.array(value)
    if type(value) is np.ndarray:
        return value.view(DeviceArray)
    return value


def allocate(shape, dtype):
    """Allocate a device array that holds :data:`POISON`, between guards that do too."""
    shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    words = np.full((n_bytes + 3 * GUARD) // 4 + 1, POISON)
    start = GUARD + -words.ctypes.data % GUARD
    memory = words.view(np.uint8).view(Allocation)
    return np.ndarray.__new__(DeviceArray, shape, dtype, buffer=memory, offset=start)


@contextmanager
def host_copies_refused():
    """Let NumPy's conversions refuse device arrays, as CuPy's arrays do by themselves."""

    def refusing(convert):
        @functools.wraps(convert)
        def checked(value, *args, **options):
            if isinstance(value, DeviceArray):
                raise TypeError("implicit conversion of a device array to a NumPy array")
            return convert(value, *args, **options)

        return checked

    with ExitStack() as stack:
        for name in ("array", "asanyarray", "asarray", "ascontiguousarray"):
            stack.enter_context(mock.patch.object(np, name, refusing(getattr(np, name))))
        yield
