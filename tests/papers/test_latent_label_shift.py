"""Latent label shift with a finite number of inputs, where everything is exact.

Domains d mix classes y, ``p_d(x) = sum_y p_d(y) p(x | y)``, and every class has inputs that no
other class has. Then the probabilities q(d | x) lie in a simplex whose corners are those of the
classes, and class shares follow from them up to the order of the classes.
"""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import NMF

from clusterlib.label_shift import LatentLabelShift
from clusterlib.solvers import domain_vertices, recovered_marginals

SHAPES = [(4, 6, 60, 3.0), (4, 4, 60, 3.0), (10, 15, 400, 3.0), (10, 15, 400, 10.0)]


def world(seed, n_classes, n_domains, n_inputs, concentration):
    """Class shares of domains (r, k) and inputs of classes (k, N); the first k inputs are pure."""
    rng = np.random.default_rng(seed)
    marginals = rng.dirichlet(np.full(n_classes, concentration / n_classes), size=n_domains)
    inputs = rng.dirichlet(np.full(n_inputs, 0.3), size=n_classes)
    inputs[:, :n_classes] = np.diag(rng.uniform(0.02, 0.1, n_classes))
    return marginals, inputs / inputs.sum(axis=1, keepdims=True)


def matched(true, found):
    """Found shares with their classes in the order of the true ones."""
    costs = np.abs(true[:, :, None] - found[:, None, :]).mean(axis=0)
    return found[:, linear_sum_assignment(costs)[1]]


@pytest.mark.parametrize("equal", [True, False], ids=["equal domains", "unequal domains"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_exact_tables_give_exact_class_shares(shape, equal, seed):
    marginals, inputs = world(seed, *shape)
    n_classes, n_domains = shape[:2]
    shares = np.full(n_domains, 1 / n_domains)
    if not equal:
        shares = np.random.default_rng(seed + 100).dirichlet(np.full(n_domains, 3.0))
    table = (shares[:, None] * marginals @ inputs).T
    corners = domain_vertices(table, n_classes)
    found = recovered_marginals(corners, shares)
    assert np.abs(marginals - matched(marginals, found.marginals)).max() < 1e-12
    prior = np.sort(shares @ marginals)
    np.testing.assert_allclose(np.sort(found.class_prior), prior, rtol=1e-10)


def test_a_factorisation_from_a_random_start_is_another_one():
    """It fits the exact table, and its class shares are wrong all the same."""
    n_classes = SHAPES[0][0]
    marginals, inputs = world(0, *SHAPES[0])
    A = marginals @ inputs
    errors = []
    for seed in range(3):
        model = NMF(n_classes, init="random", random_state=seed, tol=1e-5, max_iter=5000)
        P = model.fit_transform(A) * model.components_.sum(axis=1)
        assert model.reconstruction_err_ < 0.01 * np.linalg.norm(A)
        found = P / P.sum(axis=1, keepdims=True)
        errors.append(np.abs(marginals - matched(marginals, found)).mean())
    assert np.median(errors) > 0.01


class Oracle(ClassifierMixin, BaseEstimator):
    """Knows q(d | x) for every input x, which is the only feature."""

    def __init__(self, probabilities):
        self.probabilities = probabilities

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return self.probabilities[np.asarray(X)[:, 0].astype(int)]


@pytest.fixture(scope="module")
def sample():
    """Rows in exactly the numbers that they have in a world of 14 inputs, 3 classes, 5 domains."""
    rng = np.random.default_rng(4)
    counts = 20 * rng.permuted(np.tile([1, 2, 6], (5, 1)), axis=1)  # of domain and class
    inputs = np.zeros((3, 14), dtype=int)  # twentieths
    inputs[:, :3] = 5 * np.eye(3, dtype=int)
    for row in inputs:
        np.add.at(row, rng.integers(3, 14, size=15), 1)
    rows = [
        (x, d, y)
        for d in range(5)
        for y in range(3)
        for x in np.repeat(np.arange(14), counts[d, y] * inputs[y] // 20)
    ]
    x, domains, y = np.array(rows).T
    return x, domains, y


def test_an_oracle_and_corners_find_classes_exactly(sample):
    x, domains, y = sample
    X = x[:, None].astype(np.float64)
    table = np.zeros((14, 5))
    np.add.at(table, (x, domains), 1)
    table = table[np.unique(x)]
    oracle = np.zeros((14, 5))
    oracle[np.unique(x)] = table / table.sum(axis=1, keepdims=True)
    model = LatentLabelShift(
        n_classes=3,
        method="ddfa",
        discriminator=Oracle(oracle),
        cross_fit=False,
        n_clusters=len(table),
        factorizer="anchor",
        adjust="pinv",
        random_state=0,
    ).fit(X, domains)
    true = np.zeros((5, 3))
    np.add.at(true, (domains, y), 1)
    true /= true.sum(axis=1, keepdims=True)
    costs = np.abs(true[:, :, None] - model.label_marginals_[:, None, :]).mean(axis=0)
    order = linear_sum_assignment(costs)[1]
    assert np.abs(true - model.label_marginals_[:, order]).max() < 1e-12
    # The class of an input in a domain, counted among the rows that are there.
    cells = np.zeros((14, 5, 3))
    np.add.at(cells, (x, domains, y), 1)
    posteriors = cells[x, domains] / cells[x, domains].sum(axis=1, keepdims=True)
    found = model.predict_proba(X, domain=domains)[:, order]
    assert np.abs(posteriors - found).max() < 1e-8
