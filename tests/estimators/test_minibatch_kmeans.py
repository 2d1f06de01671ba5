"""What is special to MiniBatchKMeans: partial_fit, subsamples for the start, no labels."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import adjusted_rand_score

from clusterlib.cluster import KMeans, MiniBatchKMeans
from tests.estimators.cases import blobs


def fed(X, estimator, weight=None, size=30):
    for start in range(0, len(X), size):
        batch = slice(start, start + size)
        estimator.partial_fit(X[batch], sample_weight=None if weight is None else weight[batch])
    return estimator


def test_batches_one_by_one_find_the_blobs():
    X, y = blobs(n=600)
    estimator = fed(X, MiniBatchKMeans(3, random_state=0))
    assert adjusted_rand_score(y, estimator.predict(X)) == 1
    assert estimator.n_steps_ == 20
    assert estimator.counts_.sum() == 600
    assert len(estimator.labels_) == 30
    exact = KMeans(3, random_state=0).fit(X)
    assert_allclose(-estimator.score(X), exact.inertia_, rtol=0.01)


def test_batches_may_differ_in_size_and_dtype():
    X, _ = blobs(n=100)
    estimator = MiniBatchKMeans(3, random_state=0).partial_fit(X)
    estimator.partial_fit(X[:1]).partial_fit(X[:7].astype(np.float32)).partial_fit(X.astype(int))
    assert estimator.cluster_centers_.dtype == np.float64
    assert np.isfinite(estimator.cluster_centers_).all()


def test_a_narrow_estimator_stays_narrow():
    X, _ = blobs(n=100, dtype=np.float32)
    estimator = MiniBatchKMeans(3, random_state=0).partial_fit(X)
    estimator.partial_fit(X.astype(np.float64))
    assert estimator.cluster_centers_.dtype == np.float32


def test_weights_are_repetitions_in_partial_fit():
    X = np.random.default_rng(0).normal(size=(120, 3))
    weight = np.random.default_rng(1).integers(1, 4, size=120)
    by_weight, by_repetition = (MiniBatchKMeans(6, random_state=0) for _ in range(2))
    for start in range(0, 120, 30):
        batch = slice(start, start + 30)
        by_weight.partial_fit(X[batch][::-1], sample_weight=weight[batch][::-1])
        by_repetition.partial_fit(np.repeat(X[batch], weight[batch], axis=0))
    assert_allclose(by_weight.cluster_centers_, by_repetition.cluster_centers_, rtol=1e-10)
    assert_array_equal(by_weight.counts_, by_repetition.counts_)


def test_pickling_between_batches_changes_nothing():
    X = np.random.default_rng(0).normal(size=(300, 3))
    straight = fed(X, MiniBatchKMeans(8, random_state=0, reassignment_ratio=0.5))
    broken = fed(X[:150], MiniBatchKMeans(8, random_state=0, reassignment_ratio=0.5))
    broken = fed(X[150:], pickle.loads(pickle.dumps(broken)))
    assert straight.n_relocated_ > 0
    assert_array_equal(straight.cluster_centers_, broken.cluster_centers_)


def test_partial_fit_goes_on_from_fit():
    X, _ = blobs(n=300)
    estimator = MiniBatchKMeans(3, random_state=0).fit(X)
    before = estimator.cluster_centers_.copy()
    steps, counts = estimator.n_steps_, estimator.counts_.copy()
    estimator.partial_fit(X[:30])
    assert estimator.n_steps_ == steps + 1
    assert (estimator.counts_ >= counts).all()
    assert_allclose(estimator.cluster_centers_, before, atol=0.2)
    assert (estimator.cluster_centers_ != before).any()


def test_the_start_may_use_a_part_of_the_rows():
    X, y = blobs(n=3000)
    for init in ("k-means++", "random", lambda X, k, random_state: X[:k]):
        estimator = MiniBatchKMeans(3, init=init, init_size=40, batch_size=64, random_state=0)
        assert np.isfinite(estimator.fit(X).cluster_centers_).all()
    estimator = MiniBatchKMeans(3, init_size=40, batch_size=64, random_state=0).fit(X)
    assert adjusted_rand_score(y, estimator.labels_) == 1


def test_a_callable_gets_the_part():
    sizes = []

    def init(X, n_clusters, random_state):
        sizes.append(len(X))
        return X[:n_clusters]

    MiniBatchKMeans(3, init=init, init_size=40, random_state=0, n_init=2).fit(blobs(n=300)[0])
    assert sizes == [40, 40]


def test_without_labels():
    X, _ = blobs(n=500)
    estimator = MiniBatchKMeans(3, compute_labels=False, random_state=0, batch_size=100).fit(X)
    assert not hasattr(estimator, "labels_")
    assert_allclose(estimator.inertia_, -estimator.score(X), rtol=0.1)
    estimator = MiniBatchKMeans(3, compute_labels=False, random_state=0).partial_fit(X)
    assert not hasattr(estimator, "labels_")


@pytest.mark.parametrize("seed", range(3))
def test_is_nearly_as_good_as_exact_k_means(seed):
    X = np.random.default_rng(seed).normal(size=(3000, 4))
    exact = KMeans(10, random_state=seed).fit(X)
    estimator = MiniBatchKMeans(10, batch_size=256, random_state=seed).fit(X)
    assert estimator.inertia_ < 1.1 * exact.inertia_
    assert estimator.n_iter_ == -(-estimator.n_steps_ * 256 // 3000)
    assert len(estimator.history_) == estimator.n_steps_
