"""Rows from which a classifier of the user learns where labels are wrong."""

import numpy as np

from clusterlib.solvers import sample_gaussians
from clusterlib.validation import Training

__all__ = [
    "estimator_has",
    "mixed_rows",
    "scaled_to_shares",
    "training_rows",
    "with_drawn_rows",
]


def estimator_has(name):
    """Whether a method is there: heads have all of them, a classifier of the user may lack some.

    Parameters
    ----------
    name : str
        Name of the method.

    Returns
    -------
    check : callable
        ``check(self)`` is True or raises AttributeError.
    """

    def check(self):
        if self.estimator is not None:
            getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


def training_rows(rows, codes, weight, gaussians, prior, kind, mixup, rng):
    """Rows, labels and weights from which a classifier learns classes with the shares of a prior.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float32 or float64
        The rows.
    codes : ndarray of shape (n_samples,), intp
        Their labels.
    weight : ndarray of shape (n_samples,), float64
        How far they are right.
    gaussians : NoisyGaussians
        The classes of the rows.
    prior : ndarray of shape (n_classes,), float64
        Shares above 0.
    kind : Training
        Whether rows are drawn besides.
    mixup : float
        Above 0, what is learned from lies between rows.
    rng : numpy.random.Generator
        Draws and mixes rows.

    Returns
    -------
    rows, codes, weight : ndarray
        What ``fit`` is given.
    """
    if kind is Training.RESAMPLED:
        rows, codes, weight = with_drawn_rows(rows, codes, weight, gaussians, rng)
    if mixup > 0:
        rows, codes, weight = mixed_rows(rows, codes, weight, mixup, rng)
    return rows, codes, scaled_to_shares(weight, codes, prior)


def with_drawn_rows(rows, codes, weight, gaussians, rng):
    """Rows and, for each class, drawn ones that weigh what the largest class weighs more.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float64
        The rows.
    codes : ndarray of shape (n_samples,), intp
        Their labels.
    weight : ndarray of shape (n_samples,), float64
        How far they are right.
    gaussians : NoisyGaussians
        Where to draw from.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    rows, codes, weight : ndarray
        The given ones first. Drawn ones weigh about 1, and more where the largest class has fewer
        rows than would be drawn.
    """
    right = np.bincount(codes, weights=weight, minlength=len(gaussians.means))
    missing = right.max() - right
    counts = np.rint(np.minimum(missing, np.bincount(codes).max())).astype(np.intp)
    drawn, drawn_codes = sample_gaussians(gaussians.means, gaussians.covariances, counts, rng)
    return (
        np.concatenate([rows, drawn.astype(rows.dtype, copy=False)]),
        np.concatenate([codes, drawn_codes]),
        np.concatenate([weight, (missing / np.maximum(counts, 1))[drawn_codes]]),
    )


def mixed_rows(rows, codes, weight, alpha, rng):
    """Rows between pairs, each twice: with the label of either end, as far as it is near.

    Mixup: ``lam x_i + (1 - lam) x_j`` has the labels of i and j with the shares lam and 1 - lam,
    which a classifier that takes weights learns from two copies.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features), float32 or float64
        The rows.
    codes : ndarray of shape (n_samples,), intp
        Their labels.
    weight : ndarray of shape (n_samples,), float64
        Their weights.
    alpha : float
        ``lam`` has the law Beta(alpha, alpha).
    rng : numpy.random.Generator
        Pairs rows and draws lam.

    Returns
    -------
    rows, codes, weight : ndarray
        Twice as many.
    """
    partner = rng.permutation(len(rows))
    share = rng.beta(alpha, alpha, size=len(rows))
    mixed = share[:, None] * rows + (1 - share)[:, None] * rows[partner]
    mixed = mixed.astype(rows.dtype, copy=False)
    return (
        np.concatenate([mixed, mixed]),
        np.concatenate([codes, codes[partner]]),
        np.concatenate([share * weight, (1 - share) * weight[partner]]),
    )


def scaled_to_shares(weight, codes, prior):
    """Weights by which the classes have the shares of a prior, with the sum that they had.

    Parameters
    ----------
    weight : ndarray of shape (n_samples,), float64
        Weights.
    codes : ndarray of shape (n_samples,), intp
        Labels.
    prior : ndarray of shape (n_classes,), float64
        Shares above 0.

    Returns
    -------
    weight : ndarray of shape (n_samples,), float64
        A class of less weight than a row counts no more than in proportion, or a single row of a
        doubtful label would decide.
    """
    totals = np.bincount(codes, weights=weight, minlength=len(prior))
    fewest = min(1.0, weight.max())
    return weight * (weight.sum() * prior / np.maximum(totals, fewest))[codes]
