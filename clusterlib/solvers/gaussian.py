"""Gaussian groups: covariances of highest posterior, log densities, and what is assumed of both."""

from enum import Enum
from typing import NamedTuple

import numpy as np

__all__ = [
    "CovariancePrior",
    "CovarianceType",
    "GaussianGroups",
    "GroupModel",
    "row_blocks",
]

_LOG_2_PI = float(np.log(2 * np.pi))
# A group that is all but empty keeps this share, so that it may still win rows back.
_LEAST_WEIGHT = 1e-3
# Between 0.05 and 1 row partitions are as good; more blurs tight groups among distant ones.
_PRIOR_ROWS = 0.2
# Numbers in a block of rows times whatever is computed for each of them: 8 MiB.
_BLOCK_NUMBERS = 1 << 20


class CovarianceType(Enum):
    """Shape of the covariances of K groups in p dimensions.

    Attributes
    ----------
    FULL
        Any, an array of shape (K, p, p).
    TIED
        The same for all groups, (p, p).
    DIAG
        Diagonal, (K, p).
    SPHERICAL
        Multiples of the identity, (K,).
    """

    FULL = "full"
    TIED = "tied"
    DIAG = "diag"
    SPHERICAL = "spherical"

    @property
    def is_matrix(self):
        """Whether covariances are stored as matrices."""
        return self in (CovarianceType.FULL, CovarianceType.TIED)


class CovariancePrior(NamedTuple):
    """Rows that every covariance is given before it sees the data.

    The posterior mode is ``(S + scatter I) / (n_k + rows)`` with S the scatter of a group of n_k
    rows: an inverse Wishart prior, written in coordinates in which its scale is the identity.

    Attributes
    ----------
    scatter : float
        Scatter of the additional rows in every direction.
    rows : float
        How many they are.
    """

    scatter: float
    rows: float

    @classmethod
    def weak(cls, n_groups, n_features):
        """A fifth of a row, with the covariance of groups that share out the volume of the data.

        In coordinates in which the data have the covariance I, ``n_groups`` equal groups that fill
        the same volume have ``I / n_groups^(2 / p)``, see [1]_.

        References
        ----------
        .. [1] C. Fraley, A. E. Raftery, "Bayesian regularization for normal mixture estimation and
           model-based clustering", J. Classification 24, 2007: the scale; they give it p + 2 rows
           and more, which is too much for small groups in many dimensions and for tight ones.
        """
        return cls(_PRIOR_ROWS * n_groups ** (-2 / n_features), _PRIOR_ROWS)


class GaussianGroups(NamedTuple):
    """Parameters of Gaussian groups, for each of several starts.

    Attributes
    ----------
    means : ndarray of shape (n_starts, n_groups, n_features)
        Centres.
    covariances : ndarray of shape (n_starts, ...)
        See :class:`CovarianceType`.
    log_weights : ndarray of shape (n_starts, n_groups)
        Logarithms of the shares; all equal where they are not estimated.
    """

    means: np.ndarray
    covariances: np.ndarray
    log_weights: np.ndarray

    def of_start(self, index):
        """Parameters of one start, as a stack of one."""
        return GaussianGroups(*(values[index : index + 1] for values in self))


class GroupModel(NamedTuple):
    """What is assumed of the groups, and what follows from it.

    Attributes
    ----------
    covariance_type : CovarianceType
        Shape of the covariances.
    estimated_weights : bool
        Whether the shares of the groups are parameters; else they are equal.
    prior : CovariancePrior
        Of every covariance that is estimated.
    covariances : None or ndarray of shape (n_groups, n_features, n_features)
        Covariances that are known; the type is then FULL.
    """

    covariance_type: CovarianceType
    estimated_weights: bool
    prior: CovariancePrior
    covariances: np.ndarray | None = None

    @property
    def is_exchangeable(self):
        """Whether all groups have the same covariance and share, whatever the memberships."""
        return self.covariance_type is CovarianceType.TIED and not self.estimated_weights

    @property
    def needed_moments(self):
        """Type of the moments that :meth:`groups` needs: the cheapest if covariances are known."""
        return self.covariance_type if self.covariances is None else CovarianceType.SPHERICAL

    def groups(self, moments):
        """Parameters of highest posterior for given memberships.

        Parameters
        ----------
        moments : GroupMoments
            Of the memberships, for this type of covariance; scatters are not looked at where
            covariances are known.

        Returns
        -------
        groups : GaussianGroups
            Means of the rows, covariances shrunk by the prior; of a group without rows that of
            the prior. Shares are at least 0.001, before they are made to sum to 1.
        """
        sizes, means, _ = moments
        n_starts, n_groups = sizes.shape
        if self.covariances is None:
            covariances = self._shrunk(moments)
        else:
            covariances = np.broadcast_to(self.covariances, (n_starts, *self.covariances.shape))
        weights = np.full(sizes.shape, 1 / n_groups)
        if self.estimated_weights:
            weights = np.maximum(sizes / sizes.sum(axis=1, keepdims=True), _LEAST_WEIGHT)
            weights /= weights.sum(axis=1, keepdims=True)
        return GaussianGroups(means, covariances, np.log(weights))

    def _shrunk(self, moments):
        sizes, means, scatters = moments
        p = means.shape[-1]
        scatter, rows = self.prior
        if self.covariance_type is CovarianceType.FULL:
            return (scatters + scatter * np.eye(p)) / (sizes + rows)[..., None, None]
        if self.covariance_type is CovarianceType.TIED:
            return (scatters + scatter * np.eye(p)) / (sizes.sum(axis=1) + rows)[:, None, None]
        if self.covariance_type is CovarianceType.DIAG:
            return (scatters + scatter) / (sizes + rows)[..., None]
        return (scatters + p * scatter) / (p * (sizes + rows))

    def log_joint(self, X, groups):
        """Logarithms of ``w_k N(x | m_k, S_k)``.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float64
            The rows.
        groups : GaussianGroups
            Parameters of n_starts starts.

        Returns
        -------
        log_joint : ndarray of shape (n_starts, n_groups, n_samples)

        Notes
        -----
        O(n p^2) time for each group of each start, O(n p) for diagonal covariances, and for known
        ones once all starts share O(n p^2) for each group. Besides the result, memory for a block
        of rows.
        """
        n_starts, n_groups, p = groups.means.shape
        whitening, log_determinants = self._whitening(groups)
        flat = groups.means.reshape(-1, p)
        constants = groups.log_weights - 0.5 * (p * _LOG_2_PI + log_determinants)
        if self.covariances is not None:
            distances, numbers_of_row = _shared_distances, p
        elif self.covariance_type.is_matrix:
            whitening = np.broadcast_to(whitening, (n_starts, n_groups, p, p)).reshape(-1, p, p)
            distances, numbers_of_row = _matrix_distances, len(flat) * p
        else:
            whitening = np.broadcast_to(whitening, groups.means.shape).reshape(-1, p)
            distances, numbers_of_row = _diagonal_distances, len(flat) * p
        joint = np.empty((n_starts * n_groups, len(X)))
        for rows in row_blocks(len(X), numbers_of_row):
            joint[:, rows] = distances(X[rows], flat, whitening)
        joint *= -0.5
        joint += constants.reshape(-1, 1)
        return joint.reshape(n_starts, n_groups, len(X))

    def profile_likelihood(self, groups, moments):
        """Log-likelihood of memberships whose means are at their best.

        Parameters
        ----------
        groups : GaussianGroups
            Covariances and shares; means are not looked at.
        moments : GroupMoments
            Of the memberships, lifted or not.

        Returns
        -------
        log_likelihood : ndarray of shape (n_starts,)
            Half of ``sum_k <A_k, Z_k>``, the value of the likelihood-adjusted program, less
            ``n p log(2 pi) / 2``; with equal shares less ``n log K`` as well.
        """
        p = groups.means.shape[-1]
        whitening, log_determinants = self._whitening(groups)
        sizes, _, scatters = moments
        if self.covariance_type.is_matrix:
            if self.covariance_type is CovarianceType.TIED:
                whitening = whitening[:, 0]
            distances = (whitening @ scatters) * whitening
        elif self.covariance_type is CovarianceType.DIAG:
            distances = scatters * np.square(whitening)
        else:
            distances = scatters * np.square(whitening[..., 0])
        total = distances.reshape(len(sizes), -1).sum(axis=1)
        logarithms = groups.log_weights - 0.5 * (p * _LOG_2_PI + log_determinants)
        return (sizes * logarithms).sum(axis=1) - 0.5 * total

    def log_prior(self, groups):
        """Log density of the prior at the covariances, but for a constant; shape (n_starts,).

        Notes
        -----
        ``-(rows log|S| + scatter tr S^-1) / 2`` summed over the covariances; 0 if they are known.
        Together with the log-likelihood it is maximal at :meth:`groups`.
        """
        if self.covariances is not None:
            return np.zeros(len(groups.means))
        p = groups.means.shape[-1]
        whitening, log_determinants = self._whitening(groups)
        axes = tuple(range(1, whitening.ndim))
        traces = np.square(whitening).sum(axis=axes)
        if self.covariance_type is CovarianceType.SPHERICAL:
            traces *= p
        return -0.5 * (self.prior.rows * log_determinants.sum(axis=1) + self.prior.scatter * traces)

    def _whitening(self, groups):
        # Known covariances are those of every start: one of them is factorised for all.
        covariances = groups.covariances if self.covariances is None else groups.covariances[:1]
        return _whitening(covariances, self.covariance_type, groups.means.shape[-1])

    def matrices(self, groups):
        """Covariances of all groups as matrices, (n_starts, n_groups, n_features, n_features)."""
        n_starts, n_groups, p = groups.means.shape
        covariances = groups.covariances
        if self.covariance_type is CovarianceType.SPHERICAL:
            covariances = covariances[..., None, None] * np.eye(p)
        elif self.covariance_type is CovarianceType.DIAG:
            covariances = covariances[..., None] * np.eye(p)
        elif self.covariance_type is CovarianceType.TIED:
            covariances = covariances[:, None]
        return np.broadcast_to(covariances, (n_starts, n_groups, p, p))


def row_blocks(n, numbers_of_row):
    """Cut rows into blocks, each as long as 8 MiB for its numbers allow.

    Parameters
    ----------
    n : int
        Number of rows.
    numbers_of_row : int
        What is computed for each row, in numbers of float64.

    Returns
    -------
    blocks : generator of slice
        Of 16 rows at least.
    """
    step = max(16, _BLOCK_NUMBERS // max(numbers_of_row, 1))
    return (slice(start, start + step) for start in range(0, n, step))


def _whitening(covariances, covariance_type, n_features):
    """Inverse Cholesky factors, or inverse deviations; and log determinants per covariance."""
    if covariance_type.is_matrix:
        factors = np.linalg.cholesky(covariances)
        diagonals = np.diagonal(factors, axis1=-2, axis2=-1)
        log_determinants = 2 * np.log(diagonals).sum(axis=-1)
        whitening = np.linalg.inv(factors)
        if covariance_type is CovarianceType.TIED:
            return whitening[:, None], log_determinants[:, None]
        return whitening, log_determinants
    if covariance_type is CovarianceType.DIAG:
        return 1 / np.sqrt(covariances), np.log(covariances).sum(axis=-1)
    return 1 / np.sqrt(covariances)[..., None], n_features * np.log(covariances)


def _matrix_distances(rows, means, whitening):
    """Squared Mahalanobis distances, (n_components, n_rows)."""
    n_components, p = means.shape
    whitened = (whitening.reshape(-1, p) @ rows.T).reshape(n_components, p, len(rows))
    whitened -= whitening @ means[:, :, None]
    return np.einsum("kij,kij->kj", whitened, whitened)


def _shared_distances(rows, means, whitening):
    """The same where groups have the same covariances in every start: rows are whitened once."""
    n_groups = whitening.shape[1]
    distances = np.empty((len(means), len(rows)))
    for group, factor in enumerate(whitening[0]):
        whitened = factor @ rows.T
        for component in range(group, len(means), n_groups):
            deviations = whitened - (factor @ means[component])[:, None]
            np.einsum("ij,ij->j", deviations, deviations, out=distances[component])
    return distances


def _diagonal_distances(rows, means, whitening):
    """The same for diagonal covariances."""
    precisions = np.square(whitening)
    distances = precisions @ np.square(rows).T
    distances -= 2 * (precisions * means) @ rows.T
    distances += (precisions * means * means).sum(axis=1)[:, None]
    return np.maximum(distances, 0.0)
