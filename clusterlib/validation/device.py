"""Data on a CUDA device: who takes them, and what they have to be."""

import numpy as np
from sklearn.utils.validation import validate_data

from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.dispatch import is_device_array

__all__ = ["checked_device_data", "checked_on_host", "checked_same_side", "host_copy"]

# Temporaries of a check are this large at most, 1 byte for each value.
_CHUNK_VALUES = 1 << 26


def checked_on_host(estimator, X, name="X"):
    """Refuse an array on a CUDA device with a TypeError that says how to bring it to the host.

    Parameters
    ----------
    estimator : estimator
        Named in the message.
    X : object
        Anything but a device array passes.
    name : str, default="X"
        Name of the argument for messages.

    Examples
    --------
    >>> from clusterlib.cluster import SDPClustering
    >>> from clusterlib.validation import checked_on_host
    >>> checked_on_host(SDPClustering(), [[1.0]])
    """
    if is_device_array(X):
        raise TypeError(
            f"{name} is on a CUDA device and {type(estimator).__name__} works on host arrays: pass "
            f"{_cure(name, X)}"
        )


def _cure(name, array):
    """How to bring an array to the host, in the words of its library."""
    return f"{name}.cpu()" if hasattr(array, "cpu") else f"cupy.asnumpy({name})"


def checked_device_data(estimator, X, *, reset):
    """Check the data of an estimator where they are, on a CUDA device.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` with ``reset``; says by ``_takes_device_arrays`` that its solver
        works there.
    X : device array of shape (n_samples, n_features), float32 or float64
        A CuPy array or a CUDA tensor.
    reset : bool
        True in ``fit``, False in ``predict`` and others.

    Returns
    -------
    X : device array of shape (n_samples, n_features), float32 or float64
        The same object.

    Raises
    ------
    TypeError
        If the estimator works on the host alone, or for another dtype: nothing is converted.
    ValueError
        For NaN or infinity, another number of dimensions, no rows or no features.
    """
    if not getattr(estimator, "_takes_device_arrays", False):
        checked_on_host(estimator, X)
    values = active().asarray(X)
    if values.dtype not in (np.float32, np.float64):
        raise TypeError(f"X must be float32 or float64 on a CUDA device; got dtype {values.dtype}")
    if values.ndim != 2:
        raise ValueError(f"Expected 2D array, got {values.ndim}D array instead: shape {X.shape}")
    for axis, what in enumerate(("sample", "feature")):
        if values.shape[axis] == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={tuple(X.shape)}) while a minimum of 1 is "
                f"required by {type(estimator).__name__}."
            )
    _check_finite(values)
    return validate_data(estimator, X, reset=reset, skip_check_array=True)


def _check_finite(values):
    step = max(1, _CHUNK_VALUES // values.shape[1])
    for start in range(0, len(values), step):
        chunk = values[start : start + step]
        if not bool(np.isfinite(chunk).all()):
            found = "NaN" if bool(np.isnan(chunk).any()) else "infinity"
            raise ValueError(f"Input X contains {found}.")


def checked_same_side(estimator, X, fitted, name="X"):
    """Refuse host data for an estimator that was fitted on a CUDA device, and the reverse.

    Parameters
    ----------
    estimator : estimator
        Named in the message.
    X : array of shape (n_samples, n_features)
        New data.
    fitted : array
        What was fitted, such as centres; it lives where the data of ``fit`` lived.
    name : str, default="X"
        Name of the argument for messages.

    Raises
    ------
    TypeError
        If they are not both on the host or both on a device.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.validation import checked_same_side
    >>> checked_same_side(KMeans(), np.zeros((2, 1)), np.zeros((1, 1)))
    """
    is_on_device = is_device_array(X)
    if is_on_device == is_device_array(fitted):
        return
    fitted_on, given_on = ("the host", "a CUDA device")[:: 1 if is_on_device else -1]
    cure = _cure(name, X) if is_on_device else f"cupy.asarray({name})"
    raise TypeError(
        f"{name} is on {given_on} and {type(estimator).__name__} was fitted on {fitted_on}: pass "
        f"{cure}, or fit it where {name} is"
    )


def host_copy(array):
    """Return a NumPy copy of a device array; anything else as it is.

    Parameters
    ----------
    array : object
        Anything.

    Returns
    -------
    array : ndarray of any dtype, or the object itself
        For arrays that are small or have been asked for.

    Examples
    --------
    >>> from clusterlib.validation.device import host_copy
    >>> host_copy([1, 2])
    [1, 2]
    """
    if not is_device_array(array):
        return array
    runtime = active()
    return runtime.to_host(runtime.asarray(array))
