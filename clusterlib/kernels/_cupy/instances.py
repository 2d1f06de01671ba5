"""The kernels of ``csrc/cuda`` that are instantiated: compiled on demand, and by the tests."""

import importlib
import pkgutil
from typing import NamedTuple

__all__ = ["Instance", "all_instances"]


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
