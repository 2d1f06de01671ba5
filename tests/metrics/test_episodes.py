"""Accuracy over episodes, by batches of them or one after the other."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neighbors import NearestCentroid

from clusterlib.datasets import make_episodes
from clusterlib.metrics import episode_accuracy, evaluate_episodes

RNG = np.random.default_rng(0)
Y = np.repeat(np.arange(6), 30)
X = RNG.normal(size=(6, 4))[Y] + RNG.normal(size=(180, 4))
EPISODES = make_episodes(X, Y, n_episodes=40, n_shot=2, random_state=0)


class Batched:
    """Nearest class means for many episodes, and a note of how many came at once."""

    def __init__(self):
        self.sizes = []

    def predict_episodes(self, X, y, queries):
        self.sizes.append(len(X))
        means = X.reshape(len(X), 5, 2, -1).mean(axis=2)
        distances = ((means[:, :, None] - queries[:, None]) ** 2).sum(axis=3)
        return np.take_along_axis(y[:, ::2], distances.argmin(axis=1), axis=1)


def test_mean_and_interval():
    accuracy = episode_accuracy([["a", "b"], ["a", "a"], ["b", "b"]], [["a", "b"], ["b", "b"]] * 1
                                + [["b", "a"]])  # fmt: skip
    assert_array_equal(accuracy.accuracies, [1, 0, 0.5])
    assert accuracy.mean == 0.5
    assert_allclose(accuracy.half_width, 1.96 * 0.5 / np.sqrt(3))
    assert np.isnan(episode_accuracy([[1]], [[1]]).half_width)


@pytest.mark.parametrize(
    ("y_true", "y_pred"), [([1], [1]), ([[1]], [[1, 2]]), (np.ones((0, 2)), np.ones((0, 2)))]
)
def test_shapes_have_to_agree(y_true, y_pred):
    with pytest.raises(ValueError, match="must have the same shape"):
        episode_accuracy(y_true, y_pred)


def test_batches_and_single_fits_agree():
    batched = Batched()
    one = evaluate_episodes(batched, EPISODES, batch_size=15)
    other = evaluate_episodes(NearestCentroid(), EPISODES)
    assert batched.sizes == [15, 15, 10]
    assert_array_equal(one.accuracies, other.accuracies)
    assert 0.4 < one.mean < 0.95
    with pytest.raises(ValueError, match="batch_size"):
        evaluate_episodes(batched, EPISODES, batch_size=0)
