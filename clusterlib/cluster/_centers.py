"""What estimators with cluster centres have in common once they are fitted."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)

from clusterlib.base import CallbackSupportMixin
from clusterlib.blocks import as_blocks
from clusterlib.solvers import assign, center_distances, total_cost
from clusterlib.validation import (
    check_is_fitted,
    checked_matrix,
    checked_range,
    checked_same_side,
    checked_sample_weight,
)

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.typing import Array, Carrier, Float64Array, FloatArray, Int32Array, Weights

__all__ = ["CentersEstimator"]


class CentersEstimator(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    CallbackSupportMixin,
    BaseEstimator,
):
    """Base of the k-means family: everything that needs ``cluster_centers_`` alone."""

    cluster_centers_: FloatArray
    labels_: Int32Array
    inertia_: float
    n_iter_: int
    converged_: bool
    history_: Float64Array
    n_relocated_: int
    cluster_sizes_: Float64Array
    n_features_in_: int
    feature_names_in_: Array

    if TYPE_CHECKING:  # what scikit-learn's classes add, which have no types

        def fit_predict(self, X: Carrier, y: object = None, **kwargs: Any) -> Int32Array: ...
        def fit_transform(self, X: Carrier, y: object = None, **params: Any) -> FloatArray: ...

    _spherical = False

    def predict(self, X: Carrier) -> Int32Array:
        """Find the nearest centre of each row.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Exact; the lowest index on ties.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        blocks = self._fitted_blocks(X)
        return blocks.like(assign(blocks, self.cluster_centers_, spherical=self._spherical))

    def transform(self, X: Carrier) -> FloatArray:
        """Compute the distance of each row to each centre.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to measure.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_clusters)
            Euclidean distances (cosine distances for spherical k-means) in the dtype of X.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        blocks = self._fitted_blocks(X)
        distances = center_distances(blocks, self.cluster_centers_, spherical=self._spherical)
        return blocks.like(distances)

    def score(self, X: Carrier, y: object = None, sample_weight: Weights = None) -> float:
        """Compute the negative of what ``fit`` minimises.

        Parameters
        ----------
        X : array-like, data frame or carrier of shape (n_samples, n_features)
            Rows to assign.
        y : object, default=None
            Ignored.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Weights, not negative. None means 1.

        Returns
        -------
        score : float
            Minus the weighted sum of the costs of the rows at their nearest centres.

        Raises
        ------
        ValueError
            If X or the weights are not what they have to be.
        """
        blocks = self._fitted_blocks(X)
        weight = checked_sample_weight(sample_weight, blocks.n_samples, beside=X)
        return -total_cost(
            blocks, self.cluster_centers_, sample_weight=weight, spherical=self._spherical
        )

    def _fitted_blocks(self, X):
        check_is_fitted(self, "cluster_centers_")  # an interrupted fit has counted features only
        X = checked_matrix(self, X, reset=False)
        checked_same_side(self, X, self.cluster_centers_)
        if isinstance(X, np.ndarray):
            checked_range(X, tiny=True)
        return as_blocks(X)

    @property
    def _n_features_out(self):
        """Number of columns of ``transform``, for the names that scikit-learn makes."""
        return self.cluster_centers_.shape[0]

    def __setstate__(self, state):
        """Read what an older version stored; it lacks parameters that are younger."""
        super().__setstate__(state)
        # Not from an instance: classes derived from these may have parameters without defaults.
        for cls in type(self).__mro__:
            if "__init__" in vars(cls):
                for name, parameter in signature(cls.__init__).parameters.items():
                    if parameter.default is not parameter.empty:
                        vars(self).setdefault(name, parameter.default)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
