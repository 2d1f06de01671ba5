"""SubclassBalancer: classes cut into subclasses that are as large as the smallest class."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.exceptions import ConvergenceWarning

from clusterlib.base import all_or_nothing, logger, progress_log
from clusterlib.blocks import as_blocks
from clusterlib.imbalance._subclasses import SubclassesMixin
from clusterlib.solvers import (
    assign,
    assign_within,
    row_norms,
    split_classes,
    subclass_counts,
)
from clusterlib.validation import (
    CenterMetric,
    SizeRule,
    check_is_fitted,
    check_random_state,
    checked_choice,
    checked_class_rows,
    checked_directions,
    checked_given_classes,
    checked_integer,
    checked_matrix,
    checked_range,
    checked_verbose,
)

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from clusterlib.typing import ArrayLike, Int32Array, RandomState

__all__ = ["SubclassBalancer"]

_MAX_SEED = np.iinfo(np.int32).max


class SubclassBalancer(SubclassesMixin, OneToOneFeatureMixin, BaseEstimator):
    """Cuts large classes into subclasses of nearly equal size, with exact balanced clustering.

    In a long tail of classes the largest may have a hundred times the rows of the smallest. Each
    class with more than ``M = max(n_C, delta)`` rows, n_C being the size of the smallest, is cut
    into clusters of about M rows; smaller ones stay whole. Labels are then balanced, and no row
    was dropped or repeated. Every class is clustered by itself; within a class sizes differ by
    one at most.

    It is a sampler in the manner of imbalanced-learn: :meth:`fit_resample` returns all rows with
    their subclasses for labels, and it takes part in pipelines of that library.
    :class:`SubclassClassifier` is the form for pipelines and searches of scikit-learn, whose
    predictions are classes again.

    Parameters
    ----------
    delta : int, default=10
        Least size M, at least 1: protection against subclasses of a few rows where the smallest
        class has no more.
    size_rule : {"cap", "code"}, default="cap"
        How many subclasses a class of n_c > M rows gets. "cap": n_c / M rounded up, so that M is
        an upper limit of their sizes. "code": n_c / M rounded down, with sizes between M and
        2 M - 1, as published programs have it.
    metric : {"cosine", "sqeuclidean"}, default="cosine"
        Geometry of the clusters: directions, for embeddings, or places.
    n_init : int, default=1
        Starts for each class, of which the one with the lowest inertia is kept.
    max_iter : int, default=300
        Most iterations of a start, those of plain k-means before the balanced ones not counted.
    verbose : int, default=0
        Above 0, every class is logged by the logger "clusterlib" at level INFO; a program that
        has configured no logging gets the lines on its standard error.
    random_state : int, RandomState instance or None, default=None
        Source of randomness; an int makes results repeatable.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted, in the dtype of y.
    threshold_ : int
        M.
    n_subclasses_ : ndarray of shape (n_classes,), int64
        Number of subclasses of each class.
    subclass_labels_ : ndarray of shape (n_samples,), int32
        Subclass of each row, numbered from 0 through all classes: those of the first class, then
        those of the second.
    parent_ : ndarray of shape (n_subclasses,), intp
        Number of the class of each subclass; ``classes_[parent_[subclass_labels_]]`` is y.
    subclass_sizes_ : ndarray of shape (n_subclasses,), int64
        Rows of each subclass.
    subclass_centers_ : ndarray of shape (n_subclasses, n_features)
        Means of the subclasses in the dtype of X; with "cosine" directions of length 1, or zeros
        for a class of nothing but zero rows.
    prices_ : ndarray of shape (n_subclasses,), float64
        What keeps the sizes: each row is in the subclass of its class whose cost (1 - cosine, or
        squared distance) plus price is lowest. Comparable within a class only.
    inertias_ : ndarray of shape (n_classes,), float64
        Sum of the costs of the rows of each class.
    dual_gaps_ : ndarray of shape (n_classes,), float64
        By how much the cost of the last assignment of each class can be above the lowest that
        any assignment of these sizes to the same centres has; rounding alone makes it differ
        from 0.
    n_iter_ : ndarray of shape (n_classes,), int64
        Balanced iterations of each class, 1 if it stayed whole.
    converged_ : bool
        Whether every class came to an end before ``max_iter``.
    sample_indices_ : ndarray of shape (n_samples,), intp
        Which rows :meth:`fit_resample` returns: all of them in their order.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if X has names that are all strings.

    See Also
    --------
    SubclassClassifier : Trains on subclasses, predicts classes.

    Notes
    -----
    The paper [1]_ asks for n_c / M clusters, rounded down, of at most M rows: room for all rows
    only where M divides n_c. Its program drops the limit, hence "code"; the default keeps the
    limit. Assignments are exact, with a proof (``dual_gaps_``), where the paper assigns greedily.

    A class with fewer different rows than subclasses is cut all the same: equal rows are dealt to
    subclasses with equal centres. With "cosine", rows of zeros fill up subclasses and move no
    centre.

    An iteration takes O(n_c m_c d) time for a class of n_c rows in m_c subclasses, at most
    O(n_c^2 d / M), besides the assignment. Memory besides X is a copy of one class at a time and
    O(m_c^2). Fitting warns (ConvergenceWarning) when ``max_iter`` ended a class.

    Subclass labels do not make a linear classifier on fixed features better; what they are good
    for is on the page of the method in the documentation.

    References
    ----------
    .. [1] C. Hou, J. Zhang, H. Wang, T. Zhou, "Subclass-balancing contrastive learning for
       long-tailed recognition", ICCV 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.imbalance import SubclassBalancer
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(130, 8)), np.repeat(["cat", "dog", "yak"], [95, 25, 10])
    >>> balancer = SubclassBalancer(delta=5, random_state=0).fit(X, y)
    >>> balancer.n_subclasses_, balancer.threshold_
    (array([10,  3,  1]), 10)
    >>> balancer.subclass_sizes_.min(), balancer.subclass_sizes_.max()
    (np.int64(8), np.int64(10))
    >>> X_balanced, subclasses = balancer.fit_resample(X, y)
    >>> balancer.to_classes(subclasses[[0, 100, 129]])
    array(['cat', 'dog', 'yak'], dtype='<U3')
    """

    _instead_of_blocks = "cut a sample of the rows of each class, or give X as an array"

    def __init__(
        self,
        *,
        delta: int = 10,
        size_rule: Literal["cap", "code"] = "cap",
        metric: Literal["cosine", "sqeuclidean"] = "cosine",
        n_init: int = 1,
        max_iter: int = 300,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.delta = delta
        self.size_rule = size_rule
        self.metric = metric
        self.n_init = n_init
        self.max_iter = max_iter
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Cut the large classes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Labelled rows. float32 and float64 arrays are used as they are, in any layout;
            float16 becomes float32, all else float64.
        y : array-like of shape (n_samples,)
            Their classes: numbers or strings, none missing. A single class is the smallest,
            too, and stays whole.

        Returns
        -------
        self : SubclassBalancer
            The fitted estimator.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN or infinity in X, values whose squares leave float64,
            no y, one of another length, a missing label or continuous labels, and with "cosine"
            for a class to cut whose rows are all zero.
        TypeError
            For a parameter of a wrong type, sparse X, or numbers among strings in y.
        """
        self._warn(self._fit(X, y))
        return self

    def _fit(self, X, y):
        """Do what ``fit`` does, but for its warning; returns what the solver found."""
        delta = checked_integer("delta", self.delta, 1)
        size_rule = checked_choice("size_rule", self.size_rule, SizeRule)
        spherical = self._is_spherical()
        n_init = checked_integer("n_init", self.n_init, 1)
        max_iter = checked_integer("max_iter", self.max_iter, 1)
        verbose = checked_verbose(self.verbose)
        random_state = check_random_state(self.random_state)
        with all_or_nothing(self):
            X, classes, codes = checked_class_rows(self, X, y)
            sizes = np.bincount(codes)
            threshold = max(int(sizes.min()), delta)
            counts = subclass_counts(
                sizes, min(threshold, len(codes)), capped=size_rule is SizeRule.CAP
            )
            if spherical:
                checked_directions(row_norms(X) > 0, codes, counts, classes)
            seeds = random_state.randint(_MAX_SEED, size=len(classes))
            with progress_log(verbose):
                result = split_classes(
                    X,
                    codes,
                    counts,
                    seeds,
                    spherical=spherical,
                    n_init=n_init,
                    max_iter=max_iter,
                    on_class=_logging(classes, sizes, counts) if verbose else None,
                )
            self.classes_, self.threshold_, self.n_subclasses_ = classes, threshold, counts
            self._store(result)
        return result

    def fit_resample(self, X: ArrayLike, y: ArrayLike) -> tuple[Any, Any]:
        """Cut the large classes and return all rows with their subclasses for labels.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Labelled rows, as in :meth:`fit`.
        y : array-like of shape (n_samples,)
            Their classes.

        Returns
        -------
        X_resampled : array-like or data frame of shape (n_samples, n_features)
            X itself in its own dtype: no row is left out or repeated, and none is copied.
        y_resampled : ndarray of shape (n_samples,), int32
            ``subclass_labels_``, in a list, a Series or a frame with the index and the name of y
            if y is a list or comes from pandas. :meth:`to_classes` turns them into classes.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`fit`.
        """
        self._warn(self._fit(X, y))
        return X, _as_target(self.subclass_labels_.copy(), y)

    def fit_predict(self, X: ArrayLike, y: ArrayLike) -> Int32Array:
        """Cut the large classes and return the subclass of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Labelled rows, as in :meth:`fit`.
        y : array-like of shape (n_samples,)
            Their classes.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            ``subclass_labels_``.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`fit`.
        """
        self._warn(self._fit(X, y))
        return self.subclass_labels_

    def predict(self, X: ArrayLike, y: ArrayLike | None = None) -> Int32Array:
        """Find the subclass of each row, among those of its class if that is known.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Their classes, such as ``fit`` has seen.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Given y, the subclass of that class whose cost plus price is lowest: fitted rows get
            ``subclass_labels_``, ties aside. Without y, the subclass of any class
            with the nearest centre: prices of different classes do not compare. The lowest index
            on ties.

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, its squares leave float64,
            or y has another length or a label that ``fit`` has not seen.
        TypeError
            For numbers among strings in y.
        """
        check_is_fitted(self)
        X = checked_matrix(self, X, reset=False)
        checked_range(X)  # where squares are no numbers, any subclass would seem as good
        centers, spherical = self.subclass_centers_, self._is_spherical()
        if y is None:
            return assign(as_blocks(X), centers, spherical=spherical)
        codes = checked_given_classes(y, self.classes_, len(X))
        return assign_within(X, codes, centers, self.parent_, self.prices_, spherical=spherical)

    def _is_spherical(self):
        metric = checked_choice("metric", self.metric, CenterMetric)
        return metric is CenterMetric.COSINE

    def _warn(self, result, name="SubclassBalancer"):
        """Warn the caller of the method that calls this, once."""
        moving = np.flatnonzero(~result.converged)
        if len(moving):
            warnings.warn(
                f"{name} did not converge in max_iter={self.max_iter} iterations "
                f"for {len(moving)} of {len(self.classes_)} classes, such as "
                f"{self.classes_.tolist()[moving[0]]!r}. Raise max_iter.",
                ConvergenceWarning,
                stacklevel=3,
            )


def _logging(classes, sizes, counts):
    def on_class(c, inertia):
        logger.info(
            "SubclassBalancer: class %r, %d rows in %d subclasses, inertia %.6g",
            classes.tolist()[c],
            sizes[c],
            counts[c],
            inertia,
        )

    return on_class


def _as_target(labels, y):
    """Labels in the container that y came in, where that is a list or one of pandas."""
    if isinstance(y, list):
        return labels.tolist()
    if not hasattr(y, "iloc"):
        return labels
    if hasattr(y, "columns"):
        return type(y)(labels, index=y.index, columns=y.columns)
    return type(y)(labels, index=y.index, name=y.name)
