"""Probabilities of labelled rows by copies of a classifier that have not seen them."""

import numpy as np
from scipy import sparse
from sklearn.base import clone

from clusterlib.validation import checked_probabilities

__all__ = ["class_probabilities", "held_out_probabilities"]


def held_out_probabilities(classifier, X, y, classes, folds, params):
    """Predict each row by a copy that was fitted without its fold.

    Parameters
    ----------
    classifier : classifier
        Copied, never fitted itself.
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Rows.
    y : ndarray of shape (n_samples,)
        Their labels.
    classes : ndarray of shape (n_classes,)
        Distinct labels, sorted.
    folds : list of (train, test)
        Indices; every row is in one ``test``.
    params : dict
        For ``fit``; what has an entry for each row is cut to the rows.

    Returns
    -------
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Rows sum to 1.
    """
    probabilities = np.empty((len(y), len(classes)))
    for train, test in folds:
        part = {name: _part(value, train, len(y)) for name, value in params.items()}
        fitted = clone(classifier).fit(_rows(X, train), y[train], **part)
        probabilities[test] = class_probabilities(fitted, _rows(X, test), classes)
    return probabilities


def class_probabilities(fitted, X, classes):
    """What a fitted classifier says of rows, if it knows these classes and no others."""
    probabilities = fitted.predict_proba(X)
    known = np.asarray(getattr(fitted, "classes_", classes))
    if not np.array_equal(known, classes):
        raise ValueError(
            f"estimator knows the classes {known.tolist()}, but y has {classes.tolist()}"
        )
    shape = (len(probabilities), len(classes))
    return checked_probabilities("estimator", probabilities, shape)


def _rows(X, rows):
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if sparse.issparse(X) or hasattr(X, "shape"):
        return X[rows]
    return [X[row] for row in rows]


def _part(value, rows, n_samples):
    """Entries of the rows, if there is one for each; else the value as it is."""
    if np.ndim(value) == 0 or len(value) != n_samples:
        return value
    return _rows(value, rows)
