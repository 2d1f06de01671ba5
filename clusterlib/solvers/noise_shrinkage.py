"""How much Gaussian classes with wrong labels share their covariance, chosen by rows left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.solvers.label_folds import N_FOLDS, label_folds, paired_loss, stratified_rows
from clusterlib.solvers.noisy_gaussian_scores import noisy_label_likelihood
from clusterlib.solvers.noisy_gaussians import noisy_gaussians

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, IntArray, Rows

__all__ = ["ShrinkageChoice", "choose_shrinkage"]

# Candidates, in numbers of features.
_MULTIPLES = (1.0, 2.5, 5.0, 10.0, 20.0, np.inf)
# What experience says, see the page on noisy labels.
_USUAL_MULTIPLE = 5.0
# Iterations of a fit that is only compared in which the pooled covariance is estimated again.
_PRIOR_ITER = 10
# Standard errors of fewer rows say nothing.
_FEWEST_SCORED = 4


class ShrinkageChoice(NamedTuple):
    """What :func:`choose_shrinkage` found.

    Attributes
    ----------
    shrinkage : float
        The one that is taken.
    candidates : ndarray of shape (n_candidates,), float64
        All that may be tried, the smallest first.
    scores : ndarray of shape (n_candidates,), float64
        Weighted mean log probability of the given labels of rows that were left out; NaN for
        candidates that were not tried, all of them where there were too few rows to score.
    standard_errors : ndarray of shape (n_candidates,), float64
        Of the differences to the best score; 0 for the best, NaN like the scores.
    n_scored : int
        Rows that were left out once.
    """

    shrinkage: float
    candidates: Float64Array
    scores: Float64Array
    standard_errors: Float64Array
    n_scored: int


def choose_shrinkage(
    X: Rows,
    codes: IntArray,
    n_classes: int,
    rng: np.random.Generator,
    *,
    candidates: Float64Array | None = None,
    degrees_of_freedom: float | None = None,
    sample_weight: Array | None = None,
    max_rows: int = 3000,
    max_iter: int = 40,
    tol: float = 1e-4,
) -> ShrinkageChoice:
    """Choose the shrinkage of :func:`noisy_gaussians` by cross-validation, without clean labels.

    Rows are left out in 3 folds. A candidate is as good as the mean of
    :func:`noisy_label_likelihood` over left-out rows. Of those whose paired difference to the best
    is at most its standard error, the one nearest to 5 times the number of features is taken, on a
    logarithmic scale, and the smaller of two that are as near. The nearest candidate, its
    neighbours and infinity are tried first, then those beyond as long as the best one is at an end.
    The page on noisy labels in the documentation compares this rule with others.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host; those of the sample are taken once.
    codes : ndarray of shape (n_samples,), int
        Given labels, from 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes.
    rng : numpy.random.Generator
        Deals the rows to folds.
    candidates : ndarray of shape (n_candidates,), float64, default=None
        Positive, rising; infinity is allowed. None takes 1, 2.5, 5, 10 and 20 times n_features,
        and infinity.
    degrees_of_freedom : float, default=None
        As in :func:`noisy_gaussians`.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative, not all 0. None means 1. Rows of weight 0 are as if they were absent.
    max_rows : int, default=3000
        Of more rows a sample of about this size is drawn, each class in proportion, but with 3
        rows if it has them. The best shrinkage is a property of the classes and not of the number
        of rows, so that what suits the sample suits the whole.
    max_iter : int, default=40
        For :func:`noisy_gaussians`.
    tol : float, default=1e-4
        Likewise.

    Returns
    -------
    choice : ShrinkageChoice
        With the scores of all candidates.

    Notes
    -----
    The only row of a class is never left out, and those of every other class are in more than one
    fold: no fit lacks a class. Where fewer than 4 rows can be left out, the candidate nearest to 5
    times the number of features is taken unseen.

    A row is one observation whatever its weight: weights are no repetitions for the standard
    errors, which do not depend on the scale of the weights, nor for the folds, where copies of a row
    would be judged by fits to others of them.

    12 to 18 fits to two thirds of the rows: each O(max_rows K m^2) for an iteration. They are not
    carried further than a comparison needs: the pooled covariance stands still after 10 iterations.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import choose_shrinkage
    >>> rng = np.random.default_rng(0)
    >>> codes = np.repeat([0, 1], 200)
    >>> X = 2 * codes[:, None] + rng.normal(size=(400, 4)) * np.where(codes, 0.3, 3)[:, None]
    >>> choice = choose_shrinkage(X, codes, 2, rng)
    >>> choice.shrinkage, choice.n_scored
    (4.0, 400)
    >>> np.isnan(choice.scores)  # the best of those around 20 was the least of them, twice
    array([False, False, False, False,  True, False])
    """
    blocks = as_blocks(X)
    usual = _USUAL_MULTIPLE * blocks.n_features
    if candidates is None:
        candidates = blocks.n_features * np.array(_MULTIPLES)
    distances = np.minimum(np.abs(np.log(candidates / usual)), np.finfo(np.float64).max)
    rows = stratified_rows(codes, sample_weight, max_rows, rng)
    weight = None if sample_weight is None else sample_weight[rows]
    folds = label_folds(codes[rows], rng)
    left_out = folds >= 0
    n_scored = int(np.count_nonzero(left_out))
    eligible = np.ones(len(candidates), dtype=bool)
    scores, errors = np.full((2, len(candidates)), np.nan)
    if n_scored >= _FEWEST_SCORED:
        share = np.ones(n_scored) if weight is None else weight[left_out]
        share = share / share.mean()
        options = {"degrees_of_freedom": degrees_of_freedom, "max_iter": max_iter, "tol": tol}
        sample = blocks.finite_rows(rows)

        def of_rows(shrinkage):
            parts = sample, codes[rows], n_classes, folds, weight
            return _left_out_scores(*parts, shrinkage=shrinkage, **options)[left_out]

        found = _around_the_best(of_rows, candidates, share, int(distances.argmin()))
        tried = np.array(sorted(found))
        scores[tried] = [(share * found[c]).mean() for c in tried]
        eligible[:] = False
        best = found[int(tried[scores[tried].argmax()])]
        for c in tried:
            mean_loss, errors[c] = paired_loss(best, found[c], share)
            eligible[c] = mean_loss <= errors[c]
    chosen = float(candidates[np.where(eligible, distances, np.inf).argmin()])
    return ShrinkageChoice(chosen, candidates, scores, errors, n_scored)


def _around_the_best(of_rows, candidates, share, start):
    """Scores of rows for candidates beside each other, until those at both ends are not the best.

    Infinity is always among them. They are a dictionary of arrays with the places of the candidates
    as keys.
    """
    last = len(candidates) - 1
    low, high = max(start - 1, 0), min(start + 1, last)
    found = {c: of_rows(candidates[c]) for c in range(low, high + 1)}
    # One covariance may be best although scores fall on the way to it: where nearly half of the
    # labels of a class are those of another, covariances of their own stretch over both.
    if last not in found and np.isinf(candidates[last]):
        found[last] = of_rows(candidates[last])
    while True:
        best = max(sorted(found), key=lambda c: (share * found[c]).mean())
        if best == low > 0:
            low = beyond = low - 1
        elif best >= high and high + 1 <= last and high + 1 not in found:
            high = beyond = high + 1
        else:
            return found
        found[beyond] = of_rows(candidates[beyond])


def _left_out_scores(X, codes, n_classes, folds, weight, *, shrinkage, **options):
    """Log probability of the label of each row by a fit without it."""
    found = np.zeros(len(X))
    for f in range(N_FOLDS):
        held = folds == f
        kept = None if weight is None else weight[~held]
        fit = noisy_gaussians(
            X[~held],
            codes[~held],
            n_classes,
            shrinkage=shrinkage,
            sample_weight=kept,
            prior_iter=_PRIOR_ITER,
            **options,
        )
        found[held] = noisy_label_likelihood(X[held], codes[held], fit)
    return found
