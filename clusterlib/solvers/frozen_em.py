"""Shares of the domains under classes that stay as a classifier predicts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import Blocks
from clusterlib.kernels import tempered_posterior
from clusterlib.solvers.row_classes import domain_step

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array, Int32Array

__all__ = ["FrozenFit", "frozen_em"]

# Rows that a class is given beside those it has, spread over all domains.
_PRIOR_ROWS = 0.5


class FrozenFit(NamedTuple):
    """Where EM over the domains ended.

    Attributes
    ----------
    posteriors : ndarray of shape (n, k), float64, or None
        q(class | row, its domain); None where the classes were read block by block.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class); columns sum to 1.
    marginals : ndarray of shape (r, k), float64
        Mean posterior in each domain; rows sum to 1.
    log_likelihood : float
        Mean over the rows of log q(domain | row), in nats.
    n_iter : int
        Iterations done.
    converged : bool
        Whether the last one moved ``domain_given_class`` by no more than the tolerance.
    history : ndarray of shape (n_iter,), float64
        The log-likelihood before each iteration.
    """

    posteriors: Float64Array | None
    domain_given_class: Float64Array
    marginals: Float64Array
    log_likelihood: float
    n_iter: int
    converged: bool
    history: Float64Array


def frozen_em(
    pooled: Blocks | Float64Array,
    domain_given_class: Float64Array,
    domains: Int32Array,
    *,
    max_iter: int = 50,
    tol: float = 1e-6,
) -> FrozenFit:
    """Fit q(domain | class) to class probabilities that know no domain and do not change.

    Maximises ``sum_i log sum_y D[d_i, y] h_iy`` over matrices D with columns of sum 1, which is
    concave: what the domains add to a classifier h of the classes.

    Parameters
    ----------
    pooled : Blocks or ndarray of shape (n, k), float64
        h: probabilities of the classes, not negative; rows sum to 1. Blocks are read once in each
        iteration and once at the end, and summed in leaves: their bits do not depend on how the
        rows are cut, and differ from those of an array in the last place.
    domain_given_class : ndarray of shape (r, k), float64
        D to start from, above 0.
    domains : ndarray of shape (n,), int32
        Domain of each row, from 0 to r - 1.
    max_iter : int, default=50
        Most iterations, 0 at least.
    tol : float, default=1e-6
        Stop when no column moves by more than this, in total variation.

    Returns
    -------
    fit : FrozenFit
        Named tuple of ``posteriors``, ``domain_given_class``, ``marginals``, ``log_likelihood``,
        ``n_iter``, ``converged`` and ``history``.

    Notes
    -----
    Plain EM, with half a row for each class spread over the domains as a prior. O(n k) time for
    an iteration, O((n + r) k) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import frozen_em
    >>> h = np.eye(2)[[0, 0, 0, 1, 1, 0, 1, 1, 1]]
    >>> domains = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1], dtype=np.int32)
    >>> frozen_em(h, np.full((2, 2), 0.5), domains).marginals
    array([[0.75, 0.25],
           [0.2 , 0.8 ]])
    """
    D, history, converged = domain_given_class, [], False
    while len(history) < max_iter and not converged:
        _, totals, log_likelihood = _step(pooled, D, domains)
        counted = totals + _PRIOR_ROWS / len(D)
        counted /= counted.sum(axis=0)
        converged = bool(0.5 * np.abs(counted - D).sum(axis=0).max() <= tol)
        D = counted
        history.append(log_likelihood / len(domains))
    posteriors, totals, log_likelihood = _step(pooled, D, domains, is_last=True)
    return FrozenFit(
        posteriors,
        D,
        totals / np.maximum(totals.sum(axis=1, keepdims=True), 1e-300),
        log_likelihood / len(domains),
        len(history),
        converged,
        np.array(history),
    )


def _step(pooled, D, domains, *, is_last=False):
    """Posteriors, if they are to be kept, their sums in the domains, and the log-likelihood."""
    if isinstance(pooled, Blocks):
        return None, *domain_step(pooled, D, domains)
    step = tempered_posterior(
        pooled, D, domains, return_posterior=is_last, return_responsibilities=False
    )
    return step.posterior, step.totals, step.log_likelihood
