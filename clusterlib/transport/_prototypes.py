"""OTPrototypeClassifier: class prototypes that are moved to the batch they have to classify."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from clusterlib.base import all_or_nothing
from clusterlib.transport._alignment import (
    AlignedPrototypes,
    aligned,
    class_means,
    class_scores,
    prototype_settings,
)
from clusterlib.transport._features import normalized_rows
from clusterlib.validation import (
    check_is_fitted,
    checked_classes,
    checked_episodes,
    checked_matrix,
)

if TYPE_CHECKING:
    from typing import Literal, Self

    from clusterlib.typing import Array, ArrayLike, FloatArray, Int64Array

__all__ = ["OTPrototypeClassifier"]

# Episodes that are worked on together: enough to amortise calls, few enough for the cache.
_EPISODES_AT_ONCE = 256


class OTPrototypeClassifier(ClassifierMixin, BaseEstimator):
    """Few-shot classifier whose class means are moved to the queries by optimal transport (OpTA).

    ``fit`` stores the mean of each class of a few labelled rows. ``predict`` takes a *batch* of
    queries, transports the classes onto it, moves each prototype towards the mean of the queries
    that it gets, and then gives every query the class of the nearest prototype.

    .. warning::
       Predictions are transductive: the class of a query depends on the other queries of the same
       call. Hand over a batch as a whole, and expect other answers for its parts. A batch of one
       row is classified by the nearest class mean.

    Parameters
    ----------
    epsilon : float, default=0.03
        Entropic strength in units of ``cost_scale``; above 0. The paper has 0.05.
    marginals : {"adaptive", "uniform"} or array-like of shape (n_classes,), default="adaptive"
        Sizes of the classes among the queries. "uniform" takes them for equal, as the paper does,
        and is worse than not moving at all where they are not. "adaptive" takes them for equal
        too unless the batch is strong evidence to the contrary, in which case it estimates them.
        An array gives the share of each class, in the order of ``classes_``.
    n_passes : "auto" or int, default="auto"
        How often plan and prototypes are renewed. "auto" is 6 for adaptive marginals; for others
        it is what the paper takes: 5 if each class has a single labelled row, else 1.
    mix : {"auto", "mass"} or float, default="auto"
        Share of the queries in a moved prototype, in [0, 1]. "mass" weighs labelled rows and
        queries by their number. "auto" is "mass" for adaptive marginals; for others it is what
        the paper takes: 1 for a class with a single labelled row, else 0.7.
    support_weight : float, default=4.0
        How many queries a labelled row counts for, where rows are weighed by number; above 0.
    marginal_penalty : float, default=3.25
        How strong the evidence has to be before adaptive marginals are estimated: a multiple of
        the penalty of the Bayesian information criterion for ``n_classes - 1`` free shares. 0
        always estimates them, infinity never does.
    normalize : {"standardize", "l2"} or None, default="standardize"
        What is done to each row, labelled or not: its features get mean 0 and standard deviation
        1, or it gets length 1. Both keep directions only and are made for embeddings of many
        features; None is for data where lengths or single features matter.
    power : float, default=None
        Takes each feature to ``sign(x) |x|^power`` before rows are normalised; above 0. 0.5 makes
        the skewed features of networks with rectified activations more normal.
    cost_scale : {"max", "mean", "median"}, float or None, default="max"
        What of the squared distances between prototypes and queries stands for 1. None is 1.
    classifier : {"nearest", "logistic"}, default="nearest"
        What classifies queries by the moved prototypes: the nearest one, or a logistic regression
        fitted on them, one row for each class, which is what the paper's authors released.
    max_sweeps : int, default=1000
        Most sweeps of the solver in a pass.
    tol : float, default=1e-3
        A pass ends when the L1 error of the marginals of the plan is at most this.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels in the dtype of y.
    class_counts_ : ndarray of shape (n_classes,), int64
        Number of labelled rows of each class.
    prototypes_ : ndarray of shape (n_classes, n_features)
        Means of the normalised rows of each class, in the dtype of X (float32 or float64).
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    clusterlib.solvers.align_prototypes_adaptively : The algorithm behind the default.
    clusterlib.datasets.make_episodes : Few-shot problems from any labelled rows.
    clusterlib.metrics.evaluate_episodes : Accuracy over thousands of them.
    clusterlib.plotting.PrototypeAlignmentDisplay : A picture of :meth:`align`.

    Notes
    -----
    With ``epsilon=0.05, marginals="uniform", classifier="logistic"`` this is the published
    procedure. Its Sinkhorn iteration stops when potentials change little, here it stops when the
    marginals are right; with a small ``tol`` the plans agree.

    Estimated class sizes are not used against the nearest prototype: they decide where prototypes
    move, and the rule that classifies stays the same for balanced and unbalanced batches.

    ``fit`` takes O(n_samples n_features) time; ``predict`` O(n_classes n_queries) for each of
    some hundred sweeps and O(n_classes n_queries n_features) in each pass.

    References
    ----------
    .. [1] S. Poulakakis-Daktylidis and H. Jamali-Rad, "BECLR: batch enhanced contrastive few-shot
       learning", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.transport import OTPrototypeClassifier
    >>> X, y = np.array([[0.0, 4.0], [3.0, 0.0]]), ["up", "right"]
    >>> queries = np.array([[1.0, 2.0], [1.2, 2.0], [0.9, 2.1], [9.0, 1.0], [8.0, 0.5]])
    >>> classifier = OTPrototypeClassifier(normalize="l2").fit(X, y)
    >>> classifier.predict(queries).tolist()
    ['up', 'up', 'up', 'right', 'right']
    >>> classifier.align(queries).prototypes_after.round(1)
    array([[1. , 0. ],
           [0.2, 1. ]])
    """

    classes_: Array
    class_counts_: Int64Array
    prototypes_: FloatArray
    n_features_in_: int
    feature_names_in_: Array

    _instead_of_blocks = "give the rows of an episode, which are few, as an array"

    def __init__(
        self,
        epsilon: float = 0.03,
        *,
        marginals: Literal["adaptive", "uniform"] | ArrayLike = "adaptive",
        n_passes: Literal["auto"] | int = "auto",
        mix: Literal["auto", "mass"] | float = "auto",
        support_weight: float = 4.0,
        marginal_penalty: float = 3.25,
        normalize: Literal["standardize", "l2"] | None = "standardize",
        power: float | None = None,
        cost_scale: Literal["max", "mean", "median"] | float | None = "max",
        classifier: Literal["nearest", "logistic"] = "nearest",
        max_sweeps: int = 1000,
        tol: float = 1e-3,
    ) -> None:
        self.epsilon = epsilon
        self.marginals = marginals
        self.n_passes = n_passes
        self.mix = mix
        self.support_weight = support_weight
        self.marginal_penalty = marginal_penalty
        self.normalize = normalize
        self.power = power
        self.cost_scale = cost_scale
        self.classifier = classifier
        self.max_sweeps = max_sweeps
        self.tol = tol

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Normalised rows keep their directions only, which say little about two features.
        tags.classifier_tags.poor_score = self.normalize is not None
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Take the mean of each class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Labelled rows. float32 and float64 arrays are used as they are, float16 becomes
            float32, all else float64.
        y : array-like of shape (n_samples,)
            Their classes: numbers or strings.

        Returns
        -------
        self : OTPrototypeClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity, no y or one of another length, or
            ``marginals`` for another number of classes.
        TypeError
            For a parameter of a wrong type, or sparse X.
        """
        with all_or_nothing(self):
            X, classes, codes = checked_classes(self, X, y)
            settings = prototype_settings(self, len(classes), X.shape[1])
            rows = normalized_rows("X", X, settings.normalization, settings.power)
            means, counts = class_means(rows[None], codes[None], len(classes))
            self.prototypes_, self.class_counts_ = means[0], counts[0]
            self.classes_ = classes
        return self

    def align(self, X: ArrayLike) -> AlignedPrototypes:
        """Move the prototypes to a batch of queries.

        Parameters
        ----------
        X : array-like or data frame of shape (n_queries, n_features)
            The batch.

        Returns
        -------
        alignment : AlignedPrototypes
            Named tuple of normalised ``queries``, ``prototypes_before``, ``prototypes_after``,
            ``plan`` (n_classes, n_queries), ``class_masses``, ``is_balanced``, ``evidence``,
            ``n_iter`` and ``converged``.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        return self._align(X)[0]

    def _align(self, X):
        check_is_fitted(self)
        X = checked_matrix(self, X, reset=False)
        settings = prototype_settings(self, len(self.classes_), X.shape[1])
        queries = normalized_rows("X", X, settings.normalization, settings.power)
        before = self.prototypes_.astype(queries.dtype, copy=False)
        result = aligned(before[None], self.class_counts_[None], queries[None], settings)
        self._warn(result)
        alignment = AlignedPrototypes(
            queries=queries,
            prototypes_before=before,
            prototypes_after=result.prototypes[0],
            plan=result.plan[0],
            class_masses=result.class_masses[0],
            is_balanced=bool(result.is_balanced[0]),
            evidence=float(result.evidence[0]),
            n_iter=int(result.n_iter[0]),
            converged=bool(result.converged[0]),
        )
        return alignment, settings

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Probabilities of the classes for each query of a batch.

        Parameters
        ----------
        X : array-like or data frame of shape (n_queries, n_features)
            The batch; see the warning above.

        Returns
        -------
        probabilities : ndarray of shape (n_queries, n_classes), float32 or float64
            ``softmax_k(-|x - p_k|^2 / (scale epsilon))`` of the moved prototypes, or those of the
            logistic regression. They are not calibrated.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        alignment, settings = self._align(X)
        scores = class_scores(alignment.prototypes_after[None], alignment.queries[None], settings)
        scores = scores[0] - scores[0].max(axis=1, keepdims=True)
        probabilities = np.exp(scores, out=scores)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict(self, X: ArrayLike) -> Array:
        """Classify a batch of queries together.

        Parameters
        ----------
        X : array-like or data frame of shape (n_queries, n_features)
            The batch; see the warning above.

        Returns
        -------
        labels : ndarray of shape (n_queries,)
            Classes in the dtype of y.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        alignment, settings = self._align(X)
        scores = class_scores(alignment.prototypes_after[None], alignment.queries[None], settings)
        return self.classes_[np.argmax(scores[0], axis=1)]

    def predict_episodes(self, X: ArrayLike, y: ArrayLike, queries: ArrayLike) -> Array:
        """Fit and predict many small problems of the same shape at once.

        The same answers as ``fit(X[e], y[e]).predict(queries[e])`` for each episode e, up to
        rounding; the estimator is neither fitted nor needs to be.

        Parameters
        ----------
        X : array-like of shape (n_episodes, n_support, n_features)
            Labelled rows of each episode.
        y : array-like of shape (n_support,) or (n_episodes, n_support)
            Their classes. Episodes may have different classes, but as many of them.
        queries : array-like of shape (n_episodes, n_queries, n_features)
            Rows to classify.

        Returns
        -------
        labels : ndarray of shape (n_episodes, n_queries)
            Classes in the dtype of y.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity, shapes that disagree, or a class
            without labelled rows in some episode.
        TypeError
            For a parameter of a wrong type.

        Examples
        --------
        >>> import numpy as np
        >>> from clusterlib.transport import OTPrototypeClassifier
        >>> X = np.random.default_rng(0).normal(size=(100, 5, 16))
        >>> queries = np.repeat(X, 3, axis=1) + 0.1
        >>> labels = OTPrototypeClassifier().predict_episodes(X, list("abcde"), queries)
        >>> labels.shape, labels[0, ::3].tolist()
        ((100, 15), ['a', 'b', 'c', 'd', 'e'])
        """
        X, queries, classes, codes = checked_episodes(X, y, queries)
        settings = prototype_settings(self, classes.shape[1], X.shape[2])
        labels = np.empty(queries.shape[:2], dtype=classes.dtype)
        for start in range(0, len(X), _EPISODES_AT_ONCE):
            part = slice(start, start + _EPISODES_AT_ONCE)
            rows, batch = (
                normalized_rows(name, A[part], settings.normalization, settings.power)
                for name, A in (("X", X), ("queries", queries))
            )
            means, counts = class_means(rows, codes[part], classes.shape[1])
            result = aligned(means, counts, batch, settings)
            self._warn(result)
            scores = class_scores(result.prototypes, batch, settings)
            labels[part] = np.take_along_axis(classes[part], np.argmax(scores, axis=2), axis=1)
        return labels

    def _warn(self, result):
        failed = np.flatnonzero(~result.converged)
        if len(failed):
            warnings.warn(
                f"{type(self).__name__}: the transport of {len(failed)} of "
                f"{len(result.converged)} batches did not converge in max_sweeps={self.max_sweeps} "
                "sweeps; the largest error of its marginals is "
                f"{result.marginal_error[failed].max():.3g}. Raise max_sweeps, tol or epsilon.",
                ConvergenceWarning,
                stacklevel=4,
            )
