"""How far class shares of highest likelihood are off by chance: rows, calibration, source prior."""

import numpy as np
from scipy import linalg

from clusterlib.solvers.prior_shift import prior_scores

__all__ = ["shifted_prior_covariance", "source_covariance"]

# Directions in which scores tell less than this part of all they tell are not known at all.
_LEAST_INFORMATION = 1e-12
# A class is part of such a direction if its entry is above this.
_PART = 1e-6


def source_covariance(posteriors, source_prior, *, weight=None, logarithms=None, influence=None):
    """Sampling covariance of what was learned from the source: slopes, offsets and prior.

    Parameters
    ----------
    posteriors : ndarray of shape (n_samples, n_classes)
        Calibrated probabilities of the source rows.
    source_prior : ndarray of shape (n_classes,), float64
        Their mean.
    weight : ndarray of shape (n_samples,), default=None
        Weights of rows; None is 1 for each.
    logarithms : ndarray of shape (n_samples, n_classes), default=None
        Logarithms of the probabilities before calibration; None without one.
    influence : ndarray of shape (n_samples, 2 * n_classes), default=None
        As from ``calibration_influence``; None without a calibration.

    Returns
    -------
    covariance : ndarray of shape (3 * n_classes, 3 * n_classes), float64
        Of slopes, offsets and source prior, in this order. The prior depends on slopes and
        offsets, too, and the covariances know it.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.prior_covariance import source_covariance
    >>> posteriors = np.array([[0.9, 0.1], [0.1, 0.9]]).repeat(50, axis=0)
    >>> source_covariance(posteriors, np.array([0.5, 0.5]))[4:, 4:].round(4)
    array([[ 0.0016, -0.0016],
           [-0.0016,  0.0016]])
    """
    n_samples, k = posteriors.shape
    weight = np.ones(n_samples) if weight is None else weight
    share = weight / weight.sum()
    deviation = posteriors - source_prior
    if influence is None:
        influence = np.zeros((n_samples, 2 * k))
    else:
        scaled = posteriors * logarithms
        masses = share[:, None] * posteriors
        by_slope = np.diag(share @ scaled) - masses.T @ scaled
        by_offset = np.diag(share @ posteriors) - masses.T @ posteriors
        deviation = deviation + influence @ np.hstack([by_slope, by_offset]).T
    each = share[:, None] * np.hstack([influence, deviation])
    return each.T @ each


def shifted_prior_covariance(
    posteriors, prior, source_prior, source, *, weight=None, logarithms=None
):
    """Sampling covariance of class shares of highest likelihood.

    Parameters
    ----------
    posteriors : ndarray of shape (n_samples, n_classes)
        Calibrated probabilities of the unlabelled rows.
    prior : ndarray of shape (n_classes,), float64
        The estimate, as from ``shifted_prior``.
    source_prior : ndarray of shape (n_classes,), float64
        Mean of the posteriors over the source.
    source : ndarray of shape (3 * n_classes, 3 * n_classes), float64
        As from :func:`source_covariance`.
    weight : ndarray of shape (n_samples,), default=None
        Weights of rows; None is 1 for each.
    logarithms : ndarray of shape (n_samples, n_classes), default=None
        Logarithms of the probabilities before calibration; None without one.

    Returns
    -------
    covariance : ndarray of shape (n_classes, n_classes), float64
        By the delta method on the simplex without its bounds: rows sum to 0. Classes that the
        source lacks have no variance. Infinite on the diagonal, and 0 beside it, for classes
        that the rows do not tell from others.

    Notes
    -----
    With u the scores of the rows, A the mean of ``u u'`` and T a basis of the vectors of sum 0
    it is ``T B^-1 T' (V + J S J') T B^-1 T'`` for ``B = T' A T``: V is the covariance of the mean
    score, S that of the source, and J the derivative of the mean score by what the source gave.
    With ``h_y`` proportional to ``exp(slope_y l_y + offset_y)`` the normaliser of h cancels in u,
    so that J has a closed form. O(n k^2) time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.prior_covariance import shifted_prior_covariance
    >>> certain = np.eye(2)[np.repeat([0, 1], [25, 75])]
    >>> prior, source_prior = np.array([0.25, 0.75]), np.array([0.5, 0.5])
    >>> found = shifted_prior_covariance(certain, prior, source_prior, np.zeros((6, 6)))
    >>> np.sqrt(found[0, 0]).round(4)  # sqrt(0.25 * 0.75 / 100)
    np.float64(0.0433)
    """
    n_samples, k = posteriors.shape
    weight = np.ones(n_samples) if weight is None else weight
    scores = prior_scores(posteriors, prior, source_prior)
    weight = np.where(scores.any(axis=1), weight, 0.0)
    total = weight.sum()
    share = (weight / total if total > 0 else weight)[:, None]
    mean = share[:, 0] @ scores
    products = (share * scores).T @ scores
    residuals = share * (scores - mean)
    jacobian = _jacobian(scores, share, prior, source_prior, products, mean, logarithms)
    live = source_prior > 0
    basis = np.zeros((k, live.sum() - 1))
    basis[live] = linalg.null_space(np.ones((1, live.sum())))
    values, vectors = linalg.eigh(basis.T @ products @ basis)
    told = values > _LEAST_INFORMATION * np.trace(products)
    vectors = basis @ vectors
    inverse = (vectors[:, told] / values[told]) @ vectors[:, told].T
    # Products of factors with themselves: rounding makes no variance negative.
    factors = residuals @ inverse, _root(source) @ jacobian.T @ inverse
    covariance = sum(factor.T @ factor for factor in factors)
    lost = (np.abs(vectors[:, ~told]) > _PART).any(axis=1)
    covariance[lost], covariance[:, lost] = 0.0, 0.0
    covariance[lost, lost] = np.inf
    return covariance


def _root(covariance):
    """R with ``R' R`` the covariance."""
    values, vectors = linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))).T


def _jacobian(scores, share, prior, source_prior, products, mean, logarithms):
    """Derivative of the mean score by slopes, offsets and source prior, side by side."""
    k = len(prior)
    inverse = np.divide(1.0, source_prior, out=np.zeros(k), where=source_prior > 0)
    by_prior = products * (prior * inverse) - np.diag(mean * inverse)
    if logarithms is None:
        return np.hstack([np.zeros((k, 2 * k)), by_prior])
    scaled = share * scores * logarithms
    by_slope = np.diag(scaled.sum(axis=0)) - scores.T @ scaled * prior
    by_offset = np.diag(mean) - products * prior
    return np.hstack([by_slope, by_offset, by_prior])
