"""Coordinates in which the prior of a covariance is a multiple of the identity."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers.gaussian import CovarianceType

__all__ = ["GaussianFrame"]

# Directions with a smaller share of the largest variance are rounding.
_LEAST_VARIANCE = 1e-14


class GaussianFrame(NamedTuple):
    """Coordinates of the rows in which the data are centred and as round as their model sees them.

    Data have the covariance I for full and tied covariances, variances 1 for diagonal ones, and
    the mean variance 1 for spherical ones. Models of such groups do not change with the frame:
    only their likelihood does, by a constant.

    Attributes
    ----------
    coordinates : ndarray of shape (n_samples, n_features), float64
        Of the rows.
    origin : ndarray of shape (n_features,), float64
        Mean of the rows.
    axes : ndarray of shape (n_features, n_features), float64
        ``x = origin + axes @ coordinates``; diagonal for diagonal and spherical covariances.
    log_determinant : float
        ``log|det axes|``.
    """

    coordinates: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    log_determinant: float

    @classmethod
    def of(cls, X, covariance_type):
        """Find the frame of some rows.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float64
            The rows.
        covariance_type : CovarianceType
            Of the groups.

        Returns
        -------
        frame : GaussianFrame
            A feature that does not vary keeps its unit.

        Notes
        -----
        O(n p^2) time, O(n p) memory.
        """
        origin = X.mean(axis=0)
        centred = X - origin
        scales = np.sqrt(np.square(centred).mean(axis=0))
        if covariance_type is CovarianceType.SPHERICAL:
            scales[:] = np.sqrt(np.square(scales).mean())
        scales[scales == 0] = 1.0
        centred /= scales
        log_determinant = float(np.log(scales).sum())
        if not covariance_type.is_matrix:
            return cls(centred, origin, np.diag(scales), log_determinant)
        # Of the correlations: their eigenvalues do not depend on the units of the features.
        variances, directions = np.linalg.eigh(centred.T @ centred / len(X))
        deviations = np.sqrt(np.maximum(variances, _LEAST_VARIANCE * variances[-1]))
        deviations[deviations == 0] = 1.0
        axes = scales[:, None] * directions * deviations
        log_determinant += float(np.log(deviations).sum())
        return cls(centred @ (directions / deviations), origin, axes, log_determinant)

    def enter(self, covariances):
        """Write covariances of shape (n_groups, n_features, n_features) in the frame."""
        half = np.linalg.solve(self.axes, covariances)
        inner = np.linalg.solve(self.axes, half.transpose(0, 2, 1))
        return (inner + inner.transpose(0, 2, 1)) / 2

    def leave(self, groups, covariance_type):
        """Write parameters of groups in the coordinates of the data.

        Parameters
        ----------
        groups : GaussianGroups
            In the frame.
        covariance_type : CovarianceType
            Of the groups.

        Returns
        -------
        groups : GaussianGroups
            The same distributions.
        """
        means = groups.means @ self.axes.T + self.origin
        covariances = groups.covariances
        if covariance_type.is_matrix:
            covariances = self.axes @ covariances @ self.axes.T
            covariances = (covariances + np.swapaxes(covariances, -1, -2)) / 2
        elif covariance_type is CovarianceType.DIAG:
            covariances = covariances * np.square(np.diag(self.axes))
        else:
            covariances = covariances * self.axes[0, 0] ** 2
        return groups._replace(means=means, covariances=covariances)
