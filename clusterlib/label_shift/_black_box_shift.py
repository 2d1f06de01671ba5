"""BlackBoxShiftEstimator: class shares from how a classifier confuses the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.label_shift._shift_classifier import ShiftClassifier
from clusterlib.solvers import confusion_prior
from clusterlib.solvers.confusion_prior import confusion_covariance
from clusterlib.validation import checked_flag

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.typing import Array, Classifier, Float64Array

__all__ = ["BlackBoxShiftEstimator"]


class BlackBoxShiftEstimator(ShiftClassifier):
    """Label shift from the confusion matrix of a classifier (BBSE).

    A classifier is fitted to labelled rows of a source. A batch of unlabelled rows has the same
    classes in other shares. :meth:`fit` measures how the classifier confuses the classes on rows
    that it has not seen; :meth:`adapt` finds the shares under which its predictions for the batch
    come out as they do, with standard errors; ``predict`` then answers for these shares.

    Parameters
    ----------
    estimator : classifier, default=None
        Has ``fit`` and ``predict_proba``; it is copied. None is a logistic regression. A
        classifier that is fitted already goes in wrapped by ``sklearn.frozen.FrozenEstimator``,
        and ``fit`` then takes labelled rows that it was not fitted to.
    soft : bool, default=True
        Whether predictions are probabilities, or the classes of the highest ones. Probabilities
        lose less; they need not be calibrated.
    cross_fit : int, splitter, iterable or None, default=5
        Folds that hold rows out: a number, at least 2, of stratified ones (at most as many as the
        rarest class has rows), or what scikit-learn takes for ``cv``; None is 5.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels in the dtype of y.
    estimator_ : classifier
        Fitted to all rows of the source.
    class_frequencies_ : ndarray of shape (n_classes,), float64
        Shares of the classes among the labels of the source.
    source_prior_ : ndarray of shape (n_classes,), float64
        Mean of the probabilities of held-out rows, by which predictions are adapted.
    confusion_ : ndarray of shape (n_classes, n_classes), float64
        Mean predictions of held-out rows: column y is that of class y.
    condition_number_ : float
        Of ``confusion_``: errors of the mean prediction are enlarged by this at most.
    target_prior_ : ndarray of shape (n_classes,), float64
        Class shares of the batch, from :meth:`adapt`, like all that follows.
    unconstrained_prior_ : ndarray of shape (n_classes,), float64
        What the inverse of ``confusion_`` gives, which may be negative.
    residual_ : float
        Distance between the mean prediction and what ``target_prior_`` explains: far above its
        noise where more than the shares has shifted.
    prior_covariance_ : ndarray of shape (n_classes, n_classes), float64
        Sampling covariance of ``unconstrained_prior_``: of the batch and the confusion matrix.
    prior_errors_ : ndarray of shape (n_classes,), float64
        Standard errors, the roots of its diagonal; infinite if ``confusion_`` has no inverse.
    class_weights_ : ndarray of shape (n_classes,), float64
        Share in the batch over frequency in the source.
    effective_sample_size_ : float
        Rows of the source that are left when they are weighted so: the square of the sum of the
        weights over the sum of their squares.
    n_features_in_ : int
        Number of features, if the classifier counts them.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if the classifier knows them.

    See Also
    --------
    EMShiftEstimator : By maximum likelihood; more accurate with calibrated probabilities.
    LatentLabelShift : Without labels, from several domains.

    Notes
    -----
    Under label shift the mean prediction of the batch is ``C pi`` for the confusion matrix C and
    the shares pi, whatever the classifier [1]_. The shares are the nearest fit in the simplex
    rather than the inverse, and standard errors those of the inverse, by the delta method.

    Probabilities of a row are those of the classifier times ``target_prior_ / source_prior_``;
    they are as calibrated as those of the classifier.

    ``fit`` fits the classifier ``cross_fit + 1`` times; beside that both methods take O(n k^2)
    time and O(n k) memory, of which the predictions of held-out rows are kept.

    References
    ----------
    .. [1] Z. Lipton, Y.-X. Wang and A. Smola, "Detecting and correcting for label shift with
       black box predictors", ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.label_shift import BlackBoxShiftEstimator
    >>> rng = np.random.default_rng(0)
    >>> def rows(n_sick, n_well):
    ...     y = np.repeat(["sick", "well"], [n_sick, n_well])
    ...     return rng.normal(size=(len(y), 2)) + 1.5 * (y == "sick")[:, None], y
    >>> model = BlackBoxShiftEstimator().fit(*rows(300, 300))
    >>> model.confusion_.round(2), round(model.condition_number_, 1)
    (array([[0.8, 0.2],
           [0.2, 0.8]]), 1.7)
    >>> model.adapt(rows(900, 100)[0]).target_prior_.round(2)
    array([0.9, 0.1])
    """

    classes_: Array
    estimator_: Any
    class_frequencies_: Float64Array
    source_prior_: Float64Array
    confusion_: Float64Array
    condition_number_: float
    target_prior_: Float64Array
    unconstrained_prior_: Float64Array
    residual_: float
    prior_covariance_: Float64Array
    prior_errors_: Float64Array
    class_weights_: Float64Array
    effective_sample_size_: float
    n_features_in_: int
    feature_names_in_: Array

    _adapted = (*ShiftClassifier._adapted, "unconstrained_prior_", "residual_")

    def __init__(
        self, estimator: Classifier | None = None, *, soft: bool = True, cross_fit: Any = 5
    ) -> None:
        self.estimator = estimator
        self.soft = soft
        self.cross_fit = cross_fit

    def _check_parameters(self):
        checked_flag("soft", self.soft)

    def _learn(self, held_out, codes, weight):
        self.source_prior_ = np.average(held_out, axis=0, weights=weight)
        self._is_soft = checked_flag("soft", self.soft)
        self._held_out = self._predictions(held_out), codes, weight
        return self._held_out[0]

    def _read(self, probabilities):
        return probabilities

    def _predictions(self, probabilities):
        if self._is_soft:
            return probabilities
        return np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]

    def _estimate(self, probabilities, weight):
        predictions = self._predictions(probabilities)
        found = confusion_prior(self.confusion_, np.average(predictions, axis=0, weights=weight))
        self.unconstrained_prior_, self.residual_ = found.unconstrained, found.residual
        held_out, codes, source_weight = self._held_out
        covariance = confusion_covariance(
            self.confusion_,
            found.prior,
            held_out,
            codes,
            predictions,
            weight=source_weight,
            target_weight=weight,
        )
        return found.prior, covariance
