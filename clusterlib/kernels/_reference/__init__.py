"""NumPy implementations: slow, short, and the judge of every other backend."""

from clusterlib.kernels._reference.centers import bounded_argmin, cluster_sums
from clusterlib.kernels._reference.pairwise import (
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
