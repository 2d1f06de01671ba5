"""Estimators for domains, or a source and a target, that differ in the shares of their classes."""

from clusterlib.label_shift._black_box_shift import BlackBoxShiftEstimator
from clusterlib.label_shift._em_shift import EMShiftEstimator

__all__ = ["BlackBoxShiftEstimator", "EMShiftEstimator"]
