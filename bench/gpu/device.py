"""The device of the bench: arrays, timings by CUDA events, and what is known about it."""

import importlib.metadata
import subprocess
import sys
import time

import numpy as np

from clusterlib.kernels._cupy.runtime import active

_QUERY = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit"
_VERSIONS = ("cupy-cuda12x", "cupy-cuda13x", "numpy", "torch", "cuml", "cuvs", "pykeops")


class CupyDevice:
    """The current CUDA device, by CuPy.

    Tests put an emulated one with the same methods in its place.
    """

    def __init__(self):
        self.runtime = active()
        import cupy

        self._cupy = cupy
        self._flushed = None

    def normal(self, shape, dtype, seed):
        """Standard normal numbers."""
        rng = self._cupy.random.default_rng(seed)
        return rng.standard_normal(shape, dtype=np.dtype(dtype))

    def uniform(self, shape, dtype, seed):
        """Uniform numbers from 0 to 1."""
        return self._cupy.random.default_rng(seed).random(shape, dtype=np.dtype(dtype))

    def to_host(self, array):
        """Copy an array of CuPy's or PyTorch's, or a NumPy array, to the host."""
        if hasattr(array, "detach"):
            return array.detach().cpu().numpy()
        return self._cupy.asnumpy(array)

    def torch(self, array):
        """Return a tensor on the memory of an array."""
        import torch

        return torch.from_dlpack(array)

    def milliseconds(self, call):
        """Time one call by events, with a cold L2 cache."""
        self._flush()
        start, end = (self._cupy.cuda.Event() for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return self._cupy.cuda.get_elapsed_time(start, end)

    def _flush(self):
        if self._flushed is None:
            size = max(self._properties()["l2CacheSize"], 1 << 20)
            self._flushed = self._cupy.empty(2 * size, dtype="uint8")
        self._flushed.fill(1)

    def _properties(self):
        return self._cupy.cuda.runtime.getDeviceProperties(self._cupy.cuda.Device().id)

    def free(self):
        """Give memory back that nobody holds any more."""
        self._cupy.get_default_memory_pool().free_all_blocks()
        if "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()

    def describe(self):
        """Name, memory, versions and, where nvidia-smi is there, driver and clocks."""
        properties, runtime = self._properties(), self._cupy.cuda.runtime
        name = properties["name"]
        return {
            "device": name.decode() if isinstance(name, bytes) else name,
            "compute_capability": self.runtime.compute_capability(),
            "multiprocessors": properties["multiProcessorCount"],
            "memory_bytes": properties["totalGlobalMem"],
            "l2_bytes": properties["l2CacheSize"],
            "cuda_runtime": runtime.runtimeGetVersion(),
            "cuda_driver": runtime.driverGetVersion(),
            "versions": _versions(),
            **self.clocks(),
        }

    def clocks(self):
        """What the clocks are now."""
        return {"smi": _smi(), "at": round(time.time())}


def _versions():
    found = {}
    for name in _VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _smi():
    """Driver, clocks in MHz and limit of the power in W, as nvidia-smi tells them."""
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return dict(zip(_QUERY.split(","), values, strict=True))
