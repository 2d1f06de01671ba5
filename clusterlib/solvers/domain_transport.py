"""Transport between two domains: costs between classes, and where new rows go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import Metric
from clusterlib.solvers.assignment import assign
from clusterlib.solvers.cost_matrix import CostMatrix
from clusterlib.solvers.cost_scale import cost_scale
from clusterlib.solvers.geometry import unit_rows
from clusterlib.solvers.sides import side_of
from clusterlib.solvers.transport_maps import dense_softmax_map, points_softmax_map
from clusterlib.solvers.transport_objective import row_blocks
from clusterlib.solvers.transport_problem import PointCost

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from clusterlib.typing import Array, Float64Array, FloatArray, Int64Array

__all__ = [
    "labelled_cost",
    "moved_as_nearest",
    "moved_by_matrix",
    "moved_to_means",
    "weighted_cost_scale",
    "weights_of_relative_entropy",
]

# Costs below this part of the terms they are computed from are nothing but rounding.
_ROUNDING = 1e-12


def weighted_cost_scale(
    cost: PointCost,
    kind: Literal["max", "mean", "median"],
    a: Float64Array | None = None,
    b: Float64Array | None = None,
) -> float:
    """Measure the cost of weighted points, as if integer weights were repetitions.

    Parameters
    ----------
    cost : PointCost
        Of shape (n, m).
    kind : {"max", "mean", "median"}
        As in :func:`cost_scale`. The median counts every pair of points with weight once.
    a, b : ndarray of shape (n,) and (m,), float64, default=None
        Weights of the points; None stands for equal ones. Points of weight 0 are left out.

    Returns
    -------
    scale : float
        Positive and finite, in the units of the cost. 1.0 if all costs are 0 but for rounding.

    Notes
    -----
    That of :func:`cost_scale`, O(n m d) time and no n x m matrix, but for the weighted mean of
    "sqeuclidean" and "cosine" costs: O((n + m) d).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PointCost, weighted_cost_scale
    >>> cost = PointCost(np.array([[0.0], [1.0]]), np.array([[0.0]]), metric="euclidean")
    >>> weighted_cost_scale(cost, "mean", a=np.array([1.0, 3.0]))
    0.75
    """
    if a is not None or b is not None:
        a, b = (
            np.ones(length) if weight is None else weight
            for weight, length in zip((a, b), cost.shape, strict=True)
        )
        beside = cost.side.beside
        cost = PointCost(cost.X[beside(a > 0)], cost.Y[beside(b > 0)], metric=cost.metric)
        a, b = a[a > 0] / a.sum(), b[b > 0] / b.sum()
    scale = cost_scale(cost, kind) if kind != "mean" or a is None else _mean_cost(cost, a, b)
    return scale if scale > _ROUNDING * cost.magnitude else 1.0


def _mean_cost(cost, a, b):
    """Mean of the absolute costs of pairs that are drawn by the weights."""
    a, b = map(cost.side.beside, (a, b))
    if cost.metric is Metric.SQEUCLIDEAN:
        means = a @ cost.X, b @ cost.Y
        spreads = (
            weight @ np.square(points - mean).sum(axis=1)
            for weight, points, mean in zip((a, b), (cost.X, cost.Y), means, strict=True)
        )
        return float(sum(spreads) + np.square(means[0] - means[1]).sum())
    if cost.metric is Metric.COSINE:
        X, Y = (unit_rows(points.astype(np.float64)) for points in (cost.X, cost.Y))
        return float(1.0 - (a @ X) @ (b @ Y))
    blocks = row_blocks(*cost.shape)
    return sum(float(a[rows] @ np.abs(cost.block(rows)) @ b) for rows in blocks)


def weights_of_relative_entropy(
    a: Float64Array, b: Float64Array, epsilon: float, rho_a: float = np.inf, rho_b: float = np.inf
) -> tuple[Float64Array, Float64Array, float]:
    """Weights with which :func:`sinkhorn` minimises the entropy relative to ``a b'``.

    The solver's entropy is that of P alone. As soon as a marginal is relaxed, the mass of its plan
    then depends on how many points the same weights are spread over. This does not happen to

    ``<C, P> + epsilon KL(P | a b') + rho_a KL(P 1 | a) + rho_b KL(P' 1 | b)``,

    which differs by a linear function of the marginals, ``-epsilon sum P_ij (log a_i + log b_j)``,
    and a penalty takes such a function in if its weights become ``a^(1 + epsilon / rho_a)``.

    Parameters
    ----------
    a, b : ndarray of shape (n,) and (m,), float64
        Weights with a sum of 1 each.
    epsilon : float
        Entropic strength.
    rho_a, rho_b : float, default=inf
        Penalties, above 0; infinity for an exact marginal.

    Returns
    -------
    a, b : ndarray of shape (n,) and (m,), float64
        Weights to solve with. They are of the order of m and n, so that nothing underflows.
    mass : float
        The plan of these weights is ``mass`` times the one that is wanted: n m for positive
        weights, 1 if both marginals are exact.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import weights_of_relative_entropy
    >>> weights_of_relative_entropy(np.full(2, 1 / 2), np.full(4, 1 / 4), 0.1, rho_b=1.0)
    (array([4., 4.]), array([2., 2., 2., 2.]), 8.0)
    """
    if np.isinf(rho_a) and np.isinf(rho_b):
        return a, b, 1.0
    n, m = float(np.count_nonzero(a)), float(np.count_nonzero(b))
    return m * (n * a) ** (1 + epsilon / rho_a), n * (m * b) ** (1 + epsilon / rho_b), n * m


def labelled_cost(
    cost: PointCost, source_classes: Int64Array, target_classes: Int64Array, penalty: float
) -> FloatArray:
    """Store the cost of points and raise it between points of different classes.

    Parameters
    ----------
    cost : PointCost
        Of shape (n, m).
    source_classes, target_classes : ndarray of shape (n,) and (m,), int64
        Numbers of the classes, -1 where the class is not known.
    penalty : float
        The cost between two points whose classes are known and differ, unless theirs is larger.

    Returns
    -------
    matrix : ndarray of shape (n, m), float32 or float64
        In the dtype of the points.

    Notes
    -----
    The penalty is finite on purpose: with an infinite one there is no plan at all as soon as a
    class has more mass among the sources than the targets of the same or of an unknown class can
    take. O(n m d) time, n x m numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PointCost, labelled_cost
    >>> cost = PointCost(np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]]))
    >>> labelled_cost(cost, np.array([0, 1]), np.array([1, -1]), 40.0)
    array([[40.,  4.],
           [ 1.,  1.]])
    """
    matrix = cost.block(slice(None), dtype=cost.dtype)
    known = (source_classes >= 0)[:, None] & (target_classes >= 0)
    differ = known & (source_classes[:, None] != target_classes)
    return np.where(differ, np.maximum(matrix, matrix.dtype.type(penalty)), matrix)


def moved_to_means(X: Array, cost: PointCost, epsilon: float, g: Float64Array) -> Float64Array:
    """Move rows to means of targets, the entropic map.

    ``T(x) = sum_j w_j y_j``, where w is the softmax of ``(g_j - c(x, y_j)) / epsilon``. A row of
    the sources goes where the plan with these potentials sends it on average.

    Parameters
    ----------
    X : ndarray of shape (n_rows, d)
        Rows, sources or others.
    cost : PointCost
        Whose targets and metric are meant.
    epsilon : float
        Entropic strength, in units of the cost.
    g : ndarray of shape (m,), float64
        Potentials of the targets.

    Returns
    -------
    moved : ndarray of shape (n_rows, d), float64
        Means of targets.

    Notes
    -----
    O(n_rows m d) time, no n_rows x m matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PointCost, moved_to_means
    >>> targets = np.array([[0.0], [4.0]])
    >>> moved_to_means(np.array([[2.0]]), PointCost(targets, targets), 1.0, np.zeros(2))
    array([[2.]])
    """
    return points_softmax_map(cost, cost.as_sources(X), epsilon, g, None)


def moved_by_matrix(matrix: Array, targets: Array, epsilon: float, g: Float64Array) -> Float64Array:
    """Move the rows of a stored cost to means of targets.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, m)
        Costs between rows and targets, such as those of :func:`labelled_cost`.
    targets : ndarray of shape (m, d)
        Where mass may go.
    epsilon : float
        Entropic strength, in units of the cost.
    g : ndarray of shape (m,), float64
        Potentials of the targets.

    Returns
    -------
    moved : ndarray of shape (n_rows, d), float64
        Means of targets as in :func:`moved_to_means`.

    Notes
    -----
    O(n_rows m d) time, the memory of a block of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import moved_by_matrix
    >>> moved_by_matrix(np.array([[1.0, 1.0]]), np.array([[0.0], [4.0]]), 1.0, np.zeros(2))
    array([[2.]])
    """
    return dense_softmax_map(CostMatrix.checked(matrix), epsilon, g, targets)


def moved_as_nearest(X: Array, sources: Array, means: Callable[..., Any]) -> Float64Array:
    """Move every row as its nearest source is moved, which keeps differences between neighbours.

    ``T(x) = x + T(x_i) - x_i`` for the source x_i nearest to x in Euclidean distance, the lowest
    index on ties (Ferradans, Papadakis, Peyre and Aujol, "Regularized discrete optimal
    transport", 2014, section 4).

    Parameters
    ----------
    X : ndarray of shape (n_rows, d)
        Rows, sources or others.
    sources : ndarray of shape (n, d)
        The sources of the transport.
    means : callable
        ``means(chosen)`` returns where the sources with these indices are moved.

    Returns
    -------
    moved : ndarray of shape (n_rows, d), float64
        Shifted rows.

    Notes
    -----
    O(n_rows n d) time and what ``means`` takes for each source that is nearest to a row.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import moved_as_nearest
    >>> sources, moved = np.array([[0.0], [9.0]]), np.array([[1.0], [20.0]])
    >>> moved_as_nearest(np.array([[0.5]]), sources, moved.__getitem__)
    array([[1.5]])
    """
    side = side_of(X)
    found = np.unique(side.to_host(assign(X, sources)), return_inverse=True)
    nearest, place = map(side.beside, found)
    return X + (means(nearest) - sources[nearest])[place]
