"""Lloyd's iteration: assign every row to its nearest centre, move centres to their means."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce
from clusterlib.solvers.assignment import (
    assign_with_cost,
    cost_of_assignment,
    total_cost,
    weighted_total,
)
from clusterlib.solvers.far_rows import relocate_empty
from clusterlib.solvers.geometry import Flat, Sphere
from clusterlib.solvers.labelling import Labelling

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, Float64Array, FloatArray, Int32Array, Rows

__all__ = ["LloydResult", "lloyd", "scatter", "weight_of_directions"]


class LloydResult(NamedTuple):
    """What :func:`lloyd` found.

    Attributes
    ----------
    labels : array of shape (n_samples,), int32
        Nearest of ``centers`` for every row, the lowest index on ties. Where the rows lie; all
        else is on the host.
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.
    inertia : float
        Sum of weight times cost, computed in float64.
    n_iter : int
        Iterations done.
    converged : bool
        Whether the centres moved by no more than ``tol`` at last.
    n_relocated : int
        How many times a centre without rows was moved to a far row.
    history : ndarray of shape (n_iter,), float64
        Sum of the squared moves of the centres in each iteration.
    """

    labels: Int32Array
    centers: FloatArray
    inertia: float
    n_iter: int
    converged: bool
    n_relocated: int
    history: Float64Array


def lloyd(
    X: Rows,
    centers: Array,
    *,
    sample_weight: Array | None = None,
    max_iter: int = 300,
    tol: float = 0.0,
    spherical: bool = False,
    callback: Callable[..., Any] | None = None,
) -> LloydResult:
    """Run k-means from given centres until they stand still.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows. Each iteration reads them once, block by block; so does the end, to label them.
    centers : ndarray of shape (n_clusters, n_features)
        Where to start, in the dtype of X; unit vectors on the sphere.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    max_iter : int, default=300
        Most iterations, at least 1.
    tol : float, default=0.0
        Stop when the squared moves of the centres add up to no more than this; see
        :func:`scatter` for its scale.
    spherical : bool, default=False
        Cluster directions: centres are normalised sums of normalised rows, rows cost 1 - cosine.
        A row of zeros costs 1, goes to cluster 0 and moves no centre.
    callback : callable, default=None
        ``callback(centers, history, n_relocated)`` after each iteration; True stops.

    Returns
    -------
    result : LloydResult
        Labels always belong to the returned centres.

    Notes
    -----
    O(n k d) time for each iteration, less where bounds keep rows in their clusters;
    O(n + k d log n) memory, of which the labels take 4 bytes for each row and, with 32 centres
    and more, the bounds 68 more; beside rows that are not in memory bounds are kept only if they
    take no more than a block, and where functions of the rows run elsewhere, as on Dask workers,
    labels are made at the end. Assignments are exact and sums have a fixed order, so the result
    depends on neither threads nor blocks. A centre that lost all its
    rows moves to the row that is farthest from its own centre (the lowest index on ties; equal
    rows count once), the second such centre to the next one; where no row is away from its
    centre it stays. No such move raises the objective.

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2), 1982.
    .. [2] I. S. Dhillon and D. S. Modha, "Concept decompositions for large sparse text data using
       clustering", Machine Learning 42, 2001 (the sphere).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import lloyd
    >>> X = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> result = lloyd(X, X[:2])
    >>> result.centers.ravel(), result.labels, result.inertia
    (array([0.5, 8.5]), array([0, 0, 1, 1], dtype=int32), 1.0)
    """
    blocks = as_blocks(X)
    geometry = Sphere if spherical else Flat
    labelling = Labelling(blocks, len(centers), geometry, sample_weight)
    history, n_relocated, converged, stands = [], 0, False, False
    while len(history) < max_iter and not converged:
        sums, weights = labelling.step(centers)
        moved = geometry.centers(sums, weights, centers)
        n_relocated += relocate_empty(
            moved, weights, labelling.labels, blocks, centers, sample_weight, spherical=spherical
        )
        with np.errstate(over="ignore"):  # infinity tells the caller
            history.append(float(np.square(moved.astype(np.float64) - centers).sum()))
        # Equality, not a distance of 0, which tiny moves also have in float64.
        stands = np.array_equal(moved, centers)
        converged = stands or history[-1] <= tol
        centers = moved
        if callback is not None and callback(centers, history, n_relocated):
            break
    labels, inertia = _settled(blocks, labelling, centers, stands, sample_weight, spherical)
    return LloydResult(
        labels, centers, inertia, len(history), converged, n_relocated, np.array(history)
    )


def _settled(blocks, labelling, centers, stands, sample_weight, spherical):
    """Labels and inertia of the last centres, in as few looks at the rows as it takes."""
    options = {"sample_weight": sample_weight, "spherical": spherical}
    if labelling.labels is None or not (stands or labelling.keeps_bounds):
        labelling.labels = None  # makes room for those of the last centres
        return assign_with_cost(blocks, centers, **options)
    if not stands:  # bounds make this look cheaper than an assignment from nothing
        labelling.step(centers)
    labels = labelling.labels
    return labels, cost_of_assignment(blocks, centers, labels, **options)


def scatter(X: Rows, *, sample_weight: Array | None = None, spherical: bool = False) -> float:
    """Weighted variance of X, averaged over the features: the scale of ``tol``.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    spherical : bool, default=False
        Take directions for the rows.

    Returns
    -------
    variance : float
        ``sum_i w_i |x_i - mean|^2 / (n_features sum_i w_i)``, 0 for no weight at all.

    Notes
    -----
    O(n d) time in two passes; memory for the rows of a block. The mean is rounded to the dtype of
    X.

    Examples
    --------
    >>> from clusterlib.solvers import scatter
    >>> scatter([[0.0, 1.0], [2.0, 1.0]])
    0.5
    """
    blocks = as_blocks(X)
    geometry = Sphere if spherical else Flat
    origin = np.zeros((1, blocks.n_features), dtype=blocks.dtype)
    sums, weights = Labelling(blocks, 1, geometry, sample_weight).step(origin)
    if spherical:
        # Directions have length 1: their variance is 1 - |mean|^2.
        total = weight_of_directions(blocks, sample_weight)
        mean = sums[0] / (total or 1.0)
        return max(0.0, 1.0 - float(mean @ mean)) / blocks.n_features if total else 0.0
    mean = Flat.centers(sums, weights, origin)
    total = float(weights[0])
    cost = total_cost(blocks, mean, sample_weight=sample_weight)
    return cost / total / blocks.n_features if total else 0.0


def weight_of_directions(X: Rows, sample_weight: Array | None = None) -> float:
    """Add up the weights of the rows that are not zero.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    total : float
        0 if there is no direction at all.

    Notes
    -----
    O(n d) time in one pass; memory for the rows of a block.

    Examples
    --------
    >>> from clusterlib.solvers import weight_of_directions
    >>> weight_of_directions([[0.0, 1.0], [0.0, 0.0]])
    1.0
    """
    blocks = as_blocks(X)
    if not blocks.on_host:
        directed = Sphere.summation_weight(blocks, sample_weight) > 0
        return weighted_total(directed.astype(np.float64), sample_weight)
    return map_reduce(_directed_weight, operator.add, blocks, sample_weight)


def _directed_weight(rows, sample_weight):
    directed = Sphere.row_weight(rows, sample_weight) > 0
    return weighted_total(directed.astype(np.float64), sample_weight)
