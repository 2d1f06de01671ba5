"""Parameters and data of estimators that transport rows: scales, metrics, labels of two sides."""

from enum import Enum
from numbers import Real

import numpy as np

from clusterlib.kernels import Metric
from clusterlib.validation.parameters import checked_real

__all__ = [
    "CostScale",
    "MemoryMetric",
    "OutOfSample",
    "checked_cost_scale",
    "checked_labels_of_sides",
    "checked_metric",
    "checked_row_flags",
]


class CostScale(Enum):
    """What of a cost stands for 1 when epsilon is given."""

    MAX = "max"
    MEAN = "mean"
    MEDIAN = "median"


class MemoryMetric(Enum):
    """Distances between directions from which a memory makes balanced codes."""

    EUCLIDEAN = "euclidean"
    COSINE = "cosine"


class OutOfSample(Enum):
    """How rows that a transport was not fitted with are moved."""

    ENTROPIC = "entropic"
    NEAREST = "nearest"


def checked_cost_scale(cost_scale):
    """Say relative to what epsilon is given.

    Parameters
    ----------
    cost_scale : None, "max", "mean", "median" or float
        The parameter of an estimator.

    Returns
    -------
    cost_scale : CostScale or float
        What has to be measured, or the number itself, above 0; 1.0 for None.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_cost_scale
    >>> checked_cost_scale("mean")
    <CostScale.MEAN: 'mean'>
    """
    if cost_scale is None:
        return 1.0
    if isinstance(cost_scale, Real) and not isinstance(cost_scale, bool):
        return checked_real("cost_scale", cost_scale, 0, low_open=True)
    for member in CostScale:
        if isinstance(cost_scale, str) and member.value == cost_scale:
            return member
    allowed = ", ".join(repr(member.value) for member in CostScale)
    kind = ValueError if isinstance(cost_scale, str) else TypeError
    raise kind(
        f"cost_scale must be one of {allowed}, a float in (0, inf) or None; got {cost_scale!r}"
    )


def checked_metric(metric):
    """Turn the name of a metric into a member of :class:`clusterlib.kernels.Metric`.

    Parameters
    ----------
    metric : str
        "sqeuclidean", "euclidean", "cosine" or "inner_product".

    Returns
    -------
    metric : Metric
        The member of that name.

    Raises
    ------
    TypeError, ValueError
        If it is no string, or another one.

    Examples
    --------
    >>> from clusterlib.validation import checked_metric
    >>> checked_metric("cosine")
    <Metric.COSINE: 2>
    """
    for member in Metric:
        if isinstance(metric, str) and member.name.lower() == metric:
            return member
    allowed = ", ".join(repr(member.name.lower()) for member in Metric)
    kind = ValueError if isinstance(metric, str) else TypeError
    raise kind(f"metric must be one of {allowed}; got {metric!r}")


def checked_labels_of_sides(y, target_labels, n_sources, n_targets):
    """Number the classes of labelled sources and of targets that are labelled in part.

    Parameters
    ----------
    y : array-like of shape (n_sources,)
        Classes: numbers or strings; -1 or None where the class is not known.
    target_labels : array-like of shape (n_targets,)
        The same for the targets.
    n_sources, n_targets : int
        How many there have to be.

    Returns
    -------
    source_codes : ndarray of shape (n_sources,), int64
        Equal numbers for equal classes, -1 where it is not known.
    target_codes : ndarray of shape (n_targets,), int64
        The same numbers for the same classes.

    Raises
    ------
    ValueError
        If y is None, or labels are NaN or of another shape.

    Examples
    --------
    >>> from clusterlib.validation import checked_labels_of_sides
    >>> checked_labels_of_sides(["a", "b"], ["b", None, "a"], 2, 3)
    (array([0, 1]), array([ 1, -1,  0]))
    """
    if y is None:
        raise ValueError("target_labels need y, the classes of the rows of X; got y=None")
    codes = {}
    return (
        _codes("y", y, n_sources, codes),
        _codes("target_labels", target_labels, n_targets, codes),
    )


def _codes(name, labels, length, codes):
    values = np.asarray(labels)
    if values.dtype.kind in "US":
        values = np.asarray(labels, dtype=object)  # a list of strings and -1 stays one
    if values.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},); got {values.shape}")
    values = values.tolist()
    if any(isinstance(value, float) and np.isnan(value) for value in values):
        raise ValueError(f"{name} contains NaN; an unknown class is -1 or None")
    unknown = {None, -1}
    return np.array(
        [-1 if value in unknown else codes.setdefault(value, len(codes)) for value in values],
        dtype=np.int64,
    )


def checked_row_flags(name, flags, n_rows):
    """Check one truth for each row, or one for all.

    Parameters
    ----------
    name : str
        Name of the argument for messages.
    flags : None, bool or array-like of bool of shape (n_rows,)
        What the user gave.
    n_rows : int
        Number of rows.

    Returns
    -------
    flags : None or ndarray of shape (n_rows,), bool
        None for None and where none is true.

    Raises
    ------
    TypeError, ValueError
        If they are not boolean, or of another shape.

    Examples
    --------
    >>> from clusterlib.validation import checked_row_flags
    >>> checked_row_flags("in_target", True, 2)
    array([ True,  True])
    """
    if flags is None:
        return None
    flags = np.asarray(flags)
    if flags.dtype.kind != "b":
        raise TypeError(f"{name} must be True, False or an array of them; got dtype {flags.dtype}")
    if flags.ndim and flags.shape != (n_rows,):
        raise ValueError(f"{name} must have shape ({n_rows},); got {flags.shape}")
    return np.broadcast_to(flags, (n_rows,)) if flags.any() else None
