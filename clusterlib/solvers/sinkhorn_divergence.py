"""How different two clouds of points are: entropic transport without its bias."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import Metric, sinkhorn_iterate_points, sinkhorn_sweep_points
from clusterlib.kernels.checks import checked_integer
from clusterlib.solvers.self_transport import self_transport
from clusterlib.solvers.sinkhorn import sinkhorn
from clusterlib.solvers.transport_objective import dual_value
from clusterlib.solvers.transport_problem import (
    PointCost,
    checked_epsilon,
    checked_real,
    transport_problem,
)

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, Backend, Float64Array, MetricName

__all__ = ["SinkhornDivergence", "sinkhorn_divergence"]

_MOST_ITERATIONS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class SinkhornDivergence:
    """A divergence and the potentials it was computed from.

    Potentials are relative to the product measure, see :func:`sinkhorn_divergence`: the plan
    between the two clouds is ``a_i b_j exp((f_i + g_j - C_ij) / epsilon)``. They are defined for
    points without weight as well.

    Parameters
    ----------
    value : float
        The divergence, in units of the cost times mass; not negative.
    f : ndarray of shape (n,)
        Potential of X in its transport to Y, float64.
    g : ndarray of shape (m,)
        Potential of Y in its transport to X, float64.
    self_f : ndarray of shape (n,)
        Potential of X in its transport to itself, float64. In the balanced case ``f - self_f``
        is the derivative of the divergence by the weights a, up to a constant.
    self_g : ndarray of shape (m,)
        The same for Y, float64.
    marginal_error : float
        The largest error of the three problems, relative to their masses.
    n_iter : tuple of int
        Sweeps over the cost between X and Y, over that of X and over that of Y.
    converged : bool
        Whether the error is at most ``tol``.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn_divergence
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> moved = sinkhorn_divergence(X, X + 3.0, 0.5)
    >>> round(moved.value, 6), moved.converged
    (18.0, True)
    """

    value: float
    f: Float64Array
    g: Float64Array
    self_f: Float64Array
    self_g: Float64Array
    marginal_error: float
    n_iter: tuple[int, ...]
    converged: bool

    def __repr__(self):
        return (
            f"{type(self).__name__}(value={self.value:.6g}, converged={self.converged}, "
            f"marginal_error={self.marginal_error:.2g}, n_iter={self.n_iter})"
        )


def sinkhorn_divergence(
    X: ArrayLike,
    Y: ArrayLike,
    epsilon: float,
    *,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    metric: MetricName | Metric = "sqeuclidean",
    rho: float = np.inf,
    max_iter: int = 10_000,
    tol: float = 1e-6,
    n_threads: int | None = None,
    backend: Backend = None,
) -> SinkhornDivergence:
    """Compare two weighted clouds of points by entropic transport without its bias.

    ``S(a, b) = OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2 + epsilon (sum a - sum b)^2 / 2``

    is 0 for equal measures and positive for others, unlike OT, whose entropy makes blurred
    measures cheaper than exact ones. It goes from transport, for small epsilon, to the maximum
    mean discrepancy of the kernel ``-C / 2``, for large.

    Parameters
    ----------
    X : array-like of shape (n, d)
        One cloud; finite.
    Y : array-like of shape (m, d)
        The other one.
    epsilon : float
        Entropic strength, positive, in units of the cost.
    a, b : array-like of shape (n,) and (m,), default=None
        Weights, not negative, not all 0. None spreads the mass of the other side, or 1, evenly.
    metric : str or Metric, default="sqeuclidean"
        See :class:`PointCost`; "sqeuclidean" has no factor 1/2.
    rho : float, default=inf
        Strength of the penalty ``rho KL(marginal | weights)`` of both marginals, above 0.
        Infinity makes them exact; then a and b must have the same sum.
    max_iter : int, default=10000
        Most sweeps over each of the three costs, at least 2.
    tol : float, default=1e-6
        Wanted error of the marginals of the three problems, relative to the mass; relaxed ones
        are compared with ``a exp(-f / rho)``. The error of the value is of second order in it.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    divergence : SinkhornDivergence
        The value, not below 0 (what rounding leaves below is set to 0), and the potentials.

    Raises
    ------
    ValueError
        For NaN or infinity, wrong shapes, bad weights, an unknown metric, an epsilon that float64
        cannot resolve, or a finite rho with the inner product.
    TypeError
        For what is not an array of real numbers.

    Notes
    -----
    Here OT penalises ``epsilon KL(P | a b')``, ``KL(x | y) = sum x log(x / y) - x + y``, not
    ``epsilon sum P (log P - 1)`` as :func:`sinkhorn` does: with the latter the difference would
    not vanish for equal measures unless marginals are exact. As ``epsilon KL(P | a b')`` is the
    latter plus terms linear in the marginals of P, it is the problem of :func:`sinkhorn` with
    weights ``a^(1 + epsilon / rho)`` and ``b^(1 + epsilon / rho)``, whose potentials are larger by
    ``epsilon log a`` and ``epsilon log b``. With those subtracted, each OT has the dual value

    ``-rho <a, exp(-f / rho) - 1> - rho <b, exp(-g / rho) - 1> - epsilon sum P``

    (``<a, f> + <b, g> - epsilon sum P`` for infinite rho) plus ``epsilon sum a sum b``, and these
    constants cancel exactly against the last term of S.

    The transport of a cloud to itself takes about 20 sweeps at any epsilon
    (:mod:`clusterlib.solvers.self_transport`). No n x m matrix is stored: O(n m d) time for a
    sweep and O((n + m) d) memory. Values are of float64 also for float32 points.

    References
    ----------
    .. [1] J. Feydy et al., "Interpolating between optimal transport and MMD using Sinkhorn
       divergences", AISTATS 2019.
    .. [2] T. Sejourne, J. Feydy, F.-X. Vialard, A. Trouve and G. Peyre, "Sinkhorn divergences for
       unbalanced optimal transport", 2019 (the last term).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn_divergence
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> sinkhorn_divergence(X, X[::-1], 0.5).value < 1e-9
    True
    """
    rho = checked_real("rho", rho, low=0.0, low_open=True, infinity=True)
    max_iter = checked_integer("max_iter", max_iter, 2, _MOST_ITERATIONS)
    tol = checked_real("tol", tol, low=0.0)
    problem = transport_problem(PointCost(X, Y, metric=metric), a, b, rho_a=rho, rho_b=rho)
    if problem.b.ndim > 1:
        raise ValueError(f"b must have shape ({problem.shape[1]},), got {problem.b.shape}")
    if np.isfinite(rho) and problem.cost.metric == Metric.INNER_PRODUCT:
        raise ValueError(
            f"rho must be infinite for the inner product, got {rho:g}: its costs are negative, so "
            "that nothing would bound the mass but rounding"
        )
    epsilon = checked_epsilon(epsilon, problem.cost)
    options = {"n_threads": n_threads, "backend": backend}
    limits = {"max_iter": max_iter, "tol": tol, **options}
    cost = problem.cost
    of_X = _Side(cost.between(cost.X, cost.X), problem.a, epsilon, rho, options)
    of_Y = _Side(cost.between(cost.Y, cost.Y), problem.b, epsilon, rho, options)
    alone = [side.to_itself(limits) for side in (of_X, of_Y)]
    f, g, n_iter = _between(problem, of_X, of_Y, alone[1].potentials[1], limits)
    precise = cost.astype(np.float64)
    sums = of_X.sweep(precise, f, g)
    value = dual_value(problem, epsilon, of_X.relative(f), of_Y.relative(g), float(sums.sum()))
    for side, one in ((of_X, alone[0]), (of_Y, alone[1])):
        itself = replace(problem, a=side.weights, b=side.weights)
        value -= 0.5 * dual_value(itself, epsilon, *map(side.relative, one.potentials), one.mass)
    error = max(of_Y.error(sums, g) / problem.mass, alone[0].error, alone[1].error)
    return SinkhornDivergence(
        value=max(0.0, float(value)),
        f=of_X.everywhere(precise, f, g),
        g=of_Y.everywhere(precise.T, g, f),
        self_f=of_X.everywhere(of_X.cost, *alone[0].potentials),
        self_g=of_Y.everywhere(of_Y.cost, *alone[1].potentials),
        marginal_error=error,
        n_iter=(n_iter + 1, alone[0].n_iter, alone[1].n_iter),
        converged=error <= tol,
    )


def _between(problem, of_X, of_Y, start, limits):
    """Potentials of the transport from X to Y for the damped weights, and the sweeps it took."""
    epsilon, rho = of_X.epsilon, problem.rho_a
    # Solvers compare sums with those of the next potentials, which the damping brings closer by
    # tau. The tolerance is met with a little to spare, because the error is evaluated once more.
    tol = 0.9 * of_X.tau * limits["tol"]
    if rho < epsilon:
        # Damped weights may leave float64, but their logarithms do not, and every plain sweep
        # shrinks the errors by (rho / (rho + epsilon))^2 < 1/4.
        cost, f, g = problem.cost.astype(np.float64), np.zeros(problem.shape[0]), start.copy()
        history = cost.side.call(
            sinkhorn_iterate_points, cost.X, cost.Y, epsilon, of_X.log_damped, of_Y.log_damped,
            f, g, metric=cost.metric, tau_a=of_X.tau, tau_b=of_Y.tau, n_iters=limits["max_iter"],
            tol=tol * problem.mass, n_threads=limits["n_threads"],
            backend=limits["backend"], written=(f, g),
        )  # fmt: skip
        return f, g, len(history)
    # Of this solver the error is relative to the damped weights.
    tol *= problem.mass / min(of_X.damped.sum(), of_Y.damped.sum())
    result = sinkhorn(
        problem.cost, epsilon, a=of_X.damped, b=of_Y.damped, rho_a=rho, rho_b=rho,
        g=np.where(problem.b > 0, start, 0.0), **(limits | {"tol": float(tol)}),
    )  # fmt: skip
    f, g = map(problem.cost.side.to_host, (result.f, result.g))
    return f.copy(), g, result.n_iter


class _Side:
    """One of the two measures, and what turns its potentials into those of the kernels."""

    def __init__(self, cost, weights, epsilon, rho, options):
        self.cost, self.weights, self.epsilon, self._options = cost, weights, epsilon, options
        self.tau = 1.0 if np.isinf(rho) else rho / (rho + epsilon)
        with np.errstate(divide="ignore"):
            self._log = np.log(weights)
        self.log_damped = self._log / self.tau

    @property
    def damped(self):
        """Weights to the power of 1 + epsilon / rho."""
        return self.weights if self.tau == 1.0 else np.exp(self.log_damped)

    def to_itself(self, limits):
        mass = float(self.weights.sum())
        return self_transport(self.cost, self.epsilon, self.log_damped, self.tau, mass, **limits)

    def sweep(self, cost, f, g):
        """Update f for g, in place; returns the sums of the columns."""
        return cost.side.call(
            sinkhorn_sweep_points, cost.X, cost.Y, self.epsilon, self.log_damped, f, g,
            metric=cost.metric, tau_a=self.tau, written=(f,), **self._options,
        )  # fmt: skip

    def error(self, sums, g):
        """Distance of sums of this side from ``b exp(-g / rho)``, which its penalty asks for."""
        present = self.weights > 0
        log_wanted = self.log_damped[present] + (1.0 - 1.0 / self.tau) * g[present] / self.epsilon
        return float(np.abs(sums[present] - np.exp(log_wanted)).sum())

    def relative(self, f):
        """The potential relative to the weights; 0 where there are none."""
        present = self.weights > 0
        return np.where(present, f, 0.0) - self.epsilon * np.where(present, self._log, 0.0)

    def everywhere(self, cost, f, g):
        """The potential relative to the weights, also where there are none."""
        f, missing = self.relative(f), self.weights == 0
        if missing.any():
            values = np.zeros(np.count_nonzero(missing))
            X = cost.X[cost.side.beside(missing)]
            cost.side.call(
                sinkhorn_sweep_points, X, cost.Y, self.epsilon, np.zeros(len(X)), values, g,
                metric=cost.metric, tau_a=self.tau, written=(values,), **self._options,
            )  # fmt: skip
            f[missing] = values
        return cost.side.like(f)
