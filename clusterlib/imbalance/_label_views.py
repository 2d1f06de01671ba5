"""One or two ways to see rows: their principal components, and all their features."""

import numpy as np

from clusterlib.solvers import principal_components, project

__all__ = ["LabelViews", "small_unit"]

# Exponent of two below which rows are scaled up: squares would be too small.
_SMALL_UNIT = -300


def small_unit(X):
    """Exponent of two by which rows are divided: that of the largest value if all are tiny, or 0.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        Finite rows.

    Returns
    -------
    unit : int
        Division by a power of two changes no digit.
    """
    unit = int(np.frexp(max(X.max(), -X.min()))[1])
    return unit if unit < _SMALL_UNIT else 0


class LabelViews:
    """Turns rows into what noise models and heads see.

    Parameters
    ----------
    unit : int
        Rows are divided by two to this power, as :func:`small_unit` has it.
    reduction : PrincipalComponents or None
        None: rows are seen as they are, once.
    """

    def __init__(self, unit, reduction):
        self.unit = unit
        self.reduction = reduction

    @classmethod
    def of_rows(cls, X, n_components, sample_weight):
        """Find the components of rows of more features than ``n_components``."""
        views = cls(small_unit(X), None)
        if X.shape[1] > n_components:
            rows = views._scaled(X)
            views.reduction = principal_components(rows, n_components, sample_weight=sample_weight)
        return views

    def of(self, X):
        """List the views of rows: reduced ones first, if there are any."""
        X = self._scaled(X)
        return [X] if self.reduction is None else [project(X, self.reduction), X]

    def shrinkages(self, first):
        """Shrinkages of the views: all features share one covariance."""
        return [first] if self.reduction is None else [first, np.inf]

    def _scaled(self, X):
        return np.ldexp(X, -self.unit) if self.unit else X
