"""Lloyd's iteration: assign every row to its nearest centre, move centres to their means."""

from typing import NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, tree_reduce
from clusterlib.solvers.assignment import (
    costs_of_assignment,
    weighted_total,
)
from clusterlib.solvers.geometry import Flat, Sphere
from clusterlib.solvers.labelling import Labelling

__all__ = ["LloydResult", "Step", "add_totals", "lloyd", "relocate_empty", "scatter"]


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

    labels: np.ndarray
    centers: np.ndarray
    inertia: float
    n_iter: int
    converged: bool
    n_relocated: int
    history: np.ndarray


class Step(NamedTuple):
    """One assignment and the sums that follow from it.

    Attributes
    ----------
    labels : array of shape (n_samples,), int32
        Nearest centre of every row, where the rows lie.
    sums : ndarray of shape (n_clusters, n_features), float64
        Weighted sums of the rows of each cluster.
    weights : ndarray of shape (n_clusters,), float64
        Sums of the weights.
    """

    labels: np.ndarray
    sums: np.ndarray
    weights: np.ndarray


def lloyd(
    X,
    centers,
    *,
    sample_weight=None,
    max_iter=300,
    tol=0.0,
    spherical=False,
    callback=None,
):
    """Run k-means from given centres until they stand still.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows. Each iteration reads them once, block by block.
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
        ``callback(centers, history)`` after each iteration; True stops.

    Returns
    -------
    result : LloydResult
        Labels always belong to the returned centres.

    Notes
    -----
    O(n k d) time for each iteration, less where bounds keep rows in their clusters;
    O(n + k d log n) memory, of which the labels take 4 bytes for each row and, with 32 centres
    and more, the bounds 68 more. Assignments are exact and sums have a fixed order, so the result
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
    weight = geometry.summation_weight(blocks, sample_weight)
    labelling = Labelling(blocks, len(centers), geometry.metric)
    beside = blocks.from_host(weight)
    history, n_relocated, converged, stands = [], 0, False, False
    while len(history) < max_iter and not converged:
        step = _step(blocks, labelling, centers, beside)
        moved = geometry.centers(step.sums, step.weights, centers)
        n_relocated += relocate_empty(moved, step, blocks, centers, weight, spherical)
        history.append(float(np.square(moved.astype(np.float64) - centers).sum()))
        # Equality, not a distance of 0, which tiny moves also have in float64.
        stands = np.array_equal(moved, centers)
        converged = stands or history[-1] <= tol
        centers = moved
        if callback is not None and callback(centers, history):
            break
    # Bounds make the last look cheaper than an assignment from nothing.
    labels = labelling.labels if stands else _step(blocks, labelling, centers, beside).labels
    costs = costs_of_assignment(blocks, centers, labels, spherical=spherical)
    inertia = weighted_total(costs, sample_weight)
    return LloydResult(
        labels, centers, inertia, len(history), converged, n_relocated, np.array(history)
    )


def _step(blocks, labelling, centers, weight):
    """Assign all rows and sum up the clusters, reading X once; ``weight`` lies beside the rows."""
    sums, weights = tree_reduce(add_totals, labelling.sums(centers, weight))
    return Step(labelling.labels, blocks.to_host(sums), blocks.to_host(weights))


def add_totals(left, right):
    return [a + b for a, b in zip(left, right, strict=True)]


def relocate_empty(moved, step, blocks, centers, weight, spherical):
    """Move centres without rows to the farthest rows, in place; returns how many were moved."""
    empty = np.flatnonzero(step.weights == 0)
    if len(empty) == 0:
        return 0
    costs = costs_of_assignment(blocks, centers, step.labels, spherical=spherical)
    if weight is not None:
        costs[weight == 0] = 0.0
    far = _farthest_rows(blocks, costs, len(empty))
    if len(far):
        moved[empty[: len(far)]] = (Sphere if spherical else Flat).points(np.array(far))
    return len(far)


def _farthest_rows(blocks, costs, count):
    """At most ``count`` different rows with the highest positive costs, the highest first."""
    far, cost_of_far = [], []
    order = np.argsort(-costs, kind="stable")
    for index in order[: np.count_nonzero(costs > 0)]:
        if len(far) == count:
            break
        row = blocks.to_host(blocks.take([index]))[0]
        # Equal rows have the same centre and so the same cost: older ones need no comparison.
        rivals = (r for r, c in zip(far, cost_of_far, strict=True) if c == costs[index])
        if not any(np.array_equal(row, rival) for rival in rivals):
            far.append(row)
            cost_of_far.append(costs[index])
    return far


def scatter(X, *, sample_weight=None, spherical=False):
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
    O(n d) time in two passes, O(n) memory. The mean is rounded to the dtype of X.

    Examples
    --------
    >>> from clusterlib.solvers import scatter
    >>> scatter([[0.0, 1.0], [2.0, 1.0]])
    0.5
    """
    blocks = as_blocks(X)
    geometry = Sphere if spherical else Flat
    weight = geometry.summation_weight(blocks, sample_weight)
    origin = np.zeros((1, blocks.n_features), dtype=blocks.dtype)
    labelling = Labelling(blocks, 1, geometry.metric)
    step = _step(blocks, labelling, origin, blocks.from_host(weight))
    if spherical:
        # Directions have length 1: their variance is 1 - |mean|^2.
        directed = np.ones(blocks.n_samples) if sample_weight is None else sample_weight
        total = weighted_total((weight > 0).astype(np.float64), directed)
        mean = step.sums[0] / (total or 1.0)
        return max(0.0, 1.0 - float(mean @ mean)) / blocks.n_features if total else 0.0
    mean = Flat.centers(step.sums, step.weights, origin)
    costs = costs_of_assignment(blocks, mean, step.labels)
    total = float(step.weights[0])
    return weighted_total(costs, sample_weight) / total / blocks.n_features if total else 0.0
