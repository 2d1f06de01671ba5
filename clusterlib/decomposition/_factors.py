"""What SimplexNMF has once it is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from clusterlib.base import CallbackSupportMixin
from clusterlib.decomposition._nmf_fit import FactorOptions
from clusterlib.validation import check_is_fitted, checked_cell_weight, checked_nonnegative_matrix

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, FloatArray, Int64Array

__all__ = ["FactorsEstimator"]


class FactorsEstimator(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, CallbackSupportMixin, BaseEstimator
):
    """Base of SimplexNMF: its fitted attributes, and what methods do before they use them."""

    components_: FloatArray
    n_components_: int
    shares_: Float64Array
    condition_: float
    restart_agreement_: float
    anchors_: Int64Array | None
    reconstruction_err_: float
    n_iter_: int
    converged_: bool
    history_: Float64Array
    n_features_in_: int
    feature_names_in_: Array

    def _fitted(self, X, cell_weight):
        check_is_fitted(self, "components_")  # an interrupted fit has counted features only
        options = FactorOptions(self)
        X = checked_nonnegative_matrix(self, X, reset=False, missing=options.missing)
        cell_weight = checked_cell_weight(cell_weight, X, missing=options.missing, some=False)
        options.refuse(cell_weight)
        return options, X, cell_weight

    @property
    def _n_features_out(self):
        """Number of columns of ``transform``, for the names that scikit-learn makes."""
        return self.components_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing_values is not None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
