"""Algorithms as pure functions: arrays or blocks of rows in, a named tuple out.

They know no estimator and print nothing. They check nothing either, as whoever calls them has
checked the input; the transport solvers and losses, which users call themselves, are the exception.
"""

from clusterlib.solvers.assignment import (
    assign,
    assign_several,
    assign_with_cost,
    center_distances,
    cost_of_assignment,
    costs_of_assignment,
    total_cost,
    weighted_total,
)
from clusterlib.solvers.balanced import (
    PricedPartition,
    assign_bounded,
    assign_priced,
    balanced_lloyd,
)
from clusterlib.solvers.balanced_exchange import exchange_rows
from clusterlib.solvers.balanced_heuristics import (
    balanced_heuristic,
    equal_sizes,
    regret_assignment,
    sinkhorn_assignment,
)
from clusterlib.solvers.balanced_search import swap_centers
from clusterlib.solvers.balanced_stream import balanced_stream
from clusterlib.solvers.calibration import Calibration, CalibrationKind, calibrate, calibrated
from clusterlib.solvers.class_choice import (
    ClassModel,
    MicroClasses,
    ModelChoice,
    chosen_model,
    pooled_posteriors,
)
from clusterlib.solvers.class_gaussians import inlier_gaussians, sample_gaussians
from clusterlib.solvers.class_mixture import ClassMixture, class_mixture
from clusterlib.solvers.class_network import ClassNetwork, class_network
from clusterlib.solvers.class_temperatures import (
    ClassTemperatures,
    TemperatureForm,
    class_temperatures,
)
from clusterlib.solvers.cluster_means import cluster_means, cluster_totals, cluster_weights
from clusterlib.solvers.clustered_memory import (
    PartitionSums,
    balanced_labels,
    moved_prototypes,
    nearest_in_partition,
    partition_sums,
    replace_rows,
)
from clusterlib.solvers.component_matching import matched_components
from clusterlib.solvers.confusion_prior import ConfusionPrior, class_confusion, confusion_prior
from clusterlib.solvers.cost_scale import cost_scale
from clusterlib.solvers.domain_folds import DomainFold, blended_log_likelihoods, domain_folds
from clusterlib.solvers.domain_logistic import DomainLogistic, domain_logistic
from clusterlib.solvers.domain_neighbors import domain_histograms, nearest_other_rows, nearest_rows
from clusterlib.solvers.domain_rank import DomainRank, class_margin, domain_rank
from clusterlib.solvers.domain_transport import (
    labelled_cost,
    moved_as_nearest,
    moved_by_matrix,
    moved_to_means,
    weighted_cost_scale,
    weights_of_relative_entropy,
)
from clusterlib.solvers.domain_vertices import (
    RecoveredMarginals,
    domain_counts,
    domain_vertices,
    recovered_marginals,
)
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.frozen_em import FrozenFit, frozen_em
from clusterlib.solvers.gaussian import CovarianceType
from clusterlib.solvers.geometry import row_norms, unit_rows
from clusterlib.solvers.greedy_assignment import GreedyAssignment, greedy_assignment
from clusterlib.solvers.interior_prices import interior_prices
from clusterlib.solvers.label_heads import (
    HeadChoice,
    HeadKind,
    LabelHead,
    choose_head,
    head_scores,
)
from clusterlib.solvers.label_parts import (
    LabelParts,
    PartKind,
    fitted_parts,
    other_classes,
    part_scores,
)
from clusterlib.solvers.label_shift import (
    LabelShiftResult,
    class_agreement,
    class_weights,
    domain_coordinates,
    tempered_label_shift,
)
from clusterlib.solvers.label_shift_choice import (
    ClassChoice,
    choose_n_classes,
    cluster_domain_table,
)
from clusterlib.solvers.label_shift_folds import left_out_log_likelihoods
from clusterlib.solvers.label_shift_intervals import corrected_marginals, marginal_intervals
from clusterlib.solvers.label_shift_report import ShiftReport, label_shift_report, shift_strength
from clusterlib.solvers.label_shift_scale import ScaledLabelShift, scaled_label_shift
from clusterlib.solvers.least_squares import LeastSquares, squared_error
from clusterlib.solvers.likelihood_certificate import LikelihoodCertificate, certify_likelihood
from clusterlib.solvers.likelihood_choice import aic_of_rest, candidate_dimensions
from clusterlib.solvers.likelihood_sdp import LikelihoodResult, likelihood_sdp
from clusterlib.solvers.likelihood_starts import StartKind
from clusterlib.solvers.lloyd import LloydResult, lloyd, scatter, weight_of_directions
from clusterlib.solvers.logit_adjustment import logit_adjustment
from clusterlib.solvers.low_rank_likelihood import Trace, group_memberships, low_rank_likelihood
from clusterlib.solvers.low_rank_sdp import LowRankResult, default_rank, low_rank_sdp
from clusterlib.solvers.masked_least_squares import MaskedLeastSquares
from clusterlib.solvers.micro_clusters import (
    MicroClusters,
    domain_table,
    micro_clusters,
    sampled_rows,
)
from clusterlib.solvers.minibatch import MiniBatchResult, Pull, minibatch, pull
from clusterlib.solvers.nmf_descent import NMFResult, alternate
from clusterlib.solvers.nmf_starts import (
    filled_by_margins,
    random_components,
    singular_components,
    vertex_components,
)
from clusterlib.solvers.noise_shrinkage import ShrinkageChoice, choose_shrinkage
from clusterlib.solvers.noisy_gaussian_scores import (
    likely_other_classes,
    noisy_gaussian_scores,
    noisy_label_likelihood,
)
from clusterlib.solvers.noisy_gaussians import NoisyGaussians, noisy_gaussians
from clusterlib.solvers.noisy_logistic import (
    NoisyLogistic,
    noisy_logistic,
    noisy_logistic_scores,
)
from clusterlib.solvers.nonnegative_weights import (
    improved_simplex_weights,
    nonnegative_weights,
    simplex_weights,
)
from clusterlib.solvers.outlier_factor import class_inliers, local_outlier_factor
from clusterlib.solvers.oversampling import kmeans_parallel
from clusterlib.solvers.partial_result import PartialSinkhornResult
from clusterlib.solvers.partition_certificate import PartitionCertificate, certify_partition
from clusterlib.solvers.plsa import count_weights, divergence, plsa
from clusterlib.solvers.principal_components import (
    PrincipalComponents,
    principal_components,
    project,
)
from clusterlib.solvers.prior_shift import (
    ShiftedPrior,
    prior_ratio,
    reweighted_posteriors,
    shifted_prior,
)
from clusterlib.solvers.races import race_rows
from clusterlib.solvers.row_classes import RowClasses, row_classes
from clusterlib.solvers.sdp_bounds import SDPBound, kmeans_lower_bound
from clusterlib.solvers.sdp_reference import (
    CVXPY_LIKELIHOOD_ROWS,
    CVXPY_ROWS,
    ConicSolver,
    SDPReference,
    likelihood_gram,
    likelihood_reference_rows,
    solve_likelihood_sdp_reference,
    solve_sdp_reference,
)
from clusterlib.solvers.sdp_rounding import (
    RoundedPartition,
    Rounding,
    candidate_labels,
    round_factor,
    round_membership,
    unit_trace_columns,
)
from clusterlib.solvers.sdp_sketch import SketchResult, default_sketch_size, sketch_sdp
from clusterlib.solvers.seeding import Seeds, kmeans_plusplus, random_rows
from clusterlib.solvers.simulated_shift import SimulatedRefits, simulated_refits
from clusterlib.solvers.sinkhorn import sinkhorn
from clusterlib.solvers.sinkhorn_batch import SinkhornBatchResult, sinkhorn_batch
from clusterlib.solvers.sinkhorn_codes import sinkhorn_assign
from clusterlib.solvers.sinkhorn_divergence import SinkhornDivergence, sinkhorn_divergence
from clusterlib.solvers.sinkhorn_means import SinkhornMeansResult, sinkhorn_means
from clusterlib.solvers.sinkhorn_partial import partial_sinkhorn
from clusterlib.solvers.sinkhorn_stream import PrototypePull, pull_prototypes
from clusterlib.solvers.spread import mean_row, squared_spread
from clusterlib.solvers.streamed_assignment import StreamedAssignment, assign_streamed
from clusterlib.solvers.subclass import (
    SubclassResult,
    assign_within,
    split_classes,
    subclass_counts,
)
from clusterlib.solvers.successive_projection import (
    leading_coordinates,
    right_singular_vectors,
    successive_projection,
)
from clusterlib.solvers.tail_calibration import (
    HeadWeights,
    RidgeKind,
    TailCalibration,
    calibrate_tail,
)
from clusterlib.solvers.tempered_em import TemperedFit, posteriors_of_neighbors, tempered_em
from clusterlib.solvers.tempered_plsa import PLSAFit, TableStarts, smoothed_classes, tempered_plsa
from clusterlib.solvers.transport import (
    PrototypeAlignment,
    align_prototypes,
    align_prototypes_adaptively,
)
from clusterlib.solvers.transport_problem import PointCost
from clusterlib.solvers.transport_result import Certificate, SinkhornResult
from clusterlib.solvers.two_level_loss import Reduction, TwoLevelLoss, two_level_loss

# One name a line would be half of this file, and more lines than a file may have.
# fmt: off
__all__ = [
    "CVXPY_LIKELIHOOD_ROWS", "CVXPY_ROWS", "Calibration", "CalibrationKind", "Certificate",
    "ClassChoice", "ClassMixture", "ClassModel", "ClassNetwork", "ClassTemperatures",
    "ConfusionPrior", "ConicSolver", "CovarianceType", "DomainFold", "DomainLogistic", "DomainRank",
    "FrozenFit", "GreedyAssignment", "HeadChoice", "HeadKind", "HeadWeights", "LabelHead",
    "LabelParts", "LabelShiftResult", "LeastSquares", "LikelihoodCertificate", "LikelihoodResult",
    "LloydResult", "LowRankResult", "MaskedLeastSquares", "MicroClasses", "MicroClusters",
    "MiniBatchResult", "ModelChoice", "NMFResult", "NoisyGaussians", "NoisyLogistic", "PLSAFit",
    "PartKind", "PartialSinkhornResult", "PartitionCertificate", "PartitionSums", "PointCost",
    "PricedPartition", "PrincipalComponents", "PrototypeAlignment", "PrototypePull", "Pull",
    "RecoveredMarginals", "Reduction", "RidgeKind", "RoundedPartition", "Rounding", "RowClasses",
    "RowDraws", "SDPBound", "SDPReference", "ScaledLabelShift", "Seeds", "ShiftReport",
    "ShiftedPrior", "ShrinkageChoice", "SimulatedRefits", "SinkhornBatchResult",
    "SinkhornDivergence", "SinkhornMeansResult", "SinkhornResult", "SketchResult", "StartKind",
    "StreamedAssignment",
    "SubclassResult", "TableStarts", "TailCalibration", "TemperatureForm", "TemperedFit", "Trace",
    "TwoLevelLoss", "aic_of_rest", "align_prototypes", "align_prototypes_adaptively", "alternate",
    "assign", "assign_bounded", "assign_priced", "assign_several", "assign_streamed",
    "assign_with_cost", "assign_within", "balanced_heuristic", "balanced_labels", "balanced_lloyd",
    "balanced_stream",
    "blended_log_likelihoods", "calibrate", "calibrate_tail", "calibrated", "candidate_dimensions",
    "candidate_labels", "center_distances", "certify_likelihood", "certify_partition",
    "choose_head", "choose_n_classes", "choose_shrinkage", "chosen_model", "class_agreement",
    "class_confusion", "class_inliers", "class_margin", "class_mixture", "class_network",
    "class_temperatures", "class_weights", "cluster_domain_table", "cluster_means",
    "cluster_totals", "cluster_weights", "confusion_prior", "corrected_marginals",
    "cost_of_assignment", "cost_scale", "costs_of_assignment", "count_weights", "default_rank",
    "default_sketch_size", "divergence", "domain_coordinates", "domain_counts", "domain_folds",
    "domain_histograms", "domain_logistic", "domain_rank", "domain_table", "domain_vertices",
    "equal_sizes", "exchange_rows", "filled_by_margins", "fitted_parts", "frozen_em",
    "greedy_assignment", "group_memberships", "head_scores", "improved_simplex_weights",
    "inlier_gaussians", "interior_prices", "kmeans_lower_bound", "kmeans_parallel",
    "kmeans_plusplus", "label_shift_report", "labelled_cost", "leading_coordinates",
    "left_out_log_likelihoods", "likelihood_gram", "likelihood_reference_rows", "likelihood_sdp",
    "likely_other_classes", "lloyd", "local_outlier_factor", "logit_adjustment",
    "low_rank_likelihood", "low_rank_sdp", "marginal_intervals", "matched_components", "mean_row",
    "micro_clusters", "minibatch", "moved_as_nearest", "moved_by_matrix", "moved_prototypes",
    "moved_to_means", "nearest_in_partition", "nearest_other_rows", "nearest_rows",
    "noisy_gaussian_scores", "noisy_gaussians", "noisy_label_likelihood", "noisy_logistic",
    "noisy_logistic_scores", "nonnegative_weights", "other_classes", "part_scores",
    "partial_sinkhorn", "partition_sums", "plsa", "pooled_posteriors", "posteriors_of_neighbors",
    "principal_components", "prior_ratio", "project", "pull", "pull_prototypes", "race_rows",
    "random_components", "random_rows", "recovered_marginals", "regret_assignment", "replace_rows",
    "reweighted_posteriors", "right_singular_vectors", "round_factor", "round_membership",
    "row_classes", "row_norms", "sample_gaussians", "sampled_rows", "scaled_label_shift", "scatter",
    "shift_strength", "shifted_prior", "simplex_weights", "simulated_refits", "singular_components",
    "sinkhorn", "sinkhorn_assign", "sinkhorn_assignment", "sinkhorn_batch", "sinkhorn_divergence",
    "sinkhorn_means", "sketch_sdp", "smoothed_classes", "solve_likelihood_sdp_reference",
    "solve_sdp_reference", "split_classes", "squared_error", "squared_spread", "subclass_counts",
    "successive_projection", "swap_centers", "tempered_em", "tempered_label_shift", "tempered_plsa",
    "total_cost", "two_level_loss", "unit_rows", "unit_trace_columns", "vertex_components",
    "weight_of_directions", "weighted_cost_scale", "weighted_total", "weights_of_relative_entropy",
]
# fmt: on
