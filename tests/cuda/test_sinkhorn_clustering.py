"""SinkhornClustering with rows on an emulated CUDA device: as on the host."""

import numpy as np
import pytest

from clusterlib.cluster import SinkhornClustering
from clusterlib.kernels.dispatch import is_device_array
from tests.helpers import DTYPES


def blobs(dtype):
    rng = np.random.default_rng(0)
    centers = np.eye(4)[:3] * 3
    X = np.concatenate([c + rng.normal(size=(15, 4)) for c in centers]).astype(dtype)
    X[7] = 0  # no direction
    return X


def on_host(runtime, array):
    assert is_device_array(array)
    return runtime.to_host(array)


def assert_same(runtime, found, expected, dtype):
    centers = on_host(runtime, found.cluster_centers_)
    assert centers.dtype == dtype
    assert np.allclose(centers, expected.cluster_centers_, rtol=0, atol=1e-4)
    labels = on_host(runtime, found.labels_)
    assert labels.dtype == np.int32 and np.array_equal(labels, expected.labels_)
    assert np.allclose(found.prior_, expected.prior_, rtol=0, atol=1e-4)
    assert np.allclose(found.vectors_, expected.vectors_, rtol=0, atol=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"prior": "estimate", "epsilon": 0.2}, {"n_iters": 3}, {"normalize": False}],
)
def test_a_fit(emulated, parameters, dtype):
    X = blobs(dtype)
    weight = np.arange(len(X)) % 3 + 1.0
    x = emulated.to_device(X)
    options = {"n_clusters": 3, "epsilon": 0.1, "tol": 1e-3, "init": X[[0, 20, 40]], **parameters}
    expected = SinkhornClustering(**options).fit(X, sample_weight=weight)
    found = SinkhornClustering(**options).fit(x, sample_weight=emulated.to_device(weight))
    assert_same(emulated, found, expected, dtype)
    assert found.converged_ and abs(found.n_iter_ - expected.n_iter_) <= 1
    sizes = on_host(emulated, found.cluster_sizes_)
    assert np.array_equal(sizes, expected.cluster_sizes_)
    assert np.isclose(found.objective_, expected.objective_, rtol=1e-4, atol=1e-5)
    assert np.array_equal(on_host(emulated, found.predict(x)), expected.predict(X))
    for name in ("transform", "predict_proba", "assign"):
        given = on_host(emulated, getattr(found, name)(x))
        assert given.dtype == dtype
        assert np.allclose(given, getattr(expected, name)(X), rtol=0, atol=2e-3), name


def test_prototypes_that_are_drawn(emulated):
    X = blobs(np.float64)
    options = {"n_clusters": 3, "random_state": 0, "epsilon": 0.1}
    expected = SinkhornClustering(**options).fit(X)
    found = SinkhornClustering(**options).fit(emulated.to_device(X))
    assert_same(emulated, found, expected, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_with_a_queue(emulated, dtype):
    X = np.random.default_rng(1).permutation(blobs(dtype))
    options = {"n_clusters": 3, "epsilon": 0.1, "queue_size": 15, "init": X[:3]}
    expected, found = SinkhornClustering(**options), SinkhornClustering(**options)
    for batch in np.split(X, 3):
        expected.partial_fit(batch)
        found.partial_fit(emulated.to_device(batch))
        assert_same(emulated, found, expected, dtype)
        assert np.array_equal(on_host(emulated, found.queue_), expected.queue_)
    with pytest.raises(TypeError, match="X is on the host and SinkhornClustering was fitted on"):
        found.partial_fit(X)
