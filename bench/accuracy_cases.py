"""Data with known groups and methods that look for them, for ``bench.accuracy``."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn import datasets
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from clusterlib import cluster
from clusterlib.datasets import make_heterogeneous_mixture

OURS = "LikelihoodAdjustedSDP"
KNOWING = "known covariances"
DIGITS = (1, 3, 8, 9)
MOST_FEATURES = 200  # in which known covariances are worked with: nobody reduces them


@dataclass(frozen=True)
class Sample:
    """Rows, their groups, and the covariances of the groups where these are known."""

    X: np.ndarray
    labels: np.ndarray
    covariances: np.ndarray | None = None

    @property
    def n_groups(self) -> int:
        return int(self.labels.max()) + 1


def _mixture(setting: str, **options) -> Callable[[int], Sample]:
    def draw(seed):
        mixture = make_heterogeneous_mixture(setting, random_state=seed, **options)
        return Sample(mixture.X, mixture.labels, mixture.covariances)

    return draw


def _table(load: Callable, *, standardised: bool) -> Callable[[int], Sample]:
    """A real table: the same for every seed, which is left to the methods."""

    def draw(seed):
        X, labels = load(return_X_y=True)
        return Sample(StandardScaler().fit_transform(X) if standardised else X, labels)

    return draw


def _some_digits(seed):
    X, labels = datasets.load_digits(return_X_y=True)
    chosen = np.isin(labels, DIGITS)
    return Sample(X[chosen], np.searchsorted(DIGITS, labels[chosen]))


MIXTURES = {
    "long_axes p=50": _mixture("long_axes"),
    "long_axes p=200": _mixture("long_axes", n_features=200),
    "elongated": _mixture("elongated"),
    "wide_and_tight": _mixture("wide_and_tight"),
    "wide_and_tight n=60": _mixture("wide_and_tight", n_samples=60),
    "crossed": _mixture("crossed"),
    "crossed n=60": _mixture("crossed", n_samples=60),
    "concentric": _mixture("concentric"),
    "unequal_balls": _mixture("unequal_balls"),
    "equal_balls p=400": _mixture("equal_balls"),
    "unequal_sizes": _mixture("unequal_sizes"),
    "nested": _mixture("nested"),
}
"""Settings of ``make_heterogeneous_mixture``, 150 rows each where no number is told."""

TABLES = {
    "iris": _table(datasets.load_iris, standardised=False),
    "wine": _table(datasets.load_wine, standardised=True),
    "breast cancer": _table(datasets.load_breast_cancer, standardised=True),
    "digits 1 3 8 9": _some_digits,
}
"""Tables that come with scikit-learn; olive oils, crabs and glass would need a download."""

SETTINGS = MIXTURES | TABLES


def _k_means(sample, seed):
    return KMeans(sample.n_groups, n_init=10, random_state=seed).fit_predict(sample.X)


def _k_means_relaxation(sample, seed):
    return cluster.SDPClustering(sample.n_groups, random_state=seed).fit_predict(sample.X)


def _ward(sample, seed):
    return AgglomerativeClustering(sample.n_groups).fit_predict(sample.X)


def _em(sample, seed, *, X=None, covariance_type="full"):
    model = GaussianMixture(sample.n_groups, n_init=10, random_state=seed)
    model.set_params(covariance_type=covariance_type)
    return model.fit_predict(sample.X if X is None else X)


def _em_diag(sample, seed):
    return _em(sample, seed, covariance_type="diag")


def _em_after_pca(sample, seed):
    """Two axes for each group; None where that is about what there is."""
    n_axes = 2 * sample.n_groups
    if sample.X.shape[1] <= n_axes + 2:
        return None
    axes = PCA(n_axes, svd_solver="full")
    return _em(sample, seed, X=axes.fit_transform(sample.X))


def _likelihood(sample, seed):
    return cluster.LikelihoodAdjustedSDP(sample.n_groups, random_state=seed).fit_predict(sample.X)


def _known_covariances(sample, seed):
    """What is possible for somebody who knows the covariances, but not whose they are."""
    if sample.covariances is None or sample.X.shape[1] > MOST_FEATURES:
        return None
    model = cluster.LikelihoodAdjustedSDP(sample.n_groups, covariances=sample.covariances)
    return model.set_params(random_state=seed).fit_predict(sample.X)


METHODS = {
    "KMeans": _k_means,
    "SDPClustering": _k_means_relaxation,
    "Ward": _ward,
    "EM": _em,
    "EM after PCA": _em_after_pca,
    "EM diag": _em_diag,
    OURS: _likelihood,
    KNOWING: _known_covariances,
}
"""Labels from a sample and a seed; ten starts where a method has starts, else its defaults."""

PEERS = ("KMeans", "Ward", "EM", "EM after PCA")
"""Methods that ours is held against: those of users who know no more than it does."""
