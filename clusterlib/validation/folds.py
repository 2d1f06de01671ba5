"""Folds of labelled rows. Not loaded with the other checks: scikit-learn's model selection is large,
and whoever clusters has no use for it.
"""

from numbers import Integral

import numpy as np
from sklearn.model_selection import check_cv

from clusterlib.validation.parameters import checked_integer

__all__ = ["checked_folds"]


def checked_folds(cross_fit, X, y, codes, weight=None):
    """Deal labelled rows to folds: each row is held out once.

    Parameters
    ----------
    cross_fit : int, splitter or iterable
        Number of stratified folds, at least 2, or what scikit-learn takes for ``cv``. There are
        at most as many stratified folds as rows of the rarest class.
    X : array-like of shape (n_samples, ...)
        The rows.
    y : ndarray of shape (n_samples,)
        Their labels.
    codes : ndarray of shape (n_samples,), int
        Numbers of their classes.
    weight : ndarray of shape (n_samples,), default=None
        Weights of the rows; what has none does not count.

    Returns
    -------
    folds : list of (train, test)
        Indices, arrays of int.

    Raises
    ------
    TypeError, ValueError
        For anything else, a class with a single row, or folds that hold a row out more or less
        than once, or keep all rows of a class out of training.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation.folds import checked_folds
    >>> y = np.array([0, 0, 0, 1, 1])
    >>> [test.tolist() for _, test in checked_folds(5, np.zeros((5, 1)), y, y)]
    [[0, 1, 3], [2, 4]]
    """
    n_classes = codes.max() + 1
    counts = np.bincount(codes if weight is None else codes[weight > 0], minlength=n_classes)
    rarest = int(counts.argmin())
    if counts[rarest] < 2:
        which = "" if weight is None else ", with a sample_weight above 0"
        raise ValueError(
            f"every class of y needs at least 2 rows{which}: one to hold out and one to learn from; got "
            f"{counts[rarest]} sample of class {y[codes == rarest].tolist()[0]!r} (n_samples={len(y)})"
        )
    if isinstance(cross_fit, (Integral, np.bool_)):
        cross_fit = min(checked_integer("cross_fit", cross_fit, 2), int(counts[rarest]))
    folds = _folds(cross_fit, X, y)
    held = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(y))
    if (held != 1).any():
        row = int(np.argmax(held != 1))
        raise ValueError(
            f"cross_fit must hold every row out once; row {row} is held out {held[row]} times"
        )
    for number, (train, _) in enumerate(folds):
        missing = np.setdiff1d(np.arange(n_classes), codes[train])
        if len(missing):
            raise ValueError(
                f"cross_fit keeps all rows of class {y[codes == missing[0]].tolist()[0]!r} out of the "
                f"training rows of fold {number}"
            )
    return folds


def _folds(cross_fit, X, y):
    rows = np.arange(len(y))
    message = (
        "cross_fit must be an int in [2, inf), a splitter or an iterable of indices of training and "
        f"test rows; got {cross_fit!r}"
    )
    try:
        splitter = check_cv(cross_fit, y, classifier=True)
    except ValueError as error:
        raise TypeError(message) from error
    try:
        folds = [(rows[train], rows[test]) for train, test in splitter.split(X, y)]
    except TypeError as error:
        raise TypeError(f"{message}: {error}") from error
    except (IndexError, ValueError) as error:
        raise ValueError(f"{message}: {error}") from error
    if not folds:
        raise ValueError(f"cross_fit must have a fold at least; got {cross_fit!r}")
    return folds
