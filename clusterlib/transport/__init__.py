"""Estimators that move rows onto others by optimal transport."""

from clusterlib.transport._alignment import AlignedPrototypes
from clusterlib.transport._prototypes import OTPrototypeClassifier
from clusterlib.transport._sinkhorn_transport import SinkhornTransport

__all__ = ["AlignedPrototypes", "OTPrototypeClassifier", "SinkhornTransport"]
