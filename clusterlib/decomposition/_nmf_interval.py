"""Intervals of components by drawing rows again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.decomposition._nmf_fit import MAX_SEED, MOST_ENTRIES
from clusterlib.decomposition._nmf_units import divided, power_of_two
from clusterlib.solvers import alternate, matched_components, plsa
from clusterlib.validation import check_random_state, checked_integer, checked_level

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array

__all__ = ["ComponentsInterval", "bootstrap_interval"]


class ComponentsInterval(NamedTuple):
    """How certain components are.

    Attributes
    ----------
    low, high : ndarray of shape (n_components, n_features), float64
        Bounds of every entry.
    standard_error : ndarray of shape (n_components, n_features), float64
        Standard deviation over the draws.
    agreement : ndarray of shape (n_components,), float64
        Mean cosine of a component with its counterparts: where it is far below 1, the component
        is not one that the rows determine, and its bounds say little.
    """

    low: Float64Array
    high: Float64Array
    standard_error: Float64Array
    agreement: Float64Array


def bootstrap_interval(estimator, options, X, cell_weight, level, n_bootstrap):
    """Fit to rows that are drawn with replacement, as weights of the rows that are there.

    Parameters
    ----------
    estimator : SimplexNMF
        Fitted to X.
    options : FactorOptions
        Its parameters.
    X : ndarray or CSR array of shape (n_samples, n_features), float32 or float64
        Checked rows.
    cell_weight : None or ndarray of shape (n_samples, n_features)
        Checked weights of cells.
    level : float
        Part of the draws in the interval.
    n_bootstrap : int
        Number of draws.

    Returns
    -------
    interval : ComponentsInterval
        In the units of ``components_``.
    """
    level = checked_level(level)
    n_bootstrap = checked_integer("n_bootstrap", n_bootstrap, 2)
    seed = check_random_state(estimator.random_state).randint(MAX_SEED)
    rng = np.random.default_rng(seed)
    n_rows = X.shape[0]
    unit = power_of_two(X, cell_weight)
    rows = divided(X, unit, counts=options.counts)
    scale = unit if options.simplex and not options.counts else 1.0
    H = (estimator.components_ / scale).astype(X.dtype)
    problem = None
    if not options.counts:
        problem = options.problem(rows, cell_weight, None, unit, volume=estimator._volume)
    size = max(1, MOST_ENTRIES // max(1, n_rows * len(H)))
    drawn, cosines = [], []
    for first in range(0, n_bootstrap, size):
        count = min(size, n_bootstrap - first)
        draws = rng.multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=count)
        draws = draws.astype(np.float64)
        for found in _fits(problem, rows, H, draws, options):
            order, cosine = matched_components(H, found)
            found = found[order].astype(np.float64)
            if not (options.simplex or options.penalised):
                sums = found.sum(axis=1, keepdims=True)
                found /= np.where(sums > 0, sums, 1)
            drawn.append(found * scale)
            cosines.append(cosine)
    drawn = np.array(drawn)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ComponentsInterval(low, high, drawn.std(axis=0, ddof=1), np.mean(cosines, axis=0))


def _fits(problem, rows, H, draws, options):
    """Components for each draw, all of them started at those of the whole."""
    ends = {"max_iter": options.max_iter, "tol": options.tol}
    if problem is None:
        # What is zero would stay zero, in draws that have counts there as well.
        start = H + H.mean(axis=1, keepdims=True) * H.dtype.type(1e-3)
        return [plsa(rows, start, sample_weight=draw, **ends).H for draw in draws]
    starts = np.broadcast_to(H, (len(draws), *H.shape))
    return [each.H for each in alternate(problem, starts, row_weights=draws, **ends)]
