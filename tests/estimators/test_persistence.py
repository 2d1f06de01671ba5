"""Fitted estimators survive storage, and those stored by an older version are still read."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.cluster import KMeans, MiniBatchKMeans, SphericalKMeans
from tests.estimators.cases import CLASSES, blobs

STORED = Path(__file__).parent.parent / "data" / "k_means_version_0_1.pickle"


def by_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator, protocol=5))


def by_joblib(estimator):
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def by_cloudpickle(estimator):
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(estimator))


def fitted():
    """Three estimators whose answers are known: two centres in the plane."""
    X = np.array([[2.0, 0.0], [4.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    return [
        KMeans(2, init=X[[0, 2]], tol=0.0).fit(X),
        SphericalKMeans(2, init=X[[0, 2]], tol=0.0).fit(X),
        MiniBatchKMeans(2, init=X[[0, 2]], random_state=0).fit(X),
    ]


@pytest.mark.parametrize("store", [by_pickle, by_joblib, by_cloudpickle])
@pytest.mark.parametrize("cls", CLASSES)
def test_round_trip(store, cls):
    X, _ = blobs()
    estimator = cls(3, random_state=0).fit(X)
    again = store(estimator)
    assert repr(again.get_params()) == repr(estimator.get_params())
    assert vars(again).keys() == vars(estimator).keys()
    assert_array_equal(again.predict(X), estimator.labels_)
    assert_array_equal(again.transform(X), estimator.transform(X))


@pytest.mark.parametrize("cls", CLASSES)
def test_state_is_arrays_and_scalars(cls):
    state = vars(cls(3, random_state=0).fit(blobs()[0]))
    allowed = (np.ndarray, np.generic, int, float, bool, str, type(None))
    assert {name for name, value in state.items() if not isinstance(value, allowed)} == set()


# NumPy 2 reads what NumPy 1.26 has stored, and says that a module has moved.
moved_module = pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")


@moved_module
def test_stored_estimators_are_read_back():
    """Made by ``pickle.dumps(fitted(), protocol=5)`` on NumPy 1.26, never to be made anew."""
    flat, sphere, mini = pickle.loads(STORED.read_bytes())
    rows = np.array([[3.0, 1.0], [1.0, 2.0]])
    for estimator in (flat, sphere, mini):
        assert_array_equal(estimator.labels_, [0, 0, 1, 1])
        assert_array_equal(estimator.predict(rows), [0, 1])
        assert estimator.fit([[0.0, 1.0], [1.0, 0.0]]).labels_.tolist() in ([0, 1], [1, 0])
    assert isinstance(flat, KMeans)
    assert isinstance(sphere, SphericalKMeans)
    assert isinstance(mini, MiniBatchKMeans)


@moved_module
def test_stored_attributes():
    flat, sphere, mini = pickle.loads(STORED.read_bytes())
    assert_array_equal(flat.cluster_centers_, [[3.0, 0.0], [0.0, 2.0]])
    assert_array_equal(sphere.cluster_centers_, [[1.0, 0.0], [0.0, 1.0]])
    assert flat.inertia_ == 4
    assert sphere.inertia_ == 0
    assert mini.partial_fit([[3.0, 0.0]]).n_steps_ > 1
