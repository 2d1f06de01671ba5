"""What estimators that move rows between two domains have in common once they are fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from clusterlib.solvers import (
    PointCost,
    labelled_cost,
    moved_as_nearest,
    moved_by_matrix,
    moved_to_means,
)
from clusterlib.solvers.sides import side_of
from clusterlib.validation import (
    OutOfSample,
    check_is_fitted,
    checked_choice,
    checked_matrix,
    checked_row_flags,
    checked_same_side,
)

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.typing import ArrayLike, Float64Array, FloatArray

__all__ = ["TransportEstimator", "domain_cost"]


def domain_cost(source, target, metric, classes, penalty):
    """The cost of points, or the matrix that tells their classes apart if there is a penalty."""
    cost = PointCost(source, target, metric=metric)
    return cost if penalty is None else labelled_cost(cost, *classes, penalty)


class TransportEstimator(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Base of domain adaptation: everything that needs points and potentials alone."""

    def fit_transform(
        self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any
    ) -> FloatArray:
        """Fit, and move the rows of X to where they lie in the target.

        The same as ``fit`` followed by ``transform`` unless there are ``target_labels``: then rows
        go where the plan sends them, which knows their classes, while ``transform`` has rows of
        unknown class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,), default=None
            Their classes.
        **fit_params : dict
            ``target`` and other arguments of ``fit``.

        Returns
        -------
        moved : ndarray of shape (n_samples, n_features)
            In the dtype of X (float32 or float64).
        """
        self.fit(X, y, **fit_params)
        if self.penalty_ is None:
            return self.transform(X)
        moved = self._moved_training(slice(None))
        return moved.astype(self.source_.dtype, copy=False)

    def transform(self, X: ArrayLike, *, in_target: bool | ArrayLike | None = None) -> FloatArray:
        """Move rows to where they would lie in the target.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows of the source domain, those of ``fit`` or others.
        in_target : bool or array-like of bool of shape (n_samples,), default=None
            Rows that are at home in the target and are returned as they are. None means none.

        Returns
        -------
        moved : ndarray of shape (n_samples, n_features)
            In the dtype of X (float32 or float64).

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``, or ``in_target`` has
            another length.
        TypeError
            If ``in_target`` is not boolean, or X is not on the side of the rows of ``fit``.

        Notes
        -----
        O(n_samples m d) time, no n_samples x m matrix.
        """
        check_is_fitted(self)
        X, side = self._checked_rows(X)
        stays = checked_row_flags("in_target", in_target, len(X))
        if stays is None:
            return side.like(self._moved(X, forwards=True))
        moved = X.copy()
        if not stays.all():
            goes = side.beside(~stays)
            moved[goes] = self._moved(X[goes], forwards=True)
        return side.like(moved)

    def _checked_rows(self, X):
        """Rows beside those of ``fit``, for arithmetic, and the side they are on."""
        X = checked_matrix(self, X, reset=False)
        checked_same_side(self, X, self.source_)
        side = side_of(X)
        return side.native(X), side

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Move rows of the target domain to where they would lie in the source.

        Not the inverse of :meth:`transform`, but the same map with source and target exchanged:
        both are means.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows of the target domain.

        Returns
        -------
        moved : ndarray of shape (n_samples, n_features)
            In the dtype of X (float32 or float64).

        Raises
        ------
        ValueError
            If X is no finite matrix with the features seen in ``fit``.
        """
        check_is_fitted(self)
        X, side = self._checked_rows(X)
        return side.like(self._moved(X, forwards=False))

    def plan(self) -> Float64Array:
        """How much mass of each source row goes to each target row.

        Returns
        -------
        plan : ndarray of shape (n_samples, n_targets), float64
            Computed anew, and n_samples x n_targets numbers are allocated. The sums of its rows
            are the weights of the sources, its total is 1, unless ``rho_a`` or ``rho_b`` is
            finite.
        """
        check_is_fitted(self)
        classes = self.source_classes_, self.target_classes_
        cost = domain_cost(self.source_, self.target_, self.metric_, classes, self.penalty_)
        costs = cost.block(slice(None)) if self.penalty_ is None else cost
        side = side_of(self.source_)
        exponent = np.subtract(side.native(self.g_), costs, dtype=np.float64)
        exponent += side.native(self.f_)[:, None]
        exponent /= self.epsilon_effective_
        return side.like(np.exp(exponent, out=exponent))

    def _sides(self, forwards):
        """Points, classes and potentials, where rows come from and where they go."""
        native = side_of(self.source_).native
        sides = [
            (native(self.source_), self.source_classes_, native(self.f_)),
            (native(self.target_), self.target_classes_, native(self.g_)),
        ]
        return sides if forwards else sides[::-1]

    def _moved(self, X, forwards):
        """Rows of X on the other side, as ``out_of_sample_map`` says."""
        (here, _, own_potential), (there, _, potential) = self._sides(forwards)
        chosen = checked_choice("out_of_sample_map", self.out_of_sample_map, OutOfSample)
        if chosen is OutOfSample.ENTROPIC:
            cost = PointCost(here, there, metric=self.metric_)
            moved = moved_to_means(X, cost, self.epsilon_effective_, potential)
        else:
            weighted = np.flatnonzero(np.isfinite(own_potential))
            moved = moved_as_nearest(
                X, here[weighted], lambda rows: self._moved_training(weighted[rows], forwards)
            )
        return moved.astype(X.dtype, copy=False)

    def _moved_training(self, rows, forwards=True):
        """Where the plan sends rows of ``fit`` on average, their classes included."""
        (here, classes, _), (there, other_classes, potential) = self._sides(forwards)
        epsilon = self.epsilon_effective_
        if self.penalty_ is None:
            cost = PointCost(here[rows], there, metric=self.metric_)
            return moved_to_means(here[rows], cost, epsilon, potential)
        classes = classes[rows], other_classes
        matrix = domain_cost(here[rows], there, self.metric_, classes, self.penalty_)
        return moved_by_matrix(matrix, there, epsilon, potential)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
