"""Entropic transport of a part of the mass, exactly and in the log domain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels.checks import as_vector, checked_integer
from clusterlib.solvers.partial_ascent import PartialAscent
from clusterlib.solvers.partial_result import PartialSinkhornResult
from clusterlib.solvers.sides import check_on_host
from clusterlib.solvers.transport_problem import checked_epsilon, checked_real, transport_problem

if TYPE_CHECKING:
    from clusterlib.solvers.transport_problem import PointCost
    from clusterlib.typing import ArrayLike, Backend

__all__ = ["partial_sinkhorn"]

# A mass that a side lacks only by rounding of its sum.
_ROUNDING = 1e-9
_MOST_ITERATIONS = 2**31 - 1


def partial_sinkhorn(
    cost: ArrayLike | PointCost,
    epsilon: float,
    mass: float,
    *,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    max_iter: int = 10_000,
    tol: float = 1e-6,
    f: ArrayLike | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> PartialSinkhornResult:
    """Transport a given part of the mass where it costs least.

    Minimises ``<C, P> + epsilon sum P (log P - 1)`` over ``P >= 0`` with ``P 1 <= a``,
    ``P' 1 <= b`` and ``sum P = mass``. Nothing else enters: no dummy point whose own entropy
    would change the answer.

    Parameters
    ----------
    cost : array-like of shape (n, m) or PointCost
        Finite; see :func:`clusterlib.solvers.sinkhorn`.
    epsilon : float
        Entropic strength, positive, in units of the cost.
    mass : float
        How much is transported: above 0 and at most the sums of a and b.
    a, b : array-like of shape (n,) and (m,), default=None
        What each row and each column can give or take; not negative, not all 0. None spreads the
        mass of the other side, or 1, evenly.
    max_iter : int, default=10000
        Most sweeps over the cost, at least 3: one to start, one, and one in float64.
    tol : float, default=1e-6
        Stop when the plan is this close to optimal, see ``marginal_error`` of the result.
    f : array-like of shape (n,), default=None
        Potentials of the rows to start from, not above 0, for example of a similar problem.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    result : PartialSinkhornResult
        Potentials, and the plan on request.

    Raises
    ------
    ValueError
        For NaN or infinity, wrong shapes, weights that are negative or all 0, a mass that is not
        positive or more than a side has, an epsilon that float64 cannot resolve, a positive f.
    TypeError
        For what is not an array of real numbers, or no number.

    Notes
    -----
    With multipliers ``-f >= 0`` of the rows, ``level - g >= 0`` of the columns and ``level`` of
    the mass the plan is ``exp((f_i + g_j - C_ij) / epsilon)``, and the dual to be maximised is

    ``level mass + <a, f> + <b, g - level> - epsilon sum P``  over ``f <= 0``, ``g <= level``.

    It is maximised over f, which is a Sinkhorn step cut off at 0, and over g and level together:
    with ``t_j`` the plain Sinkhorn step of a column, level solves

    ``sum_j b_j min(1, exp((level - t_j) / epsilon)) = mass``

    exactly, by sorting the ``t_j``, and ``g_j = min(level, t_j)``. Momentum shortens the ascent
    (see :mod:`clusterlib.solvers.momentum`); a small epsilon is approached from larger ones.

    Each sweep takes O(n m) time, O(n m d) for points, and O(m log m) for the level; memory on top
    of the cost is O(n + m). The alternating projections of [1]_ have the same limit; they keep
    three more matrices and underflow at a small epsilon.

    References
    ----------
    .. [1] J.-D. Benamou et al., "Iterative Bregman projections for regularized transportation
       problems", SIAM J. Sci. Comput. 37(2), 2015, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import partial_sinkhorn
    >>> cost = np.array([[0.0, 5.0], [5.0, 9.0]])
    >>> result = partial_sinkhorn(cost, 0.1, 0.5)
    >>> result.plan().round(4)
    array([[0.5, 0. ],
           [0. , 0. ]])
    """
    check_on_host("partial_sinkhorn", "cost", cost)
    # With relaxed rows the sums of a and b may differ, and the offset goes to the columns.
    problem = transport_problem(cost, a, b, rho_a=1.0)
    if problem.b.ndim > 1:
        raise ValueError(f"b must have shape ({problem.shape[1]},), got {problem.b.shape}")
    problem = replace(problem, rho_a=np.inf)
    epsilon = checked_epsilon(epsilon, problem.cost)
    mass = _checked_mass(mass, problem)
    max_iter = checked_integer("max_iter", max_iter, 3, _MOST_ITERATIONS)
    tol = checked_real("tol", tol, low=0.0)
    start = _checked_start(f, problem)
    ascent = PartialAscent(problem, mass, start, {"n_threads": n_threads, "backend": backend})
    converged = ascent.run(epsilon, tol, max_iter, warm=f is not None)
    f, g, level = ascent.canonical()
    error, dual = ascent.history[-1]
    return PartialSinkhornResult(
        problem=problem,
        epsilon=epsilon,
        potentials=(f, g),
        dual=dual,
        marginal_error=error,
        n_iter=ascent.n_sweeps,
        converged=converged,
        history=np.array(ascent.history),
        method="dual ascent with momentum: the only method for a part of the mass",
        mass=mass,
        shifted_level=level,
    )


def _checked_mass(mass, problem):
    """Return the mass as float; one that a side lacks by rounding alone becomes that side's."""
    mass = checked_real("mass", mass, low=0.0, low_open=True)
    for name, weights in (("a", problem.a), ("b", problem.b)):
        available = float(weights.sum())
        if mass > available * (1 + _ROUNDING):
            raise ValueError(
                f"mass must be at most the sum of {name}, {available:.9g}, got {mass:.9g}"
            )
        mass = min(mass, available)
    return mass


def _checked_start(f, problem):
    """Return row potentials to start from, a copy, minus infinity where there is no weight."""
    f = (
        np.zeros(problem.shape[0])
        if f is None
        else as_vector("f", f, problem.shape[0], allow_minus_inf=True)
    )
    if (f > 0).any():
        raise ValueError(f"f must not be above 0, got {f.max()}")
    lost = (f == -np.inf) & (problem.a > 0)
    if lost.any():
        raise ValueError(f"f must be finite where a is positive, got -inf at index {lost.argmax()}")
    return np.where(problem.a > 0, f, -np.inf)
