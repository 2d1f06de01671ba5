"""Rows that are left out in turn, with the neighbours that the others have without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse

if TYPE_CHECKING:
    from clusterlib.typing import CsrArray, Float64Array, Int32Array, Int64Array

__all__ = ["DomainFold", "blended_log_likelihoods", "domain_folds"]

# Shares of the mean column that may be mixed in: neighbours are surer than they should be.
_BLENDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)


class DomainFold(NamedTuple):
    """Rows to fit and rows that are left out.

    Attributes
    ----------
    kept : ndarray of shape (n_kept,), int64
        Rows to fit.
    left_out : ndarray of shape (n_left_out,), int64
        The others.
    f : csr_array of shape (n_kept, n_domains), float64
        Estimates of q(domain | row) of the kept rows, from kept rows.
    neighbors : ndarray of shape (n_kept, q), int32
        Nearest other kept rows of the kept rows, as positions in ``kept``.
    left_out_neighbors : ndarray of shape (n_left_out, q), int32
        Nearest kept rows of those left out.
    """

    kept: Int64Array
    left_out: Int64Array
    f: scipy.sparse.csr_array
    neighbors: Int32Array
    left_out_neighbors: Int32Array


def domain_folds(
    neighbors: Int32Array,
    domains: Int32Array,
    n_domains: int,
    n_folds: int,
    *,
    rng: np.random.Generator,
    f: CsrArray | None = None,
    n_averaged: int = 10,
) -> list[DomainFold]:
    """Leave out each row of a domain once, as long as another stays.

    Parameters
    ----------
    neighbors : ndarray of shape (n, q), int32
        Nearest other rows of each row, the nearest first.
    domains : ndarray of shape (n,), int32
        Domain of each row; every domain has some.
    n_domains : int
        How many there are.
    n_folds : int
        In how many parts rows are left out.
    rng : numpy.random.Generator
        Deals the rows.
    f : None or csr_array of shape (n, n_domains), default=None
        Estimates of q(domain | row) from elsewhere; None counts the domains of kept neighbours.
    n_averaged : int, default=10
        Neighbours that are kept of each row.

    Returns
    -------
    folds : list of DomainFold
        The only row of a domain is always kept. A row with fewer kept neighbours than wanted has
        these several times.

    Notes
    -----
    No neighbour is looked for again: O(n q) time and memory for each fold.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_folds
    >>> neighbors = np.array([[1, 2], [0, 2], [3, 1], [2, 1]], dtype=np.int32)
    >>> domains = np.array([0, 0, 1, 1], dtype=np.int32)
    >>> folds = domain_folds(neighbors, domains, 2, 2, rng=np.random.default_rng(0), n_averaged=1)
    >>> sorted(np.concatenate([fold.left_out for fold in folds]).tolist())
    [0, 1, 2, 3]
    """
    n = len(domains)
    parts = _parts(domains, n_domains, n_folds, rng)
    folds = []
    for part in range(n_folds):
        kept, left_out = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        places = np.full(n, -1, dtype=np.int32)
        places[kept] = np.arange(len(kept), dtype=np.int32)
        near = places[neighbors]
        # Kept neighbours first, the nearest of them at the front.
        near = np.take_along_axis(near, np.argsort(near < 0, axis=1, kind="stable"), axis=1)
        own = _counted(near[kept], domains[kept], n_domains) if f is None else f[kept]
        short = _filled(near[:, :n_averaged])
        folds.append(DomainFold(kept, left_out, own, short[kept], short[left_out]))
    return folds


def blended_log_likelihoods(likelihoods: Float64Array, others: Float64Array) -> Float64Array:
    """Logarithms of a prediction mixed with another, by the share that is best for all rows.

    Parameters
    ----------
    likelihoods, others : ndarray of shape (n,), float64
        Of each row, by the prediction and by the other.

    Returns
    -------
    log_likelihoods : ndarray of shape (n,), float64
        With 0, 1, 2, 5, 10, 20 or 30 % of the other.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import blended_log_likelihoods
    >>> blended_log_likelihoods(np.array([0.0, 1.0]), np.array([0.5, 0.5])).round(2)
    array([-1.9 , -0.16])
    """
    tiny = np.finfo(np.float64).tiny
    # One after the other: only the best one so far is kept.
    mixed = (np.log(np.maximum((1 - b) * likelihoods + b * others, tiny)) for b in _BLENDS)
    return max(mixed, key=lambda values: values.mean())


def _parts(domains, n_domains, n_folds, rng):
    """The part in which each row is left out, -1 for the only row of a domain."""
    order = rng.permutation(len(domains))
    order = order[np.argsort(domains[order], kind="stable")]
    sizes = np.bincount(domains, minlength=n_domains)
    within = np.arange(len(domains)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Parts begin at another place in each domain, so that small domains do not fill the first.
    offsets = np.repeat(rng.integers(0, n_folds, n_domains), sizes)
    parts = np.empty(len(domains), dtype=np.int64)
    parts[order] = (within + offsets) % n_folds
    parts[sizes[domains] == 1] = -1
    return parts


def _counted(near, domains, n_domains):
    """Shares of the domains among the neighbours that are kept; all domains where there is none."""
    kept = near >= 0
    rows, columns = np.nonzero(kept)[0], domains[near[kept]]
    values = 1.0 / kept.sum(axis=1)[rows]
    lonely = np.flatnonzero(~kept.any(axis=1))
    rows = np.concatenate([rows, np.repeat(lonely, n_domains)])
    columns = np.concatenate([columns, np.tile(np.arange(n_domains), len(lonely))])
    values = np.concatenate([values, np.full(len(lonely) * n_domains, 1.0 / n_domains)])
    table = scipy.sparse.csr_array((values, (rows, columns)), shape=(len(near), n_domains))
    table.sum_duplicates()
    return table


def _filled(near):
    """Repeat the neighbours that are kept where there are not enough; row 0 where there is none."""
    counts = np.maximum((near >= 0).sum(axis=1), 1)
    places = np.arange(near.shape[1]) % counts[:, None]
    filled = np.take_along_axis(near, places, axis=1)
    return np.ascontiguousarray(np.maximum(filled, 0))
