"""Settings of the process: how many threads, how much memory per block of rows.

Only the standard library is imported here, so that every floor may ask.
"""

from __future__ import annotations

import functools
import math
import os
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = [
    "available_cores",
    "config_context",
    "default_threads",
    "get_config",
    "set_config",
]

_process = {"n_threads": None, "block_bytes": 64 * 2**20}
_overrides = ContextVar("clusterlib_config", default=None)


def get_config() -> dict[str, Any]:
    """Return the settings in force here.

    Returns
    -------
    config : dict
        ``"n_threads"``: int or None, the threads of a call that is not told how many; None means
        what :func:`default_threads` says. ``"block_bytes"``: int, the memory that one block of
        rows may take where data are worked on block by block. A copy: changing it changes
        nothing.

    Examples
    --------
    >>> import clusterlib
    >>> clusterlib.get_config()["block_bytes"]
    67108864
    """
    return _process | (_overrides.get() or {})


def set_config(**settings: int | None) -> None:
    """Change settings for the whole process.

    Parameters
    ----------
    **settings : int or None
        ``n_threads``: at least 1, or None for the default; ``block_bytes``: at least 1. What is
        not named stays. No result depends on either, only time and memory do, with one exception:
        ``SinkhornTransport`` and its solver ``sinkhorn`` may choose another method where costs fit
        into a block, and methods agree to their ``tol``, not to the bit.

    Raises
    ------
    TypeError
        For an unknown setting or one that is not an integer.
    ValueError
        For an integer below 1. Then nothing is changed.

    See Also
    --------
    config_context : The same for a ``with`` block; there it wins over this function.

    Examples
    --------
    >>> import clusterlib
    >>> clusterlib.set_config(n_threads=2)
    >>> clusterlib.get_config()["n_threads"]
    2
    >>> clusterlib.set_config(n_threads=None)
    """
    _process.update(_checked(settings))


@contextmanager
def config_context(**settings: int | None) -> Iterator[None]:
    """Change settings inside a ``with`` block, for this thread and task only.

    Parameters
    ----------
    **settings : int or None
        As for :func:`set_config`, with the same errors.

    Examples
    --------
    >>> import clusterlib
    >>> with clusterlib.config_context(n_threads=1):
    ...     clusterlib.get_config()["n_threads"]
    1
    """
    token = _overrides.set((_overrides.get() or {}) | _checked(settings))
    try:
        yield
    finally:
        _overrides.reset(token)


def default_threads(runtime_threads: int | None = None) -> int:
    """Return how many threads a call uses that is not told how many.

    It is the setting ``n_threads`` if there is one; else ``OMP_NUM_THREADS`` if that is set;
    else the cores this process may use, see :func:`available_cores`.

    Parameters
    ----------
    runtime_threads : int, default=None
        What the threading runtime allows at this moment, for example
        ``omp_get_max_threads()``, which knows the limits of threadpoolctl. Only the setting
        ``n_threads``, which somebody asked for, may exceed it.

    Returns
    -------
    n_threads : int
        At least 1.

    Examples
    --------
    >>> from clusterlib.config import config_context, default_threads
    >>> default_threads(runtime_threads=1)
    1
    >>> with config_context(n_threads=3):
    ...     default_threads(runtime_threads=1)
    3
    """
    if (asked := get_config()["n_threads"]) is not None:
        return asked
    n_threads = _openmp_variable() or available_cores()
    return n_threads if runtime_threads is None else max(1, min(n_threads, runtime_threads))


def available_cores() -> int:
    """Count the cores that this process may keep busy.

    Returns
    -------
    n_cores : int
        At least 1: the cores of its affinity mask, or fewer if a control group (a container)
        grants less computing time than that; a part of a core counts as one.

    Notes
    -----
    The mask is asked for anew, as programs change it while they run. The grant is read from the
    control groups' files once per process.

    Examples
    --------
    >>> from clusterlib.config import available_cores
    >>> available_cores() >= 1
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cgroup_quota()
    return max(1, min(cores or 1, math.ceil(quota) if quota else cores or 1))


def _checked(settings):
    for name, value in settings.items():
        if name not in _process:
            raise TypeError(f"unknown setting {name!r}; there are {', '.join(sorted(_process))}")
        if value is None and name == "n_threads":
            continue
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    return {name: value if value is None else int(value) for name, value in settings.items()}


def _openmp_variable():
    """OMP_NUM_THREADS of the outermost level; 0 if it is unset or malformed, as OpenMP does."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() else 0


# Once per process: it reads several files, 90 us that every call of a kernel would pay, and a
# container keeps its grant. The affinity mask is no part of this, as it may change at run time.
@functools.cache
def _cgroup_quota(proc="/proc/self/cgroup", root="/sys/fs/cgroup"):
    """Cores' worth of time granted by the control groups of this process; None for no limit."""
    try:
        lines = Path(proc).read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2, which has one tree
            quotas += [_quota_v2(folder) for folder in _upwards(Path(root), path)]
        elif "cpu" in controllers.split(","):
            quotas += [_quota_v1(folder) for folder in _upwards(Path(root, "cpu"), path)]
    return min((quota for quota in quotas if quota), default=None)


def _upwards(root, path):
    """A group's folder and those of the groups around it; in a container only root may exist."""
    folder = root / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _quota_v2(folder):
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder):
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return None if quota <= 0 else quota / period
