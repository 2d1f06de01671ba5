"""Classes that are cut into subclasses: labels as numbers, and sums over either level."""

import operator
from typing import NamedTuple

import numpy as np

from clusterlib.kernels import cluster_sums

__all__ = ["ClassNumbers", "SubclassGroups", "class_numbers", "subclass_groups"]


class ClassNumbers(NamedTuple):
    """Labels of one level as numbers.

    Attributes
    ----------
    values : ndarray of shape (n_classes,)
        The labels that occur, sorted, in the dtype they came in.
    of_row : ndarray of shape (n,), int32
        Where the label of each row stands among them.
    counts : ndarray of shape (n_classes,), int64
        Rows with each label.
    """

    values: np.ndarray
    of_row: np.ndarray
    counts: np.ndarray

    def sums(self, rows, *, weight=None, **options):
        """For each row: the sum of the rows with its label, of shape (n, d), float64."""
        sums, _ = cluster_sums(rows, self.of_row, len(self.values), sample_weight=weight, **options)
        return sums[self.of_row]


def class_numbers(name, labels, n_rows):
    """Number the labels of rows in sorted order.

    Parameters
    ----------
    name : str
        What an error calls them.
    labels : array-like of shape (n_rows,)
        Numbers or strings, none of them missing.
    n_rows : int
        How many there have to be, at least 1.

    Returns
    -------
    numbers : ClassNumbers
        The labels and where they stand.

    Raises
    ------
    ValueError
        For another shape, or a label that is NaN, infinite, None, NA or NaT.
    TypeError
        For labels that cannot be sorted, such as numbers among strings.

    Examples
    --------
    >>> from clusterlib.solvers.subclass_groups import class_numbers
    >>> class_numbers("y", ["b", "a", "b"], 3).of_row
    array([1, 0, 1], dtype=int32)
    """
    array = np.asarray(labels, dtype=object if _is_mixed(labels) else None)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} must have shape ({n_rows},), got {array.shape}")
    if _has_gaps(array):
        raise ValueError(f"{name} must not have missing labels, got NaN, infinity or None")
    try:
        values, of_row, counts = np.unique(array, return_inverse=True, return_counts=True)
    except TypeError as error:
        raise TypeError(f"{name} must be all numbers or all strings: {error}") from error
    return ClassNumbers(values, of_row.astype(np.int32), counts)


def _is_mixed(labels):
    """Whether a list has labels of several kinds, which an array would quietly turn into text."""
    if isinstance(labels, np.ndarray) or np.ndim(labels) != 1:
        return False
    return len({isinstance(label, str) for label in labels}) > 1


def _has_gaps(labels):
    if labels.dtype.kind == "f":
        return not np.isfinite(labels).all()
    if labels.dtype.kind == "M":
        return bool(np.isnat(labels).any())
    try:  # NaN alone differs from itself.
        return labels.dtype.kind == "O" and any(x is None or operator.ne(x, x) for x in labels)
    except TypeError:  # NA of pandas is neither equal to itself nor different
        return True


class SubclassGroups(NamedTuple):
    """Rows by class and by subclass.

    Attributes
    ----------
    classes : ClassNumbers
        The upper level.
    subclasses : ClassNumbers
        The lower level; every subclass lies in one class.
    parent : ndarray of shape (n_subclasses,), int32
        Class of each subclass.
    """

    classes: ClassNumbers
    subclasses: ClassNumbers
    parent: np.ndarray

    def n_subclasses(self):
        """Number of subclasses of each class, of shape (n_classes,), int64."""
        return np.bincount(self.parent, minlength=len(self.classes.values))


def subclass_groups(y, subclass_labels, n_rows):
    """Put rows into classes and subclasses.

    Parameters
    ----------
    y, subclass_labels : array-like of shape (n_rows,)
        Numbers or strings. A subclass has a label of its own in all of the classes.
    n_rows : int
        Number of rows, at least 1.

    Returns
    -------
    groups : SubclassGroups
        Both levels.

    Raises
    ------
    ValueError, TypeError
        As :func:`class_numbers`, and for a subclass with rows of several classes.

    Examples
    --------
    >>> from clusterlib.solvers.subclass_groups import subclass_groups
    >>> subclass_groups(["a", "a", "b"], [0, 1, 2], 3).parent
    array([0, 0, 1], dtype=int32)
    """
    classes = class_numbers("y", y, n_rows)
    subclasses = class_numbers("subclass_labels", subclass_labels, n_rows)
    parent = np.empty(len(subclasses.values), dtype=np.int32)
    parent[subclasses.of_row] = classes.of_row
    strays = np.flatnonzero(parent[subclasses.of_row] != classes.of_row)
    if len(strays):
        stray = subclasses.of_row[strays[0]]
        found = np.unique(classes.of_row[subclasses.of_row == stray])[:2]
        raise ValueError(
            f"every subclass must lie in one class, but subclass {subclasses.values[stray]!s} of "
            f"subclass_labels has rows of the classes {classes.values[found[0]]!s} and "
            f"{classes.values[found[1]]!s}"
        )
    return SubclassGroups(classes, subclasses, parent)
