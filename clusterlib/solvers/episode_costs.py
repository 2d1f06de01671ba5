"""Costs between the prototypes and the queries of many episodes, and what is made of them."""

import numpy as np

from clusterlib.solvers.cost_scale import cost_scale as measured_scale
from clusterlib.solvers.transport_problem import SMALLEST_EPSILON

__all__ = ["EpisodeCosts"]

# Below this part of the largest cost, rounded costs in float32 change a plan by per cents.
_NARROW_EPSILON = 1e-5


class EpisodeCosts:
    """Squared distances of E episodes in units of what each episode measures.

    Parameters
    ----------
    queries : ndarray of shape (E, n_queries, n_features), float32 or float64
        Rows that stay where they are. They become float64 where costs of float32 are too coarse
        for ``epsilon``.
    epsilon : float
        Entropic strength in units of the scale.
    scale : {"max", "mean", "median"} or float
        What stands for 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.episode_costs import EpisodeCosts
    >>> costs = EpisodeCosts(np.array([[[0.0], [3.0]]]), 0.1, "max")
    >>> costs.of(np.array([[[1.0]]])).ravel(), costs.scale
    (array([0.25, 1.  ]), array([4.]))
    """

    def __init__(self, queries, epsilon, scale):
        self.epsilon = epsilon
        self.scale = None
        self._kind = scale
        self._take(queries)

    def _take(self, queries):
        self.queries = queries
        # Distances lose fewer digits near the origin.
        self._center = queries.mean(axis=1, keepdims=True)
        self._points = queries - self._center
        self._norms = np.einsum("ejd,ejd->ej", self._points, self._points)

    def of(self, prototypes, renew_scale=False):
        """Scaled costs of prototypes (E, n_classes, n_features) as (E, n_classes, n_queries)."""
        points = prototypes - self._center
        costs = np.matmul(-2 * points, self._points.transpose(0, 2, 1))
        costs += self._norms[:, None, :]
        costs += np.einsum("ekd,ekd->ek", points, points)[:, :, None]
        np.maximum(costs, 0, out=costs)
        if self.scale is None or renew_scale:
            self.scale = self._measured(costs)
        costs /= self.scale.astype(costs.dtype)[:, None, None]
        is_narrow = costs.dtype == np.float32
        if is_narrow and self.epsilon < _NARROW_EPSILON * costs.max(initial=0.0):
            self._take(self.queries.astype(np.float64))
            return self.of(prototypes, renew_scale)
        return costs

    def _measured(self, costs):
        if not isinstance(self._kind, str):
            return np.full(len(costs), _scale_in_range(float(self._kind), costs, self.epsilon))
        if self._kind == "max":
            scale = costs.max(axis=(1, 2)).astype(np.float64)
        elif self._kind == "mean":
            scale = costs.mean(axis=(1, 2), dtype=np.float64)
        else:
            scale = np.array([measured_scale(cost, self._kind) for cost in costs])
        return np.where(scale > 0, scale, 1.0)  # equal points: every cost is 0

    def plan(self, costs, f, g):
        """``exp((f + g - C) / epsilon)`` in the dtype of the costs."""
        f, g = (potential.astype(costs.dtype) for potential in (f, g))
        exponents = g[:, None, :] - costs
        exponents += f[:, :, None]
        exponents /= costs.dtype.type(self.epsilon)
        return np.exp(exponents, out=exponents)

    def responsibilities(self, costs, masses):
        """Plan whose columns are posteriors of the classes, and minus the log-likelihood."""
        exponents = costs / costs.dtype.type(-self.epsilon)
        exponents += np.log(masses).astype(costs.dtype)[:, :, None]
        top = exponents.max(axis=1)
        exponents -= top[:, None, :]
        plan = np.exp(exponents, out=exponents)
        total = plan.sum(axis=1)
        objective = -(top + np.log(total)).sum(axis=1, dtype=np.float64)
        plan /= (total * self.queries.shape[1])[:, None, :]
        return plan, objective

    def balanced_objective(self, f, g, masses):
        """``n [<C, P> / epsilon + KL(P | masses 1'/n)]`` at the optimum, from its potentials.

        The dual value differs from that of a plan with marginal errors of delta by O(delta^2).
        """
        n_queries = self.queries.shape[1]
        dual = (f @ masses + g.mean(axis=1)) / self.epsilon
        return n_queries * (dual - masses @ np.log(masses) + np.log(n_queries))

    def support_term(self, moved, start, support_mass):
        """Cost of leaving the means of the labelled rows, in units of epsilon."""
        shifts = ((moved - start) ** 2).sum(axis=2, dtype=np.float64)
        return (support_mass * shifts).sum(axis=1) / (self.scale * self.epsilon)


def _scale_in_range(scale, costs, epsilon):
    """Refuse a given scale whose costs are no numbers for the kernels: a ValueError."""
    limits, largest = np.finfo(costs.dtype), float(costs.max(initial=0.0))
    least = max(float(limits.tiny), 1.01 * SMALLEST_EPSILON * largest / epsilon)
    most = float(limits.max) / max(1.0, epsilon)
    if not least <= scale <= most:
        raise ValueError(
            f"cost_scale must be from {least:.3g} to {most:.3g} for epsilon={epsilon:g} and "
            f"squared distances up to {largest:.3g} in {costs.dtype}; got {scale:g}"
        )
    return scale
