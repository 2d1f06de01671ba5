"""Arguments of the Sinkhorn kernels on a CUDA device; messages as in ``kernels/sinkhorn_checks``."""

import numpy as np

from clusterlib.kernels import sinkhorn_checks as door
from clusterlib.kernels._cupy.checks import (
    as_device_matrix,
    as_device_pair,
    as_device_vector,
    checked_device_state,
)
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.checks import checked_integer

__all__ = [
    "as_device_cost",
    "as_device_cost_stack",
    "as_device_epsilons",
    "as_device_log_weight",
    "as_device_points",
    "as_device_potential",
    "check_some_device_weight",
    "checked_device_iteration",
    "checked_device_potential",
    "checked_device_sweep",
    "device_sides",
    "whole",
]


def as_device_cost(name, value):
    """Return a C-ordered float32 or float64 matrix on the device with at least one column."""
    array = as_device_matrix(name, value)
    if array.shape[1] > np.iinfo(np.int32).max // 2:
        raise ValueError(f"{name} has too many columns for a CUDA device, got {array.shape}")
    return array


def as_device_cost_stack(name, value):
    """Return (B, p, q) problems as a C-ordered float32 or float64 array on the device."""
    if not active().owns(value):
        as_device_matrix(name, value)  # says where it is
    array = active().asarray(value)
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ValueError(
            f"{name} must have shape (B, p, q) with p and q at least 1, got {array.shape}"
        )
    n_problems, p, q = array.shape
    return as_device_matrix(name, array.reshape(n_problems, p * q)).reshape(array.shape)


def as_device_epsilons(value, length):
    """Return the epsilon of each problem; a number is repeated."""
    if not active().owns(value) and np.ndim(value) == 0:
        value = door.checked_epsilon(value)
    epsilons = as_device_vector("epsilon", value, length)
    if length and not bool((epsilons >= float(np.finfo(np.float64).tiny)).all()):
        raise ValueError(f"epsilon must be positive and finite, got {float(epsilons.min())}")
    return epsilons


def as_device_points(X, Y):
    """Return two point clouds of one dtype; there is at least one row to be transported to."""
    X, Y = as_device_pair(X, Y)
    if len(Y) == 0:
        raise ValueError(f"Y must have at least 1 row, got shape {Y.shape}")
    return X, Y


def device_sides(potential, n, m):
    """Shapes of row and column vectors: of one right-hand side, or of several."""
    several = getattr(potential, "ndim", 1) == 2
    return ((len(potential), n), (len(potential), m)) if several else ((n,), (m,))


def _vectors(name, value, shape):
    """Return a C-ordered float64 array of ``shape`` below infinity; one side may serve several."""
    if not active().owns(value):
        as_device_vector(name, np.atleast_1d(value), shape[-1])  # says what is wrong with it
    array = active().asarray(value)
    if array.shape not in {shape, shape[-1:]}:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    size = int(np.prod(array.shape))
    flat = as_device_vector(name, array.reshape(-1), size, allow_minus_inf=True)
    if array.shape == shape:
        return flat.reshape(shape)
    repeated = active().empty(shape, np.float64)
    repeated[...] = flat
    return repeated


def as_device_log_weight(name, value, shape):
    """Return logarithms of weights; -inf is a weight of 0."""
    return _vectors(name, value, shape)


def as_device_potential(name, value, shape):
    """Return a potential that is only read; -inf takes its row or column out."""
    return _vectors(name, value, shape)


def checked_device_potential(name, value, shape, log_weight=None):
    """Refuse a potential that cannot be worked on in place.

    With ``log_weight`` it has to be finite where there is weight, and becomes -inf elsewhere.
    """
    array = checked_device_state(name, value, shape, np.float64)
    if log_weight is None:
        return array
    here = log_weight > -np.inf
    bad = here & ~np.isfinite(array)
    if bool(bad.any()):
        position = np.unravel_index(int(bad.argmax()), shape)
        index = tuple(int(i) for i in position)
        raise ValueError(
            f"{name} must be finite where there is weight, got {float(array[index])} at index "
            f"{index[0] if len(index) == 1 else index}"
        )
    array[...] = np.where(here, array, -np.inf)
    return array


def check_some_device_weight(name, log_weight):
    """Refuse a right-hand side without any weight."""
    if not bool((log_weight > -np.inf).any(axis=-1).all()):
        raise ValueError(f"{name} must have weight somewhere, but all of it is -inf")


def whole(array):
    """Return vectors with an axis of right-hand sides: a view."""
    return array if array.ndim == 2 else array.reshape(1, -1)


def checked_device_sweep(shapes, epsilon, log_a, f, g, tau_a, f_max, update_f):
    """Check what all sweeps take, and return it."""
    rows, columns = shapes
    epsilon = door.checked_epsilon(epsilon)
    tau_a = door.checked_tau("tau_a", tau_a)
    f_max = door.checked_number("f_max", f_max, lambda top: top > -np.inf, "above -inf")
    f = checked_device_potential("f", f, rows)
    log_a = as_device_log_weight("log_a", log_a, rows)
    g = as_device_potential("g", g, columns)
    if update_f:
        check_some_device_weight("g", g)
    else:
        as_device_potential("f", f, rows)
    return epsilon, log_a, f, g, tau_a, f_max, bool(update_f)


def checked_device_iteration(
    shapes, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol
):
    """Check what all iterations take, and return it."""
    rows, columns = shapes
    epsilon = door.checked_epsilon(epsilon)
    tau_a, tau_b = door.checked_tau("tau_a", tau_a), door.checked_tau("tau_b", tau_b)
    relaxation = door.checked_relaxation(relaxation)
    n_iters = checked_integer("n_iters", n_iters, 1, door.MOST_ITERATIONS)
    tol = door.checked_tolerance(tol)
    log_a = as_device_log_weight("log_a", log_a, rows)
    log_b = as_device_log_weight("log_b", log_b, columns)
    check_some_device_weight("log_a", log_a)
    check_some_device_weight("log_b", log_b)
    f = checked_device_potential("f", f, rows)
    g = checked_device_potential("g", g, columns, log_b)
    return epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol
