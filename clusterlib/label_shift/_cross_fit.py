"""Classifiers whose probabilities of a row have not seen the label of the row."""

import numpy as np
from sklearn.base import clone

from clusterlib.validation import checked_probabilities

__all__ = ["code_probabilities", "dealt_folds", "fitted_classifier", "out_of_fold"]


def dealt_folds(codes, n_folds, rng):
    """Deal the rows of each code to folds in turn, in random order.

    Folds differ in size by one row at most, and in rows of a code by one at most; codes with fewer
    rows than folds are welcome.

    Parameters
    ----------
    codes : ndarray of shape (n,), int
        What the folds are balanced in.
    n_folds : int
        How many folds.
    rng : numpy.random.Generator
        Which row comes when.

    Returns
    -------
    folds : ndarray of shape (n,), int64
        From 0 to n_folds - 1.
    """
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    folds = np.empty(len(codes), dtype=np.int64)
    folds[order] = np.arange(len(codes)) % n_folds
    return folds


def fitted_classifier(classifier, X, codes):
    """A fitted copy of a classifier and None; None and the code where there is but one."""
    if (codes == codes[0]).all():
        return None, int(codes[0])
    return clone(classifier).fit(X, codes), None


def code_probabilities(name, fitted, X, n_codes):
    """Probabilities of all codes, of which the classifier may have met but some.

    Parameters
    ----------
    name : str
        Name of the parameter the classifier came by, for messages.
    fitted : tuple
        What :func:`fitted_classifier` returned.
    X : ndarray of shape (n, d)
        Rows.
    n_codes : int
        Number of columns.

    Returns
    -------
    probabilities : ndarray of shape (n, n_codes), float64
        Rows sum to 1.
    """
    classifier, only = fitted
    found = np.zeros((len(X), n_codes))
    if classifier is None:
        found[:, only] = 1.0
        return found
    columns = np.asarray(classifier.classes_)
    shape = (len(X), len(columns))
    found[:, columns] = checked_probabilities(name, classifier.predict_proba(X), shape)
    return found


def out_of_fold(name, classifier, X, codes, n_codes, n_folds, rng):
    """Probabilities of the codes of each row, by copies of a classifier that have not seen it.

    Parameters
    ----------
    name, classifier
        Name of a parameter and its value, with ``fit`` and ``predict_proba``.
    X : ndarray of shape (n, d)
        Rows.
    codes : ndarray of shape (n,), int
        Their codes, from 0 to n_codes - 1.
    n_codes, n_folds : int
        Number of codes and folds. With 0 folds every row has been seen.
    rng : numpy.random.Generator
        Deals the folds.

    Returns
    -------
    probabilities : ndarray of shape (n, n_codes), float64
        Rows sum to 1.
    fitted : tuple
        A copy fitted on all rows, for :func:`code_probabilities`.
    """
    fitted = fitted_classifier(classifier, X, codes)
    if not n_folds:
        return code_probabilities(name, fitted, X, n_codes), fitted
    probabilities = np.empty((len(X), n_codes))
    folds = dealt_folds(codes, n_folds, rng)
    for fold in range(min(n_folds, len(X))):
        held = folds == fold
        part = fitted_classifier(classifier, X[~held], codes[~held])
        probabilities[held] = code_probabilities(name, part, X[held], n_codes)
    return probabilities, fitted
