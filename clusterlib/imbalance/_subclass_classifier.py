"""SubclassClassifier: a classifier that learns subclasses and predicts classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from clusterlib.base import all_or_nothing
from clusterlib.imbalance._subclass_balancer import SubclassBalancer
from clusterlib.validation import (
    check_is_fitted,
    checked_class_rows,
    checked_matrix,
    checked_probabilistic,
)

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from clusterlib.typing import Array, ArrayLike, Classifier, FloatArray, Int64Array, RandomState

__all__ = ["SubclassClassifier"]


class SubclassClassifier(ClassifierMixin, BaseEstimator):
    """Trains a classifier on balanced subclasses and adds up its probabilities by class.

    ``fit`` cuts every large class as :class:`SubclassBalancer` does and trains a copy of the
    classifier on the subclasses; the probability of a class is the sum over its subclasses. Being
    a classifier of classes, it takes part in pipelines, searches and cross-validation of
    scikit-learn, where a sampler cannot.

    Parameters
    ----------
    estimator : classifier, default=None
        Has ``fit`` and ``predict_proba``; it is copied. None is a logistic regression.
    delta : int, default=10
        Least size of subclasses, at least 1; see :class:`SubclassBalancer`, as for all that
        follow.
    size_rule : {"cap", "code"}, default="cap"
        Whether the number of subclasses is rounded up or down.
    metric : {"cosine", "sqeuclidean"}, default="cosine"
        Geometry of the subclasses.
    n_init : int, default=1
        Starts for each class.
    max_iter : int, default=300
        Most iterations of a start.
    verbose : int, default=0
        Above 0, every class that is cut is logged.
    random_state : int, RandomState instance or None, default=None
        Source of randomness of the subclasses; the classifier has its own.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels in the dtype of y.
    balancer_ : SubclassBalancer
        The subclasses, fitted.
    estimator_ : classifier
        Fitted to the subclasses, whose numbers are its classes.
    n_iter_ : ndarray of shape (n_classes,), int64
        Balanced iterations of each class.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    SubclassBalancer : The subclasses themselves.

    Notes
    -----
    Subclasses give a linear classifier room for classes of several parts, and its training set
    equal shares. On fixed embeddings that is no gain in accuracy over class weights, as measured
    on the page of the method in the documentation; try ``class_weight="balanced"`` first.

    There is no ``decision_function``: what margins of subclasses say together depends on the
    classifier. Fitting costs what the subclasses and the classifier cost, the latter with
    ``sum(balancer_.n_subclasses_)`` classes.

    References
    ----------
    .. [1] C. Hou, J. Zhang, H. Wang, T. Zhou, "Subclass-balancing contrastive learning for
       long-tailed recognition", ICCV 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.imbalance import SubclassClassifier
    >>> rng = np.random.default_rng(0)
    >>> places = np.repeat([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0]], [40, 40, 10], axis=0)
    >>> X, y = places + rng.normal(size=(90, 2)), np.repeat(["both sides", "above"], [80, 10])
    >>> model = SubclassClassifier(metric="sqeuclidean", random_state=0).fit(X, y)
    >>> model.predict([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    array(['both sides', 'both sides', 'above'], dtype='<U10')
    """

    classes_: Array
    balancer_: SubclassBalancer
    estimator_: Any
    n_iter_: Int64Array
    n_features_in_: int
    feature_names_in_: Array

    _instead_of_blocks = "fit it to a sample of the rows of each class, or give X as an array"

    def __init__(
        self,
        estimator: Classifier | None = None,
        *,
        delta: int = 10,
        size_rule: Literal["cap", "code"] = "cap",
        metric: Literal["cosine", "sqeuclidean"] = "cosine",
        n_init: int = 1,
        max_iter: int = 300,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.delta = delta
        self.size_rule = size_rule
        self.metric = metric
        self.n_init = n_init
        self.max_iter = max_iter
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = get_tags(self._base()).classifier_tags.poor_score
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

    def fit(self, X: ArrayLike, y: ArrayLike, **params: Any) -> Self:
        """Cut the large classes and train the classifier on what comes out.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Labelled rows, finite numbers.
        y : array-like of shape (n_samples,)
            Their classes, numbers or strings; two classes at least.
        **params : dict
            Passed on to ``fit`` of the classifier. A ``sample_weight`` counts there alone:
            classes are cut by numbers of rows.

        Returns
        -------
        self : SubclassClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            As for :class:`SubclassBalancer`, and for a single class.
        TypeError
            As there, and for a classifier without ``predict_proba``.
        """
        base = checked_probabilistic(self._base(), "whose sums are those of the classes")
        if get_config()["enable_metadata_routing"]:
            params = process_routing(self, "fit", **params).estimator.fit
        with all_or_nothing(self):
            _, classes, _ = checked_class_rows(self, X, y, least_classes=2)
            settings = {name: getattr(self, name) for name in SubclassBalancer().get_params()}
            self.balancer_ = SubclassBalancer(**settings)
            self.balancer_._warn(self.balancer_._fit(X, y), type(self).__name__)
            self.estimator_ = clone(base).fit(X, self.balancer_.subclass_labels_, **params)
            self.classes_, self.n_iter_ = classes, self.balancer_.n_iter_
        return self

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Probabilities of the classes: sums over their subclasses.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float
            In the dtype that the classifier gives them.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or the classifier does not
            know every subclass.
        """
        check_is_fitted(self)
        checked_matrix(self, X, reset=False)  # the same as in fit, whatever the classifier takes
        probabilities = self.estimator_.predict_proba(X)
        counts = self.balancer_.n_subclasses_
        if probabilities.shape[1] != counts.sum():
            raise ValueError(
                f"estimator gives probabilities of {probabilities.shape[1]} classes, but was "
                f"trained on {counts.sum()} subclasses"
            )
        return np.add.reduceat(probabilities, np.cumsum(counts) - counts, axis=1)

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
            As for :meth:`predict_proba`.
        """
        check_is_fitted(self)
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def _base(self):
        return LogisticRegression(max_iter=1000) if self.estimator is None else self.estimator
