"""Rows that are read block by block: what of LatentLabelShift they can be given to."""

import numpy as np
from sklearn.frozen import FrozenEstimator

from clusterlib.blocks import Blocks
from clusterlib.validation import Discriminator, ShiftMethod, Student

__all__ = ["check_carried", "gathered", "have_different_rows", "reads_blocks"]


def gathered(X, most_rows):
    """Few rows of a carrier as an array, and those that are in memory; more stay where they are.

    Parameters
    ----------
    X : ndarray or Blocks of shape (n, p)
        The rows.
    most_rows : int
        Up to so many are few.

    Returns
    -------
    X : ndarray or Blocks of shape (n, p)
        The same rows.
    """
    if not isinstance(X, Blocks):
        return X
    if X.in_memory:
        return X.rows(0, X.n_samples)
    if X.n_samples > most_rows:
        return X
    rows = np.empty(X.shape, X.dtype)
    stop = 0
    for part in X.map(_same):
        start, stop = stop, stop + len(part)
        rows[start:stop] = part
    return rows


def _same(rows):
    return rows


def reads_blocks(options):
    """Whether "ddfa" has a discriminator that needs no more than passes over the rows."""
    if options.method is not ShiftMethod.DDFA:
        return False
    given = options.given_discriminator
    return options.discriminator is Discriminator.LOGISTIC or isinstance(given, FrozenEstimator)


def check_carried(options, n_samples, most_rows):
    """Refuse parameters that need all rows in memory: a ValueError that names what does not.

    Parameters
    ----------
    options : object
        Has ``method``, ``discriminator``, ``given_discriminator``, ``student``, ``scaled`` and
        ``by_blocks``.
    n_samples : int
        Rows there are, more than ``most_rows``.
    most_rows : int
        For the message.
    """
    found = f"X is read block by block and has {n_samples} rows, more than {most_rows}: "
    if options.student is not Student.NONE:
        raise ValueError(
            f"{found}student must be None, as a student is fitted to all rows in memory. Train a "
            "classifier on a sample of the rows and their labels_ instead"
        )
    if options.scaled or options.by_blocks:
        return
    if options.method is ShiftMethod.TEMPERED:
        raise ValueError(
            f"{found}method='tempered' would compare all of them with each other. It needs "
            "discriminator='auto' and n_micro_clusters='auto' or a number; or use method='ddfa'"
        )
    raise ValueError(
        f"{found}discriminator must be 'auto', 'logistic', or a classifier that is fitted already, "
        "given as sklearn.frozen.FrozenEstimator(classifier); got "
        f"{options.given_discriminator!r}, which needs all rows in memory"
    )


def have_different_rows(X):
    """Whether two rows differ; reads until they do.

    Parameters
    ----------
    X : ndarray or Blocks of shape (n, p)
        The rows.

    Returns
    -------
    differ : bool
    """
    if isinstance(X, Blocks):
        return any(X.map(_differ, broadcast=(X.rows(0, 1),)))
    return bool((X != X[0]).any())


def _differ(rows, first):
    return bool((rows != first).any())
