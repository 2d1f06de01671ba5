"""Prior and maximisation step of Gaussian classes with wrong labels."""

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

__all__ = ["ClassAssumptions", "ClassParameters"]

# Of rows that are all 0: its inverse may still be multiplied by sums.
_LEAST_VARIANCE = 1e-200
# A shrinkage by more rows than anybody has is divided before it is multiplied.
_MANY_ROWS = 1e100


class ClassParameters(NamedTuple):
    """What an iteration estimates.

    Attributes
    ----------
    means : ndarray of shape (n_classes, n_features), float64
        Centres of the classes.
    covariances : ndarray of shape (n_classes or 1, n_features, n_features), float64
        A single one is shared by all classes.
    pooled : ndarray of shape (n_features, n_features), float64
        Matrix P of the prior.
    transition : ndarray of shape (n_classes, n_classes), float64
        Probability of each label, in columns, for each class, in rows.
    class_prior : ndarray of shape (n_classes,), float64
        Shares of the classes.
    """

    means: np.ndarray
    covariances: np.ndarray
    pooled: np.ndarray
    transition: np.ndarray
    class_prior: np.ndarray


class ClassAssumptions(NamedTuple):
    """What is assumed of the classes before the posteriors are looked at.

    Attributes
    ----------
    total : float
        Weight of all rows.
    overall_mean : ndarray of shape (n_features,), float64
        Where the rows lie that every mean is given in advance.
    mean_rows : float
        How many they are.
    shrinkage : float
        Rows of the pooled covariance that every covariance is given; infinity shares it.
    ridge : float
        Share of a multiple of the identity in the pooled covariance.
    transition_prior : ndarray of shape (n_classes, n_classes), float64
        Transition that is expected.
    transition_rows : float
        How many rows of each class speak for it.
    """

    total: float
    overall_mean: np.ndarray
    mean_rows: float
    shrinkage: float
    ridge: float
    transition_prior: np.ndarray
    transition_rows: float

    @property
    def is_shared(self):
        """Whether all classes have the same covariance."""
        return bool(np.isinf(self.shrinkage))

    def first_step(self, statistics, centers):
        """Parameters from the statistics alone, with the pooled matrix they suggest.

        Parameters
        ----------
        statistics : LabelStatistics
            Deviations from the centres.
        centers : ndarray of shape (n_classes, n_features), float64
            The centres.

        Returns
        -------
        parameters : ClassParameters
        """
        weights = (statistics.weights + self.mean_rows)[:, None]
        pull = self.mean_rows * (centers - self.overall_mean)
        steps = (statistics.sums - pull) / weights
        scatters = _moved_scatters(statistics, steps)
        scatter = scatters.sum(axis=0) / self.total
        pooled = self._lifted(scatter, max(_mean_variance(scatter), self._least_variance()))
        if self.is_shared:
            covariances = pooled[None]
        else:
            covariances = self._shrunk(scatters, statistics.counts, pooled)
        return ClassParameters(
            centers + steps, covariances, pooled, *self._probabilities(statistics.counts)
        )

    def next_step(self, statistics, before, whitening):
        """Parameters that raise the posterior density, with the pooled matrix as it was.

        Parameters
        ----------
        statistics : LabelStatistics
            Deviations from the means before.
        before : ClassParameters
            Those of the statistics.
        whitening : ndarray of the shape of their covariances
            Inverse Cholesky factors.

        Returns
        -------
        parameters : ClassParameters

        Notes
        -----
        Means for the covariances before, then covariances for these means: O(K m^3) time.
        """
        steps = self._mean_steps(statistics, before, whitening)
        scatters = _moved_scatters(statistics, steps)
        if self.is_shared:
            covariances = self._lifted(scatters / self.total, _mean_variance(before.pooled))
        else:
            covariances = self._shrunk(scatters, statistics.counts, before.pooled)
        return ClassParameters(
            before.means + steps,
            covariances,
            before.pooled,
            *self._probabilities(statistics.counts),
        )

    def log_prior(self, parameters, densities):
        """Log density of the prior but for a constant that parameters do not change.

        Parameters
        ----------
        parameters : ClassParameters
            All but the pooled matrix are looked upon as unknown.
        densities : ClassDensities
            Of these parameters.

        Returns
        -------
        log_prior : float
        """
        factor = np.linalg.cholesky(parameters.pooled)
        pulls = np.linalg.solve(factor, (parameters.means - self.overall_mean).T)
        total = -0.5 * self.mean_rows * np.square(pulls).sum()
        logs, whitening = densities.log_determinants, densities.whitening
        if self.is_shared:
            rows = self.total * self.ridge / (1 - self.ridge)
            traces = _mean_variance(parameters.pooled) * np.square(whitening).sum()
        else:
            rows = self.shrinkage
            traces = np.square(whitening @ factor).sum()
        total -= 0.5 * rows * (logs.sum() + traces)
        prior_counts = self.transition_rows * self.transition_prior
        total += xlogy(prior_counts, parameters.transition).sum()
        return float(total + np.log(parameters.class_prior).sum())

    def _least_variance(self):
        """What rows that are all the same have by the rounding of their mean."""
        rounding = 4 * np.finfo(np.float64).eps
        return max(float(np.mean(np.square(rounding * self.overall_mean))), _LEAST_VARIANCE)

    def _mean_steps(self, statistics, before, whitening):
        """Solve (V_k A_k + kappa B) step_k = A_k s_k - kappa B (mean_k - m0), B the inverse of P."""
        if self.is_shared:
            return self._shared_mean_steps(statistics, before, whitening[0])
        precisions = whitening.transpose(0, 2, 1) @ whitening
        pull = self.mean_rows * np.linalg.inv(before.pooled)
        left = statistics.weights[:, None, None] * precisions + pull
        right = (precisions @ statistics.sums[:, :, None])[:, :, 0]
        right -= (before.means - self.overall_mean) @ pull
        return np.linalg.solve(left, right[:, :, None])[:, :, 0]

    def _shared_mean_steps(self, statistics, before, whitening):
        """The same where A is one matrix: a basis makes it 1 and B diagonal for all classes."""
        prior_spreads, axes = np.linalg.eigh(whitening @ before.pooled @ whitening.T)
        axes = axes.T @ whitening  # A is its square, B is that with precisions between
        pull = self.mean_rows / prior_spreads
        right = statistics.sums @ axes.T
        right -= (before.means - self.overall_mean) @ axes.T * pull
        return np.linalg.solve(axes, (right / (statistics.weights[:, None] + pull)).T).T

    def _lifted(self, scatter, level):
        return (1 - self.ridge) * scatter + self.ridge * level * np.eye(scatter.shape[-1])

    def _shrunk(self, scatters, counts, pooled):
        rows = (counts.sum(axis=1) + self.shrinkage)[:, None, None]
        if self.shrinkage > _MANY_ROWS:  # whose scatter may be beyond float64
            return scatters / rows + (self.shrinkage / rows) * pooled
        return (scatters + self.shrinkage * pooled) / rows

    def _probabilities(self, counts):
        """Transition and class prior."""
        transition = counts + self.transition_rows * self.transition_prior
        transition /= transition.sum(axis=1, keepdims=True)
        return transition, (counts.sum(axis=1) + 1) / (self.total + len(counts))


def _moved_scatters(statistics, steps):
    """Scatters about centres that have moved."""
    _, weights, sums, scatters, _ = statistics
    # Symmetric to the last bit: a matrix plus its transpose, roots on both sides.
    halves = np.sqrt(weights)[:, None] * steps
    if len(scatters) < len(sums):
        cross = (sums.T @ steps)[None]
        squares = (halves.T @ halves)[None]
    else:
        cross = sums[:, :, None] * steps[:, None, :]
        squares = halves[:, :, None] * halves[:, None, :]
    return scatters - (cross + cross.transpose(0, 2, 1)) + squares


def _mean_variance(matrix):
    return float(matrix.trace()) / len(matrix)
