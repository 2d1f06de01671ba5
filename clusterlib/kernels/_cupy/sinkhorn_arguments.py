"""Arguments of the Sinkhorn kernels on a CUDA device; messages as in ``kernels/sinkhorn_checks``."""

import numpy as np

from clusterlib.kernels import sinkhorn_checks as door
from clusterlib.kernels._cupy.checks import (
    as_device_floats,
    as_device_matrix,
    as_device_pair,
    as_device_vector,
    checked_device_state,
)
from clusterlib.kernels._cupy.instances import Instance
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.checks import checked_integer

__all__ = [
    "INSTANCES",
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
    "inspect",
    "whole",
]

_INSPECT_BLOCK = 4096  # entries, as in csrc/cuda/sinkhorn_inspect.cuh
_INSPECT = Instance("sinkhorn_inspect.cuh", "cl::inspect_sides<double>", 256)

INSTANCES = (_INSPECT,)


def as_device_cost(name, value):
    """Return a C-ordered float32 or float64 matrix on the device with at least one column."""
    array = as_device_floats(name, value)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must have shape (n, m) with at least 1 column, got {array.shape}")
    array = as_device_matrix(name, array)
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


def _sized(name, value, shape):
    """Return a C-ordered float64 array of ``shape``, whatever it holds; one side serves several."""
    if not active().owns(value):
        as_device_vector(name, np.atleast_1d(value), shape[-1])  # says what is wrong with it
    array = active().asarray(value)
    if array.shape not in {shape, shape[-1:]}:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.dtype not in (np.float32, np.float64):
        _refuse_values(name, array)
    if array.shape == shape:
        return active().contiguous(array.astype(np.float64, copy=False))
    repeated = active().empty(shape, np.float64)
    repeated[...] = array
    return repeated


def _refuse_values(name, array):
    """Raise an error if an array holds something else than numbers below infinity."""
    as_device_vector(name, array.reshape(-1), int(np.prod(array.shape)), allow_minus_inf=True)


def _vectors(name, value, shape):
    """Return a C-ordered float64 array of ``shape`` below infinity."""
    array = _sized(name, value, shape)
    _refuse_values(name, array)
    return array


def inspect(rows, columns, more_rows=None, potentials=None):
    """Look at vectors of rows and of columns with one launch and one transfer.

    Returns whether the former and the latter, all of them, are below infinity (potentials finite
    where columns are above minus infinity), and whether each side is above it somewhere.
    """
    runtime = active()
    rows, columns = whole(rows), whole(columns)
    n_sides, n, m = len(rows), rows.shape[1], columns.shape[1]
    blocks = -(-n // _INSPECT_BLOCK), -(-m // _INSPECT_BLOCK)
    reports = runtime.zeros((4, n_sides), np.uint32)
    runtime.launch(
        _INSPECT, n_sides * sum(blocks), np.int64(n), np.int64(m), np.int32(n_sides),
        *map(np.int32, blocks), rows, more_rows, columns, potentials, reports,
    )  # fmt: skip
    bad_rows, bad_columns, some_rows, some_columns = runtime.to_host(reports) > 0
    return not bad_rows.any(), not bad_columns.any(), some_rows.all(), some_columns.all()


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
    log_a, g = _sized("log_a", log_a, rows), _sized("g", g, columns)
    good_rows, good_columns, _, is_somewhere = inspect(log_a, g, None if update_f else f)
    if not good_rows:
        _refuse_values("log_a", log_a)
        _refuse_values("f", f)
    if not good_columns:
        _refuse_values("g", g)
    if update_f and not is_somewhere:
        check_some_device_weight("g", g)
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
    log_a, log_b = _sized("log_a", log_a, rows), _sized("log_b", log_b, columns)
    f = checked_device_potential("f", f, rows)
    g = checked_device_potential("g", g, columns)
    if not all(inspect(log_a, log_b, potentials=g)):
        _refuse_values("log_a", log_a)
        _refuse_values("log_b", log_b)
        check_some_device_weight("log_a", log_a)
        check_some_device_weight("log_b", log_b)
        checked_device_potential("g", g, columns, log_b)
    g[...] = np.where(log_b > -np.inf, g, -np.inf)
    return epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol
