"""How many classes: chosen by how well they predict the domains, on a sample of many rows."""

import numpy as np

from clusterlib.base import logger
from clusterlib.label_shift._class_fit import DomainRows, discriminated
from clusterlib.solvers import choose_n_classes

__all__ = ["chosen_number"]

# Rows of a sample of more: enough to tell classes apart that are not rare.
_MOST_ROWS = 10_000


def chosen_number(rows, found, options, rng):
    """Choose the number of classes.

    Parameters
    ----------
    rows : DomainRows
        The rows.
    found : None or Discriminated
        What tells their domains apart, with neighbours; None for rows that are too many for that.
    options : object
        Has ``tau_of_rows``, ``beta``, ``by_neighbors``, and what :func:`discriminated` asks for.
    rng : numpy.random.Generator
        Draws a sample, and starts.

    Returns
    -------
    choice : ClassChoice
        As :func:`clusterlib.solvers.choose_n_classes` returns it.
    """
    if found is None:
        rows = _sampled(rows, rng)
        found = discriminated(rows, options, rng, chooses=True)

    def callback(n_classes, score):
        logger.info("LatentLabelShift: %d classes, score %.6g", n_classes, score)

    return choose_n_classes(
        found.neighbors,
        rows.codes,
        rows.n_domains,
        rng=rng,
        f=None if options.by_neighbors else found.f,
        n_averaged=found.n_averaged,
        tau=options.tau_of_rows,
        beta=options.beta,
        callback=callback,
    )


def _sampled(rows, rng):
    """Some of the rows, with the domains that are left."""
    some = rows.take(np.sort(rng.permutation(len(rows.codes))[:_MOST_ROWS]))
    domains, codes = np.unique(some.codes, return_inverse=True)
    return DomainRows(some.X, codes.astype(np.int32), len(domains))
