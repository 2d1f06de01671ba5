"""Which rows are shown beside a fit, and in which colours."""

import numpy as np

__all__ = ["some_rows"]


def some_rows(estimator, X, n_features, max_rows):
    """Take evenly spaced rows and their labels.

    Parameters
    ----------
    estimator : fitted estimator
        Its ``labels_`` are taken if there is one for each row, else its ``predict``.
    X : array-like of shape (n_samples, n_features)
        What the user gave.
    n_features : int
        Columns that X has to have.
    max_rows : int
        Take at most so many, in the order of X.

    Returns
    -------
    rows : ndarray of shape (n_shown, n_features), float64
        The rows.
    labels : ndarray of shape (n_shown,)
        Their clusters.

    Raises
    ------
    ValueError
        If X has another shape or ``max_rows`` is below 1.
    """
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1, got {max_rows}")
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] != n_features:
        raise ValueError(f"X must have shape (n_samples, {n_features}), got {X.shape}")
    chosen = np.linspace(0, len(X) - 1, min(len(X), max_rows)).astype(np.intp)
    fitted = getattr(estimator, "labels_", ())
    labels = np.asarray(fitted)[chosen] if len(fitted) == len(X) else estimator.predict(X[chosen])
    return X[chosen].astype(np.float64), labels
