"""Latent label shift: classes and their shares in each domain, from rows and domains alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import optimize

from clusterlib.kernels import mixture_weights
from clusterlib.solvers.domain_vertices import domain_counts, domain_vertices
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.neighborhood_choice import chosen_neighborhood, neighborhood_start
from clusterlib.solvers.seeding import kmeans_plusplus
from clusterlib.solvers.successive_projection import leading_coordinates
from clusterlib.solvers.tempered_em import continued_em, tempered_em

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import CsrArray, Float64Array, Int32Array, IntArray

__all__ = [
    "LabelShiftResult",
    "class_agreement",
    "class_weights",
    "domain_coordinates",
    "tempered_label_shift",
]

# Clusters of a start in multiples of the classes, in turn. As many as classes find corners well
# where data are few, more find small or overlapping classes: neither is always better.
_MULTIPLES = (1, 2, 1, 3, 1, 2)
# Iterations after which starts are compared; the best few go on.
_SCREENING_ITERATIONS = 10
_FINALISTS = 3
_KMEANS_ITERATIONS = 50
_PROJECTION_ITERATIONS = 50
# Keeps an empty cell of q(domain | class) from ruling a class out for good.
_SMALLEST = 1e-12


class LabelShiftResult(NamedTuple):
    """What :func:`tempered_label_shift` returns: the best start, and how the others ended.

    Attributes
    ----------
    posteriors, responsibilities, pooled : ndarray of shape (n, k), float64
        As in :class:`TemperedFit`. Classes come by falling share.
    domain_given_class, marginals : ndarray of shape (r, k), float64
        As in :class:`TemperedFit`.
    class_prior : ndarray of shape (k,), float64
        Shares of the classes among all rows.
    log_likelihood : float
        Mean log q(domain | row), in nats: what starts are compared by.
    start_log_likelihoods : ndarray of shape (n_starts,), float64
        Of all starts after the first few iterations.
    start_agreement : float
        Smallest share of rows that another finished start puts into the matching class; 1 if
        there was one start.
    n_neighbors : int
        Over how many neighbours classes are averaged.
    neighborhood_scores : dict of int to float
        For each number that was tried how well left-out domains are predicted; see
        :func:`chosen_neighborhood`. Empty without a choice.
    n_iter : int
        Iterations of the best start.
    converged : bool
        Whether it stood still.
    history : ndarray of shape (n_iter,), float64
        Its log-likelihood at each iteration.
    """

    posteriors: Float64Array
    responsibilities: Float64Array
    pooled: Float64Array
    domain_given_class: Float64Array
    marginals: Float64Array
    class_prior: Float64Array
    log_likelihood: float
    start_log_likelihoods: Float64Array
    start_agreement: float
    n_neighbors: int
    neighborhood_scores: dict[int, float]
    n_iter: int
    converged: bool
    history: Float64Array


def tempered_label_shift(
    f: CsrArray,
    neighbors: Int32Array,
    domains: Int32Array,
    n_domains: int,
    n_classes: int,
    *,
    rng: np.random.Generator,
    choose_neighbors: bool = False,
    tau: float = 2.0,
    beta: float = 3.0,
    n_starts: int = 12,
    max_iter: int = 300,
    tol: float = 1e-3,
    callback: Callable[..., Any] | None = None,
) -> LabelShiftResult:
    """Find classes whose shares differ between domains.

    Each start clusters the rows of f, takes clusters at the corners of their simplex for classes,
    projects the rows into it and goes on with tempered EM. The start that predicts the domains best
    is kept, which needs no labels and ranks starts as their accuracy does.

    Parameters
    ----------
    f : csr_array of shape (n, n_domains), float64
        Estimates of q(domain | row) that do not know the domain of the row itself.
    neighbors : ndarray of shape (n, q), int32
        Nearest other rows, the nearest first, over which classes are averaged.
    domains : ndarray of shape (n,), int32
        Domain of each row; every domain has some.
    n_domains, n_classes : int
        How many there are.
    rng : numpy.random.Generator
        Source of randomness of the starts.
    choose_neighbors : bool, default=False
        Whether to average over the first 10 neighbours only, and then over 3, 5, 20, 30 or 50 if
        the domains of left-out rows are predicted better. Without it all q are averaged over.
    tau, beta : float, default=2.0 and 3.0
        Exponents of :func:`tempered_em`.
    n_starts : int, default=12
        Number of starts, of which the best three are finished.
    max_iter : int, default=300
        Most iterations; a start is given the first 10 of them to be compared, and each number of
        neighbours all of them anew.
    tol : float, default=1e-3
        As in :func:`tempered_em`.
    callback : None or callable, default=None
        ``callback(start, iteration, log_likelihood)``; True ends that start.

    Returns
    -------
    result : LabelShiftResult

    Notes
    -----
    O(n q k) time for each iteration, and O(n k^2) for the clusters of a start; memory of f and
    O(n k) for each of four starts at a time.

    References
    ----------
    .. [1] M. Roberts, P. Mani, S. Garg, Z. C. Lipton, "Unsupervised learning under latent label
       shift", NeurIPS 2022, arXiv 2207.13179: the setting and the simplex.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_histograms, nearest_other_rows, tempered_label_shift
    >>> rng = np.random.default_rng(0)
    >>> classes, domains = rng.integers(0, 2, 400), np.zeros(400, dtype=np.int32)
    >>> domains[rng.random(400) < np.where(classes == 0, 0.8, 0.3)] = 1
    >>> X = 8.0 * classes[:, None] + rng.normal(size=(400, 2))
    >>> near = nearest_other_rows(X, 30)
    >>> f = domain_histograms(near, domains, 2)
    >>> result = tempered_label_shift(f, near, domains, 2, 2, rng=rng, choose_neighbors=True)
    >>> labels = result.posteriors.argmax(axis=1)
    >>> float(max(np.mean(labels == classes), np.mean(labels != classes)))
    1.0
    """
    shares = np.bincount(domains, minlength=n_domains) / len(domains)
    coordinates = domain_coordinates(f, shares, n_classes)
    options = {"tau": tau, "beta": beta, "tol": tol}
    size = neighborhood_start(neighbors) if choose_neighbors else neighbors.shape[1]
    near = np.ascontiguousarray(neighbors[:, :size])
    likelihoods, finalists = [], []
    for start in range(n_starts):
        n_clusters = min(_MULTIPLES[start % len(_MULTIPLES)] * n_classes, len(domains))
        D = _vertices_of_clusters(coordinates, n_clusters, domains, n_domains, n_classes, rng)
        fit = tempered_em(
            _start(f, D, domains),
            D,
            near,
            domains,
            max_iter=min(_SCREENING_ITERATIONS, max_iter),
            callback=_numbered(callback, start),
            **options,
        )
        likelihoods.append(fit.log_likelihood)
        finalists.append((-fit.log_likelihood, start, fit))
        finalists = sorted(finalists, key=lambda entry: entry[:2])[:_FINALISTS]
    finished = [
        _continued(fit, near, domains, max_iter, options, _numbered(callback, start))
        for _, start, fit in finalists
    ]
    scores = {}
    if choose_neighbors:
        finished, size, scores = chosen_neighborhood(
            finished, neighbors, domains, f=f, rng=rng, max_iter=max_iter, **options
        )
    return _result(finished, shares, np.array(likelihoods), size, scores)


def domain_coordinates(f: CsrArray, shares: Float64Array, rank: int) -> Float64Array:
    """Project the rows of f on their leading directions, columns having equal noise.

    Parameters
    ----------
    f : csr_array of shape (n, n_domains), float64
        Estimates of q(domain | row).
    shares : ndarray of shape (n_domains,), float64
        Shares of the domains, above 0.
    rank : int
        Number of directions.

    Returns
    -------
    coordinates : ndarray of shape (n, min(rank, n_domains)), float64
        Of f with columns divided by the square roots of the shares.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> from clusterlib.solvers import domain_coordinates
    >>> f = scipy.sparse.csr_array(np.eye(3))
    >>> domain_coordinates(f, np.array([0.25, 0.25, 0.5]), 2).shape
    (3, 2)
    """
    scaled = f.multiply(1.0 / np.sqrt(shares)).tocsr()
    return leading_coordinates(scaled, min(rank, f.shape[1]))


def class_weights(
    f: CsrArray, domain_given_class: Float64Array, *, max_iter: int = 100
) -> Float64Array:
    """Project rows of q(domain | row) into the simplex of the classes.

    Parameters
    ----------
    f : csr_array of shape (n, n_domains), float64
        Rows of sum 1.
    domain_given_class : ndarray of shape (n_domains, n_classes), float64
        q(domain | class), the corners.
    max_iter : int, default=100
        Most iterations for a row.

    Returns
    -------
    weights : ndarray of shape (n, n_classes), float64
        q(class | row): the mixture of corners that is nearest to the row by the Kullback-Leibler
        divergence; rows sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> from clusterlib.solvers import class_weights
    >>> D = np.array([[0.8, 0.1], [0.2, 0.9]])
    >>> class_weights(scipy.sparse.csr_array([[0.45, 0.55]]), D, max_iter=1000).round(3)
    array([[0.5, 0.5]])
    """
    table = f.indptr.astype(np.int64), f.indices.astype(np.int32), f.data
    corners = np.maximum(domain_given_class, _SMALLEST)
    return mixture_weights(*table, corners, max_iter=max_iter)[0]


def class_agreement(first: IntArray, second: IntArray, n_classes: int) -> float:
    """Share of rows that two labellings agree on after the best matching of their classes.

    Parameters
    ----------
    first, second : ndarray of shape (n,), int
        Classes from 0 to n_classes - 1.
    n_classes : int
        How many there are.

    Returns
    -------
    agreement : float
        From 1 / n_classes to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import class_agreement
    >>> class_agreement(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]), 2)
    0.75
    """
    table = domain_counts(first, second, n_classes, n_classes)
    matched = optimize.linear_sum_assignment(table, maximize=True)
    return float(table[matched].sum() / len(first))


def _vertices_of_clusters(coordinates, n_clusters, domains, n_domains, n_classes, rng):
    """q(domain | class) from the clusters of one start."""
    centers = kmeans_plusplus(coordinates, n_clusters, rng).centers
    labels = lloyd(coordinates, centers, max_iter=_KMEANS_ITERATIONS).labels
    return domain_vertices(domain_counts(labels, domains, n_clusters, n_domains), n_classes)


def _start(f, domain_given_class, domains):
    """Posteriors of the rows in their own domains, from the projection of f."""
    weights = class_weights(f, domain_given_class, max_iter=_PROJECTION_ITERATIONS)
    posteriors = weights * domain_given_class[domains] + _SMALLEST
    return posteriors / posteriors.sum(axis=1, keepdims=True)


def _continued(fit, neighbors, domains, max_iter, options, callback):
    """Go on with a start that was stopped to be compared."""
    left = max_iter - fit.n_iter
    if fit.converged or left <= 0:
        return fit
    return continued_em(fit, neighbors, domains, max_iter=left, callback=callback, **options)


def _numbered(callback, start):
    if callback is None:
        return None
    return lambda iteration, log_likelihood: callback(start, iteration, log_likelihood)


def _result(fits, shares, start_log_likelihoods, n_neighbors, scores):
    """The best of the finished starts, with classes by falling share."""
    best = max(fits, key=lambda fit: fit.log_likelihood)
    labels, n_classes = best.posteriors.argmax(axis=1), best.posteriors.shape[1]
    agreement = min(
        class_agreement(labels, fit.posteriors.argmax(axis=1), n_classes) for fit in fits
    )
    class_prior = shares @ best.marginals
    order = np.argsort(-class_prior, kind="stable")
    return LabelShiftResult(
        best.posteriors[:, order],
        best.responsibilities[:, order],
        best.pooled[:, order],
        best.domain_given_class[:, order],
        best.marginals[:, order],
        class_prior[order],
        best.log_likelihood,
        start_log_likelihoods,
        agreement,
        n_neighbors,
        scores,
        best.n_iter,
        best.converged,
        best.history,
    )
