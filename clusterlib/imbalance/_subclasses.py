"""What SubclassBalancer knows of the subclasses that it has made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.validation import check_is_fitted, checked_subclasses

if TYPE_CHECKING:
    from clusterlib.typing import (
        Array,
        ArrayLike,
        Float64Array,
        FloatArray,
        IndexArray,
        Int32Array,
        Int64Array,
    )

__all__ = ["SubclassesMixin"]


class SubclassesMixin:
    """Fitted attributes of the balancer, and what needs them alone."""

    classes_: Array
    threshold_: int
    n_subclasses_: Int64Array
    subclass_labels_: Int32Array
    parent_: IndexArray
    subclass_sizes_: Int64Array
    subclass_centers_: FloatArray
    prices_: Float64Array
    inertias_: Float64Array
    dual_gaps_: Float64Array
    n_iter_: Int64Array
    converged_: bool
    sample_indices_: IndexArray
    n_features_in_: int
    feature_names_in_: Array

    def to_classes(self, labels: ArrayLike) -> Array:
        """Turn subclasses into the classes they are part of.

        Parameters
        ----------
        labels : array-like of int, of any shape
            Subclasses.

        Returns
        -------
        classes : ndarray of the same shape, dtype of y
            ``classes_[parent_[labels]]``.

        Raises
        ------
        ValueError
            For a number that is no subclass.
        TypeError
            For what is no integer.
        """
        check_is_fitted(self)
        return self.classes_[self.parent_[checked_subclasses(labels, len(self.parent_))]]

    def _store(self, result):
        self.subclass_labels_ = result.labels
        self.sample_indices_ = np.arange(len(result.labels))
        self.parent_ = result.parent
        self.subclass_sizes_ = np.bincount(result.labels, minlength=len(result.parent))
        self.subclass_centers_ = result.centers
        self.prices_ = result.prices
        self.inertias_ = result.inertias
        self.dual_gaps_ = result.dual_gaps
        self.n_iter_ = result.n_iter
        self.converged_ = bool(result.converged.all())
