"""Tempered EM for latent label shift: classes from the neighbours' classes and the own domain.

Plain EM lets the domain decide more than it knows: a class posterior that is not sure enough makes
the shares of a domain more extreme, and these decide the next posterior. Two exponents are the
cure. ``tau`` sharpens the mean over the neighbours, undoing its smoothing; ``beta`` sharpens the
posterior itself, so that shares are counted from decisions more than from doubts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import tempered_posterior

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Float64Array, Int32Array

__all__ = ["FLOOR", "TemperedFit", "continued_em", "posteriors_of_neighbors", "tempered_em"]

# Added to the mean over the neighbours: no class is ruled out by a few of them.
FLOOR = 1e-3
# Rows whose neighbours are gathered at a time.
_CHUNK_ROWS = 4096
# Rows that a class is given beside those it has, spread over all domains.
_PRIOR_ROWS = 0.5


class TemperedFit(NamedTuple):
    """Where tempered EM ended.

    Attributes
    ----------
    posteriors : ndarray of shape (n, k), float64
        q(class | row, its domain): what the classes are read from.
    responsibilities : ndarray of shape (n, k), float64
        The posteriors to the power beta, normalised: what neighbours are averaged of.
    pooled : ndarray of shape (n, k), float64
        q(class | row) without the domain: the sharpened mean over the neighbours.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class); columns sum to 1.
    marginals : ndarray of shape (r, k), float64
        Mean posterior in each domain; rows sum to 1.
    log_likelihood : float
        Mean over the rows of log q(domain | row), in nats, as the model of their neighbours
        predicts it.
    n_iter : int
        Iterations done.
    converged : bool
        Whether the last one moved ``domain_given_class`` by no more than the tolerance.
    history : ndarray of shape (n_iter,), float64
        The log-likelihood at each iteration. It may fall: tempering changes the objective.
    """

    posteriors: Float64Array
    responsibilities: Float64Array
    pooled: Float64Array
    domain_given_class: Float64Array
    marginals: Float64Array
    log_likelihood: float
    n_iter: int
    converged: bool
    history: Float64Array


def tempered_em(
    responsibilities: Float64Array,
    domain_given_class: Float64Array,
    neighbors: Int32Array,
    domains: Int32Array,
    *,
    tau: float = 2.0,
    beta: float = 3.0,
    max_iter: int = 300,
    tol: float = 1e-3,
    callback: Callable[..., Any] | None = None,
) -> TemperedFit:
    """Alternate between the classes of the rows and the shares of the domains.

    Parameters
    ----------
    responsibilities : ndarray of shape (n, k), float64
        Classes of the rows to start from; rows sum to 1.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class) to start from; columns sum to 1.
    neighbors : ndarray of shape (n, q), int32
        Nearest other rows of each row.
    domains : ndarray of shape (n,), int32
        Domain of each row, from 0 to r - 1.
    tau, beta : float, default=2.0 and 3.0
        Exponents, above 0; 1 for both is plain EM.
    max_iter : int, default=300
        Most iterations, 0 at least.
    tol : float, default=1e-3
        Stop when no column of ``domain_given_class`` moves by more than this, in total variation.
    callback : None or callable, default=None
        ``callback(iteration, log_likelihood)`` after each iteration; True stops.

    Returns
    -------
    fit : TemperedFit

    Notes
    -----
    O(n q k) time for each iteration and O((n + r) k) memory; the n x r matrix is never made.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import nearest_other_rows, tempered_em
    >>> X = np.array([[0.0], [0.1], [0.2], [0.3], [8.0], [8.1], [8.2], [8.3]])
    >>> domains = np.array([0, 0, 0, 1, 1, 1, 1, 0], dtype=np.int32)
    >>> D = np.array([[0.6, 0.4], [0.4, 0.6]])
    >>> fit = tempered_em(np.full((8, 2), 0.5), D, nearest_other_rows(X, 3), domains)
    >>> fit.posteriors.argmax(axis=1)
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """
    G, D = responsibilities, domain_given_class
    options = {"neighbors": neighbors, "floor": FLOOR, "tau": tau, "beta": beta}
    history, converged = [], False
    while len(history) < max_iter and not converged:
        step = tempered_posterior(G, D, domains, **options)
        counted = step.counts + _PRIOR_ROWS / len(D)
        counted /= counted.sum(axis=0)
        converged = bool(0.5 * np.abs(counted - D).sum(axis=0).max() <= tol)
        G, D = step.responsibilities, counted
        history.append(step.log_likelihood / len(domains))
        if callback is not None and callback(len(history), history[-1]):
            break
    last = tempered_posterior(G, D, domains, return_posterior=True, **options)
    return TemperedFit(
        last.posterior,
        last.responsibilities,
        posteriors_of_neighbors(G, neighbors, tau=tau),
        D,
        last.totals / np.maximum(last.totals.sum(axis=1, keepdims=True), 1e-300),
        last.log_likelihood / len(domains),
        len(history),
        converged,
        np.array(history),
    )


def continued_em(fit, neighbors, domains, **options):
    """Go on from where a fit ended, with the same neighbours or others.

    Parameters
    ----------
    fit : TemperedFit
        The fit.
    neighbors, domains, **options
        As in :func:`tempered_em`.

    Returns
    -------
    fit : TemperedFit
        With the iterations of both in ``n_iter`` and ``history``.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import tempered_em
    >>> from clusterlib.solvers.tempered_em import continued_em
    >>> neighbors, domains = np.array([[1], [0]]), np.array([0, 1])
    >>> G, D = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[0.5, 0.4], [0.5, 0.6]])
    >>> fit = tempered_em(G, D, neighbors, domains, max_iter=2, tol=0.0)
    >>> continued_em(fit, neighbors, domains, max_iter=3, tol=0.0).n_iter
    5
    """
    more = tempered_em(fit.responsibilities, fit.domain_given_class, neighbors, domains, **options)
    history = np.concatenate([fit.history, more.history])
    return more._replace(n_iter=len(history), history=history)


def posteriors_of_neighbors(
    responsibilities: Float64Array, neighbors: Int32Array, *, tau: float = 2.0
) -> Float64Array:
    """Sharpen the mean of the neighbours: q(class | row) without a domain.

    Parameters
    ----------
    responsibilities : ndarray of shape (n, k), float64
        Of the rows that are neighbours.
    neighbors : ndarray of shape (m, q), int32
        Rows of these for each of m rows.
    tau : float, default=2.0
        Exponent.

    Returns
    -------
    pooled : ndarray of shape (m, k), float64
        Rows of sum 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import posteriors_of_neighbors
    >>> G = np.array([[1.0, 0.0], [0.5, 0.5]])
    >>> posteriors_of_neighbors(G, np.array([[0, 1]], dtype=np.int32)).round(3)
    array([[0.9, 0.1]])
    """
    pooled = np.empty((len(neighbors), responsibilities.shape[1]))
    for start in range(0, len(neighbors), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        means = responsibilities[neighbors[chunk]].mean(axis=1) + FLOOR
        # Divided first: a power of shares of 1 cannot vanish altogether.
        powers = (means / means.max(axis=1, keepdims=True)) ** tau
        pooled[chunk] = powers / powers.sum(axis=1, keepdims=True)
    return pooled
