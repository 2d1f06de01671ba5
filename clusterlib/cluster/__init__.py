"""Estimators that find clusters."""

from clusterlib.cluster._balanced_kmeans import BalancedKMeans
from clusterlib.cluster._clustered_memory import ClusteredMemory
from clusterlib.cluster._kmeans import KMeans
from clusterlib.cluster._likelihood_sdp import LikelihoodAdjustedSDP
from clusterlib.cluster._minibatch_kmeans import MiniBatchKMeans
from clusterlib.cluster._sdp import SDPClustering
from clusterlib.cluster._sinkhorn import SinkhornClustering
from clusterlib.cluster._spherical_kmeans import SphericalKMeans

__all__ = [
    "BalancedKMeans",
    "ClusteredMemory",
    "KMeans",
    "LikelihoodAdjustedSDP",
    "MiniBatchKMeans",
    "SDPClustering",
    "SinkhornClustering",
    "SphericalKMeans",
]
