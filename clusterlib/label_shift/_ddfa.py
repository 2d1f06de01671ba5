"""The published procedure: discriminate, discretise, factorise, adjust (DDFA)."""

import warnings

import numpy as np
import scipy.sparse
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from clusterlib.label_shift._class_fit import ClassFit
from clusterlib.label_shift._domain_posteriors import posteriors_of_domains
from clusterlib.label_shift._pooled import ProjectedClasses
from clusterlib.solvers import (
    class_weights,
    domain_counts,
    domain_vertices,
    kmeans_plusplus,
    lloyd,
    recovered_marginals,
)
from clusterlib.validation import Adjustment, DomainShares, Factorizer, checked_class_clusters

__all__ = [
    "PROJECTIONS",
    "best_clustering",
    "class_factors",
    "factorized_marginals",
    "fit_ddfa",
    "inverted_weights",
    "number_of_clusters",
    "projected_weights",
]

# Iterations of a start of k-means, and what stands for the sum of an empty class.
_KMEANS_ITERATIONS = 100
_EMPTY = 1e-8
# Clusters for each class: corners of the simplex need purer ones than a factorisation.
_CLUSTERS_OF = {Factorizer.NMF: 1, Factorizer.ANCHOR: 2}
_TINY = np.finfo(np.float64).tiny


def fit_ddfa(rows, found, n_classes, options, rng, callback=None):
    """Find classes by the published procedure, or with anchors in place of its factorisation.

    Parameters
    ----------
    rows : DomainRows
        The rows.
    found : Discriminated
        What tells their domains apart.
    n_classes : int
        Number of classes.
    options : object
        Has ``n_clusters``, ``factorizer``, ``adjust`` and ``shares``.
    rng : numpy.random.Generator
        Draws centres, and seeds the factorisation.
    callback : None or callable, default=None
        ``callback(0, n_iter, log_likelihood)`` at the end.

    Returns
    -------
    fit : ClassFit
    """
    n_clusters = number_of_clusters(options, n_classes, len(rows.X))
    labels = best_clustering(found.f.toarray(), n_clusters, options.n_starts, rng).labels
    counts = domain_counts(labels, rows.codes, n_clusters, rows.n_domains)
    D, marginals, n_iter, converged = class_factors(counts, n_classes, options, rng)
    project = PROJECTIONS[options.adjust]
    pooled = project(found.f, D)
    likelihood = np.einsum("ij,ij->i", pooled, D[rows.codes])
    log_likelihood = float(np.log(np.maximum(likelihood, _TINY)).mean())
    if callback is not None:
        callback(0, n_iter, log_likelihood)
    return ClassFit(
        ProjectedClasses(found.discriminator, D, project),
        pooled,
        posteriors_of_domains(pooled, D, rows.codes),
        D,
        marginals,
        log_likelihood,
        n_iter,
        converged,
        np.array([log_likelihood]),
        1.0,
        None,
        np.array([log_likelihood]),
    )


def number_of_clusters(options, n_classes, n_samples):
    """Clusters that were asked for, or as many as the factorisation needs; refuses too few."""
    n_clusters = options.n_clusters or min(_CLUSTERS_OF[options.factorizer] * n_classes, n_samples)
    checked_class_clusters(n_clusters, n_classes, n_samples)
    return n_clusters


def class_factors(counts, n_classes, options, rng):
    """Take the table of clusters and domains apart; classes by falling share.

    Parameters
    ----------
    counts : ndarray of shape (n_clusters, n_domains), float64
        Rows of each cluster in each domain.
    n_classes : int
        Number of classes.
    options : object
        Has ``factorizer``, ``shares`` and ``max_iter``.
    rng : numpy.random.Generator
        Seeds the factorisation.

    Returns
    -------
    domain_given_class, marginals : ndarray of shape (n_domains, n_classes), float64
        q(domain | class) and p(class | domain).
    n_iter : int
        Iterations; 1 for corners.
    converged : bool
        Whether they were fewer than ``max_iter``.
    """
    n_domains = counts.shape[1]
    shares = np.full(n_domains, 1.0 / n_domains)
    if options.shares is DomainShares.EMPIRICAL:
        shares = counts.sum(axis=0) / counts.sum()
    if options.factorizer is Factorizer.ANCHOR:
        D = domain_vertices(counts, n_classes, shares=shares)
        marginals, n_iter, converged = recovered_marginals(D, shares).marginals, 1, True
    else:
        marginals, n_iter, converged = factorized_marginals(
            counts, n_classes, options.max_iter, rng
        )
        D = _given_class(marginals, shares)
    order = np.argsort(-(shares @ marginals), kind="stable")
    return np.ascontiguousarray(D[:, order]), marginals[:, order], n_iter, converged


def best_clustering(f, n_clusters, n_starts, rng):
    """The best of some starts of k-means."""
    best = None
    for _ in range(n_starts):
        centers = kmeans_plusplus(f, n_clusters, rng).centers
        found = lloyd(f, centers, max_iter=_KMEANS_ITERATIONS)
        if best is None or found.inertia < best.inertia:
            best = found
    return best


def factorized_marginals(counts, n_classes, max_iter, rng):
    """p(class | domain) by the factorisation of p(cluster | domain) from one random start.

    Parameters
    ----------
    counts : ndarray of shape (n_clusters, n_domains), float64
        Rows of each cluster in each domain.
    n_classes, max_iter : int
        Classes, and most iterations.
    rng : numpy.random.Generator
        Seeds the start.

    Returns
    -------
    marginals : ndarray of shape (n_domains, n_classes), float64
        Rows sum to 1.
    n_iter : int
        Iterations.
    converged : bool
        Whether they were fewer than ``max_iter``.
    """
    A = counts / counts.sum(axis=0)
    seed = int(rng.integers(np.iinfo(np.int32).max))
    nmf = NMF(n_classes, init="random", max_iter=max_iter, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by converged_
        P = nmf.fit_transform(A.T)
    # The scale of q(cluster | class) moves to the shares before these are made to sum to 1.
    P = P * nmf.components_.sum(axis=1)
    sums = P.sum(axis=1, keepdims=True)
    marginals = np.where(sums > 0, P / np.maximum(sums, _TINY), 1.0 / n_classes)
    return marginals, int(nmf.n_iter_), bool(nmf.n_iter_ < max_iter)


def _given_class(marginals, shares):
    """q(domain | class) from p(class | domain)."""
    joint = marginals * shares[:, None]
    sums = joint.sum(axis=0)
    return joint / np.where(sums > 0, sums, _EMPTY)


def inverted_weights(f, domain_given_class):
    """q(class | row) by the pseudo-inverse, negative entries set to 0.

    Parameters
    ----------
    f : ndarray or csr_array of shape (n, r), float64
        q(domain | row).
    domain_given_class : ndarray of shape (r, k), float64
        D.

    Returns
    -------
    weights : ndarray of shape (n, k), float64
        Rows sum to 1; 1 / k where no entry is positive.

    Notes
    -----
    The published procedure leaves negative entries. As D has none, the most probable class is the
    same after clipping, unless a row of ``D^+ f`` has no positive product with its domain.
    """
    weights = np.maximum(f @ np.linalg.pinv(domain_given_class).T, 0.0)
    sums = weights.sum(axis=1, keepdims=True)
    weights[sums[:, 0] == 0] = 1.0 / weights.shape[1]
    return weights / np.where(sums > 0, sums, 1.0)


def projected_weights(f, domain_given_class):
    """q(class | row) by the Kullback-Leibler projection on the simplex of the classes."""
    return class_weights(scipy.sparse.csr_array(f), domain_given_class)


PROJECTIONS = {Adjustment.PINV: inverted_weights, Adjustment.KL: projected_weights}
