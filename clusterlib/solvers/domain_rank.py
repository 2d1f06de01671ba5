"""How many classes the table of clusters and domains shows: the rank of its dependence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array

__all__ = ["DomainRank", "class_margin", "domain_rank"]


class DomainRank(NamedTuple):
    """What a table of clusters and domains says of the number of classes.

    Attributes
    ----------
    n_classes : int
        One more than the singular values that stand out of the noise.
    singular_values : ndarray of shape (min(m, r),), float64
        Of the standardised residuals, largest first; m and r count what has rows at all.
    threshold : float
        What noise alone hardly exceeds.
    margin : float
        How clear the answer is: the smaller of last kept / threshold and threshold / first
        dropped, 1 where it could as well be another number, infinite where nothing is compared.
    """

    n_classes: int
    singular_values: Float64Array
    threshold: float
    margin: float


def domain_rank(counts: Array) -> DomainRank:
    """Count the classes that the domains tell apart, by a rank test.

    Rows of one class are spread over the domains in the same way wherever they lie, so that a
    table of clusters by domains of k classes has rank k: one for the sizes, and k - 1 for what
    depends on the domain. The dependence is compared with that of a table of independent counts
    [1]_.

    Parameters
    ----------
    counts : ndarray of shape (n_clusters, n_domains), integer or float
        Rows of each cluster in each domain, not negative. The clusters must not have seen the
        domain of a row itself, else noise looks like rank.

    Returns
    -------
    result : DomainRank
        Named tuple of ``n_classes``, ``singular_values``, ``threshold`` and ``margin``.

    Notes
    -----
    With E the table of the same margins without dependence, the entries of
    ``(counts - E) / sqrt(E)`` have variance of about 1 (less in lines of few rows), and a noise matrix of that kind with m
    rows and r columns has its largest singular value near ``sqrt(m - 1) + sqrt(r - 1)``; about one
    table in ten of noise is above it. The sum of squares of the singular values is the chi-square statistic of the table.
    Small data and weak shift hide classes: read the answer as "no fewer than".
    O(m r min(m, r)) time, O(m r) memory.

    References
    ----------
    .. [1] M. Roberts, P. Mani, S. Garg and Z. C. Lipton, "Unsupervised learning under latent label
       shift", NeurIPS 2022: why the rank is the number of classes.

    Examples
    --------
    Three classes, six clusters, four domains:

    >>> import numpy as np
    >>> from clusterlib.solvers import domain_rank
    >>> shares = np.array([[60, 30, 5, 5], [20, 20, 20, 40], [5, 5, 80, 10]])
    >>> domain_rank(np.repeat(shares, 2, axis=0)).n_classes
    3
    """
    counts = np.asarray(counts, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    m, r = counts.shape
    if min(m, r) == 0:
        return DomainRank(1, np.zeros(0), 0.0, np.inf)
    clusters, domains, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    # One row in a domain of its own would stand out like a class; so each line counts as if it
    # had one row for each cell. Weights stay of rank one, and do not mix the classes.
    scale = np.outer(np.sqrt(np.maximum(clusters, r)), np.sqrt(np.maximum(domains, m))) / np.sqrt(n)
    values = np.linalg.svd((counts - np.outer(clusters, domains) / n) / scale, compute_uv=False)
    threshold = float(np.sqrt(m - 1) + np.sqrt(r - 1))
    # The residuals are orthogonal to the margins: the last singular value is zero by construction.
    above = int(np.count_nonzero(values[: min(m, r) - 1] > threshold))
    return DomainRank(above + 1, values, threshold, _clearness(values[:-1], above, threshold))


def class_margin(rank: DomainRank, n_classes: int) -> float:
    """Compare the singular value that so many classes need with the threshold of the noise.

    Parameters
    ----------
    rank : DomainRank
        Of the table.
    n_classes : int
        How many classes are claimed, 1 at least.

    Returns
    -------
    margin : float
        The singular value of number ``n_classes - 1`` over the threshold: below 1 the last class
        does not stand out of the noise. 0 where the table has no such value, infinite for 1 class.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import class_margin, domain_rank
    >>> rank = domain_rank(np.array([[90, 10], [10, 90]]))
    >>> round(class_margin(rank, 2), 1), class_margin(rank, 3)
    (5.7, 0.0)
    """
    if n_classes <= 1:
        return float("inf")
    usable = rank.singular_values[:-1]
    if n_classes - 1 > len(usable):
        return 0.0
    return float(usable[n_classes - 2] / rank.threshold)


def _clearness(values, above, threshold):
    """The smaller of the two ratios at the cut."""
    kept = values[above - 1] / threshold if above else np.inf
    dropped = threshold / values[above] if above < len(values) and values[above] > 0 else np.inf
    return float(min(kept, dropped))
