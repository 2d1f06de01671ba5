"""EMShiftEstimator: class shares of highest likelihood from calibrated probabilities."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from clusterlib.label_shift._shift_classifier import ShiftClassifier
from clusterlib.solvers import (
    CalibrationKind,
    calibrate,
    calibrated,
    class_confusion,
    confusion_prior,
    shifted_prior,
)
from clusterlib.solvers.calibration import calibration_influence, floored_logarithms
from clusterlib.solvers.confusion_prior import confusion_covariance
from clusterlib.solvers.prior_covariance import shifted_prior_covariance, source_covariance
from clusterlib.solvers.prior_shift import prior_scores
from clusterlib.validation import ShiftCalibration, checked_calibration, checked_flag

if TYPE_CHECKING:
    from typing import Any, Literal

    from clusterlib.solvers.calibration import Calibration
    from clusterlib.typing import Array, Classifier, Float64Array

__all__ = ["EMShiftEstimator"]

_KINDS = {
    ShiftCalibration.NONE: None,
    ShiftCalibration.TEMPERATURE: CalibrationKind.TEMPERATURE,
    ShiftCalibration.BIAS_CORRECTED: CalibrationKind.BIAS_CORRECTED,
    ShiftCalibration.VECTOR: CalibrationKind.VECTOR,
}


class EMShiftEstimator(ShiftClassifier):
    """Label shift by maximum likelihood, with calibrated probabilities (MLLS).

    A classifier is fitted to labelled rows of a source. A batch of unlabelled rows has the same
    classes in other shares. :meth:`fit` calibrates the probabilities of the classifier on rows
    that it has not seen; :meth:`adapt` finds the shares under which the batch is most likely,
    with standard errors; ``predict`` then answers for these shares.

    Parameters
    ----------
    estimator : classifier, default=None
        Has ``fit`` and ``predict_proba``; it is copied. None is a logistic regression. A
        classifier that is fitted already goes in wrapped by ``sklearn.frozen.FrozenEstimator``,
        and ``fit`` then takes labelled rows that it was not fitted to.
    calibration : {"bcts", "vector", "temperature"} or None, default="bcts"
        What is done to the logarithms of the probabilities: one slope and an offset for each
        class (bias-corrected temperature scaling), a slope and an offset for each class, or one
        slope. The first two make the mean of the probabilities equal the class frequencies. None
        believes the classifier as it is.
    correct : bool, default=False
        Whether ``target_prior_`` is ``corrected_prior_``: unbiased where no calibration fits, as
        for a classifier of strong wrong assumptions with many labelled rows; else its errors are
        larger, by a tenth for some hundred rows.
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
        Mean of the calibrated probabilities of held-out rows: what they mean by "source".
    calibration_ : Calibration or None
        ``slope`` and ``offset`` of each class, ``log_loss`` on the held-out rows, and how it was
        found; ``history[0]`` is the log loss before.
    confusion_ : ndarray of shape (n_classes, n_classes), float64
        Mean calibrated probabilities of held-out rows: column y is that of class y.
    condition_number_ : float
        Of ``confusion_``: 1 is a perfect classifier, and infinity one that does not tell classes
        apart.
    target_prior_ : ndarray of shape (n_classes,), float64
        Class shares of the batch, from :meth:`adapt`, like all that follows.
    prior_covariance_ : ndarray of shape (n_classes, n_classes), float64
        Sampling covariance of ``target_prior_``: of the batch, the calibration and the source
        prior, if the calibration fits. Intervals do not rely on that.
    prior_errors_ : ndarray of shape (n_classes,), float64
        Standard errors, the roots of its diagonal; infinite for classes that the batch does not
        tell apart.
    corrected_prior_ : ndarray of shape (n_classes,), float64
        Shares under which the scores of the rows, taken for predictions, come out as they do, as
        in :class:`BlackBoxShiftEstimator`: held-out rows tell what the scores of each class are,
        and whatever is wrong with the calibration cancels. Intervals are put around it.
    corrected_covariance_ : ndarray of shape (n_classes, n_classes), float64
        Its sampling covariance; infinite on the diagonal where classes cannot be told apart.
    class_weights_ : ndarray of shape (n_classes,), float64
        Share in the batch over frequency in the source.
    effective_sample_size_ : float
        Rows of the source that are left when they are weighted so: the square of the sum of the
        weights over the sum of their squares.
    log_likelihood_ : float
        Mean log-likelihood gained over the shares of the source.
    gap_ : float
        No shares have a log-likelihood that is higher by more than this.
    n_iter_ : int
        Steps of the maximisation.
    converged_ : bool
        Whether ``gap_`` is within 1e-9.
    n_features_in_ : int
        Number of features, if the classifier counts them.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if the classifier knows them.

    See Also
    --------
    BlackBoxShiftEstimator : From the confusion matrix; needs no calibrated probabilities.
    LatentLabelShift : Without labels, from several domains.

    Notes
    -----
    With calibrated probabilities h of source prior b, the shares maximise the concave function
    ``sum_i log sum_y pi_y h_iy / b_y`` [1]_. Calibration is what makes this work [2]_, and with it
    no estimator from the confusion matrix is more accurate in large samples [3]_.

    Probabilities that stay uncalibrated bias the shares, by more than their standard errors say
    when rows are many. The scores of the rows at the optimum are the most telling predictions that
    a confusion matrix can be made of if they are calibrated, and valid ones if they are not: so
    ``corrected_prior_`` and the intervals do without the assumption [4]_.

    Rows of the source and of the batch are taken to be drawn independently. Standard errors come
    from the delta method and are of use from some ten rows of each class on.

    ``fit`` fits the classifier ``cross_fit + 1`` times; beside that it takes O(n k^2) time for
    each of some five steps, and so does ``adapt`` for some ten. O(n k) memory.

    References
    ----------
    .. [1] M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to
       new a priori probabilities", Neural Computation 14(1), 2002.
    .. [2] A. Alexandari, A. Kundaje and A. Shrikumar, "Maximum likelihood with bias-corrected
       calibration is hard-to-beat at label shift adaptation", ICML 2020.
    .. [3] S. Garg, Y. Wu, S. Balakrishnan and Z. Lipton, "A unified view of label shift
       estimation", NeurIPS 2020.
    .. [4] Q. Tian, X. Zhang and J. Zhao, "ELSA: efficient label shift adaptation through the lens
       of semiparametric models", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.label_shift import EMShiftEstimator
    >>> rng = np.random.default_rng(0)
    >>> def rows(n_sick, n_well):
    ...     y = np.repeat(["sick", "well"], [n_sick, n_well])
    ...     return rng.normal(size=(len(y), 2)) + 1.5 * (y == "sick")[:, None], y
    >>> model = EMShiftEstimator().fit(*rows(300, 300))
    >>> winter, truth = rows(900, 100)
    >>> round(model.score(winter, truth), 2), round(model.adapt(winter).score(winter, truth), 2)
    (0.86, 0.93)
    >>> model.target_prior_.round(2), model.prior_interval().round(2)[:, 0]
    (array([0.92, 0.08]), array([0.88, 0.96]))
    """

    classes_: Array
    estimator_: Any
    class_frequencies_: Float64Array
    source_prior_: Float64Array
    calibration_: Calibration | None
    confusion_: Float64Array
    condition_number_: float
    target_prior_: Float64Array
    prior_covariance_: Float64Array
    prior_errors_: Float64Array
    corrected_prior_: Float64Array
    corrected_covariance_: Float64Array
    class_weights_: Float64Array
    effective_sample_size_: float
    log_likelihood_: float
    gap_: float
    n_iter_: int
    converged_: bool
    n_features_in_: int
    feature_names_in_: Array

    _adapted = (
        *ShiftClassifier._adapted,
        "corrected_prior_",
        "corrected_covariance_",
        "log_likelihood_",
        "gap_",
        "n_iter_",
        "converged_",
    )

    def __init__(
        self,
        estimator: Classifier | None = None,
        *,
        calibration: Literal["bcts", "vector", "temperature"] | None = "bcts",
        correct: bool = False,
        cross_fit: Any = 5,
    ) -> None:
        self.estimator = estimator
        self.calibration = calibration
        self.correct = correct
        self.cross_fit = cross_fit

    def _check_parameters(self):
        checked_calibration(self.calibration)
        checked_flag("correct", self.correct)

    def _learn(self, held_out, codes, weight):
        kind = _KINDS[checked_calibration(self.calibration)]
        logarithms = influence = self.calibration_ = None
        if kind is not None:
            logarithms = floored_logarithms(held_out)
            self.calibration_ = calibrate(logarithms, codes, kind, weight=weight)
            influence = calibration_influence(
                logarithms, codes, kind, self.calibration_, weight=weight
            )
        posteriors = self._read(held_out)
        self._held_out = posteriors, codes, weight
        self.source_prior_ = np.average(posteriors, axis=0, weights=weight)
        self._source_covariance = source_covariance(
            posteriors,
            self.source_prior_,
            weight=weight,
            logarithms=logarithms,
            influence=influence,
        )
        return posteriors

    def _read(self, probabilities):
        if self.calibration_ is None:
            return probabilities
        logarithms = floored_logarithms(probabilities)
        return calibrated(logarithms, self.calibration_.slope, self.calibration_.offset)

    def _estimate(self, probabilities, weight):
        posteriors = self._read(probabilities)
        found = shifted_prior(posteriors, self.source_prior_, weight=weight)
        self.log_likelihood_, self.gap_ = found.log_likelihood, found.gap
        self.n_iter_, self.converged_ = found.n_iter, found.converged
        if not found.converged:
            warnings.warn(
                f"EMShiftEstimator did not converge in {found.n_iter} steps: other shares may have "
                f"a mean log-likelihood that is higher by {found.gap:.3g}. Check the probabilities "
                "of the classifier.",
                ConvergenceWarning,
                stacklevel=3,
            )
        logarithms = None if self.calibration_ is None else floored_logarithms(probabilities)
        covariance = shifted_prior_covariance(
            posteriors,
            found.prior,
            self.source_prior_,
            self._source_covariance,
            weight=weight,
            logarithms=logarithms,
        )
        self._correct(posteriors, found.prior, weight)
        if checked_flag("correct", self.correct):
            return self.corrected_prior_, self.corrected_covariance_
        return found.prior, covariance

    def _correct(self, posteriors, prior, weight):
        """Take off what held-out rows say of the bias: scores as predictions to be inverted."""
        held_out, codes, source_weight = self._held_out
        scores = prior_scores(posteriors, prior, self.source_prior_)
        known = prior_scores(held_out, prior, self.source_prior_)
        table = class_confusion(known, codes, len(prior), weight=source_weight)
        found = confusion_prior(table, np.average(scores, axis=0, weights=weight))
        self.corrected_prior_ = found.prior
        self.corrected_covariance_ = confusion_covariance(
            table, found.prior, known, codes, scores, weight=source_weight, target_weight=weight
        )

    def _center_and_errors(self):
        return self.corrected_prior_, np.sqrt(np.diag(self.corrected_covariance_))
