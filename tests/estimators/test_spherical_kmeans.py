"""What is special to SphericalKMeans: directions, several clusters for a row, zeros."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.cluster import KMeans, SphericalKMeans
from tests.estimators.cases import blobs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_centres_are_unit_vectors(dtype):
    X, _ = blobs(dtype=dtype)
    estimator = SphericalKMeans(5, random_state=0).fit(X)
    lengths = np.linalg.norm(estimator.cluster_centers_.astype(np.float64), axis=1)
    # Rounding a unit vector to its dtype moves each coordinate by half an epsilon of itself.
    assert_allclose(lengths, 1, rtol=np.finfo(dtype).eps)
    cosines = (X @ estimator.cluster_centers_.T) / np.linalg.norm(X, axis=1, keepdims=True)
    assert_array_equal(estimator.labels_, np.argmax(cosines, axis=1))
    assert_allclose(estimator.inertia_, (1 - cosines.max(axis=1)).sum(), rtol=1e-3)
    assert_allclose(estimator.transform(X), 1 - cosines, atol=1e-5)


def test_lengths_do_not_matter():
    X, _ = blobs()
    lengths = 2.0 ** np.random.default_rng(0).integers(-30, 30, size=(len(X), 1))
    plain, scaled = (SphericalKMeans(4, init=X[:4], tol=0.0).fit(rows) for rows in (X, X * lengths))
    assert_array_equal(scaled.labels_, plain.labels_)
    assert_allclose(scaled.cluster_centers_, plain.cluster_centers_, rtol=1e-12)


def test_beats_k_means_at_its_own_objective():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    spherical = SphericalKMeans(8, init=X[:8], tol=0.0).fit(X)
    flat = KMeans(8, init=X[:8], tol=0.0).fit(X)
    started = SphericalKMeans(8, init=flat.cluster_centers_, tol=0.0).fit(X)
    at_flat = SphericalKMeans(8, init=flat.cluster_centers_, tol=4.0 * X.size, max_iter=1).fit(X)
    assert started.inertia_ <= at_flat.inertia_
    # For unit vectors |x - c|^2 = 2 (1 - cos): a mean lies inside the ball and costs less.
    assert flat.inertia_ < 2 * spherical.inertia_


def test_several_clusters_for_a_row():
    X, _ = blobs(dtype=np.float32)
    estimator = SphericalKMeans(5, random_state=0).fit(X)
    distances, labels = estimator.assign(X, n_assign=3)
    assert labels.dtype == np.int32
    assert distances.dtype == np.float32
    assert_array_equal(labels[:, 0], estimator.predict(X))
    assert (np.diff(distances, axis=1) >= 0).all()
    expected = np.sort(estimator.transform(X), axis=1)[:, :3]
    assert_allclose(distances, expected, atol=1e-5)
    _, every = estimator.assign(X, n_assign=5)
    assert_array_equal(np.sort(every, axis=1), np.tile(np.arange(5), (len(X), 1)))


def test_rows_of_zeros():
    X, _ = blobs()
    with_zeros = np.r_[np.zeros((4, 3)), X]
    plain = SphericalKMeans(3, random_state=0).fit(X)
    estimator = SphericalKMeans(3, random_state=0).fit(with_zeros)
    assert_allclose(estimator.cluster_centers_, plain.cluster_centers_, rtol=1e-12)
    assert_array_equal(estimator.labels_, np.r_[np.zeros(4), plain.labels_])
    assert_allclose(estimator.inertia_, plain.inertia_ + 4)
    assert_array_equal(estimator.predict(np.zeros((2, 3))), [0, 0])
    assert_array_equal(estimator.transform(np.zeros((1, 3))), np.ones((1, 3)))


def test_opposite_rows_leave_a_centre_alone():
    X = np.array([[1.0, 0.0], [-1.0, 0.0]])
    estimator = SphericalKMeans(1, init=[[0.0, 1.0]]).fit(X)
    assert_array_equal(estimator.cluster_centers_, [[0.0, 1.0]])
    assert estimator.inertia_ == 2


def test_given_centres_are_normalised():
    X, _ = blobs()
    one, other = (SphericalKMeans(3, init=f * X[:3]).fit(X) for f in (1, 1024))
    assert_array_equal(one.cluster_centers_, other.cluster_centers_)
