"""The pass over the rows where Gaussian classes share one covariance: two thin products."""

from typing import NamedTuple

import numpy as np

from clusterlib.blocks import leaf_sum
from clusterlib.kernels import cluster_sums, row_softmax
from clusterlib.solvers.noisy_gaussian_sweep import (
    LabelPosteriors,
    LabelStatistics,
    log_label_probabilities,
    summed_leaves,
    swept_statistics,
    without_least,
)

__all__ = ["LinearScores", "SharedSweep", "linear_scores", "total_scatter"]

# Squared distance of a class from the origin, in standard deviations, up to which linear scores
# are as good as distances: they are wrong by some 2^-52 of it.
_FAR = 2.0**20
# The same for the mean of all rows. It tells how much the covariance and the objective lose too.
_FAR_ON_AVERAGE = 2.0**14
# The least variance that the ridge leaves, as a share of the total scatter; a difference of
# scatters is wrong by some 2^-52 of the latter.
_LEAST_SHARE = 2.0**-24


class LinearScores(NamedTuple):
    """Log densities of classes with one covariance but for a term that they have in common.

    Attributes
    ----------
    slopes : ndarray of shape (n_features, n_classes), float64
        What a deviation of a row from the origin is multiplied with.
    offsets : ndarray of shape (n_classes,), float64
        What is added.
    """

    slopes: np.ndarray
    offsets: np.ndarray

    def of_deviations(self, deviations):
        """Scores of rows less the origin, shape (n_rows, n_classes), float64."""
        scores = deviations @ self.slopes
        scores += self.offsets
        return scores


def linear_scores(densities, origin):
    """Find linear scores of classes, if there are any that lose nothing.

    Parameters
    ----------
    densities : ClassDensities
        Of the classes.
    origin : ndarray of shape (n_features,), float64
        A point among the rows.

    Returns
    -------
    scores : LinearScores or None
        None for Student's t, if covariances differ, or if a class is so many standard deviations
        away from the origin that differences of distances would be lost.
    """
    whitening = densities.whitening
    if len(whitening) > 1 or densities.degrees_of_freedom is not None:
        return None
    centers = (densities.means - origin) @ whitening[0].T
    squares = np.einsum("ij,ij->i", centers, centers)
    if squares.max() > _FAR:
        return None
    return LinearScores((centers @ whitening[0]).T, -0.5 * squares)


def total_scatter(statistics, centers, origin):
    """Scatter of all rows about one point, from those of classes about their centres.

    Parameters
    ----------
    statistics : LabelStatistics
        Deviations from the centres.
    centers : ndarray of shape (n_classes, n_features), float64
        The centres.
    origin : ndarray of shape (n_features,), float64
        The point.

    Returns
    -------
    scatter : ndarray of shape (n_features, n_features), float64
    """
    steps = centers - origin
    cross = statistics.sums.T @ steps
    halves = np.sqrt(statistics.weights)[:, None] * steps
    return statistics.scatters.sum(axis=0) + (cross + cross.T) + halves.T @ halves


class _LinearPosteriors(NamedTuple):
    """Posteriors of the classes, and logarithms of densities but for terms in common."""

    scores: LinearScores
    origin: np.ndarray
    log_prior: np.ndarray
    log_labels: np.ndarray

    def __call__(self, rows, codes):
        return self.of_deviations(rows - self.origin, codes)

    def of_deviations(self, deviations, codes):
        joint = self.scores.of_deviations(deviations)
        joint += self.log_labels[codes]
        shares, logs, _ = row_softmax(joint, log_weight=self.log_prior, out=joint)
        without_least(shares)
        return shares, logs


class _LeafSums(NamedTuple):
    """Statistics of a leaf about the origin, without scatters, and the posteriors of its labels."""

    posteriors: _LinearPosteriors

    def __call__(self, rows, codes, weight):
        deviations = rows - self.posteriors.origin
        shares, logs = self.posteriors.of_deviations(deviations, codes)
        quality = shares[np.arange(len(rows)), codes]
        if weight is not None:
            shares *= weight[:, None]
            logs = logs * weight
        counts = cluster_sums(shares, codes, shares.shape[1])[0].T
        parts = shares.sum(axis=0), shares.T @ deviations, np.zeros(0), leaf_sum(logs)
        return LabelStatistics(counts, *parts), quality


class SharedSweep:
    """Passes over the rows for Gaussian classes with one covariance.

    Posteriors of a row sum to 1, and so the scatter about the classes is the total scatter, which
    no iteration changes, less that of the classes; distances of a row from the classes differ by
    linear functions. An iteration is left with a product for the scores and one for the sums.
    Where the classes lie so far apart that a difference of scatters has lost its digits, scatters
    are summed over the rows.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    codes : ndarray of int of shape (n_samples,)
        Given class of each row.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, not negative.
    origin : ndarray of shape (n_features,), float64
        The mean of all rows, so that data far from zero lose nothing.
    total : ndarray of shape (n_features, n_features), float64
        Weighted scatter of all rows about it.
    ridge : float
        Share of a multiple of the identity in the covariance.

    Notes
    -----
    O(n m K + m^3) time for a pass, O(n m^2) more if scatters are summed. They are if rows are on
    average more than 128 standard deviations away from their mean, or the classes that have been
    found are so narrow that ``ridge * trace(scatter) / m < 2^-24 trace(total)``.
    """

    def __init__(self, blocks, codes, sample_weight, origin, total, ridge):
        self._rows = blocks, codes, sample_weight
        self._origin, self._total, self._ridge = origin, total, ridge
        self._weight = len(codes) if sample_weight is None else sample_weight.sum()

    def __call__(self, densities, class_prior, transition):
        """Statistics of the posteriors, and the posterior of each given label.

        Parameters and results are those of :func:`swept_statistics`.
        """
        scores = linear_scores(densities, self._origin)
        if scores is not None:
            whitening = densities.whitening[0]
            # Sum of the squared distances of all rows from the origin, in standard deviations.
            distances = np.einsum("ij,ij->", whitening @ self._total, whitening)
            if distances <= _FAR_ON_AVERAGE * self._weight:
                statistics, quality = self._leaf_sums(scores, np.log(class_prior), transition)
                statistics = self._about_classes(statistics, densities, distances)
                if self._has_digits(statistics.scatters[0]):
                    return statistics, quality
        return swept_statistics(*self._rows, densities, class_prior, transition)

    def _leaf_sums(self, scores, log_prior, transition):
        """Statistics with sums about the origin, without scatters and common terms."""
        blocks = self._rows[0]
        posteriors = _LinearPosteriors(
            scores, self._origin, log_prior, log_label_probabilities(transition)
        )
        quality = np.empty(blocks.n_samples) if blocks.runs_here else None
        statistics = summed_leaves(*self._rows, _LeafSums(posteriors), quality)
        return statistics, LabelPosteriors(posteriors) if quality is None else quality

    def _about_classes(self, statistics, densities, distances):
        """Statistics about the means of the classes, with the terms that classes have in common."""
        counts, weights, sums, _, likelihood = statistics
        steps = densities.means - self._origin
        cross = sums.T @ steps
        halves = np.sqrt(weights)[:, None] * steps
        scatter = self._total - (cross + cross.T) + halves.T @ halves
        at_center = densities.log_densities(np.zeros((1, 1)))[0, 0]
        likelihood += self._weight * at_center - 0.5 * distances
        sums = sums - weights[:, None] * steps
        return LabelStatistics(counts, weights, sums, scatter[None], float(likelihood))

    def _has_digits(self, scatter):
        least = self._ridge * scatter.trace() / len(scatter)
        return bool(least >= _LEAST_SHARE * self._total.trace())
