"""How many classes: the fewest that predict the domains of rows as well as any number does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.solvers.domain_folds import blended_log_likelihoods, domain_folds
from clusterlib.solvers.domain_neighbors import domain_histograms
from clusterlib.solvers.domain_rank import domain_rank
from clusterlib.solvers.domain_vertices import domain_counts
from clusterlib.solvers.label_shift import domain_coordinates, tempered_label_shift
from clusterlib.solvers.label_shift_folds import left_out_log_likelihoods
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.seeding import kmeans_plusplus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from clusterlib.typing import CsrArray, Float64Array, Int32Array, Int64Array

__all__ = ["ClassChoice", "choose_n_classes", "cluster_domain_table"]

# Nats for a row: less than the starts of one number of classes differ by.
_TOLERANCE = 0.002
# Standard errors that a smaller number must lose by, for the answer to be sure.
_SURE = 2.0
# The search ends so many candidates above and below the best.
_PATIENCE_UP, _PATIENCE_DOWN = 3, 2
_TABLE_CLUSTERS = 30
_TABLE_DIRECTIONS = 30
_KMEANS_ITERATIONS = 50


class ClassChoice(NamedTuple):
    """How many classes there seem to be, and what speaks for each number.

    Attributes
    ----------
    n_classes : int
        The answer.
    candidates : ndarray of shape (m,), int64
        Numbers that were tried, in rising order.
    scores : ndarray of shape (m,), float64
        Mean log q(domain | row) of the fitted rows in nats, less (r - 1) / n for each class.
    errors : ndarray of shape (m,), float64
        Standard error of the difference of each score to that of the answer; 0 at the answer.
    left_out_scores : ndarray of shape (m,), float64
        Mean log q(domain | row) of rows that were left out; -inf where that was not computed, as
        where no domain has a second row.
    rank_classes : int
        Answer of the rank test, which counts too few where data are few.
    sure : bool
        Whether both scores give the answer, and every smaller candidate is worse by more than two
        standard errors in both.
    """

    n_classes: int
    candidates: Int64Array
    scores: Float64Array
    errors: Float64Array
    left_out_scores: Float64Array
    rank_classes: int
    sure: bool


def choose_n_classes(
    neighbors: Int32Array,
    domains: Int32Array,
    n_domains: int,
    *,
    rng: np.random.Generator,
    f: CsrArray | None = None,
    candidates: Sequence[int] | None = None,
    n_averaged: int = 10,
    n_folds: int = 4,
    n_starts: int = 4,
    tau: float = 2.0,
    beta: float = 3.0,
    max_iter: int = 40,
    tol: float = 1e-3,
    callback: Callable[..., Any] | None = None,
) -> ClassChoice:
    """Choose the number of classes by how well they predict the domains of rows.

    Candidates are compared twice. The score of k classes is the log-likelihood of the domains of
    the fitted rows, less what k columns of q(domain | class) learn from these rows. Of all
    candidates the smallest within 0.002 nats of the best goes on. It is then compared with
    smaller ones by the domains of rows that are left out of the fit, and the smallest within 0.002
    nats of the best is the answer.

    Parameters
    ----------
    neighbors : ndarray of shape (n, q), int32
        Nearest other rows of each row, the nearest first: 30 or more, of which a part is left out.
    domains : ndarray of shape (n,), int32
        Domain of each row; every domain has some.
    n_domains : int
        How many there are.
    rng : numpy.random.Generator
        Source of randomness of folds and starts.
    f : None or csr_array of shape (n, n_domains), default=None
        Estimates of q(domain | row) from elsewhere; None counts the domains of the neighbours.
    candidates : None or sequence of int, default=None
        Numbers of classes to try, from 1 to n_domains. None starts at the answer of the rank test
        and goes up and down until three and two candidates have been worse than the best.
    n_averaged : int, default=10
        Neighbours that classes are averaged over.
    n_folds : int, default=4
        Parts that are left out in turn.
    n_starts : int, default=4
        Starts of each fit.
    tau, beta : float, default=2.0 and 3.0
        As in :func:`tempered_label_shift`.
    max_iter : int, default=40
        Most iterations of a start.
    tol : float, default=1e-3
        As in :func:`tempered_label_shift`.
    callback : None or callable, default=None
        ``callback(n_classes, score)`` after each candidate, with its score.

    Returns
    -------
    choice : ClassChoice
        Named tuple of ``n_classes``, ``candidates``, ``scores``, ``errors``, ``left_out_scores``,
        ``rank_classes`` and ``sure``.

    Notes
    -----
    Each score errs where the other does not. The first uses all rows, with their own domains left
    out of what their neighbours say of them; but a row tells its domain to its neighbours, and in
    few dimensions these tell it back, so that more classes seem better. The second knows nothing of
    the domains that it is judged by, but has fewer rows to find classes with. The penalty is that
    of Akaike [1]_ for r - 1 parameters. The time is that of ``n_starts`` starts for each candidate,
    and ``n_folds`` times as much for three or more of them; neighbours are those of all rows.

    References
    ----------
    .. [1] H. Akaike, "A new look at the statistical model identification", IEEE Trans. Automatic
       Control 19(6), 1974.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import choose_n_classes, nearest_other_rows
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 3, 900)
    >>> shares = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.4, 0.4]])
    >>> domains = (rng.random(900)[:, None] > shares.cumsum(axis=1)[classes]).sum(axis=1)
    >>> X = 6.0 * np.eye(3)[classes] + rng.normal(size=(900, 3))
    >>> near = nearest_other_rows(X, 30)
    >>> choice = choose_n_classes(near, domains.astype(np.int32), 4, rng=rng)
    >>> choice.n_classes, choice.sure
    (3, True)
    """
    whole = domain_histograms(neighbors, domains, n_domains) if f is None else f
    averaged = np.ascontiguousarray(neighbors[:, :n_averaged])
    rank = domain_rank(cluster_domain_table(whole, domains, n_domains, rng))
    options = {"tau": tau, "beta": beta, "n_starts": n_starts, "max_iter": max_iter, "tol": tol}
    options["rng"] = rng

    def scored(k):
        """Log-likelihoods of the fitted rows, less what fitting gains."""
        found = _fitted(whole, averaged, domains, n_domains, k, options)
        found -= k * (n_domains - 1) / len(domains)
        if callback is not None:
            callback(k, float(found.mean()))
        return found

    if candidates is None:
        found = _search(scored, rank.n_classes, min(n_domains, len(domains) - 1))
    else:
        found = {k: scored(k) for k in sorted(set(candidates))}
    folds = domain_folds(
        neighbors, domains, n_domains, n_folds, rng=rng, f=f, n_averaged=n_averaged
    )
    best = _smallest_of_best(found)
    if not any(len(fold.left_out) for fold in folds):  # no domain has a second row
        return _choice(found, {}, rank)
    left_out = _descent(
        lambda k: left_out_log_likelihoods(folds, domains, n_domains, k, **options),
        [k for k in sorted(found) if k <= best] if candidates else range(1, best + 1),
    )
    for k in left_out:
        found.setdefault(k, None)
    return _choice({k: scored(k) if v is None else v for k, v in found.items()}, left_out, rank)


def cluster_domain_table(
    f: CsrArray,
    domains: Int32Array,
    n_domains: int,
    rng: np.random.Generator,
    *,
    n_clusters: int = _TABLE_CLUSTERS,
) -> Float64Array:
    """Cluster rows by what their neighbours say of their domains, and count their own.

    Parameters
    ----------
    f : csr_array of shape (n, n_domains), float64
        Estimates of q(domain | row) that do not know the domain of the row itself.
    domains : ndarray of shape (n,), int32
        Domain of each row; every domain has some.
    n_domains : int
        How many there are.
    rng : numpy.random.Generator
        Draws the centres.
    n_clusters : int, default=30
        Number of clusters.

    Returns
    -------
    counts : ndarray of shape (n_clusters, n_domains), float64
        Rows of each cluster in each domain, for :func:`domain_rank`.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> from clusterlib.solvers import cluster_domain_table
    >>> f = scipy.sparse.csr_array(np.repeat(np.eye(2), 4, axis=0))
    >>> domains = np.repeat(np.arange(2, dtype=np.int32), 4)
    >>> counts = cluster_domain_table(f, domains, 2, np.random.default_rng(0), n_clusters=2)
    >>> counts[np.argsort(-counts[:, 0])]
    array([[4., 0.],
           [0., 4.]])
    """
    shares = np.bincount(domains, minlength=n_domains) / len(domains)
    coordinates = domain_coordinates(f, shares, _TABLE_DIRECTIONS)
    n_clusters = min(n_clusters, len(domains))
    centers = kmeans_plusplus(coordinates, n_clusters, rng).centers
    labels = lloyd(coordinates, centers, max_iter=_KMEANS_ITERATIONS).labels
    return domain_counts(labels, domains, n_clusters, n_domains)


def _fitted(f, neighbors, domains, n_domains, n_classes, options):
    """Log-likelihoods of the domains of the rows that classes were fitted to."""
    if n_classes == 1:
        return np.log(np.bincount(domains, minlength=n_domains) / len(domains))[domains]
    fit = tempered_label_shift(f, neighbors, domains, n_domains, n_classes, **options)
    columns = fit.domain_given_class
    own = np.einsum("ik,ik->i", fit.pooled, columns[domains])
    return blended_log_likelihoods(own, columns.mean(axis=1)[domains])


def _search(scored, start, most):
    """Candidates around the best, each scored once."""
    found = {}

    def better(k, best):
        if k not in found:
            found[k] = scored(k)
        return found[k].mean() > found[best].mean()

    best = low = high = min(max(start, 2), most)
    better(best, best)
    while high < min(best + _PATIENCE_UP, most):
        high += 1
        best = high if better(high, best) else best
    # Noise in the table can start the search too high, where all scores are alike.
    while low > max(min(best, start) - _PATIENCE_DOWN, 1):
        low -= 1
        best = low if better(low, best) else best
    return found


def _descent(left_out, candidates):
    """Left-out log-likelihoods from the largest candidate down, until others are worse."""
    found, best = {}, None
    for k in sorted(candidates, reverse=True):
        found[k] = left_out(k)
        if best is None or found[k].mean() > found[best].mean() - _TOLERANCE:
            best = k
        elif sum(other < best for other in found) >= _PATIENCE_DOWN:
            break
    return found


def _smallest_of_best(found):
    """The smallest candidate whose mean is that of the best, but for the tolerance."""
    top = max(values.mean() for values in found.values())
    return min(k for k, values in found.items() if values.mean() >= top - _TOLERANCE)


def _choice(found, left_out, rank):
    """The answer from the log-likelihoods of the candidates, fitted and left out."""
    candidates = np.array(sorted(found), dtype=np.int64)
    answer = _smallest_of_best(left_out or found)
    rows = np.array([found[k] for k in candidates])
    errors = (rows - found[answer]).std(axis=1) / np.sqrt(rows.shape[1])
    left_out_scores = np.array(
        [left_out[k].mean() if k in left_out else -np.inf for k in candidates]
    )
    sure = bool(left_out) and answer == _smallest_of_best(found)
    for values in (found, left_out):
        for fewer in (k for k in values if k < answer):
            gains = values[answer] - values[fewer]
            sure &= bool(gains.mean() > _SURE * gains.std() / np.sqrt(len(gains)))
    scores = rows.mean(axis=1)
    return ClassChoice(
        int(answer), candidates, scores, errors, left_out_scores, rank.n_classes, bool(sure)
    )
