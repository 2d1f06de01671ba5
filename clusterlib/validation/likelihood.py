"""Parameters of estimators of Gaussian groups: kinds of covariances, weights, given starts."""

from enum import Enum

import numpy as np

from clusterlib.validation.parameters import checked_choice, checked_integer

__all__ = [
    "CovarianceShape",
    "CovarianceUpdate",
    "GroupStart",
    "GroupWeights",
    "TraceRule",
    "checked_covariances",
    "checked_extent",
    "checked_group_start",
    "checked_n_components",
    "checked_start_labels",
]

# What rounding in float32 leaves of a symmetric matrix; and of an eigenvalue that should be 0.
_ASYMMETRY = 1e-5
_LEAST_RATIO = 1e-13
# Squares of other numbers, summed over many rows, are no normal numbers of float64.
_LEAST_EXTENT, _LARGEST_EXTENT = 1e-140, 1e140


class CovarianceShape(Enum):
    """What the covariances of the groups may look like."""

    AUTO = "auto"
    FULL = "full"
    TIED = "tied"
    DIAG = "diag"
    SPHERICAL = "spherical"


class GroupWeights(Enum):
    """Whether the likelihood knows how frequent the groups are."""

    AUTO = "auto"
    EQUAL = "equal"
    ESTIMATED = "estimated"


class TraceRule(Enum):
    """What the traces of the membership matrices have to be: each of them 1, or K in sum."""

    GROUP = "group"
    TOTAL = "total"


class CovarianceUpdate(Enum):
    """Whether covariances come from the membership matrices or from the rounded labels."""

    LIFTED = "lifted"
    HARD = "hard"


class GroupStart(Enum):
    """Where the first labels come from."""

    AUTO = "auto"
    SDP = "sdp"
    WARD = "ward"
    KMEANS = "k-means"
    RANDOM = "random"
    GIVEN = "an array of labels"


def checked_group_start(init):
    """Say where the first labels come from.

    Parameters
    ----------
    init : {"auto", "sdp", "ward", "k-means", "random"} or array-like of shape (n_samples,)
        The parameter of an estimator.

    Returns
    -------
    start : GroupStart
        The kind; labels themselves are checked by :func:`checked_start_labels`.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_group_start
    >>> checked_group_start([0, 1, 1])
    <GroupStart.GIVEN: 'an array of labels'>
    """
    if not isinstance(init, str) and (
        hasattr(init, "__array__") or isinstance(init, (list, tuple))
    ):
        return GroupStart.GIVEN
    named = [start for start in GroupStart if start is not GroupStart.GIVEN]
    try:
        return checked_choice("init", init, named)
    except (TypeError, ValueError) as error:
        message = str(error).replace("; got", " or an array of labels; got")
        raise type(error)(message) from None


def checked_start_labels(labels, n_clusters, n_samples):
    """Check labels that the user gave to start from.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        A group for every row; integers from 0 to ``n_clusters - 1``, not all of which have to
        occur.
    n_clusters, n_samples : int
        Numbers of groups and rows.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        A copy.

    Raises
    ------
    TypeError, ValueError
        If they are no integers, of another shape, or out of range.

    Examples
    --------
    >>> from clusterlib.validation import checked_start_labels
    >>> checked_start_labels([0, 2, 1], 2, 3)
    Traceback (most recent call last):
        ...
    ValueError: init must hold labels in [0, n_clusters - 1=1]; got 2 in row 1
    """
    values = np.asarray(labels)
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"init must hold integers, the group of every row; got dtype {values.dtype}"
        )
    if values.shape != (n_samples,):
        raise ValueError(f"init must have shape (n_samples,)=({n_samples},); got {values.shape}")
    wrong = (values < 0) | (values >= n_clusters)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"init must hold labels in [0, n_clusters - 1={n_clusters - 1}]; "
            f"got {values[row]} in row {row}"
        )
    return values.astype(np.int32)


def checked_n_components(n_components, n_features, *, covariances_are_known):
    """Return the wanted dimension of the space the groups are found in.

    Parameters
    ----------
    n_components : "auto", int or None
        The parameter of an estimator.
    n_features : int
        Number of features, which is the largest dimension.
    covariances_are_known : bool
        Known covariances belong to the features as they are: an int is refused.

    Returns
    -------
    n_components : None or int
        None for "auto"; n_features for None, as no reduction.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_n_components
    >>> checked_n_components(2, 10, covariances_are_known=False)
    2
    """
    if n_components is None or (covariances_are_known and n_components == "auto"):
        return n_features
    if isinstance(n_components, str):
        if n_components != "auto":
            raise ValueError(
                f"n_components must be 'auto', an int in [1, n_features={n_features}] or None; "
                f"got {n_components!r}"
            )
        return None
    n_components = checked_integer(
        "n_components", n_components, 1, n_features, high_name="n_features"
    )
    if covariances_are_known and n_components < n_features:
        raise ValueError(
            f"n_components={n_components} cannot be combined with known covariances, which "
            f"belong to all {n_features} features; set n_components=None"
        )
    return n_components


def checked_covariances(covariances, shape, n_clusters, n_features):
    """Check covariances that the user knows, and write them as full matrices.

    Parameters
    ----------
    covariances : array-like
        Of shape (n_clusters, n_features, n_features) for full covariances and for
        ``CovarianceShape.AUTO``, (n_features, n_features) for tied, (n_clusters, n_features) for
        diagonal and (n_clusters,) for spherical ones.
    shape : CovarianceShape
        What they look like.
    n_clusters, n_features : int
        Numbers of groups and features.

    Returns
    -------
    covariances : ndarray of shape (n_clusters, n_features, n_features), float64
        Symmetric and positive definite.

    Raises
    ------
    TypeError, ValueError
        If they are no finite real numbers, of another shape, not symmetric, or not positive
        definite; the message says which group it is.

    Examples
    --------
    >>> from clusterlib.validation import CovarianceShape, checked_covariances
    >>> checked_covariances([4.0], CovarianceShape.SPHERICAL, 1, 2)
    array([[[4., 0.],
            [0., 4.]]])
    >>> checked_covariances([[[1.0, 2.0], [2.0, 1.0]]], CovarianceShape.FULL, 1, 2)
    Traceback (most recent call last):
        ...
    ValueError: covariances must be positive definite; the smallest eigenvalue of group 0 is -1
    """
    values = _finite_of_shape(covariances, *_known_shape(shape, n_clusters, n_features))
    if shape is CovarianceShape.SPHERICAL:
        values = values[:, None, None] * np.eye(n_features)
    elif shape is CovarianceShape.DIAG:
        values = values[:, :, None] * np.eye(n_features)
    elif shape is CovarianceShape.TIED:
        values = np.broadcast_to(values, (n_clusters, n_features, n_features))
    for group, matrix in enumerate(values):
        _refuse_unless_symmetric(group, matrix)
        eigenvalues = np.linalg.eigvalsh(matrix)
        if not eigenvalues[0] > _LEAST_RATIO * eigenvalues[-1]:
            raise ValueError(
                f"covariances must be positive definite; the smallest eigenvalue of group {group} "
                f"is {eigenvalues[0]:.3g}"
            )
    return (values + values.transpose(0, 2, 1)) / 2


def checked_extent(centred):
    """Refuse rows that are all the same, or so far apart that their squares leave float64.

    Parameters
    ----------
    centred : ndarray of shape (n_samples, q), float64
        Rows less their mean, infinite or NaN where that overflows; q = 0 stands for rows that are
        all the same.

    Returns
    -------
    unit : float
        A power of two near the largest entry: to divide by it changes no digit.

    Raises
    ------
    ValueError
        If a covariance cannot be computed.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_extent
    >>> checked_extent(np.array([[-5.0], [5.0]]))
    4.0
    """
    largest = float(np.abs(centred).max(initial=0.0))
    if largest == 0:
        raise ValueError(
            f"all rows of X are the same (n_samples={len(centred)}): there are no groups to find"
        )
    if not _LEAST_EXTENT < largest < _LARGEST_EXTENT:
        distance = "too far" if np.isnan(largest) else f"up to {largest:.3g}"
        raise ValueError(
            f"rows of X are {distance} away from their mean, whose square leaves "
            "float64; multiply X by a power of ten"
        )
    return 2.0 ** np.floor(np.log2(largest))


def _known_shape(shape, n_clusters, n_features):
    """Name and value of the shape that covariances of this kind have."""
    if shape is CovarianceShape.SPHERICAL:
        return "(n_clusters,)", (n_clusters,)
    if shape is CovarianceShape.DIAG:
        return "(n_clusters, n_features)", (n_clusters, n_features)
    if shape is CovarianceShape.TIED:
        return "(n_features, n_features)", (n_features, n_features)
    return "(n_clusters, n_features, n_features)", (n_clusters, n_features, n_features)


def _finite_of_shape(covariances, name, wanted):
    try:
        values = np.asarray(covariances)
        if values.dtype.kind == "c":
            raise TypeError("complex numbers")
        values = values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"covariances must hold real numbers: {error}") from error
    if values.shape != wanted:
        raise ValueError(f"covariances must have shape {name}={wanted}; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("covariances contains NaN or infinity")
    return values


def _refuse_unless_symmetric(group, matrix):
    difference = np.abs(matrix - matrix.T).max()
    if difference > _ASYMMETRY * np.abs(matrix).max():
        raise ValueError(
            f"covariances must be symmetric; those of group {group} differ from their transpose "
            f"by {difference:.3g}"
        )
