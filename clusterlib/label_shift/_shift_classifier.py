"""What estimators of label shift with labels share: held-out probabilities, adaption, intervals."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student_t
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from clusterlib.base import all_or_nothing
from clusterlib.blocks import is_carried
from clusterlib.label_shift._held_out import class_probabilities, held_out_probabilities
from clusterlib.solvers import prior_ratio, reweighted_posteriors
from clusterlib.solvers.confusion_prior import class_confusion
from clusterlib.validation import (
    check_is_fitted,
    checked_known_classes,
    checked_labelled_rows,
    checked_level,
    checked_on_host,
    checked_probabilistic,
    checked_sample_weight,
)
from clusterlib.validation.carriers import takes_carrier
from clusterlib.validation.folds import checked_folds

if TYPE_CHECKING:
    from typing import Any, Self

    from clusterlib.typing import Array, ArrayLike, Float64Array, SparseMatrix, Weights

__all__ = ["ShiftClassifier"]

# A share with a larger standard error is hardly known: its 95 % interval covers most of [0, 1].
_LARGE_ERROR = 0.2


class ShiftClassifier(ClassifierMixin, BaseEstimator):
    """Classifier that learns on labelled rows and adapts to a batch with other class shares.

    A subclass has ``_learn(held_out, codes, weight)``, which sets ``source_prior_`` and returns the
    predictions that make the confusion matrix; ``_read(probabilities)``, the posteriors that it
    believes; and ``_estimate(probabilities, weight)``, which returns the prior of a batch with its
    covariance. ``_adapted`` names what belongs to a batch.
    """

    _instead_of_blocks = (
        "fit it to a sample of the rows; for a large batch ask a classifier block by block and give "
        "its probabilities to clusterlib.solvers.shifted_prior"
    )
    _adapted = ("target_prior_", "prior_covariance_", "class_weights_", "effective_sample_size_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self._base()).input_tags
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Say where what is passed to ``fit`` goes: to ``fit`` of the classifier.

        Returns
        -------
        routing : MetadataRouter
            In the manner of scikit-learn's meta-estimators.
        """
        return MetadataRouter(owner=type(self).__name__).add(
            estimator=self._base(), method_mapping=MethodMapping().add(caller="fit", callee="fit")
        )

    def fit(self, X: ArrayLike | SparseMatrix, y: ArrayLike, **params: Any) -> Self:
        """Learn the classes, and how the classifier errs on rows that it has not seen.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Labelled rows of the source: whatever the classifier takes.
        y : array-like of shape (n_samples,)
            Their classes, numbers or strings; two classes at least, with two rows each.
        **params : dict
            Passed on to ``fit`` of the classifier; arrays of n_samples entries are split like the
            rows. A ``sample_weight`` counts in all that is learned from held-out rows, too.

        Returns
        -------
        self : estimator
            Fitted, and not adapted: predictions are for the class shares of the source.

        Raises
        ------
        ValueError
            For a parameter out of range, what the classifier refuses, NaN in y, a single class, a
            class with a single row, or folds that are no partition.
        TypeError
            For a parameter of a wrong type, a classifier without ``predict_proba``, or X that is
            read block by block, such as a path.
        """
        base = checked_probabilistic(self._base())
        self._check_parameters()
        self._check_rows(X)
        checked_on_host(self, y, "y")
        X, y, classes, codes = checked_labelled_rows(X, y)
        weight = checked_sample_weight(params.get("sample_weight"), len(y))
        if get_config()["enable_metadata_routing"]:
            params = process_routing(self, "fit", **params).estimator.fit
        folds = checked_folds(self.cross_fit, X, y, codes, weight)
        held_out = held_out_probabilities(base, X, y, classes, folds, params)
        with all_or_nothing(self):
            self.estimator_ = clone(base).fit(X, y, **params)
            self.classes_ = classes
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(self.estimator_, name):
                    setattr(self, name, getattr(self.estimator_, name))
            predictions = self._learn(held_out, codes, weight)
            self.confusion_ = class_confusion(predictions, codes, len(classes), weight=weight)
            self.condition_number_ = float(np.linalg.cond(self.confusion_))
            weight = np.ones(len(codes)) if weight is None else weight
            self._masses, self._squares = (np.bincount(codes, w) for w in (weight, weight**2))
            self.class_frequencies_ = self._masses / self._masses.sum()
            self._freedom = max(1.0, float((self._masses**2 / self._squares).min()) - 1.0)
            self._forget()
        return self

    def adapt(self, X: ArrayLike | SparseMatrix, *, sample_weight: Weights = None) -> Self:
        """Estimate the class shares of a batch of unlabelled rows, and predict for them.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_target, n_features)
            The batch: rows whose classes differ from those of the source in their shares alone.
        sample_weight : None, float or array-like of shape (n_target,), default=None
            Weights of the rows.

        Returns
        -------
        self : estimator
            Adapted: it has ``target_prior_`` and the attributes beside it, and predictions are
            for these shares. A second call starts afresh.

        Raises
        ------
        ValueError
            For what the classifier refuses (such as NaN), or wrong weights.
        """
        check_is_fitted(self)
        probabilities = self._probabilities(X)
        weight = checked_sample_weight(sample_weight, len(probabilities))
        with all_or_nothing(self):
            self._forget()
            self.target_prior_, self.prior_covariance_ = self._estimate(probabilities, weight)
            self.class_weights_ = prior_ratio(self.target_prior_, self.class_frequencies_)
            mass, square = (
                self._masses @ self.class_weights_,
                self._squares @ self.class_weights_**2,
            )
            self.effective_sample_size_ = float(mass**2 / square)
        self._warn_of_large_errors()
        return self

    def prior_interval(self, level: float = 0.95) -> Float64Array:
        """Confidence intervals of the class shares of the batch.

        Parameters
        ----------
        level : float, default=0.95
            Coverage of the interval of each class, strictly between 0 and 1.

        Returns
        -------
        interval : ndarray of shape (2, n_classes), float64
            Lower and upper ends within [0, 1]: so many standard errors to either side of an
            estimate that does not depend on the calibration, which is the prior itself where it
            was read off a confusion matrix; the prior is always inside. How many is read off a t
            distribution with one degree of freedom less than the rarest class has rows.

        Raises
        ------
        ValueError
            For a level out of range.
        NotFittedError
            Before :meth:`adapt`.
        """
        check_is_fitted(self, "target_prior_")
        n_errors = student_t.isf((1.0 - checked_level(level)) / 2.0, self._freedom)
        center, errors = self._center_and_errors()
        low = np.minimum(center - n_errors * errors, self.target_prior_)
        high = np.maximum(center + n_errors * errors, self.target_prior_)
        return np.clip([low, high], 0.0, 1.0)

    @property
    def prior_errors_(self):
        """Standard errors of ``target_prior_``.

        Returns
        -------
        errors : ndarray of shape (n_classes,), float64
            Roots of the diagonal of ``prior_covariance_``.
        """
        check_is_fitted(self, "target_prior_")
        return np.sqrt(np.diag(self.prior_covariance_))

    def importance_weights(self, y: ArrayLike) -> Float64Array:
        """Weights that give labelled rows of the source the class shares of the batch.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Labels of rows of the source, as in ``fit``.

        Returns
        -------
        weights : ndarray of shape (n_samples,), float64
            Share of the class in the batch over its frequency in the source: to fit any other
            estimator for the batch.

        Raises
        ------
        ValueError
            For a label that ``fit`` has not seen.
        NotFittedError
            Before :meth:`adapt`.
        """
        check_is_fitted(self, "target_prior_")
        return self.class_weights_[checked_known_classes(y, self.classes_)]

    def predict_proba(self, X: ArrayLike | SparseMatrix) -> Float64Array:
        """Probabilities of the classes, for the shares of the batch last adapted to.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            Before :meth:`adapt`, for the shares of the source.

        Raises
        ------
        ValueError
            For what the classifier refuses.
        """
        check_is_fitted(self)
        posteriors = self._read(self._probabilities(X))
        if not hasattr(self, "target_prior_"):
            return posteriors
        return reweighted_posteriors(
            posteriors, prior_ratio(self.target_prior_, self.source_prior_)
        )

    def predict(self, X: ArrayLike | SparseMatrix) -> Array:
        """Class of the highest probability, for the shares of the batch last adapted to.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Classes in the dtype of y.

        Raises
        ------
        ValueError
            For what the classifier refuses.
        """
        check_is_fitted(self)
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def _center_and_errors(self):
        """What intervals are put around, and its standard errors."""
        return self.target_prior_, self.prior_errors_

    def _base(self):
        return LogisticRegression(max_iter=1000) if self.estimator is None else self.estimator

    def _probabilities(self, X):
        self._check_rows(X)
        return class_probabilities(self.estimator_, X, self.classes_)

    def _check_rows(self, X):
        """Refuse rows that are not in the memory of the host; a list may hold texts, no paths."""
        checked_on_host(self, X)
        if not isinstance(X, (list, tuple)) and is_carried(X):
            takes_carrier(self, X)

    def _forget(self):
        """Drop what belongs to another batch."""
        for name in self._adapted:
            self.__dict__.pop(name, None)

    def _warn_of_large_errors(self):
        worst = int(np.argmax(self.prior_errors_))
        error = float(self.prior_errors_[worst])
        if error > _LARGE_ERROR:
            warnings.warn(
                f"{type(self).__name__}: the share of class {self.classes_.tolist()[worst]!r} is hardly "
                f"known: {self.target_prior_[worst]:.3g} with a standard error of {error:.3g}. The "
                "batch is small, or the classifier does not tell the classes apart (the confusion "
                f"matrix has the condition number {self.condition_number_:.3g}).",
                UserWarning,
                stacklevel=3,
            )
