"""Rows that are there more than once: copies of a row, or draws of a few different values."""

from typing import NamedTuple

import numpy as np

__all__ = ["RowChoice", "chosen_rows"]

# Values that occur more than once are copies if at most this part of them is met in two domains.
# Draws of a value are spread over domains as its classes are; copies of a row stay in its domain.
_SPREAD = 0.1


class RowChoice(NamedTuple):
    """Which rows a fit works on, and which of them stands for each row.

    Attributes
    ----------
    rows : ndarray of shape (n_chosen,), int64
        Chosen rows. Shuffled where rows are equal: the nearest of equal rows must not depend on
        an order that may be that of the domains.
    place : ndarray of shape (n,), int64
        ``rows[place[i]]`` has the values and the domain of row i.
    n_values : int
        Number of different rows, whatever their domains.
    """

    rows: np.ndarray
    place: np.ndarray
    n_values: int


def chosen_rows(X, codes, rng):
    """Leave out copies of rows within their domains, which would tell the domain of one another.

    What the neighbours of a row say of it must not know its own domain. A table whose rows were
    repeated breaks that: the nearest other row is a copy, from the same domain. There each row is
    taken once. Where different domains share values, rows are draws of few values, and all count.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Finite rows.
    codes : ndarray of shape (n,), int32
        Their domains.
    rng : numpy.random.Generator
        Shuffles rows if some are equal.

    Returns
    -------
    choice : RowChoice
    """
    n = len(X)
    values = _numbers(X)
    n_values = int(values.max()) + 1
    if n_values == n:
        return RowChoice(np.arange(n), np.arange(n), n)
    pairs = values * (int(codes.max()) + 1) + codes
    _, first, place = np.unique(pairs, return_index=True, return_inverse=True)
    counts, n_domains = np.bincount(values), np.bincount(values[first])
    repeated = counts > 1
    if np.count_nonzero(n_domains[repeated] > 1) > _SPREAD * np.count_nonzero(repeated):
        first = place = np.arange(n)
    order = rng.permutation(len(first))
    return RowChoice(first[order], np.argsort(order)[place], n_values)


def _numbers(X):
    """A number for each row, the same for equal rows."""
    rows = np.ascontiguousarray(X + X.dtype.type(0))  # makes 0 of -0
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)
