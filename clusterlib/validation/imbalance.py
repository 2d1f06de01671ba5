"""Parameters and data of estimators that cut large classes into subclasses."""

import operator
from enum import Enum

import numpy as np
from sklearn.utils import column_or_1d

from clusterlib.blocks import Blocks, map_reduce
from clusterlib.kernels.checks import as_matrix, as_numeric
from clusterlib.validation.balanced import checked_range
from clusterlib.validation.device import checked_on_host
from clusterlib.validation.label_shift import checked_known_classes
from clusterlib.validation.parameters import checked_real
from clusterlib.validation.prototypes import checked_classes

__all__ = [
    "Recovery",
    "SizeRule",
    "checked_class_prior",
    "checked_class_rows",
    "checked_class_scores",
    "checked_directions",
    "checked_given_classes",
    "checked_number_or_word",
    "checked_subclasses",
]


# Squares of smaller values lose digits where variances are compared with them.
_LEAST_OF_CARRIER = 2.0**-300


class SizeRule(Enum):
    """How many subclasses a class gets, relative to the size that subclasses should have."""

    CAP = "cap"
    CODE = "code"


class Recovery(Enum):
    """How Gaussians of classes are found where labels are wrong."""

    NOISE_MODEL = "noise_model"
    PAPER = "paper"


def checked_number_or_word(name, value, word, low, high=None, *, low_open=False, infinite=False):
    """Return a real parameter as float, or None for the word that it may be instead.

    Parameters
    ----------
    name : str
        Name of the parameter for messages.
    value : object
        What the user gave.
    word : str
        The word that is allowed.
    low, high, low_open, infinite : object
        As in :func:`checked_real`.

    Returns
    -------
    value : float or None
        None for the word.

    Raises
    ------
    TypeError, ValueError
        As :func:`checked_real` has it; ValueError for another word.

    Examples
    --------
    >>> from clusterlib.validation import checked_number_or_word
    >>> checked_number_or_word("gamma", "eb", "eb", 0, 1)
    >>> checked_number_or_word("gamma", 1, "eb", 0, 1)
    1.0
    """
    if isinstance(value, str) and value == word:
        return None
    try:
        return checked_real(name, value, low, high, low_open=low_open, infinite=infinite)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(value, str) else type(error)
        message = str(error).replace("must be a float", f"must be {word!r} or a float")
        raise kind(message) from None


def checked_class_rows(estimator, X, y, *, least_classes=1):
    """Check labelled rows and number their classes.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        Rows; float32 and float64 pass as they are, all else becomes float64. What is read block by
        block becomes a carrier or is refused, as :func:`checked_matrix` does.
    y : array-like of shape (n_samples,)
        Numbers or strings, none missing.
    least_classes : int, default=1
        How many classes there have to be.

    Returns
    -------
    X : ndarray or Blocks of shape (n_samples, n_features), float32 or float64
        The rows. A float64 carrier is read once.
    classes : ndarray of shape (n_classes,)
        Distinct labels, sorted, in the dtype of y.
    codes : ndarray of shape (n_samples,), intp
        ``classes[codes]`` equals y.

    Raises
    ------
    ValueError
        For no y, y of another length, a missing label (None, NaN, NA, NaT), y that is continuous,
        too few classes, or X whose squares leave float64.
    TypeError
        For labels that cannot be sorted, such as numbers among strings, and rows that are read block
        by block, unless the estimator reads blocks.

    Examples
    --------
    >>> from sklearn.neighbors import NearestCentroid
    >>> from clusterlib.validation import checked_class_rows
    >>> checked_class_rows(NearestCentroid(), [[1.0], [2.0]], ["b", "a"])[1:]
    (array(['a', 'b'], dtype='<U1'), array([1, 0]))
    """
    checked_on_host(estimator, y, "y")
    if y is not None:
        _refuse_unsortable(y)
    X, classes, codes = checked_classes(estimator, X, y)
    if len(classes) < least_classes:
        raise ValueError(
            f"y must hold at least {least_classes} classes; got {len(classes)} class in "
            f"{len(codes)} rows (n_samples={len(codes)})"
        )
    if isinstance(X, Blocks):
        _checked_carrier_range(X)
    else:
        checked_range(X)
    return X, classes, codes


def _checked_carrier_range(blocks):
    """Look at the largest value of float64 rows in a pass; they are never scaled, as arrays are."""
    if blocks.dtype == np.float32:
        return
    largest = map_reduce(_largest_value, max, blocks)
    checked_range(np.array([[largest]]))
    if 0 < largest < _LEAST_OF_CARRIER:
        raise ValueError(
            f"X is read block by block and must have its largest absolute value from "
            f"{_LEAST_OF_CARRIER:.2g} on, or be zero; got {largest:.6g}. Scale X"
        )


def _largest_value(rows):
    return max(float(rows.max()), -float(rows.min()))


def _refuse_unsortable(y):
    """Refuse missing labels and mixed kinds where NumPy would make text of them, or fail to sort."""
    # An array of a list turns NaN and numbers among strings into strings.
    labels = np.asarray(y, dtype=object if isinstance(y, (list, tuple)) else None)
    if labels.dtype.kind not in "OM" or labels.shape[:1] != (labels.size,):
        return
    kinds = set()
    for row, label in enumerate(labels.ravel()):
        if _is_missing(label):
            raise ValueError(
                f"y has the missing label {label!r} in row {row}; every row needs its class. Leave "
                "such rows out"
            )
        kinds.add(str if isinstance(label, str) else type(label))
    if len(kinds) > 1 and str in kinds:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(f"y must hold labels of one kind, numbers or strings; got {names}")


def _is_missing(label):
    try:
        return label is None or bool(operator.ne(label, label))
    except TypeError:  # NA of pandas is neither equal to itself nor different
        return True


def checked_given_classes(y, classes, n_samples):
    """Number the classes that are given with rows to predict.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels that ``fit`` has seen.
    classes : ndarray of shape (n_classes,)
        Those that are known, sorted.
    n_samples : int
        Number of rows.

    Returns
    -------
    codes : ndarray of shape (n_samples,), intp
        ``classes[codes]`` equals y.

    Raises
    ------
    ValueError
        For another length, a missing label, or one that is not among the classes.
    TypeError
        For numbers among strings.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_given_classes
    >>> checked_given_classes(["b", "a"], np.array(["a", "b"]), 2)
    array([1, 0])
    """
    _refuse_unsortable(y)
    y = column_or_1d(y)
    if len(y) != n_samples:
        raise ValueError(f"y must hold a class for each of the {n_samples} rows of X; got {len(y)}")
    return checked_known_classes(y, classes)


def checked_directions(has_direction, codes, n_subclasses, classes):
    """Refuse to cut a class of nothing but zero rows by the directions of its rows: a ValueError.

    Parameters
    ----------
    has_direction : ndarray of shape (n_samples,), bool
        Whether a row is not zero.
    codes : ndarray of shape (n_samples,), int
        Numbers of the classes.
    n_subclasses : ndarray of shape (n_classes,), int
        Into how many parts each class is cut; one that stays whole may hold anything.
    classes : ndarray of shape (n_classes,)
        Their labels, for the message.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_directions
    >>> checked_directions(np.array([True, False]), np.array([0, 0]), np.array([2]), ["a"])
    """
    directed = np.bincount(codes[has_direction], minlength=len(classes))
    blind = np.flatnonzero((directed == 0) & (n_subclasses > 1))
    if len(blind):
        label = np.asarray(classes).tolist()[blind[0]]
        raise ValueError(
            f"every row of class {label!r} is zero and has no direction, by which metric='cosine' "
            f"would cut it into {n_subclasses[blind[0]]} subclasses. Pass metric='sqeuclidean', or "
            "leave out these rows"
        )


def checked_subclasses(labels, n_subclasses):
    """Check numbers of subclasses.

    Parameters
    ----------
    labels : array-like of int
        Of any shape.
    n_subclasses : int
        How many subclasses there are.

    Returns
    -------
    labels : ndarray of the same shape, int
        The same numbers.

    Raises
    ------
    TypeError, ValueError
        For what is no integer, and for a number out of range.

    Examples
    --------
    >>> from clusterlib.validation import checked_subclasses
    >>> checked_subclasses([0, 2], 3)
    array([0, 2])
    """
    labels = np.asarray(labels)
    if labels.size == 0:
        labels = labels.astype(np.intp)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must hold numbers of subclasses, integers; got {labels.dtype}")
    wrong = (labels < 0) | (labels >= n_subclasses)
    if wrong.any():
        raise ValueError(
            f"labels must be in [0, n_subclasses={n_subclasses}); got {labels[wrong].flat[0]}"
        )
    return labels


def checked_class_scores(scores):
    """Check logarithms of probabilities, a column for each class.

    Parameters
    ----------
    scores : array-like of shape (n_samples, n_classes)
        Finite, or minus infinity.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float32 or float64
        The same object if it is one already.

    Raises
    ------
    ValueError
        For another number of dimensions, NaN, infinity, or what are probabilities themselves.
    TypeError
        For what does not hold real numbers.

    Examples
    --------
    >>> from clusterlib.validation import checked_class_scores
    >>> checked_class_scores([[0, -1]])
    array([[ 0., -1.]])
    """
    scores = as_numeric("scores", scores)
    if scores.ndim != 2 or not scores.shape[1]:
        raise ValueError(
            f"scores must have shape (n_samples, n_classes), a column for each class; got "
            f"{scores.shape}"
        )
    scores = as_matrix("scores", scores)
    if not (scores < np.inf).all():
        raise ValueError("scores contains NaN or infinity; finite numbers and -inf are allowed")
    if scores.size and (scores >= 0).all() and _sum_to_one(scores):
        raise ValueError("scores must be logarithms of probabilities; got probabilities themselves")
    return scores


def _sum_to_one(rows):
    # Up to rounding and no further, or single rows of scores would be refused by accident.
    tolerance = 4 * rows.shape[1] * np.finfo(rows.dtype).eps
    return (np.abs(rows.sum(axis=1) - 1) <= tolerance).all()


def checked_class_prior(class_prior, n_classes):
    """Check shares or sizes of the classes in training.

    Parameters
    ----------
    class_prior : array-like of shape (n_classes,)
        Finite and above 0.
    n_classes : int
        How many there have to be.

    Returns
    -------
    class_prior : ndarray of shape (n_classes,), float64
        Shares of sum 1.

    Raises
    ------
    ValueError
        For another shape, or numbers that are not finite and above 0.
    TypeError
        For what does not hold real numbers.

    Examples
    --------
    >>> from clusterlib.validation import checked_class_prior
    >>> checked_class_prior([30, 10], 2)
    array([0.75, 0.25])
    """
    prior = as_numeric("class_prior", class_prior).astype(np.float64)
    if prior.shape != (n_classes,):
        raise ValueError(
            f"class_prior must have shape (n_classes,)=({n_classes},), as scores has {n_classes} "
            f"columns; got {prior.shape}"
        )
    wrong = ~(np.isfinite(prior) & (prior > 0))
    if wrong.any():
        position = int(np.argmax(wrong))
        raise ValueError(
            f"class_prior must be finite and above 0, since nothing is known of a class without "
            f"rows; got {prior[position]} at index {position}"
        )
    prior /= prior.max()
    return prior / prior.sum()
