"""How good a clustering is, and how embeddings spread over the sphere."""

from clusterlib.metrics._clustering import (
    ClusterBalance,
    cluster_balance,
    clustering_accuracy,
    matched_labels,
)
from clusterlib.metrics._embedding import tolerance, uniformity

__all__ = [
    "ClusterBalance",
    "cluster_balance",
    "clustering_accuracy",
    "matched_labels",
    "tolerance",
    "uniformity",
]
