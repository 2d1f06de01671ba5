"""Least squares in non-negative factors where cells are missing or have weights of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import masked_hals_sweep
from clusterlib.solvers.least_squares import rounding
from clusterlib.solvers.nonnegative_weights import settled

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.typing import Array, Float64Array, FloatArray

__all__ = ["MaskedLeastSquares"]

_FIRST_SWEEPS = 10
_SWEEPS = 2


class MaskedLeastSquares:
    """Minimise ``sum_ij v_ij (x_ij - (W H)_ij)^2 / 2`` and penalties over non-negative factors.

    Parameters
    ----------
    X : ndarray of shape (n, m), float32 or float64
        Values; those of weight 0 are never looked at and may be NaN.
    cell_weight : ndarray of shape (n, m), dtype of X
        Weights v of cells.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights of rows, by which v is multiplied.
    l1, l2 : tuple of 2 floats, default=(0, 0)
        Penalties of weights and components as in :class:`LeastSquares`.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    total : float
        Weighted sum of the squares of X.

    Notes
    -----
    O(n m k) time for a sweep, as no product can be shared among rows; X and the weights are copied
    once in the order of columns.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import MaskedLeastSquares, alternate
    >>> X = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0])
    >>> X[1, 1] = np.nan
    >>> problem = MaskedLeastSquares(X, np.isfinite(X).astype(float))
    >>> [result] = alternate(problem, np.ones((1, 1, 3)))
    >>> round(float((result.W @ result.H)[1, 1]), 6)
    2.0
    """

    def __init__(
        self,
        X: FloatArray,
        cell_weight: FloatArray,
        *,
        sample_weight: Float64Array | None = None,
        l1: tuple[float, float] = (0, 0),
        l2: tuple[float, float] = (0, 0),
    ) -> None:
        self._X = np.where(cell_weight > 0, X, 0).astype(X.dtype, order="C")
        self._V = np.ascontiguousarray(cell_weight)
        self._Xt = np.ascontiguousarray(self._X.T)
        self._Vt = np.ascontiguousarray(cell_weight.T)
        if sample_weight is not None:
            # Not in place: the transpose may be the caller's own array.
            self._Vt = self._Vt * sample_weight.astype(X.dtype)
        self._sample_weight, self._l1, self._l2 = sample_weight, l1, l2
        total = np.einsum("ij,ij,ij->", self._Vt, self._Xt, self._Xt, dtype=np.float64)
        self.total = float(total)
        self.n_rows = len(X)
        self._epsilon = float(np.finfo(X.dtype).eps)

    def noise(self, objective: Any) -> Any:
        """By how much rounding may raise the objective."""
        return rounding(objective, self.total, self._epsilon)

    def begun(self, descents: Any) -> Any:
        """First weights of starts, and the objectives."""
        found = []
        for descent in descents:
            W = self.first_weights(descent.Ht)
            masked_hals_sweep(
                W, self._X, self._V, descent.Ht.T, n_sweeps=_FIRST_SWEEPS, **self._of(0)
            )
            found.append((W, self._exact_objective(W, descent.Ht, descent.row_weight)))
        return found

    def first_weights(self, Ht: FloatArray) -> FloatArray:
        """The best multiple of equal weights for each row; 0 for a row without a cell."""
        mean = Ht.sum(axis=1)
        fits = self._V @ np.square(mean)
        level = np.divide(
            (self._V * self._X) @ mean, fits, out=np.zeros(len(fits), Ht.dtype), where=fits > 0
        )
        return np.repeat(level[:, None], Ht.shape[1], axis=1)

    def improved_weights(self, descents: Any) -> Any:
        """Better weights for the components of each start, as new arrays."""
        found = []
        for descent in descents:
            W = descent.W.copy()
            masked_hals_sweep(W, self._X, self._V, descent.Ht.T, n_sweeps=_SWEEPS, **self._of(0))
            found.append(W)
        return found

    def improved_components(self, descents: Any) -> Any:
        """Better components for the weights of each start, and the objectives they have."""
        found = []
        for descent in descents:
            Ht, V = np.maximum(descent.Ht, 0), self._cells(descent.row_weight)
            _, loss = masked_hals_sweep(
                Ht, self._Xt, V, descent.W.T, n_sweeps=_SWEEPS, **self._of(1)
            )
            found.append((Ht, loss / 2 + self._penalties(descent.W, Ht, descent.row_weight)))
        return found

    @staticmethod
    def feasible(W):
        """The nearest weights that are allowed."""
        return np.maximum(W, 0)

    def finished(
        self, W: FloatArray, Ht: FloatArray, row_weight: Array | None = None
    ) -> tuple[FloatArray, FloatArray, Any]:
        """Weights at rest for final components, wherever they come from, and their objective."""
        W = self.weights(Ht)
        return W, Ht, self._exact_objective(W, Ht, row_weight)

    def weights(self, Ht: FloatArray) -> FloatArray:
        """Weights of the rows, each of them by itself."""
        W = self.first_weights(Ht)

        def descend(weights, rows):
            masked_hals_sweep(
                weights, self._X[rows], self._V[rows], Ht.T, n_sweeps=_FIRST_SWEEPS, **self._of(0)
            )
            return weights

        return settled(W, descend)

    def _of(self, side):
        return {"l1": self._l1[side], "l2": self._l2[side]}

    def _cells(self, row_weight):
        if row_weight is None:
            return self._Vt
        return self._V.T * row_weight.astype(self._V.dtype)

    def _penalties(self, W, Ht, row_weight):
        weight = self._sample_weight if row_weight is None else row_weight
        W, Ht = W.astype(np.float64), Ht.astype(np.float64)
        parts = self._l1[0] * W.sum(axis=1) + self._l2[0] / 2 * np.square(W).sum(axis=1)
        value = float(parts.sum() if weight is None else parts @ weight)
        return value + self._l1[1] * float(Ht.sum()) + self._l2[1] / 2 * float((Ht**2).sum())

    def _exact_objective(self, W, Ht, row_weight):
        rest = np.square(self._Xt - Ht @ W.T)
        loss = np.einsum("ij,ij->", self._cells(row_weight), rest, dtype=np.float64)
        return float(loss) / 2 + self._penalties(W, Ht, row_weight)
