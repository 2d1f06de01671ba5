"""Estimators that move rows onto others by optimal transport."""

from clusterlib.transport._sinkhorn_transport import SinkhornTransport

__all__ = ["SinkhornTransport"]
