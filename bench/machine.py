"""What must be known about the machine and the software to read a figure later."""

import os
import platform
import subprocess
import sys
from pathlib import Path

# Environment overrides of BLAS kernels are removed so that peers run at their best.
OVERRIDES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
)
REMEMBERED = ("OMP_", "OPENBLAS_", "MKL_", "GOMP_", "KMP_", "NUMBA_", "CLUSTERLIB_", "MALLOC_")


def restart_without_overrides(module: str) -> None:
    """Run ``python -m module`` again without the overrides, if any is set.

    The libraries read them when they are loaded, so that removing them later has no effect.
    """
    present = [name for name in OVERRIDES if name in os.environ]
    if not present:
        return
    environment = {name: value for name, value in os.environ.items() if name not in present}
    print(f"removed from the environment for this run: {', '.join(present)}", flush=True)
    os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], environment)


def describe() -> dict:
    """Machine, its load, system, Python, revision of the sources, remembered environment."""
    return {
        "machine": platform.machine(),
        "cpu": processor(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "revision": revision(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(REMEMBERED)},
    }


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Family, model and name of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    pairs = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    values = {key.strip(): value.strip() for key, _, value in pairs}
    name = values.get("model name") or values.get("CPU part", platform.machine())
    if "cpu family" not in values:
        return name
    return f"{name} (family {values['cpu family']}, model {values['model']})"


def revision() -> str | None:
    """Revision of the source tree the bench lies in, with a mark when it was changed."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return result.stdout.strip() or None


def thread_pools() -> list[str]:
    """Which BLAS and OpenMP libraries are loaded, with the kernels and threads they use."""
    from threadpoolctl import threadpool_info

    pools = [
        " ".join(
            str(pool[key])
            for key in ("internal_api", "version", "architecture", "threading_layer")
            if pool.get(key)
        )
        + f" x{pool['num_threads']} ({_owner(pool['filepath'])})"
        for pool in threadpool_info()
    ]
    return sorted(pools)


def _owner(path: str) -> str:
    """Package a library was loaded with: the part after site-packages."""
    parts = Path(path).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    return parts[-1]
