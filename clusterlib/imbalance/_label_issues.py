"""What estimators that know how far labels are right say of them, in words and in warnings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from clusterlib.validation import check_is_fitted, checked_integer, checked_real

if TYPE_CHECKING:
    from clusterlib.solvers import ShrinkageChoice
    from clusterlib.typing import Array, Float64Array, IndexArray

__all__ = ["LabelIssuesMixin", "warn_of_labels"]

# Of fewer right labels nothing in the rows tells a class from what is wrongly labelled as it.
_FEWEST_RIGHT_LABELS = 4
# Labels that are right this many times as often as a single wrong one: below, a model that starts
# from the labels may take one class for the other. Wrong labels at 40 % in one direction are at it.
_LEAST_DOMINANCE = 1.5


class LabelIssuesMixin:
    """Lists of wrong labels for estimators with ``label_quality_`` and ``other_labels_``."""

    classes_: Array
    class_prior_: Float64Array
    effective_counts_: Float64Array
    label_quality_: Float64Array
    other_labels_: Array
    transition_matrix_: Float64Array
    shrinkage_: float
    shrinkage_choice_: ShrinkageChoice | None
    n_iter_: int
    converged_: bool
    n_features_in_: int
    feature_names_in_: Array

    def find_label_issues(
        self, *, threshold: float = 0.5, n_issues: int | None = None
    ) -> tuple[IndexArray, Array, Float64Array]:
        """List the fitted rows whose labels are probably wrong, the most suspicious first.

        Parameters
        ----------
        threshold : float, default=0.5
            From 0 to 1: rows are listed if their labels are wrong with a larger probability.
        n_issues : int, default=None
            At most so many, at least 0. None lists all.

        Returns
        -------
        rows : ndarray of shape (n_found,), intp
            Positions in X of ``fit``; the lower one first on ties.
        labels : ndarray of shape (n_found,), dtype of y
            The most likely other label of each.
        probabilities : ndarray of shape (n_found,), float64
            That the given label is wrong, ``1 - label_quality_``.

        Raises
        ------
        AttributeError
            After a fit with ``recovery="paper"``, which knows no such probabilities.
        TypeError, ValueError
            For an argument of a wrong type or out of range.
        """
        check_is_fitted(self)
        threshold = checked_real("threshold", threshold, 0, 1)
        if n_issues is not None:
            n_issues = checked_integer("n_issues", n_issues, 0)
        if not hasattr(self, "label_quality_"):
            raise AttributeError(
                "find_label_issues needs a fit with recovery='noise_model'; the outliers of "
                "recovery='paper' are in inlier_mask_"
            )
        wrong = 1 - self.label_quality_
        rows = np.argsort(-wrong, kind="stable")
        rows = rows[wrong[rows] > threshold][:n_issues]
        return rows, self.other_labels_[rows], wrong[rows]


def warn_of_labels(estimator):
    """Warn the caller of the method that calls this, once for each reason.

    Reasons are a fit that has not converged, classes with hardly any right labels, and classes that
    are labelled as another one nearly as often as correctly.
    """
    name = type(estimator).__name__
    if not estimator.converged_:
        warnings.warn(
            f"{name} did not converge in max_iter={estimator.max_iter} iterations. Raise max_iter.",
            ConvergenceWarning,
            stacklevel=3,
        )
    if not hasattr(estimator, "label_quality_"):
        return
    scarce = estimator.effective_counts_ < _FEWEST_RIGHT_LABELS
    if scarce.any():
        names = ", ".join(map(repr, estimator.classes_[scarce].tolist()))
        warnings.warn(
            f"By the noise model fewer than {_FEWEST_RIGHT_LABELS} labels are right of: "
            f"{names}. Nothing in X tells such classes from what is wrongly labelled as them; "
            "check their labels, or add rows.",
            UserWarning,
            stacklevel=3,
        )
    doubtful = _doubtful_classes(estimator.classes_, estimator.transition_matrix_)
    if doubtful:
        warnings.warn(
            f"By the noise model classes are labelled as another nearly as often as correctly: "
            f"{', '.join(doubtful)}. One may have been taken for the other where classes are rare "
            "or have several parts; check some of these labels.",
            UserWarning,
            stacklevel=3,
        )


def _doubtful_classes(classes, transition):
    """Descriptions of classes whose labels are hardly more often right than one wrong one."""
    wrong = transition - np.diag(np.diag(transition))
    rivals = wrong.argmax(axis=1)
    doubtful = np.flatnonzero(np.diag(transition) < _LEAST_DOMINANCE * wrong.max(axis=1))
    names = np.asarray(classes).tolist()
    return [f"{names[k]!r} (as {names[rivals[k]]!r})" for k in doubtful]
