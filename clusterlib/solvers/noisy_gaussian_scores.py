"""What a fit of Gaussian classes with wrong labels says of rows: densities, labels, other classes."""

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.kernels import row_softmax
from clusterlib.solvers.noisy_gaussian_sweep import (
    ClassDensities,
    log_label_probabilities,
    row_results,
)
from clusterlib.solvers.noisy_shared_sweep import linear_scores

__all__ = ["likely_other_classes", "noisy_gaussian_scores", "noisy_label_likelihood"]


def likely_other_classes(X, codes, fit):
    """Find for each row the class that it most likely has if its label is wrong.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host.
    codes : ndarray of int of shape (n_samples,)
        Their labels, which may be wrong.
    fit : NoisyGaussians
        What :func:`noisy_gaussians` returned.

    Returns
    -------
    codes : ndarray of shape (n_samples,), intp
        The class of highest posterior, given row and label, among all but the label; the lower one
        on ties, and the label itself where there is no other class.

    Notes
    -----
    O(n K m^2) time, O(n K m) for Gaussians that share a covariance and do not lie very far apart;
    besides the result, memory for some rows and for K m^2 numbers, and for the result once more if
    X comes in several blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import likely_other_classes, noisy_gaussians
    >>> X = np.repeat([[-9.0, 1.0], [9.0, 1.0], [0.0, 5.0]], 20, axis=0)
    >>> X += np.random.default_rng(0).normal(size=X.shape)
    >>> codes = np.repeat([0, 1, 2], 20)
    >>> codes[[0, 20]] = 2  # two rows are labelled wrongly
    >>> fit = noisy_gaussians(X, codes, 3, shrinkage=2)
    >>> likely_other_classes(X, codes, fit)[[0, 20]]
    array([0, 1])
    """
    log_densities = _compared(_densities(fit))
    log_prior = np.log(fit.class_prior)
    log_labels = log_label_probabilities(fit.transition)

    def of_rows(rows, codes):
        joint = log_densities(rows)
        joint += log_prior
        joint += log_labels[codes]
        joint[np.arange(len(codes)), codes] = -np.inf
        return joint.argmax(axis=1)

    return row_results(of_rows, as_blocks(X), codes)


def noisy_gaussian_scores(X, fit):
    """Log densities of rows in the classes of a fit.

    The class with the highest one is the decision for equal shares of the classes; with
    ``np.log(fit.class_prior)`` added it is that for the estimated ones.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host.
    fit : NoisyGaussians
        What :func:`noisy_gaussians` returned.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float64
        ``log N(x; mean_k, covariance_k)``, or that of Student's t.

    Notes
    -----
    O(n K m^2) time, O(n m (K + m)) if the classes share a covariance; besides the result, memory
    for some rows and for K m^2 numbers, and for the result once more if X comes in several blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import noisy_gaussian_scores, noisy_gaussians
    >>> X = np.array([[-3.0], [-2.0], [2.0], [3.0]])
    >>> fit = noisy_gaussians(X, np.array([0, 0, 1, 1]), 2, shrinkage=1)
    >>> noisy_gaussian_scores(np.array([[-9.0], [1.0]]), fit).argmax(axis=1)
    array([0, 1])
    """
    densities = _densities(fit)

    def of_rows(rows):
        return densities.log_densities(densities.squared_distances(rows))

    return row_results(of_rows, as_blocks(X))


def noisy_label_likelihood(X, codes, fit):
    """Log probability of the labels of rows that were not fitted: the score of cross-validation.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows, on the host.
    codes : ndarray of int of shape (n_samples,)
        Their labels, which may be wrong.
    fit : NoisyGaussians
        What :func:`noisy_gaussians` returned for other rows.

    Returns
    -------
    log_likelihood : ndarray of shape (n_samples,), float64
        ``log sum_k p(k | x) T[k, label]`` with ``p(k | x)`` the posteriors of the classes without
        a look at the label; -inf where the label is impossible.

    Notes
    -----
    O(n K m^2) time, O(n K m) for Gaussians that share a covariance and do not lie very far apart;
    besides the result, memory for some rows and for K m^2 numbers, and for the result once more if
    X comes in several blocks. No clean labels are needed, and the means do not depend on the scale
    of X: fits may be compared.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import noisy_gaussians, noisy_label_likelihood
    >>> X = np.array([[-3.0], [-2.0], [2.0], [3.0]])
    >>> fit = noisy_gaussians(X, np.array([0, 0, 1, 1]), 2, shrinkage=1)
    >>> right, wrong = noisy_label_likelihood(np.array([[2.5], [2.5]]), np.array([1, 0]), fit)
    >>> bool(right > wrong)
    True
    """
    log_densities = _compared(_densities(fit))
    log_prior = np.log(fit.class_prior)
    log_labels = log_label_probabilities(fit.transition)

    def of_rows(rows, codes):
        joint = log_densities(rows)
        joint += log_prior
        joint -= row_softmax(joint).lse[:, None]
        joint += log_labels[codes]
        return np.logaddexp.reduce(joint, axis=1)

    return row_results(of_rows, as_blocks(X), codes)


def _densities(fit):
    # All strides are 0 where one covariance is shared, and one of them is enough then.
    is_shared = fit.covariances.strides[0] == 0
    covariances = fit.covariances[:1] if is_shared else fit.covariances
    return ClassDensities(fit.means, covariances, fit.degrees_of_freedom)


def _compared(densities):
    """Function of rows that gives log densities but for what all classes have in common."""
    origin = densities.means.mean(axis=0)
    linear = linear_scores(densities, origin)
    if linear is None:
        return lambda rows: densities.log_densities(densities.squared_distances(rows))
    return lambda rows: linear.of_deviations(rows - origin)
