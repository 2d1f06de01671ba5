"""The mixture of classes against a plain version of its two fits, number by number."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.class_mixture import class_mixture


def problem(n, p=2, r=4, k=2, dtype=np.float64, seed=0):
    """Rows of overlapping balls, their domains, class probabilities to begin with, and centres."""
    rng = np.random.default_rng(seed)
    D = rng.dirichlet(np.full(r, 2.0), size=k).T + 0.02
    D /= D.sum(axis=0)
    mode = rng.integers(0, 2 * k, n)
    X = 5.0 + 2.0 * (2.0 * rng.normal(size=(2 * k, p))[mode] + rng.normal(size=(n, p)))
    domains = np.array([rng.choice(r, p=D[:, y % k]) for y in mode], dtype=np.int32)
    targets = D[domains] / D[domains].sum(axis=1, keepdims=True)
    return X.astype(dtype), domains, targets.astype(dtype), D, X[: 3 * k].astype(dtype)


def memberships(X, centers, variance, shares):
    """Posteriors of spherical Gaussians by their distances."""
    squares = np.square(X[:, None] - centers).sum(axis=2)
    logs = np.log(shares) - squares / (2 * variance)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def components(X, centers):
    """Eight iterations of EM for means, shares and the one variance."""
    n, p = X.shape
    variance = np.square(X - X.mean(axis=0)).mean() * len(centers) ** (-2 / p)
    shares = np.full(len(centers), 1 / len(centers))
    for _ in range(8):
        R = memberships(X, centers, variance, shares)
        masses = R.sum(axis=0)
        centers = R.T @ X / masses[:, None]
        squares = np.square(X[:, None] - centers).sum(axis=2)
        variance = (R * squares).sum() / (n * p)
        shares = (masses + 1e-5) / n
    return centers, variance, shares


def with_floor(masses, rows):
    """Rows of probabilities in which every class has a small part of the rows of its component."""
    masses = masses + 1e-5 * (rows[:, None] + 1) / masses.shape[1]
    return masses / masses.sum(axis=1, keepdims=True)


def reference(X, domains, targets, D, centers, n_iter):
    """What the documentation tells; returns the components, their classes and the likelihoods."""
    centers, variance, shares = components(X, centers)
    R = memberships(X, centers, variance, shares)
    masses = R.sum(axis=0)
    classes = with_floor(R.T @ targets, masses)
    likelihoods = []
    for _ in range(n_iter):
        h = R @ classes
        joint = h * D[domains]
        likelihoods.append(np.log(joint.sum(axis=1)).mean())
        posterior = joint / joint.sum(axis=1, keepdims=True)
        factors = R.T @ (posterior / h) / masses[:, None]
        classes = with_floor(classes * factors**1.8, np.ones(len(masses)))
        counts = np.full(D.shape, 0.5 / len(D))
        np.add.at(counts, domains, posterior)
        D = D * (counts / counts.sum(axis=0) / D) ** 1.8
        D /= D.sum(axis=0)
    return centers, variance, shares, classes, likelihoods


@pytest.mark.parametrize("n_iter", [1, 2, 3, 7])
@pytest.mark.parametrize(("n", "p", "k"), [(40, 2, 2), (60, 1, 3), (200, 3, 2)])
def test_the_fit_is_that_of_a_plain_version(n, p, k, n_iter):
    X, domains, targets, D, centers = problem(n, p, k=k)
    seen = []

    def callback(iteration, log_likelihood):
        seen.append((iteration, log_likelihood))
        return iteration == n_iter

    mixture = class_mixture(X, domains, targets, D, centers, callback=callback)
    centers, variance, shares, classes, likelihoods = reference(
        X, domains, targets, D, centers, n_iter
    )
    assert [iteration for iteration, _ in seen] == list(range(1, n_iter + 1))
    assert_allclose([value for _, value in seen], likelihoods, rtol=1e-9)
    assert_allclose(mixture.origin, X.mean(axis=0), rtol=1e-12)
    assert_allclose(mixture.centers + mixture.origin, centers, rtol=1e-8)
    assert_allclose(mixture.variance, variance, rtol=1e-8)
    assert_allclose(mixture.log_weights, np.log(shares), rtol=1e-8)
    assert_allclose(mixture.classes, classes, rtol=1e-7)
    R = memberships(X, centers, variance, shares)
    assert_allclose(mixture.memberships(X), R, rtol=1e-7, atol=1e-12)
    odds = R @ classes + 1e-7
    assert_allclose(mixture.pooled(X), odds / odds.sum(axis=1, keepdims=True), rtol=1e-7)


def test_leaves_of_rows_add_up():
    X, domains, targets, D, centers = problem(9000, 1)
    mixture = class_mixture(X, domains, targets, D, centers, callback=lambda *_: True)
    centers, variance, _, classes, _ = reference(X, domains, targets, D, centers, 1)
    assert_allclose(mixture.centers + mixture.origin, centers, rtol=1e-8)
    assert_allclose(mixture.variance, variance, rtol=1e-8)
    assert_allclose(mixture.classes, classes, rtol=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_it_ends_when_an_iteration_gains_little_or_after_thirty(seed):
    X, domains, targets, D, centers = problem(60, 1, seed=seed)
    seen = []
    class_mixture(X, domains, targets, D, centers, callback=lambda _, value: seen.append(value))
    gains = np.diff(reference(X, domains, targets, D, centers, 31)[-1])
    little = np.flatnonzero(gains <= 3e-5)
    assert len(seen) == min(30, little[0] + 2 if len(little) else 30)


def test_rows_without_a_scale_leave_the_classes_to_the_targets():
    X, domains, targets, D, _ = problem(40)
    X = np.full_like(X, 3.0)
    mixture = class_mixture(X, domains, targets, D, X[:3], callback=lambda *_: True)
    assert mixture.variance == np.finfo(float).tiny
    assert_array_equal(mixture.centers, 0)
    assert_allclose(mixture.memberships(X), 1 / 3, rtol=1e-12)


def test_two_points_have_the_least_variance():
    X = np.repeat([[-1.0], [1.0]], 20, axis=0)
    targets, D = np.full((40, 2), 0.5), np.full((2, 2), 0.5)
    mixture = class_mixture(X, np.zeros(40, dtype=np.int32), targets, D, X[[0, -1]])
    # Nothing is left within the components; the total is 1 for each row.
    assert_allclose(mixture.variance, np.finfo(float).eps, rtol=1e-12)
    assert_allclose(np.sort(mixture.centers[:, 0]), [-1, 1], rtol=1e-12)


def test_a_component_without_rows_stays_possible():
    X = np.repeat([[-1.0], [1.0]], 20, axis=0)
    domains = np.repeat([0, 1], 20).astype(np.int32)
    targets, D = np.eye(2)[domains], np.array([[0.9, 0.1], [0.1, 0.9]])
    mixture = class_mixture(X, domains, targets, D, np.array([[-1.0], [1.0], [30.0]]))
    # It has gone to the mean of all, where no row is, and has no opinion.
    assert mixture.centers[2] == 0
    shares = [(20 + 1e-5) / 40, (20 + 1e-5) / 40, 1e-5 / 40]
    assert_allclose(np.exp(mixture.log_weights), shares, rtol=1e-12)
    assert_allclose(mixture.classes[2], 0.5, rtol=1e-12)
    assert (mixture.classes[:2].max(axis=1) > 0.99).all()


def test_no_class_of_a_row_is_impossible():
    X = np.repeat([[-1.0], [1.0]], 20, axis=0)
    classes = np.repeat([0, 1], 20)
    D = np.array([[0.9, 0.1], [0.1, 0.9]])
    mixture = class_mixture(
        X, classes.astype(np.int32), np.eye(2)[classes], D, X[[0, -1]], callback=lambda *_: True
    )
    # 1e-7 beside the 1 of the other class, where every component has one class alone.
    assert_allclose(mixture._replace(classes=np.eye(2)).pooled(X).min(axis=1), 1e-7, rtol=1e-6)
    assert mixture.classes.min() > 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_narrow_numbers_stay_narrow_and_near_the_wide_ones(seed):
    wide, narrow = (
        class_mixture(*problem(100, dtype=dtype, seed=seed), callback=lambda *_: True)
        for dtype in (np.float64, np.float32)
    )
    for found, expected in zip(narrow, wide, strict=True):
        assert_allclose(found, expected, rtol=2e-3, atol=1e-4)
    assert narrow.origin.dtype == narrow.centers.dtype == narrow.classes.dtype == np.float32
    rows = problem(5, dtype=np.float32)[0]
    assert narrow.pooled(rows).dtype == narrow.memberships(rows).dtype == np.float32


def test_another_order_of_the_classes_moves_their_columns():
    X, domains, targets, D, centers = problem(60, k=3)
    mixture = class_mixture(X, domains, targets, D, centers)
    turned = mixture.reordered(np.array([2, 0, 1]))
    assert_array_equal(turned.classes, mixture.classes[:, [2, 0, 1]])
    assert_allclose(turned.pooled(X), mixture.pooled(X)[:, [2, 0, 1]], rtol=1e-13)
