"""Prototypes move to queries as the paper says, and the adaptive objective is what it claims."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import align_prototypes, align_prototypes_adaptively

N_CLASSES = 4


def episodes(sizes, n_episodes=6, d=8, spread=0.5, seed=0):
    """Starts near the class means, queries around them, and the classes of the queries."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_episodes, N_CLASSES, d))
    classes = np.repeat(np.arange(N_CLASSES), sizes)
    queries = means[:, classes] + spread * rng.normal(size=(n_episodes, len(classes), d))
    return means + 0.4 * rng.normal(size=means.shape), queries, classes


def accuracy(prototypes, queries, classes):
    distances = ((prototypes[:, :, None] - queries[:, None]) ** 2).sum(axis=3)
    return (distances.argmin(axis=1) == classes).mean()


def log_sum_exp(values, axis):
    top = values.max(axis=axis, keepdims=True)
    return top + np.log(np.exp(values - top).sum(axis=axis, keepdims=True))


def objective(start, queries, prototypes, plan, masses, weights, scale, epsilon):
    """The function of the Notes of align_prototypes_adaptively without its penalty."""
    n = queries.shape[0]
    costs = ((prototypes[:, None] - queries) ** 2).sum(axis=2) / scale
    divergence = (plan * (np.log(plan + 1e-300) - np.log(masses[:, None] / n))).sum()
    support = (weights * ((prototypes - start) ** 2).sum(axis=1)).sum() / (scale * epsilon)
    return n * ((costs * plan).sum() / epsilon + divergence) + support


def test_one_pass_is_a_barycentric_map():
    start, queries, _ = episodes([5, 5, 5, 5])
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    aligned = align_prototypes(
        start, queries, 0.1, class_masses=shares, n_passes=1, mix=0.7, tol=1e-12
    )
    plan = aligned.plan
    assert aligned.converged.all()
    assert aligned.is_balanced.all()
    assert_allclose(plan.sum(axis=2), np.tile(shares, (6, 1)), atol=1e-11)
    assert_allclose(plan.sum(axis=1), np.full((6, 20), 1 / 20), atol=1e-11)
    costs = ((start[:, :, None] - queries[:, None]) ** 2).sum(axis=3)
    potentials = np.log(plan) + costs / (0.1 * costs.max(axis=(1, 2), keepdims=True))
    centred = potentials - potentials.mean(axis=1, keepdims=True)
    assert_allclose(centred, np.broadcast_to(centred[:, :, :1], plan.shape), atol=1e-9)
    means = plan @ queries / plan.sum(axis=2, keepdims=True)
    assert_allclose(aligned.prototypes, 0.7 * means + 0.3 * start, rtol=1e-10)


def test_a_mix_of_nothing_moves_nothing():
    start, queries, _ = episodes([3, 3, 3, 3])
    equal = np.full(N_CLASSES, 0.25)
    aligned = align_prototypes(start, queries, 0.1, class_masses=equal, n_passes=3, mix=0.0)
    assert_array_equal(aligned.prototypes, start)


def test_mass_mixes_labelled_rows_and_queries_by_number():
    start, queries, _ = episodes([5, 5, 5, 5])
    equal, weights = np.full(N_CLASSES, 0.25), np.array([1.0, 2.0, 4.0, 1e9])
    aligned = align_prototypes(
        start, queries, 0.1, class_masses=equal, n_passes=1, support_mass=weights, tol=1e-12
    )
    gains = 20 * (aligned.plan @ queries)
    expected = (weights[:, None] * start + gains) / (weights + 5)[:, None]
    assert_allclose(aligned.prototypes, expected, rtol=1e-9)
    assert_allclose(aligned.prototypes[:, 3], start[:, 3], atol=1e-6)


def test_a_class_without_mass_stays():
    start, queries, _ = episodes([7, 7, 7, 0])
    shares = np.array([1, 1, 1, 0]) / 3
    for mix in (1.0, None):
        aligned = align_prototypes(
            start, queries, 0.05, class_masses=shares, n_passes=4, mix=mix, support_mass=np.ones(4)
        )
        assert np.isfinite(aligned.prototypes).all()
        assert_array_equal(aligned.prototypes[:, 3], start[:, 3])
        assert_array_equal(aligned.plan[:, 3], np.zeros((6, 21)))


@pytest.mark.parametrize("sizes", [[10, 10, 10, 10], [25, 10, 3, 2]])
def test_episodes_do_not_know_each_other(sizes):
    start, queries, _ = episodes(sizes)
    settings = {"n_passes": 4, "marginal_penalty": 3.25}
    weights = np.full(N_CLASSES, 4.0)
    together = align_prototypes_adaptively(start, queries, 0.05, weights, **settings)
    for e in range(len(start)):
        part = slice(e, e + 1)
        alone = align_prototypes_adaptively(start[part], queries[part], 0.05, weights, **settings)
        assert_allclose(alone.prototypes[0], together.prototypes[e], rtol=1e-10)
        assert_allclose(alone.evidence[0], together.evidence[e], rtol=1e-8)


@pytest.mark.parametrize("penalty", [0.0, np.inf])
def test_evidence_is_the_difference_of_two_objectives(penalty):
    """Evaluated from plans, not from potentials and log-likelihoods as the solver does."""
    start, queries, _ = episodes([20, 10, 6, 4])
    epsilon, weights = 0.1, np.array([4.0, 8.0, 4.0, 2.0])
    scale = ((start[:, :, None] - queries[:, None]) ** 2).sum(axis=3).max(axis=(1, 2))
    # With the scale given as 1 the same cost comes from rows divided by its root.
    roots = np.sqrt(scale)[:, None, None]
    start, queries = start / roots, queries / roots
    keywords = {"cost_scale": 1.0, "tol": 1e-12, "max_iter": 5000}
    aligned = align_prototypes_adaptively(
        start, queries, epsilon, weights, n_passes=3, marginal_penalty=penalty, **keywords
    )
    equal = np.full(N_CLASSES, 0.25)
    balanced = align_prototypes(
        start, queries, epsilon, class_masses=equal, n_passes=3, support_mass=weights, **keywords
    )
    last = align_prototypes(
        balanced.prototypes, queries, epsilon, class_masses=equal, n_passes=1, mix=0.0, **keywords
    )
    free = align_prototypes_adaptively(
        start, queries, epsilon, weights, n_passes=3, marginal_penalty=0.0, **keywords
    )
    for e in np.flatnonzero(~free.is_balanced):
        high = objective(
            start[e], queries[e], balanced.prototypes[e], last.plan[e], equal, weights, 1, epsilon
        )
        costs = ((free.prototypes[e][:, None] - queries[e]) ** 2).sum(axis=2)
        posterior = np.log(free.class_masses[e])[:, None] - costs / epsilon
        posterior = np.exp(posterior - log_sum_exp(posterior, 0)) / queries.shape[1]
        low = objective(
            start[e], queries[e], free.prototypes[e], posterior, free.class_masses[e], weights, 1,
            epsilon,
        )  # fmt: skip
        assert_allclose(aligned.evidence[e], high - low, rtol=1e-7)
    assert not free.is_balanced.all()
    assert aligned.is_balanced.all() == (penalty == np.inf)


def test_passes_lower_the_objective():
    start, queries, _ = episodes([10, 10, 10, 10], n_episodes=1)
    weights, equal = np.full(N_CLASSES, 2.0), np.full(N_CLASSES, 0.25)
    keywords = {"cost_scale": 10.0, "tol": 1e-12, "max_iter": 5000}
    values = []
    for n_passes in range(1, 6):
        moved = align_prototypes(
            start, queries, 0.2, class_masses=equal, n_passes=n_passes, support_mass=weights,
            **keywords,
        ).prototypes  # fmt: skip
        plan = align_prototypes(
            moved, queries, 0.2, class_masses=equal, n_passes=1, mix=0.0, **keywords
        ).plan
        values.append(objective(start[0], queries[0], moved[0], plan[0], equal, weights, 10.0, 0.2))
    assert (np.diff(values) <= 1e-9).all()
    assert values[-1] < values[0] - 0.01


def test_balanced_queries_are_found_balanced_and_others_not():
    weights = np.full(N_CLASSES, 4.0)
    settings = {"n_passes": 6, "marginal_penalty": 3.25}
    for sizes, is_balanced in (([20, 20, 20, 20], True), ([50, 20, 8, 2], False)):
        start, queries, classes = episodes(sizes, n_episodes=40)
        aligned = align_prototypes_adaptively(start, queries, 0.03, weights, **settings)
        assert (aligned.is_balanced == is_balanced).mean() > 0.9
        assert_allclose(aligned.class_masses.sum(axis=1), 1)
        moved = accuracy(aligned.prototypes, queries, classes)
        assert moved > accuracy(start, queries, classes)
        plain = align_prototypes(
            start, queries, 0.05, class_masses=np.full(4, 0.25), n_passes=5, mix=1.0
        )
        loss = accuracy(plain.prototypes, queries, classes) - moved
        assert loss < (0.01 if is_balanced else -0.05)


@pytest.mark.parametrize("scale", ["max", "mean", "median", 3.0])
def test_scales_make_units_disappear(scale):
    start, queries, _ = episodes([8, 8, 8, 8])
    factor = 64.0
    other = scale if isinstance(scale, str) else scale * factor**2
    weights = np.full(N_CLASSES, 4.0)
    one, two = (
        align_prototypes_adaptively(
            c * start, c * queries, 0.05, weights, n_passes=3, marginal_penalty=1.0, cost_scale=s
        )
        for c, s in ((1.0, scale), (factor, other))
    )
    assert_allclose(two.prototypes, factor * one.prototypes, rtol=1e-9)
    assert_allclose(two.evidence, one.evidence, rtol=1e-7, atol=1e-9)


def test_single_precision_is_near_double():
    start, queries, _ = episodes([8, 8, 8, 8])
    weights = np.full(N_CLASSES, 4.0)
    narrow, wide = (
        align_prototypes_adaptively(
            start.astype(dtype), queries.astype(dtype), 0.1, weights, n_passes=3,
            marginal_penalty=np.inf,
        )
        for dtype in (np.float32, np.float64)
    )  # fmt: skip
    assert narrow.prototypes.dtype == np.float32
    assert_allclose(narrow.prototypes, wide.prototypes, atol=2e-4)
    assert_allclose(narrow.evidence, wide.evidence, atol=2e-2)


def test_equal_points_and_single_queries():
    start, queries = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    weights = np.full(3, 4.0)
    for penalty in (0.0, 3.25, np.inf):
        for batch in (queries, queries[:, :1]):
            aligned = align_prototypes_adaptively(
                start, batch, 0.03, weights, n_passes=3, marginal_penalty=penalty
            )
            assert_allclose(aligned.prototypes, start)
            assert np.isfinite(aligned.evidence).all()
            assert np.isfinite(aligned.plan).all()


def test_too_few_sweeps_are_reported():
    start, queries, _ = episodes([20, 5, 2, 1], spread=0.2)
    equal = np.full(N_CLASSES, 0.25)
    aligned = align_prototypes(
        start, queries, 0.005, class_masses=equal, n_passes=2, mix=1.0, max_iter=2
    )
    assert not aligned.converged.any()
    assert_array_equal(aligned.n_iter, np.full(6, 4))
    assert (aligned.marginal_error > 1e-3).all()
