"""Entropic transport of a measure to itself: one potential, averaged with its own update."""

from dataclasses import dataclass

import numpy as np

from clusterlib.kernels import Metric, sinkhorn_sweep_points

__all__ = ["SelfTransport", "self_transport"]

# What float32 arithmetic leaves of an error, times epsilon / largest cost.
_NARROW_FLOOR = 1e-6


@dataclass(frozen=True)
class SelfTransport:
    """The symmetric problem at its solution.

    Attributes
    ----------
    potentials : tuple of ndarray of shape (n,), float64
        A potential and its update, equal at the solution, for the plan
        ``exp((f_i + f_j - C_ij) / epsilon)``.
    mass : float
        That of the plan of the two.
    error : float
        How far the marginals of a plan are from what its penalty asks for, relative.
    n_iter : int
        Sweeps over the cost.
    """

    potentials: tuple
    mass: float
    error: float
    n_iter: int


def self_transport(cost, epsilon, log_a, tau, mass, *, tol, max_iter, **options):
    """Solve ``f = T(f)``, ``T(f)_i = tau epsilon (log a_i - logsumexp_j((f_j - C_ij) / epsilon))``.

    The derivative of T at the solution is minus ``tau`` times a Markov matrix. Where
    ``exp(-C / epsilon)`` is a positive semidefinite kernel, as for all the named metrics, that
    matrix has eigenvalues in [0, 1], so ``f <- (f + T(f)) / 2`` shrinks every error at least by
    half (J. Feydy et al., "Interpolating between optimal transport and MMD using Sinkhorn
    divergences", AISTATS 2019, section 3.3, where the scheme is from), while plain updates slow
    down as epsilon shrinks.

    Parameters
    ----------
    cost : PointCost
        From the points to themselves.
    epsilon : float
        Entropic strength.
    log_a : ndarray of shape (n,), float64
        Logarithms of the weights; minus infinity takes a point out.
    tau : float
        Damping ``rho / (rho + epsilon)``, 1 for exact marginals.
    mass : float
        What errors are relative to.
    tol : float
        Wanted error.
    max_iter : int
        Most sweeps.
    **options
        ``n_threads`` and ``backend`` of the kernel.

    Returns
    -------
    solution : SelfTransport
        Evaluated in float64.
    """
    present = log_a > -np.inf
    f = np.where(present, tau * epsilon * log_a + _limit(cost), -np.inf)
    wanted = tol
    if cost.dtype == np.float32:
        wanted = max(tol, _NARROW_FLOOR * cost.magnitude / epsilon)
    n_iter, is_precise = 0, cost.dtype == np.float64
    while True:
        update = np.zeros(len(f))
        sums = cost.side.call(
            sinkhorn_sweep_points, cost.X, cost.Y, epsilon, log_a, update, f, metric=cost.metric,
            tau_a=tau, written=(update,), **options,
        )  # fmt: skip
        n_iter += 1
        error = _error(epsilon, log_a[present], tau, f[present], update[present]) / mass
        if n_iter >= max_iter or (is_precise and error <= tol):
            return SelfTransport((update, f), float(sums.sum()), error, n_iter)
        if not is_precise and (error <= wanted or n_iter == max_iter - 1):
            cost, is_precise = cost.astype(np.float64), True
        f = np.where(present, 0.5 * (f + update), -np.inf)


def _limit(cost):
    """The potential at epsilon = 0, half the cost of staying."""
    if cost.metric == Metric.INNER_PRODUCT:
        return -0.5 * cost.side.to_host(np.square(cost.X, dtype=np.float64).sum(axis=1))
    return 0.0


def _error(epsilon, log_a, tau, f, update):
    """Distance of the row sums of (f, f) from ``a exp(-f / rho)``, which its penalty asks for."""
    sums = log_a + ((1.0 - 1.0 / tau) * update - (update - f)) / epsilon  # by definition of T
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = np.exp(sums + (update - f) / (tau * epsilon))
        error = np.abs(np.exp(sums) - wanted).sum()
    return float(np.nan_to_num(error, nan=np.inf))
