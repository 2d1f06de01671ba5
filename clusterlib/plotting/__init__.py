"""Pictures of fitted estimators and of results; matplotlib is loaded when one is drawn."""

from clusterlib.plotting._cluster_display import ClusterDisplay
from clusterlib.plotting._domain_simplex_display import DomainSimplexDisplay
from clusterlib.plotting._label_marginal_display import LabelMarginalDisplay
from clusterlib.plotting._label_quality_display import LabelQualityDisplay
from clusterlib.plotting._membership_display import MembershipDisplay
from clusterlib.plotting._mixture_display import MixtureDisplay
from clusterlib.plotting._prototype_alignment_display import PrototypeAlignmentDisplay
from clusterlib.plotting._sinkhorn_convergence_display import SinkhornConvergenceDisplay
from clusterlib.plotting._subclass_size_display import SubclassSizeDisplay
from clusterlib.plotting._transport_plan_display import TransportPlanDisplay

__all__ = [
    "ClusterDisplay",
    "DomainSimplexDisplay",
    "LabelMarginalDisplay",
    "LabelQualityDisplay",
    "MembershipDisplay",
    "MixtureDisplay",
    "PrototypeAlignmentDisplay",
    "SinkhornConvergenceDisplay",
    "SubclassSizeDisplay",
    "TransportPlanDisplay",
]
