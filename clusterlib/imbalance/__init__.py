"""Estimators for classes of very different sizes: large ones are cut into subclasses."""

from clusterlib.imbalance._logit_adjustment import logit_adjustment
from clusterlib.imbalance._subclass_balancer import SubclassBalancer
from clusterlib.imbalance._subclass_classifier import SubclassClassifier

__all__ = ["SubclassBalancer", "SubclassClassifier", "logit_adjustment"]
