"""Pictures of fitted estimators; matplotlib is loaded when one is drawn."""

from clusterlib.plotting._cluster_display import ClusterDisplay

__all__ = ["ClusterDisplay"]
