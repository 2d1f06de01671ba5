"""Kernels on a CUDA device: the contracts of :mod:`clusterlib.kernels` for arrays that live there.

A module here has the name and its functions have the signatures of the contracts they fulfil.
Nothing but :mod:`clusterlib.kernels._cupy.runtime` touches CuPy.
"""

__all__ = []
