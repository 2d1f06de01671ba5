"""What this installation is made of: for the user who wonders, and for bug reports."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from clusterlib import __version__
from clusterlib.config import available_cores, default_threads, get_config
from clusterlib.kernels import active_backend, available_backends
from clusterlib.kernels._cupy.runtime import active

__all__ = ["describe_config", "describe_versions", "show_config", "show_versions"]

_DISTRIBUTIONS = (
    "numpy",
    "scipy",
    "scikit-learn",
    "joblib",
    "threadpoolctl",
    "numba",
    "cvxpy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "dask",
    "matplotlib",
    "pyarrow",
    "rich",
)


def describe_config() -> dict[str, str]:
    """Describe how the kernels were built and will run.

    Returns
    -------
    facts : dict of str to str
        ``"backend"``, ``"native"``, ``"isa"``, ``"openmp"``, ``"cuda"``, ``"threads"``,
        ``"block_bytes"`` and ``"versions"``, each a readable text. Where CuPy is installed it is
        imported, to find out what it can use.

    Examples
    --------
    >>> from clusterlib.installation import describe_config
    >>> sorted(describe_config())
    ['backend', 'block_bytes', 'cuda', 'isa', 'native', 'openmp', 'threads', 'versions']
    """
    native, state = _native()
    if native is None:
        isa, openmp, runtime_threads = "none", "none", None
    else:
        isa = f"{native.isa()} (available: {', '.join(native.available_isas())})"
        openmp = "yes" if native.openmp() else "no, built for one thread"
        runtime_threads = native.max_threads()
    variable = os.environ.get("OMP_NUM_THREADS", "not set")
    cores = f"{available_cores()} cores usable, OMP_NUM_THREADS {variable}"
    versions = describe_versions()
    main_parts = ("clusterlib", "python", "numpy", "scikit-learn")
    return {
        "backend": f"{active_backend()} (available: {', '.join(available_backends())})",
        "native": state,
        "isa": isa,
        "openmp": openmp,
        "cuda": _cuda(),
        "threads": f"{default_threads(runtime_threads)} ({cores})",
        "block_bytes": str(get_config()["block_bytes"]),
        "versions": ", ".join(f"{name} {versions[name]}" for name in main_parts),
    }


def describe_versions() -> dict[str, str]:
    """Describe the versions of clusterlib, of Python and of the packages it works with.

    Returns
    -------
    versions : dict of str to str
        ``"clusterlib"``, ``"python"``, ``"platform"``, then one distribution after the other,
        ``"not installed"`` for an absent one. None of them is imported to find out.

    Examples
    --------
    >>> from clusterlib.installation import describe_versions
    >>> describe_versions()["clusterlib"]
    '0.1.0'
    """
    return {
        "clusterlib": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    } | {name: _version(name) for name in _DISTRIBUTIONS}


def show_config() -> None:
    """Write to stdout how the kernels were built and will run.

    It says which backend runs, whether the native kernels were built, which instruction sets
    they use and could use, whether they use OpenMP, which CUDA device there is for arrays that
    live on one, and the default number of threads.

    Examples
    --------
    >>> import clusterlib
    >>> clusterlib.show_config()  # doctest: +ELLIPSIS
    backend      ...
    """
    _write(describe_config())


def show_versions() -> None:
    """Write to stdout the versions of everything that plays a part, for a bug report.

    Examples
    --------
    >>> import clusterlib
    >>> clusterlib.show_versions()  # doctest: +ELLIPSIS
    clusterlib     ...
    """
    _write(describe_versions())


def _write(facts):
    width = max(map(len, facts)) + 2
    sys.stdout.write("".join(f"{name:<{width}}{text}\n" for name, text in facts.items()))


def _native():
    """The extension module, or None, and a sentence about it."""
    if "native" not in available_backends():
        return None, "not built; reinstall with a C++ compiler present to get the fast kernels"
    try:
        native = import_module("clusterlib.kernels._native")
    except ImportError as error:
        return None, f"built, but it cannot be loaded: {error}"
    return native, "built"


def _cuda():
    """What runs the kernels for arrays on a CUDA device, or why nothing does."""
    if find_spec("cupy") is None:
        return "CuPy is not installed"
    try:
        return active().describe()
    except (ImportError, RuntimeError) as error:
        return f"CuPy is installed, but it cannot be used: {error}"


def _version(distribution):
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
