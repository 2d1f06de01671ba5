"""Estimators for domains, or a source and a target, that differ in the shares of their classes."""

from clusterlib.label_shift._black_box_shift import BlackBoxShiftEstimator
from clusterlib.label_shift._diagnosis import IdentifiabilityWarning, LabelMarginalIntervals
from clusterlib.label_shift._domain_posteriors import AdaptedDomain
from clusterlib.label_shift._em_shift import EMShiftEstimator
from clusterlib.label_shift._latent_label_shift import LatentLabelShift

__all__ = [
    "AdaptedDomain",
    "BlackBoxShiftEstimator",
    "EMShiftEstimator",
    "IdentifiabilityWarning",
    "LabelMarginalIntervals",
    "LatentLabelShift",
]
