"""NoisyLabelClassifier: learns classes from labels of which many are wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metaestimators import available_if

from clusterlib.base import all_or_nothing, logger, progress_log
from clusterlib.imbalance._label_issues import LabelIssuesMixin, warn_of_labels
from clusterlib.imbalance._label_training import estimator_has, training_rows
from clusterlib.imbalance._label_views import LabelViews
from clusterlib.solvers import (
    HeadKind,
    choose_head,
    choose_shrinkage,
    fitted_parts,
    head_scores,
    other_classes,
)
from clusterlib.validation import (
    check_is_fitted,
    check_random_state,
    checked_auto_choice,
    checked_class_rows,
    checked_class_weight,
    checked_integer,
    checked_matrix,
    checked_number_or_word,
    checked_prior_shares,
    checked_range,
    checked_real,
    checked_training,
    checked_verbose,
)

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from clusterlib.solvers.label_heads import HeadChoice
    from clusterlib.typing import Array, ArrayLike, Classifier, Float64Array, RandomState, Weights

__all__ = ["NoisyLabelClassifier"]

_MAX_SEED = np.iinfo(np.int32).max
_ITERATION = "NoisyLabelClassifier: iteration %d, objective %.6g"
_FOLD = "NoisyLabelClassifier: heads fitted without fold %d"


class NoisyLabelClassifier(LabelIssuesMixin, ClassifierMixin, BaseEstimator):
    """Learns classes that are rare or wrongly labelled, and says which labels are wrong.

    A noise model finds how far each label is right
    (:func:`~clusterlib.solvers.noisy_gaussians`). A head then classifies: "auto" takes the one that
    foretells labels of left-out rows best, as far as they can be foretold through the transition of
    the noise model, with no need of clean labels (:func:`~clusterlib.solvers.choose_head`).

    Parameters
    ----------
    estimator : classifier, default=None
        Learns from the labels as far as they are right instead of a head. It is copied and must
        take ``sample_weight`` in ``fit``.
    head : {"auto", "logistic", "weighted", "gaussian", "combined", "transition"}, default="auto"
        "weighted" is a logistic regression with labels weighted by the probability that they are
        right, "gaussian" takes the classes of the noise model, "combined" is their sum; "auto"
        chooses among these. "logistic" is a logistic regression of the labels as they are,
        "transition" one that knows how classes are labelled. Not used with ``estimator``.
    training : {"weighted", "resampled"}, default="weighted"
        What ``estimator`` learns from: rows weighted by the probability that their label is right,
        or these and rows drawn from the Gaussians of rare classes. Not used without it.
    mixup : float, default=0.0
        At least 0; above, ``estimator`` learns from points between pairs of rows instead, with
        shares of the law Beta(mixup, mixup).
    prior : {"uniform", "estimated"} or array-like of shape (n_classes,), default="uniform"
        Shares of the classes, in sorted order, where it will predict: equal ones treat every class
        alike, "estimated" are those of the training rows by the noise model.
    n_components : int, default=96
        Rows of more features, at least 1, are reduced to so many principal components, and
        whatever has been said above sees these. A second noise model, with one covariance for all
        classes, sees all features then; what the two say of labels and classes is averaged.
    shrinkage : float or "auto", default="auto"
        Of the first noise model, as in :class:`RepresentationCalibrator`.
    max_iter : int, default=300
        Most iterations of a noise model, at least 1.
    tol : float, default=1e-6
        A noise model has converged when an iteration gains no more than this for each row; at
        least 0.
    verbose : int, default=0
        Above 0, what is done is logged by the logger "clusterlib" at level INFO.
    random_state : int, RandomState instance or None, default=None
        Deals rows to folds, and draws and mixes rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted, in the dtype of y.
    head_ : str or None
        The head; None with ``estimator``.
    head_choice_ : HeadChoice or None
        What "auto" has compared.
    estimator_ : classifier
        The fitted copy, if there is one.
    label_quality_ : ndarray of shape (n_samples,), float64
        Probability that the label of a row is right.
    other_labels_ : ndarray of shape (n_samples,)
        The most likely class among those that a row is not labelled as, in the dtype of y.
    effective_counts_ : ndarray of shape (n_classes,), float64
        Labels of each class that are right, as far as is known: sums of weight times
        ``label_quality_``.
    transition_matrix_ : ndarray of shape (n_classes, n_classes), float64
        Probability of each label, in columns, for each class, in rows.
    class_prior_ : ndarray of shape (n_classes,), float64
        Estimated shares of the classes among the rows.
    shrinkage_ : float
        Rows of the pooled covariance that each class of the first noise model is given.
    shrinkage_choice_ : ShrinkageChoice or None
        What "auto" has compared.
    n_iter_ : int
        Iterations of the noise models, the larger number.
    converged_ : bool
        Whether they converged.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    Warns
    -----
    ConvergenceWarning
        When ``max_iter`` ended a noise model.
    UserWarning
        When classes have fewer than 4 right labels by the noise model: nothing in the rows then
        tells these classes from what is wrongly labelled as them. And when classes are labelled as
        another one nearly as often as correctly: one may be taken for the other. No warning is no
        proof, for it comes from the same model.

    See Also
    --------
    RepresentationCalibrator : The noise model as a sampler, and that of RCAL.
    clusterlib.plotting.LabelQualityDisplay : Draws what is known of the labels.

    Notes
    -----
    With q features or components: O(n K q^2) time for each iteration of the first noise model,
    O(n m^2) once and O(n m K) for each iteration of the second; "auto" adds fits to two thirds of
    about 3000 rows, whatever n is. Memory beside X: O(n q) for reduced rows, O(K q^2 + m^2), and
    for predictions O(n K).

    Features should have similar meaning and scale, as those of embeddings do: the penalties of
    logistic regressions look at the mean variance of all features, so that a common factor does not
    matter.

    References
    ----------
    .. [1] M. Zhang, X. Zhao, J. Yao, C. Yuan, W. Huang, "When noisy labels meet long tail dilemmas:
       a representation calibration method", ICCV 2023: the problem.
    .. [2] N. D. Lawrence, B. Schoelkopf, "Estimating a kernel Fisher discriminant in the presence
       of label noise", ICML 2001: the noise model.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.imbalance import NoisyLabelClassifier
    >>> rng = np.random.default_rng(0)
    >>> animals = np.repeat(["cat", "dog"], [90, 30])
    >>> X = rng.normal(size=(120, 4)) + 5 * (animals == "dog")[:, None]
    >>> wrong = rng.random(120) < 0.3
    >>> y = np.where(wrong, np.where(animals == "cat", "dog", "cat"), animals)
    >>> model = NoisyLabelClassifier(random_state=0).fit(X, y)
    >>> float((model.predict(X) == animals).mean()), round(float((y == animals).mean()), 3)
    (1.0, 0.708)
    >>> rows, labels, probabilities = model.find_label_issues()
    >>> bool(np.array_equal(np.sort(rows), np.flatnonzero(wrong)))
    True
    """

    head_: str | None
    head_choice_: HeadChoice | None
    estimator_: Any

    _instead_of_blocks = "give an array, or find wrong labels by RepresentationCalibrator"

    def __init__(
        self,
        estimator: Classifier | None = None,
        *,
        head: Literal[
            "auto", "logistic", "weighted", "gaussian", "combined", "transition"
        ] = "auto",
        training: Literal["weighted", "resampled"] = "weighted",
        mixup: float = 0.0,
        prior: Literal["uniform", "estimated"] | ArrayLike = "uniform",
        n_components: int = 96,
        shrinkage: float | Literal["auto"] = "auto",
        max_iter: int = 300,
        tol: float = 1e-6,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.head = head
        self.training = training
        self.mixup = mixup
        self.prior = prior
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: Weights = None) -> Self:
        """Find how far labels are right, and learn from them.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Labelled rows. float32 and float64 arrays are used as they are; float16 becomes
            float32, all else float64.
        y : array-like of shape (n_samples,)
            Their labels, which may be wrong: numbers or strings, none missing.
        sample_weight : float or array-like of shape (n_samples,), default=None
            How many rows each row counts for, not negative, in every class some above 0. Rows of
            weight 0 have a ``label_quality_`` as well. None counts each once.

        Returns
        -------
        self : NoisyLabelClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, values whose squares leave float64,
            no y, one of another length, a missing label or continuous labels, or bad weights.
        TypeError
            For a parameter of a wrong type, an estimator without ``fit`` or ``sample_weight``,
            sparse X, or numbers among strings in y.
        """
        kinds = checked_auto_choice("head", self.head, HeadKind, HeadKind.recovered())
        training = checked_training(self.training, self.mixup, self.estimator)
        shrinkage = checked_number_or_word(
            "shrinkage", self.shrinkage, "auto", 0, low_open=True, infinite=True
        )
        n_components = checked_integer("n_components", self.n_components, 1)
        options = {"max_iter": checked_integer("max_iter", self.max_iter, 1)}
        options["tol"] = checked_real("tol", self.tol, 0)
        verbose, random_state = checked_verbose(self.verbose), check_random_state(self.random_state)
        with all_or_nothing(self):
            X, self.classes_, codes = checked_class_rows(self, X, y)
            weight = checked_class_weight(sample_weight, self.classes_, codes, beside=X)
            checked_prior_shares(self.prior, np.full(len(self.classes_), 1 / len(self.classes_)))
            rng = np.random.default_rng(random_state.randint(_MAX_SEED))
            with progress_log(verbose):
                self._views = LabelViews.of_rows(X, n_components, weight)
                views = self._views.of(X)
                shrinkages = self._chosen_shrinkages(views, codes, weight, shrinkage, rng)
                self._head = self._chosen_head(views, codes, weight, shrinkages, kinds, rng)
                strengths = {} if self._head is None else self._head.strengths()
                if verbose:
                    options["callback"] = partial(logger.info, _ITERATION)
                options["sample_weight"] = weight
                self._parts = fitted_parts(
                    views, codes, len(self.classes_), shrinkages, strengths, **options
                )
                self._set_diagnostics(views, codes, weight)
                self._prior = checked_prior_shares(self.prior, self.class_prior_)
                if self._head is None:
                    self._fit_estimator(views[0], codes, weight, training, rng)
        warn_of_labels(self)
        return self

    @available_if(estimator_has("decision_function"))
    def decision_function(self, X: ArrayLike) -> Float64Array:
        """Scores of the classes: logarithms of their probabilities, each row up to a constant.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes, float64
            For two classes the logarithm of the odds of the second. With ``estimator``, its own.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or its squares leave
            float64.
        """
        check_is_fitted(self)
        views = self._checked_views(X)
        if self.estimator is not None:
            return self.estimator_.decision_function(views[0])
        scores = self._scores(views)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    @available_if(estimator_has("predict_proba"))
    def predict_proba(self, X: ArrayLike) -> Float64Array:
        """Probabilities of the classes, with the shares of ``prior``.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            Rows sum to 1. With ``estimator``, its own.

        Raises
        ------
        ValueError
            As for :meth:`decision_function`.
        """
        check_is_fitted(self)
        views = self._checked_views(X)
        if self.estimator is not None:
            return self.estimator_.predict_proba(views[0])
        return softmax(self._scores(views), axis=1)

    def predict(self, X: ArrayLike) -> Array:
        """Class of the highest probability.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Classes in the dtype of y; the first one on ties.

        Raises
        ------
        ValueError
            As for :meth:`decision_function`.
        """
        check_is_fitted(self)
        views = self._checked_views(X)
        if self.estimator is not None:
            return self.estimator_.predict(views[0])
        return self.classes_[self._scores(views).argmax(axis=1)]

    def _chosen_shrinkages(self, views, codes, weight, shrinkage, rng):
        self.shrinkage_choice_ = None
        if shrinkage is None:
            n_classes = len(self.classes_)
            choice = choose_shrinkage(views[0], codes, n_classes, rng, sample_weight=weight)
            self.shrinkage_choice_, shrinkage = choice, choice.shrinkage
            logger.info("NoisyLabelClassifier: shrinkage %.6g", shrinkage)
        self.shrinkage_ = shrinkage
        return self._views.shrinkages(shrinkage)

    def _chosen_head(self, views, codes, weight, shrinkages, kinds, rng):
        """The head, from kinds; it stays away where a classifier takes its place."""
        self.head_, self.head_choice_ = None, None
        if self.estimator is not None:
            return None
        n_classes = len(self.classes_)
        options = {"kinds": kinds, "sample_weight": weight, "callback": partial(logger.info, _FOLD)}
        choice = choose_head(views, codes, n_classes, shrinkages, rng, **options)
        self.head_, self.head_choice_ = choice.head.kind.value, choice
        for head, score in zip(choice.heads, choice.scores, strict=True):
            logger.info("NoisyLabelClassifier: head %s, score %.6g", head.kind.value, score)
        return choice.head

    def _set_diagnostics(self, views, codes, weight):
        parts, right = self._parts, self._parts.label_quality
        self.label_quality_ = right
        self.other_labels_ = self.classes_[other_classes(views, codes, parts)]
        self.effective_counts_ = np.bincount(
            codes, weights=right if weight is None else weight * right
        )
        self.transition_matrix_, self.class_prior_ = parts.transition, parts.class_prior
        self.n_iter_ = max(fit.n_iter for fit in parts.gaussians)
        self.converged_ = all(fit.converged for fit in parts.gaussians)

    def _fit_estimator(self, rows, codes, weight, training, rng):
        right = self.label_quality_ if weight is None else weight * self.label_quality_
        rows, codes, right = training_rows(
            rows, codes, right, self._parts.gaussians[0], self._prior, *training, rng
        )
        self.estimator_ = clone(self.estimator).fit(rows, self.classes_[codes], sample_weight=right)

    def _checked_views(self, X):
        X = checked_matrix(self, X, reset=False)
        checked_range(X)
        return self._views.of(X)

    def _scores(self, views):
        return head_scores(views, self._parts, self._head) + np.log(self._prior)
