"""Methods for latent label shift, and what knows more than they do, for ``bench.label_shift``.

The published procedure is written down from its description: discriminate domains, discretise what
the discriminator says, factorise the table of cells and domains, adjust.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.label_shift_cases import Task
from clusterlib.label_shift import LatentLabelShift

TINY = 1e-12


class Found(NamedTuple):
    """Labels of the test rows, and class shares of each domain by those labels."""

    labels: np.ndarray
    marginals: np.ndarray  # (n_domains, n_classes)


def _shares(task, labels, n_labels):
    """Share of each label among the training rows of each domain."""
    counts = np.zeros((task.n_domains, n_labels))
    np.add.at(counts, (task.domains, labels), 1)
    return counts / counts.sum(axis=1, keepdims=True)


def _k_means(task, seed):
    model = KMeans(task.n_classes, n_init=10, random_state=seed).fit(task.X)
    return Found(model.predict(task.X_test), _shares(task, model.labels_, task.n_classes))


def _gaussian_mixture(task, seed, n_features=20):
    model = GaussianMixture(task.n_classes, n_init=3, random_state=seed)
    model.fit(task.X[:, :n_features])
    labels = model.predict(task.X[:, :n_features])
    predicted = model.predict(task.X_test[:, :n_features])
    return Found(predicted, _shares(task, labels, task.n_classes))


class Discriminator(NamedTuple):
    """Probabilities of the domains given the rows, (n_samples, n_domains)."""

    train: np.ndarray
    test: np.ndarray


def _regression(task):
    """A regularised discriminator, which has seen the domains of the training rows."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=1000))
    model.fit(task.X, task.domains)
    return Discriminator(model.predict_proba(task.X), model.predict_proba(task.X_test))


def _neighbours(task):
    """Shares of domains among neighbours, the row itself left out."""
    n_neighbors = int(np.clip(len(task.X) / 100, 30, 200))
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(task.X)
    members = np.eye(task.n_domains)[task.domains]
    own, new = search.kneighbors(return_distance=False), search.kneighbors(task.X_test)[1]
    return Discriminator(members[own].mean(axis=1), members[new].mean(axis=1))


def _cells(task, probabilities, n_cells, seed):
    """Counts of cells and domains, (n_cells, n_domains)."""
    model = KMeans(n_cells, n_init=5, max_iter=100, random_state=seed).fit(probabilities)
    counts = np.zeros((n_cells, task.n_domains))
    np.add.at(counts, (model.labels_, task.domains), 1)
    return counts


def _factorised(counts, n_classes, seed):
    """Class shares of the domains by one run of NMF from a random start."""
    A = counts / counts.sum(axis=0)
    model = NMF(n_classes, init="random", random_state=seed)
    P, C = model.fit_transform(A.T), model.components_
    P = P * C.sum(axis=1)
    return P / P.sum(axis=1, keepdims=True)


def _adjusted(weights, domain_given_class, domains):
    """Most probable class given row and domain, from those given the row alone."""
    return (weights * domain_given_class[domains]).argmax(axis=1)


def _by_pseudoinverse(task, discriminator, seed, *, cells_per_class=1):
    """The published procedure behind the discriminator; domains count alike."""
    counts = _cells(task, discriminator.train, cells_per_class * task.n_classes, seed)
    marginals = _factorised(counts, task.n_classes, seed)
    sums = marginals.sum(axis=0)
    D = marginals / np.where(sums > 0, sums, 1e-8)
    posterior = (discriminator.test @ np.linalg.pinv(D).T) * D[task.domains_test]
    sums = posterior.sum(axis=1, keepdims=True)  # which may be negative, as published
    posterior /= np.where(sums == 0, 1.0, sums)
    return Found(posterior.argmax(axis=1), marginals)


def _vertices(counts, shares, n_classes):
    """Rows of the cells' domain probabilities that stand out one after the other; (r, k)."""
    A = counts / counts.sum(axis=0)
    F = A * shares / np.maximum(A @ shares, TINY)[:, None]
    scaled = F / np.sqrt(shares)
    if len(shares) > n_classes:
        scaled = scaled @ np.linalg.svd(scaled, full_matrices=False)[2][:n_classes].T
    large = counts.sum(axis=1) >= max(10, 0.2 * counts.sum() / len(counts))
    if large.sum() < n_classes:
        large[:] = True
    chosen = []
    for _ in range(n_classes):
        norms = np.where(large, (scaled**2).sum(axis=1), -1.0)
        chosen.append(int(norms.argmax()))
        axis = scaled[chosen[-1]] / max(np.sqrt(norms.max()), TINY)
        scaled = scaled - np.outer(scaled @ axis, axis)
    return F[chosen].T


def _projected(probabilities, D, n_sweeps=100):
    """Shares of classes whose mixture of the columns of D is nearest in likelihood."""
    weights = np.full((len(probabilities), D.shape[1]), 1 / D.shape[1])
    for _ in range(n_sweeps):
        weights *= (probabilities / np.maximum(weights @ D.T, TINY)) @ D
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), TINY)
    return weights


def _by_vertices(task, seed):
    discriminator = _neighbours(task)
    counts = _cells(task, discriminator.train, task.n_classes, seed)
    shares = counts.sum(axis=0) / counts.sum()
    D = np.maximum(_vertices(counts, shares, task.n_classes), TINY)
    prior = nnls(D, shares)[0]
    marginals = D * prior / shares[:, None]
    weights = _projected(discriminator.test, D)
    marginals /= marginals.sum(axis=1, keepdims=True)
    return Found(_adjusted(weights, D, task.domains_test), marginals)


def _published(cells_per_class):
    return lambda task, seed: _by_pseudoinverse(
        task, _regression(task), seed, cells_per_class=cells_per_class
    )


def _ours(**options):
    def find(task, seed):
        model = LatentLabelShift(n_classes=task.n_classes, random_state=seed, **options)
        model.fit(task.X, task.domains)
        labels = model.predict(task.X_test, domain=task.domains_test)
        return Found(labels, model.label_marginals_)

    return find


def _supervised(task, seed):
    """Somebody who knows the labels of the training rows and the class shares of the domains."""
    model = KNeighborsClassifier(10).fit(task.X, task.y)
    prior = np.bincount(task.y, minlength=task.n_classes) / len(task.y)
    weights = np.zeros((len(task.X_test), task.n_classes))
    weights[:, model.classes_] = model.predict_proba(task.X_test)
    odds = (weights + 1e-3) * task.label_marginals[task.domains_test] / np.maximum(prior, TINY)
    return Found(odds.argmax(axis=1), _shares(task, task.y, task.n_classes))


SUPERVISED = "supervised"
PUBLISHED = ("published m=k", "published m=3k")

METHODS: dict[str, Callable[[Task, int], Found]] = {
    "k-means": _k_means,
    "mixture": _gaussian_mixture,
    PUBLISHED[0]: _published(1),
    PUBLISHED[1]: _published(3),
    "neighbours + NMF": lambda task, seed: _by_pseudoinverse(task, _neighbours(task), seed),
    "neighbours + vertices": _by_vertices,
    "ours, ddfa": _ours(method="ddfa"),
    "ours": _ours(),
    "ours, student": _ours(student="auto"),
    SUPERVISED: _supervised,
}
"""What is found from rows and their domains, and a seed."""
