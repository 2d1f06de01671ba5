"""What SDPClustering knows about the lowest k-means cost."""

from typing import NamedTuple

import numpy as np

from clusterlib.base import logger
from clusterlib.solvers import Rounding, certify_partition, kmeans_lower_bound
from clusterlib.validation import Certification

__all__ = ["CostBound", "certified"]


class CostBound(NamedTuple):
    """A lower bound of the k-means cost.

    Attributes
    ----------
    lower_bound : float
        No partition costs less.
    kind : str
        "exact" if the partition costs no more, "bound", or "none" for the bound 0.
    rigorous : bool
        Whether that holds in spite of rounding.
    """

    lower_bound: float
    kind: str
    rigorous: bool


def certified(blocks, total, partition, n_clusters, certify, *, factor=None, upper_value=np.inf):
    """Say how far a partition may be from the lowest k-means cost.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    total : float
        Sum of their squared distances to their mean.
    partition : RoundedPartition
        The labels, with their cost.
    n_clusters : int
        How many clusters.
    certify : Certification
        How much work to do.
    factor : None or ndarray of shape (n_samples, rank), float64
        Of the relaxed solution, for a start.
    upper_value : float, default=inf
        What the solver knows: no matrix of the relaxation has a larger objective, up to rounding.

    Returns
    -------
    bound : CostBound
        With ``lower_bound`` at most the cost of the partition, and at least 0.
    """
    if partition.rounding is Rounding.ONLY or partition.inertia == 0:
        return _exact(partition, total if n_clusters == 1 else 0.0, True)
    known = CostBound(0.0, "none", True)  # costs are not negative
    if np.isfinite(upper_value):
        known = CostBound(max(0.0, total - upper_value), "bound", False)
    if certify is not Certification.NONE:
        rows = blocks.rows(0, blocks.n_samples)
        # A partition with an empty cluster is never the best one.
        if np.bincount(partition.labels, minlength=n_clusters).all():
            proof = certify_partition(rows, partition.labels, n_clusters=n_clusters)
            if proof.certified:
                return _exact(partition, proof.cost, proof.rigorous)
        bound = kmeans_lower_bound(
            rows,
            partition.labels,
            n_clusters,
            method=certify.value,
            W=factor if certify is Certification.FULL else None,
            callback=_LOG.get(certify),
        )
        if bound.lower_bound >= known.lower_bound:
            known = CostBound(bound.lower_bound, "bound", bound.rigorous)
        logger.info("SDPClustering: the k-means cost is at least %.9g", known.lower_bound)
    return known._replace(lower_bound=min(known.lower_bound, partition.inertia))


def _exact(partition, cost, rigorous):
    """The cost itself, without what the rounding of centres to float32 has added to the inertia."""
    is_rounding = cost >= partition.inertia * (1 - 1e-12)
    return CostBound(partition.inertia if is_rounding else cost, "exact", rigorous)


def _log_full(n_iter, objective, bound, residual):
    logger.info(
        "SDPClustering: dual iteration %d, objective %.9g, bound %.9g", n_iter, objective, bound
    )


def _log_block(n_done, n_blocks, lower_bound):
    logger.info(
        "SDPClustering: block %d/%d, k-means cost at least %.9g", n_done, n_blocks, lower_bound
    )


_LOG = {Certification.FULL: _log_full, Certification.BLOCK: _log_block}
