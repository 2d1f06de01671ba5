"""Starts on a table of counts, step by step, and single steps of tempered EM beside dense ones."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.seeding import kmeans_plusplus
from clusterlib.solvers.successive_projection import successive_projection
from clusterlib.solvers.tempered_plsa import TableStarts, smoothed_classes, tempered_plsa


def table(m=40, r=9, k=3, seed=0):
    rng = np.random.default_rng(seed)
    D, classes = rng.dirichlet(np.full(r, 0.8), size=k), rng.dirichlet(np.full(k, 0.3), size=m)
    counts = rng.poisson(rng.uniform(5, 80, size=m)[:, None] * (classes @ D)).astype(float)
    counts[:, counts.sum(axis=0) == 0] = 1.0
    counts[4] = 0.0
    return counts


def unit_rows(X):
    sums = X.sum(axis=1, keepdims=True)
    return np.where(sums > 0, X / np.where(sums > 0, sums, 1), 1 / X.shape[1])


def plain_start(counts, k, n_groups, rng):
    sizes = counts.sum(axis=1)
    scaled = counts / np.sqrt(counts.sum(axis=0) / counts.sum())
    rows = np.maximum(sizes, 1)[:, None]
    V = np.linalg.svd(scaled / np.sqrt(rows), full_matrices=False)[2][:k].T
    Z = np.ascontiguousarray(scaled @ V / rows)
    centers = kmeans_plusplus(Z, n_groups, rng, sample_weight=sizes).centers
    fit = lloyd(Z, centers, sample_weight=sizes, max_iter=50)
    masses = np.array([sizes[fit.labels == g].sum() for g in range(n_groups)])
    allowed = masses >= 0.2 * masses.mean()
    if allowed.sum() < k:
        allowed = masses > 0
    corners = list(successive_projection(fit.centers, k, allowed=allowed))
    for g in np.argsort(-masses, kind="stable"):
        if len(corners) < k and g not in corners:
            corners.append(g)
    D = np.stack([counts[fit.labels == g].sum(axis=0) for g in corners], axis=1)
    D = D + 0.5 / counts.shape[1]
    classes = np.maximum(Z @ np.linalg.pinv(fit.centers[corners]), 1e-3)
    return unit_rows(classes), D / D.sum(axis=0)


@pytest.mark.parametrize("n_groups", [3, 5, 12])
@pytest.mark.parametrize("seed", range(4))
def test_a_start_is_what_it_says(seed, n_groups):
    counts = table(seed=seed)
    found = TableStarts(csr_array(counts), 3).start(n_groups, np.random.default_rng(seed))
    expected = plain_start(counts, 3, n_groups, np.random.default_rng(seed))
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, atol=1e-8)


def test_groups_that_are_few_or_light_still_give_as_many_classes():
    # Clusters in one place: there is one corner, and the largest other groups fill up.
    counts = np.outer([900.0, 30, 20, 10, 10], [0.5, 0.3, 0.2])
    counts[3] = [10, 0, 0]
    found = TableStarts(csr_array(counts), 3).start(3, np.random.default_rng(0))
    expected = plain_start(counts, 3, 3, np.random.default_rng(0))
    assert found[1].shape == (3, 3)
    assert_allclose(found[1], expected[1], atol=1e-8)


def plain_step(counts, G, D, near, tau, beta):
    """Classes, domain shares and log-likelihood after one step."""
    sizes = counts.sum(axis=1)
    pooled = smoothed(G, sizes, near, tau)
    powers = (pooled[:, None] * D) ** beta
    shares = powers / powers.sum(axis=2, keepdims=True)
    G = unit_rows((counts[:, :, None] * shares).sum(axis=1))
    counted = (counts[:, :, None] * shares).sum(axis=0) + 0.5 / len(D)
    likelihood = (counts * np.log(pooled @ D.T)).sum() / sizes.sum()
    return G, counted / counted.sum(axis=0), likelihood


def smoothed(G, sizes, near, tau):
    means = np.stack([sizes[j] @ G[j] / max(sizes[j].sum(), 1) for j in near]) + 1e-3
    return unit_rows((means / means.max(axis=1, keepdims=True)) ** tau)


@pytest.mark.parametrize("n_iter", [1, 2, 5])
@pytest.mark.parametrize(("tau", "beta"), [(2.0, 3.0), (1.0, 1.0), (1.0, 2.0), (0.5, 1.0)])
def test_every_step_is_that_of_dense_tables(tau, beta, n_iter):
    counts, rng = table(), np.random.default_rng(3)
    near = rng.integers(0, 40, size=(40, 4)).astype(np.int32)
    G, D = rng.dirichlet(np.ones(3), size=40), rng.dirichlet(np.ones(9), size=3).T.copy()
    options = {"tau": tau, "beta": beta, "tol": 0.0}
    found = tempered_plsa(csr_array(counts), G, D, near, max_iter=n_iter, **options)
    history, moves = [], []
    for _ in range(n_iter):
        before = D
        G, D, likelihood = plain_step(counts, G, D, near, tau, beta)
        moves.append(0.5 * np.abs(D - before).sum(axis=0).max())
        history.append(likelihood)
    assert_allclose(found.responsibilities, G, atol=1e-10)
    assert_allclose(found.domain_given_class, D, atol=1e-10)
    assert_allclose(found.history, history, rtol=1e-10)
    pooled = smoothed(G, counts.sum(axis=1), near, tau)
    assert_allclose(found.pooled, pooled, atol=1e-10)
    assert_allclose(smoothed_classes(G, counts.sum(axis=1), near, tau), pooled, atol=1e-12)
    expected = (counts * np.log(pooled @ D.T)).sum() / counts.sum()
    assert found.log_likelihood == pytest.approx(expected)
    assert not found.converged
    # The tolerance is the largest move of a column, in total variation.
    start = rng.dirichlet(np.ones(3), size=40), rng.dirichlet(np.ones(9), size=3).T.copy()
    for factor in (0.999, 1.001):
        one = tempered_plsa(csr_array(counts), *start, near, max_iter=1, **options)
        move = 0.5 * np.abs(one.domain_given_class - start[1]).sum(axis=0).max()
        options["tol"] = factor * move
        again = tempered_plsa(csr_array(counts), *start, near, max_iter=1, **options)
        assert again.converged == (factor > 1)
        options["tol"] = 0.0


def test_labels_of_groups_do_not_depend_on_the_dtype():
    counts = table(seed=2)
    wide, narrow = (
        TableStarts(csr_array(counts.astype(dtype)), 3).start(6, np.random.default_rng(0))
        for dtype in (np.float64, np.float32)
    )
    assert narrow[0].dtype == narrow[1].dtype == np.float32
    assert_array_equal(wide[0].argmax(axis=1), narrow[0].argmax(axis=1))
    assert_allclose(narrow[1], wide[1], rtol=1e-5)
