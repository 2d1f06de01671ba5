"""SinkhornClustering: what it must reach, partial_fit and its queue, codes."""

import pickle
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV

from clusterlib.cluster import SinkhornClustering, SphericalKMeans
from clusterlib.config import config_context
from clusterlib.metrics import clustering_accuracy
from clusterlib.solvers import pull_prototypes, unit_rows
from tests.estimators.cases import blobs
from tests.estimators.test_progress import Recorder, needs_callbacks
from tests.helpers import COPIED_LAYOUTS, LAYOUTS

RESULTS = ["cluster_centers_", "labels_", "history_", "prior_", "vectors_", "objective_"]


def assert_same_fit(one, other):
    for name in RESULTS:
        assert_array_equal(getattr(one, name), getattr(other, name))


def sinkhorn(**options):
    return SinkhornClustering(**({"n_clusters": 3, "random_state": 0} | options))


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return unit_rows(PCA(32, random_state=0).fit_transform(X)), y


def cut(X, y, ratio):
    """Class c keeps 174 ratio^c of its rows."""
    rng = np.random.default_rng(0)
    classes = [rng.permutation(np.flatnonzero(y == c))[: round(174 * ratio**c)] for c in range(10)]
    rows = np.sort(np.concatenate(classes))
    return X[rows], y[rows]


def accuracies(estimator, X, y, seeds, *, by_codes=False):
    fits = [clone(estimator).set_params(random_state=seed).fit(X) for seed in range(seeds)]
    return np.array(
        [clustering_accuracy(y, fit.labels_ if by_codes else fit.predict(X)) for fit in fits]
    )


# What it is for.


def test_digits_are_found_from_any_seed(digits):
    found = accuracies(SinkhornClustering(10), *digits, seeds=10)
    assert round(found.min(), 3) >= 0.797
    assert np.ptp(found) < 1e-3
    assert accuracies(SinkhornClustering(10), *digits, seeds=3, by_codes=True).min() > 0.797
    other = accuracies(SphericalKMeans(10), *digits, seeds=10)
    assert found.mean() > other.mean() + 0.02
    assert other.std() > 0.02


@pytest.mark.parametrize("ratio", [0.75, 20 ** (-1 / 9)])
def test_estimated_shares_serve_unequal_classes(digits, ratio):
    X, y = cut(*digits, ratio)
    other = accuracies(SphericalKMeans(10), X, y, seeds=10).mean()
    assert accuracies(SinkhornClustering(10, prior="estimate"), X, y, seeds=10).mean() > other
    # Equal shares do not fit here, which is why they can be estimated.
    assert accuracies(SinkhornClustering(10), X, y, seeds=3).mean() < other - 0.05


def test_estimated_shares_cost_nothing_where_classes_are_equal(digits):
    found = accuracies(SinkhornClustering(10, prior="estimate"), *digits, seeds=5)
    assert found.min() > 0.78
    assert np.ptp(found) < 1e-3


def test_batches_find_digits_too(digits):
    X, y = digits
    estimator = SinkhornClustering(10, queue_size=512, random_state=0).partial_fit(X[:256])
    rng = np.random.default_rng(0)
    for _ in range(6):
        for batch in np.array_split(rng.permutation(len(X)), 28):
            estimator.partial_fit(X[batch])
    assert clustering_accuracy(y, estimator.predict(X)) > 0.74
    assert estimator.n_steps_ == 1 + 6 * 28


# A fit and what belongs to it.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options", [{}, {"prior": "estimate"}, {"n_iters": 3}, {"init": "random", "n_init": 3}]
)
def test_finds_blobs(dtype, options):
    X, y = blobs(dtype=dtype)
    estimator = sinkhorn(**options).fit(X)
    assert adjusted_rand_score(y, estimator.predict(X)) > 0.97
    assert estimator.cluster_centers_.dtype == dtype
    assert estimator.labels_.dtype == np.int32
    assert estimator.converged_
    lengths = np.linalg.norm(estimator.cluster_centers_.astype(np.float64), axis=1)
    assert_allclose(lengths, 1, rtol=np.finfo(dtype).eps)
    assert_array_equal(estimator.cluster_sizes_, np.bincount(estimator.labels_, minlength=3))
    assert_allclose(estimator.counts_.sum(), len(X), rtol=1e-6)
    assert_allclose(estimator.prior_.sum(), 1, rtol=1e-12)
    assert len(estimator.history_) == estimator.n_iter_ < estimator.n_sweeps_
    assert 0 <= estimator.code_entropy_ <= np.log(3)
    assert estimator.angle_ <= estimator.tol


def test_similarities_and_probabilities():
    X, _ = blobs(dtype=np.float32)
    estimator = sinkhorn().fit(X)
    cosines = unit_rows(X) @ estimator.cluster_centers_.T
    assert_allclose(estimator.transform(X), cosines, atol=1e-6)
    assert_array_equal(estimator.predict(X), cosines.argmax(axis=1))
    probabilities = estimator.predict_proba(X)
    assert probabilities.dtype == np.float32
    expected = np.exp(cosines / 0.1)
    assert_allclose(probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    hard = estimator.set_params(temperature=1e-30).predict_proba(X)
    assert_array_equal(hard.argmax(axis=1), cosines.argmax(axis=1))
    assert_array_equal(np.sort(hard, axis=1)[:, :2], 0)
    free = sinkhorn(normalize=False, epsilon=1.0).fit(X)
    assert_allclose(free.transform(X), X @ free.cluster_centers_.T, atol=1e-4)


@pytest.mark.parametrize("n_iters", [1, 3, 10])
def test_codes_are_those_of_swav(n_iters):
    X, _ = blobs()
    estimator = sinkhorn(n_iters=n_iters).fit(X)
    codes = np.exp(unit_rows(X) @ estimator.cluster_centers_.T / 0.05)
    for _ in range(n_iters):
        codes /= 3 * codes.sum(axis=0)
        codes /= codes.sum(axis=1, keepdims=True)
    assert_allclose(estimator.assign(X), codes, atol=1e-11)


def test_codes_keep_shares_and_give_the_labels():
    X, _ = blobs()
    for prior in ("uniform", [3.0, 2.0, 1.0], "estimate"):
        estimator = sinkhorn(prior=prior, epsilon=0.2).fit(X)
        codes = estimator.assign(X)
        assert_allclose(codes.mean(axis=0), estimator.prior_, atol=1e-5)
        assert_array_equal(codes.argmax(axis=1), estimator.labels_)
        assert estimator.marginal_error_ < 1e-4
    with_zeros = estimator.assign(np.r_[np.zeros((2, 3)), X])
    assert_allclose(with_zeros[:2], np.tile(estimator.prior_, (2, 1)), rtol=1e-12)
    assert_allclose(with_zeros[2:], codes, rtol=1e-12)
    assert_allclose(estimator.assign(np.zeros((1, 3))), estimator.prior_[None], rtol=1e-12)


def test_predict_looks_at_one_row_and_assign_at_all():
    X, _ = blobs()
    estimator = sinkhorn().fit(X)
    rows = X[estimator.predict(X) == 0]
    assert_array_equal(estimator.predict(rows), 0)
    assert_allclose(estimator.assign(rows).mean(axis=0), 1 / 3, atol=1e-5)
    # One row alone is shared out as the prior says.
    assert_allclose(estimator.assign(X[:1]), [[1 / 3] * 3], atol=1e-5)


def test_more_starts_are_better(digits):
    X, _ = digits
    estimator = SinkhornClustering(30, init="random", random_state=0, tol=1e-3)
    values = [estimator.set_params(n_init=n).fit(X[:600]).objective_ for n in (1, 3, 6)]
    assert values == sorted(values)


def test_verbose_reports_every_move_of_every_start(caplog):
    X, _ = blobs()
    estimator = sinkhorn(verbose=1).fit(X)
    assert len(caplog.records) == estimator.n_iter_
    assert "SinkhornClustering: start 1/1, iteration 1: objective" in caplog.records[0].message
    caplog.clear()
    sinkhorn(verbose=1, prior="estimate", init="random", n_init=2).fit(X)
    starts = [record.message.split(",")[0] for record in caplog.records]
    assert list(dict.fromkeys(starts)) == [f"SinkhornClustering: start {i}/4" for i in range(1, 5)]


@needs_callbacks
def test_a_callback_may_stop_the_fit():
    callback = Recorder(stop_after=2)
    X = np.random.default_rng(0).normal(size=(150, 3))
    estimator = sinkhorn(n_clusters=9, tol=0.0).set_callbacks(callback).fit(X)
    assert estimator.n_iter_ == 2
    assert not estimator.converged_


# Invariances.


@pytest.mark.parametrize("prior", ["uniform", "estimate"])
@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED_LAYOUTS])
def test_layouts_change_no_bit(layout, prior, tmp_path):
    X, _ = blobs()
    other = (LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path)
    assert_same_fit(sinkhorn(prior=prior).fit(other), sinkhorn(prior=prior).fit(X))


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("options", [{}, {"prior": "estimate"}, {"n_iters": 3}])
def test_threads_and_blocks_change_no_bit(options, tmp_path):
    X = np.random.default_rng(0).normal(size=(10_000, 4)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    estimator = sinkhorn(n_clusters=6, max_iter=4, **options)
    expected = clone(estimator).fit(X)
    for n_threads in (1, 3):
        with config_context(n_threads=n_threads, block_bytes=4096 * 16):
            assert_same_fit(clone(estimator).fit(mapped), expected)
            assert_array_equal(expected.predict(mapped), expected.predict(X))
            assert_array_equal(expected.assign(mapped), expected.assign(X))


def test_a_seed_is_an_answer():
    X = np.random.default_rng(0).normal(size=(200, 3))
    estimator = sinkhorn(n_clusters=8, init="random", n_init=2)
    one, other, different = (clone(estimator).set_params(random_state=s).fit(X) for s in (0, 0, 1))
    assert_same_fit(one, other)
    assert (one.cluster_centers_ != different.cluster_centers_).any()
    assert_same_fit(other, one.fit(X))


def test_weights_are_repetitions():
    X = np.random.default_rng(0).normal(size=(80, 3))
    weight = np.random.default_rng(1).integers(0, 4, size=80)
    for prior in ("uniform", "estimate"):
        estimator = sinkhorn(n_clusters=4, prior=prior, epsilon=0.2, max_iter=3000)
        weighted = clone(estimator).fit(X, sample_weight=weight)
        repeated = clone(estimator).fit(np.repeat(X, weight, axis=0))
        assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, atol=1e-6)
        assert_array_equal(weighted.cluster_sizes_, repeated.cluster_sizes_)
        assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-8)


def test_single_precision_is_near_double(digits):
    X = digits[0].astype(np.float32)
    narrow, wide = (SinkhornClustering(10, random_state=0).fit(Z) for Z in (X, X.astype(float)))
    assert_allclose(narrow.cluster_centers_, wide.cluster_centers_, atol=2e-3)
    assert (narrow.labels_ == wide.labels_).mean() > 0.999
    assert_allclose(narrow.objective_, wide.objective_, rtol=1e-5)


def test_lengths_do_not_matter():
    X, _ = blobs()
    lengths = 2.0 ** np.random.default_rng(0).integers(-30, 30, size=(len(X), 1))
    plain, scaled = (sinkhorn(init=X[:3]).fit(rows) for rows in (X, X * lengths))
    assert_array_equal(scaled.labels_, plain.labels_)
    assert_allclose(scaled.cluster_centers_, plain.cluster_centers_, atol=1e-9)


def test_pipelines_and_frames():
    X, _ = blobs()
    search = GridSearchCV(sinkhorn(), {"n_clusters": [2, 3]}, cv=2).fit(X)
    assert search.best_params_ == {"n_clusters": 3}
    library = pytest.importorskip("pandas")
    frame = library.DataFrame(X, columns=list("abc"))
    estimator = sinkhorn().set_output(transform="pandas").fit(frame)
    assert list(estimator.transform(frame).columns) == [f"sinkhornclustering{j}" for j in range(3)]
    assert estimator.predict_proba(frame).shape == (len(X), 3)


# Batches.


def fed(X, estimator, size=40):
    for start in range(0, len(X), size):
        estimator.partial_fit(X[start : start + size])
    return estimator


@pytest.mark.parametrize("options", [{}, {"prior": "estimate"}, {"n_iters": 3, "queue_size": 90}])
def test_batches_find_blobs(options):
    X, y = blobs(n=600)
    estimator = fed(X, sinkhorn(**options))
    assert adjusted_rand_score(y, estimator.predict(X)) > 0.97
    assert estimator.n_steps_ == 15
    assert len(estimator.labels_) == 40
    assert_allclose(estimator.counts_.sum(), 40 * (1 - 0.9**15) / 0.1, rtol=1e-6)


def test_the_queue_is_that_of_swav():
    """FIFO; not used before it is full; written after the codes; present prototypes."""
    X, _ = blobs(n=200)
    estimator = sinkhorn(queue_size=80, n_iters=3, epsilon=0.5, init=X[:3])
    centers = unit_rows(X[:3])
    queue, vectors, counts = np.empty((0, 3)), np.zeros((3, 3)), np.zeros(3)
    for batch in np.array_split(X, [30, 60, 90, 100, 180]):
        estimator.partial_fit(batch)
        beside = queue if len(queue) == 80 else None
        state = centers, vectors, counts
        pull = pull_prototypes(batch, *state, queue=beside, n_iters=3, epsilon=0.5)
        centers, vectors, counts = pull.centers, pull.vectors, pull.counts
        queue = np.r_[batch, queue][:80]
        assert_array_equal(estimator.queue_, queue)
        assert_array_equal(estimator.cluster_centers_, centers)
    without = sinkhorn(n_iters=3, epsilon=0.5, init=X[:3])
    for batch in np.array_split(X, [30, 60, 90, 100, 180]):
        without.partial_fit(batch)
    assert np.abs(without.cluster_centers_ - centers).max() > 1e-6
    assert len(without.queue_) == 0


def test_order_within_batches_does_not_matter():
    X, _ = blobs(n=120)
    rng = np.random.default_rng(0)
    straight = sinkhorn(init=X[:3], queue_size=40)
    shuffled = sinkhorn(init=X[:3], queue_size=40)
    for start in range(0, 120, 40):
        straight.partial_fit(X[start : start + 40])
        shuffled.partial_fit(X[start + rng.permutation(40)])
    assert_allclose(shuffled.cluster_centers_, straight.cluster_centers_, atol=1e-9)


def test_without_decay_posteriors_add_up():
    """With hard, estimated codes around fixed places any cut of the rows has the same sums."""
    X, _ = blobs(n=300)
    options = {"prior": "estimate", "decay": 1.0, "epsilon": 1e-3, "init": X[:3]}
    places = sinkhorn(**options).fit(X).cluster_centers_
    options["init"] = places
    sums = [fed(X, sinkhorn(**options), size).vectors_ for size in (7, 100, 300)]
    assert_allclose(sums[0], sums[2], rtol=1e-6)
    assert_allclose(sums[1], sums[2], rtol=1e-6)


def test_pickling_between_batches_changes_nothing():
    X, _ = blobs(n=200)
    straight = fed(X, sinkhorn(queue_size=60))
    broken = fed(X[:80], sinkhorn(queue_size=60))
    broken = fed(X[80:], pickle.loads(pickle.dumps(broken)))
    assert_array_equal(straight.cluster_centers_, broken.cluster_centers_)


def test_batches_may_differ_in_size_and_dtype():
    X, _ = blobs(n=100, dtype=np.float32)
    estimator = sinkhorn(queue_size=50).partial_fit(X)
    estimator.partial_fit(X[:1].astype(np.float64)).partial_fit(np.zeros((3, 3))).partial_fit(X)
    assert estimator.cluster_centers_.dtype == estimator.queue_.dtype == np.float32
    assert np.isfinite(estimator.cluster_centers_).all()


def test_partial_fit_goes_on_from_fit_and_fit_starts_afresh():
    X, _ = blobs(n=300)
    estimator = sinkhorn(queue_size=20).fit(X)
    expected = clone(estimator).fit(X)
    before = estimator.cluster_centers_.copy()
    estimator.partial_fit(X[:30])
    assert_allclose(estimator.cluster_centers_, before, atol=0.05)
    assert (estimator.cluster_centers_ != before).any()
    assert_same_fit(estimator.fit(X), expected)
    assert estimator.n_steps_ == len(estimator.queue_) == 0


# Memory.


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("layout", ["memory_mapped", "fortran", "strided"])
@pytest.mark.parametrize("options", [{}, {"prior": "estimate"}, {"n_iters": 3}])
def test_no_array_of_rows_times_prototypes(options, layout, tmp_path):
    X = np.random.default_rng(0).normal(size=(30_000, 16)).astype(np.float32)
    X = LAYOUTS[layout](X, tmp_path)
    n_clusters = 200
    estimator = sinkhorn(n_clusters=n_clusters, init=X[:n_clusters], max_iter=2, **options)
    tracemalloc.start()
    estimator.fit(X).predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # About twenty float64 numbers for each row, five of which live through the fit.
    assert peak < 0.35 * 4 * len(X) * n_clusters
