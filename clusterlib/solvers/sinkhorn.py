"""Entropic optimal transport: the public solver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import sinkhorn_sweep, sinkhorn_sweep_points
from clusterlib.kernels.checks import as_numeric, checked_integer
from clusterlib.solvers.sinkhorn_choice import Method, solve_transport
from clusterlib.solvers.sinkhorn_partial import partial_sinkhorn
from clusterlib.solvers.transport_problem import (
    PointCost,
    checked_epsilon,
    checked_real,
    transport_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from clusterlib.solvers.transport_result import SinkhornResult
    from clusterlib.typing import ArrayLike, Backend

__all__ = ["sinkhorn"]

_MOST_ITERATIONS = 2**31 - 1


def sinkhorn(
    cost: ArrayLike | PointCost,
    epsilon: float,
    *,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    rho_a: float = np.inf,
    rho_b: float = np.inf,
    mass: float | None = None,
    method: Literal["auto", "log", "newton", "scaling"] = "auto",
    max_iter: int = 10_000,
    tol: float = 1e-6,
    f: ArrayLike | None = None,
    g: ArrayLike | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
    verbose: int = 0,
    callback: Callable[..., Any] | None = None,
) -> SinkhornResult:
    """Solve entropic optimal transport in the log domain, and say how well.

    Minimises ``<C, P> + epsilon sum_ij P_ij (log P_ij - 1)`` over plans with the marginals a and
    b, or with penalties ``rho KL(marginal | weights)`` in their place, see
    :class:`SinkhornResult`.

    Parameters
    ----------
    cost : array-like of shape (n, m) or PointCost
        Finite. float32 and float64 arrays are used as they are, in any layout, others in float64;
        where all costs lie close together far from 0, their offset is subtracted in a copy. The
        costs of a :class:`PointCost` are never stored. Both may be on a CUDA device; potentials,
        plans and maps then live there.
    epsilon : float
        Entropic strength, positive, in units of the cost, at least 1e-12 of the largest one.
    a, b : array-like of shape (n,) and (m,), default=None
        Weights of the rows and columns, not negative, not all 0; their total is the mass of the
        plan and need not be 1. In the balanced case the sums must agree to 1e-6 relatively, b is
        then scaled to that of a. None spreads the mass of the other side, or 1, evenly. A b of
        shape (R, m) asks for R right-hand sides, which share the reads of a stored cost.
    rho_a, rho_b : float, default=inf
        Strengths of the penalties, at least 0, in units of the cost; inf makes a marginal exact.
    mass : float, default=None
        Transport only so much, by :func:`partial_sinkhorn`, and return its result.
    method : {"auto", "log", "newton", "scaling"}, default="auto"
        "log": sweeps, extrapolated. "newton": steps on the semi-dual, with one additional matrix
        of the size of the cost. "scaling": iterations on a stored kernel, for exact marginals and
        a stored cost; the additional matrix too. "auto" begins with sweeps and takes Newton steps
        where many more would be needed, if the cost is stored or if costs and plan of points would
        fit into one block of the library's settings.
    max_iter : int, default=10000
        Most sweeps over the cost or over the additional matrix, but for one more to evaluate what
        has not converged.
    tol : float, default=1e-6
        Wanted L1 error of the column sums, relative to the mass; row sums are exact.
    f, g : array-like of the shapes of a and b, default=None
        Potentials to start from, for example those of a similar problem. With g, f is not needed;
        values that are not finite are replaced.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No bit of the result
        depends on it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.
    verbose : int, default=0
        Above 0, the logger "clusterlib" gets the progress at level INFO.
    callback : callable, default=None
        ``callback(g, history)`` after each step, of one or of many sweeps, with the present
        potentials and the (error, dual) pairs up to now; True stops.

    Returns
    -------
    result : SinkhornResult
        Potentials, errors and what was done; the plan, its rounding, maps and a certificate on
        request. Nothing is NaN, and no warning is given: ``converged`` and ``marginal_error``,
        which a sweep in float64 has measured, say whether ``tol`` was met.

    Raises
    ------
    ValueError
        For NaN or infinity in the cost, wrong shapes, weights that are negative, all 0 or of
        different sums, an epsilon that is not positive or that float64 cannot resolve, or a
        method that the problem does not admit.
    TypeError
        For what is not an array of real numbers, or a number of the wrong kind.

    Notes
    -----
    O(n m) time and a read of the cost for each sweep, O(n m d) for points; O(n + m) memory, and a
    matrix for Newton steps and scaling. Where float32 arithmetic cannot reach ``tol``, float64
    takes over, with the stored cost as it is. ``docs/methods/sinkhorn.md`` tells when which way
    is taken, and how many sweeps to expect.

    References
    ----------
    .. [1] M. Cuturi, "Sinkhorn distances: lightspeed computation of optimal transport", NIPS 2013.
    .. [2] L. Chizat, G. Peyre, B. Schmitzer and F.-X. Vialard, "Scaling algorithms for unbalanced
       optimal transport problems", Math. Comp. 87, 2018 (relaxed marginals).
    .. [3] T. Sejourne, F.-X. Vialard and G. Peyre, "Faster unbalanced optimal transport:
       translation invariant Sinkhorn and 1-D Frank-Wolfe", AISTATS 2022 (the shift of potentials).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PointCost, sinkhorn
    >>> X, Y = np.array([[0.0], [1.0]]), np.array([[0.1], [1.2], [1.1]])
    >>> result = sinkhorn(PointCost(X, Y), 0.05, b=[0.5, 0.25, 0.25])
    >>> result.converged
    True
    >>> result.barycentric_map().round(2)
    array([[0.1 ],
           [1.15]])
    """
    method = _checked_method(method)
    max_iter = checked_integer("max_iter", max_iter, 1, _MOST_ITERATIONS)
    tol = checked_real("tol", tol, low=0.0)
    if n_threads is not None:
        n_threads = checked_integer("n_threads", n_threads, 1, _MOST_ITERATIONS)
    if mass is not None:
        if not (np.isinf(rho_a) and np.isinf(rho_b) and method is Method.AUTO and g is None):
            raise ValueError("mass cannot be given together with rho_a, rho_b, g or a method")
        return partial_sinkhorn(
            cost, epsilon, mass, a=a, b=b, max_iter=max_iter, tol=tol, f=f,
            n_threads=n_threads, backend=backend,
        )  # fmt: skip
    problem = transport_problem(cost, a, b, rho_a=rho_a, rho_b=rho_b)
    epsilon = checked_epsilon(epsilon, problem.cost)
    _check_method_fits(method, problem)
    options = {"n_threads": n_threads, "backend": backend}
    f, g = (problem.cost.side.numbers(name, start) for name, start in (("f", f), ("g", g)))
    f = None if f is None else _checked_start("f", f, problem.a, problem.offsets[0])
    g = None if g is None else _checked_start("g", g, problem.b, problem.offsets[1])
    if g is None and f is not None:
        g = _columns_from_rows(problem, epsilon, f, options)
    return solve_transport(
        problem, epsilon, method=method, g=g, max_iter=max_iter, tol=tol, verbose=verbose,
        callback=callback, **options,
    )  # fmt: skip


def _checked_method(method):
    if not isinstance(method, str) or method not in {member.value for member in Method}:
        allowed = ", ".join(repr(member.value) for member in Method)
        raise ValueError(f"method must be one of {allowed}, got {method!r}")
    return Method(method)


def _check_method_fits(method, problem):
    if method is Method.SCALING and not problem.is_balanced:
        raise ValueError(
            f"method {method.value!r} needs exact marginals, got rho_a={problem.rho_a} and "
            f"rho_b={problem.rho_b}"
        )
    if method is Method.SCALING and isinstance(problem.cost, PointCost):
        raise ValueError("method 'scaling' needs a stored cost, got a PointCost")


def _checked_start(name, potential, weights, offset):
    """Potentials without the offset of the cost; what is not finite becomes their mean."""
    potential = as_numeric(name, potential).astype(np.float64) - offset
    if potential.shape not in (weights.shape, weights.shape[-1:]):
        raise ValueError(f"{name} must have shape {weights.shape}, got {potential.shape}")
    if np.isnan(potential).any():
        raise ValueError(f"{name} contains NaN")
    potential = np.array(np.broadcast_to(potential, weights.shape))
    finite = np.isfinite(potential)
    potential[~finite] = potential[finite].mean() if finite.any() else 0.0
    return potential


def _columns_from_rows(problem, epsilon, f, options):
    """The g that belongs to f: a half-step on the transposed cost."""
    _, tau_b = problem.damping(epsilon)
    g, cost = np.zeros_like(problem.b), problem.cost.T
    for row, target, log_b in zip(*map(np.atleast_2d, (f, g, problem.log_b)), strict=True):
        arguments = epsilon, log_b, target, row
        if isinstance(cost, PointCost):
            cost.side.call(
                sinkhorn_sweep_points, cost.X, cost.Y, *arguments, metric=cost.metric, tau_a=tau_b,
                written=(target,), **options,
            )  # fmt: skip
        else:
            cost.side.call(
                sinkhorn_sweep, cost.values, *arguments, tau_a=tau_b, precise=True,
                written=(target,), **options,
            )  # fmt: skip
    g[problem.b == 0] = 0.0
    return g
