"""What a user writes, for mypy and pyright: it has to be clean, and to be known in every place.

Nothing runs it. ``assert_type`` says what a checker has to know, so that an ``Any`` is noticed.
"""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import clusterlib
from clusterlib.blocks import Blocks, as_blocks, map_reduce
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
from clusterlib.datasets import (
    make_gaussian_mixture,
    make_latent_label_shift,
    make_long_tail,
    make_noisy_labels,
    make_von_mises_fisher,
)
from clusterlib.decomposition import SimplexNMF, masked_cross_validation
from clusterlib.imbalance import (
    NoisyLabelClassifier,
    RepresentationCalibrator,
    SubclassBalancer,
    SubclassClassifier,
    logit_adjustment,
)
from clusterlib.kernels import linear_assignment, pairwise_argmin, pairwise_topk
from clusterlib.label_shift import (
    BlackBoxShiftEstimator,
    EMShiftEstimator,
    LatentLabelShift,
)
from clusterlib.metrics import ClusterBalance, cluster_balance, clustering_accuracy, uniformity
from clusterlib.plotting import ClusterDisplay, LabelMarginalDisplay
from clusterlib.solvers import kmeans_plusplus, lloyd, sinkhorn
from clusterlib.transport import OTPrototypeClassifier, SinkhornTransport

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Labels = NDArray[np.int32]


def data() -> tuple[Floats, NDArray[np.intp]]:
    X, y = make_gaussian_mixture(500, 4, n_components=3, random_state=0)
    parameters = make_gaussian_mixture(500, 4, return_parameters=True)[2]
    assert_type(parameters.means, Doubles)
    assert_type(make_von_mises_fisher(100, return_means=True)[2], Doubles)
    tail, classes = make_long_tail(X, y, imbalance_ratio=10)
    assert_type(make_long_tail(tail, classes, return_indices=True)[2], NDArray[np.intp])
    noisy, transition = make_noisy_labels(y, kind="pair", noise_rate=0.3)
    assert_type(transition, Doubles)
    assert_type(make_latent_label_shift(X, noisy).label_marginals, Doubles)
    return X, y


def clusters(X: Floats, path: Path) -> float:
    kmeans = KMeans(8, init="k-means++", n_init=3, random_state=np.random.RandomState(0))
    assert_type(kmeans.fit(X), KMeans)
    assert_type(kmeans.cluster_centers_, Floats)
    assert_type(kmeans.labels_, Labels)
    assert_type(kmeans.predict([[0.0, 1.0, 2.0, 3.0]]), Labels)
    assert_type(kmeans.transform(X), Floats)
    assert_type(kmeans.fit_predict(X, sample_weight=np.ones(len(X))), Labels)
    assert_type(kmeans.fit(path, sample_weight=[1.0, 2.0]).inertia_, float)
    batches = MiniBatchKMeans(n_clusters=4, batches="in_order").fit("rows.npy").partial_fit(X)
    assert_type(batches.counts_, Doubles)
    assert_type(SphericalKMeans(4, init=X[:4]).fit(X).score(X), float)
    balanced = BalancedKMeans(4, size_min=10, size_max=np.full(4, 200), assignment="exact")
    assert_type(balanced.fit(X).assign(X), Labels)
    sdp = SDPClustering(4, solver="low_rank", certify="fast").fit(X)
    assert_type(sdp.lower_bound_, float)
    likelihood = LikelihoodAdjustedSDP(4, covariance_type="diag", n_components=None).fit(X)
    assert_type(likelihood.predict_proba(X), Doubles)
    assert_type(SinkhornClustering(4, prior="estimate", queue_size=100).fit(X).n_sweeps_, int)
    memory = ClusteredMemory(4, capacity=400).partial_fit(X)
    distances, slots = memory.kneighbors(X, n_neighbors=3)
    assert_type(slots, NDArray[np.int64])
    return float(distances.mean()) + batches.inertia_


def parts(X: Floats) -> Floats:
    nmf = SimplexNMF(3, weights="simplex", alpha_H="same").fit(X, cell_weight=np.ones_like(X))
    assert_type(nmf.components_interval(X).low, Doubles)
    chosen = masked_cross_validation(nmf, X, range(1, 4), random_state=0)
    assert_type(chosen.errors, Doubles)
    return nmf.transform(X) @ nmf.components_


def labels(X: Floats, y: NDArray[np.intp], names: list[str]) -> None:
    assert_type(OTPrototypeClassifier(marginals="uniform", mix=0.5).fit(X, y).prototypes_, Floats)
    moved = SinkhornTransport(epsilon=0.1, metric="euclidean").fit(X, target=X + 1)
    assert_type(moved.plan(), Doubles)
    shift = LatentLabelShift(n_classes="auto", discriminator="neighbors").fit(X, names)
    assert_type(shift.label_marginals_, Doubles)
    assert_type(shift.adapt(X).posteriors, Doubles)
    assert_type(EMShiftEstimator(calibration=None).fit(X, y).adapt(X).target_prior_, Doubles)
    assert_type(BlackBoxShiftEstimator(soft=False).fit(X, y).condition_number_, float)
    balancer = SubclassBalancer(size_rule="code").fit(X, y)
    assert_type(balancer.subclass_labels_, Labels)
    assert_type(SubclassClassifier(delta=20).fit(X, y).balancer_, SubclassBalancer)
    rows, _, _ = RepresentationCalibrator(shrinkage="auto").fit(X, y).find_label_issues(n_issues=9)
    assert_type(rows, NDArray[np.intp])
    assert_type(NoisyLabelClassifier(random_state=1).fit(X, y).label_quality_, Doubles)
    assert_type(logit_adjustment(np.zeros((2, 2)), [0.5, 0.5], tau=1.0), Floats)


def of_block(rows: Floats) -> float:
    return float(rows.sum())


def merged(left: float, right: float) -> float:
    return left + right


def below(X: Floats, y: NDArray[np.intp], rng: np.random.Generator) -> float:
    blocks = as_blocks(X, block_rows=4096)
    assert_type(blocks, Blocks)
    for start, stop, rows in blocks:
        assert_type(rows[: stop - start], Floats)
        assert_type(start, int)
    total = map_reduce(of_block, merged, blocks)
    assert_type(total, float)
    seeds = kmeans_plusplus(X, 4, rng)
    result = lloyd(X, seeds.centers, max_iter=10)
    assert_type(result.labels, Labels)
    assert_type(result.inertia, float)
    plan = sinkhorn(np.ones((3, 3)), 0.1)
    assert_type(plan.converged, bool)
    assert_type(pairwise_argmin(X, X, metric="cosine"), Labels)
    nearest, far = pairwise_argmin(X, X, return_distance=True, backend="reference")
    assert_type(far, Floats)
    assert_type(pairwise_topk(X, X, 3)[1], Labels)
    assert_type(linear_assignment(np.eye(3)).cost, float)
    balance = cluster_balance(nearest, n_clusters=4)
    assert_type(balance, ClusterBalance)
    assert_type(clustering_accuracy(y, nearest), float)
    return total + uniformity(X) + balance.imbalance_ratio


def pictures(kmeans: KMeans, shift: LatentLabelShift) -> Figure:
    assert_type(LabelMarginalDisplay.from_estimator(shift).figure_, Figure)
    return ClusterDisplay.from_estimator(kmeans, max_rows=100).figure_


def settings() -> None:
    with clusterlib.config_context(n_threads=2):
        assert_type(clusterlib.get_config(), dict[str, Any])
    clusterlib.set_config(block_bytes=2**20)
    clusterlib.show_versions()
    assert_type(clusterlib.cluster.KMeans().fit([[0.0], [1.0]]).n_iter_, int)
