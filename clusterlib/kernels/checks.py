"""Argument checks of the public kernel functions: everything is refused before any work starts.

Finiteness of X and Y is the exception: each implementation checks it while it reads the rows
anyway, so that no kernel makes an additional pass over the data.
"""

from numbers import Integral

import numpy as np

from clusterlib.config import default_threads, get_config
from clusterlib.kernels.dispatch import active_backend, implementation
from clusterlib.kernels.metrics import Metric

__all__ = [
    "as_matrix",
    "as_matrix_pair",
    "as_metric",
    "as_numeric",
    "as_vector",
    "check_finite",
    "checked_groups",
    "checked_integer",
    "checked_labels",
    "checked_output",
    "checked_threads",
    "checked_values",
    "largest_magnitude",
    "sum_of_squares",
]

_INT32_MAX = 2**31 - 1
MASKS = {None: 0, "same": 1, "different": 2}


def as_numeric(name, value):
    """Turn ``value`` into a numeric array without copying one that already is."""
    if value is None:
        raise TypeError(f"{name} must be an array of numbers, got None")
    if hasattr(value, "toarray"):
        raise TypeError(f"{name} is sparse ({type(value).__name__}); a dense array is required")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(f"{name} has masked entries; fill or drop them first")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        elif array.dtype.name == "bfloat16":  # of ml_dtypes, which registers the cast
            array = array.astype(np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"{name} must be an array of numbers, got {type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    return array


def _as_native_layout(array, dtype):
    """Convert to ``dtype``; only a byte-swapped or misaligned array of that type is copied."""
    if array.dtype == dtype and array.dtype.isnative and array.flags.aligned:
        return array
    return array.astype(dtype, order="C")


def _working_dtype(*arrays):
    """float32 if all arrays are float32 or float16, else float64."""
    narrow = all(array.dtype.kind == "f" and array.dtype.itemsize <= 4 for array in arrays)
    return np.dtype(np.float32 if narrow else np.float64)


def check_finite(name, array):
    """Refuse NaN and infinity."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity; every value must be finite")


def _check_matrix_shape(name, array):
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions (rows, features), got shape {array.shape}")
    if array.shape[1] == 0:
        raise ValueError(f"{name} must have at least 1 feature, got shape {array.shape}")


def _as_packed(array, dtype):
    """Convert to a C-ordered, aligned array of ``dtype``."""
    return np.require(array, dtype=dtype, requirements=["C", "A"])


def as_matrix(name, value):
    """Return a float32 or float64 matrix; any strides, uncopied if it already is one."""
    array = as_numeric(name, value)
    _check_matrix_shape(name, array)
    return _as_native_layout(array, _working_dtype(array))


def as_matrix_pair(X, Y):
    """Return X and Y as matrices of one dtype with the same number of columns."""
    X, Y = as_numeric("X", X), as_numeric("Y", Y)
    _check_matrix_shape("X", X)
    _check_matrix_shape("Y", Y)
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"X and Y must have the same number of features, got {X.shape[1]} and {Y.shape[1]}"
        )
    if len(Y) > _INT32_MAX:
        raise ValueError(f"Y must have at most {_INT32_MAX} rows, got {len(Y)}")
    dtype = _working_dtype(X, Y)
    return _as_native_layout(X, dtype), _as_native_layout(Y, dtype)


def as_metric(metric, backend):
    """Return ``(metric, backend)``: an enum member, or a Numba function with backend "numba"."""
    if isinstance(metric, Metric):
        return metric, backend
    if isinstance(metric, str):
        if metric.upper() in Metric.__members__ and metric.islower():
            return Metric[metric.upper()], backend
    elif callable(metric) and hasattr(metric, "py_func"):
        if backend not in (None, "auto", "numba"):
            raise ValueError(
                f"a metric written as a Numba function needs backend 'numba', got {backend!r}"
            )
        return metric, "numba"
    elif callable(metric):
        raise TypeError(
            f"a metric of your own must be compiled with numba.njit, got the plain function "
            f"{getattr(metric, '__name__', metric)!r}"
        )
    allowed = ", ".join(repr(member.name.lower()) for member in Metric)
    raise ValueError(f"metric must be one of {allowed} or a Numba function, got {metric!r}")


def checked_integer(name, value, low, high):
    """Return an integer from ``[low, high]`` as int; a bool or a float is refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")
    return int(value)


def checked_threads(n_threads):
    """Return the number of threads as int >= 0; 0 stands for the default of the backend.

    OpenMP knows its own limits and the affinity mask but not what a container grants, so where
    the native kernels run its number is never left to it.
    """
    if n_threads is None and active_backend() == "native":
        return default_threads(implementation("max_threads", "native")())
    if n_threads is None:
        return get_config()["n_threads"] or 0
    return checked_integer("n_threads", n_threads, 1, _INT32_MAX)


def as_vector(name, value, length, *, low=-np.inf, allow_minus_inf=False, allow_plus_inf=False):
    """Return a C-ordered float64 vector of ``length``; a scalar is repeated.

    NaN is always refused, and each infinity unless it is allowed.
    """
    array = as_numeric(name, value)
    if array.ndim and array.shape != (length,):
        raise ValueError(f"{name} must be a scalar or have shape ({length},), got {array.shape}")
    vector = _as_packed(np.broadcast_to(array, (length,)), np.float64)
    wrong = np.isnan(vector) | (vector < low)
    if not allow_minus_inf:
        wrong |= vector == -np.inf
    if not allow_plus_inf:
        wrong |= vector == np.inf
    if wrong.any():
        position = int(np.argmax(wrong))
        wanted = "finite" if low == -np.inf else f"finite and at least {low:g}"
        if allow_minus_inf or allow_plus_inf:
            extra = [s for s, ok in (("-inf", allow_minus_inf), ("inf", allow_plus_inf)) if ok]
            wanted += " (" + " and ".join(extra) + " allowed)"
        raise ValueError(f"{name} must be {wanted}, got {vector[position]} at index {position}")
    return vector


def _as_integers(name, value, length):
    array = as_numeric(name, value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {array.shape}")
    return array


def checked_groups(mask, x_group, y_group, n_rows, n_columns):
    """Return ``(mask code, x_group, y_group)`` with int64 groups, or None where unused."""
    if not (mask is None or isinstance(mask, str)) or mask not in MASKS:
        raise ValueError(f"mask must be None, 'same' or 'different', got {mask!r}")
    if mask is None:
        for name, group in (("x_group", x_group), ("y_group", y_group)):
            if group is not None:
                raise ValueError(f"{name} is given but mask is None; say 'same' or 'different'")
        return 0, None, None
    groups = []
    for name, group, length in (("x_group", x_group, n_rows), ("y_group", y_group, n_columns)):
        if group is None:
            raise ValueError(f"mask={mask!r} needs {name}, got None")
        group = _as_integers(name, group, length)
        if group.dtype == np.uint64 and group.size and group.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{name} must fit into int64, got {group.max()}")
        groups.append(_as_packed(group, np.int64))
    return MASKS[mask], *groups


def checked_labels(labels, length, n_clusters, limit="n_clusters"):
    """Return int32 labels below ``n_clusters``; negative ones stay negative (skipped rows)."""
    labels = _as_integers("labels", labels, length)
    if labels.size and labels.max() >= n_clusters:
        raise ValueError(f"labels must be below {limit}={n_clusters}, got {labels.max()}")
    if labels.dtype.kind == "i" and labels.dtype.itemsize > 4:
        labels = np.maximum(labels, -1)  # a label below the int32 range must not wrap around
    return _as_packed(labels, np.int32)


def checked_values(values, length, dtype):
    """Return the rows to average as a finite C-ordered matrix of ``dtype``."""
    with np.errstate(over="ignore"):  # what leaves the range of dtype is refused below
        values = _as_packed(as_numeric("values", values), dtype)
    if values.ndim != 2 or len(values) != length:
        raise ValueError(f"values must have shape ({length}, q), got {values.shape}")
    check_finite("values", values)
    return values


def checked_output(out, shape, dtype, inputs):
    """Allocate the output, or check that the caller's array can take the result."""
    if out is None:
        return np.empty(shape, dtype=dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, got {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"out must have shape {shape} and dtype {dtype}, got {out.shape} and {out.dtype}"
        )
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError("out must be C-contiguous, aligned and writeable")
    if any(np.may_share_memory(out, array) for array in inputs):
        raise ValueError("out must not overlap X or Y in memory")
    return out


def checked_state(name, value, shape, dtype):
    """Refuse what cannot be worked on in place."""
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != dtype:
        got = f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else type(value)
        raise ValueError(
            f"{name} must be an array of shape {shape} and dtype {np.dtype(dtype)}, got {got}"
        )
    if not (value.flags.c_contiguous and value.flags.aligned and value.flags.writeable):
        raise ValueError(f"{name} must be C-contiguous, aligned and writeable")


def sum_of_squares(X):
    """Sum the squares of an array in one pass; infinity if it has gaps, or squares leave its dtype.

    At least the largest square: adding what is not negative never makes a rounded sum smaller.
    """
    if not (X.flags.c_contiguous or X.flags.f_contiguous):
        return np.inf
    values = X.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.dot(values, values))


def largest_magnitude(X):
    """Largest absolute value of an array, 0 for an empty one; NaN if there is one."""
    return max(float(X.max(initial=0.0)), -float(X.min(initial=0.0)))
