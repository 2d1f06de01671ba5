"""The only module that touches CuPy: arrays, transfers, matrix products and launches.

Tests put another runtime with the same methods in its place, which runs the same device sources
on the CPU.
"""

import functools
import importlib
import os
import re
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np

from clusterlib.kernels._cupy.binaries import binary_of, cache_folder

__all__ = [
    "CupyRuntime",
    "active",
    "device_is_usable",
    "source_folder",
    "source_text",
    "use",
]

_INCLUDE = re.compile(r'^#include "([\w.]+\.cuh)"$', re.MULTILINE)
_ONCE = re.compile(r"^#pragma once$", re.MULTILINE)
_CUDA_MEMORY = (2, 13)  # DLPack's kDLCUDA and kDLCUDAManaged
_ROUNDING = ("CUPY_TF32", "CUBLAS_EMULATE_SINGLE_PRECISION")  # what changes float32 products
_INSTALL = 'pip install "clusterlib-native[cuda13]" (or "[cuda12]")'

_current = None


def active():
    """Return the runtime in use, CuPy's unless a test has put another one in its place.

    Returns
    -------
    runtime : CupyRuntime
        Or an object with the same methods.

    Raises
    ------
    ImportError
        If CuPy is not installed; names the extra that brings it.
    RuntimeError
        If there is no usable CUDA device or driver.
    """
    return _current if _current is not None else _cupy_runtime()


@contextmanager
def use(runtime):
    """Put another runtime in use for a while."""
    global _current
    previous, _current = _current, runtime
    try:
        yield runtime
    finally:
        _current = previous


@functools.cache
def _cupy_runtime():
    return CupyRuntime()


def device_is_usable():
    """Tell whether a CUDA device can be used: CuPy, a driver and a device are there."""
    try:
        active()
    except (ImportError, RuntimeError):
        return False
    return True


def source_folder():
    """Folder of the CUDA sources: of the installed package, or of the source tree beside it."""
    try:
        folder = files("clusterlib.kernels._cuda_src")
        if folder.joinpath("device.cuh").is_file():
            return folder
    except ModuleNotFoundError:
        pass
    return Path(__file__).parents[3] / "csrc" / "cuda"


@functools.cache
def source_text(source):
    """Text of a CUDA source with everything it includes, each file once.

    Bare NVRTC knows no include path, and the files of binaries are named after the whole text.

    Parameters
    ----------
    source : str
        File in ``csrc/cuda``.

    Returns
    -------
    text : str
        Ready for NVRTC. The emulation header of the tests is not part of it.
    """
    seen = set()

    def pasted(name):
        if name in seen:
            return ""
        seen.add(name)
        text = _ONCE.sub("", source_folder().joinpath(name).read_text(encoding="utf-8"))
        return _INCLUDE.sub(lambda found: pasted(found[1]), text)

    return pasted(source)


class CupyRuntime:
    """Arrays and launches on the current CUDA device, by CuPy.

    Raises
    ------
    ImportError
        If CuPy is not installed.
    RuntimeError
        If there is no usable CUDA device.
    """

    def __init__(self):
        try:
            self._cupy = importlib.import_module("cupy")
        except ImportError as error:
            raise ImportError(
                f"arrays on a CUDA device need CuPy, which cannot be imported ({error}): {_INSTALL}"
            ) from error
        try:
            count = self._cupy.cuda.runtime.getDeviceCount()
        except self._cupy.cuda.runtime.CUDARuntimeError as error:
            raise RuntimeError(f"CuPy finds no usable CUDA driver: {error}") from error
        if count == 0:
            raise RuntimeError("CuPy finds a CUDA driver but no device")
        self._functions = {}
        self._cache = cache_folder()

    def owns(self, value):
        """Tell whether ``value`` is an array of a CUDA device (CuPy, or DLPack such as torch)."""
        return isinstance(value, self._cupy.ndarray) or (
            hasattr(value, "__dlpack_device__") and value.__dlpack_device__()[0] in _CUDA_MEMORY
        )

    def asarray(self, value):
        """Return a CuPy array on the memory of ``value``, without a copy.

        Raises
        ------
        ValueError
            If it is on another device than the current one, on which kernels are launched.
        """
        native = isinstance(value, self._cupy.ndarray)
        device = value.data.device_id if native else value.__dlpack_device__()[1]
        current = self._cupy.cuda.runtime.getDevice()
        if device != current:
            raise ValueError(
                f"an array is on CUDA device {device} and the current one is {current}: call in "
                f"a block 'with cupy.cuda.Device({device}):'"
            )
        if native:
            return value
        detached = value.detach() if hasattr(value, "detach") else value
        return self._cupy.from_dlpack(detached)

    def like(self, result, original):
        """Return ``result`` as the kind of array that ``original`` is."""
        if isinstance(original, self._cupy.ndarray):
            return result
        for kind in type(original).__mro__:  # a class of the user may be derived from a tensor
            library = importlib.import_module(kind.__module__.partition(".")[0])
            if hasattr(library, "from_dlpack"):
                return library.from_dlpack(result)
        return result

    def empty(self, shape, dtype):
        """Allocate an array on the device."""
        return self._cupy.empty(shape, dtype)

    def zeros(self, shape, dtype):
        """Allocate an array of zeros on the device."""
        return self._cupy.zeros(shape, dtype)

    def to_device(self, array):
        """Copy a NumPy array to the device."""
        return self._cupy.asarray(array)

    def to_host(self, array):
        """Copy an array of the device into a NumPy array; waits for what computes it."""
        return self._cupy.asnumpy(array)

    def contiguous(self, array):
        """Return the array in C order, itself if it already is."""
        return self._cupy.ascontiguousarray(array)

    def address(self, array):
        """Return where the array begins in the memory of the device."""
        return array.data.ptr

    def compute_capability(self):
        """Return the compute capability of the current device, 90 for 9.0."""
        return int(self._cupy.cuda.Device().compute_capability)

    def matmul(self, A, B, out):
        """Write ``A @ B.T`` into ``out``, in full precision of the dtype.

        CuPy rounds float32 factors to TF32, and cuBLAS puts such products together from bfloat16
        numbers, where variables of the environment ask for that; the error bounds of the contracts
        would not hold then, so such a product is done in float64 instead.
        """
        if A.dtype == np.float32 and any(os.environ.get(name, "0") != "0" for name in _ROUNDING):
            out[...] = self._cupy.matmul(A.astype(np.float64), B.astype(np.float64).T)
        else:
            self._cupy.matmul(A, B.T, out=out)

    def stable_argsort(self, array):
        """Return the order of each row of a matrix, int64; equal values keep theirs."""
        return self._cupy.argsort(array, axis=-1, kind="stable")

    def launch(self, instance, grid, *args):
        """Launch a kernel on the current stream.

        Parameters
        ----------
        instance : Instance
            Which kernel; compiled at its first use, and kept in a file.
        grid : int or tuple of int
            Blocks along x (and y).
        *args : array, numpy scalar or None
            In the order of the kernel's parameters; scalars of exactly their types, None for a
            null pointer.
        """
        blocks = grid if isinstance(grid, tuple) else (grid,)
        if min(blocks) == 0:
            return
        pointers = tuple(np.uintp(0) if arg is None else arg for arg in args)
        self._function(instance)(blocks, (instance.threads,), pointers)

    def describe(self):
        """Say which CuPy and which device are in use."""
        device = self._cupy.cuda.Device()
        name = self._cupy.cuda.runtime.getDeviceProperties(device.id)["name"].decode()
        return f"CuPy {self._cupy.__version__} on {name} (sm_{device.compute_capability})"

    def synchronize(self):
        """Wait for everything that was launched."""
        self._cupy.cuda.get_current_stream().synchronize()

    def _function(self, instance):
        key = self._cupy.cuda.Device().id, instance
        if key not in self._functions:
            binary = binary_of(
                self._cupy.cuda.nvrtc,
                source_text(instance.source),
                instance.kernel,
                self.compute_capability(),
                self._cache,
            )
            module = self._cupy.RawModule(path=str(binary.path))
            self._functions[key] = module.get_function(binary.symbol)
        return self._functions[key]
