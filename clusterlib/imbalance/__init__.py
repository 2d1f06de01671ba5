"""Estimators for classes of very different sizes: large ones are cut, or small ones filled up."""

from clusterlib.imbalance._logit_adjustment import logit_adjustment
from clusterlib.imbalance._noisy_label_classifier import NoisyLabelClassifier
from clusterlib.imbalance._representation_calibrator import RepresentationCalibrator
from clusterlib.imbalance._subclass_balancer import SubclassBalancer
from clusterlib.imbalance._subclass_classifier import SubclassClassifier

__all__ = [
    "NoisyLabelClassifier",
    "RepresentationCalibrator",
    "SubclassBalancer",
    "SubclassClassifier",
    "logit_adjustment",
]
