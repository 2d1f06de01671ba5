"""Over how many neighbours classes are averaged: as many as predict the domains best."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers.tempered_em import TemperedFit, continued_em

__all__ = ["NEIGHBORHOODS", "NeighborhoodChoice", "chosen_neighborhood", "neighborhood_start"]

NEIGHBORHOODS = (3, 5, 10, 20, 30, 50)
"""Numbers of neighbours to choose from; the search starts at the one in the middle, 10."""

_MIDDLE = 10


class NeighborhoodChoice(NamedTuple):
    """What :func:`chosen_neighborhood` returns.

    Attributes
    ----------
    fits : list of TemperedFit
        The starts, in the order given, with the chosen number of neighbours.
    n_neighbors : int
        That number.
    scores : dict of int to float
        Log-likelihood of the best start for each number that was tried.
    """

    fits: list[TemperedFit]
    n_neighbors: int
    scores: dict[int, float]


def chosen_neighborhood(fits, neighbors, domains, *, tau=2.0, beta=3.0, max_iter=300, tol=1e-3):
    """Go on with other numbers of neighbours for as long as domains are predicted better.

    A row's own domain does not enter what its neighbours say, so that log-likelihoods with few and
    with many neighbours can be compared. Few are better where classes are compact or data are few,
    many where classes overlap.

    Parameters
    ----------
    fits : list of TemperedFit
        Starts that were finished with ``neighborhood_start(neighbors)`` neighbours.
    neighbors : ndarray of shape (n, q), int32
        Nearest other rows, the nearest first.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    tau, beta, max_iter, tol
        As in :func:`tempered_em`.

    Returns
    -------
    choice : NeighborhoodChoice

    Notes
    -----
    Numbers are tried downwards from the middle, and upwards if that is of no use, each from where
    the last one ended; the second in a row that is no better ends the search. Takes three to six
    times the iterations of the fits.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import nearest_other_rows, tempered_em
    >>> from clusterlib.solvers.neighborhood_choice import chosen_neighborhood
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 300)
    >>> domains = (rng.random(300) < np.where(classes == 0, 0.9, 0.2)).astype(np.int32)
    >>> X = np.stack([4.0 * (classes == 0), np.zeros(300)], axis=1) + rng.normal(size=(300, 2))
    >>> neighbors = nearest_other_rows(X, 30)
    >>> D = np.array([[0.2, 0.8], [0.8, 0.2]])
    >>> fit = tempered_em(np.full((300, 2), 0.5), D, neighbors[:, :10].copy(), domains)
    >>> choice = chosen_neighborhood([fit], neighbors, domains)
    >>> choice.n_neighbors in choice.scores, max(choice.scores.values()) >= fit.log_likelihood
    (True, True)
    """
    options = {"tau": tau, "beta": beta, "max_iter": max_iter, "tol": tol}
    sizes = [size for size in NEIGHBORHOODS if size <= neighbors.shape[1]]
    start = neighborhood_start(neighbors)
    best = NeighborhoodChoice(fits, start, {start: _best(fits)})
    below = [size for size in sizes[::-1] if size < start]
    above = [size for size in sizes if size > start]
    for ladder in (below, above):
        best = _walk(best, ladder, neighbors, domains, options)
        if best.n_neighbors != start:
            break
    return best


def neighborhood_start(neighbors):
    """With how many neighbours fits have to be finished before the choice."""
    return min(_MIDDLE, neighbors.shape[1])


def _walk(choice, sizes, neighbors, domains, options):
    """Take one size after the other; two that are no better in a row end it."""
    best = choice
    for size in sizes:
        near = np.ascontiguousarray(neighbors[:, :size])
        fits = [continued_em(fit, near, domains, **options) for fit in choice.fits]
        last, choice = choice, NeighborhoodChoice(fits, size, choice.scores | {size: _best(fits)})
        if choice.scores[size] > best.scores[best.n_neighbors]:
            best = choice
        elif best.n_neighbors != last.n_neighbors:
            break
    return best._replace(scores=choice.scores)


def _best(fits):
    return max(fit.log_likelihood for fit in fits)
