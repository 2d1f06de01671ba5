"""How good clusterings and class predictions are, and how embeddings spread over the sphere."""

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
from clusterlib.metrics._shot_accuracy import ShotAccuracy, shot_accuracy

__all__ = [
    "ClusterBalance",
    "EpisodeAccuracy",
    "LabelShiftFloors",
    "LatentLabelShiftScores",
    "ShotAccuracy",
    "cluster_balance",
    "clustering_accuracy",
    "episode_accuracy",
    "evaluate_episodes",
    "label_marginal_error",
    "label_shift_floors",
    "latent_label_shift_scores",
    "matched_labels",
    "shot_accuracy",
    "tolerance",
    "uniformity",
]
