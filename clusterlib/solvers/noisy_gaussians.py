"""Gaussian discriminant analysis where labels may be wrong, by EM over the classes behind them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.kernels import cluster_sums
from clusterlib.solvers.noisy_gaussian_steps import ClassAssumptions
from clusterlib.solvers.noisy_gaussian_sweep import (
    ClassDensities,
    label_statistics,
    swept_statistics,
)
from clusterlib.solvers.noisy_shared_sweep import SharedSweep, total_scatter
from clusterlib.solvers.row_results import row_results

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, Float64Array, IntArray, Rows

__all__ = ["NoisyGaussians", "noisy_gaussians"]

# The expected transition: so much of the identity, the rest by how frequent the labels are.
_RIGHT_LABELS = 0.7
# The pooled covariance is not estimated again once the objective of a row changes by this, or by so
# many tolerances.
_LITTLE, _TOLERANCES = 1e-4, 100


class NoisyGaussians(NamedTuple):
    """What :func:`noisy_gaussians` found.

    Attributes
    ----------
    means : ndarray of shape (n_classes, n_features), float64
        Centres of the classes.
    covariances : ndarray of shape (n_classes, n_features, n_features), float64
        Covariances, or scale matrices of Student's t. Where one is shared by all classes this is
        a view of it that cannot be written to.
    pooled : ndarray of shape (n_features, n_features), float64
        The matrix that covariances are shrunk to.
    transition : ndarray of shape (n_classes, n_classes), float64
        Probability of each label, in columns, for each class, in rows.
    class_prior : ndarray of shape (n_classes,), float64
        Shares of the classes.
    label_quality : ndarray of shape (n_samples,), float64
        Probability that the given label of a row is its class.
    history : ndarray of shape (n_iter,), float64
        Log posterior density of the parameters after each iteration, up to a constant. It does not
        fall from entry ``prior_iter - 1`` on, or from where the prior stood earlier.
    n_iter : int
        Iterations done.
    converged : bool
        Whether the last iteration gained no more than ``tol`` for each row.
    class_rows : ndarray of shape (n_classes,), float64
        Weight of the rows of each class: sums of posteriors.
    degrees_of_freedom : float or None
        As given.
    """

    means: Float64Array
    covariances: Float64Array
    pooled: Float64Array
    transition: Float64Array
    class_prior: Float64Array
    label_quality: Float64Array
    history: Float64Array
    n_iter: int
    converged: bool
    class_rows: Float64Array
    degrees_of_freedom: float | None


def noisy_gaussians(
    X: Rows,
    codes: IntArray,
    n_classes: int,
    *,
    shrinkage: float,
    degrees_of_freedom: float | None = None,
    mean_rows: float = 2.0,
    ridge: float = 0.01,
    transition_prior: Float64Array | None = None,
    transition_rows: float = 20.0,
    prior_iter: int = 20,
    sample_weight: Array | None = None,
    max_iter: int = 100,
    tol: float = 1e-6,
    callback: Callable[..., Any] | None = None,
) -> NoisyGaussians:
    """Fit a Gaussian to each class although labels may be wrong, and find the wrong ones.

    Every row has a class that nobody sees; the class decides where the row lies, and which label
    it was given. EM alternates between the posteriors of the classes and the parameters of highest
    posterior density, starting from the given labels.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host. Each iteration reads them once, block by block.
    codes : ndarray of int of shape (n_samples,)
        Given labels, from 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes.
    shrinkage : float
        Rows of the pooled covariance that the covariance of each class is given, positive.
        Infinity makes all classes share one covariance. Multiples of n_features are a good scale;
        the less Gaussian the classes, the smaller, and the fewer rows, the larger.
    degrees_of_freedom : float, default=None
        Use Student's t with so many, positive; rows far from a class then count less in it. None
        takes Gaussians.
    mean_rows : float, default=2.0
        Rows at the overall mean that every class is given, positive.
    ridge : float, default=0.01
        Share of a multiple of the identity in the pooled covariance, between 0 and 1, both
        excluded.
    transition_prior : ndarray of shape (n_classes, n_classes), float64, default=None
        Expected probability of each label for each class, rows sum to 1. None takes 0.7 times the
        identity and 0.3 times the frequencies of the labels.
    transition_rows : float, default=20.0
        How many rows of each class speak for this expectation, positive.
    prior_iter : int, default=20
        Most iterations, at least 1, in which the pooled covariance is estimated again; they end
        early when one changes the objective by no more than 1e-4, or ``100 tol`` if that is less,
        times the weight of all rows. It stays as it is from then on, so that the objective is one
        function that never falls.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative, not all 0. None means 1.
    max_iter : int, default=100
        Most iterations, at least 1.
    tol : float, default=1e-6
        Stop when an iteration after these raises the objective by no more than this times
        the weight of all rows. The scale of X does not matter.
    callback : callable, default=None
        ``callback(n_iter, objective)`` after each iteration; True stops.

    Returns
    -------
    fit : NoisyGaussians
        ``label_quality``, ``class_rows`` and the last entry of ``history`` belong to the returned
        parameters.

    Raises
    ------
    ValueError
        If X has NaN or infinity, or a label is impossible by ``transition_prior``.

    Notes
    -----
    O(n K m^2) time for each iteration, in matrix products: whitening takes ``1.5 n K m^2``
    operations, scatters ``n m^2`` for each class in which a row has a posterior above 2^-60.
    With one covariance Student's t whitens rows once for all classes, and Gaussians take
    O(n K m + m^3) time, unless classes lie so far apart, or the ridge is so small, that digits
    would be lost. Memory: a number for each row, O(K m^2 log(n / 4096)) for partial sums, and the
    products of 4096 rows; no array holds a number for each row and class. Results do not depend on
    how the rows are cut into blocks.

    A class with few rows, or none, is as the prior says: near the overall mean, with the pooled
    covariance. The page on noisy labels in the documentation derives all steps.

    References
    ----------
    .. [1] N. D. Lawrence, B. Schoelkopf, "Estimating a kernel Fisher discriminant in the presence
       of label noise", ICML 2001: the model.
    .. [2] X.-L. Meng, D. B. Rubin, "Maximum likelihood estimation via the ECM algorithm",
       Biometrika 80(2), 1993: means first, then covariances.
    .. [3] C. Liu, D. B. Rubin, "ML estimation of the t distribution using EM and its extensions,
       ECM and ECME", Statistica Sinica 5, 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import noisy_gaussians
    >>> X = np.repeat([[-9.0, 1.0], [9.0, 1.0]], 20, axis=0)
    >>> X += np.random.default_rng(0).normal(size=X.shape)
    >>> codes = np.repeat([0, 1], 20)
    >>> codes[:3] = 1  # three rows are labelled wrongly
    >>> fit = noisy_gaussians(X, codes, 2, shrinkage=2)
    >>> np.flatnonzero(fit.label_quality < 0.5), fit.converged
    (array([0, 1, 2]), True)
    """
    blocks = as_blocks(X)
    means, overall, frequencies = _labelled_means(blocks, codes, sample_weight, n_classes)
    n_scatters = 1 if np.isinf(shrinkage) else n_classes
    statistics = label_statistics(blocks, codes, sample_weight, means, n_scatters)
    total = float(statistics.counts.sum())
    # What the rounding of the means left over.
    overall = overall + _residual(statistics, means, overall) / total
    if transition_prior is None:
        transition_prior = _RIGHT_LABELS * np.eye(n_classes) + (1 - _RIGHT_LABELS) * frequencies
    assumed = ClassAssumptions(
        total, overall, mean_rows, shrinkage, ridge, transition_prior, transition_rows
    )
    sweep = _sweeps(blocks, codes, sample_weight, assumed, degrees_of_freedom, statistics, means)
    little = min(_LITTLE, _TOLERANCES * tol)
    parameters, densities, history, frozen, converged = None, None, [], False, False
    while len(history) < max_iter and not converged:
        settled = len(history) > 1 and abs(history[-1] - history[-2]) <= little * total
        frozen = frozen or settled or len(history) >= prior_iter
        if frozen:
            parameters = assumed.next_step(statistics, parameters, densities.whitening)
        else:
            parameters = assumed.first_step(statistics, means)
        means = parameters.means
        densities = ClassDensities(means, parameters.covariances, degrees_of_freedom)
        quality = None  # that of the pass before makes room
        statistics, quality = sweep(densities, parameters.class_prior, parameters.transition)
        history.append(statistics.log_likelihood + assumed.log_prior(parameters, densities))
        converged = frozen and history[-1] - history[-2] <= tol * total
        if callback is not None and callback(len(history), history[-1]):
            break
    if not blocks.runs_here:
        quality = row_results(quality, blocks, codes)
    return NoisyGaussians(
        means,
        np.broadcast_to(parameters.covariances, (n_classes, *parameters.pooled.shape)),
        parameters.pooled,
        parameters.transition,
        parameters.class_prior,
        quality,
        np.array(history),
        len(history),
        bool(converged),
        statistics.counts.sum(axis=1),
        degrees_of_freedom,
    )


def _labelled_means(blocks, codes, sample_weight, n_classes):
    """Means of the labels, the mean of all rows, and the frequencies of the labels.

    A label without rows has the mean of all rows. The last bits of the means do not matter.
    """

    sums, weights = blocks.map_reduce(_label_sums, _added, (codes, sample_weight), (n_classes,))
    overall = sums.sum(axis=0) / weights.sum()
    empty = weights == 0
    means = np.where(empty[:, None], overall, sums / (weights + empty)[:, None])
    return means, overall, weights / weights.sum()


def _label_sums(rows, codes, weight, n_classes):
    return cluster_sums(rows, codes, n_classes, sample_weight=weight)


def _added(left, right):
    return [a + b for a, b in zip(left, right, strict=True)]


def _sweeps(blocks, codes, sample_weight, assumed, degrees_of_freedom, statistics, centers):
    """The pass of an iteration, from the statistics of the labels about some centres."""
    if not assumed.is_shared or degrees_of_freedom is not None:
        return partial(swept_statistics, blocks, codes, sample_weight)
    origin = assumed.overall_mean
    scatter = total_scatter(statistics, centers, origin)
    return SharedSweep(blocks, codes, sample_weight, origin, scatter, assumed.ridge)


def _residual(statistics, centers, overall):
    """Sum of the deviations of all rows from what is taken for their mean."""
    return statistics.sums.sum(axis=0) + statistics.weights @ (centers - overall)
