"""Gaussians of rare classes that borrow from those of frequent classes nearby."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array, IndexArray, IntArray

__all__ = ["HeadWeights", "RidgeKind", "TailCalibration", "calibrate_tail"]

# Of two classes the one would have to borrow from its only opponent.
_FEWEST_CLASSES = 3


class HeadWeights(Enum):
    """How much the head classes count that a tail class borrows from.

    Attributes
    ----------
    PAPER
        In proportion to size times squared distance: the farther, the more.
    INVERSE
        In proportion to size over squared distance; those at distance 0 take it all.
    SIZE
        In proportion to size.
    """

    PAPER = "paper"
    INVERSE = "inverse"
    SIZE = "size"


class RidgeKind(Enum):
    """What is added, times alpha, to the covariance of a tail class.

    Attributes
    ----------
    ONES
        The matrix of ones: variance along the diagonal direction alone.
    IDENTITY
        The identity: the same variance in every direction.
    """

    ONES = "ones"
    IDENTITY = "identity"


class TailCalibration(NamedTuple):
    """What :func:`calibrate_tail` made of the classes.

    Attributes
    ----------
    means : ndarray of shape (n_classes, d), float64
        Those of head classes as they were.
    covariances : ndarray of shape (n_classes, d, d), float64
        Likewise.
    head_classes : ndarray of shape (n_head,), intp
        The most frequent class first; all others are tail.
    neighbors : ndarray of shape (n_classes, q), intp
        Head classes that a tail class borrowed from, the nearest first; -1 for a head class.
    weights : ndarray of shape (n_classes, q), float64
        Their weights, of sum 1; 0 for a head class.
    gamma : ndarray of shape (n_classes,), float64
        Which part is borrowed; 0 for a head class.
    """

    means: Float64Array
    covariances: Float64Array
    head_classes: IndexArray
    neighbors: IndexArray
    weights: Float64Array
    gamma: Float64Array


def calibrate_tail(
    sizes: IntArray,
    means: Float64Array,
    covariances: Float64Array,
    *,
    n_neighbors: int = 3,
    gamma: float = 0.3,
    alpha: float = 0.1,
    ridge: RidgeKind = RidgeKind.ONES,
    weights: HeadWeights = HeadWeights.PAPER,
) -> TailCalibration:
    """Move means and covariances of rare classes towards those of frequent ones.

    The head is the shortest prefix of the most frequent classes that holds half of the rows. Every
    other class takes the q head classes whose means are nearest, and with their weights w

    ``mean <- gamma sum_c w_c mean_c + (1 - gamma) mean``

    ``covariance <- gamma sum_c w_c covariance_c + (1 - gamma) covariance + alpha ridge`` [1]_.

    Parameters
    ----------
    sizes : ndarray of shape (n_classes,), int
        Observed rows of each class, outliers and all, at least 1. The lower index comes first
        among classes of one size.
    means : ndarray of shape (n_classes, d), float64
        As :func:`inlier_gaussians` finds them.
    covariances : ndarray of shape (n_classes, d, d), float64
        Likewise.
    n_neighbors : int, default=3
        q, at least 1, cut to the number of head classes. The more frequent class comes first among
        those that are equally far.
    gamma : float, default=0.3
        From 0 to 1. None estimates what has the least squared error for each class, see Notes.
    alpha : float, default=0.1
        At least 0.
    ridge : RidgeKind, default=RidgeKind.ONES
        What alpha multiplies.
    weights : HeadWeights, default=HeadWeights.PAPER
        With ``PAPER``, and with all distances 0, sizes are the weights.

    Returns
    -------
    calibration : TailCalibration
        New arrays. Two classes or one are all head: nothing changes.

    Notes
    -----
    For ``gamma=None``: the mean of n rows has squared error ``V = trace(covariance) / n``, and the
    squared distance D between it and the borrowed mean estimates what both of them err and differ
    together, so that ``min(1, V / D)`` estimates the gamma of least error. A covariance of 0, that
    of a class of one row, tells nothing; the trace of the borrowed one then takes its place.

    O(K_tail (K_head d + q d^2)) time, and O(q d^2) memory beside the result.

    References
    ----------
    .. [1] M. Zhang, X. Zhao, J. Yao, C. Yuan, W. Huang, "When noisy labels meet long tail dilemmas:
       a representation calibration method", ICCV 2023, section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import calibrate_tail
    >>> means = np.array([[0.0], [2.0], [5.0]])
    >>> calibration = calibrate_tail(np.array([40, 30, 10]), means, np.ones((3, 1, 1)))
    >>> calibration.head_classes, calibration.neighbors[2]
    (array([0]), array([0]))
    >>> calibration.means.ravel(), calibration.covariances.ravel()
    (array([0. , 1.4, 3.5]), array([1. , 1.1, 1.1]))
    """
    n_classes, d = means.shape
    head = _head_classes(sizes)
    q = min(n_neighbors, len(head))
    result = TailCalibration(
        np.array(means, dtype=np.float64),
        np.array(covariances, dtype=np.float64),
        head,
        np.full((n_classes, q), -1, dtype=np.intp),
        np.zeros((n_classes, q)),
        np.zeros(n_classes),
    )
    disturbance = alpha * (np.ones((d, d)) if ridge is RidgeKind.ONES else np.eye(d))
    for k in np.setdiff1d(np.arange(n_classes), head):
        distances = np.square(means[head] - means[k]).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:q]
        chosen = head[nearest]
        w = _head_weights(sizes[chosen], distances[nearest], weights)
        mean, covariance = w @ means[chosen], np.tensordot(w, covariances[chosen], axes=1)
        part = gamma
        if gamma is None:
            trace = np.trace(covariances[k]) or np.trace(covariance)
            part = _least_error_part(trace / sizes[k], np.square(mean - means[k]).sum())
        result.means[k] = part * mean + (1 - part) * means[k]
        result.covariances[k] = part * covariance + (1 - part) * covariances[k] + disturbance
        result.neighbors[k], result.weights[k], result.gamma[k] = chosen, w, part
    return result


def _head_classes(sizes):
    order = np.argsort(-sizes, kind="stable")
    if len(sizes) < _FEWEST_CLASSES:
        return order
    # Not of shares: half of the rows is exactly half.
    return order[: 1 + np.argmax(2 * np.cumsum(sizes[order]) >= sizes.sum())]


def _head_weights(sizes, distances, kind):
    """Weights of sum 1; distances are increasing."""
    nearest, farthest = distances[0], distances[-1]
    if kind is HeadWeights.SIZE or farthest == 0:
        importance = np.ones(len(distances))
    elif kind is HeadWeights.PAPER:
        importance = distances / farthest
    elif nearest == 0:
        importance = (distances == 0).astype(np.float64)
    else:
        importance = nearest / distances
    importance = sizes * importance
    return importance / importance.sum()


def _least_error_part(variance, squared_distance):
    whole = max(variance, squared_distance)
    return variance / whole if whole > 0 else 0.0
