"""Refits to simulated data: what they are drawn from, what they find, and corners."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.domain_neighbors import nearest_other_rows
from clusterlib.solvers.simulated_shift import _drawn_classes, _drawn_domains, simulated_refits


def far_apart(k=3, r=6, n=450, seed=0):
    """Balls so far apart that only the draw of the domains is left to chance."""
    rng = np.random.default_rng(seed)
    shares = 0.6 * np.eye(k)[np.arange(r) % k] + 0.4 / k
    domains = np.arange(n, dtype=np.int32) % r
    classes = (rng.random(n)[:, None] > shares.cumsum(axis=1)[domains][:, :-1]).sum(axis=1)
    X = 20.0 * np.eye(k)[classes] + rng.normal(size=(n, k))
    counts = np.zeros((r, k))
    np.add.at(counts, (domains, classes), 1)
    near = nearest_other_rows(X, 30)
    return np.eye(k)[classes], counts / counts.sum(axis=0), near, domains


def refitted(data, seed=0, **options):
    options = {"n_refits": 2, "n_starts": 2} | options
    return simulated_refits(*data, rng=np.random.default_rng(seed), **options)


def test_plain_classes_are_found_again():
    refits = refitted(far_apart())
    assert refits.accuracies.min() > 0.99
    assert np.abs(refits.errors).mean() < 0.005
    assert_allclose(refits.errors.sum(axis=2), 0.0, atol=1e-9)


def test_domains_that_tell_nothing_are_not_found_again():
    posteriors, D, near, domains = far_apart()
    refits = refitted((posteriors, np.full_like(D, 1 / len(D)), near, domains))
    assert refits.accuracies.mean() < 0.9


def test_unsure_posteriors_give_other_classes_each_time():
    """Drawn classes are those of nobody: refits find a part of them, and the fit knows it."""
    posteriors, D, near, domains = far_apart()
    unsure = 0.7 * posteriors + 0.1
    refits = refitted((unsure, D, near, domains))
    # Each row keeps its class with the posterior of its class, sharpened by the domain.
    assert 0.6 < refits.accuracies.mean() < 0.95


class Smallest:
    """Draws the smallest number there is in [0, 1)."""

    def random(self, n):
        return np.zeros(n)


def test_a_class_of_probability_0_is_never_drawn():
    posteriors = np.array([[0.0, 0.3, 0.7], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    assert_array_equal(_drawn_classes(posteriors, Smallest()), [1, 2, 0])


def test_callback_stops():
    seen = []
    refits = refitted(far_apart(), n_refits=5, callback=lambda refit: seen.append(refit) or True)
    assert seen == [0]
    assert refits.errors.shape == (1, 6, 3)
    assert refits.accuracies.shape == (1,)


def test_domains_of_one_row_keep_it():
    posteriors, D, near, domains = far_apart()
    domains = domains.copy()
    domains[:4] = [6, 7, 8, 9]
    rare = np.vstack([D * (1 - 4e-4), np.full((4, 3), 1e-4)])
    refits = refitted((posteriors, rare, near, domains))
    assert refits.errors.shape == (2, 10, 3)
    assert np.isfinite(refits.errors).all()


def test_classes_are_drawn_by_their_cumulated_probabilities():
    posteriors = np.random.default_rng(0).dirichlet(np.ones(4), size=200)
    uniform = np.random.default_rng(5).random(200)
    expected = [
        np.searchsorted(p.cumsum()[:-1], u, side="right")
        for p, u in zip(posteriors, uniform, strict=True)
    ]
    assert_array_equal(_drawn_classes(posteriors, np.random.default_rng(5)), expected)


def test_domains_are_drawn_given_the_classes():
    rng = np.random.default_rng(1)
    D, classes = rng.dirichlet(np.ones(5), size=3).T, rng.integers(3, size=400)
    uniform = np.random.default_rng(5).random(400)
    expected = [
        np.searchsorted(D[:, y].cumsum()[:-1], u, side="right")
        for y, u in zip(classes, uniform, strict=True)
    ]
    domains = np.arange(400) % 5
    drawn = _drawn_domains(classes, D, domains, np.random.default_rng(5))
    assert_array_equal(drawn, expected)
    assert drawn.dtype == np.int32
    # A domain that nobody is drawn for keeps its first row, which may empty another one.
    D = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    drawn = _drawn_domains(np.array([0, 0, 1, 0]), D, np.array([0, 0, 2, 1]), rng)
    assert_array_equal(drawn, [0, 0, 2, 1])
