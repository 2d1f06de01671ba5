"""Comparisons of all pairs of rows on a CUDA device: what :mod:`clusterlib.kernels.pairwise` calls.

Contracts are those of the functions of the same names there.
"""

from clusterlib.kernels._cupy.pairwise_argmin import pairwise_argmin
from clusterlib.kernels._cupy.pairwise_distances import pairwise_distances
from clusterlib.kernels._cupy.pairwise_sums import pairwise_logsumexp
from clusterlib.kernels._cupy.pairwise_threshold import pairwise_threshold
from clusterlib.kernels._cupy.pairwise_topk import pairwise_topk

__all__ = [
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
]
