"""Single inputs that property tests have found, each of which was a fault once."""

import warnings

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.cluster import BalancedKMeans, ClusteredMemory, KMeans, MiniBatchKMeans

FAR = np.vstack([np.eye(3), np.full((1, 3), 1e200)])
FLAT = [KMeans(2, random_state=0), MiniBatchKMeans(2, batch_size=2, random_state=0)]


@pytest.mark.parametrize("model", FLAT, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_rows_whose_squares_leave_the_range_are_refused(model, scale):
    with pytest.raises(ValueError, match=r"largest absolute value from 3.1e-151 to 4.5e\+133"):
        model.fit(scale * np.eye(3))
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("method", ["predict", "transform", "score"])
@pytest.mark.parametrize("model", FLAT, ids=lambda model: type(model).__name__)
def test_new_rows_whose_squares_leave_the_range_are_refused(model, method):
    model.fit(np.eye(3))
    with pytest.raises(ValueError, match=r"largest absolute value .* got 1e\+200"):
        getattr(model, method)(FAR)
    assert np.isfinite(getattr(model, method)(1e-200 * np.eye(3))).all()


def test_batches_whose_squares_leave_the_range_are_refused():
    model = MiniBatchKMeans(2, random_state=0).partial_fit(np.eye(3))
    before = model.cluster_centers_.copy()
    with pytest.raises(ValueError, match=r"largest absolute value .* got 1e\+200"):
        model.partial_fit(FAR)
    np.testing.assert_array_equal(model.cluster_centers_, before)
    assert model.n_steps_ == 1


def test_blocks_whose_squares_leave_the_range_are_refused_in_the_first_iteration():
    model = KMeans(2, init=np.eye(3)[:2], tol=0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"largest absolute value .* got 1e\+200"):
            model.fit(as_blocks(lambda: iter([FAR])))
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (BalancedKMeans(2), np.ones((1, 3))),
        (ClusteredMemory(2), np.ones((1, 3))),
        (ClusteredMemory(2), np.zeros((3, 3))),
    ],
)
def test_a_refused_fit_leaves_nothing(model, X):
    before = dict(vars(model))
    with pytest.raises(ValueError, match=r"n_samples=1|no row with a direction"):
        model.fit(X)
    assert vars(model) == before


def test_a_refused_batch_leaves_a_memory_as_it_was():
    memory = ClusteredMemory(2, capacity=4, random_state=0).fit(np.eye(4))
    before = memory.n_steps_, memory.bank_.copy()
    with pytest.raises(ValueError, match="n_clusters=3 cannot"):
        memory.set_params(n_clusters=3).partial_fit(np.ones((2, 4)))
    assert memory.n_steps_ == before[0]
    np.testing.assert_array_equal(memory.bank_, before[1])
