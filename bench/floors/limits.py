"""The peak figures of the machine that head every result file."""

import math
import time

import numpy as np

from bench.floors.build import NoCompiler, load_library
from bench.floors.probe import KINDS, make_probe

MEMORY_FLOATS = 1 << 26  # 256 MiB, beyond any cache
PASSES = 5
SGEMM_SIZE = 2048


def measure_limits(threads: int, *, memory_floats: int = MEMORY_FLOATS) -> dict[str, float | None]:
    """Operations per second by type, bytes per second read and written, sgemm's operations.

    A figure the machine cannot give (no compiler, no bfloat16) is None.
    """
    limits = {f"{dtype}_flops": _best_peak(dtype, threads) for dtype in KINDS}
    limits |= _bandwidth(threads, memory_floats)
    limits["sgemm_flops"] = _sgemm_flops()
    return {name: None if math.isnan(value) else value for name, value in limits.items()}


def _best_peak(dtype: str, threads: int) -> float:
    probe = make_probe(dtype, threads)
    return max(probe() for _ in range(PASSES))


def _bandwidth(threads: int, floats: int) -> dict[str, float]:
    try:
        library = load_library()
    except NoCompiler:
        return {"read_bytes": math.nan, "write_bytes": math.nan}
    data = np.ones(floats, dtype=np.float32)
    best = {}
    for name in ("read", "write"):
        function = getattr(library, f"{name}_seconds")
        best[name] = min(function(data.ctypes.data, floats, threads) for _ in range(PASSES))
    return {f"{name}_bytes": data.nbytes / seconds for name, seconds in best.items()}


def _sgemm_flops() -> float:
    """NumPy's BLAS on a square product, with the thread limit that is in force."""
    A, B, out = np.ones((3, SGEMM_SIZE, SGEMM_SIZE), dtype=np.float32)
    times = []
    for _ in range(PASSES):
        start = time.perf_counter()
        np.matmul(A, B.T, out=out)  # A @ A.T would run ssyrk: half the work
        times.append(time.perf_counter() - start)
    return 2 * SGEMM_SIZE**3 / min(times)
