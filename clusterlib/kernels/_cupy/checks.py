"""Argument checks of kernels on a CUDA device; the messages are those of the host kernels.

Arrays stay where they are: host arrays beside device arrays are refused by name, and so is every
dtype that would need a conversion.
"""

import numpy as np

from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.checks import MASKS, as_numeric, checked_threads
from clusterlib.kernels.metrics import Metric

__all__ = [
    "as_device_floats",
    "as_device_groups",
    "as_device_integers",
    "as_device_matrix",
    "as_device_pair",
    "as_device_vector",
    "as_device_weights",
    "checked_device_options",
    "checked_device_output",
    "checked_device_state",
    "device_metric",
]

_INT32_MAX = 2**31 - 1
_MOST_FEATURES = 2**31 - 1024  # numbers of features are int, also that of the step beyond the last
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def checked_device_options(n_threads, backend):
    """Check the options that mean nothing on a device."""
    checked_threads(n_threads)
    if backend not in (None, "auto", "cupy"):
        raise ValueError(
            f"backend must be None, 'auto' or 'cupy' for arrays on a CUDA device, got {backend!r}"
        )


def device_metric(metric):
    """Return the enum member; functions compiled by Numba run on the host alone."""
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str) and metric.upper() in Metric.__members__ and metric.islower():
        return Metric[metric.upper()]
    allowed = ", ".join(repr(member.name.lower()) for member in Metric)
    error = TypeError if callable(metric) else ValueError
    raise error(f"metric must be one of {allowed} on a CUDA device, got {metric!r}")


def _owned(name, value):
    runtime = active()
    if not runtime.owns(value):
        if value is None:
            as_numeric(name, value)  # says what is wrong with it
        raise TypeError(
            f"{name} is on the host ({type(value).__name__}) and other arguments are on a CUDA "
            f"device: bring them to the same side, with cupy.asarray({name}) for example"
        )
    return runtime.asarray(value)


def as_device_floats(name, value):
    """Return a float32 or float64 array on the device, of any shape and layout."""
    array = _owned(name, value)
    if array.dtype not in _FLOATS:
        raise TypeError(
            f"{name} must be float32 or float64 on a CUDA device, got dtype {array.dtype}"
        )
    return array


def as_device_matrix(name, value):
    """Return a C-ordered float32 or float64 matrix on the device; another layout is copied."""
    array = as_device_floats(name, value)
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions (rows, features), got shape {array.shape}")
    if array.shape[1] == 0:
        raise ValueError(f"{name} must have at least 1 feature, got shape {array.shape}")
    if array.shape[1] > _MOST_FEATURES:
        raise ValueError(
            f"{name} must have at most {_MOST_FEATURES} features, got {array.shape[1]}"
        )
    return active().contiguous(array)


def as_device_pair(X, Y):
    """Return X and Y as C-ordered matrices of one dtype with as many columns."""
    X, Y = as_device_matrix("X", X), as_device_matrix("Y", Y)
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"X and Y must have the same number of features, got {X.shape[1]} and {Y.shape[1]}"
        )
    if len(Y) > _INT32_MAX:
        raise ValueError(f"Y must have at most {_INT32_MAX} rows, got {len(Y)}")
    if X.dtype != Y.dtype:
        raise TypeError(
            f"X and Y must have one dtype on a CUDA device, got {X.dtype} and {Y.dtype}"
        )
    return X, Y


def as_device_vector(
    name, value, length, *, low=-np.inf, allow_minus_inf=False, allow_plus_inf=False
):
    """Return a float64 vector of ``length`` on the device; a number is repeated.

    A vector may be given in float32 or float64, a number on either side. NaN is always refused,
    each infinity unless it is allowed.
    """
    runtime = active()
    if np.ndim(value) == 0 and not runtime.owns(value):
        vector = runtime.empty((length,), np.float64)
        number = float(as_numeric(name, value))
        vector[...] = number
        probe = np.array([number])
    else:
        vector = probe = _as_wide_vector(name, value, length)
    # Few operations, each of them a launch; comparisons with NaN are false.
    right = probe > low if low == -np.inf and not allow_minus_inf else probe >= low
    right &= probe <= np.inf if allow_plus_inf else probe < np.inf
    if length and not bool(right.all()):
        position = int(right.argmin())
        wanted = "finite" if low == -np.inf else f"finite and at least {low:g}"
        if allow_minus_inf or allow_plus_inf:
            extra = [s for s, ok in (("-inf", allow_minus_inf), ("inf", allow_plus_inf)) if ok]
            wanted += " (" + " and ".join(extra) + " allowed)"
        raise ValueError(
            f"{name} must be {wanted}, got {float(probe[position])} at index {position}"
        )
    return vector


def _as_wide_vector(name, value, length):
    vector = as_device_floats(name, value)
    if vector.ndim and vector.shape != (length,):
        raise ValueError(f"{name} must be a scalar or have shape ({length},), got {vector.shape}")
    wide = vector if vector.dtype == np.float64 else _widened(vector)
    if vector.ndim:
        return active().contiguous(wide)
    repeated = active().empty((length,), np.float64)
    repeated[...] = wide
    return repeated


def _widened(vector):
    """The same numbers as float64: CuPy's conversion takes denormal ones for 0."""
    bits = vector.view(np.int32)
    places = bits & 0x7FFFFFFF  # what denormal numbers count units of 2^-149 with
    denormal = np.where(bits < 0, -places, places).astype(np.float64) * 2.0**-149
    return np.where(places < 0x00800000, denormal, vector.astype(np.float64))


def as_device_weights(sample_weight, length):
    """Return weights as float64 on the device, or None for weights of 1."""
    if sample_weight is None:
        return None
    return as_device_vector("sample_weight", sample_weight, length)


def as_device_integers(name, value, length, dtype):
    """Return integers of ``dtype`` on the device; values that it cannot hold are refused."""
    array = _owned(name, value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {array.shape}")
    if length and not np.can_cast(array.dtype, dtype):
        limits = np.iinfo(dtype)
        for extreme in (int(array.min()), int(array.max())):
            if not limits.min <= extreme <= limits.max:
                raise ValueError(f"{name} must fit into {np.dtype(dtype)}, got {extreme}")
    return active().contiguous(array.astype(dtype, copy=False))


def as_device_groups(mask, x_group, y_group, n_rows, n_columns):
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
        groups.append(as_device_integers(name, group, length, np.int64))
    return MASKS[mask], *groups


def checked_device_output(out, shape, dtype, inputs=(), names="X or Y"):
    """Allocate the output, or check that the caller's device array can take the result.

    It may not overlap ``inputs``, which ``names`` names: checked arguments as they were given, or
    None.
    """
    runtime = active()
    if out is None:
        return runtime.empty(shape, dtype)
    array = _owned("out", out)
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"out must have shape {shape} and dtype {dtype}, got {array.shape} and {array.dtype}"
        )
    if not array.flags.c_contiguous:
        raise ValueError("out must be C-contiguous")
    given = (runtime.asarray(value) for value in inputs if value is not None)
    if any(np.may_share_memory(array, value) for value in given):
        raise ValueError(f"out must not overlap {names} in memory")
    return array


def checked_device_state(name, value, shape, dtype):
    """Refuse what cannot be worked on in place."""
    array = _owned(name, value)
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"{name} must be an array of shape {shape} and dtype {np.dtype(dtype)}, got "
            f"{array.shape} {array.dtype}"
        )
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous")
    return array
