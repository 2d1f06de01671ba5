"""The stand-in for the CUDA runtime: NumPy memory, and kernels built by g++ from the sources."""

import ctypes
import functools
from pathlib import Path

import numpy as np

from clusterlib.kernels._cupy.instances import all_instances
from clusterlib.kernels._cupy.runtime import source_folder
from tests.cuda.emul.arguments import Arguments
from tests.cuda.emul.arrays import DeviceArray, allocate, as_host
from tests.cuda.emul.build import build, generated

__all__ = ["ORDERS", "EmulatedRuntime"]

ORDERS = ("up", "down", "shuffled")
"""In which order the threads and the blocks of a launch run."""


class _Launch(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_longlong) for name in ("grid_x", "grid_y", "first", "last")),
        ("threads", ctypes.c_int),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_ulonglong),
    ]


class _Library:
    """The kernels of one source."""

    def __init__(self, path):
        self._handle = ctypes.CDLL(str(path))
        self._handle.cl_kernels.restype = ctypes.c_char_p
        lines = self._handle.cl_kernels().decode().splitlines()
        self._kernels = {}
        for number, line in enumerate(lines):
            name, _, types = line.partition("\t")
            self._kernels[name] = number, tuple(types.split(",")) if types else ()

    def parameters(self, kernel):
        return self._kernels[kernel][1]

    def emulate(self, kernel, how, pointers):
        error = ctypes.create_string_buffer(512)
        number = self._kernels[kernel][0]
        if self._handle.cl_emulate(number, ctypes.byref(how), pointers, error):
            raise RuntimeError(f"{kernel}: {error.value.decode()}")


@functools.cache
def _library(source, instances, folder, flags):
    flags = (*flags, "-fPIC", "-shared", "-fvisibility=hidden")
    return _Library(build(generated(source, instances), folder, ".so", flags))


class EmulatedRuntime:
    """Has the methods of ``CupyRuntime``.

    Parameters
    ----------
    order : {'up', 'down', 'shuffled'}
        Of threads and blocks.
    seed : int
        For the shuffled order.
    instances : tuple of Instance, optional
        The kernels that can be launched, those of the library unless given.
    folder : path, optional
        Of their sources.
    flags : tuple of str
        Of the compiler, beside those of every build.

    Attributes
    ----------
    capability : int
        Compute capability, 90 for 9.0; tests may lower it.
    launched : list of (Instance, grid)
        Every launch, in order.
    recorder : callable or None
        Called with (instance, grid, (first block, last block), parameter types, args) before
        every launch.
    """

    def __init__(self, order="up", seed=0, *, instances=None, folder=None, flags=()):
        self.order = ORDERS.index(order)
        self.seed = seed
        self.instances = all_instances() if instances is None else tuple(instances)
        self.folder = source_folder() if folder is None else Path(folder)
        self.flags = tuple(flags)
        self.capability = 90
        self.launched = []
        self.recorder = None

    def owns(self, value):
        """Tell whether ``value`` is an array of the stand-in."""
        return isinstance(value, DeviceArray)

    def asarray(self, value):
        """Return a device array as it is."""
        if not self.owns(value):
            raise TypeError(f"no array of the device: {type(value).__name__}")
        return value

    def like(self, result, original):
        """Return the result."""
        return result

    def empty(self, shape, dtype):
        """Allocate; what nobody writes stays NaN."""
        return allocate(shape, dtype)

    def zeros(self, shape, dtype):
        """Allocate zeros."""
        array = allocate(shape, dtype)
        array[...] = 0
        return array

    def to_device(self, array):
        """Copy a NumPy array."""
        if self.owns(array):
            return array
        result = allocate(np.shape(array), np.asarray(array).dtype)
        as_host(result)[...] = array
        return result

    def to_host(self, array):
        """Copy into a NumPy array."""
        return np.array(as_host(self.asarray(array)))

    def contiguous(self, array):
        """Return the array in C order, itself if it already is."""
        if array.flags.c_contiguous:
            return array
        return self.to_device(as_host(array))

    def address(self, array):
        """Return where the array begins."""
        return as_host(array).ctypes.data

    def compute_capability(self):
        """Return what the stand-in was told it is."""
        return self.capability

    def matmul(self, A, B, out):
        """Write ``A @ B.T`` into ``out``."""
        A, B, out = (as_host(self.asarray(array)) for array in (A, B, out))
        with np.errstate(all="ignore"):  # a device does not warn
            np.matmul(A, B.T, out=out, casting="no")

    def stable_argsort(self, array):
        """Return the order of each row of a matrix."""
        return self.to_device(np.argsort(as_host(self.asarray(array)), axis=-1, kind="stable"))

    def describe(self):
        """Say that this is no device."""
        return f"CUDA emulated on the CPU, threads {ORDERS[self.order]}"

    def synchronize(self):
        """Everything is done already."""

    def launch(self, instance, grid, *args):
        """Run every block of a kernel.

        Raises
        ------
        TypeError
            If the arguments are not of exactly the types of the parameters.
        RuntimeError
            If threads wait for each other in vain, or write outside their arrays.
        """
        blocks = grid if isinstance(grid, tuple) else (grid,)
        if min(blocks) == 0:
            return
        self.launch_blocks(instance, blocks, 0, blocks[0], *args)

    def launch_blocks(self, instance, grid, first, last, *args):
        """Run the blocks [first, last) along x of a grid."""
        library = self._library(instance)
        types = library.parameters(instance.kernel)
        grid = grid if isinstance(grid, tuple) else (grid,)
        memory = Arguments(instance.kernel, types, args)
        if self.recorder is not None:
            self.recorder(instance, grid, (first, last), types, args)
        self.launched.append((instance, grid))
        how = _Launch(*(*grid, 1)[:2], first, last, instance.threads, self.order, self.seed)
        library.emulate(instance.kernel, how, memory.pointers)
        memory.check()

    def _library(self, instance):
        same = tuple(other for other in self.instances if other.source == instance.source)
        if instance not in same:
            raise ValueError(f"{instance} is not among the instances of a module")
        return _library(instance.source, same, self.folder, self.flags)
