"""Labels of any type as integer codes."""

import operator

import numpy as np

__all__ = ["contingency_table", "encode_labels"]


def encode_labels(name, labels, n_samples=None):
    """Number the distinct labels.

    Parameters
    ----------
    name : str
        The argument's name for error messages.
    labels : array-like of shape (n_samples,)
        Numbers, strings, booleans, dates or hashable objects; lists, arrays, Series.
    n_samples : int, default=None
        Wanted length; None takes any but 0.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The distinct labels: sorted, or in order of appearance where they cannot be compared.
    codes : ndarray of shape (n_samples,), intp
        ``classes[codes]`` equals ``labels``.

    Raises
    ------
    ValueError
        If the labels are not one-dimensional, empty, of another length, or one is missing (NaN,
        None, NaT).
    TypeError
        If an object among the labels is not hashable.

    Examples
    --------
    >>> from clusterlib.metrics._labels import encode_labels
    >>> classes, codes = encode_labels("y", ["cat", "ant", "cat"])
    >>> classes.tolist(), codes.tolist()
    (['ant', 'cat'], [1, 0, 1])
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {array.shape}")
    if n_samples is not None and len(array) != n_samples:
        raise ValueError(f"{name} must have {n_samples} entries, got {len(array)}")
    if not len(array):
        raise ValueError(f"{name} is empty; at least 1 label is required")
    if array.dtype.kind == "O":
        return _encode_objects(name, array)
    missing = operator.ne(array, array)  # true of NaN and NaT, of nothing else
    if missing.any():
        raise ValueError(f"{name} has a missing label at index {int(np.argmax(missing))}")
    return np.unique(array, return_inverse=True)


def _encode_objects(name, array):
    numbers = {}
    codes = np.empty(len(array), dtype=np.intp)
    for i, label in enumerate(array):
        if _is_missing(label):
            raise ValueError(f"{name} has a missing label at index {i}")
        try:
            codes[i] = numbers.setdefault(label, len(numbers))
        except TypeError as error:
            raise TypeError(f"{name} has a label that cannot be hashed: {label!r}") from error
    classes = np.empty(len(numbers), dtype=object)
    classes[:] = list(numbers)
    try:
        order = np.array(sorted(range(len(classes)), key=classes.__getitem__), dtype=np.intp)
    except TypeError:
        return classes, codes
    return classes[order], np.argsort(order)[codes]


def _is_missing(label):
    if label is None:
        return True
    try:
        return bool(operator.ne(label, label))
    except (TypeError, ValueError):  # pandas.NA refuses to be true or false
        return True


def contingency_table(row_codes, column_codes, shape, sample_weight):
    """Sum the weights of every pair of codes.

    Parameters
    ----------
    row_codes, column_codes : ndarray of shape (n_samples,), integer
        Codes below the two entries of ``shape``.
    shape : tuple of int
        ``(n_rows, n_columns)``.
    sample_weight : ndarray of shape (n_samples,) or None
        None counts.

    Returns
    -------
    table : ndarray of shape (n_rows, n_columns), float64
        Entry (i, j) is the weight of the samples with codes i and j.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.metrics._labels import contingency_table
    >>> contingency_table(np.array([0, 1, 1]), np.array([0, 0, 1]), (2, 2), None)
    array([[1., 0.],
           [1., 1.]])
    """
    n_rows, n_columns = shape
    flat = row_codes * n_columns + column_codes
    table = np.bincount(flat, weights=sample_weight, minlength=n_rows * n_columns)
    return table.reshape(shape).astype(np.float64, copy=False)
