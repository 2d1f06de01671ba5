"""Estimators and data that the tests of this folder share."""

import numpy as np
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

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

CLASSES = [KMeans, MiniBatchKMeans, SphericalKMeans]

# Settings that run through different code.
ESTIMATORS = [
    KMeans(),
    KMeans(init="random", n_init=3),
    KMeans(init="random", tol=0, max_iter=20),
    SphericalKMeans(),
    SphericalKMeans(init="random", n_init=2),
    MiniBatchKMeans(),
    MiniBatchKMeans(batch_size=7, init_size=10, max_no_improvement=None, max_iter=5),
    MiniBatchKMeans(init="random", batch_size=5, tol=1e-3),
    BalancedKMeans(),
    BalancedKMeans(size_min=1, metric="cosine", init="random", n_init=2, n_swaps=2),
    BalancedKMeans(assignment="greedy"),
    BalancedKMeans(assignment="streamed"),
    BalancedKMeans(size_max=20, assignment="sinkhorn", exchange=False),
    ClusteredMemory(),
    ClusteredMemory(momentum=0.5, metric="cosine", n_iters=None, n_init=2),
    # Weights are compared with repetitions to more digits than the usual tolerance gives.
    SinkhornTransport(tol=1e-10),
    SinkhornTransport(0.5, metric="euclidean", cost_scale="max", rho_b=1.0, tol=1e-10),
    SinkhornTransport(0.5, metric="cosine", out_of_sample_map="nearest", tol=1e-10),
    SinkhornClustering(),
    SinkhornClustering(prior="estimate", init="random", n_init=2),
    SinkhornClustering(n_iters=3, normalize=False, epsilon=1.0, queue_size=20),
    SDPClustering(),
    SDPClustering(n_init=2, n_kmeans=0, certify="fast"),
    SDPClustering(solver="sketch", sketch_size=10, n_sketches=1),
    LikelihoodAdjustedSDP(n_init=1),
    LikelihoodAdjustedSDP(3, covariance_type="diag", weights="estimated", init="ward", rank=2),
    LikelihoodAdjustedSDP(2, covariance_type="tied", trace="total", update="hard", n_init=2),
    EMShiftEstimator(),
    EMShiftEstimator(GaussianNB(), calibration="vector", cross_fit=3),
    EMShiftEstimator(calibration=None, cross_fit=2),
    BlackBoxShiftEstimator(),
    BlackBoxShiftEstimator(GaussianNB(), soft=False),
    LatentLabelShift(),
    LatentLabelShift(2, n_init=2, student="auto"),
    LatentLabelShift(2, n_init=2, n_micro_clusters=3, beta=1.0),
    LatentLabelShift(method="ddfa"),
    OTPrototypeClassifier(),
    OTPrototypeClassifier(normalize=None),
    OTPrototypeClassifier(0.05, marginals="uniform", normalize=None, classifier="logistic"),
    RepresentationCalibrator(),
    RepresentationCalibrator(shrinkage=5, degrees_of_freedom=10),
    RepresentationCalibrator(recovery="paper", gamma="eb", ridge="identity", weights="inverse"),
    NoisyLabelClassifier(),
    NoisyLabelClassifier(head="transition", shrinkage=5, prior="estimated", n_components=2),
    NoisyLabelClassifier(
        DecisionTreeClassifier(random_state=0), training="resampled", mixup=0.5, shrinkage=5
    ),
    SubclassBalancer(),
    SubclassBalancer(delta=3, size_rule="code", metric="sqeuclidean", n_init=2),
    SubclassClassifier(),
    SubclassClassifier(
        DecisionTreeClassifier(random_state=0), delta=5, size_rule="code", metric="sqeuclidean"
    ),
    SimplexNMF(),
    SimplexNMF(weights="simplex", init="random", n_init=2),
    SimplexNMF(loss="kullback-leibler"),
    SimplexNMF(missing_values=np.nan, alpha_W=1e-3, l1_ratio=0.5, init="svd"),
]

WEIGHT_CHECKS = [
    "check_all_zero_sample_weights_error",
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weights_list",
    "check_sample_weights_not_an_array",
    "check_sample_weights_not_overwritten",
    "check_sample_weights_pandas_series",
    "check_sample_weights_shape",
]

COPIES_ARE_ROWS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "copies of a row are dealt to different folds and drawn or mixed one by one; weights are not"
    )
}


def expected_failures(estimator):
    """Checks of scikit-learn that an estimator fails by design, with the reason."""
    if isinstance(estimator, OTPrototypeClassifier):
        reason = "predictions are transductive: they depend on the whole batch"
        return {"check_methods_subset_invariance": reason}
    if isinstance(estimator, BalancedKMeans):
        reason = "sizes count rows: one that stands for several might have to be split"
        return {
            "check_sample_weight_equivalence_on_dense_data": reason,
            "check_sample_weights_not_overwritten": reason,
        }
    if isinstance(estimator, RepresentationCalibrator):
        if estimator.recovery == "paper":
            return dict.fromkeys(WEIGHT_CHECKS, "it counts rows, and refuses weights")
        return {}
    if isinstance(estimator, NoisyLabelClassifier):
        return COPIES_ARE_ROWS
    return {}


def blobs(n=150, d=3, k=3, dtype=np.float64, seed=0):
    """Rows around k places that differ in direction as well, and the places they belong to."""
    rng = np.random.default_rng(seed)
    places = 10 * np.linalg.qr(rng.normal(size=(d, d)))[0][:k]
    y = rng.integers(0, k, size=n)
    return (places[y] + 0.5 * rng.normal(size=(n, d))).astype(dtype), y
