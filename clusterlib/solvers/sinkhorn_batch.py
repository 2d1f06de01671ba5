"""Thousands of small transport problems in one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import sinkhorn_batch as iterate_batch
from clusterlib.kernels.checks import as_numeric, as_vector, checked_integer
from clusterlib.solvers.sides import check_on_host
from clusterlib.solvers.transport_problem import (
    SMALLEST_EPSILON,
    balanced_weights,
    checked_real,
    checked_weights,
)

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Backend, Float64Array, Int32Array

__all__ = ["SinkhornBatchResult", "sinkhorn_batch"]

_MOST_ITERATIONS = 2**31 - 1
# Outside these, 1 / epsilon or a product with it may leave the range of float32.
_NARROW_LOW, _NARROW_HIGH = 1e-12, 1e24


@dataclass(frozen=True, eq=False)
class SinkhornBatchResult:
    """Answers of :func:`sinkhorn_batch`, in the convention of :class:`SinkhornResult`.

    Parameters
    ----------
    costs : ndarray of shape (B, n, m)
        As they were used; kept for the plans.
    epsilon : ndarray of shape (B,)
        Entropic strength of each problem.
    f : ndarray of shape (B, n)
        Potentials of the rows in float64; minus infinity where a is 0.
    g : ndarray of shape (B, m)
        Potentials of the columns in float64; minus infinity where b is 0.
    marginal_error : ndarray of shape (B,)
        ``sum_j |P'1 - b|_j`` relative to the mass, as the last sweep met it in the arithmetic of
        the costs; a relaxed marginal is compared with what the potentials ask for. Where it is
        above the tolerance g has made one more step: the columns are exact then, and the rows of
        a balanced problem are off by no more than this.
    n_iter : ndarray of shape (B,)
        Sweeps over each cost, int32.
    converged : ndarray of shape (B,)
        Whether marginal_error is at most ``tol``.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn_batch
    >>> costs = np.array([[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    >>> sinkhorn_batch(costs, 0.1).barycentric_maps(np.array([[0.0], [8.0]])).round(2)[:, :, 0]
    array([[0., 8.],
           [8., 0.]])
    """

    costs: Array = field(repr=False)
    epsilon: Array = field(repr=False)
    f: Float64Array = field(repr=False)
    g: Float64Array = field(repr=False)
    marginal_error: Array = field(repr=False)
    n_iter: Int32Array = field(repr=False)
    converged: Array = field(repr=False)

    def __repr__(self):
        return (
            f"{type(self).__name__}(shape={self.costs.shape}, "
            f"n_converged={np.count_nonzero(self.converged)}, "
            f"largest_error={self.marginal_error.max():.2g})"
        )

    def plans(self) -> Float64Array:
        """The plans ``P_ij = exp((f_i + g_j - C_ij) / epsilon)``.

        Returns
        -------
        plans : ndarray of shape (B, n, m), float64
            Freshly allocated.
        """
        exponents = self.g[:, None, :] - self.costs
        exponents += self.f[:, :, None]
        exponents /= self.epsilon[:, None, None]
        return np.exp(exponents, out=exponents)

    def barycentric_maps(self, values: ArrayLike) -> Float64Array:
        """Move every row to the mean of its columns, ``sum_j P_ij v_j / sum_j P_ij``.

        Parameters
        ----------
        values : array-like of shape (B, m, q) or (m, q)
            What the columns are; of the second shape if they are the same in every problem.

        Returns
        -------
        mapped : ndarray of shape (B, n, q), float64
            Rows without weight are mapped as well, by the same softmax over the columns.

        Raises
        ------
        ValueError
            If values have a wrong shape.
        """
        n_problems, _, m = self.costs.shape
        values = as_numeric("values", values)
        if values.ndim not in (2, 3) or values.shape[:-1] not in {(n_problems, m), (m,)}:
            raise ValueError(
                f"values must have shape ({n_problems}, {m}, q) or ({m}, q), got {values.shape}"
            )
        weights = self.g[:, None, :] - self.costs
        weights -= weights.max(axis=2, keepdims=True)
        weights /= self.epsilon[:, None, None]
        np.exp(weights, out=weights)
        return weights @ values / weights.sum(axis=2, keepdims=True)


def sinkhorn_batch(
    costs: ArrayLike,
    epsilon: float | ArrayLike,
    *,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    rho_a: float = np.inf,
    rho_b: float = np.inf,
    g: ArrayLike | None = None,
    max_iter: int = 1000,
    tol: float = 1e-6,
    n_threads: int | None = None,
    backend: Backend = None,
) -> SinkhornBatchResult:
    """Solve many small transport problems of one shape, each as if it were alone.

    Parameters
    ----------
    costs : array-like of shape (B, n, m)
        One cost per problem; finite. float32 is computed in float32, whose error of a plan is
        about ``1e-7 max|C| / epsilon``; give float64 where that is not below ``tol``.
    epsilon : float or array-like of shape (B,)
        Entropic strength, positive, in units of the costs.
    a, b : array-like of shape (n,) or (B, n), and (m,) or (B, m), default=None
        Weights, not negative, not all 0; of one dimension if all problems share them. None
        spreads the mass of the other side, or 1, evenly.
    rho_a, rho_b : float, default=inf
        Strengths of the penalties ``rho KL(marginal | weights)``; infinity makes the marginal
        exact, 0 leaves it free.
    g : array-like of shape (B, m), default=None
        Potentials of the columns to start from, finite.
    max_iter : int, default=1000
        Most sweeps over each cost.
    tol : float, default=1e-6
        A problem stops when its marginal error, relative to its mass, is at most this; 0 makes
        exactly ``max_iter`` sweeps. With relaxed marginals "its mass" is the smallest of all.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    result : SinkhornBatchResult
        Potentials of all problems; plans and maps on request.

    Raises
    ------
    ValueError
        For NaN or infinity, wrong shapes, negative or all-zero weights, and in the balanced case
        sums of a and b that differ by more than 1e-6 relatively.
    TypeError
        For what is not an array of real numbers, or costs on a CUDA device.

    Notes
    -----
    O(n m) time for each sweep of a problem, O(B (n + m)) memory on top of the costs. No problem
    is slowed down by others that need more sweeps. Relaxed problems of different epsilon are
    solved in one call of the kernel for each epsilon.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn_batch
    >>> costs = np.random.default_rng(0).random((1000, 5, 75))
    >>> result = sinkhorn_batch(costs, 0.1)
    >>> bool(result.converged.all()), result.plans().shape
    (True, (1000, 5, 75))
    """
    check_on_host("sinkhorn_batch", "costs", costs)
    costs, magnitude = _checked_costs(costs)
    n_problems, n, m = costs.shape
    rho_a, rho_b = (
        checked_real(name, rho, low=0.0, infinity=True)
        for name, rho in (("rho_a", rho_a), ("rho_b", rho_b))
    )
    epsilon = _checked_epsilons(epsilon, n_problems, magnitude)
    a, b = _checked_sides(a, b, costs.shape)
    max_iter = checked_integer("max_iter", max_iter, 1, _MOST_ITERATIONS)
    tol = checked_real("tol", tol, low=0.0)
    f, g = np.zeros((n_problems, n)), _checked_start(g, (n_problems, m))
    is_balanced = np.isinf(rho_a) and np.isinf(rho_b)
    if is_balanced:
        b = balanced_weights(a, b)
    mass = np.broadcast_to(np.minimum(a.sum(axis=-1), b.sum(axis=-1)), n_problems)
    unit = 1.0
    if is_balanced:  # with masses of 1 the errors of the kernel are relative to them
        a, b = a / a.sum(axis=-1, keepdims=True), b / b.sum(axis=-1, keepdims=True)
    else:
        unit = float(mass.min())
    with np.errstate(divide="ignore"):
        log_a = np.broadcast_to(np.log(a), (n_problems, n))
        log_b = np.broadcast_to(np.log(b), (n_problems, m))
    n_iter, error = np.empty(n_problems, dtype=np.int32), np.empty(n_problems)
    for part, tau_a, tau_b in _groups(epsilon, rho_a, rho_b):
        f_part, g_part = np.ascontiguousarray(f[part]), np.ascontiguousarray(g[part])
        n_iter[part], error[part] = iterate_batch(
            costs[part], epsilon[part], log_a[part], log_b[part], f_part, g_part,
            tau_a=tau_a, tau_b=tau_b, max_iter=max_iter, tol=tol * unit, n_threads=n_threads,
            backend=backend,
        )  # fmt: skip
        f[part], g[part] = f_part, g_part
    if is_balanced:
        f += (epsilon * np.log(mass))[:, None]
    else:
        error /= mass
    return SinkhornBatchResult(costs, epsilon, f, g, error, n_iter, error <= tol)


def _groups(epsilon, rho_a, rho_b):
    """Problems that share their damping ``tau = rho / (rho + epsilon)``; 1 for exact marginals."""
    everything = slice(None)
    if (np.isinf(rho_a) and np.isinf(rho_b)) or (epsilon == epsilon[0]).all():
        groups = [(everything, epsilon[0])]
    else:
        groups = [(np.flatnonzero(epsilon == value), value) for value in np.unique(epsilon)]
    for part, value in groups:
        yield (
            part,
            *(1.0 if np.isinf(rho) else float(rho / (rho + value)) for rho in (rho_a, rho_b)),
        )


def _checked_costs(costs):
    """Return C-ordered costs, of float32 only where its range is enough, and their magnitude."""
    costs = as_numeric("costs", costs)
    if costs.ndim != 3 or costs.size == 0:
        raise ValueError(
            "costs must have shape (B, n, m) with at least 1 problem, 1 row and 1 column, "
            f"got {costs.shape}"
        )
    narrow = costs.dtype.kind == "f" and costs.dtype.itemsize <= 4
    costs = np.require(costs, np.float32 if narrow else np.float64, ["C", "A"])
    low, high = float(costs.min()), float(costs.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("costs contain NaN or infinity; every value must be finite")
    magnitude = max(abs(low), abs(high))
    if narrow and not _NARROW_LOW < (magnitude or 1.0) < _NARROW_HIGH:
        costs = costs.astype(np.float64)
    return costs, magnitude


def _checked_epsilons(epsilon, n_problems, magnitude):
    epsilon = as_vector("epsilon", epsilon, n_problems)
    smallest = float(epsilon.min())
    if smallest <= 0 or smallest < SMALLEST_EPSILON * magnitude:
        raise ValueError(
            f"epsilon must be above 0 and at least {SMALLEST_EPSILON * magnitude:.3g} for costs "
            f"up to {magnitude:.3g}, got {smallest!r}"
        )
    return epsilon


def _checked_sides(a, b, shape):
    n_problems, n, m = shape
    a = None if a is None else checked_weights("a", a, n, (1, 2))
    b = None if b is None else checked_weights("b", b, m, (1, 2))
    for name, weights in (("a", a), ("b", b)):
        if weights is not None and weights.ndim == 2 and len(weights) != n_problems:
            raise ValueError(
                f"{name} must hold one side, or one for each of the {n_problems} problems, got "
                f"shape {weights.shape}"
            )
    if a is None:
        mass = np.ones(1) if b is None else b.sum(axis=-1, keepdims=True)
        a = np.repeat(mass / n, n, axis=-1)
    if b is None:
        b = np.repeat(a.sum(axis=-1, keepdims=True) / m, m, axis=-1)
    return a, b


def _checked_start(g, shape):
    if g is None:
        return np.zeros(shape)
    g = as_numeric("g", g)
    if g.shape != shape or not np.isfinite(g).all():
        raise ValueError(f"g must hold finite potentials of shape {shape}, got shape {g.shape}")
    return np.array(g, dtype=np.float64)
