"""How good a clustering is, and how embeddings spread over the sphere."""

from clusterlib.metrics._clustering import (
    ClusterBalance,
    cluster_balance,
    clustering_accuracy,
    matched_labels,
)
from clusterlib.metrics._embedding import tolerance, uniformity
from clusterlib.metrics._episodes import EpisodeAccuracy, episode_accuracy, evaluate_episodes

__all__ = [
    "ClusterBalance",
    "EpisodeAccuracy",
    "cluster_balance",
    "clustering_accuracy",
    "episode_accuracy",
    "evaluate_episodes",
    "matched_labels",
    "tolerance",
    "uniformity",
]
