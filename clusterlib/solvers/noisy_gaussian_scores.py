"""What a fit of Gaussian classes with wrong labels says of rows: densities, labels, other classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.kernels import row_softmax
from clusterlib.solvers.noisy_gaussian_sweep import (
    ClassDensities,
    log_label_probabilities,
)
from clusterlib.solvers.noisy_shared_sweep import LinearScores, linear_scores
from clusterlib.solvers.row_results import row_results

if TYPE_CHECKING:
    from clusterlib.solvers.noisy_gaussians import NoisyGaussians
    from clusterlib.typing import Float64Array, IndexArray, IntArray, Rows

__all__ = ["likely_other_classes", "noisy_gaussian_scores", "noisy_label_likelihood"]


def likely_other_classes(X: Rows, codes: IntArray, fit: NoisyGaussians) -> IndexArray:
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
    besides the result, memory for some rows and for K m^2 numbers.

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
    return row_results(_OtherClasses(*_compared(fit)), as_blocks(X), codes)


def noisy_gaussian_scores(X: Rows, fit: NoisyGaussians) -> Float64Array:
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
    for some rows and for K m^2 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import noisy_gaussian_scores, noisy_gaussians
    >>> X = np.array([[-3.0], [-2.0], [2.0], [3.0]])
    >>> fit = noisy_gaussians(X, np.array([0, 0, 1, 1]), 2, shrinkage=1)
    >>> noisy_gaussian_scores(np.array([[-9.0], [1.0]]), fit).argmax(axis=1)
    array([0, 1])
    """
    return row_results(_LogDensities(_densities(fit)), as_blocks(X))


def noisy_label_likelihood(X: Rows, codes: IntArray, fit: NoisyGaussians) -> Float64Array:
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
    besides the result, memory for some rows and for K m^2 numbers. No clean labels are needed, and the means do not depend on the scale
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
    return row_results(_LabelLikelihood(*_compared(fit)), as_blocks(X), codes)


def _densities(fit):
    # All strides are 0 where one covariance is shared, and one of them is enough then.
    is_shared = fit.covariances.strides[0] == 0
    covariances = fit.covariances[:1] if is_shared else fit.covariances
    return ClassDensities(fit.means, covariances, fit.degrees_of_freedom)


def _compared(fit):
    """Log densities but for what all classes have in common, and logarithms of prior and labels."""
    densities = _densities(fit)
    origin = densities.means.mean(axis=0)
    linear = linear_scores(densities, origin)
    log_densities = _LogDensities(densities) if linear is None else _LinearOf(linear, origin)
    return log_densities, np.log(fit.class_prior), log_label_probabilities(fit.transition)


class _LogDensities(NamedTuple):
    """Function of rows; this and what follows can be sent to where the rows are."""

    densities: ClassDensities

    def __call__(self, rows):
        return self.densities.log_densities(self.densities.squared_distances(rows))


class _LinearOf(NamedTuple):
    """Function of rows."""

    scores: LinearScores
    origin: np.ndarray

    def __call__(self, rows):
        return self.scores.of_deviations(rows - self.origin)


class _OtherClasses(NamedTuple):
    """Function of rows and their labels."""

    log_densities: Callable
    log_prior: np.ndarray
    log_labels: np.ndarray

    def __call__(self, rows, codes):
        joint = self.log_densities(rows)
        joint += self.log_prior
        joint += self.log_labels[codes]
        joint[np.arange(len(codes)), codes] = -np.inf
        return joint.argmax(axis=1)


class _LabelLikelihood(NamedTuple):
    """Function of rows and their labels."""

    log_densities: Callable
    log_prior: np.ndarray
    log_labels: np.ndarray

    def __call__(self, rows, codes):
        joint = self.log_densities(rows)
        joint += self.log_prior
        joint -= row_softmax(joint).lse[:, None]
        joint += self.log_labels[codes]
        return np.logaddexp.reduce(joint, axis=1)
