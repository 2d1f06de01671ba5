"""What the solver of partial transport found."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.solvers.transport_objective import plan_blocks, sum_p_log_p
from clusterlib.solvers.transport_result import Certificate, SinkhornResult

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array

__all__ = ["PartialSinkhornResult"]


@dataclass(frozen=True, eq=False, repr=False)
class PartialSinkhornResult(SinkhornResult):
    """Answer of :func:`partial_sinkhorn`: a :class:`SinkhornResult` of a part of the mass.

    Parameters
    ----------
    problem : TransportProblem
        What was solved; the cost is kept, not copied.
    epsilon : float
        Entropic strength, in units of the cost.
    potentials : tuple
        f and g without the offset of the cost.
    dual : float
        Dual objective without the offset of the cost.
    marginal_error : float
        ``sum_j |P'1 - c|_j / mass`` in float64, c the column sums of the next exact step: not
        less than the excess over b, nor than the lack of mass, and 0 only at the optimum. Rows
        never exceed a.
    n_iter : int
        Sweeps over the cost that were made for whatever purpose.
    converged : bool
        Whether marginal_error is at most ``tol``.
    history : ndarray of shape (n_recorded, 2)
        Marginal error and dual objective without the offset, as they were met in float64 at the
        wanted epsilon.
    method : str
        What was done and why.
    mass : float
        How much is transported.
    shifted_level : float
        ``level`` without the offset of the cost.

    Attributes
    ----------
    f : ndarray of shape (n,), float64
        Potentials of the rows: 0 where a row has something left, negative where it is used up,
        minus infinity where a is 0.
    g : ndarray of shape (m,), float64
        Potentials of the columns: ``level`` where there is room left, less where a column is
        full, minus infinity where b is 0.
    level : float
        Multiplier of the mass: what a little more of it would cost, entropy included, in units
        of the cost. Where the mass is all that a side has, any larger value would do as well.
    value : float
        Dual objective: the optimum up to the error, and never above it.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import partial_sinkhorn
    >>> result = partial_sinkhorn(np.array([[0.0, 5.0], [5.0, 9.0]]), 0.1, 0.3)
    >>> result.f, bool(result.g[1] == result.level), round(float(result.rounded_plan().sum()), 12)
    (array([0., 0.]), True, 0.3)
    """

    dual: float
    marginal_error: float
    mass: float
    shifted_level: float = field(repr=False)

    @cached_property
    def f(self) -> Float64Array:
        return self.potentials[0]

    @cached_property
    def g(self) -> Float64Array:
        return self.potentials[1] + self.problem.cost.offset

    @cached_property
    def level(self) -> float:
        return self.shifted_level + self.problem.cost.offset

    @property
    def _mass_of_offset(self):
        return self.mass

    def rounded_plan(self) -> Float64Array:
        """A plan that exceeds neither a nor b and transports the mass to the last digits.

        Columns with too much are scaled down, all of it where it is more than the mass; what is
        missing is added as a matrix of rank one in proportion to the room of rows and columns.

        Returns
        -------
        plan : ndarray of shape (n, m), float64
            n x m numbers are allocated.
        """
        return self._filled(self._rounded_blocks())

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
        primal = 0.0
        for _, costs, plan in self._rounded_blocks():
            primal += float((costs * plan).sum()) + self.epsilon * sum_p_log_p(plan)
        offset = self.mass * self.problem.cost.offset
        return Certificate(primal + offset, self.value, primal - self.dual)

    def _rounded_blocks(self):
        a, b = self.problem.a, self.problem.b
        column_sums = np.zeros(len(b))
        for _, _, plan in self._blocks_below(a):
            column_sums += plan.sum(axis=0)
        factor = np.minimum(1.0, _ratio(b, column_sums))
        factor *= min(1.0, self.mass / float(factor @ column_sums))
        room = np.maximum(b - factor * column_sums, 0.0)
        present = float(factor @ column_sums)
        missing, room_of_rows = max(0.0, self.mass - present), float(a.sum()) - present
        if missing > 0:
            room *= min(missing / room.sum(), 1.0) / room_of_rows
        for rows, costs, plan in self._blocks_below(a):
            plan *= factor
            if missing > 0:
                plan += np.outer(np.maximum(a[rows] - plan.sum(axis=1), 0.0), room)
            yield rows, costs, plan

    def _blocks_below(self, a):
        """The plan, block by block, with rows that rounding has raised above ``a`` scaled down."""
        for rows, costs, plan in plan_blocks(self.problem, self.epsilon, *self.potentials):
            plan *= np.minimum(1.0, _ratio(a[rows], plan.sum(axis=1)))[:, None]
            yield rows, costs, plan


def _ratio(wanted, present):
    with np.errstate(over="ignore"):
        return np.divide(wanted, present, out=np.ones(len(wanted)), where=present > 0)
