"""The best kernels of an OpenBLAS that is older than the processor it runs on."""

import os
from contextlib import contextmanager
from pathlib import Path

# OpenBLAS names its kernels after processors; each entry: what the processor must be able to do.
KERNELS = (
    ("SkylakeX", {"avx512f", "avx512dq", "avx512bw", "avx512vl"}),
    ("Haswell", {"avx2", "fma"}),
)


def best_kernel() -> str | None:
    """Name of the widest kernels this processor can run; None where it is not known."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    return next((name for name, needed in KERNELS if needed <= flags), None)


@contextmanager
def best_openblas():
    """Load a library inside this context, and the OpenBLAS it brings takes its best kernels.

    Left alone, an OpenBLAS that does not know the processor falls back to kernels of 2007: its
    product then ran at 50 GFLOP/s where its best kernels reach 160 to 230 (faiss-cpu 1.15 on a
    processor with AVX-512). Libraries that are loaded already keep theirs.
    """
    kernel = best_kernel()
    if kernel is None or "OPENBLAS_CORETYPE" in os.environ:
        yield
        return
    os.environ["OPENBLAS_CORETYPE"] = kernel
    try:
        yield
    finally:
        del os.environ["OPENBLAS_CORETYPE"]
