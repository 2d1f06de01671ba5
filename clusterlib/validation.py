"""What happens to bad input: parameters, data and weights of estimators are checked here only.

Every message names the argument, says what is allowed and what came instead. A value of the wrong
kind is a TypeError, one out of range a ValueError. Strings become members of an enumeration here
and are never compared again.
"""

from enum import Enum
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = [
    "Start",
    "check_is_fitted",
    "check_random_state",
    "checked_choice",
    "checked_flag",
    "checked_integer",
    "checked_matrix",
    "checked_n_init",
    "checked_n_samples",
    "checked_real",
    "checked_same_clusters",
    "checked_sample_weight",
    "checked_start",
    "checked_start_centers",
    "checked_verbose",
]


class Start(Enum):
    """How the first centres are found."""

    KMEANS_PLUSPLUS = "k-means++"
    RANDOM = "random"
    GIVEN = "an array of centres"
    CALLED = "a callable"


def _interval(low, high, low_open=False):
    left = f"({low}" if low_open or low is None else f"[{low}"
    return f"{left}, {'inf)' if high is None else f'{high}]'}"


def checked_integer(name, value, low, high=None, *, high_name=None):
    """Return an integer parameter as int.

    Parameters
    ----------
    name : str
        Name of the parameter for messages.
    value : object
        What the user gave; a bool or a float is refused even if it is integral.
    low, high : int
        Smallest and largest allowed value; ``high=None`` sets no limit.
    high_name : str, default=None
        What the limit is, for the message ("n_samples").

    Returns
    -------
    value : int
        In ``[low, high]``.

    Raises
    ------
    TypeError, ValueError
        If value is not an integer, or out of range.

    Examples
    --------
    >>> from clusterlib.validation import checked_integer
    >>> checked_integer("n_clusters", 0, 1, 150, high_name="n_samples")
    Traceback (most recent call last):
        ...
    ValueError: n_clusters must be an int in [1, n_samples=150]; got 0
    """
    limit = high if high_name is None else f"{high_name}={high}"
    message = f"{name} must be an int in {_interval(low, limit)}; got {value!r}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(message)
    if value < low or (high is not None and value > high):
        raise ValueError(message)
    return int(value)


def checked_real(name, value, low, high=None, *, low_open=False):
    """Return a real parameter as float.

    Parameters
    ----------
    name : str
        Name of the parameter for messages.
    value : object
        What the user gave; a bool is refused.
    low, high : float
        Smallest and largest allowed value; ``high=None`` sets no limit but infinity.
    low_open : bool, default=False
        Whether ``low`` itself is refused.

    Returns
    -------
    value : float
        Finite and in the interval; TypeError and ValueError as for integers.

    Examples
    --------
    >>> from clusterlib.validation import checked_real
    >>> checked_real("tol", 1e-4, 0)
    0.0001
    """
    message = f"{name} must be a float in {_interval(low, high, low_open)}; got {value!r}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(message)
    too_low = value <= low if low_open else value < low
    if not np.isfinite(value) or too_low or (high is not None and value > high):
        raise ValueError(message)
    return float(value)


def checked_flag(name, value):
    """Return a parameter that is True or False as bool; anything else is a TypeError.

    Examples
    --------
    >>> from clusterlib.validation import checked_flag
    >>> checked_flag("compute_labels", True)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {value!r}")
    return bool(value)


def checked_verbose(verbose):
    """Return the verbosity as int >= 0; True and False count as 1 and 0.

    Examples
    --------
    >>> from clusterlib.validation import checked_verbose
    >>> checked_verbose(True)
    1
    """
    is_flag = isinstance(verbose, (bool, np.bool_))
    return checked_integer("verbose", int(verbose) if is_flag else verbose, 0)


def checked_choice(name, value, members):
    """Turn a string parameter into a member of an enumeration.

    Parameters
    ----------
    name : str
        Name of the parameter for messages.
    value : object
        What the user gave; TypeError if it is not a string, ValueError if it is no choice.
    members : iterable of Enum members
        The choices; their values are the strings.

    Returns
    -------
    member : Enum member
        The one whose value is ``value``.

    Examples
    --------
    >>> from clusterlib.validation import Start, checked_choice
    >>> checked_choice("init", "random", [Start.RANDOM])
    <Start.RANDOM: 'random'>
    """
    members = list(members)
    for member in members:
        if isinstance(value, str) and member.value == value:
            return member
    allowed = ", ".join(repr(member.value) for member in members)
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(f"{name} must be one of {allowed}; got {value!r}")


def checked_start(init):
    """Say how the first centres are found.

    Parameters
    ----------
    init : {"k-means++", "random"}, callable or array-like of shape (n_clusters, n_features)
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
        hasattr(init, "__array__") or isinstance(init, (list, tuple))
    ):
        return Start.GIVEN
    try:
        return checked_choice("init", init, [Start.KMEANS_PLUSPLUS, Start.RANDOM])
    except (TypeError, ValueError) as error:
        message = str(error).replace("; got", ", a callable or an array of centres; got")
        raise type(error)(message) from None


def checked_start_centers(centers, n_clusters, X):
    """Check centres that the user or a callable gave.

    Parameters
    ----------
    centers : array-like of shape (n_clusters, n_features)
        The centres to start from.
    n_clusters : int
        How many there have to be.
    X : ndarray of shape (n_samples, n_features)
        The data to cluster.

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
        A C-ordered copy in the dtype of X.

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
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            centers = np.array(centers, dtype=X.dtype, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(f"init must hold real numbers: {error}") from error
    if centers.shape != (n_clusters, X.shape[1]):
        raise ValueError(
            f"init must have shape (n_clusters, n_features)={(n_clusters, X.shape[1])}; "
            f"got {centers.shape}"
        )
    if not np.isfinite(centers).all():
        raise ValueError(f"init contains NaN or infinity (or a value beyond {X.dtype})")
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
    return 1 if start is Start.GIVEN else n_init


def checked_matrix(estimator, X, *, reset):
    """Check the data of an estimator and remember, or compare, its features.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_`` with ``reset``.
    X : array-like or data frame of shape (n_samples, n_features)
        float32 and float64 arrays pass uncopied in any layout, memory-mapped ones included; all
        else becomes float64.
    reset : bool
        True in ``fit``, False in ``predict`` and others.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        The same values.

    Notes
    -----
    Refuses what scikit-learn does, with its messages: NaN, infinity, sparse or complex data.

    Examples
    --------
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.validation import checked_matrix
    >>> checked_matrix(KMeans(), [[1, 2]], reset=True)
    array([[1., 2.]])
    """
    return validate_data(estimator, X, reset=reset, dtype=[np.float64, np.float32], order=None)


def checked_sample_weight(sample_weight, n_samples):
    """Check the weights of rows.

    Parameters
    ----------
    sample_weight : None, float or array-like of shape (n_samples,)
        Finite and not negative, not all zero; everything else is refused.
    n_samples : int
        Number of rows.

    Returns
    -------
    sample_weight : None or ndarray of shape (n_samples,), float64
        None stands for weights of 1.

    Examples
    --------
    >>> from clusterlib.validation import checked_sample_weight
    >>> checked_sample_weight([2, 1], 2)
    array([2., 1.])
    """
    if sample_weight is None:
        return None
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"sample_weight must hold real numbers: {error}") from error
    if weight.ndim and weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must be a number or have shape (n_samples,)=({n_samples},); "
            f"got {weight.shape}"
        )
    weight = np.ascontiguousarray(np.broadcast_to(weight, (n_samples,)))
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"sample_weight must be finite and not negative; got {weight[row]} in row {row}"
        )
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not 0 < total < np.inf:
        raise ValueError(f"sample_weight must have a finite sum above zero; got {total}")
    return weight


def checked_n_samples(n_clusters, n_samples, sample_weight):
    """Refuse fewer rows than clusters with a ValueError; a row of weight 0 does not count.

    Examples
    --------
    >>> from clusterlib.validation import checked_n_samples
    >>> checked_n_samples(2, 10, None)
    """
    if sample_weight is not None:
        n_samples = int(np.count_nonzero(sample_weight))
    if n_samples < n_clusters:
        weighted = "" if sample_weight is None else " with a weight above zero"
        raise ValueError(
            f"n_clusters={n_clusters} must not be above n_samples={n_samples} (rows{weighted})"
        )


def checked_same_clusters(n_clusters, centers):
    """Refuse to go on with another number of clusters than there are centres: a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_same_clusters
    >>> checked_same_clusters(2, np.zeros((2, 5)))
    """
    if n_clusters != len(centers):
        raise ValueError(
            f"n_clusters={n_clusters} cannot be changed between batches: the estimator has "
            f"{len(centers)} centres; call fit to start afresh"
        )
