"""What happens to bad input: parameters, data and weights of estimators are checked here only.

Every message names the argument, says what is allowed and what came instead. A value of the wrong
kind is a TypeError, one out of range a ValueError. Strings become members of an enumeration here
and are never compared again.
"""

from clusterlib.validation.codes import Prior, checked_code_epsilon, checked_lengths, checked_prior
from clusterlib.validation.data import (
    check_is_fitted,
    checked_matrix,
    checked_n_samples,
    checked_same_clusters,
    checked_sample_weight,
    checked_second_matrix,
)
from clusterlib.validation.likelihood import (
    CovarianceShape,
    CovarianceUpdate,
    GroupStart,
    GroupWeights,
    TraceRule,
    checked_covariances,
    checked_group_start,
    checked_n_components,
    checked_start_labels,
)
from clusterlib.validation.parameters import (
    check_random_state,
    checked_choice,
    checked_flag,
    checked_integer,
    checked_real,
    checked_verbose,
)
from clusterlib.validation.prototypes import (
    Marginals,
    Mix,
    Normalization,
    PrototypeRule,
    checked_classes,
    checked_episodes,
    checked_magnitude,
    checked_marginals,
    checked_mix,
    checked_n_passes,
    checked_normalization,
)
from clusterlib.validation.sdp import (
    Certification,
    RelaxationSolver,
    checked_pair_rows,
    checked_rank,
    checked_reference_rows,
    checked_sketch_size,
    checked_spread,
)
from clusterlib.validation.starts import (
    Start,
    checked_n_init,
    checked_start,
    checked_start_centers,
)
from clusterlib.validation.transport import (
    CostScale,
    MemoryMetric,
    OutOfSample,
    checked_cost_scale,
    checked_labels_of_sides,
    checked_metric,
    checked_row_flags,
)

__all__ = [
    "Certification",
    "CostScale",
    "CovarianceShape",
    "CovarianceUpdate",
    "GroupStart",
    "GroupWeights",
    "Marginals",
    "MemoryMetric",
    "Mix",
    "Normalization",
    "OutOfSample",
    "Prior",
    "PrototypeRule",
    "RelaxationSolver",
    "Start",
    "TraceRule",
    "check_is_fitted",
    "check_random_state",
    "checked_choice",
    "checked_classes",
    "checked_code_epsilon",
    "checked_cost_scale",
    "checked_covariances",
    "checked_episodes",
    "checked_flag",
    "checked_group_start",
    "checked_integer",
    "checked_labels_of_sides",
    "checked_lengths",
    "checked_magnitude",
    "checked_marginals",
    "checked_matrix",
    "checked_metric",
    "checked_mix",
    "checked_n_components",
    "checked_n_init",
    "checked_n_passes",
    "checked_n_samples",
    "checked_normalization",
    "checked_pair_rows",
    "checked_prior",
    "checked_rank",
    "checked_real",
    "checked_reference_rows",
    "checked_row_flags",
    "checked_same_clusters",
    "checked_sample_weight",
    "checked_second_matrix",
    "checked_sketch_size",
    "checked_spread",
    "checked_start",
    "checked_start_centers",
    "checked_start_labels",
    "checked_verbose",
]
