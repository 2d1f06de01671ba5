"""One operation, one contract, several implementations; the NumPy one is the judge.

The public functions check their arguments, allocate the outputs and call the implementation that
:mod:`clusterlib.kernels.dispatch` picks.
"""

from clusterlib.kernels.assignment import (
    CapacityAssignment,
    capacity_assignment,
    capacity_assignment_points,
    priced_argmin,
)
from clusterlib.kernels.centers import BOUND_GROUPS, LEAF_ROWS, bounded_argmin, cluster_sums
from clusterlib.kernels.dispatch import active_backend, available_backends
from clusterlib.kernels.linear_assignment import LinearAssignment, linear_assignment
from clusterlib.kernels.metrics import Metric
from clusterlib.kernels.mixtures import (
    TemperedPosterior,
    mixture_weights,
    plsa_step,
    tempered_posterior,
)
from clusterlib.kernels.moments import ClassMoments, class_moments, merge_moments
from clusterlib.kernels.nonnegative import hals_sweep, masked_hals_sweep
from clusterlib.kernels.pairwise import (
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    pairwise_topk,
)
from clusterlib.kernels.scaling import scaling_iterate, weighted_gram_product
from clusterlib.kernels.simplex import SimplexDescent, simplex_descent, simplex_projection
from clusterlib.kernels.sinkhorn import (
    sinkhorn_iterate,
    sinkhorn_iterate_points,
    sinkhorn_sweep,
    sinkhorn_sweep_points,
)
from clusterlib.kernels.sinkhorn_plan import SinkhornPlan, sinkhorn_batch, sinkhorn_plan
from clusterlib.kernels.softmax import RowSoftmax, row_softmax
from clusterlib.kernels.tiles import pack_rows, unpack_rows

__all__ = [  # noqa: RUF022 -- in the order of sorted(), constants among classes
    "BOUND_GROUPS",
    "CapacityAssignment",
    "ClassMoments",
    "LEAF_ROWS",
    "LinearAssignment",
    "Metric",
    "RowSoftmax",
    "SimplexDescent",
    "SinkhornPlan",
    "TemperedPosterior",
    "active_backend",
    "available_backends",
    "bounded_argmin",
    "capacity_assignment",
    "capacity_assignment_points",
    "class_moments",
    "cluster_sums",
    "hals_sweep",
    "linear_assignment",
    "masked_hals_sweep",
    "merge_moments",
    "mixture_weights",
    "pack_rows",
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
    "unpack_rows",
    "weighted_gram_product",
]
