"""The density of fitted Gaussian groups: each group's at each row, and that of the mixture."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from clusterlib.validation import CovarianceShape

__all__ = ["GroupDensity", "log_density", "most_likely", "posterior"]

_LOG_2_PI = float(np.log(2 * np.pi))
# Stands for the distance of rows that are too far away for float64: less than its largest number,
# so that sums stay finite.
_FARTHEST = 1e300


class GroupDensity(NamedTuple):
    """A mixture of Gaussian groups, ready to be evaluated at rows.

    Attributes
    ----------
    means : ndarray of shape (n_clusters, q), float64
        Of the groups, in the q coordinates they were found in.
    scales : ndarray of shape (n_clusters, q, q), (n_clusters, q) or (n_clusters, 1), float64
        Lower Cholesky factors of the covariances; standard deviations where those are diagonal.
    constants : ndarray of shape (n_clusters,), float64
        ``log w_k - log|S_k| / 2 - q log(2 pi) / 2``.
    origin : None or ndarray of shape (n_features,), float64
        Row whose coordinates are 0; None if coordinates are the features.
    axes : None or ndarray of shape (q, n_features), float64
        Orthonormal directions of the coordinates.
    noise_variance : float
        Variance of each of the other directions; 0 leaves them out of the density.
    """

    means: np.ndarray
    scales: np.ndarray
    constants: np.ndarray
    origin: np.ndarray | None
    axes: np.ndarray | None
    noise_variance: float

    @classmethod
    def of(cls, estimator):
        """The mixture that an estimator has fitted."""
        means, axes = estimator.means_, estimator.components_
        if axes is not None:
            means = (means - estimator.mean_) @ axes.T
        shape = CovarianceShape(estimator.covariance_type_)
        scales, half_log_determinants = _scales(estimator.covariances_, shape, *means.shape)
        with np.errstate(divide="ignore"):  # a group without weight is nobody's
            constants = np.log(estimator.weights_)
        constants = constants - half_log_determinants - means.shape[1] * _LOG_2_PI / 2
        return cls(means, scales, constants, estimator.mean_, axes, estimator.noise_variance_)

    def log_joint(self, rows):
        """``log(w_k N(x | m_k, S_k))`` of shape (n, n_clusters), without directions of noise."""
        coordinates = self._coordinates(rows)
        joint = np.empty((len(rows), len(self.means)))
        for group, mean in enumerate(self.means):
            joint[:, group] = _squared_distances(coordinates - mean, self.scales[group])
        joint *= -0.5
        joint += self.constants
        return joint

    def log_noise(self, rows):
        """Log density of shape (n,) of what rows have in the directions of noise."""
        if self.axes is None or self.noise_variance == 0:
            return 0.0
        centred = rows - self.origin
        rest = centred - (centred @ self.axes.T) @ self.axes
        n_directions = rest.shape[1] - len(self.axes)
        with np.errstate(over="ignore"):
            squares = np.minimum(np.square(rest).sum(axis=1) / self.noise_variance, _FARTHEST)
        return -0.5 * (squares + n_directions * (_LOG_2_PI + np.log(self.noise_variance)))

    def _coordinates(self, rows):
        rows = np.ascontiguousarray(rows, dtype=np.float64)  # the same bits for any layout
        return rows if self.axes is None else (rows - self.origin) @ self.axes.T


def most_likely(density, rows):
    """Group with the largest joint density of each row, the lowest index on ties; int32."""
    return density.log_joint(rows).argmax(axis=1).astype(np.int32)


def posterior(density, rows):
    """Probabilities of the groups given each row, of shape (n, n_clusters)."""
    joint = density.log_joint(rows)
    joint -= joint.max(axis=1, keepdims=True)
    np.exp(joint, out=joint)
    joint /= joint.sum(axis=1, keepdims=True)
    return joint


def log_density(density, rows):
    """Log density of the mixture at each row, of shape (n,)."""
    joint = density.log_joint(rows)
    largest = joint.max(axis=1)
    return largest + np.log(np.exp(joint - largest[:, None]).sum(axis=1)) + density.log_noise(rows)


def _scales(covariances, shape, n_clusters, n_features):
    """Scales of the groups, and half the log determinants of their covariances."""
    if shape in (CovarianceShape.SPHERICAL, CovarianceShape.DIAG):
        scales = np.sqrt(covariances.reshape(n_clusters, -1))
        n_repeats = n_features // scales.shape[1]
        return scales, n_repeats * np.log(scales).sum(axis=1)
    scales = np.linalg.cholesky(covariances)
    half_log_determinants = np.log(np.diagonal(scales, axis1=-2, axis2=-1)).sum(axis=-1)
    if shape is CovarianceShape.TIED:
        scales = np.broadcast_to(scales, (n_clusters, n_features, n_features))
    return scales, half_log_determinants


def _squared_distances(deviations, scale):
    """``(x - m)' S^-1 (x - m)`` of every row, at most ``_FARTHEST``."""
    with np.errstate(over="ignore", invalid="ignore"):
        if scale.ndim == 2:
            whitened = solve_triangular(scale, deviations.T, lower=True, check_finite=False)
            squares = np.square(whitened).sum(axis=0)
        else:
            squares = np.square(deviations / scale).sum(axis=1)
    return np.fmin(squares, _FARTHEST)
