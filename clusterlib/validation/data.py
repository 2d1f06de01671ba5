"""Data of estimators: matrices, weights, and whether there are enough rows."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from clusterlib.blocks import is_carried
from clusterlib.kernels.checks import largest_magnitude
from clusterlib.kernels.dispatch import is_device_array
from clusterlib.validation.arrays import validated_arrays
from clusterlib.validation.carriers import checked_carrier, takes_carrier
from clusterlib.validation.device import checked_device_data, host_copy

__all__ = [
    "check_is_fitted",
    "checked_class_weight",
    "checked_matrix",
    "checked_n_samples",
    "checked_same_clusters",
    "checked_sample_weight",
    "checked_second_matrix",
]

# Weights times squares of X have to be numbers, and so have their sums.
_MOST_ROWS = 1e30
_LEAST_RATIO = 1e-301


def checked_matrix(estimator, X, *, reset):
    """Check the data of an estimator and remember, or compare, its features.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_`` with ``reset``.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        float32 and float64 arrays pass uncopied in any layout; float16 becomes float32 and all
        else float64. What is read block by block becomes a carrier, if the estimator reads
        blocks, and is refused otherwise (a memory map is taken for an array then). An array on a
        CUDA device is checked there if the estimator works there, and refused otherwise.
    reset : bool
        True in ``fit``, False in ``predict`` and others.

    Returns
    -------
    X : ndarray, device array or Blocks of shape (n_samples, n_features), float32 or float64
        The same values. A carrier is looked at for NaN and infinity when it is first read.

    Notes
    -----
    Refuses what scikit-learn does, and says more about where: NaN, infinity, text, sparse or
    complex data.

    Examples
    --------
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.validation import checked_matrix
    >>> checked_matrix(KMeans(), [[1, 2]], reset=True)
    array([[1., 2.]])
    """
    if is_device_array(X):
        return checked_device_data(estimator, X, reset=reset)
    if is_carried(X) and takes_carrier(estimator, X):
        return checked_carrier(estimator, X, reset=reset)
    if isinstance(X, np.ndarray) and X.dtype == np.float16:
        X = X.astype(np.float32)  # as carriers do, and without loss
    return validated_arrays(estimator, X, reset=reset)


def checked_second_matrix(estimator, name, X):
    """Check data beside X that have the same features.

    Parameters
    ----------
    estimator : estimator
        Has seen X by :func:`checked_matrix`.
    name : str
        Name of the argument for messages.
    X : array-like or data frame of shape (n_rows, n_features)
        As in :func:`checked_matrix`.

    Returns
    -------
    X : ndarray of shape (n_rows, n_features), float32 or float64
        The same values.

    Examples
    --------
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.validation import checked_matrix, checked_second_matrix
    >>> model = KMeans()
    >>> X = checked_matrix(model, [[1, 2]], reset=True)
    >>> checked_second_matrix(model, "target", [[3, 4]])
    array([[3., 4.]])
    """
    try:
        return checked_matrix(estimator, X, reset=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def checked_sample_weight(
    sample_weight, n_samples, *, name="sample_weight", beside=None, shares=False
):
    """Check the weights of rows.

    Parameters
    ----------
    sample_weight : None, float or array-like of shape (n_samples,)
        Finite and not negative, not all zero; everything else is refused.
    n_samples : int
        Number of rows.
    name : str, default="sample_weight"
        Name of the argument for messages.
    beside : array of shape (n_samples, n_features), default=None
        The data. Weights may be on a CUDA device only if these are, and are copied to the host
        to be checked.
    shares : bool, default=False
        Whether only their ratios count. Otherwise weights above 1e30 are refused: sums of them
        times squares of X would leave float64.

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
    if is_device_array(sample_weight):
        if not is_device_array(beside):
            raise TypeError(
                f"{name} is on a CUDA device and X is on the host: pass both on the same side"
            )
        sample_weight = host_copy(sample_weight)
    try:
        weight = np.asarray(sample_weight)
        if weight.dtype.kind == "c":  # NumPy would drop the imaginary part
            raise TypeError(f"got {weight.dtype}")
        weight = weight.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} must hold real numbers: {error}") from error
    if weight.ndim and weight.shape != (n_samples,):
        raise ValueError(
            f"{name} must be a number or have shape (n_samples,)=({n_samples},); got {weight.shape}"
        )
    weight = np.ascontiguousarray(np.broadcast_to(weight, (n_samples,)))
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{name} must be finite and not negative; got {weight[row]} in row {row}")
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not 0 < total < np.inf:
        raise ValueError(f"{name} must have a finite sum above zero; got {total}")
    if not shares and weight.max() > _MOST_ROWS:
        raise ValueError(
            f"{name} must be at most {_MOST_ROWS:g}, as many rows as a row may count for; got "
            f"{weight.max():g} in row {int(weight.argmax())}"
        )
    return weight


def checked_class_weight(sample_weight, classes, codes, *, beside=None):
    """Check weights of labelled rows, so that every class has a row that counts.

    Parameters
    ----------
    sample_weight : None, float or array-like of shape (n_samples,)
        From 0 to 1e30, not all zero.
    classes : ndarray of shape (n_classes,)
        Labels of the classes, for the message.
    codes : ndarray of shape (n_samples,), int
        Their numbers, row by row.
    beside : ndarray of shape (n_samples, n_features), default=None
        The data, for models whose penalties are in units of weights over squares of X.

    Returns
    -------
    sample_weight : None or ndarray of shape (n_samples,), float64
        None stands for weights of 1.

    Raises
    ------
    TypeError, ValueError
        As :func:`checked_sample_weight` has it; ValueError for a class without a weight above 0,
        and for a sum that is next to nothing beside 1 or the largest square in ``beside``.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_class_weight
    >>> checked_class_weight([2, 0, 1], np.array(["a", "b"]), np.array([0, 0, 1]))
    array([2., 0., 1.])
    """
    weight = checked_sample_weight(sample_weight, len(codes))
    if weight is not None:
        absent = np.bincount(codes[weight > 0], minlength=len(classes)) == 0
        if absent.any():
            label = np.asarray(classes).tolist()[int(absent.argmax())]
            raise ValueError(
                f"sample_weight must be above 0 in some row of every class; class {label!r} has none "
                "and nothing would be known of it. Leave its rows out"
            )
        largest = 1.0 if beside is None else max(1.0, largest_magnitude(beside))
        if weight.sum() / largest < _LEAST_RATIO * largest:
            unit = (
                f" times the largest square in X, which is {largest:g}^2" if largest > 1.0 else ""
            )
            raise ValueError(
                f"sample_weight must have a sum above {_LEAST_RATIO:g}{unit}; got {weight.sum():g}. "
                "Multiply all weights by a number"
            )
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
