"""What is special to KMeans: scikit-learn's answers, and the history."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans as TheirKMeans

from clusterlib.cluster import KMeans
from tests.estimators.cases import blobs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tol", [0.0, 1e-4, 1e-2])
def test_agrees_with_scikit_learn_from_the_same_start(dtype, tol):
    X = np.random.default_rng(0).normal(size=(400, 4)).astype(dtype)
    weight = np.random.default_rng(1).uniform(size=400)
    options = {"n_clusters": 9, "init": X[:9], "n_init": 1, "tol": tol}
    ours, theirs = (cls(**options).fit(X) for cls in (KMeans, TheirKMeans))
    assert_array_equal(ours.labels_, theirs.labels_)
    assert_allclose(ours.inertia_, theirs.inertia_, rtol=1e-5)
    assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-5)
    assert ours.n_iter_ == theirs.n_iter_
    rows = X[:50]
    assert_array_equal(ours.predict(rows), theirs.predict(rows))
    assert_allclose(ours.transform(rows), theirs.transform(rows), atol=1e-4)
    assert_allclose(
        ours.score(rows, sample_weight=weight[:50]),
        theirs.score(rows, sample_weight=weight[:50]),
        rtol=1e-5,
    )


def test_seeds_are_as_good_as_those_of_scikit_learn():
    X, _ = blobs(n=500, k=3)
    X = np.r_[X, X + 40, X - 40]
    ours, theirs = (
        np.mean([cls(9, n_init=1, random_state=seed).fit(X).inertia_ for seed in range(12)])
        for cls in (KMeans, TheirKMeans)
    )
    assert ours < 1.25 * theirs


def test_history_are_the_moves():
    X = np.random.default_rng(0).normal(size=(200, 3))
    fits = [KMeans(6, init=X[:6], max_iter=m, tol=0) for m in (3, 4)]
    with pytest.warns(match="did not converge"):
        three, four = (fit.fit(X) for fit in fits)
    moves = np.square(four.cluster_centers_ - three.cluster_centers_).sum()
    assert len(four.history_) == four.n_iter_ == 4
    assert_allclose(four.history_[-1], moves, rtol=1e-12)
    assert_array_equal(three.history_, four.history_[:3])


def test_empty_clusters_are_repaired():
    X, _ = blobs()
    estimator = KMeans(3, init=np.r_[X[:1], X[:2] + 1e6], tol=0.0).fit(X)
    assert estimator.n_relocated_ == 2
    assert (estimator.cluster_sizes_ > 30).all()


def test_zero_tolerance_ends_in_a_fixed_point():
    X = np.random.default_rng(0).normal(size=(200, 3))
    estimator = KMeans(6, tol=0.0, random_state=0).fit(X)
    assert estimator.history_[-1] == 0
    for j in range(6):
        assert_allclose(estimator.cluster_centers_[j], X[estimator.labels_ == j].mean(axis=0))


class Tenths(KMeans):
    """Without defaults, and without the younger parameters of its base."""

    def __init__(self, n_clusters):
        super().__init__(n_clusters, tol=0.1)


def test_what_an_older_version_stored_gets_the_parameters_it_lacks():
    X, _ = blobs(n=100, k=3)
    for model in (KMeans(3, random_state=0), Tenths(3)):
        del model.checkpoint
        read = pickle.loads(pickle.dumps(model))
        assert (read.n_clusters, read.checkpoint, read.tol) == (3, None, model.tol)
        assert len(read.fit(X).cluster_centers_) == 3
