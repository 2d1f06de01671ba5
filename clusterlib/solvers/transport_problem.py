"""The door of the transport solvers: costs, weights and penalties, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import Metric, pairwise_distances
from clusterlib.kernels.checks import as_metric, as_numeric
from clusterlib.kernels.dispatch import is_device_array
from clusterlib.solvers.cost_matrix import CostMatrix
from clusterlib.solvers.sides import side_of

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, DTypeLike, FloatArray, MetricName

__all__ = [
    "SMALLEST_EPSILON",
    "PointCost",
    "TransportProblem",
    "balanced_weights",
    "checked_epsilon",
    "checked_member",
    "checked_real",
    "checked_weights",
    "transport_problem",
]

_MASSES_AGREE = 1e-6
# A mean beyond this part of the longest row is worth a copy of the points without it.
_FAR_FROM_ORIGIN = 0.5
# Below this part of the largest cost, float64 cannot tell exp((f + g - C) / epsilon) any more.
SMALLEST_EPSILON = 1e-12
_SMALLEST_NUMBER = 1e-290  # whose reciprocal is well inside the range of float64
# Temporaries on a device hold about as many numbers.
_CHUNK_VALUES = 1 << 24


class PointCost:
    """The cost of two point clouds, ``C_ij = metric(x_i, y_j)``, which is never stored.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Sources; finite, n >= 1. Both clouds may be arrays of one float dtype on a CUDA device.
    Y : array-like of shape (m, d)
        Targets; finite, m >= 1.
    metric : str or Metric, default="sqeuclidean"
        "sqeuclidean" (without the factor 1/2 that some authors write), "euclidean", "cosine" or
        "inner_product" (minus the product), see :class:`clusterlib.kernels.Metric`.

    Raises
    ------
    ValueError
        For NaN or infinity, no rows, different numbers of features or an unknown metric.
    TypeError
        For what is not an array of real numbers, or a function as metric.

    Notes
    -----
    Float32 and float64 points are used as they are, unless they lie far from the origin and the
    metric is one of the first two: then they are copied with their common mean subtracted, which
    changes no distance and saves the digits that float32 would lose to the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PointCost
    >>> cost = PointCost(np.array([[0.0], [1.0]]), np.array([[3.0]]))
    >>> cost.shape, cost.block(slice(0, 2)).ravel()
    ((2, 1), array([9., 4.]))
    """

    offset = 0.0

    def __init__(
        self, X: ArrayLike, Y: ArrayLike, *, metric: MetricName | Metric = "sqeuclidean"
    ) -> None:
        self.side = side_of(X)
        if self.side.on_host:
            self.side = side_of(Y)
        X, Y = self.side.pair(X, Y)
        self.metric, _ = as_metric(metric, None)
        if not isinstance(self.metric, Metric):
            raise TypeError(f"metric of a PointCost must be a name, got the function {metric!r}")
        for name, points in (("X", X), ("Y", Y)):
            if len(points) == 0:
                raise ValueError(f"{name} must have at least 1 row, got shape {points.shape}")
            self.side.check_finite(name, points)
        self.X, self.Y = X, Y
        self.center = self.side.zeros(X.shape[1], X.dtype)
        if self.metric in (Metric.SQEUCLIDEAN, Metric.EUCLIDEAN):
            self._subtract_mean()

    def _subtract_mean(self):
        """Move both clouds to the origin if they are far from it, measured by their extent."""
        mean = sum(Z.mean(axis=0, dtype=np.float64) for Z in (self.X, self.Y)) / 2
        if np.sqrt(mean @ mean) > _FAR_FROM_ORIGIN * max(map(_largest_norm, (self.X, self.Y))):
            self.center = mean.astype(self.X.dtype)
            self.X, self.Y = self.X - self.center, self.Y - self.center

    @property
    def shape(self) -> tuple[int, int]:
        """Number of sources and of targets."""
        return len(self.X), len(self.Y)

    @property
    def dtype(self):
        """float32 or float64."""
        return self.X.dtype

    @property
    def T(self):
        """The cost from Y to X."""
        return self.between(self.Y, self.X)

    def astype(self, dtype: DTypeLike) -> PointCost:
        """The same cost of points in another dtype."""
        return self.between(self.X.astype(dtype, copy=False), self.Y.astype(dtype, copy=False))

    def between(self, X: FloatArray, Y: FloatArray) -> PointCost:
        """The same metric between other points that have the centre subtracted already."""
        other = object.__new__(PointCost)
        other.metric, other.center, other.X, other.Y = self.metric, self.center, X, Y
        other.side = self.side
        return other

    def as_sources(self, X: ArrayLike) -> FloatArray:
        """Other points than X in the coordinates of this cost; float32 or float64."""
        X, _ = self.side.pair(X, self.Y)
        self.side.check_finite("X", X)
        return X - self.center

    def block(self, rows: slice, dtype: DTypeLike = np.float64) -> FloatArray:
        """Costs of some rows, a slice, as an array in ``dtype``."""
        X, Y = self.X[rows].astype(dtype, copy=False), self.Y.astype(dtype, copy=False)
        return pairwise_distances(X, Y, metric=self.metric)

    @cached_property
    def magnitude(self):
        """No cost, and no term of its computation, is larger."""
        longest = [_largest_norm(Z) for Z in (self.X, self.Y)]
        return {
            Metric.SQEUCLIDEAN: (longest[0] + longest[1]) ** 2,
            Metric.EUCLIDEAN: longest[0] + longest[1],
            Metric.COSINE: 2.0,
            Metric.INNER_PRODUCT: longest[0] * longest[1],
        }[self.metric]


def _largest_norm(points):
    """Norm of the longest row, in float64, without a second array of the size of the first."""
    if is_device_array(points):
        step = max(1, _CHUNK_VALUES // points.shape[1])
        chunks = (points[k : k + step].astype(np.float64) for k in range(0, len(points), step))
        return max(float(np.sqrt(np.square(chunk).sum(axis=1).max())) for chunk in chunks)
    return float(np.sqrt(np.einsum("ij,ij->i", points, points, dtype=np.float64).max()))


@dataclass(frozen=True)
class TransportProblem:
    """A checked problem of transport: what it costs, and what has to go where.

    Attributes
    ----------
    cost : CostMatrix or PointCost
        Of shape (n, m).
    a : ndarray of shape (n,) or (R, n), float64
        Weights of the rows; of the second shape if there are several right-hand sides.
    b : ndarray of shape (m,) or (R, m), float64
        Weights of the columns; in the balanced case their sums are those of ``a``.
    rho_a, rho_b : float
        Strengths of the penalties ``rho KL(marginal | weights)``; infinity makes the marginal
        exact.
    """

    cost: object
    a: np.ndarray
    b: np.ndarray
    rho_a: float = np.inf
    rho_b: float = np.inf
    log_a: np.ndarray = field(init=False, repr=False)
    log_b: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        with np.errstate(divide="ignore"):
            object.__setattr__(self, "log_a", np.log(self.a))
            object.__setattr__(self, "log_b", np.log(self.b))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns of the cost."""
        return self.cost.shape

    @property
    def is_balanced(self):
        """Whether both marginals are exact."""
        return np.isinf(self.rho_a) and np.isinf(self.rho_b)

    @property
    def offsets(self):
        """What the offset of the cost adds to f and to g: it belongs to an exact marginal."""
        offset = self.cost.offset
        return (offset, 0.0) if np.isinf(self.rho_a) else (0.0, offset)

    @property
    def mass(self):
        """The smallest total weight that marginal errors are measured against."""
        return float(min(self.a.sum(axis=-1).min(), self.b.sum(axis=-1).min()))

    def damping(self, epsilon):
        """``tau = rho / (rho + epsilon)`` of the rows and of the columns; 1 for exact ones."""
        return tuple(
            1.0 if np.isinf(rho) else rho / (rho + epsilon) for rho in (self.rho_a, self.rho_b)
        )

    def side(self, index):
        """The problem of one right-hand side."""
        return replace(self, a=self.a[index], b=self.b[index])


def transport_problem(cost, a=None, b=None, *, rho_a=np.inf, rho_b=np.inf):
    """Check a problem of transport before any work is done on it.

    Parameters
    ----------
    cost : array-like of shape (n, m) or PointCost
        Finite; float32 and float64 arrays are used as they are, in any layout, unless an offset
        much larger than their range has to be subtracted.
    a, b : array-like of shape (n,) and (m,), or (R, m) for b, default=None
        Weights, not negative, not all 0. None spreads the mass of the other side, or 1, evenly.
    rho_a, rho_b : float, default=inf
        Penalties, at least 0.

    Returns
    -------
    problem : TransportProblem
        With weights in float64.

    Raises
    ------
    ValueError
        For NaN or infinity, wrong shapes, negative or all-zero weights, and in the balanced case
        sums of a and b that differ by more than 1e-6 relatively.
    TypeError
        For what is not an array of real numbers.

    Notes
    -----
    One pass over a dense cost; O(n + m) additional memory, with the exception above.
    """
    rho_a, rho_b = (
        checked_real(name, rho, low=0.0, infinity=True)
        for name, rho in (("rho_a", rho_a), ("rho_b", rho_b))
    )
    if not isinstance(cost, PointCost):
        # Where both marginals are relaxed, an offset is no matter of the potentials alone.
        cost = CostMatrix.checked(cost, subtract_offset=np.isinf(rho_a) or np.isinf(rho_b))
    n_rows, n_columns = cost.shape
    a, b = (cost.side.numbers(name, weight) for name, weight in (("a", a), ("b", b)))
    a = None if a is None else checked_weights("a", a, n_rows, (1,))
    b = None if b is None else checked_weights("b", b, n_columns, (1, 2))
    if a is None:
        mass = 1.0 if b is None else b.sum(axis=-1, keepdims=True)
        a = np.broadcast_to(mass / n_rows, (*np.shape(mass)[:-1], n_rows))
    if b is None:
        b = np.full(n_columns, a.sum() / n_columns)
    a = np.ascontiguousarray(np.broadcast_to(a, (*b.shape[:-1], n_rows)))
    if np.isinf(rho_a) and np.isinf(rho_b):
        b = balanced_weights(a, b)
    return TransportProblem(cost, a, b, rho_a, rho_b)


def balanced_weights(a, b):
    """Columns with exactly the mass of the rows; refused where that is not what was given."""
    mass_a, mass_b = a.sum(axis=-1), b.sum(axis=-1)
    wrong = np.abs(mass_a - mass_b) > _MASSES_AGREE * np.maximum(mass_a, mass_b)
    if np.any(wrong):
        first = np.argmax(wrong)
        raise ValueError(
            f"a and b must have the same sum, got {np.ravel(mass_a)[first]:.9g} and "
            f"{np.ravel(mass_b)[first]:.9g}; normalise them, or relax one by rho_a or rho_b"
        )
    return b * (mass_a / mass_b)[..., None]


def checked_weights(name, weights, length, dimensions):
    """Return weights of the last axis in float64; finite, not negative, with a positive sum."""
    weights = as_numeric(name, weights)
    if weights.ndim not in dimensions or weights.shape[-1] != length or weights.size == 0:
        wanted = " or ".join(f"(R, {length})" if d == 2 else f"({length},)" for d in dimensions)
        raise ValueError(f"{name} must have shape {wanted}, got {weights.shape}")
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        where = np.unravel_index(np.argmax(wrong), wrong.shape)
        index = int(where[0]) if len(where) == 1 else tuple(map(int, where))
        raise ValueError(
            f"{name} must hold finite weights that are not negative, got {weights[where]} "
            f"at index {index}"
        )
    with np.errstate(over="ignore"):
        sums = weights.sum(axis=-1)
    if not (np.all(sums > 0) and np.all(np.isfinite(sums))):
        raise ValueError(f"{name} must have a sum that is positive and finite, got {sums}")
    return weights


def checked_real(name, value, *, low, low_open=False, infinity=False):
    """Return a real number of at least ``low`` as float; a bool or an array is refused."""
    allowed = f"{'above' if low_open else 'at least'} {low:g}"
    message = f"{name} must be a {'' if infinity else 'finite '}number {allowed}, got {value!r}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(message)
    value = float(value)
    above = value > low if low_open else value >= low
    if not above or (np.isinf(value) and not infinity):
        raise ValueError(message)
    return value


def checked_member(name, value, members):
    """Return the member of an enum that a string, or the member itself, stands for."""
    try:
        return members(value)
    except ValueError:
        allowed = ", ".join(repr(member.value) for member in members)
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}") from None


def checked_epsilon(epsilon, cost):
    """Return the entropic strength as float; refused where float64 cannot resolve it."""
    epsilon = checked_real("epsilon", epsilon, low=0.0, low_open=True)
    smallest = max(SMALLEST_EPSILON * cost.magnitude, _SMALLEST_NUMBER)
    if epsilon < smallest:
        raise ValueError(
            f"epsilon must be at least {smallest:.3g} for costs up to {cost.magnitude:.3g}, "
            f"got {epsilon!r}"
        )
    return epsilon
