"""Rows whose cluster is not settled by prices that are known up to some width."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels import LEAF_ROWS, pairwise_distances
from clusterlib.solvers.geometry import unit_rows

__all__ = ["Look", "UndecidedRows", "decided_labels", "lifted", "undecided_rows"]

_CHUNK_VALUES = 1 << 18
_KEYS = 2.0**64


class Look(NamedTuple):
    """What a pass asks every row.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    prices : ndarray of shape (n_clusters,), float64
        What a place costs besides.
    others : ndarray of shape (n_others, n_clusters), float64, or None
        More prices: rows whose cheapest cluster is not the same for all of them are undecided. All
        others have it for every mean of these prices, too. None: all rows are undecided.
    rounding : float
        Rows with a second cluster no more than this above the cheapest are undecided as well.
    spherical : bool
        Costs are 1 - cosine instead of squared distances.
    tie_break : float
        Up to what a cost is changed so that no two rows are alike, 0 for not at all.
    salt : int
        Which rows come first in samples.
    rate : float
        Which share of the undecided rows is wanted.
    most_rows : int
        How many of them at most.
    """

    centers: np.ndarray
    prices: np.ndarray
    others: np.ndarray | None
    rounding: float
    spherical: bool
    tie_break: float
    salt: int
    rate: float
    most_rows: int


class UndecidedRows(NamedTuple):
    """What :func:`undecided_rows` returns.

    Attributes
    ----------
    counts : ndarray of shape (n_clusters,), int64
        How many rows are decided for each cluster.
    n_undecided : int
        How many are not.
    ids : ndarray of shape (n_sampled,), int64
        Numbers of those that are held, all of them or a sample, in a random order.
    rows : ndarray of shape (n_sampled, n_features)
        Themselves.
    """

    counts: np.ndarray
    n_undecided: int
    ids: np.ndarray
    rows: np.ndarray


def undecided_rows(blocks, look):
    """Count the rows that prices decide, and sample the others, in one pass.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    look : Look
        Prices. Without others no row is decided, and no distance is computed.

    Returns
    -------
    part : UndecidedRows
        The sample has the undecided rows with the smallest keys, which are mixed from their numbers.

    Notes
    -----
    O(n k d) time; memory for twice ``most_rows`` rows and for those of a block.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.solvers.undecided_rows import Look, undecided_rows
    >>> look = Look(np.array([[0.0], [2.0]]), np.zeros(2), np.eye(2), 0.0, False, 0.0, 0, 1.0, 9)
    >>> part = undecided_rows(as_blocks(np.array([[0.0], [1.0], [1.2], [2.0]])), look)
    >>> part.counts, part.n_undecided, np.sort(part.ids)
    (array([1, 1]), 2, array([1, 2]))
    """
    counts, n_undecided, held, n_held = np.zeros(len(look.prices), dtype=np.int64), 0, [], 0
    for decided, n, *sample in blocks.map(_undecided, (range(blocks.n_samples),), (look,)):
        counts += decided
        n_undecided += n
        held.append(sample)
        n_held += len(sample[0])
        if n_held > 2 * look.most_rows:
            held = [_first(held, look.most_rows)]
            n_held = look.most_rows
    _, ids, rows = _first(held, look.most_rows)
    return UndecidedRows(counts, n_undecided, ids, rows)


def _undecided(rows, numbers, look):
    ids = np.arange(numbers.start, numbers.start + len(rows))
    counts, undecided = np.zeros(len(look.prices), dtype=np.int64), np.ones(len(rows), dtype=bool)
    if look.others is not None:
        labels, undecided, _, _ = decided_labels(rows, ids, look)
        counts = np.bincount(labels[~undecided], minlength=len(counts))
    keys = _keys(ids, look.salt)
    wanted = undecided if look.rate >= 1 else undecided & (keys < np.uint64(look.rate * _KEYS))
    wanted = np.flatnonzero(wanted)
    sample = _first([(keys[wanted], ids[wanted], rows[wanted])], look.most_rows)
    return counts, np.count_nonzero(undecided), *sample


def _first(samples, most):
    """The rows with the smallest keys, in their order, which is that of nothing else."""
    keys, ids, rows = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    chosen = np.argsort(keys)[:most]
    return keys[chosen], ids[chosen], rows[chosen]


def _keys(ids, salt):
    """Numbers of rows, mixed (splitmix64), so that the smallest keys are a sample."""
    keys = ids.astype(np.uint64) + np.full(1, salt, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
    keys = (keys + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def decided_labels(rows, ids, look):
    """Find where cost plus price is least, and which rows are undecided.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Rows of a block, or a sample.
    ids : ndarray of shape (n,), int64
        Their numbers.
    look : Look
        Centres and prices; without others, only ties make rows undecided.

    Returns
    -------
    labels : ndarray of shape (n,), int32
        The lowest index on ties.
    undecided : ndarray of shape (n,), bool
        Whether another cluster may be theirs.
    n_tied : int
        How many have a second cluster within ``rounding``.
    largest : float
        Largest absolute value of a cost plus price.

    Notes
    -----
    O(n k d + n k n_others) time, in chunks that begin where leaves begin, so that blocks do not
    matter.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.undecided_rows import Look, decided_labels
    >>> look = Look(np.array([[0.0], [2.0]]), np.zeros(2), np.eye(2), 0.0, False, 0.0, 0, 1.0, 9)
    >>> decided_labels(np.array([[0.5], [1.2]]), np.arange(2), look)
    (array([0, 1], dtype=int32), array([False,  True]), 0, 3.24)
    """
    k = len(look.prices)
    step = 1 << max(0, min(_CHUNK_VALUES // k, LEAF_ROWS).bit_length() - 1)
    labels, undecided = np.zeros(len(rows), dtype=np.int32), np.zeros(len(rows), dtype=bool)
    n_tied, largest = 0, 0.0
    # A row whose margin is larger than what others change between clusters is decided.
    reach = 0.0 if look.others is None else float(np.ptp(look.others - look.prices, axis=1).max())
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        points, centers = lifted(
            rows[some], look.centers, ids[some], look.spherical, look.tie_break
        )
        costs = pairwise_distances(points.astype(np.float64), centers.astype(np.float64))
        priced = costs + look.prices
        largest = max(largest, float(np.abs(priced).max()))
        best = priced.argmin(axis=1)
        beside = np.arange(len(best))
        least = priced[beside, best]
        priced[beside, best] = np.inf
        margins = priced.min(axis=1) - least
        tied = margins <= look.rounding
        n_tied += np.count_nonzero(tied)
        labels[some], undecided[some] = best, tied
        if look.others is not None:
            near = np.flatnonzero(margins <= reach)
            undecided[start + near] |= _differs(costs[near], best[near], look.others)
    return labels, undecided, n_tied, largest


def _differs(costs, best, others):
    """Whether another cluster is the cheapest one for some of the other prices."""
    differs = np.zeros(len(best), dtype=bool)
    for prices in others:
        differs |= (costs + prices).argmin(axis=1) != best
    return differs


def lifted(rows, centers, ids, spherical, tie_break):
    """Points whose squared distances are the costs, up to what is the same in every cluster.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Some rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    ids : ndarray of shape (n,), int64
        Numbers of the rows.
    spherical : bool
        Costs are 1 - cosine: half the squared distances of directions.
    tie_break : float
        Up to what a cost is changed, by one coordinate more, mixed from the number of a row.

    Returns
    -------
    points : ndarray of shape (n, n_features or n_features + 1)
        The rows themselves, if they need nothing of that.
    centers : ndarray of shape (n_clusters, n_features or n_features + 1)
        The centres of these points.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.undecided_rows import lifted
    >>> points, centers = lifted(np.zeros((2, 1)), np.ones((2, 1)), np.arange(2), False, 4.0)
    >>> centers.tolist(), points.shape
    ([[1.0, 0.0], [1.0, 1.0]], (2, 2))
    """
    if spherical:
        half = np.sqrt(0.5)
        rows, centers = (unit_rows(each.astype(np.float64)) * half for each in (rows, centers))
    if tie_break == 0:
        return rows, centers
    scale = np.sqrt(tie_break)
    places = _keys(ids, 0) * (scale / _KEYS)
    marks = np.arange(len(centers)) * (scale / len(centers))
    return np.column_stack([rows, places]), np.column_stack([centers, marks])
