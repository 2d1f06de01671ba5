"""Arguments of a launch: checked against the types of the parameters, their memory guarded."""

import ctypes

import numpy as np

from tests.cuda.emul.arrays import Allocation, DeviceArray, allocate, as_host

__all__ = ["DTYPES", "Arguments", "Shifted", "root_of"]

DTYPES = {
    "bool": np.bool_,
    "signed char": np.int8,
    "unsigned char": np.uint8,
    "short": np.int16,
    "unsigned short": np.uint16,
    "int": np.int32,
    "unsigned": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "float": np.float32,
    "double": np.float64,
    "float4": np.float32,
    "double2": np.float64,
}
"""What a parameter of a type takes, or one that points to the type."""


class Shifted:
    """An argument whose pointer lies ``elements`` before the array.

    A kernel that adds as much to it again reads the array: offsets beyond 2**31 are tested in
    this way, without memory of that size.
    """

    def __init__(self, array, elements):
        self.array = array
        self.elements = elements


class Arguments:
    """The arguments of one launch.

    Parameters
    ----------
    kernel : str
        For messages.
    types : tuple of str
        Of the parameters, in C++.
    args : tuple
        Device arrays, NumPy scalars and None.

    Attributes
    ----------
    pointers : ctypes array of void pointers
        To the values.

    Raises
    ------
    TypeError
        If an argument is not of exactly the type of its parameter.
    ValueError
        If an array is not contiguous, or must not be written.
    """

    def __init__(self, kernel, types, args):
        if len(types) != len(args):
            raise TypeError(f"{kernel} takes {len(types)} arguments, got {len(args)}")
        self._names = [f"{kernel}, parameter {i} ({type_})" for i, type_ in enumerate(types)]
        self._memories = {}  # address of a memory -> Memory
        self._values = [
            self._value(*item) for item in zip(range(len(args)), types, args, strict=True)
        ]
        addresses = [ctypes.addressof(value) for value in self._values]
        self.pointers = (ctypes.c_void_p * len(addresses))(*addresses)

    def check(self):
        """After the launch: nothing was written but the arrays that were handed over."""
        for memory in self._memories.values():
            memory.check()

    def _value(self, position, wanted, given):
        name = self._names[position]
        if not wanted.endswith("*"):
            if not isinstance(given, np.generic) or given.dtype != DTYPES[wanted]:
                raise TypeError(f"{name}: got {_described(given)}")
            return np.ctypeslib.as_ctypes_type(given.dtype)(given.item())
        if given is None:
            return ctypes.c_void_p(None)
        array = given.array if isinstance(given, Shifted) else given
        pointee = wanted[:-1].removeprefix("const ")
        writes = pointee == wanted[:-1]
        if not isinstance(array, DeviceArray) or array.dtype != DTYPES[pointee]:
            raise TypeError(f"{name}: got {_described(array)}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name}: got an array that is not C-contiguous")
        if writes and not array.flags.writeable:
            raise ValueError(f"{name}: got a read-only array")
        root = root_of(array)
        address = root.ctypes.data
        memory = self._memories[address] = self._memories.get(address) or _Memory(root)
        if writes:
            memory.writes(name, array)
        elements = given.elements if isinstance(given, Shifted) else 0
        return ctypes.c_void_p(memory.translated(array) - elements * array.itemsize)


def _described(given):
    if isinstance(given, np.ndarray):
        side = "a device array" if isinstance(given, DeviceArray) else "a NumPy array"
        return f"{side} of {given.dtype}"
    return f"{type(given).__name__} {given!r}"


def root_of(array):
    """Return the array that owns the memory in which an array lies, or fills an allocation."""
    while isinstance(array.base, np.ndarray) and not isinstance(array.base, Allocation):
        array = array.base
    return array


class _Memory:
    """What an array lies in: an allocation with guards, or memory that NumPy allocated.

    Results of NumPy's operations have no guards; they are copied into an allocation for the
    launch, and back.
    """

    def __init__(self, root):
        self.address = root.ctypes.data
        self._bytes = _bytes(root)
        guarded = root
        if not isinstance(root.base, Allocation):
            guarded = allocate(self._bytes.shape, np.uint8)
            as_host(guarded)[...] = self._bytes
        self._all = guarded.base.view(np.ndarray)
        self._start = guarded.ctypes.data - self._all.ctypes.data
        self._is_copy = guarded is not root
        self._before = None
        self._untouched = None
        self._writers = []

    def translated(self, array):
        """Address of an array of this memory where the kernel finds it."""
        return self._all.ctypes.data + self._offset(array)

    def writes(self, name, array):
        """Say that the kernel may write this array."""
        if self._before is None:
            self._before = self._all.copy()
            self._untouched = np.ones(self._all.shape, bool)
        start = self._offset(array)
        self._untouched[start : start + array.nbytes] = False
        self._writers.append((name, array, start))

    def check(self):
        """Compare what nobody may have written; bring the results home."""
        if self._before is None:
            return
        wrong = np.flatnonzero(self._untouched & (self._all != self._before))
        if wrong.size:
            first = int(wrong[0])
            name, array, begin = min(
                self._writers, key=lambda w: max(w[2] - first, first - w[2] - w[1].nbytes)
            )
            raise RuntimeError(
                f"{name}: written out of bounds, at element {(first - begin) // array.itemsize} "
                f"of an array of {array.size}"
            )
        if self._is_copy:
            self._bytes[...] = self._all[self._start : self._start + self._bytes.size]

    def _offset(self, array):
        return self._start + array.ctypes.data - self.address


def _bytes(root):
    """The memory of a contiguous array."""
    if root.nbytes == 0:
        return np.empty(0, np.uint8)
    if not (root.flags.c_contiguous or root.flags.f_contiguous):
        raise ValueError("an array in memory that is not contiguous")
    return np.ctypeslib.as_array((ctypes.c_uint8 * root.nbytes).from_address(root.ctypes.data))
