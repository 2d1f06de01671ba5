"""Parameters and data of label shift with labels: classifiers, folds, calibrations, targets."""

from enum import Enum

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d, indexable
from sklearn.utils.multiclass import check_classification_targets

from clusterlib.validation.parameters import checked_choice

__all__ = [
    "ShiftCalibration",
    "checked_calibration",
    "checked_known_classes",
    "checked_labelled_rows",
    "checked_probabilistic",
]


class ShiftCalibration(Enum):
    """How the probabilities of a classifier are calibrated before shares are estimated."""

    NONE = "none"
    TEMPERATURE = "temperature"
    BIAS_CORRECTED = "bcts"
    VECTOR = "vector"


def checked_calibration(calibration):
    """Say how probabilities are calibrated.

    Parameters
    ----------
    calibration : {"bcts", "vector", "temperature"} or None
        The parameter of an estimator.

    Returns
    -------
    kind : ShiftCalibration
        The kind.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_calibration
    >>> checked_calibration("bcts"), checked_calibration(None)
    (<ShiftCalibration.BIAS_CORRECTED: 'bcts'>, <ShiftCalibration.NONE: 'none'>)
    """
    if calibration is None:
        return ShiftCalibration.NONE
    offered = [
        ShiftCalibration.BIAS_CORRECTED,
        ShiftCalibration.VECTOR,
        ShiftCalibration.TEMPERATURE,
    ]
    try:
        return checked_choice("calibration", calibration, offered)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("; got", " or None; got")) from None


def checked_probabilistic(estimator, use="from which class shares are estimated"):
    """Return a classifier that has ``fit`` and ``predict_proba``; all else is a TypeError.

    ``use`` says in the message what the probabilities are for.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from clusterlib.validation import checked_probabilistic
    >>> checked_probabilistic(GaussianNB())
    GaussianNB()
    """
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(f"estimator must be a classifier, an object with fit; got {estimator!r}")
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"estimator must have predict_proba, {use}; {estimator!r} has none. "
            "CalibratedClassifierCV of scikit-learn gives it one"
        )
    return estimator


def checked_labelled_rows(X, y):
    """Check labelled rows whose values the classifier checks, and number their classes.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Whatever the classifier takes.
    y : array-like of shape (n_samples,)
        Numbers or strings, of two classes at least.

    Returns
    -------
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        The same rows; sparse ones as CSR.
    y : ndarray of shape (n_samples,)
        The labels.
    classes : ndarray of shape (n_classes,)
        Distinct labels, sorted, in the dtype of y.
    codes : ndarray of shape (n_samples,), intp
        ``classes[codes]`` equals y.

    Raises
    ------
    ValueError
        For NaN in y, y of another length, no y, y that is continuous, or a single class.

    Examples
    --------
    >>> from clusterlib.validation import checked_labelled_rows
    >>> checked_labelled_rows([[1.0], [2.0]], ["b", "a"])[2:]
    (array(['a', 'b'], dtype='<U1'), array([1, 0]))
    """
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    X, y = indexable(X, y)
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y must hold at least 2 classes, whose shares can shift; got 1 class in {len(y)} rows "
            f"(n_samples={len(y)})"
        )
    return X, y, classes, codes


def checked_known_classes(y, classes):
    """Number labels of classes that are known; others are a ValueError.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.
    classes : ndarray of shape (n_classes,)
        Those that are known, sorted.

    Returns
    -------
    codes : ndarray of shape (n_samples,), intp
        ``classes[codes]`` equals y.

    Raises
    ------
    ValueError
        For a label that is not among the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_known_classes
    >>> checked_known_classes(["b", "a"], np.array(["a", "b"]))
    array([1, 0])
    """
    y = column_or_1d(y)
    known = np.isin(y, classes)
    if not known.all():
        raise ValueError(f"y has the label {y[~known].tolist()[0]!r}, which fit has not seen")
    return np.searchsorted(classes, y)
