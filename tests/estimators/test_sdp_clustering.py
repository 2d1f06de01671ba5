"""SDPClustering: the partition, the relaxation behind it and what is proved about both."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.preprocessing import scale

from clusterlib.cluster import KMeans, SDPClustering
from clusterlib.cluster import _sdp_fit as fit_module
from clusterlib.config import config_context
from clusterlib.metrics import clustering_accuracy
from clusterlib.solvers import low_rank_sdp
from tests.estimators.cases import blobs
from tests.helpers import LAYOUTS

RESULTS = ["cluster_centers_", "labels_", "inertia_", "objective_", "membership_", "history_"]
SOLVERS = {
    "low_rank": {},
    "sketch": {"solver": "sketch", "sketch_size": 100},
    "integral": {"rank": 3},
    "several": {"n_init": 2, "n_kmeans": 0},
}


def sdp(**options):
    return SDPClustering(**({"n_clusters": 3, "random_state": 0} | options))


def mixture(n=200, k=4, p=10, separation=5.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    return separation / np.sqrt(2) * np.eye(k, p)[y] + rng.normal(size=(n, p)), y


def spread(X):
    return float(np.square(X - X.mean(axis=0)).sum())


def assert_same_fit(one, other):
    for name in RESULTS:
        assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.fixture(params=SOLVERS)
def estimator(request):
    return sdp(**SOLVERS[request.param])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finds_blobs(estimator, dtype):
    X, y = blobs(dtype=dtype)
    estimator.fit(X)
    assert clustering_accuracy(y, estimator.labels_) == 1
    assert estimator.cluster_centers_.dtype == dtype
    assert estimator.labels_.dtype == np.int32
    assert isinstance(estimator.inertia_, float)
    assert estimator.converged_
    assert_array_equal(estimator.cluster_sizes_, np.bincount(estimator.labels_))
    assert_array_equal(estimator.predict(X), estimator.labels_)
    assert_array_equal(np.argmin(estimator.transform(X), axis=1), estimator.labels_)
    assert_allclose(estimator.score(X), -estimator.inertia_, rtol=1e-12)
    assert estimator.history_.shape[1] == 4


def test_memberships_are_rows_of_the_simplex(estimator):
    X, _ = mixture(separation=3.0)
    W = estimator.set_params(n_clusters=4, rank=None).fit(X).membership_
    assert W.dtype == np.float64
    assert (W >= 0).all()
    assert_allclose(W.sum(axis=1), 1, rtol=1e-12)


def test_the_objective_is_that_of_the_membership_matrix(estimator):
    X, _ = mixture(separation=3.0)
    Z = estimator.set_params(n_clusters=4, rank=None).fit(X).membership_matrix()
    centred = X - X.mean(axis=0)
    assert Z.shape == (200, 200)
    assert_allclose(np.vdot(centred, Z @ centred), estimator.objective_, rtol=1e-5)
    assert_allclose(Z.sum(axis=1), 1, rtol=1e-10)
    assert_allclose(np.trace(Z), 4, rtol=1e-5)
    assert_allclose(Z, Z.T, atol=1e-15)


def test_the_relaxation_is_no_worse_than_the_partition(estimator):
    X, _ = mixture(separation=2.5)
    estimator.set_params(n_clusters=4, rank=None).fit(X)
    assert estimator.objective_ >= spread(X) - estimator.inertia_ - 1e-5 * spread(X)


def test_a_higher_rank_relaxes_further():
    X, _ = mixture(separation=2.5)
    objectives = [sdp(n_clusters=4, rank=rank).fit(X).objective_ for rank in (4, 8, 16)]
    assert objectives[0] < objectives[1] <= objectives[2] + 1e-4 * abs(objectives[2])


@pytest.mark.parametrize("n", [2000, 10_001])
def test_the_usual_rank_is_that_of_the_solver(n):
    X, _ = mixture(n=n, p=4, separation=2.0)
    expected = low_rank_sdp(X, 4, rng=np.random.default_rng(0), tol=1e-2).W.shape
    assert sdp(n_clusters=4, tol=1e-2).fit(X).membership_.shape == expected


def test_with_as_many_columns_as_clusters_the_relaxation_is_k_means():
    X, _ = mixture(separation=5.0)
    estimator = sdp(n_clusters=4, rank=4).fit(X)
    assert_allclose(spread(X) - estimator.objective_, estimator.inertia_, rtol=1e-4)
    assert estimator.membership_.shape == (200, 4)


@pytest.mark.parametrize("separation", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("seed", range(3))
def test_costs_no_more_than_the_rounding_and_about_that_of_k_means(separation, seed):
    X, _ = mixture(separation=separation, seed=seed)
    rounded, raced = (sdp(n_clusters=4, n_kmeans=n).fit(X).inertia_ for n in (0, 20))
    plain = KMeans(4, n_init=20, tol=0.0, random_state=seed).fit(X).inertia_
    assert raced <= rounded
    assert raced <= plain * (1.01 if separation < 3 else 1 + 1e-9)


def test_many_features_trap_k_means_and_not_the_relaxation():
    """Four balls in 400 dimensions with 150 rows: starts of k-means end in worse partitions."""
    X, y = mixture(n=152, p=400, separation=7.5)
    relaxed = sdp(n_clusters=4, n_kmeans=0).fit(X)
    plain = KMeans(4, n_init=10, random_state=0).fit(X)
    assert relaxed.inertia_ < plain.inertia_
    assert clustering_accuracy(y, relaxed.labels_) > 0.98
    assert sdp(n_clusters=4, n_kmeans=5).fit(X).rounding_ in ("spectral", "denoised")


def test_says_which_partition_has_won():
    X = load_iris().data  # the rounded relaxation ends 5e-5 above the lowest cost
    rounded, raced = (sdp(n_kmeans=n).fit(X) for n in (0, 5))
    assert rounded.rounding_ in ("spectral", "denoised")
    assert raced.rounding_ == "k-means++"
    assert 1 < rounded.inertia_ / raced.inertia_ < 1.001
    assert raced.objective_ == rounded.objective_


def test_wins_where_two_hundred_starts_of_k_means_do_not():
    X = scale(load_wine().data)
    plain = KMeans(8, n_init=200, tol=0.0, random_state=0).fit(X)
    assert sdp(n_clusters=8).fit(X).inertia_ < 0.999 * plain.inertia_


# Bounds.


def test_nothing_is_claimed_unless_asked():
    X, _ = mixture(separation=20.0)
    estimator = sdp(n_clusters=4).fit(X)
    assert estimator.certificate_ == "none"
    assert estimator.lower_bound_ == 0
    assert estimator.optimality_gap_ == 1


@pytest.mark.parametrize("certify", ["fast", "block", "full"])
def test_separated_clusters_are_proved_to_be_optimal(certify, estimator):
    X, y = mixture(separation=14.0)
    estimator.set_params(n_clusters=4, rank=None, certify=certify).fit(X)
    assert clustering_accuracy(y, estimator.labels_) == 1
    assert estimator.certificate_ == "exact"
    assert estimator.certificate_rigorous_
    assert estimator.lower_bound_ == estimator.inertia_
    assert estimator.optimality_gap_ == 0


@pytest.mark.parametrize("certify", ["fast", "block", "full"])
@pytest.mark.parametrize("separation", [2.0, 4.0, 6.0])
def test_bounds_hold_and_gaps_follow(certify, separation):
    X, _ = mixture(separation=separation, n=160)
    estimator = sdp(n_clusters=4, certify=certify).fit(X)
    best = KMeans(4, n_init=30, tol=0.0, random_state=0).fit(X).inertia_
    assert 0 < estimator.lower_bound_ <= best * (1 + 1e-9)
    gap = (estimator.inertia_ - estimator.lower_bound_) / estimator.inertia_
    assert_allclose(estimator.optimality_gap_, gap, rtol=1e-12, atol=1e-15)
    assert estimator.certificate_ == ("exact" if gap == 0 else "bound")


def test_more_work_gives_tighter_bounds():
    X, _ = mixture(separation=4.0, n=160)
    fast, full = (sdp(n_clusters=4, certify=each).fit(X).lower_bound_ for each in ("fast", "full"))
    assert fast < full


def test_the_gap_is_small_where_clusters_touch():
    X, _ = mixture(separation=6.0, n=300)
    assert sdp(n_clusters=4, certify="full").fit(X).optimality_gap_ < 1e-3


def test_a_sketch_is_certified_too():
    X, _ = mixture(separation=11.0, n=2000, p=4)
    estimator = sdp(n_clusters=4, certify="fast", solver="sketch", sketch_size=200).fit(X)
    assert estimator.solver_ == "sketch"
    assert estimator.certificate_ == "exact"


# The reference.


def test_the_reference_agrees_and_brings_its_bound():
    pytest.importorskip("cvxpy")
    X, _ = mixture(n=40, p=3)
    reference = sdp(n_clusters=4, solver="cvxpy").fit(X)
    low_rank = sdp(n_clusters=4, rank=16).fit(X)
    assert reference.solver_ == "cvxpy"
    assert_allclose(low_rank.objective_, reference.objective_, rtol=1e-4)
    assert_allclose(reference.inertia_, low_rank.inertia_, rtol=1e-9)
    assert reference.certificate_ == "bound"
    assert not reference.certificate_rigorous_
    assert 0 <= reference.optimality_gap_ < 0.05
    assert reference.membership_.shape == (40, 4)
    assert_allclose(reference.membership_.sum(axis=1), 1)
    Z = reference.membership_matrix()
    assert_allclose(Z.sum(axis=1), 1, atol=1e-4)
    assert_array_equal(reference.predict(X), reference.labels_)


# Which solver runs.


def test_the_size_of_the_factor_decides(monkeypatch):
    X, _ = mixture()
    monkeypatch.setattr(fit_module, "_MOST_ENTRIES", 200 * 32)
    assert sdp(n_clusters=4, sketch_size=50).fit(X).solver_ == "low_rank"
    assert sdp(n_clusters=4, sketch_size=50, rank=33).fit(X).solver_ == "sketch"
    assert sdp(n_clusters=4, rank=33).fit(X).solver_ == "low_rank"  # a sketch would be all rows


def test_a_sketch_of_all_rows_is_no_sketch():
    X, _ = mixture()
    whole = sdp(n_clusters=4, solver="sketch").fit(X)
    assert whole.solver_ == "low_rank"
    assert_same_fit(whole, sdp(n_clusters=4).fit(X))


def test_more_starts_find_no_lower_objective():
    X, _ = mixture(separation=2.0)
    one, three = (sdp(n_clusters=4, n_init=n).fit(X) for n in (1, 3))
    assert three.objective_ >= one.objective_
    assert three.inertia_ <= one.inertia_ * (1 + 1e-12)


@pytest.mark.parametrize(("trace_error", "wins"), [(3.9e-3, True), (4.1e-3, False)])
def test_starts_that_miss_the_trace_do_not_win(monkeypatch, trace_error, wins):
    X, _ = mixture(separation=2.0)
    good = low_rank_sdp(X, 4, rng=np.random.default_rng(0), tol=1e-5)
    high = good._replace(trace_error=trace_error, objective=2 * good.objective)
    for order in ([good, high], [high, good]):
        solve = iter(order).__next__
        monkeypatch.setattr(fit_module, "low_rank_sdp", lambda *_, solve=solve, **__: solve())
        found = sdp(n_clusters=4, n_init=2).fit(X)
        assert found.objective_ == (high if wins else good).objective


# Invariances.


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_change_no_bit(estimator, layout, tmp_path):
    X, _ = blobs()
    other = LAYOUTS[layout](X, tmp_path)
    assert_same_fit(clone(estimator).fit(other), clone(estimator).fit(X))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_change_no_bit(estimator, n_threads):
    X, _ = mixture(n=9000)
    expected = clone(estimator).set_params(tol=1e-4).fit(X)
    with config_context(n_threads=n_threads):
        assert_same_fit(clone(estimator).set_params(tol=1e-4).fit(X), expected)


def test_a_seed_is_an_answer(estimator):
    X, _ = mixture(separation=2.0)
    fits = [clone(estimator).set_params(random_state=seed).fit(X) for seed in (0, 0)]
    assert_same_fit(*fits)
    assert_same_fit(fits[0], fits[0].fit(X))  # a second fit starts afresh


@pytest.mark.parametrize(
    ("scale", "offset", "dtype"),
    [
        (1e-6, 0, np.float64),
        (1e6, 0, np.float64),
        (1.0, 1e6, np.float64),
        (1e-6, 0, np.float32),
        (1e6, 0, np.float32),
        (1.0, 1e6, np.float32),
    ],
)
def test_scales_and_offsets_change_no_label(estimator, scale, offset, dtype):
    X, y = mixture(separation=8.0, k=3)
    other = (scale * X + offset).astype(dtype)
    estimator.set_params(certify="fast").fit(other)
    assert clustering_accuracy(y, estimator.labels_) == 1
    assert estimator.lower_bound_ <= estimator.inertia_
    if not offset:
        expected = clone(estimator).fit(X)
        assert_allclose(estimator.objective_, scale**2 * expected.objective_, rtol=1e-4)
        assert_allclose(estimator.inertia_, scale**2 * expected.inertia_, rtol=1e-4)


def test_a_second_fit_forgets_the_first():
    X, _ = mixture(separation=2.0)
    estimator = sdp(certify="fast").fit(X)
    assert estimator.certificate_ == "bound"
    estimator.set_params(certify="none", n_clusters=1).fit(X)
    assert estimator.membership_.shape == (200, 1)
    assert estimator.certificate_ == "exact"
