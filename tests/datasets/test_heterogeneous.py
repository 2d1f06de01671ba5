"""Mixtures of unlike groups and of separated balls against their formulas."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from clusterlib.datasets import (
    DIFFICULT_MIXTURES,
    make_heterogeneous_mixture,
    make_separated_mixture,
    recovery_distance,
)

SIZES = {
    "wide_and_tight": [75, 37, 38],
    "unequal_sizes": [120, 18, 12],
    "nested": [39, 37, 37, 37],
}


@pytest.mark.parametrize("setting", DIFFICULT_MIXTURES)
def test_rows_follow_their_parameters(setting):
    options = {"n_features": 6} if setting in ("long_axes", "equal_balls") else {}
    mixture = make_heterogeneous_mixture(setting, 20_000, random_state=1, **options)
    n_features = mixture.X.shape[1]
    assert mixture.covariances.shape == (len(mixture.means), n_features, n_features)
    np.testing.assert_array_equal(mixture.weights, np.bincount(mixture.labels) / 20_000)
    for group, (mean, covariance) in enumerate(
        zip(mixture.means, mixture.covariances, strict=True)
    ):
        rows = mixture.X[mixture.labels == group]
        # Five standard deviations of a mean, and of an entry of a sample covariance.
        scale = np.sqrt(np.diag(covariance))
        assert (abs(rows.mean(axis=0) - mean) <= 5 * scale / np.sqrt(len(rows))).all()
        bound = 5 * np.outer(scale, scale) * np.sqrt(2 / len(rows))
        assert (abs(np.cov(rows.T) - covariance) <= bound).all()


@pytest.mark.parametrize("setting", DIFFICULT_MIXTURES)
def test_sizes_and_shapes(setting):
    mixture = make_heterogeneous_mixture(setting)
    counts = np.bincount(mixture.labels)
    expected = SIZES.get(setting, np.bincount(np.arange(150) % len(mixture.means)))
    np.testing.assert_array_equal(counts, expected)
    if setting in SIZES:
        assert (np.diff(mixture.labels) >= 0).all()
    else:
        np.testing.assert_array_equal(mixture.labels, np.arange(150) % len(mixture.means))
    assert mixture.X.dtype == mixture.means.dtype == mixture.covariances.dtype == np.float64
    assert mixture.labels.dtype == np.intp


@pytest.mark.parametrize("n_samples", [1, 2, 3, 25, 49, 101])
@pytest.mark.parametrize("setting", DIFFICULT_MIXTURES)
def test_every_number_of_rows_is_shared_out(setting, n_samples):
    mixture = make_heterogeneous_mixture(setting, n_samples, random_state=0)
    assert mixture.X.shape[0] == len(mixture.labels) == n_samples
    assert mixture.weights.sum() == pytest.approx(1.0)
    assert len(mixture.weights) == len(mixture.means)


def test_an_integer_seeds_numpy_directly():
    """The draws of a few lines of NumPy, so that published figures can be repeated."""
    rng, y = np.random.default_rng(5), np.arange(90) % 3
    rows = np.empty((90, 2))
    for group in range(3):
        rows[y == group] = rng.multivariate_normal([0, 3 * group], np.diag([16, 0.25]), 30)
    mixture = make_heterogeneous_mixture("elongated", 90, random_state=5)
    np.testing.assert_array_equal(mixture.X, rows)

    centers = np.eye(4, 7) * 7.5 / np.sqrt(2)
    noise = np.random.default_rng(5).normal(size=(90, 7))
    mixture = make_heterogeneous_mixture("equal_balls", 90, n_features=7, random_state=5)
    np.testing.assert_array_equal(mixture.X, centers[np.arange(90) % 4] + noise)
    balls, labels = make_separated_mixture(90, 7, separation=7.5, random_state=5)
    np.testing.assert_array_equal(balls, mixture.X)
    np.testing.assert_array_equal(labels, mixture.labels)


def test_long_axes_are_the_same_for_every_seed():
    first, other = (make_heterogeneous_mixture("long_axes", random_state=seed) for seed in (0, 1))
    np.testing.assert_array_equal(first.covariances, other.covariances)
    assert not np.array_equal(first.X, other.X)
    for covariance, noise in zip(first.covariances, (0.5, 1.0, 1.5), strict=True):
        eigenvalues = np.linalg.eigvalsh(covariance)
        np.testing.assert_allclose(eigenvalues[-2:], [6 + noise, 12 + noise])
        np.testing.assert_allclose(eigenvalues[:-2], noise)
    np.testing.assert_allclose(pdist(first.means), 5.2)


def test_shape_tells_groups_that_centres_do_not():
    mixture = make_heterogeneous_mixture("concentric", 3000, random_state=0)
    differences = mixture.X[:, None] - mixture.means
    squares = np.einsum("ikp,ikp->ik", differences, differences)
    precisions = np.linalg.inv(mixture.covariances)  # of equal determinants
    scores = np.einsum("ikp,kpq,ikq->ik", differences, precisions, differences)
    assert np.mean(squares.argmin(axis=1) != mixture.labels) >= 0.2
    assert np.mean(scores.argmin(axis=1) != mixture.labels) <= 0.02


@pytest.mark.parametrize(
    ("n_clusters", "n_features"), [(1, 1), (4, 4), (4, 20), (5, 2), (3, 2), (6, 1), (2, 1)]
)
def test_nearest_centres_have_the_separation(n_clusters, n_features):
    _, _, means = make_separated_mixture(
        10, n_features, n_clusters=n_clusters, separation=3.0, return_means=True
    )
    assert means.shape == (n_clusters, n_features)
    if n_clusters > 1:
        assert pdist(means).min() == pytest.approx(3.0)
        assert n_features < n_clusters or pdist(means).max() == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("weights", "n_samples", "sizes"),
    [
        (None, 10, [3, 3, 2, 2]),
        ([1, 1, 3, 3], 2000, [250, 250, 750, 750]),
        ([1, 1, 1, 1], 10, [2, 3, 2, 3]),
        ([0.1, 0.2, 0.3, 0.4], 10, [1, 2, 3, 4]),
        ([0, 1, 0, 1], 3, [0, 1, 0, 2]),
    ],
)
def test_sizes_of_separated_clusters(weights, n_samples, sizes):
    _, labels = make_separated_mixture(n_samples, 4, weights=weights)
    np.testing.assert_array_equal(np.bincount(labels, minlength=4), sizes)
    assert weights is None or (np.diff(labels) >= 0).all()


def test_rows_drawn_in_pieces_are_the_rows_of_one_draw():
    n_samples, n_features = 600, 4001  # three pieces
    X, labels, means = make_separated_mixture(
        n_samples, n_features, return_means=True, dtype=np.float32, random_state=2
    )
    noise = np.random.default_rng(2).normal(size=(n_samples, n_features))
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, (means[labels] + noise).astype(np.float32))


def test_recovery_distance_has_its_limits():
    # Few features: 4 log n (1 + 1); many: 4 log n sqrt(K p / (n log n)).
    assert recovery_distance(10**6, 1, 2) == pytest.approx(np.sqrt(8 * np.log(10**6)), rel=1e-6)
    many = recovery_distance(1000, 10**12, 4)
    assert many**2 == pytest.approx(4 * np.sqrt(np.log(1000) * 4e12 / 1000), rel=1e-3)
    rates = [recovery_distance(2000, 200, 4, sampling_rate=rate) for rate in (0.1, 0.5, 1.0)]
    assert all(more > fewer for more, fewer in itertools.pairwise(rates))
    assert recovery_distance(2000, 200, 4, sampling_rate=0.1) == pytest.approx(
        recovery_distance(2000, 2000, 4)
    )


@pytest.mark.parametrize("make", [make_heterogeneous_mixture, make_separated_mixture])
def test_seeds_and_types(make):
    first, again, other = (make(random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    narrow = make(dtype=np.float32, random_state=0)
    assert narrow[0].dtype == np.float32
    np.testing.assert_array_equal(narrow[0], first[0].astype(np.float32))
    states = [make(random_state=np.random.RandomState(4))[0] for _ in range(2)]
    np.testing.assert_array_equal(*states)


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (make_heterogeneous_mixture, {"setting": "round"}, ValueError, "setting must be one of"),
        (make_heterogeneous_mixture, {"setting": 3}, ValueError, "setting must be one of"),
        (make_heterogeneous_mixture, {"n_samples": 0}, ValueError, "n_samples"),
        (make_heterogeneous_mixture, {"n_features": 2}, ValueError, "n_features must be None"),
        (make_heterogeneous_mixture, {"dtype": int}, ValueError, "dtype"),
        (make_heterogeneous_mixture, {"random_state": "a"}, ValueError, "seed"),
        (make_heterogeneous_mixture, {"random_state": -1}, ValueError, "(?i)seed"),
        (
            make_heterogeneous_mixture,
            {"setting": "long_axes", "n_features": 2},
            ValueError,
            "n_features",
        ),
        (make_separated_mixture, {"n_samples": 2.0}, TypeError, "n_samples"),
        (make_separated_mixture, {"n_features": 0}, ValueError, "n_features"),
        (make_separated_mixture, {"n_clusters": 0}, ValueError, "n_clusters"),
        (make_separated_mixture, {"separation": -1}, ValueError, "separation"),
        (make_separated_mixture, {"weights": [1, 2]}, ValueError, "weights"),
        (make_separated_mixture, {"return_means": 1}, TypeError, "return_means"),
    ],
)
def test_wrong_options_are_refused(make, options, error, message):
    with pytest.raises(error, match=message):
        make(**options)


@pytest.mark.parametrize("sampling_rate", [0, 1.5, np.nan])
def test_wrong_sampling_rates_are_refused(sampling_rate):
    with pytest.raises(ValueError, match="sampling_rate"):
        recovery_distance(100, 2, 3, sampling_rate=sampling_rate)
