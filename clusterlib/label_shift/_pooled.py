"""What a fit keeps to tell the classes of new rows: one small object for each way of doing it.

Each has ``probabilities(X)``: q(class | row) of the domains together, an array of shape
(n, n_classes), float64, whose rows sum to 1.
"""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from clusterlib.label_shift._cross_fit import code_probabilities
from clusterlib.solvers import domain_histograms, nearest_rows, posteriors_of_neighbors
from clusterlib.validation import check_is_fitted, checked_probabilities

__all__ = [
    "ClassifierDomains",
    "FrozenDomains",
    "NeighborClasses",
    "NeighborDomains",
    "ProjectedClasses",
    "StudentClasses",
]


class NeighborClasses(NamedTuple):
    """Classes from those of the nearest rows of the fit."""

    rows: np.ndarray
    responsibilities: np.ndarray
    n_neighbors: int
    tau: float

    def probabilities(self, X):
        near = nearest_rows(_like(X, self.rows), self.rows, self.n_neighbors)
        return posteriors_of_neighbors(self.responsibilities, near, tau=self.tau)


class NeighborDomains(NamedTuple):
    """Domains from those of the nearest rows of the fit: a discriminator without training."""

    rows: np.ndarray
    codes: np.ndarray
    n_domains: int
    n_neighbors: int

    def probabilities(self, X):
        near = nearest_rows(_like(X, self.rows), self.rows, self.n_neighbors)
        return domain_histograms(near, self.codes, self.n_domains)


class ClassifierDomains(NamedTuple):
    """Domains from a classifier that was fitted to them."""

    fitted: tuple
    n_domains: int

    def probabilities(self, X):
        return code_probabilities("discriminator", self.fitted, X, self.n_domains)


class FrozenDomains(NamedTuple):
    """Domains from a classifier that the user has fitted, to the names of the domains."""

    classifier: BaseEstimator
    columns: np.ndarray
    n_domains: int

    @classmethod
    def of(cls, classifier, domains):
        """A fitted classifier whose classes are domains, all of them or some."""
        check_is_fitted(classifier)
        names = np.asarray(classifier.classes_)
        unknown = ~np.isin(names, domains)
        if unknown.any():
            raise ValueError(
                f"discriminator knows the class {names[unknown].tolist()[0]!r}, which is no domain "
                "in y: a FrozenEstimator has to be fitted to the domains"
            )
        return cls(classifier, np.searchsorted(domains, names), len(domains))

    def probabilities(self, X):
        found = np.zeros((len(X), self.n_domains))
        shape = len(X), len(self.columns)
        said = self.classifier.predict_proba(X)
        found[:, self.columns] = checked_probabilities("discriminator", said, shape)
        return found


class ProjectedClasses(NamedTuple):
    """Classes from a discriminator of the domains, whose answer is a mixture of classes."""

    discriminator: NamedTuple
    domain_given_class: np.ndarray
    project: object

    def probabilities(self, X):
        return self.project(self.discriminator.probabilities(X), self.domain_given_class)


class StudentClasses(NamedTuple):
    """Classes from a classifier that was trained on those of the fit, in another order."""

    fitted: tuple
    order: np.ndarray

    def probabilities(self, X):
        return code_probabilities("student", self.fitted, X, len(self.order))[:, self.order]


def _like(X, rows):
    """New rows in the dtype of those that are compared with them."""
    return X.astype(rows.dtype, copy=False)
