"""Prototypes that are drawn to queries, pass by pass, beside dense plans of single episodes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from clusterlib.solvers import align_prototypes, align_prototypes_adaptively

EPSILON = 0.2
EXACT = {"tol": 1e-10, "max_iter": 20_000}


def episodes(n_episodes=3, n_classes=4, n_queries=20, d=3, seed=0):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(n_episodes, n_classes, d))
    classes = rng.choice(n_classes, p=[0.5, 0.3, 0.1, 0.1], size=(n_episodes, n_queries))
    queries = np.take_along_axis(start, classes[..., None], axis=1)
    return start, queries + 0.7 * rng.normal(size=(n_episodes, n_queries, d))


def distances(prototypes, queries):
    return ((prototypes[:, None] - queries) ** 2).sum(axis=2)


def exact_plan(C, a, epsilon):
    """By the scaling form, until columns stand still."""
    K, b, v = np.exp(-C / epsilon), 1 / C.shape[1], np.ones(C.shape[1])
    while True:
        u = a / (K @ v)
        before, v = v, b / (u @ K)
        if np.abs(v / before - 1).max() < 1e-13:
            return u[:, None] * K * v


def moved(start, plan, queries, share):
    """Start and mean of the queries, mixed."""
    masses = plan.sum(axis=1)
    means = plan @ queries / np.where(masses > 0, masses, 1)[:, None]
    return (1 - share)[:, None] * start + share[:, None] * means


def share_of(plan, mix, support, n):
    masses = plan.sum(axis=1)
    return np.where(masses > 0, mix if mix is not None else n * masses / (support + n * masses), 0)


@pytest.mark.parametrize("scale", ["max", "mean", "median", 2.5])
@pytest.mark.parametrize(("mix", "n_passes"), [(None, 1), (None, 3), (0.3, 2), (1.0, 2)])
def test_every_pass_under_given_masses(n_passes, mix, scale):
    start, queries = episodes()
    masses = np.array([0.4, 0.3, 0.0, 0.3])
    support = np.array([2.0, 1.0, 5.0, 0.5])
    found = align_prototypes(
        start, queries, EPSILON, class_masses=masses, n_passes=n_passes, mix=mix,
        support_mass=support, cost_scale=scale, **EXACT,
    )  # fmt: skip
    for e in range(3):
        at = start[e]
        for _ in range(n_passes):
            C = distances(at, queries[e])
            unit = scale if isinstance(scale, float) else getattr(np, scale)(C)
            plan = exact_plan(C / unit, masses, EPSILON)
            at = moved(start[e], plan, queries[e], share_of(plan, mix, support, 20))
        assert_allclose(found.prototypes[e], at, atol=1e-6)
        assert_allclose(found.plan[e], plan, atol=1e-7)
    assert_array_equal(found.class_masses, np.tile(masses, (3, 1)))
    assert found.is_balanced.all()
    assert found.converged.all()
    assert (found.marginal_error <= 1e-10).all()
    assert_array_equal(found.evidence, np.zeros(3))


def objective(C, plan, b, epsilon, at, start, support, unit):
    """F of the documentation, but for the penalty of the masses."""
    n = C.shape[1]
    here = plan > 0
    ratio = np.where(here, plan, 1) / np.where(here, b[:, None] / n, 1)
    entropy = (np.where(here, plan, 0) * np.log(ratio)).sum() - plan.sum() + b.sum()
    value = n * ((C / unit * plan).sum() / epsilon + entropy)
    return value + (support * ((at - start) ** 2).sum(axis=1)).sum() / (unit * epsilon)


@pytest.mark.parametrize(("n_passes", "penalty"), [(1, 0.0), (2, 1.0), (4, 1.0), (3, np.inf)])
def test_both_alignments_and_their_evidence(n_passes, penalty):
    start, queries = episodes()
    support = np.array([2.0, 1.0, 5.0, 0.5])
    found = align_prototypes_adaptively(
        start, queries, EPSILON, support, n_passes=n_passes, marginal_penalty=penalty, **EXACT
    )
    for e in range(3):
        unit = distances(start[e], queries[e]).max()
        given, equal = start[e], np.full(4, 0.25)
        for _ in range(n_passes):
            plan = exact_plan(distances(given, queries[e]) / unit, equal, EPSILON)
            given = moved(start[e], plan, queries[e], share_of(plan, None, support, 20))
        C = distances(given, queries[e])
        given_plan = exact_plan(C / unit, equal, EPSILON)
        worth = objective(C, given_plan, equal, EPSILON, given, start[e], support, unit)
        free, b = start[e], np.full(4, 0.25)

        def responsibilities(at, b, e=e, unit=unit):
            logs = np.log(b)[:, None] - distances(at, queries[e]) / unit / EPSILON
            return np.exp(logs - logsumexp(logs, axis=0)) / 20

        for _ in range(n_passes):
            plan = responsibilities(free, b)
            b = (20 * plan.sum(axis=1) + 1) / (20 + 4)
            free = moved(start[e], plan, queries[e], share_of(plan, None, support, 20))
        C, plan = distances(free, queries[e]), responsibilities(free, b)
        lower = objective(C, plan, b, EPSILON, free, start[e], support, unit)
        assert found.evidence[e] == pytest.approx(worth - lower, abs=1e-6)
        is_given = worth - lower <= (np.inf if penalty == np.inf else penalty * 1.5 * np.log(20))
        assert found.is_balanced[e] == is_given
        assert_allclose(found.prototypes[e], given if is_given else free, atol=1e-6)
        assert_allclose(found.plan[e], given_plan if is_given else plan, atol=1e-7)
        assert_allclose(found.class_masses[e], equal if is_given else b, atol=1e-9)
    assert (found.n_iter >= n_passes + n_passes + 1).all()


def test_one_class_has_equal_masses():
    start, queries = episodes(n_classes=4)
    found = align_prototypes_adaptively(
        start[:, :1], queries, EPSILON, np.ones(1), n_passes=2, marginal_penalty=0.0
    )
    assert found.is_balanced.all()
    assert_allclose(found.class_masses, 1.0)


def test_sweeps_of_all_passes_are_counted():
    start, queries = episodes()
    options = {"class_masses": np.full(4, 0.25), "mix": 0.0, "max_iter": 1, "tol": 0.0}
    for n_passes in (1, 3):
        found = align_prototypes(start, queries, EPSILON, n_passes=n_passes, **options)
        assert_array_equal(found.n_iter, np.full(3, n_passes))
    adaptive = align_prototypes_adaptively(
        start, queries, EPSILON, np.ones(4), n_passes=3, marginal_penalty=1.0, max_iter=1, tol=0.0
    )
    assert_array_equal(adaptive.n_iter, np.full(3, 3 + 1 + 3))
