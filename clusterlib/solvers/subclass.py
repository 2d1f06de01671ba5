"""Subclasses: large classes cut into clusters that are about as large as a small class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.solvers.balanced import assign_priced, balanced_lloyd
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.geometry import row_norms, unit_rows
from clusterlib.solvers.interior_prices import interior_prices
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.seeding import kmeans_plusplus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from clusterlib.typing import (
        Array,
        BoolArray,
        Float64Array,
        FloatArray,
        IndexArray,
        Int32Array,
        Int64Array,
        IntArray,
        Rows,
    )

__all__ = [
    "SubclassResult",
    "assign_within",
    "piece_sizes",
    "split_classes",
    "subclass_counts",
]


class SubclassResult(NamedTuple):
    """What :func:`split_classes` found; subclasses of a class have consecutive numbers.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        Subclass of each row.
    centers : ndarray of shape (n_subclasses, n_features)
        Centre of each subclass, in the dtype of X.
    parent : ndarray of shape (n_subclasses,), intp
        Class of each subclass.
    prices : ndarray of shape (n_subclasses,), float64
        Every row is where its cost plus the price is lowest among the subclasses of its class.
    inertias : ndarray of shape (n_classes,), float64
        Sum of the costs of the rows of each class.
    dual_gaps : ndarray of shape (n_classes,), float64
        By how much the last assignment can be above the best one, at most.
    n_iter : ndarray of shape (n_classes,), int64
        Balanced iterations of the start that was kept; 1 for a class that stays whole.
    converged : ndarray of shape (n_classes,), bool
        Whether they came to an end.
    """

    labels: Int32Array
    centers: FloatArray
    parent: IndexArray
    prices: Float64Array
    inertias: Float64Array
    dual_gaps: Float64Array
    n_iter: Int64Array
    converged: BoolArray


class _Split(NamedTuple):
    """One class, cut."""

    labels: np.ndarray
    centers: np.ndarray
    prices: np.ndarray
    inertia: float
    dual_gap: float
    n_iter: int
    converged: bool


def subclass_counts(class_sizes: IntArray, threshold: int, *, capped: bool) -> Int64Array:
    """Say into how many subclasses each class is cut.

    Parameters
    ----------
    class_sizes : ndarray of shape (n_classes,), int
        Rows of each class, at least 1.
    threshold : int
        M, the size that subclasses should have, at least 1.
    capped : bool
        True rounds n_c / M up, so that no subclass has more than M rows. False rounds it down,
        and sizes are between M and 2 M - 1.

    Returns
    -------
    counts : ndarray of shape (n_classes,), int64
        At least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import subclass_counts
    >>> subclass_counts(np.array([500, 39, 20, 5]), 20, capped=True)
    array([25,  2,  1,  1])
    >>> subclass_counts(np.array([500, 39, 20, 5]), 20, capped=False)
    array([25,  1,  1,  1])
    """
    class_sizes = np.asarray(class_sizes, dtype=np.int64)
    rounded_up = (class_sizes + threshold - 1) // threshold
    return rounded_up if capped else np.maximum(class_sizes // threshold, 1)


def piece_sizes(n_rows, n_pieces):
    """Smallest and largest size of parts that are as equal as possible.

    Examples
    --------
    >>> from clusterlib.solvers.subclass import piece_sizes
    >>> piece_sizes(39, 2)
    (19, 20)
    """
    return n_rows // n_pieces, -(-n_rows // n_pieces)


def split_classes(
    X: Rows,
    codes: IntArray,
    counts: IntArray,
    seeds: Sequence[int],
    *,
    spherical: bool = False,
    n_init: int = 1,
    max_iter: int = 300,
    on_class: Callable[..., Any] | None = None,
) -> SubclassResult:
    """Cut each class into a given number of clusters whose sizes differ by one at most.

    Every start runs from greedy k-means++ through plain k-means to k-means with exact balanced
    assignments, pushed on by exchanges of rows; the start with the lowest inertia is kept.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    codes : ndarray of shape (n_samples,), int
        Class of each row; every class from 0 on has rows.
    counts : ndarray of shape (n_classes,), int
        Into how many subclasses each class is cut, from 1 to its number of rows.
    seeds : sequence of int
        One for each class, so that the answer for a class does not depend on the others.
    spherical : bool, default=False
        Costs are 1 - cosine and centres unit vectors; else costs are squared distances. On the
        sphere a class that is cut has a row that is not zero.
    n_init : int, default=1
        Starts for each class.
    max_iter : int, default=300
        Most iterations of either kind of k-means.
    on_class : callable, default=None
        ``on_class(c, inertia)`` after class c.

    Returns
    -------
    result : SubclassResult
        Labels, centres, prices, and how each class came out.

    Notes
    -----
    One class is in memory at a time, with O(n_c m_c d) work for each iteration on n_c rows and
    m_c subclasses besides what the assignments cost.

    References
    ----------
    .. [1] C. Hou, J. Zhang, H. Wang, T. Zhou, "Subclass-balancing contrastive learning for
       long-tailed recognition", ICCV 2023, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import split_classes
    >>> X = np.array([[0.0], [1.0], [2.0], [8.0], [5.0], [6.0]])
    >>> result = split_classes(X, np.array([0, 0, 0, 0, 1, 1]), np.array([2, 1]), seeds=[0, 0])
    >>> result.labels[0] == result.labels[1], result.labels[2] == result.labels[3]
    (np.True_, np.True_)
    >>> result.parent, np.sort(result.centers[:2], axis=0).ravel(), result.centers[2]
    (array([0, 0, 1]), array([0.5, 5. ]), array([5.5]))
    """
    blocks = as_blocks(X)
    labels = np.empty(blocks.n_samples, dtype=np.int32)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    splits, first = [], 0
    for c, (rows, count, seed) in enumerate(zip(members, counts, seeds, strict=True)):
        rng = np.random.default_rng(seed)
        split = _split(blocks.take(rows), int(count), rng, spherical, n_init, max_iter)
        labels[rows] = first + split.labels
        first += int(count)
        splits.append(split)
        if on_class is not None:
            on_class(c, split.inertia)
    return SubclassResult(
        labels=labels,
        centers=np.concatenate([split.centers for split in splits]),
        parent=np.repeat(np.arange(len(counts), dtype=np.intp), counts),
        prices=np.concatenate([split.prices for split in splits]),
        inertias=np.array([split.inertia for split in splits]),
        dual_gaps=np.array([split.dual_gap for split in splits]),
        n_iter=np.array([split.n_iter for split in splits], dtype=np.int64),
        converged=np.array([split.converged for split in splits]),
    )


def _split(rows, n_pieces, rng, spherical, n_init, max_iter):
    """Cut the rows of one class."""
    if n_pieces == 1:
        return _whole(rows, spherical)
    blocks = as_blocks(rows)
    size_min, size_max = piece_sizes(len(rows), n_pieces)
    # Rows of zeros are no directions to start from.
    draws = RowDraws(blocks, (row_norms(blocks) > 0).astype(np.float64) if spherical else None)
    best = None
    for _ in range(n_init):
        seeds = kmeans_plusplus(blocks, n_pieces, rng, spherical=spherical, draws=draws)
        plain = lloyd(blocks, seeds.centers, max_iter=max_iter, spherical=spherical)
        result = balanced_lloyd(
            rows,
            plain.centers,
            size_min,
            size_max,
            spherical=spherical,
            max_iter=max_iter,
            exchange=True,
        )
        if best is None or result.inertia < best.inertia:
            best = result
    # Rows that were cut are to find their subclass again, so that no price may tie them.
    prices = interior_prices(
        blocks, best.centers, best.labels, best.prices, size_min, size_max, spherical=spherical
    )
    return _Split(
        best.labels,
        best.centers,
        prices,
        best.inertia,
        best.dual_gap,
        best.n_iter,
        best.converged,
    )


def _whole(rows, spherical):
    """A class that is not cut: its mean, or the direction of it."""
    start = unit_rows(rows[:1]) if spherical else rows[:1]
    # One step to the mean, one to see that it stands.
    result = lloyd(rows, start, max_iter=2, spherical=spherical)
    return _Split(result.labels, result.centers, np.zeros(1), result.inertia, 0.0, 1, True)


def assign_within(
    X: Rows,
    codes: IntArray,
    centers: Array,
    parent: IntArray,
    prices: Float64Array,
    *,
    spherical: bool = False,
) -> Int32Array:
    """Assign each row to a subclass of its class: where cost plus price is lowest.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    codes : ndarray of shape (n_samples,), int
        Class of each row.
    centers : ndarray of shape (n_subclasses, n_features)
        Centres of the subclasses, in the order of their classes.
    parent : ndarray of shape (n_subclasses,), int
        Class of each subclass, not falling.
    prices : ndarray of shape (n_subclasses,), float64
        What a subclass charges besides its distance.
    spherical : bool, default=False
        Costs are 1 - cosine; else squared distances.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        Exact in float64; the lowest index on ties.

    Notes
    -----
    O(n d) time for each subclass of a class of n rows; one class is in memory at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import assign_within
    >>> centers, parent = np.array([[0.0], [4.0], [2.0]]), np.array([0, 0, 1])
    >>> rows, codes = np.array([[2.5], [2.5]]), np.array([0, 1])
    >>> assign_within(rows, codes, centers, parent, np.zeros(3))
    array([1, 2], dtype=int32)
    """
    blocks = as_blocks(X)
    labels = np.empty(blocks.n_samples, dtype=np.int32)
    for c in np.unique(codes):
        rows = np.flatnonzero(codes == c)
        first, last = np.searchsorted(parent, [c, c + 1])
        labels[rows] = first + assign_priced(
            blocks.take(rows), centers[first:last], prices[first:last], spherical=spherical
        )
    return labels
