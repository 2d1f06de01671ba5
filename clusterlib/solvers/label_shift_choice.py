"""How many classes: the fewest that predict the domains of rows as well as any number does."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers.domain_rank import domain_rank
from clusterlib.solvers.domain_vertices import domain_counts
from clusterlib.solvers.label_shift import domain_coordinates, tempered_label_shift
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.seeding import kmeans_plusplus

__all__ = ["ClassChoice", "choose_n_classes", "cluster_domain_table", "expected_log_likelihood"]

# Shares of the uniform prediction that may be mixed in: neighbours are surer than they should be.
_BLENDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
# Nats for a row: less than the starts of one number of classes differ by.
_TOLERANCE = 0.0025
# Standard errors that every smaller number must lose by, for the answer to be sure.
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
        Expected mean log q(domain | row) of rows that were not fitted, in nats.
    errors : ndarray of shape (m,), float64
        Standard error of the difference of each score to that of the answer; 0 at the answer.
    rank_classes : int
        Answer of the rank test, which counts too few where data are few.
    sure : bool
        Whether every smaller candidate is worse by more than two standard errors.
    """

    n_classes: int
    candidates: np.ndarray
    scores: np.ndarray
    errors: np.ndarray
    rank_classes: int
    sure: bool


def choose_n_classes(
    f,
    neighbors,
    domains,
    n_domains,
    *,
    rng,
    candidates=None,
    n_starts=4,
    tau=2.0,
    beta=3.0,
    max_iter=40,
    tol=1e-3,
    callback=None,
):
    """Choose the number of classes by how well they predict the domains of left-out rows.

    For each candidate k the classes are found by :func:`tempered_label_shift`, and
    :func:`expected_log_likelihood` says how well they would predict the domains of other rows. The
    answer is the smallest k whose score is within 0.0025 nats of the best.

    Parameters
    ----------
    f, neighbors, domains, n_domains, tau, beta, tol
        As in :func:`tempered_label_shift`; nothing of them depends on the number of classes.
    rng : numpy.random.Generator
        Source of randomness of the starts.
    candidates : None or sequence of int, default=None
        Numbers of classes to try, from 1 to n_domains. None starts at the answer of the rank test
        and goes up and down until the score has been falling for three and two candidates.
    n_starts : int, default=4
        Starts for each candidate.
    max_iter : int, default=40
        Most iterations of each.
    callback : None or callable, default=None
        ``callback(n_classes, score)`` after each candidate.

    Returns
    -------
    choice : ClassChoice
        Named tuple of ``n_classes``, ``candidates``, ``scores``, ``errors``, ``rank_classes`` and
        ``sure``.

    Notes
    -----
    A class too few costs what its domains had told: .02 to .3 nats in the settings that the rule
    was made for, with shares of total concentration .5 to 10. A class too many gains less than
    the (r - 1) / n nats that its column of q(domain | class) learns from the rows that it is
    judged by, which the score takes off. The time is that of ``n_starts`` starts for each
    candidate.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import choose_n_classes, domain_histograms, nearest_other_rows
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 3, 900)
    >>> shares = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.4, 0.4]])
    >>> domains = (rng.random(900)[:, None] > shares.cumsum(axis=1)[classes]).sum(axis=1)
    >>> domains = domains.astype(np.int32)
    >>> X = 6.0 * np.eye(3)[classes] + rng.normal(size=(900, 3))
    >>> near = nearest_other_rows(X, 30)
    >>> f = domain_histograms(near, domains, 4)
    >>> choice = choose_n_classes(f, near[:, :10].copy(), domains, 4, rng=rng)
    >>> choice.n_classes, choice.sure
    (3, True)
    """
    table = cluster_domain_table(f, domains, n_domains, rng)
    rank_classes = domain_rank(table).n_classes

    def tried(k):
        """Log-likelihoods of the rows with k classes."""
        if k == 1:
            shares = np.bincount(domains, minlength=n_domains) / len(domains)
            log_likelihoods = np.log(shares)[domains]
        else:
            options = {"tau": tau, "beta": beta, "n_starts": n_starts}
            options |= {"max_iter": max_iter, "tol": tol}
            result = tempered_label_shift(f, neighbors, domains, n_domains, k, rng=rng, **options)
            log_likelihoods = _log_likelihoods(result.pooled, result.domain_given_class, domains)
        if callback is not None:
            callback(k, log_likelihoods.mean() - _optimism(k, n_domains, len(domains)))
        return log_likelihoods

    if candidates is None:
        found = _search(tried, rank_classes, min(n_domains, len(domains) - 1), n_domains)
    else:
        found = {k: tried(k) for k in sorted(set(candidates))}
    return _choice(found, n_domains, rank_classes)


def cluster_domain_table(f, domains, n_domains, rng, *, n_clusters=_TABLE_CLUSTERS):
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


def expected_log_likelihood(pooled, domain_given_class, domains):
    """Estimate how well classes predict the domains of rows that were not fitted.

    Parameters
    ----------
    pooled : ndarray of shape (n, k), float64
        q(class | row) from other rows; rows sum to 1.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class), fitted to the same rows.
    domains : ndarray of shape (n,), int32
        Domain of each row.

    Returns
    -------
    log_likelihood : float
        Mean log q(domain | row) in nats, less what fitting gains.

    Notes
    -----
    The prediction is mixed with 0 to 30 % of the mean column, whichever is best: it forgives
    posteriors that are too sure. The k columns have k (r - 1) parameters, which overstate the
    mean log-likelihood by one n-th each, as in Akaike's criterion [1]_.

    References
    ----------
    .. [1] H. Akaike, "A new look at the statistical model identification", IEEE Trans. Automatic
       Control 19(6), 1974.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import expected_log_likelihood
    >>> domains = np.repeat(np.arange(2, dtype=np.int32), 500)
    >>> pooled = np.repeat(np.eye(2), 500, axis=0)
    >>> round(expected_log_likelihood(pooled, np.eye(2), domains), 3)
    -0.002
    """
    n_domains, k = domain_given_class.shape
    found = _log_likelihoods(pooled, domain_given_class, domains).mean()
    return float(found - _optimism(k, n_domains, len(domains)))


def _log_likelihoods(pooled, domain_given_class, domains):
    """Log q(domain | row) of each row, with the blend that is best for all."""
    own = np.einsum("ik,ik->i", pooled, domain_given_class[domains])
    mean = domain_given_class.mean(axis=1)[domains]
    tiny = np.finfo(np.float64).tiny
    blended = [np.log(np.maximum((1 - b) * own + b * mean, tiny)) for b in _BLENDS]
    return max(blended, key=lambda values: values.mean())


def _optimism(n_classes, n_domains, n_rows):
    """What the parameters of q(domain | class) gain on the rows they were fitted to."""
    return n_classes * (n_domains - 1) / n_rows


def _search(tried, start, most, n_domains):
    """Candidates around the best, each tried once."""
    found = {}

    def score(k):
        if k not in found:
            found[k] = tried(k)
        return found[k].mean() - _optimism(k, n_domains, len(found[k]))

    best = low = high = min(max(start, 2), most)
    while high < min(best + _PATIENCE_UP, most):
        high += 1
        best = high if score(high) > score(best) else best
    while low > max(best - _PATIENCE_DOWN, 1):
        low -= 1
        best = low if score(low) > score(best) else best
    return found


def _choice(found, n_domains, rank_classes):
    """The answer from the log-likelihoods of the candidates."""
    candidates = np.array(sorted(found), dtype=np.int64)
    rows = np.array([found[k] for k in candidates])
    n = rows.shape[1]
    scores = rows.mean(axis=1) - _optimism(candidates, n_domains, n)
    chosen = int(np.argmax(scores >= scores.max() - _TOLERANCE))
    errors = (rows - rows[chosen]).std(axis=1) / np.sqrt(n)
    below = slice(0, chosen)
    sure = bool(np.all(scores[chosen] - scores[below] > _SURE * errors[below]))
    return ClassChoice(int(candidates[chosen]), candidates, scores, errors, int(rank_classes), sure)
