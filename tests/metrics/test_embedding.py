"""Uniformity and tolerance against their definitions over all pairs."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from clusterlib.metrics import tolerance, uniformity


def unit(X):
    X = np.asarray(X, dtype=np.float64)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def embeddings(n_samples=301, n_features=13, dtype=np.float64):
    rng = np.random.default_rng(0)
    y = rng.integers(5, size=n_samples)
    X = rng.normal(size=(5, n_features))[y] + rng.normal(size=(n_samples, n_features))
    return (X * rng.uniform(0.1, 10, size=(n_samples, 1))).astype(dtype), y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("t", [0.1, 2, 50.0])
def test_uniformity_is_the_mean_potential_of_all_pairs(dtype, t):
    X, _ = embeddings(dtype=dtype)
    expected = np.log(np.mean(np.exp(-t * pdist(unit(X), "sqeuclidean"))))
    # An error of a cosine distance is multiplied by 2 t; a few roundings of the sum come on top.
    tolerated = 64 * (1 + 2 * t) * np.finfo(dtype).eps
    assert abs(uniformity(X, t=t) - expected) <= tolerated


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tolerance_is_the_mean_similarity_within_classes(dtype):
    X, y = embeddings(dtype=dtype)
    similarity = unit(X) @ unit(X).T
    pairs = (y[:, None] == y) & ~np.eye(len(y), dtype=bool)
    assert tolerance(X, y) == pytest.approx(similarity[pairs].mean(), rel=1e-10)
    names = np.array(["a", "b", "c", "d", "e"])[y]
    assert tolerance(X, names) == tolerance(X, y)


def test_closed_forms():
    cross = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    # Each point has two neighbours at squared distance 2 and one at 4.
    expected = np.log((2 * np.exp(-4.0) + np.exp(-8.0)) / 3)
    assert uniformity(cross) == pytest.approx(expected, rel=1e-14)
    assert tolerance(cross, [0, 0, 1, 1]) == pytest.approx(0.0, abs=1e-15)
    assert tolerance(cross, [0, 1, 0, 1]) == -1.0
    assert uniformity([[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]]) == pytest.approx(0.0, abs=1e-14)


def test_length_of_rows_does_not_matter():
    X, y = embeddings()
    scaled = X * 2.0 ** np.arange(-150, 151)[:, None]
    assert uniformity(scaled) == pytest.approx(uniformity(X), rel=1e-12)
    assert tolerance(scaled, y) == pytest.approx(tolerance(X, y), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_extreme_lengths(scale):
    X, y = embeddings(n_samples=40)
    assert tolerance(X * scale, y) == pytest.approx(tolerance(X, y), rel=1e-12)
    assert uniformity(X * scale) == pytest.approx(uniformity(X), rel=1e-12)


def test_uniform_directions_are_more_uniform_and_less_tolerant():
    X, y = embeddings(n_samples=500)
    spread = np.random.default_rng(1).normal(size=X.shape)
    assert uniformity(spread) < uniformity(X)
    assert tolerance(spread, y) < tolerance(X, y)


@pytest.mark.parametrize(
    ("X", "t", "error", "message"),
    [
        ([[1.0, 0.0]], 2, ValueError, "at least 2 rows"),
        (np.empty((0, 2)), 2, ValueError, "at least 2 rows"),
        ([1.0, 2.0], 2, ValueError, "2 dimensions"),
        ([[1.0, 0.0], [0.0, 0.0]], 2, ValueError, "row 1 of X is zero"),
        ([[1.0, 0.0], [np.nan, 1.0]], 2, ValueError, "NaN or infinity"),
        ([[1.0, 0.0], [np.inf, 1.0]], 2, ValueError, "NaN or infinity"),
        ([["a", "b"], ["c", "d"]], 2, TypeError, "numbers"),
        (np.eye(2), 0.0, ValueError, "t must be"),
        (np.eye(2), np.inf, ValueError, "t must be"),
        (np.eye(2), np.nan, ValueError, "t must be"),
        (np.eye(2), "2", TypeError, "t must be"),
        (np.eye(2), None, TypeError, "t must be"),
    ],
)
def test_uniformity_refuses_wrong_input(X, t, error, message):
    with pytest.raises(error, match=message):
        uniformity(X, t=t)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.eye(3), [0, 1], "y must have 3 entries"),
        (np.eye(3), [0, 1, 2], "no class of y has two samples"),
        (np.zeros((2, 2)), [0, 0], "row 0 of X is zero"),
        ([[1.0, np.nan], [1.0, 1.0]], [0, 0], "NaN or infinity"),
        ([[1.0, -np.inf], [1.0, 1.0]], [0, 0], "NaN or infinity"),
        (np.eye(2), [0, None], "missing label"),
    ],
)
def test_tolerance_refuses_wrong_input(X, y, message):
    with pytest.raises(ValueError, match=message):
        tolerance(X, y)
