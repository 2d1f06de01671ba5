"""What is kept of the classes of rows that are many: no array of rows and classes."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce, tree_reduce
from clusterlib.kernels import LEAF_ROWS, pairwise_argmin, tempered_posterior
from clusterlib.solvers.domain_vertices import domain_counts

if TYPE_CHECKING:
    from clusterlib.blocks._protocol import Blocks
    from clusterlib.typing import Array, Float64Array, Int32Array

__all__ = ["RowClasses", "cluster_domain_counts", "domain_step", "row_classes"]

_TINY = np.finfo(np.float64).tiny


class RowClasses(NamedTuple):
    """What :func:`row_classes` returns.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Most probable class of each row in its domain.
    likelihoods : ndarray of shape (n,), float64
        q(domain | row) of the domain of each row.
    entropies : ndarray of shape (n,), float64
        Of q(class | row) without the domain, in nats.
    source_prior : ndarray of shape (k,), float64
        Mean of q(class | row) over all rows.
    posteriors : ndarray of shape (n, k), dtype of the classes, or None
        q(class | row, its domain), if they were asked for.
    """

    labels: Int32Array
    likelihoods: Float64Array
    entropies: Float64Array
    source_prior: Float64Array
    posteriors: Array | None = None

    @property
    def log_likelihood(self):
        """Mean log q(domain | row), in nats."""
        return float(np.log(np.maximum(self.likelihoods, _TINY)).mean())


def row_classes(
    pooled: Blocks | Array,
    domain_given_class: Float64Array,
    domains: Int32Array,
    *,
    keep_posteriors: bool = False,
) -> RowClasses:
    """Read class probabilities once, and keep 20 bytes of each row.

    Parameters
    ----------
    pooled : Blocks or ndarray of shape (n, k)
        q(class | row); rows sum to 1.
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class).
    domains : ndarray of shape (n,), int32
        Domain of each row.
    keep_posteriors : bool, default=False
        Return the posteriors, too. A row that its domain rules out keeps its pooled
        probabilities.

    Returns
    -------
    classes : RowClasses

    Notes
    -----
    One pass, O(n k) time. The bits depend neither on the carrier nor on its blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import row_classes
    >>> pooled = np.array([[0.9, 0.1], [0.5, 0.5]])
    >>> D = np.array([[0.5, 0.1], [0.5, 0.9]])
    >>> row_classes(pooled, D, np.array([0, 1], dtype=np.int32)).labels
    array([0, 1], dtype=int32)
    """
    blocks = as_blocks(pooled)
    n = blocks.n_samples
    kept = [np.empty(n, np.int32), np.empty(n), np.empty(n)]
    if keep_posteriors:
        kept.append(np.empty(blocks.shape, blocks.dtype))
    stop = 0

    def sums():
        nonlocal stop
        broadcast = domain_given_class, keep_posteriors
        for total, *of_rows in blocks.map(_classes_of_block, (domains,), broadcast):
            start, stop = stop, stop + len(of_rows[0])
            for array, part in zip(kept, of_rows, strict=True):
                array[start:stop] = part
            yield total

    total = tree_reduce(operator.add, sums())
    return RowClasses(*kept[:3], total / n, *kept[3:])


def cluster_domain_counts(X, centers, domains, n_domains):
    """Count the rows of each domain that are nearest to each centre, in one pass.

    Parameters
    ----------
    X : Blocks or array-like of shape (n, p)
        The rows.
    centers : ndarray of shape (m, p), dtype of X
        The centres.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    n_domains : int
        How many there are.

    Returns
    -------
    counts : ndarray of shape (m, n_domains), float64
        Numbers of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.row_classes import cluster_domain_counts
    >>> X = np.array([[0.0], [1.0], [9.0]])
    >>> cluster_domain_counts(X, X[1:], np.array([0, 1, 1], dtype=np.int32), 2)
    array([[1., 1.],
           [0., 1.]])
    """
    return map_reduce(
        _counts_of_block, operator.add, as_blocks(X), domains, broadcast=(centers, n_domains)
    )


def domain_step(pooled, domain_given_class, domains):
    """One step of EM for the shares of the domains, in one pass.

    Parameters
    ----------
    pooled : Blocks of shape (n, k)
        q(class | row).
    domain_given_class : ndarray of shape (r, k), float64
        q(domain | class).
    domains : ndarray of shape (n,), int32
        Domain of each row.

    Returns
    -------
    totals : ndarray of shape (r, k), float64
        Sums of q(class | row, its domain) over the rows of each domain.
    log_likelihood : float
        Sum of log q(domain | row).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.solvers.row_classes import domain_step
    >>> D = np.array([[0.5, 0.1], [0.5, 0.9]])
    >>> domain_step(as_blocks(np.eye(2)), D, np.array([0, 1], dtype=np.int32))[0]
    array([[1., 0.],
           [0., 1.]])
    """
    return pooled.map_reduce(_step_of_block, _added, (domains,), (domain_given_class,))


def _counts_of_block(rows, domains, centers, n_domains):
    return domain_counts(pairwise_argmin(rows, centers), domains, len(centers), n_domains)


def _step_of_block(pooled, domains, D):
    return tree_reduce(_added, (_step_of_leaf(*leaf, D) for leaf in _leaves(pooled, domains)))


def _step_of_leaf(pooled, domains, D):
    step = tempered_posterior(pooled, D, domains, return_responsibilities=False)
    return step.totals, step.log_likelihood


def _added(left, right):
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _classes_of_block(pooled, domains, D, keep_posteriors):
    """The sum of the probabilities; labels, likelihoods, entropies and posteriors of the rows."""
    parts = [_classes_of_leaf(*leaf, D, keep_posteriors) for leaf in _leaves(pooled, domains)]
    totals, *of_rows = zip(*parts, strict=True)
    return tree_reduce(operator.add, totals), *(np.concatenate(part) for part in of_rows)


def _classes_of_leaf(pooled, domains, D, keep_posteriors):
    step = tempered_posterior(
        pooled, D, domains, return_posterior=True, return_responsibilities=False
    )
    likelihoods = np.einsum("ik,ik->i", pooled.astype(np.float64, copy=False), D[domains])
    entropies = -np.sum(pooled * np.log(np.maximum(pooled, np.finfo(pooled.dtype).tiny)), axis=1)
    posteriors = step.posterior
    excluded = likelihoods < _TINY
    posteriors[excluded] = pooled[excluded]
    labels = posteriors.argmax(axis=1).astype(np.int32)
    found = pooled.sum(axis=0, dtype=np.float64), labels, likelihoods, entropies
    return (*found, posteriors) if keep_posteriors else found


def _leaves(*arrays):
    for start in range(0, max(len(arrays[0]), 1), LEAF_ROWS):
        yield tuple(array[start : start + LEAF_ROWS] for array in arrays)
