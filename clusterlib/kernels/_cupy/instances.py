"""The kernels of ``csrc/cuda`` that are instantiated: compiled on demand, and by the tests."""

import importlib
import pkgutil
from typing import NamedTuple

import numpy as np

__all__ = ["Instance", "all_instances", "instances_by_dtype"]


class Instance(NamedTuple):
    """One instance of a kernel template.

    Attributes
    ----------
    source : str
        File in ``csrc/cuda``.
    kernel : str
        Name expression, for example ``"cl::argmin_tiles<cl::Wide<float>>"``.
    threads : int
        Threads of a block.
    """

    source: str
    kernel: str
    threads: int


def instances_by_dtype(source, kernel, threads):
    """Return the instances of a template of the number type alone.

    Parameters
    ----------
    source, kernel : str
        File, and name of the template without its namespace.
    threads : int
        Threads of a block.

    Returns
    -------
    instances : dict of dtype to Instance
        For float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels._cupy.instances import instances_by_dtype
    >>> instances_by_dtype("centers.cuh", "sum_rows", 256)[np.dtype(np.float64)].kernel
    'cl::sum_rows<double>'
    """
    return {
        np.dtype(dtype): Instance(source, f"cl::{kernel}<{name}>", threads)
        for dtype, name in ((np.float32, "float"), (np.float64, "double"))
    }


def all_instances():
    """Gather the instances that the modules of this package name in ``INSTANCES``.

    Returns
    -------
    instances : tuple of Instance
        Every one once, sorted by source and kernel.

    Examples
    --------
    >>> from clusterlib.kernels._cupy.instances import all_instances
    >>> all(instance.threads % 32 == 0 for instance in all_instances())
    True
    """
    package = importlib.import_module("clusterlib.kernels._cupy")
    found = set()
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        found.update(getattr(importlib.import_module(module.name), "INSTANCES", ()))
    return tuple(sorted(found))
