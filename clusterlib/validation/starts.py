"""Where estimators start from: kinds of starts, given centres, how many starts."""

from enum import Enum

import numpy as np

from clusterlib.kernels.dispatch import is_device_array
from clusterlib.validation.device import host_copy
from clusterlib.validation.parameters import checked_choice, checked_integer

__all__ = [
    "Start",
    "checked_n_init",
    "checked_start",
    "checked_start_centers",
]


# Beyond any use; a seed is drawn for each beforehand.
_MOST_STARTS = 1_000_000


class Start(Enum):
    """How the first centres are found."""

    AUTO = "auto"
    KMEANS_PLUSPLUS = "k-means++"
    KMEANS_PARALLEL = "k-means||"
    RANDOM = "random"
    GIVEN = "an array of centres"
    CALLED = "a callable"


_NOT_NAMED = (Start.GIVEN, Start.CALLED)


def checked_start(init):
    """Say how the first centres are found.

    Parameters
    ----------
    init : {"auto", "k-means++", "k-means||", "random"}, callable or array-like of shape \
(n_clusters, n_features)
        The parameter of an estimator.

    Returns
    -------
    start : Start
        The kind; the centres themselves are checked by :func:`checked_start_centers`.

    Examples
    --------
    >>> from clusterlib.validation import checked_start
    >>> checked_start([[0.0], [1.0]])
    <Start.GIVEN: 'an array of centres'>
    """
    if callable(init):
        return Start.CALLED
    if not isinstance(init, str) and (
        hasattr(init, "__array__") or is_device_array(init) or isinstance(init, (list, tuple))
    ):
        return Start.GIVEN
    try:
        return checked_choice("init", init, [s for s in Start if s not in _NOT_NAMED])
    except (TypeError, ValueError) as error:
        message = str(error).replace("; got", ", a callable or an array of centres; got")
        raise type(error)(message) from None


def checked_start_centers(centers, n_clusters, X):
    """Check centres that the user or a callable gave.

    Parameters
    ----------
    centers : array-like of shape (n_clusters, n_features)
        The centres to start from, on the host or on a CUDA device.
    n_clusters : int
        How many there have to be.
    X : ndarray or device array of shape (n_samples, n_features), float32 or float64
        The data to cluster.

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
        A C-ordered copy in the dtype of X, on the host.

    Raises
    ------
    TypeError, ValueError
        If they are no real numbers, of another shape, NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_start_centers
    >>> checked_start_centers([[1, 2]], 1, np.zeros((5, 2), dtype=np.float32))
    array([[1., 2.]], dtype=float32)
    """
    dtype = np.dtype(str(X.dtype).removeprefix("torch."))
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            centers = np.array(host_copy(centers), dtype=dtype, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"init must hold real numbers: {error}") from error
    if centers.shape != (n_clusters, X.shape[1]):
        raise ValueError(
            f"init must have shape (n_clusters, n_features)={(n_clusters, X.shape[1])}; "
            f"got {centers.shape}"
        )
    if not np.isfinite(centers).all():
        raise ValueError(f"init contains NaN or infinity (or a value beyond {dtype})")
    return centers


def checked_n_init(n_init, start, default):
    """Return the number of starts.

    Parameters
    ----------
    n_init : "auto" or int
        The parameter of an estimator.
    start : Start
        How the first centres are found.
    default : int
        What "auto" stands for with random or called starts; it is 1 otherwise.

    Returns
    -------
    n_init : int
        At least 1, and 1 for given centres: every start would be the same.

    Examples
    --------
    >>> from clusterlib.validation import Start, checked_n_init
    >>> checked_n_init("auto", Start.RANDOM, 10)
    10
    """
    if isinstance(n_init, str):
        if n_init != "auto":
            raise ValueError(f"n_init must be 'auto' or an int in [1, inf); got {n_init!r}")
        n_init = default if start in (Start.RANDOM, Start.CALLED) else 1
    n_init = checked_integer("n_init", n_init, 1)
    if n_init > _MOST_STARTS:
        raise ValueError(f"n_init must be at most {_MOST_STARTS}; got {n_init}")
    return 1 if start is Start.GIVEN else n_init
