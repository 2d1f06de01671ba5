"""How good a clustering is, and how embeddings spread over the sphere."""

from clusterlib.metrics._clustering import (
    ClusterBalance,
    cluster_balance,
    clustering_accuracy,
    matched_labels,
)
from clusterlib.metrics._embedding import tolerance, uniformity
from clusterlib.metrics._episodes import EpisodeAccuracy, episode_accuracy, evaluate_episodes
from clusterlib.metrics._label_shift import (
    LabelShiftFloors,
    LatentLabelShiftScores,
    label_marginal_error,
    label_shift_floors,
    latent_label_shift_scores,
)

__all__ = [
    "ClusterBalance",
    "EpisodeAccuracy",
    "LabelShiftFloors",
    "LatentLabelShiftScores",
    "cluster_balance",
    "clustering_accuracy",
    "episode_accuracy",
    "evaluate_episodes",
    "label_marginal_error",
    "label_shift_floors",
    "latent_label_shift_scores",
    "matched_labels",
    "tolerance",
    "uniformity",
]
