"""One pass over the rows for Gaussian classes with wrong labels: posteriors and what they add up to."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln

from clusterlib.blocks import leaf_sum, map_reduce, tree_reduce
from clusterlib.kernels import class_moments, cluster_sums, row_softmax
from clusterlib.solvers.row_results import leaves

__all__ = [
    "ClassDensities",
    "LabelPosteriors",
    "LabelStatistics",
    "label_statistics",
    "log_label_probabilities",
    "summed_leaves",
    "swept_statistics",
    "without_least",
]

# Rows that are whitened at a time: with 64 features they stay in the cache of a core.
_CHUNK_ROWS = 512
# Rows of a class in a leaf from which on the kernel of moments is faster than a product.
_MANY_ROWS = 512
# Posteriors below count as 0: less than the rounding of a row that counts as 1.
_LEAST_POSTERIOR = 2.0**-60


class LabelStatistics(NamedTuple):
    """What the parameters of the next iteration need, summed over rows.

    Attributes
    ----------
    counts : ndarray of shape (n_classes, n_classes), float64
        Weight of the rows of class k, in rows, that are labelled j, in columns.
    weights : ndarray of shape (n_classes,), float64
        Weight of the rows of a class in its mean; less than in ``counts`` for Student's t.
    sums : ndarray of shape (n_classes, n_features), float64
        Sums of the deviations from the centres of the pass.
    scatters : ndarray of shape (n_classes or 1, n_features, n_features), float64
        Sums of their squares and products, added up over the classes if there is one matrix.
    log_likelihood : float
        Of the parameters of the pass.
    """

    counts: np.ndarray
    weights: np.ndarray
    sums: np.ndarray
    scatters: np.ndarray
    log_likelihood: float


class ClassDensities:
    """Gaussian or Student-t densities of classes, ready to be evaluated.

    Parameters
    ----------
    means : ndarray of shape (n_classes, n_features), float64
        Centres.
    covariances : ndarray of shape (n_classes or 1, n_features, n_features), float64
        Positive definite; a single one is shared by all classes.
    degrees_of_freedom : None or float
        Of Student's t, whose scale matrices the covariances are then; None means Gaussians.

    Attributes
    ----------
    whitening : ndarray of the shape of covariances
        Inverses of their lower Cholesky factors.
    log_determinants : ndarray of shape (n_classes or 1,)
        Of the covariances.
    """

    def __init__(self, means, covariances, degrees_of_freedom):
        m = means.shape[1]
        self.means = means
        self.degrees_of_freedom = degrees_of_freedom
        self.whitening = np.empty_like(covariances)
        self.log_determinants = np.empty(len(covariances))
        for k, covariance in enumerate(covariances):
            factor = np.linalg.cholesky(covariance)
            self.whitening[k] = solve_triangular(factor, np.eye(m), lower=True)
            self.log_determinants[k] = 2 * np.log(factor.diagonal()).sum()
        dof = degrees_of_freedom
        if dof is None:
            self._constant = -0.5 * m * np.log(2 * np.pi)
        else:
            self._constant = (
                gammaln((dof + m) / 2) - gammaln(dof / 2) - 0.5 * m * np.log(dof * np.pi)
            )

    def squared_distances(self, rows):
        """Squared Mahalanobis distances of some rows, shape (n_rows, n_classes), float64."""
        distances = np.empty((len(rows), len(self.means)))
        for start in range(0, len(rows), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            self._fill(rows[chunk], distances[chunk])
        return distances

    def _fill(self, rows, distances):
        if len(self.whitening) < len(self.means):  # one matrix: rows are whitened once
            origin = self.means.mean(axis=0)
            whitened = (rows - origin) @ self.whitening[0].T
            centers = (self.means - origin) @ self.whitening[0].T
            for k, center in enumerate(centers):
                deviations = whitened - center
                distances[:, k] = np.einsum("ij,ij->i", deviations, deviations)
            return
        rows = rows.astype(np.float64, copy=False)
        deviations, whitened = np.empty((2, *rows.shape))
        # Inverse factors are lower triangular: their first half needs the first features alone.
        half = rows.shape[1] // 2
        for k, (mean, whitening) in enumerate(zip(self.means, self.whitening, strict=True)):
            np.subtract(rows, mean, out=deviations)
            np.matmul(deviations[:, :half], whitening[:half, :half].T, out=whitened[:, :half])
            np.matmul(deviations, whitening[half:].T, out=whitened[:, half:])
            distances[:, k] = np.einsum("ij,ij->i", whitened, whitened)

    def log_densities(self, distances):
        """Log densities from squared distances, shape (n_rows, n_classes), float64."""
        dof = self.degrees_of_freedom
        if dof is None:
            logs = -0.5 * distances
        else:
            logs = -0.5 * (dof + self.means.shape[1]) * np.log1p(distances / dof)
        logs += self._constant - 0.5 * self.log_determinants
        return logs

    def scale_weights(self, distances):
        """What rows count in means and scatters, or None if all count 1 (Gaussians)."""
        dof = self.degrees_of_freedom
        return None if dof is None else (dof + self.means.shape[1]) / (dof + distances)


def label_statistics(blocks, codes, sample_weight, centers, n_scatters):
    """Statistics of the given labels, as if all of them were right.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    codes : ndarray of int of shape (n_samples,)
        Given class of each row.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, not negative.
    centers : ndarray of shape (n_classes, n_features), float64
        Deviations are taken from these.
    n_scatters : int
        1 to add the scatters of all classes up, else the number of classes.

    Returns
    -------
    statistics : LabelStatistics
        With a log-likelihood of 0.
    """

    of_leaf = _LeafStatistics(_Indicators(len(centers)), centers, n_scatters)
    return summed_leaves(blocks, codes, sample_weight, of_leaf)


def log_label_probabilities(transition):
    """Logarithms of a transition, labels in rows, classes in columns; -inf for what never is.

    Parameters
    ----------
    transition : ndarray of shape (n_classes, n_classes), float64
        Probability of each label, in columns, for each class, in rows.

    Returns
    -------
    logs : ndarray of shape (n_classes, n_classes), float64
    """
    with np.errstate(divide="ignore"):
        return np.log(transition.T)


def swept_statistics(blocks, codes, sample_weight, densities, class_prior, transition):
    """Statistics of the posteriors of the classes, and the posterior of each given label.

    Parameters
    ----------
    blocks : Blocks
        The rows; they are read once.
    codes : ndarray of int of shape (n_samples,)
        Given class of each row.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, not negative.
    densities : ClassDensities
        Of the classes; deviations are taken from their means.
    class_prior : ndarray of shape (n_classes,), float64
        Shares of the classes, positive.
    transition : ndarray of shape (n_classes, n_classes), float64
        Probability of each label, in columns, for each class, in rows.

    Returns
    -------
    statistics : LabelStatistics
    label_quality : ndarray of shape (n_samples,), float64, or LabelPosteriors
        Posterior of the given label, whatever the weight of the row. Where functions of the rows run
        elsewhere it stays there: a function of rows and their codes that finds it again.
    """
    logs = np.log(class_prior), log_label_probabilities(transition)
    posteriors = _Posteriors(densities, *logs)
    of_leaf = _LeafStatistics(posteriors, densities.means, len(densities.whitening))
    quality = np.empty(blocks.n_samples) if blocks.runs_here else None
    statistics = summed_leaves(blocks, codes, sample_weight, of_leaf, quality)
    return statistics, LabelPosteriors(posteriors) if quality is None else quality


class _Indicators(NamedTuple):
    """Posteriors if all labels are right; this and what follows are functions that can be sent."""

    n_classes: int

    def __call__(self, rows, codes):
        return (codes[:, None] == np.arange(self.n_classes)).astype(np.float64), None, 0.0


class _Posteriors(NamedTuple):
    """Posteriors of the classes, what rows count in moments, and logarithms of their densities."""

    densities: ClassDensities
    log_prior: np.ndarray
    log_labels: np.ndarray

    def __call__(self, rows, codes):
        distances = self.densities.squared_distances(rows)
        joint = self.densities.log_densities(distances)
        joint += self.log_labels[codes]
        shares, lse, _ = row_softmax(joint, log_weight=self.log_prior, out=joint)
        without_least(shares)
        return shares, self.densities.scale_weights(distances), lse


class LabelPosteriors(NamedTuple):
    """Function of some rows and their labels: the posteriors of these labels.

    Attributes
    ----------
    posteriors : callable
        ``posteriors(rows, codes)`` gives those of all classes first.
    """

    posteriors: Callable

    def __call__(self, rows, codes):
        return self.posteriors(rows, codes)[0][np.arange(len(rows)), codes]


class _LeafStatistics(NamedTuple):
    """Statistics of a leaf about some centres, and the posteriors of its labels."""

    posteriors: Callable
    centers: np.ndarray
    n_scatters: int

    def __call__(self, rows, codes, weight):
        shares, scale, logs = self.posteriors(rows, codes)
        quality = shares[np.arange(len(rows)), codes]
        if weight is not None:
            shares *= weight[:, None]
            logs = logs * weight
        # Columns are sums over the rows of one label, so the table is turned around.
        counts = cluster_sums(shares, codes, len(self.centers))[0].T
        if scale is not None:
            shares *= scale
        likelihood = leaf_sum(np.broadcast_to(logs, len(rows)))
        moments = _weighted_moments(rows, shares, self.centers, self.n_scatters)
        return LabelStatistics(counts, *moments, likelihood), quality


def without_least(shares):
    """Set posteriors to 0 that are less than the rounding of a row; changes the array."""
    shares[shares < _LEAST_POSTERIOR] = 0.0


def summed_leaves(blocks, codes, sample_weight, of_leaf, quality=None):
    """Statistics of all leaves, merged by the tree.

    Parameters
    ----------
    blocks : Blocks
        The rows; they are read once.
    codes : ndarray of int of shape (n_samples,)
        Given class of each row.
    sample_weight : None or ndarray of shape (n_samples,)
        Weights, not negative.
    of_leaf : callable
        ``of_leaf(rows, codes, weight)`` gives `LabelStatistics`, which may be written to, and the
        posteriors of the labels. It can be pickled if functions of the rows run elsewhere.
    quality : ndarray of shape (n_samples,), float64, default=None
        Gets these posteriors; None drops them.

    Returns
    -------
    statistics : LabelStatistics
    """
    return map_reduce(
        _block_statistics, _merged, blocks, codes, sample_weight, quality, broadcast=(of_leaf,)
    )


def _block_statistics(rows, codes, weight, quality, of_leaf):
    def parts():
        for *leaf, kept in leaves(rows, codes, weight, quality):
            statistics, found = of_leaf(*leaf)
            if kept is not None:
                kept[:] = found
            yield statistics

    return tree_reduce(_merged, parts())


def _merged(left, right):
    """Sums of two parts, written over the left one."""
    statistics = []
    for a, b in zip(left, right, strict=True):
        a += b
        statistics.append(a)
    return LabelStatistics(*statistics)


def _weighted_moments(rows, shares, centers, n_scatters):
    """Weights, sums and scatters of the deviations from the centres."""
    n_classes, m = centers.shape
    sums, scatters = np.zeros((n_classes, m)), np.zeros((n_scatters, m, m))
    # Rows about the middle of the classes lose nothing to their distance from the origin.
    origin = centers.mean(axis=0)
    shifted, centers = rows - origin, centers - origin
    for k, (share, center) in enumerate(zip(shares.T.copy(), centers, strict=True)):
        members = np.flatnonzero(share)
        moments = _many_rows if len(members) >= _MANY_ROWS else _few_rows
        sums[k], scatter = moments(shifted, members, share, center)
        scatters[k if n_scatters > 1 else 0] += scatter
    return shares.sum(axis=0), sums, scatters


def _few_rows(rows, members, share, center):
    """Sum and scatter of the members of a class about its centre."""
    # Roots on both sides: the product is symmetric to the last bit.
    roots = np.sqrt(share[members])
    half = rows[members] - center
    half *= roots[:, None]
    return roots @ half, half.T @ half


def _many_rows(rows, members, share, center):
    """The same from the kernel of moments, which takes half the time but some for each call."""
    labels = np.full(len(rows), -1, dtype=np.int32)
    labels[members] = 0
    (weight,), (mean,), (scatter,) = class_moments(rows, labels, 1, sample_weight=share)
    step = mean - center
    root = np.sqrt(weight) * step
    scatter += root[:, None] * root
    return weight * step, scatter
