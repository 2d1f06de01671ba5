"""What an estimator of Gaussian groups answers once it is fitted: labels, densities, criteria."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin

from clusterlib.blocks import as_blocks, is_carried
from clusterlib.cluster._group_density import GroupDensity, log_density, most_likely, posterior
from clusterlib.solvers.row_results import row_results
from clusterlib.validation import check_is_fitted, checked_matrix
from clusterlib.validation.carriers import checked_carrier

if TYPE_CHECKING:
    from clusterlib.typing import Carrier, Float64Array, Int32Array

__all__ = ["GaussianGroupsEstimator"]


class GaussianGroupsEstimator(ClusterMixin, BaseEstimator):
    """Base of estimators with ``means_``, ``covariances_`` and ``weights_``."""

    def predict(self, X: Carrier) -> Int32Array:
        """Find the most likely group of each row.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign; they may be read block by block.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            ``argmax_k -log|S_k| - (x - m_k)' S_k^-1 (x - m_k) + 2 log w_k``, the lowest index on
            ties.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        return self._map(most_likely, X)

    def predict_proba(self, X: Carrier) -> Float64Array:
        """Compute how probable each group is for each row, if the fitted model were true.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign; they may be read block by block.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_clusters), float64
            Rows sum to 1; the largest belongs to the group that ``predict`` names.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        return self._map(posterior, X)

    def score_samples(self, X: Carrier) -> Float64Array:
        """Compute the logarithm of the density of the fitted mixture at each row.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to measure; they may be read block by block.

        Returns
        -------
        log_densities : ndarray of shape (n_samples,), float64
            ``log sum_k w_k N(x | m_k, S_k)`` in the space of all features. Where groups were found
            on principal components, the rest of a row counts as spherical noise of
            ``noise_variance_``, so that densities integrate to 1 and models of different
            dimensions can be compared; if there is no rest (``noise_variance_`` is 0), the
            density is one on the components alone.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        return self._map(log_density, X)

    def score(self, X: Carrier, y: object = None) -> float:
        """Compute the mean of the log densities of the rows.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to measure; they may be read block by block.
        y : object, default=None
            Ignored.

        Returns
        -------
        score : float
            Mean of ``score_samples(X)``.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        return float(self.score_samples(X).mean())

    def bic(self, X: Carrier) -> float:
        """Compute the Bayesian information criterion of the fitted mixture.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to measure; they may be read block by block.

        Returns
        -------
        bic : float
            ``-2 sum(score_samples(X)) + n_parameters_ log(n_samples)``: the smaller the better.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        log_densities = self.score_samples(X)
        penalty = self.n_parameters_ * np.log(len(log_densities))
        return float(penalty - 2 * log_densities.sum())

    def aic(self, X: Carrier) -> float:
        """Compute the Akaike information criterion of the fitted mixture.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to measure; they may be read block by block.

        Returns
        -------
        aic : float
            ``-2 sum(score_samples(X)) + 2 n_parameters_``: the smaller the better.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        log_densities = self.score_samples(X)
        return float(2 * self.n_parameters_ - 2 * log_densities.sum())

    def _labels(self, X):
        return self._answers(most_likely, X)

    def _map(self, answer, X):
        check_is_fitted(self)
        # Other than fit, an answer needs no row but its own.
        checked = checked_carrier if is_carried(X) else checked_matrix
        return self._answers(answer, checked(self, X, reset=False))

    def _answers(self, answer, X):
        return row_results(partial(answer, GroupDensity.of(self)), as_blocks(X))
