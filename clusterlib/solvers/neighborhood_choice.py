"""Over how many neighbours classes are averaged: as many as predict left-out domains best."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers.domain_folds import blended_log_likelihoods, domain_folds
from clusterlib.solvers.tempered_em import (
    TemperedFit,
    continued_em,
    posteriors_of_neighbors,
    tempered_em,
)

__all__ = ["NEIGHBORHOODS", "NeighborhoodChoice", "chosen_neighborhood", "neighborhood_start"]

NEIGHBORHOODS = (3, 5, 10, 20, 30, 50)
"""Numbers of neighbours to choose from; the search starts at the one in the middle, 10."""

_MIDDLE = 10
# Parts in which rows are left out, and iterations by which the others forget them.
_FOLDS = 4
_FORGETTING = 15


class NeighborhoodChoice(NamedTuple):
    """What :func:`chosen_neighborhood` returns.

    Attributes
    ----------
    fits : list of TemperedFit
        The starts, in the order given, with the chosen number of neighbours.
    n_neighbors : int
        That number.
    scores : dict of int to float
        Mean log-likelihood of left-out domains for each number that was tried.
    """

    fits: list[TemperedFit]
    n_neighbors: int
    scores: dict[int, float]


def chosen_neighborhood(
    fits, neighbors, domains, *, f, rng, tau=2.0, beta=3.0, max_iter=300, tol=1e-3
):
    """Go on with other numbers of neighbours for as long as left-out domains are predicted better.

    Few neighbours are better where classes are compact or data are few, many where classes
    overlap. The rows of the fit cannot tell: a row never hears its own domain from itself, but
    from neighbours that it has told, the more so the fewer they are. So a quarter of the rows of
    each domain is left out in turn, the others forget it in a few iterations, and its domains are
    predicted from its neighbours among them.

    Parameters
    ----------
    fits : list of TemperedFit
        Starts that were finished with ``neighborhood_start(neighbors)`` neighbours; the one with
        the highest log-likelihood is judged.
    neighbors : ndarray of shape (n, q), int32
        Nearest other rows, the nearest first.
    domains : ndarray of shape (n,), int32
        Domain of each row.
    f : csr_array of shape (n, n_domains), float64
        Estimates of q(domain | row); only its shape matters here.
    rng : numpy.random.Generator
        Deals the rows that are left out.
    tau, beta, max_iter, tol
        As in :func:`tempered_em`.

    Returns
    -------
    choice : NeighborhoodChoice

    Notes
    -----
    Numbers are tried downwards from the middle, and upwards if that is of no use, each from where
    the last one ended; the second in a row that is no better ends the search. Takes a few dozen
    iterations for each number that is tried.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_histograms, nearest_other_rows, tempered_em
    >>> from clusterlib.solvers.neighborhood_choice import chosen_neighborhood
    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 300)
    >>> domains = (rng.random(300) < np.where(classes == 0, 0.9, 0.2)).astype(np.int32)
    >>> X = np.stack([4.0 * (classes == 0), np.zeros(300)], axis=1) + rng.normal(size=(300, 2))
    >>> neighbors = nearest_other_rows(X, 30)
    >>> f, D = domain_histograms(neighbors, domains, 2), np.array([[0.2, 0.8], [0.8, 0.2]])
    >>> fit = tempered_em(np.full((300, 2), 0.5), D, neighbors[:, :10].copy(), domains)
    >>> choice = chosen_neighborhood([fit], neighbors, domains, f=f, rng=rng)
    >>> choice.n_neighbors == max(choice.scores, key=choice.scores.get)
    True
    """
    options = {"tau": tau, "beta": beta, "tol": tol}
    sizes = [size for size in NEIGHBORHOODS if size <= neighbors.shape[1]]
    start = neighborhood_start(neighbors)
    n_kept = max([*sizes, start])
    folds = domain_folds(neighbors, domains, f.shape[1], _FOLDS, rng=rng, f=f, n_averaged=n_kept)

    def judge(fits, size):
        return _left_out(fits, folds, domains, size, options)

    def refit(fits, size):
        near = np.ascontiguousarray(neighbors[:, :size])
        return [continued_em(fit, near, domains, max_iter=max_iter, **options) for fit in fits]

    best = NeighborhoodChoice(fits, start, {start: judge(fits, start)})
    below = [size for size in sizes[::-1] if size < start]
    above = [size for size in sizes if size > start]
    for ladder in (below, above):
        best = _walk(best, ladder, refit, judge)
        if best.n_neighbors != start:
            break
    return best


def neighborhood_start(neighbors):
    """With how many neighbours fits have to be finished before the choice."""
    return min(_MIDDLE, neighbors.shape[1])


def _walk(choice, sizes, refit, judge):
    """Take one size after the other; two that are no better in a row end it."""
    best = choice
    for size in sizes:
        fits = refit(choice.fits, size)
        last, scores = choice, choice.scores | {size: judge(fits, size)}
        choice = NeighborhoodChoice(fits, size, scores)
        if scores[size] > scores[best.n_neighbors]:
            best = choice
        elif best.n_neighbors != last.n_neighbors:
            break
    return best._replace(scores=choice.scores)


def _left_out(fits, folds, domains, size, options):
    """Mean log-likelihood of the domains of rows that the best fit has forgotten."""
    fit = max(fits, key=lambda fit: fit.log_likelihood)
    own, mean = [], []
    for fold in folds:
        others = tempered_em(
            fit.responsibilities[fold.kept],
            fit.domain_given_class,
            np.ascontiguousarray(fold.neighbors[:, :size]),
            domains[fold.kept],
            max_iter=_FORGETTING,
            **options,
        )
        near, asked = fold.left_out_neighbors[:, :size], domains[fold.left_out]
        pooled = posteriors_of_neighbors(others.responsibilities, near, tau=options["tau"])
        own.append(np.einsum("ik,ik->i", pooled, others.domain_given_class[asked]))
        mean.append(others.domain_given_class.mean(axis=1)[asked])
    own, mean = np.concatenate(own), np.concatenate(mean)
    return float(blended_log_likelihoods(own, mean).mean()) if len(own) else 0.0
