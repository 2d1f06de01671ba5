"""Kernels compiled by Numba: no compiler needed, metrics of the user's own accepted."""

from clusterlib.kernels._numba.centers import bounded_argmin, cluster_sums
from clusterlib.kernels._numba.pairwise import (
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    pairwise_topk,
)

__all__ = [
    "bounded_argmin",
    "cluster_sums",
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
]
