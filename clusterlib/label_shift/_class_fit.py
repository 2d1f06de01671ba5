"""Classes from rows and their domains: the two methods of LatentLabelShift on checked data."""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.blocks import Blocks
from clusterlib.label_shift._cross_fit import out_of_fold
from clusterlib.label_shift._pooled import (
    ClassifierDomains,
    FrozenDomains,
    NeighborClasses,
    NeighborDomains,
)
from clusterlib.solvers import (
    RowClasses,
    domain_histograms,
    nearest_other_rows,
    tempered_label_shift,
)
from clusterlib.validation import Discriminator, ShiftMethod

__all__ = [
    "ClassFit",
    "Discriminated",
    "DomainRows",
    "counted_neighbors",
    "discriminated",
    "fit_tempered",
]

# Neighbours whose domains are counted: a hundredth of the rows, between these.
_FEWEST_COUNTED, _MOST_COUNTED = 30, 200
# Neighbours whose classes are averaged before another number is chosen.
_AVERAGED = 10


class DomainRows(NamedTuple):
    """Rows, the domain of each, and the number of domains."""

    X: np.ndarray | Blocks
    codes: np.ndarray
    n_domains: int

    def take(self, rows):
        X = self.X.finite_rows(rows) if isinstance(self.X, Blocks) else self.X[rows]
        return DomainRows(X, self.codes[rows], self.n_domains)


class Discriminated(NamedTuple):
    """What tells the domains of rows apart.

    Attributes
    ----------
    f : csr_array of shape (n, n_domains), float64
        Probabilities of the domains of each row, by what has not seen its own.
    neighbors : None or ndarray of shape (n, n_neighbors), int32
        Nearest other rows, the nearest first, where anything needs them.
    n_averaged : int
        Over how many of them classes are averaged.
    discriminator : object
        Has ``probabilities(X)`` for new rows.
    """

    f: scipy.sparse.csr_array
    neighbors: np.ndarray | None
    n_averaged: int
    discriminator: NamedTuple


class ClassFit(NamedTuple):
    """Classes by falling share, in the words of the estimator.

    Attributes
    ----------
    classes_of_rows : object
        Has ``probabilities(X)``: q(class | row) of new rows.
    pooled, posteriors : ndarray of shape (n, k), float64, or None
        q(class | row) of the fitted rows, without and with their domain; None where ``rows`` tells
        what is kept of them.
    domain_given_class, marginals : ndarray of shape (r, k), float64
        q(domain | class) and p(class | domain).
    log_likelihood : float
        Mean log q(domain | row), in nats.
    n_iter : int
        Iterations.
    converged : bool
        Whether they ended by the tolerance.
    start_log_likelihoods : ndarray of shape (n_starts,), float64
        Of the starts, where there are several.
    start_agreement : float
        Smallest agreement of finished starts with the best.
    n_neighbors : None or int
        Over how many neighbours classes were averaged, if over any.
    history : ndarray of shape (n_iter,), float64
        Log-likelihoods of the iterations.
    rows : None or RowClasses
        What is kept of the classes of rows that are many.
    """

    classes_of_rows: NamedTuple
    pooled: np.ndarray | None
    posteriors: np.ndarray | None
    domain_given_class: np.ndarray
    marginals: np.ndarray
    log_likelihood: float
    n_iter: int
    converged: bool
    start_log_likelihoods: np.ndarray
    start_agreement: float
    n_neighbors: int | None
    history: np.ndarray
    rows: RowClasses | None = None


def counted_neighbors(n_rows):
    """Over how many neighbours domains are counted: a hundredth of the rows, within limits."""
    return min(max(_FEWEST_COUNTED, min(n_rows // 100, _MOST_COUNTED)), n_rows - 1)


def discriminated(rows, options, rng, *, chooses=False):
    """Estimate q(domain | row) by neighbours, or by a classifier out of folds.

    Parameters
    ----------
    rows : DomainRows
        The rows.
    options : object
        Has ``method``, ``discriminator``, ``given_discriminator``, ``n_folds``,
        ``n_neighbors`` and ``domains``.
    rng : numpy.random.Generator
        Deals folds.
    chooses : bool, default=False
        Whether the number of classes is to be chosen, which takes neighbours in any case.

    Returns
    -------
    found : Discriminated
    """
    n = len(rows.X)
    by_neighbors = options.discriminator is Discriminator.NEIGHBORS
    n_averaged, n_counted = min(options.n_neighbors or _AVERAGED, n - 1), counted_neighbors(n)
    averages = chooses or options.method is ShiftMethod.TEMPERED
    n_wanted = max(n_averaged, n_counted) if averages else n_counted * by_neighbors
    near = nearest_other_rows(rows.X, n_wanted) if n_wanted else None
    if by_neighbors:
        f = domain_histograms(near[:, :n_counted], rows.codes, rows.n_domains)
        known = NeighborDomains(rows.X, rows.codes, rows.n_domains, n_counted)
        return Discriminated(f, near, n_averaged, known)
    classifier = options.given_discriminator
    if isinstance(classifier, FrozenEstimator):
        known = FrozenDomains.of(classifier, options.domains)
        f = scipy.sparse.csr_array(known.probabilities(rows.X))
        return Discriminated(f, near, n_averaged, known)
    if options.discriminator is Discriminator.LOGISTIC:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=1000))
    f, fitted = out_of_fold(
        "discriminator", classifier, rows.X, rows.codes, rows.n_domains, options.n_folds, rng
    )
    known = ClassifierDomains(fitted, rows.n_domains)
    return Discriminated(scipy.sparse.csr_array(f), near, n_averaged, known)


def fit_tempered(rows, found, n_classes, options, rng, callback=None):
    """Find classes by the tempered method.

    Parameters
    ----------
    rows : DomainRows
        The rows.
    found : Discriminated
        What tells their domains apart, with neighbours.
    n_classes : int
        Number of classes.
    options : object
        Has ``tau``, ``beta``, ``n_starts``, ``max_iter`` and ``tol``.
    rng : numpy.random.Generator
        Draws starts.
    callback : None or callable, default=None
        As in :func:`clusterlib.solvers.tempered_label_shift`.

    Returns
    -------
    fit : ClassFit
    """
    chooses = options.n_neighbors is None
    n_offered = found.neighbors.shape[1] if chooses else found.n_averaged
    result = tempered_label_shift(
        found.f,
        np.ascontiguousarray(found.neighbors[:, :n_offered]),
        rows.codes,
        rows.n_domains,
        n_classes,
        rng=rng,
        choose_neighbors=chooses,
        tau=options.tau,
        beta=options.beta,
        n_starts=options.n_starts,
        max_iter=options.max_iter,
        tol=options.tol,
        callback=callback,
    )
    known = NeighborClasses(rows.X, result.responsibilities, result.n_neighbors, options.tau)
    return ClassFit(
        known,
        result.pooled,
        result.posteriors,
        result.domain_given_class,
        result.marginals,
        result.log_likelihood,
        result.n_iter,
        result.converged,
        result.start_log_likelihoods,
        result.start_agreement,
        result.n_neighbors,
        result.history,
    )
