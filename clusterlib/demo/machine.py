"""What the numbers were measured on."""

import importlib
import platform
from importlib.metadata import version
from pathlib import Path

import joblib
from threadpoolctl import threadpool_info

import clusterlib
from clusterlib.kernels import active_backend


def count_threads() -> int:
    """Count the threads that both libraries may use.

    Returns
    -------
    int
        The cores this process may run on, or fewer if ``OMP_NUM_THREADS`` says so.
    """
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
    return min([joblib.cpu_count(), *pools])


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _kernels() -> str:
    backend = active_backend()
    if backend != "native":
        return f"{backend} (the C++ kernels are not built)"
    native = importlib.import_module("clusterlib.kernels._native")
    openmp = "with" if native.openmp() else "without"
    return f"native, instruction set {native.isa()}, {openmp} OpenMP"


def describe_machine(n_threads: int) -> dict[str, str]:
    """Name the machine and the versions.

    Parameters
    ----------
    n_threads : int
        Threads given to both libraries.

    Returns
    -------
    dict of str to str
    """
    libraries = ("scikit-learn", "numpy", "scipy")
    return {
        "Processor": _processor(),
        "Threads": f"{n_threads}, for both libraries",
        "Kernels": _kernels(),
        "Versions": ", ".join(
            [f"clusterlib {clusterlib.__version__}"]
            + [f"{name} {version(name)}" for name in libraries]
            + [f"Python {platform.python_version()}"]
        ),
        "System": f"{platform.system()} {platform.machine()}",
    }
