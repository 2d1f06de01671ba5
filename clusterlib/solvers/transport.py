"""Alignment of class prototypes to unlabelled queries by entropic transport, episode by episode."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.solvers.episode_costs import EpisodeCosts
from clusterlib.solvers.sinkhorn_batch import sinkhorn_batch

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import (
        Array,
        ArrayLike,
        Backend,
        BoolArray,
        Float64Array,
        FloatArray,
        Int64Array,
    )

__all__ = ["PrototypeAlignment", "align_prototypes", "align_prototypes_adaptively"]

# A class whose queries have all gone elsewhere keeps this mass, in queries: the mode of the
# masses under a Dirichlet prior with parameters of 1 + this. It keeps logarithms finite.
_PRIOR_QUERIES = 1.0


class PrototypeAlignment(NamedTuple):
    """Prototypes moved to the queries of each of E episodes, and how they were moved.

    Attributes
    ----------
    prototypes : ndarray of shape (E, n_classes, n_features)
        The moved prototypes, in the dtype of the queries (float32 or float64).
    plan : ndarray of shape (E, n_classes, n_queries)
        Mass between prototypes and queries in the last pass, in the same dtype; sums to 1.
    class_masses : ndarray of shape (E, n_classes), float64
        Shares of the queries that the classes were given.
    is_balanced : ndarray of shape (E,), bool
        Whether those shares are the given ones; False where they were estimated.
    evidence : ndarray of shape (E,), float64
        By how much estimated shares lower the objective, in units of epsilon (nats); 0 where
        nothing was compared.
    n_iter : ndarray of shape (E,), int64
        Sweeps over the costs in all passes together.
    marginal_error : ndarray of shape (E,), float64
        L1 error of the marginals of ``plan``.
    converged : ndarray of shape (E,), bool
        Whether the solver met its tolerance in every pass.
    """

    prototypes: FloatArray
    plan: Array
    class_masses: Float64Array
    is_balanced: BoolArray
    evidence: Float64Array
    n_iter: Int64Array
    marginal_error: Float64Array
    converged: BoolArray


def align_prototypes(
    prototypes: Array,
    queries: FloatArray,
    epsilon: float,
    *,
    class_masses: Float64Array,
    n_passes: int,
    mix: float | ArrayLike | None = None,
    support_mass: Float64Array | None = None,
    cost_scale: Literal["max", "mean", "median"] | float = "max",
    max_iter: int = 1000,
    tol: float = 1e-3,
    n_threads: int | None = None,
    backend: Backend = None,
) -> PrototypeAlignment:
    """Move prototypes to queries whose class sizes are given (OpTA).

    In each pass the squared distances, divided by ``cost_scale``, become the cost of an entropic
    transport between classes and queries; each prototype then moves to the mean of the queries
    its mass goes to, or a part of the way.

    Parameters
    ----------
    prototypes : ndarray of shape (E, n_classes, n_features)
        One start per class and episode, in the dtype of the queries.
    queries : ndarray of shape (E, n_queries, n_features), float32 or float64
        Unlabelled rows of each episode; E = 1 for a single batch.
    epsilon : float
        Entropic strength, in units of ``cost_scale``.
    class_masses : ndarray of shape (n_classes,) or (E, n_classes), float64
        Shares of the classes among the queries; they sum to 1 and may be 0.
    n_passes : int
        How often plan and prototypes are renewed.
    mix : float or array-like of a shape that broadcasts to (E, n_classes), default=None
        Share of the queries' mean in a moved prototype; the rest is the start. None takes their
        share of the mass: ``n m_k / (w_k + n m_k)`` for class k with mass m_k of n queries and
        ``support_mass`` w_k.
    support_mass : ndarray of shape (n_classes,) or (E, n_classes), float64, default=None
        What the labelled rows of each class weigh, in queries; above 0. Needed if mix is None.
    cost_scale : {"max", "mean", "median"} or float, default="max"
        What stands for 1, measured anew in every pass for each episode.
    max_iter : int, default=1000
        Most sweeps over the costs in a pass.
    tol : float, default=1e-3
        A pass ends when the L1 error of the marginals is at most this.
    n_threads, backend : optional
        As for :func:`sinkhorn_batch`.

    Returns
    -------
    alignment : PrototypeAlignment
        With ``is_balanced`` True throughout.

    Notes
    -----
    O(E n_classes n_queries (n_features + sweeps)) time in each pass; the memory is that of a few
    cost matrices.

    References
    ----------
    .. [1] S. Poulakakis-Daktylidis and H. Jamali-Rad, "BECLR: batch enhanced contrastive few-shot
       learning", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import align_prototypes
    >>> queries = np.array([[[0.0], [0.2], [1.0], [1.2]]])
    >>> start = np.array([[[0.4], [0.9]]])
    >>> aligned = align_prototypes(
    ...     start, queries, 0.01, class_masses=np.array([0.5, 0.5]), n_passes=2, mix=1.0
    ... )
    >>> aligned.prototypes.round(3).ravel()
    array([0.1, 1.1])
    """
    settings = {"max_iter": max_iter, "tol": tol, "n_threads": n_threads, "backend": backend}
    costs, mixing = EpisodeCosts(queries, epsilon, cost_scale), _Mixing(mix, support_mass)
    return _given(costs, prototypes, class_masses, n_passes, mixing, settings, renew_scale=True)[0]


def align_prototypes_adaptively(
    prototypes: Array,
    queries: FloatArray,
    epsilon: float,
    support_mass: Float64Array,
    *,
    n_passes: int,
    marginal_penalty: float,
    mix: float | ArrayLike | None = None,
    cost_scale: Literal["max", "mean", "median"] | float = "max",
    max_iter: int = 1000,
    tol: float = 1e-3,
    n_threads: int | None = None,
    backend: Backend = None,
) -> PrototypeAlignment:
    """Move prototypes to queries whose class sizes are equal unless the queries deny it.

    Two alignments are made. The first transports equal masses, as :func:`align_prototypes`; the
    second lets the masses be what the queries say. In each episode the one with the smaller
    penalised objective is kept (see Notes).

    Parameters
    ----------
    prototypes, queries, epsilon, support_mass, n_passes
        As for :func:`align_prototypes`.
    marginal_penalty : float
        Price of unequal masses, in units of that of the Bayesian information criterion. 0 always
        estimates masses, infinity never does.
    mix : None, float or array-like, default=None
        As for :func:`align_prototypes`.
    cost_scale : {"max", "mean", "median"} or float, default="max"
        As for :func:`align_prototypes`, but measured once, with the prototypes given, so that one
        objective is lowered.
    max_iter : int, default=1000
        As for :func:`align_prototypes`.
    tol : float, default=1e-3
        As for :func:`align_prototypes`.
    n_threads, backend : optional
        As for :func:`align_prototypes`.

    Returns
    -------
    alignment : PrototypeAlignment
        ``is_balanced`` says which alignment an episode got, ``evidence`` how clear that was.

    Notes
    -----
    With costs ``C_kj = |p_k - q_j|^2 / scale`` of n queries, support means s_k of mass w_k, and
    masses b, both alignments lower, pass by pass::

        F(P, p, b) = n [<C, P> / epsilon + KL(P | b 1'/n)] + sum_k w_k |p_k - s_k|^2 / (scale
        epsilon) + penalty d(b) log(n) / 2

    over plans P with ``P' 1 = 1/n``. The number d(b) of free masses is 0 for b = P 1 =
    1/n_classes, which is entropic transport, and n_classes - 1 otherwise, which is the expectation
    maximisation of a mixture whose components share a spherical covariance and whose labelled rows
    are known. Estimated masses have a Dirichlet prior worth one query a class.

    References
    ----------
    .. [1] G. Schwarz, "Estimating the dimension of a model", Annals of Statistics 6(2), 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import align_prototypes_adaptively
    >>> rng = np.random.default_rng(0)
    >>> queries = np.r_[rng.normal(0, 0.1, 70), rng.normal(1, 0.1, 10)][None, :, None]
    >>> aligned = align_prototypes_adaptively(
    ...     np.array([[[0.2], [0.9]]]), queries, 0.03, np.array([4.0, 4.0]), n_passes=6,
    ...     marginal_penalty=3.25,
    ... )
    >>> aligned.is_balanced, aligned.class_masses.round(2)
    (array([False]), array([[0.87, 0.13]]))
    """
    settings = {"max_iter": max_iter, "tol": tol, "n_threads": n_threads, "backend": backend}
    n_classes, n_queries = prototypes.shape[1], queries.shape[1]
    equal = np.full(n_classes, 1 / n_classes)
    costs, mixing = EpisodeCosts(queries, epsilon, cost_scale), _Mixing(mix, support_mass)
    given, objective = _given(costs, prototypes, equal, n_passes, mixing, settings)
    estimated, lower = _estimated(costs, prototypes, n_passes, mixing)
    evidence = objective - lower
    price = np.inf
    if n_classes > 1 and np.isfinite(marginal_penalty):
        price = marginal_penalty * (n_classes - 1) / 2 * np.log(n_queries)
    keep = evidence <= price
    chosen = [
        np.where(keep.reshape(-1, *[1] * (one.ndim - 1)), one, other)
        for one, other in zip(given, estimated, strict=True)
    ]
    return PrototypeAlignment(*chosen)._replace(evidence=evidence, n_iter=given.n_iter + n_passes)


class _Mixing:
    """How a prototype is put together from its support mean and the mean of its queries."""

    def __init__(self, ratio, support_mass):
        self._ratio = ratio
        self.support_mass = support_mass

    def share(self, masses, n_queries):
        """Share of the queries in prototypes of these masses; 0 for a class without mass."""
        if self._ratio is not None:
            return np.where(masses > 0, self._ratio, 0.0)
        mass = masses * n_queries
        return mass / (self.support_mass + mass)

    def moved(self, start, plan, queries):
        """Prototypes after a pass: the start, drawn to the mean of what the plan gives them."""
        masses = plan.sum(axis=2, dtype=np.float64)
        share = self.share(masses, queries.shape[1])
        weight = np.divide(share, masses, out=np.zeros_like(share), where=masses > 0)
        moved = np.matmul(plan * weight.astype(plan.dtype)[:, :, None], queries)
        moved += (1 - share).astype(plan.dtype)[:, :, None] * start
        return moved


def _given(costs, start, masses, n_passes, mixing, settings, renew_scale=False):
    """Alignment under given masses, and its objective where the scale stays the same."""
    n_episodes, n_classes, _ = start.shape
    moved, g = start, None
    n_iter, converged = np.zeros(n_episodes, dtype=np.int64), np.ones(n_episodes, dtype=bool)
    for _ in range(n_passes):
        result, plan = _transport(costs.of(moved, renew_scale), masses, g, costs, settings)
        moved = mixing.moved(start, plan, costs.queries)
        n_iter += result.n_iter
        converged &= result.converged
        g = result.g
    objective = None
    if not renew_scale:  # of the prototypes as they are now, so with a plan of their own
        result, plan = _transport(costs.of(moved), masses, g, costs, settings)
        n_iter += result.n_iter
        converged &= result.converged
        objective = costs.balanced_objective(result.f, result.g, masses)
        objective += costs.support_term(moved, start, mixing.support_mass)
    ones = np.ones(n_episodes)
    alignment = PrototypeAlignment(
        prototypes=moved.astype(start.dtype, copy=False),
        plan=plan.astype(start.dtype, copy=False),
        class_masses=np.broadcast_to(masses, (n_episodes, n_classes)),
        is_balanced=ones > 0,
        evidence=0 * ones,
        n_iter=n_iter,
        marginal_error=result.marginal_error,
        converged=converged,
    )
    return alignment, objective


def _transport(exponents, masses, g, costs, settings):
    result = sinkhorn_batch(exponents, costs.epsilon, a=masses, g=g, **settings)
    return result, costs.plan(exponents, result.f, result.g)


def _estimated(costs, start, n_passes, mixing):
    """Alignment under masses that follow the queries, and its objective without the penalty."""
    n_episodes, n_classes, _ = start.shape
    n_queries = costs.queries.shape[1]
    masses = np.full((n_episodes, n_classes), 1 / n_classes)
    moved = start
    for _ in range(n_passes):
        plan, _ = costs.responsibilities(costs.of(moved), masses)
        found = n_queries * plan.sum(axis=2, dtype=np.float64)
        masses = (found + _PRIOR_QUERIES) / (n_queries + n_classes * _PRIOR_QUERIES)
        moved = mixing.moved(start, plan, costs.queries)
    plan, objective = costs.responsibilities(costs.of(moved), masses)
    objective += costs.support_term(moved, start, mixing.support_mass)
    ones = np.ones(n_episodes)
    alignment = PrototypeAlignment(
        prototypes=moved.astype(start.dtype, copy=False),
        plan=plan.astype(start.dtype, copy=False),
        class_masses=masses,
        is_balanced=ones < 0,
        evidence=0 * ones,
        n_iter=np.zeros(n_episodes, dtype=np.int64),
        marginal_error=0 * ones,
        converged=ones > 0,
    )
    return alignment, objective
