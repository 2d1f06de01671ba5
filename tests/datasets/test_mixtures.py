"""Gaussian and von Mises-Fisher mixtures against the laws they are drawn from."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.distance import pdist
from scipy.special import ive
from scipy.stats import kstest

from clusterlib.datasets import make_gaussian_mixture, make_von_mises_fisher


@pytest.mark.parametrize("n_features", [1, 2, 5])
@pytest.mark.parametrize("shared_covariance", [False, True])
def test_gaussians_have_their_parameters(n_features, shared_covariance):
    X, y, parameters = make_gaussian_mixture(
        60_000,
        n_features,
        n_components=3,
        weights=[1, 2, 3],
        separation=6.0,
        anisotropy=5.0,
        shared_covariance=shared_covariance,
        return_parameters=True,
        random_state=0,
    )
    np.testing.assert_allclose(parameters.weights, [1 / 6, 2 / 6, 3 / 6])
    assert pdist(parameters.means).min() == pytest.approx(6.0)
    for component in range(3):
        rows = X[y == component]
        share = parameters.weights[component]
        assert abs(len(rows) / len(X) - share) <= 5 * np.sqrt(share * (1 - share) / len(X))
        # Five standard deviations of a mean, and of a sample covariance, with variances up to 1.
        assert np.abs(rows.mean(axis=0) - parameters.means[component]).max() <= 5 / np.sqrt(
            len(rows)
        )
        covariance = np.atleast_2d(np.cov(rows.T))
        assert np.abs(covariance - parameters.covariances[component]).max() <= 5 * np.sqrt(
            2 / len(rows)
        )
        deviations = np.sqrt(np.linalg.eigvalsh(parameters.covariances[component]))
        assert deviations.max() == pytest.approx(1.0)
        assert n_features == 1 or deviations.max() / deviations.min() == pytest.approx(5.0)
    same = np.allclose(parameters.covariances[0], parameters.covariances[1])
    assert same == (shared_covariance or n_features == 1)


def test_gaussians_without_separation_share_the_centre():
    _, _, parameters = make_gaussian_mixture(10, 3, separation=0, return_parameters=True)
    assert not parameters.means.any()


def test_one_gaussian_lies_at_the_origin():
    X, y, parameters = make_gaussian_mixture(10, 3, n_components=1, return_parameters=True)
    assert not parameters.means.any() and not y.any() and X.shape == (10, 3)


def average_cosine(kappa, n_features):
    """Ratio of Bessel functions: the mean cosine of a von Mises-Fisher law."""
    return ive(n_features / 2, kappa) / ive(n_features / 2 - 1, kappa)


@pytest.mark.parametrize("n_features", [2, 3, 10, 64])
@pytest.mark.parametrize("kappa", [0.0, 0.5, 5.0, 200.0])
def test_cosines_have_their_density(n_features, kappa):
    X, _, means = make_von_mises_fisher(
        4000, n_features, n_components=1, concentration=kappa, return_means=True, random_state=3
    )
    cosines = X @ means[0]

    def density(angle):  # of the angle to the mean direction, unscaled
        return np.exp(kappa * (np.cos(angle) - 1)) * np.sin(angle) ** (n_features - 2)

    grid = np.linspace(0, np.pi, 2001)
    pieces = [quad(density, a, b)[0] for a, b in itertools.pairwise(grid)]
    distribution = np.concatenate([[0.0], np.cumsum(pieces)]) / np.sum(pieces)
    angles = np.arccos(np.clip(cosines, -1, 1))
    assert kstest(angles, lambda a: np.interp(a, grid, distribution)).pvalue > 1e-3
    if kappa:
        expected = average_cosine(kappa, n_features)
        assert abs(cosines.mean() - expected) <= 5 * cosines.std() / np.sqrt(len(X))


@pytest.mark.parametrize("n_features", [3, 20])
def test_directions_around_the_mean_are_uniform(n_features):
    X, _, means = make_von_mises_fisher(
        20_000, n_features, n_components=1, concentration=8.0, return_means=True, random_state=0
    )
    tangents = X - (X @ means[0])[:, None] * means[0]
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    # Uniform in the hyperplane orthogonal to the mean: centred, covariance = projection / (d - 1).
    assert np.abs(tangents.mean(axis=0)).max() <= 5 / np.sqrt(len(X))
    projection = np.eye(n_features) - np.outer(means[0], means[0])
    covariance = tangents.T @ tangents / len(X)
    assert np.abs(covariance - projection / (n_features - 1)).max() <= 5 / np.sqrt(len(X))


@pytest.mark.parametrize("kappa", [1e6, 1e12, 1e200])
def test_huge_concentration_keeps_its_precision(kappa):
    X, _, means = make_von_mises_fisher(
        4000, 5, n_components=1, concentration=kappa, return_means=True, random_state=0
    )
    # kappa |x - mu|^2 tends to a chi-square law with d - 1 = 4 degrees of freedom.
    squares = kappa * np.sum((X - means[0]) ** 2, axis=1)
    if kappa < 1e13:
        assert abs(squares.mean() - 4) <= 5 * np.sqrt(8 / len(X))
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_features", [2, 1024])
def test_mixture_on_the_sphere(dtype, n_features):
    given = np.random.default_rng(0).normal(size=(2, n_features)) * 1e200
    X, y, means = make_von_mises_fisher(
        3000,
        n_features,
        n_components=2,
        weights=[3, 1],
        concentration=[2.0 * n_features, 0.0],
        means=given,
        dtype=dtype,
        return_means=True,
        random_state=0,
    )
    assert X.dtype == dtype and X.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1.0, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(
        means, given / 1e200 / np.linalg.norm(given / 1e200, axis=1)[:, None]
    )
    assert abs(np.mean(y == 0) - 0.75) <= 5 * np.sqrt(0.75 * 0.25 / 3000)
    cosines = np.einsum("ij,ij->i", X, means[y])
    expected = average_cosine(2.0 * n_features, n_features)
    assert abs(cosines[y == 0].mean() - expected) < 0.02
    assert abs(cosines[y == 1].mean()) <= 5 / np.sqrt(n_features * np.sum(y == 1))


@pytest.mark.parametrize("make", [make_gaussian_mixture, make_von_mises_fisher])
def test_seeds_and_types(make):
    first, again, other = (make(50, 6, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    narrow = make(50, 6, dtype=np.float32, random_state=np.random.RandomState(0))
    assert narrow[0].dtype == np.float32
    np.testing.assert_array_equal(narrow[0], first[0].astype(np.float32))


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (make, options, error, message)
        for make in (make_gaussian_mixture, make_von_mises_fisher)
        for options, error, message in [
            ({"n_samples": 0}, ValueError, "n_samples"),
            ({"n_features": 0}, ValueError, "n_features"),
            ({"n_components": 1.0}, TypeError, "n_components"),
            ({"n_components": 2, "weights": [1]}, ValueError, "weights"),
            ({"n_components": 2, "weights": [1, -1]}, ValueError, "weights"),
            ({"n_components": 2, "weights": [0, 0]}, ValueError, "weights"),
            ({"dtype": np.float16}, ValueError, "dtype"),
        ]
    ]
    + [
        (make_gaussian_mixture, {"separation": -1}, ValueError, "separation"),
        (make_gaussian_mixture, {"anisotropy": 0.5}, ValueError, "anisotropy"),
        (make_gaussian_mixture, {"shared_covariance": 1}, TypeError, "shared_covariance"),
        (make_von_mises_fisher, {"n_features": 1}, ValueError, "n_features"),
        (make_von_mises_fisher, {"concentration": -1.0}, ValueError, "concentration"),
        (make_von_mises_fisher, {"concentration": [1.0]}, ValueError, "concentration"),
        (make_von_mises_fisher, {"means": np.ones((8, 3))}, ValueError, "means must have shape"),
        (make_von_mises_fisher, {"means": np.zeros((8, 64))}, ValueError, "row of zeros"),
        (make_von_mises_fisher, {"means": np.full((8, 64), np.nan)}, ValueError, "NaN"),
    ],
)
def test_wrong_options_are_refused(make, options, error, message):
    with pytest.raises(error, match=message):
        make(**options)
