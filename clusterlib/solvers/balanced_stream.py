"""Balanced k-means on rows that are read block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.solvers.balanced import PricedPartition
from clusterlib.solvers.far_rows import relocate_empty
from clusterlib.solvers.geometry import Flat, Sphere
from clusterlib.solvers.streamed_assignment import assign_streamed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, IntArray, Rows

__all__ = ["balanced_stream"]

# After an iteration that changed more labels than this share, prices are no hint for the next one.
_FEW_CHANGES = 0.1


def balanced_stream(
    X: Rows,
    centers: Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    spherical: bool = False,
    max_iter: int = 300,
    tol: float = 0.0,
    callback: Callable[..., Any] | None = None,
    most_rows: int | None = None,
) -> PricedPartition:
    """Run k-means with bounded cluster sizes on rows that need not be in memory.

    The iteration of :func:`balanced_lloyd` without exchanges, with the assignments of
    :func:`assign_streamed`.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        Where to start, in the dtype of X; unit vectors on the sphere.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster; bounds that n_samples rows can meet.
    spherical : bool, default=False
        Cluster directions, as in :func:`balanced_lloyd`.
    max_iter : int, default=300
        Most iterations, at least 1.
    tol : float, default=0.0
        An iteration that lowers the inertia by no more than ``tol`` times itself is the last one.
        0 waits until labels stand still.
    callback : callable, default=None
        ``callback(centers, prices, history)`` after each iteration; True stops.
    most_rows : int, default=None
        As in :func:`assign_streamed`.

    Returns
    -------
    result : PricedPartition
        An assignment to the returned centres, with its ``dual_gap``.

    Notes
    -----
    The passes of an assignment for each iteration, which also bring the sums of the clusters, and
    one more where a cluster is empty. Memory is that of the assignment and the labels of two. The
    result depends neither on blocks nor on where the rows lie.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import balanced_stream
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> result = balanced_stream(X, X[[0, 3]], 2, 2)
    >>> result.labels, result.centers.ravel(), result.inertia
    (array([0, 0, 1, 1], dtype=int32), array([0.5, 5.5]), 25.0)
    """
    blocks, geometry = as_blocks(X), Sphere if spherical else Flat
    common = {"spherical": spherical, "most_rows": most_rows}
    best = assign_streamed(blocks, centers, size_min, size_max, **common)
    history, converged, changed = [], False, 1.0
    while len(history) < max_iter and not converged:
        moved = geometry.centers(best.sums, best.weights, centers)
        relocate_empty(moved, best.weights, best.labels, blocks, centers, None, spherical=spherical)
        hint = best if changed <= _FEW_CHANGES else None
        found = assign_streamed(blocks, moved, size_min, size_max, hint=hint, **common)
        changed = float(np.count_nonzero(found.labels != best.labels)) / blocks.n_samples
        stands = changed == 0
        fall = best.cost - found.cost
        converged = stands or not fall > tol * best.cost
        if fall > 0 or (stands and fall == 0):
            centers, best = moved, found
        history.append(best.cost)
        if callback is not None and callback(centers, best.prices, history):
            break
    return PricedPartition(
        best.labels, centers, best.prices, best.cost, best.dual_gap, len(history), converged,
        np.array(history),
    )  # fmt: skip
