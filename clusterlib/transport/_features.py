"""Rows of features brought to one length before prototypes are made of them."""

import numpy as np

from clusterlib.validation import Normalization, checked_magnitude

__all__ = ["normalized_rows"]

# Deviations below this many roundings of the largest entry are roundings: the row is constant.
_ROUNDINGS = 16


def normalized_rows(name, X, kind, power):
    """Transform each row of X on its own; rows that have no direction become zeros.

    ``power`` takes each feature to ``sign(x) |x|^power``. "standardize" then subtracts the mean of
    the row and divides by its standard deviation (with n_features - 1), "l2" divides by the
    length. Rows are first divided by their largest magnitude, which changes neither result and
    keeps squares within the range of the dtype.
    """
    if kind is Normalization.NONE:
        checked_magnitude(name, X)
        rows = X if power is None else _powers(X, power)
        checked_magnitude(name, rows)
        return rows
    largest = np.abs(X).max(axis=-1, keepdims=True)
    rows = X / np.where(largest > 0, largest, 1)
    if power is not None:
        rows = _powers(rows, power)
    if kind is Normalization.STANDARDIZE:
        rows = rows - rows.mean(axis=-1, keepdims=True)
    lengths = np.sqrt(np.einsum("...d,...d->...", rows, rows))[..., None]
    n_features = X.shape[-1]
    # The largest magnitude of a row was 1 before its mean was subtracted.
    constant = lengths <= _ROUNDINGS * np.finfo(X.dtype).eps * np.sqrt(n_features)
    if kind is Normalization.STANDARDIZE:
        lengths /= np.sqrt(n_features - 1)
    rows = np.divide(rows, np.where(constant, 1, lengths))
    return np.where(constant, 0, rows)


def _powers(X, power):
    with np.errstate(over="ignore"):  # refused by the caller, or impossible for magnitudes of 1
        return np.sign(X) * np.abs(X) ** X.dtype.type(power)
