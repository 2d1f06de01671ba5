"""Argument checks of the Sinkhorn kernels; what they share with others is in ``checks``."""

import math
from numbers import Real

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix,
    as_matrix_pair,
    as_numeric,
    checked_integer,
    checked_state,
    largest_magnitude,
    sum_of_squares,
)

__all__ = [
    "MOST_ITERATIONS",
    "as_cost",
    "as_cost_stack",
    "as_epsilons",
    "as_finite",
    "as_log_weight",
    "as_points",
    "as_potential",
    "as_weight",
    "check_positive",
    "check_some_weight",
    "checked_epsilon",
    "checked_iteration",
    "checked_number",
    "checked_potential",
    "checked_relaxation",
    "checked_sweep",
    "checked_tau",
    "checked_tolerance",
    "in_range",
    "sides",
    "without_tiny",
]

MOST_ITERATIONS = 2**31 - 1
_LEAST_EPSILON = float(np.finfo(np.float64).tiny)  # the inverse of a smaller one overflows
_MOST_EPSILON = 1.0 / _LEAST_EPSILON  # and that of a larger one has lost its digits
# Squared distances are up to twice the sum of both, and up to twice that about another origin.
_MOST_SQUARES = float(np.finfo(np.float32).max) / 16


def as_cost(name, value):
    """Return a float32 or float64 matrix with at least one column; any strides, uncopied."""
    array = as_numeric(name, value)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must have shape (n, m) with at least 1 column, got {array.shape}")
    return as_matrix(name, array)


def as_cost_stack(name, value):
    """Return (B, p, q) problems as a C-ordered float32 or float64 array."""
    array = as_numeric(name, value)
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ValueError(
            f"{name} must have shape (B, p, q) with p and q at least 1, got {array.shape}"
        )
    n_problems, p, q = array.shape
    flat = as_matrix(name, array.reshape(n_problems, p * q))
    return np.require(flat, requirements=["C", "A"]).reshape(array.shape)


def as_points(X, Y):
    """Return two point clouds of one dtype; there is at least one row to be transported to."""
    X, Y = as_matrix_pair(X, Y)
    if len(Y) == 0:
        raise ValueError(f"Y must have at least 1 row, got shape {Y.shape}")
    return X, Y


def in_range(X, Y):
    """Return point clouds whose squared distances are numbers: float64 if they leave float32.

    Decided by values alone, as rows in another layout must not be calculated otherwise: what the
    quick look lets pass, the exact one would.
    """
    if (
        X.dtype == np.float64
        or X.shape[1] * (sum_of_squares(X) + sum_of_squares(Y)) < _MOST_SQUARES
    ):
        return X, Y
    squares = [X.shape[1] * largest_magnitude(points) ** 2 for points in (X, Y)]
    if sum(squares) < _MOST_SQUARES:
        return X, Y
    return X.astype(np.float64), Y.astype(np.float64)


def checked_number(name, value, allowed, description):
    """Return a real number for which ``allowed(value)`` holds as float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    value = float(value)
    if not allowed(value):
        raise ValueError(f"{name} must be {description}, got {value:g}")
    return value


def checked_epsilon(epsilon):
    """Return epsilon as float."""
    epsilon = checked_number(
        "epsilon", epsilon, lambda e: _LEAST_EPSILON <= e < math.inf, "positive and finite"
    )
    if epsilon > _MOST_EPSILON:
        raise ValueError(f"epsilon must be at most {_MOST_EPSILON:.3g}, got {epsilon:g}")
    return epsilon


def checked_tau(name, value):
    """Return the damping of a marginal as float: 1 balanced, 0 free."""
    return checked_number(name, value, lambda tau: 0.0 <= tau <= 1.0, "from 0 to 1")


def checked_relaxation(value):
    """Return the relaxation of the column step as float."""
    return checked_number("relaxation", value, lambda w: 0.0 < w < 2.0, "between 0 and 2")


def checked_tolerance(value):
    """Return the tolerance as float."""
    return checked_number("tol", value, lambda tol: 0.0 <= tol < math.inf, "finite and at least 0")


def _as_vectors(name, value, shape, wrong, description):
    """Return a C-ordered float64 array of ``shape``, to which leading axes may be added."""
    array = as_numeric(name, value)
    if array.shape not in {shape, shape[-1:]}:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    array = np.broadcast_to(array, shape)
    array = np.require(array, dtype=np.float64, requirements=["C", "A"])
    bad = wrong(array)
    if bad.any():
        position = tuple(int(i) for i in np.argwhere(bad)[0])
        place = position[0] if len(position) == 1 else position
        raise ValueError(f"{name} must be {description}, got {array[position]} at index {place}")
    return array


def _not_below_infinity(array):
    return ~(array < np.inf)


def as_log_weight(name, value, shape):
    """Return logarithms of weights; -inf is a weight of 0. One side is repeated for several."""
    return _as_vectors(name, value, shape, _not_below_infinity, "finite or -inf (a weight of 0)")


def without_tiny(log_weight, dtype):
    """Count weights below the normal range of ``dtype`` as 0."""
    return np.where(log_weight < np.log(np.finfo(dtype).tiny), -np.inf, log_weight)


def as_potential(name, value, shape):
    """Return a potential that is only read; -inf takes its row or column out."""
    return _as_vectors(name, value, shape, _not_below_infinity, "finite or -inf")


def as_weight(name, value, length):
    """Return weights that are finite and at least 0."""
    return _as_vectors(
        name, value, (length,), lambda w: ~((w >= 0) & (w < np.inf)), "finite and at least 0"
    )


def as_finite(name, value, length):
    """Return a vector of finite numbers."""
    return _as_vectors(name, value, (length,), lambda x: ~np.isfinite(x), "finite")


def as_epsilons(value, length):
    """Return the epsilon of each problem; a scalar is repeated."""
    if np.ndim(value) == 0:
        return np.full(length, checked_epsilon(value))
    return _as_vectors(
        "epsilon",
        value,
        (length,),
        lambda e: ~((e >= _LEAST_EPSILON) & (e <= _MOST_EPSILON)),
        f"positive and finite, and at most {_MOST_EPSILON:.3g}",
    )


def checked_potential(name, value, shape, log_weight=None):
    """Refuse a potential that cannot be worked on in place.

    With ``log_weight`` it has to be finite where there is weight, and becomes -inf elsewhere.
    """
    checked_state(name, value, shape, np.float64)
    if log_weight is None:
        return
    here = log_weight > -np.inf
    bad = here & ~np.isfinite(value)
    if bad.any():
        position = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} must be finite where there is weight, got {value[position]} at index "
            f"{position[0] if len(position) == 1 else position}"
        )
    value[~here] = -np.inf


def check_positive(name, value, here):
    """Refuse numbers that are not positive and finite where they count."""
    bad = here & ~((value > 0) & (value < np.inf))
    if bad.any():
        position = int(np.argmax(bad))
        raise ValueError(
            f"{name} must be positive and finite where there is weight, got {value[position]} at "
            f"index {position}"
        )


def check_some_weight(name, log_weight):
    """Refuse a right-hand side, or a problem, without any weight."""
    empty = ~(log_weight > -np.inf).any(axis=-1)
    if empty.any():
        raise ValueError(f"{name} must have weight somewhere, but all of it is -inf")


def sides(potential, n, m):
    """Shapes of row and column vectors: of one right-hand side, or of several."""
    several = isinstance(potential, np.ndarray) and potential.ndim == 2
    return ((len(potential), n), (len(potential), m)) if several else ((n,), (m,))


def checked_sweep(shapes, epsilon, log_a, f, g, tau_a, f_max, update_f):
    """Check what all sweeps take, and return it."""
    rows, columns = shapes
    epsilon = checked_epsilon(epsilon)
    tau_a = checked_tau("tau_a", tau_a)
    f_max = checked_number("f_max", f_max, lambda top: top > -math.inf, "above -inf")
    checked_potential("f", f, rows)
    log_a = as_log_weight("log_a", log_a, rows)
    g = as_potential("g", g, columns)
    if update_f:
        check_some_weight("g", g)
    else:
        as_potential("f", f, rows)
    return epsilon, log_a, f, g, tau_a, f_max, bool(update_f)


def checked_iteration(shapes, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol):
    """Check what all iterations take, and return it."""
    rows, columns = shapes
    epsilon = checked_epsilon(epsilon)
    tau_a, tau_b = checked_tau("tau_a", tau_a), checked_tau("tau_b", tau_b)
    relaxation = checked_relaxation(relaxation)
    n_iters = checked_integer("n_iters", n_iters, 1, MOST_ITERATIONS)
    tol = checked_tolerance(tol)
    log_a = as_log_weight("log_a", log_a, rows)
    log_b = as_log_weight("log_b", log_b, columns)
    check_some_weight("log_a", log_a)
    check_some_weight("log_b", log_b)
    checked_potential("f", f, rows)
    checked_potential("g", g, columns, log_b)
    return epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol
