"""A fit of every class of estimators that takes seconds, for the tests of interrupts."""

import numpy as np

from clusterlib.cluster import (
    BalancedKMeans,
    ClusteredMemory,
    KMeans,
    LikelihoodAdjustedSDP,
    MiniBatchKMeans,
    SDPClustering,
    SinkhornClustering,
    SphericalKMeans,
)
from clusterlib.decomposition import SimplexNMF
from clusterlib.imbalance import (
    NoisyLabelClassifier,
    RepresentationCalibrator,
    SubclassBalancer,
    SubclassClassifier,
)
from clusterlib.label_shift import BlackBoxShiftEstimator, EMShiftEstimator, LatentLabelShift
from clusterlib.transport import OTPrototypeClassifier, SinkhornTransport

MINI = {"max_iter": 100, "max_no_improvement": None, "random_state": 0}
# name -> estimator, rows, features.
LONG = {
    # Its iterations; k-means++ of the spherical one below takes longer than the quick test waits.
    "KMeans": (KMeans(50, init="random", tol=0, random_state=0), 100_000, 16),
    "KMeans k-means||": (KMeans(500, init="k-means||", tol=0, random_state=0), 100_000, 16),
    "MiniBatchKMeans": (MiniBatchKMeans(50, batch_size=10_000, **MINI), 300_000, 16),
    "SphericalKMeans": (SphericalKMeans(50, tol=0, random_state=0), 100_000, 16),
    "BalancedKMeans": (BalancedKMeans(50, random_state=0), 20_000, 8),
    "BalancedKMeans many": (BalancedKMeans(1000, random_state=0), 8_000, 8),
    "BalancedKMeans greedy": (BalancedKMeans(50, assignment="greedy", random_state=0), 50_000, 8),
    "BalancedKMeans streamed": (
        BalancedKMeans(50, assignment="streamed", random_state=0),
        100_000,
        8,
    ),
    "BalancedKMeans sinkhorn": (
        BalancedKMeans(50, assignment="sinkhorn", random_state=0),
        5_000,
        8,
    ),
    "ClusteredMemory": (ClusteredMemory(200, random_state=0), 50_000, 16),
    "SinkhornTransport": (SinkhornTransport(0.001, tol=1e-10, max_iter=10_000), 3_000, 8),
    "SinkhornTransport wide": (SinkhornTransport(0.05), 10_000, 64),
    "SinkhornClustering": (SinkhornClustering(100, random_state=0), 100_000, 16),
    "SDPClustering": (SDPClustering(8, random_state=0), 2_000, 8),
    "SDPClustering fast": (SDPClustering(8, certify="fast", n_kmeans=0, random_state=0), 1_000, 8),
    "SDPClustering sketch": (
        SDPClustering(8, solver="sketch", sketch_size=400, random_state=0),
        20_000,
        8,
    ),
    "LikelihoodAdjustedSDP": (LikelihoodAdjustedSDP(4, random_state=0), 1_000, 4),
    "LikelihoodAdjustedSDP ward": (
        LikelihoodAdjustedSDP(4, init="ward", n_init=1, random_state=0),
        4_000,
        4,
    ),
    "EMShiftEstimator": (EMShiftEstimator(cross_fit=5), 100_000, 100),
    "BlackBoxShiftEstimator": (BlackBoxShiftEstimator(), 100_000, 100),
    "LatentLabelShift": (LatentLabelShift(random_state=0), 50_000, 16),
    "LatentLabelShift ddfa": (LatentLabelShift(method="ddfa", random_state=0), 50_000, 16),
    "OTPrototypeClassifier": (OTPrototypeClassifier(classifier="logistic"), 200_000, 100),
    "RepresentationCalibrator": (RepresentationCalibrator(random_state=0), 50_000, 100),
    "NoisyLabelClassifier": (NoisyLabelClassifier(random_state=0), 20_000, 50),
    "SubclassBalancer": (SubclassBalancer(delta=20, random_state=0), 50_000, 32),
    "SubclassClassifier": (SubclassClassifier(random_state=0), 50_000, 50),
    "SimplexNMF": (SimplexNMF(20, tol=0, random_state=0), 10_000, 300),
    "SimplexNMF divergence": (
        SimplexNMF(20, loss="kullback-leibler", tol=0, random_state=0),
        10_000,
        300,
    ),
    "SimplexNMF missing": (
        SimplexNMF(20, missing_values=np.nan, tol=0, random_state=0),
        5_000,
        300,
    ),
}


def data(name):
    """Rows without structure, on which iterations go on, and labels or domains of four kinds."""
    _, n, d = LONG[name]
    rng = np.random.default_rng(0)
    X = rng.random((n, d))
    y = np.floor(4 * (0.7 * X[:, 0] + 0.3 * rng.random(n))).astype(int)
    return X, y
