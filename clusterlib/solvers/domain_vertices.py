"""From clusters and domains to p(domain | class): the corners of the simplex of domain shares.

With f(x) = q(domain | x) and w(x) = q(class | x), rows satisfy f = D w, where column y of D is
q(domain | class y). So the rows of f lie in a simplex whose corners are the columns of D, and a
cluster that holds one class alone sits on a corner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import optimize

from clusterlib.solvers.successive_projection import leading_coordinates, successive_projection

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, IntArray

__all__ = ["RecoveredMarginals", "domain_counts", "domain_vertices", "recovered_marginals"]

# Clusters with fewer rows than this, or than this part of the mean, are too noisy to be corners.
_LEAST_ROWS = 10
_LEAST_PART = 0.2


class RecoveredMarginals(NamedTuple):
    """What :func:`recovered_marginals` returns.

    Attributes
    ----------
    class_prior : ndarray of shape (n_classes,), float64
        Shares of the classes among all rows.
    marginals : ndarray of shape (n_domains, n_classes), float64
        Shares of the classes in each domain; rows sum to 1.
    residual : float
        Largest entry of ``D class_prior - shares``: 0 if the simplex holds the mean row.
    """

    class_prior: Float64Array
    marginals: Float64Array
    residual: float


def domain_counts(
    labels: IntArray, domains: IntArray, n_clusters: int, n_domains: int
) -> Float64Array:
    """Count the rows of each cluster in each domain.

    Parameters
    ----------
    labels, domains : ndarray of shape (n,), int
        Cluster and domain of each row.
    n_clusters, n_domains : int
        How many there are.

    Returns
    -------
    counts : ndarray of shape (n_clusters, n_domains), float64
        Numbers of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_counts
    >>> domain_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), 2, 2)
    array([[1., 0.],
           [1., 1.]])
    """
    cells = labels.astype(np.int64) * n_domains + domains
    counts = np.bincount(cells, minlength=n_clusters * n_domains)
    return counts.reshape(n_clusters, n_domains).astype(np.float64)


def domain_vertices(
    counts: Float64Array, n_classes: int, *, shares: Array | None = None
) -> Float64Array:
    """Find the clusters at the corners of the simplex of domain shares.

    Parameters
    ----------
    counts : ndarray of shape (n_clusters, n_domains), float64
        Rows of each cluster in each domain; every domain has some.
    n_classes : int
        Number of corners, n_clusters at most.
    shares : None or ndarray of shape (n_domains,), default=None
        q(domain), of sum 1. None takes the shares of the counts.

    Returns
    -------
    domain_given_class : ndarray of shape (n_domains, n_classes), float64
        q(domain | class); columns sum to 1.

    Notes
    -----
    Successive projection on the rows q(domain | cluster), with columns divided by the square roots
    of the shares: noise is then alike in all of them. Where there are more domains than classes,
    rows are first projected on their n_classes leading singular vectors. Clusters with fewer than
    ``max(10, 0.2 n / n_clusters)`` rows are taken only if there are not enough others. O(n_clusters
    n_domains n_classes) time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_vertices
    >>> counts = np.array([[80.0, 20.0], [45.0, 55.0], [10.0, 90.0]])
    >>> domain_vertices(counts, 2)
    array([[0.8, 0.1],
           [0.2, 0.9]])
    """
    totals = counts.sum(axis=1)
    observed = counts.sum(axis=0) / totals.sum()
    weighted = counts if shares is None else counts * (shares / observed)
    shares = observed if shares is None else shares
    rows = weighted / np.maximum(weighted.sum(axis=1), np.finfo(np.float64).tiny)[:, None]
    scaled = rows / np.sqrt(shares)
    if len(shares) > n_classes:
        scaled = leading_coordinates(scaled, n_classes)
    allowed = totals >= max(_LEAST_ROWS, _LEAST_PART * totals.sum() / len(counts))
    if allowed.sum() < n_classes:
        allowed = totals > 0
    corners = successive_projection(scaled, n_classes, allowed=allowed)
    if len(corners) < n_classes:  # the domains do not tell so many apart: take the largest others
        others = np.setdiff1d(np.argsort(-totals, kind="stable"), corners, assume_unique=True)
        corners = np.concatenate([corners, others[: n_classes - len(corners)]])
    return np.ascontiguousarray(rows[corners].T)


def recovered_marginals(
    domain_given_class: Float64Array, shares: Float64Array
) -> RecoveredMarginals:
    """Turn q(domain | class) into the shares of the classes, overall and in each domain.

    Parameters
    ----------
    domain_given_class : ndarray of shape (n_domains, n_classes), float64
        D; columns sum to 1.
    shares : ndarray of shape (n_domains,), float64
        q(domain), above 0 and of sum 1.

    Returns
    -------
    recovered : RecoveredMarginals
        The solution of ``D q = shares``, and ``p(y | d) = D[d, y] q(y) / shares[d]``.

    Notes
    -----
    q has non-negative entries and the least squared residual; it is unique if D has full column
    rank. A domain that no class with a share has reached gets the overall shares.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import recovered_marginals
    >>> D = np.array([[0.8, 0.1], [0.2, 0.9]])
    >>> recovered = recovered_marginals(D, np.array([0.45, 0.55]))
    >>> recovered.class_prior.round(6), recovered.marginals[0].round(6)
    (array([0.5, 0.5]), array([0.888889, 0.111111]))
    """
    class_prior, _ = optimize.nnls(domain_given_class, shares)
    residual = np.abs(domain_given_class @ class_prior - shares).max()
    class_prior /= class_prior.sum()
    marginals = domain_given_class * class_prior / shares[:, None]
    sums = marginals.sum(axis=1, keepdims=True)
    empty = sums[:, 0] == 0
    marginals[empty], sums[empty] = class_prior, 1.0
    return RecoveredMarginals(class_prior, marginals / sums, float(residual))
