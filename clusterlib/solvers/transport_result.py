"""What a transport solver found, and what can be made of it: plans, maps, a certificate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.solvers.transport_maps import dense_softmax_map, points_softmax_map
from clusterlib.solvers.transport_objective import kl_divergence, plan_blocks, sum_p_log_p
from clusterlib.solvers.transport_problem import PointCost, TransportProblem
from clusterlib.solvers.transport_rounding import rounded_blocks

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Float64Array

__all__ = ["Certificate", "SinkhornResult"]


class Certificate(NamedTuple):
    """Two bounds that enclose the optimum of the objective of :class:`SinkhornResult`.

    Attributes
    ----------
    primal : float
        Objective of a feasible plan: the optimum is not larger.
    dual : float
        Dual objective of the potentials: the optimum is not smaller.
    gap : float
        ``primal - dual``, computed without the offset of the cost; not below 0 but for rounding.
    """

    primal: float
    dual: float
    gap: float


@dataclass(frozen=True, eq=False)
class SinkhornResult:
    """Answer of :func:`sinkhorn`, for one or several right-hand sides.

    What is minimised, over non-negative matrices P with ``P 1 = a`` and ``P' 1 = b``, is

    ``<C, P> + epsilon sum_ij P_ij (log P_ij - 1)``.

    Where a marginal is relaxed, its penalty ``rho KL(marginal | weights)``, with
    ``KL(x | y) = sum x log(x / y) - x + y``, is added in place of the constraint. Every value
    here follows this convention. The potentials say what the plan is:
    ``P_ij = exp((f_i + g_j - C_ij) / epsilon)``.

    Parameters
    ----------
    problem : TransportProblem
        What was solved; the cost is kept, not copied.
    epsilon : float
        Entropic strength, in units of the cost.
    potentials : tuple of ndarray of shapes (n,) and (m,)
        f and g without the offset of the cost; of shapes (R, n) and (R, m) for several sides.
    dual : float or ndarray of shape (R,)
        Dual objective without the offset of the cost.
    marginal_error : float or ndarray of shape (R,)
        L1 error of the column sums relative to the mass, for the plan evaluated in float64, whose
        row sums are exact. A relaxed marginal is compared with what the potentials ask for.
    n_iter : int
        Sweeps over the cost, or over a matrix of its size, that were made for whatever purpose.
    converged : bool
        Whether marginal_error (all of them) is at most ``tol``.
    history : ndarray of shape (n_recorded, 2)
        Marginal error, relative as above, and dual objective without the offset, as they were met
        at the wanted epsilon; the largest error and the sum of duals of several right-hand sides.
        Iterations of the scaling form do not know their dual value and repeat the one before.
    method : str
        What was done and why.

    Attributes
    ----------
    f : ndarray of shape (n,) or (R, n), float64
        Potentials of the rows, in units of the cost; minus infinity where a is 0. With several
        right-hand sides there is one row for each.
    g : ndarray of shape (m,) or (R, m), float64
        Potentials of the columns. In the balanced case only ``f_i + g_j`` is determined.
    a, b : ndarray of shape (n,) and (m,), or (R, n) and (R, m), float64
        Weights as they were used.
    value : float or ndarray of shape (R,), float64
        Dual objective: the optimum up to the error, and never above it.
    transport_cost : float
        ``<C, P>``, computed block by block when it is first asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn
    >>> result = sinkhorn(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.1)
    >>> result.converged, result.plan().round(4)
    (True, array([[0.5, 0. ],
           [0. , 0.5]]))
    >>> result.certificate().gap < 1e-6
    True
    """

    problem: TransportProblem
    epsilon: float
    potentials: tuple[Array, ...] = field(repr=False)
    dual: float | Float64Array
    marginal_error: float | Float64Array
    n_iter: int
    converged: bool
    history: Array = field(repr=False)
    method: str

    def __repr__(self):
        return (
            f"{type(self).__name__}(shape={self.problem.shape}, epsilon={self.epsilon:g}, "
            f"converged={self.converged}, marginal_error={np.max(self.marginal_error):.2g}, "
            f"n_iter={self.n_iter}, method={self.method!r})"
        )

    @property
    def a(self) -> Float64Array:
        return self.problem.a

    @property
    def b(self) -> Float64Array:
        return self.problem.b

    @cached_property
    def f(self) -> Float64Array:
        return self._side.like(self.potentials[0] + self.problem.offsets[0])

    @cached_property
    def g(self) -> Float64Array:
        return self._side.like(self.potentials[1] + self.problem.offsets[1])

    @cached_property
    def value(self) -> float | Float64Array:
        return self.dual + self._mass_of_offset * self.problem.cost.offset

    @property
    def _side(self):
        return self.problem.cost.side

    @property
    def _mass_of_offset(self):
        """The offset is paid for the whole mass of the exact marginal it belongs to."""
        weight = self.a if np.isinf(self.problem.rho_a) else self.b
        mass = weight.sum(axis=-1)
        return mass if mass.ndim else float(mass)

    @cached_property
    def transport_cost(self) -> float:
        total = 0.0
        for _, costs, plan in plan_blocks(*self._single("transport_cost")):
            total += float((costs * plan).sum()) + self.problem.cost.offset * float(plan.sum())
        return total

    def side(self, index: int) -> SinkhornResult:
        """The result of one of several right-hand sides.

        Parameters
        ----------
        index : int
            Which one.

        Returns
        -------
        result : SinkhornResult
            With vectors in place of matrices; the history stays that of all of them.
        """
        self.problem.side(index)
        return replace(
            self,
            problem=self.problem.side(index),
            potentials=(self.potentials[0][index], self.potentials[1][index]),
            dual=float(self.dual[index]),
            marginal_error=float(self.marginal_error[index]),
        )

    def _single(self, name):
        if self.problem.a.ndim > 1:
            raise ValueError(
                f"{name} is there for one right-hand side, here are {len(self.problem.a)}; "
                "choose one by side(index)"
            )
        return self.problem, self.epsilon, *self.potentials

    def plan(self) -> Float64Array:
        """The plan ``P_ij = exp((f_i + g_j - C_ij) / epsilon)``.

        Returns
        -------
        plan : ndarray of shape (n, m), float64
            n x m numbers are allocated, whatever their number is. Row sums are ``a`` to rounding
            (if that marginal is exact), column sums ``b`` up to ``marginal_error``.
        """
        return self._filled(plan_blocks(*self._single("plan")))

    def rounded_plan(self) -> Float64Array:
        """A plan whose exact marginals are met to the last digits.

        Rows and columns with too much mass are scaled down and what is missing is added as a
        matrix of rank one (Altschuler, Weed and Rigollet, NIPS 2017). It moves at most twice the
        mass of the marginal error.

        Returns
        -------
        plan : ndarray of shape (n, m), float64
            n x m numbers are allocated. Relaxed marginals are left as they are.
        """
        return self._filled(rounded_blocks(*self._single("rounded_plan")))

    def _filled(self, blocks):
        plan = self._side.empty(self.problem.shape, np.float64)
        for rows, _, part in blocks:
            plan[rows] = part
        return self._side.like(plan)

    def certificate(self) -> Certificate:
        """Enclose the optimum between a feasible plan and the dual objective.

        Returns
        -------
        certificate : Certificate
            primal, dual and their difference, in float64.

        Notes
        -----
        Two evaluations of the plan in row blocks: O(n m) time, the memory of one block.
        """
        problem, epsilon, f, g = self._single("certificate")
        cost, entropy, row_sums, column_sums = 0.0, 0.0, [], 0.0
        for _, costs, plan in rounded_blocks(problem, epsilon, f, g):
            cost += float((costs * plan).sum())
            entropy += sum_p_log_p(plan)
            row_sums.append(self._side.to_host(plan.sum(axis=1)))
            column_sums = column_sums + plan.sum(axis=0)
        column_sums = self._side.to_host(column_sums)
        primal = cost + epsilon * entropy
        if np.isfinite(problem.rho_a):
            primal += problem.rho_a * kl_divergence(np.concatenate(row_sums), problem.a)
        if np.isfinite(problem.rho_b):
            primal += problem.rho_b * kl_divergence(column_sums, problem.b)
        offset = self._mass_of_offset * problem.cost.offset
        return Certificate(primal + offset, self.value, primal - self.dual)

    def barycentric_map(self, values: ArrayLike | None = None) -> Float64Array:
        """Move every source to the mean of its targets, ``sum_j P_ij v_j / sum_j P_ij``.

        Parameters
        ----------
        values : array-like of shape (m, q), default=None
            What the targets are; None takes the Y of a :class:`PointCost`.

        Returns
        -------
        mapped : ndarray of shape (n, q), float64
            Rows without weight are mapped as well, by the same softmax over the targets.

        Raises
        ------
        ValueError
            If values are missing or have a wrong shape.

        Notes
        -----
        O(n m (d + q)) time, no n x m matrix.
        """
        problem, epsilon, _, g = self._single("barycentric_map")
        cost = problem.cost
        if isinstance(cost, PointCost):
            return self._side.like(points_softmax_map(cost, cost.X, epsilon, g, values))
        return self._side.like(dense_softmax_map(cost, epsilon, g, values))

    def entropic_map(self, X_new: ArrayLike) -> Float64Array:
        """Map new points as if they had been sources, the entropic map of the targets.

        ``T(x) = sum_j w_j y_j`` with w the softmax of ``(g_j - c(x, y_j)) / epsilon``
        (A.-A. Pooladian and J. Niles-Weed, "Entropic estimation of optimal transport maps", 2021).

        Parameters
        ----------
        X_new : array-like of shape (n_new, d)
            New points; finite.

        Returns
        -------
        mapped : ndarray of shape (n_new, d), float64
            Means of the targets. For the sources themselves it is :meth:`barycentric_map`.

        Raises
        ------
        ValueError
            If X_new has other features than the sources.
        TypeError
            If the cost is a matrix.

        Notes
        -----
        O(n_new m d) time, no n_new x m matrix.
        """
        problem, epsilon, _, g = self._single("entropic_map")
        if not isinstance(problem.cost, PointCost):
            raise TypeError("entropic_map needs the points: solve with a PointCost as cost")
        X = problem.cost.as_sources(X_new)
        return self._side.like(points_softmax_map(problem.cost, X, epsilon, g, None))
