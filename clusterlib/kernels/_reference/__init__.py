"""NumPy implementations: slow, short, and the judge of every other backend."""

from clusterlib.kernels._reference.assignment import (
    capacity_assignment,
    capacity_assignment_points,
    priced_argmin,
)
from clusterlib.kernels._reference.centers import bounded_argmin, cluster_sums
from clusterlib.kernels._reference.linear_assignment import linear_assignment
from clusterlib.kernels._reference.mixtures import mixture_weights, plsa_step, tempered_posterior
from clusterlib.kernels._reference.moments import class_moments
from clusterlib.kernels._reference.nonnegative import hals_sweep, masked_hals_sweep
from clusterlib.kernels._reference.pairwise import (
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    pairwise_topk,
)
from clusterlib.kernels._reference.simplex import simplex_descent, simplex_projection
from clusterlib.kernels._reference.sinkhorn import (
    scaling_iterate,
    sinkhorn_batch,
    sinkhorn_iterate,
    sinkhorn_iterate_points,
    sinkhorn_plan,
    sinkhorn_sweep,
    sinkhorn_sweep_points,
    weighted_gram_product,
)
from clusterlib.kernels._reference.softmax import row_softmax

__all__ = [
    "bounded_argmin",
    "capacity_assignment",
    "capacity_assignment_points",
    "class_moments",
    "cluster_sums",
    "hals_sweep",
    "linear_assignment",
    "masked_hals_sweep",
    "mixture_weights",
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
    "plsa_step",
    "priced_argmin",
    "row_softmax",
    "scaling_iterate",
    "simplex_descent",
    "simplex_projection",
    "sinkhorn_batch",
    "sinkhorn_iterate",
    "sinkhorn_iterate_points",
    "sinkhorn_plan",
    "sinkhorn_sweep",
    "sinkhorn_sweep_points",
    "tempered_posterior",
    "weighted_gram_product",
]
