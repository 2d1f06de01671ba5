"""Least squares in non-negative factors: what alternating descent needs to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse

from clusterlib.kernels import hals_sweep, simplex_projection
from clusterlib.solvers.nonnegative_weights import (
    improved_simplex_weights,
    nonnegative_weights,
    simplex_weights,
)

if TYPE_CHECKING:
    from typing import Any

    from clusterlib.typing import Array, CsrArray, Float64Array, FloatArray

__all__ = ["LeastSquares", "squared_error"]

# Sweeps that follow a product may take this part of its operations (N. Gillis and F. Glineur,
# "Accelerated multiplicative updates and hierarchical ALS algorithms for nonnegative matrix
# factorization", Neural Comput. 24(4), 2012).
_SHARE = 0.5
_MOST_SWEEPS = 10
_SIMPLEX_STEPS = 5
# Units of rounding of the squares of X below which an objective is evaluated without sums.
_CANCELLED = 400
# What is added to the volume of components whose squared norms are 1 on average.
_FLAT = 1e-3
_BLOCK_VALUES = 1 << 20


class LeastSquares:
    """Minimise ``sum_i s_i |x_i - w_i H|^2 / 2`` and penalties over non-negative factors.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Rows, in a range where squares of their values can be summed in their dtype.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights s of rows.
    simplex : bool, default=False
        Whether the weights w of each row sum to 1.
    l1, l2 : tuple of 2 floats, default=(0, 0)
        ``l1 |W|_1 + l2 |W|^2 / 2`` for weights (times s) and the same for components.
    volume : float, default=0.0
        Weight of ``log det(H H' / u + 0.001 I)``, with u the mean of the squared norms of the
        rows, less the least value that it can have.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    total : float
        Weighted sum of the squares of X.

    Notes
    -----
    Two products with X for an iteration of all starts, O(nnz k) each, and O((n + m) k^2) for a
    sweep; O((n + m) k) memory for a start. X is copied only if its layout is one that a matrix
    product would have to copy each time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import LeastSquares
    >>> problem = LeastSquares(np.array([[3.0, 4.0]]))
    >>> problem.total
    25.0
    """

    def __init__(
        self,
        X: FloatArray | CsrArray,
        *,
        sample_weight: Float64Array | None = None,
        simplex: bool = False,
        l1: tuple[float, float] = (0, 0),
        l2: tuple[float, float] = (0, 0),
        volume: float = 0.0,
    ) -> None:
        if scipy.sparse.issparse(X):
            self._transposed = X.T.tocsr()
            squares = np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()
        else:
            X = X if X.flags.c_contiguous or X.flags.f_contiguous else np.ascontiguousarray(X)
            self._transposed = X.T
            squares = np.einsum("ij,ij->i", X, X, dtype=np.float64)
        self._X, self._squares, self._weight = X, squares, sample_weight
        self._simplex, self._l1, self._l2 = simplex, l1, l2
        self.total = self._total(None)
        self._epsilon = float(np.finfo(X.dtype).eps)
        mass = len(squares) if sample_weight is None else sample_weight.sum()
        self.n_rows = len(squares)
        self._volume, self._unit = volume, self.total / mass or 1.0
        self._sweeps = self._sweeps_that_pay()

    def noise(self, objective: Any) -> Any:
        """By how much rounding may raise the objective."""
        if objective > self._resolved:
            return 4 * self._epsilon * self.total
        return rounding(objective, self.total, self._epsilon)

    @property
    def _resolved(self):
        """Below this, sums cancel too much to tell the objective, and it is evaluated itself."""
        return _CANCELLED * self._epsilon * self.total

    def _sweeps_that_pay(self):
        """How many values there are for each row, and for each column, times the share.

        A row of weight 2 counts as two rows: repetitions must not change the number of sweeps.
        """
        n, m = self._X.shape
        filled = np.diff(self._X.indptr) if scipy.sparse.issparse(self._X) else np.full(n, m)
        weight = np.ones(n) if self._weight is None else self._weight
        values = float(filled @ weight)
        return [_SHARE * values / weight.sum(), _SHARE * values / m]

    def begun(self, descents: Any) -> Any:
        """First weights of starts, and the objectives."""
        found = []
        for descent, R in zip(descents, self._row_products(descents), strict=True):
            W = self._best_weights(R, descent.Ht, n_sweeps=_MOST_SWEEPS)
            found.append(W)
        for descent, W in zip(descents, found, strict=True):
            descent.W = W
        products = self._column_products(descents)
        return [
            (each.W, self._objective(each.W, each.Ht, R, self._gram_of_rows(each), each.row_weight))
            for each, R in zip(descents, products, strict=True)
        ]

    def improved_weights(self, descents: Any) -> Any:
        """Better weights for the components of each start, as new arrays."""
        return [
            self._better_weights(descent.W, R, descent.Ht)
            for descent, R in zip(descents, self._row_products(descents), strict=True)
        ]

    def improved_components(self, descents: Any) -> Any:
        """Better components for the weights of each start, and the objectives they have."""
        found = []
        for descent, R in zip(descents, self._column_products(descents), strict=True):
            gram = self._gram_of_rows(descent)
            Ht = np.maximum(descent.Ht, 0)
            ridge = self._l2[1] * np.eye(len(gram)) + self._pull(Ht)
            self._sweep(Ht, R - R.dtype.type(self._l1[1]), gram + ridge, side=1)
            value = self._objective(descent.W, Ht, R, gram, descent.row_weight)
            found.append((Ht, value))
        return found

    def feasible(self, W: FloatArray) -> FloatArray:
        """The nearest weights that are allowed."""
        return simplex_projection(W) if self._simplex else np.maximum(W, 0)

    def finished(
        self, W: FloatArray, Ht: FloatArray, row_weight: Array | None = None
    ) -> tuple[FloatArray, FloatArray, Any]:
        """Weights at rest for final components, and the objective without cancellation."""
        R, gram = np.asarray(self._X @ Ht), self._gram_of_components(Ht)
        if self._simplex:
            W = simplex_weights(R, gram)
        else:
            W = nonnegative_weights(R - R.dtype.type(self._l1[0]), gram, start=W)
        return W, Ht, self._exact_objective(W, Ht, row_weight)

    def _better_weights(self, W, R, Ht):
        gram = self._gram_of_components(Ht)
        if self._simplex:
            return improved_simplex_weights(W, R, gram, _SIMPLEX_STEPS)
        W = W.copy()
        self._sweep(W, R - R.dtype.type(self._l1[0]), gram, side=0)
        return W

    def _best_weights(self, R, Ht, n_sweeps):
        """Weights from nothing: the best multiple of equal ones, and then some sweeps."""
        gram = self._gram_of_components(Ht)
        if self._simplex:
            W = np.full_like(R, 1 / R.shape[1], order="C")
            return improved_simplex_weights(W, R, gram, n_sweeps * _SIMPLEX_STEPS)
        R = R - R.dtype.type(self._l1[0])
        level = np.maximum(R.sum(axis=1, dtype=np.float64), 0) / max(
            gram.sum(), np.finfo(R.dtype).tiny
        )
        W = np.repeat(level[:, None], R.shape[1], axis=1).astype(R.dtype)
        hals_sweep(W, R, gram, n_sweeps=n_sweeps)
        return W

    def _sweep(self, W, R, gram, side):
        """Sweep in place as often as it pays."""
        n_sweeps = 1 + min(_MOST_SWEEPS, int(self._sweeps[side] / len(gram)))
        hals_sweep(W, R, gram, n_sweeps=n_sweeps)

    def _row_products(self, descents):
        """``X H'`` of all starts in one product."""
        return _split(self._X @ _joined([each.Ht for each in descents]), len(descents))

    def _column_products(self, descents):
        """``X' S W`` of all starts in one product."""
        weighted = [self._weighted(each.W, each.row_weight) for each in descents]
        return _split(self._transposed @ _joined(weighted), len(descents))

    def _weighted(self, W, row_weight):
        weight = self._weight if row_weight is None else row_weight
        return W if weight is None else W * weight[:, None].astype(W.dtype)

    def _gram_of_rows(self, descent):
        W = descent.W.astype(np.float64)
        return self._weighted(W, descent.row_weight).T @ W

    def _gram_of_components(self, Ht):
        Ht = Ht.astype(np.float64)
        return Ht.T @ Ht + self._l2[0] * np.eye(Ht.shape[1])

    def _pull(self, Ht):
        """Quadratic that touches the volume at these components and is nowhere below it."""
        if not self._volume:
            return 0.0
        return 2 * self._volume / self._unit * np.linalg.inv(self._shape(Ht))

    def _shape(self, Ht):
        Ht = Ht.astype(np.float64)
        return Ht.T @ Ht / self._unit + _FLAT * np.eye(Ht.shape[1])

    def _penalties(self, W, Ht, row_weight):
        value = 0.0
        if self._l1[0] or self._l2[0]:
            weight = self._weight if row_weight is None else row_weight
            W = W.astype(np.float64)
            parts = self._l1[0] * W.sum(axis=1) + self._l2[0] / 2 * np.square(W).sum(axis=1)
            value += float(parts.sum() if weight is None else parts @ weight)
        if self._l1[1] or self._l2[1]:
            Ht = Ht.astype(np.float64)
            value += self._l1[1] * float(Ht.sum()) + self._l2[1] / 2 * float(np.square(Ht).sum())
        if self._volume:
            value += self._volume * np.linalg.slogdet(self._shape(Ht) / _FLAT)[1]
        return value

    def _objective(self, W, Ht, R, gram, row_weight):
        """From sums that are there already; they cancel where the fit is nearly exact."""
        products = np.einsum("ij,ij->", Ht, R, dtype=np.float64)
        fit = np.einsum("ij,ij->", gram, self._gram(Ht))
        value = (self._total(row_weight) - 2 * float(products) + float(fit)) / 2
        if value < self._resolved and not scipy.sparse.issparse(self._X):
            return self._exact_objective(W, Ht, row_weight)
        return max(value, 0.0) + self._penalties(W, Ht, row_weight)

    @staticmethod
    def _gram(Ht):
        Ht = Ht.astype(np.float64)
        return Ht.T @ Ht

    def _total(self, row_weight):
        weight = self._weight if row_weight is None else row_weight
        return float(self._squares.sum() if weight is None else self._squares @ weight)

    def _exact_objective(self, W, Ht, row_weight):
        weight = self._weight if row_weight is None else row_weight
        value = squared_error(self._X, W, Ht, weight) / 2
        return value + self._penalties(W, Ht, row_weight)


def rounding(objective, total, epsilon):
    """By how much rounding may raise half a sum of squares that is evaluated itself."""
    return 8 * epsilon * np.sqrt(2 * total * abs(objective))


def squared_error(
    X: FloatArray | CsrArray,
    W: Array,
    Ht: Array,
    sample_weight: Float64Array | None = None,
    cell_weight: Array | None = None,
) -> float:
    """Compute the weighted sum of the squares of ``X - W H``.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Rows.
    W : ndarray of shape (n, k)
        Weights.
    Ht : ndarray of shape (m, k)
        Components in columns.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights of rows.
    cell_weight : None or ndarray of shape (n, m), default=None
        Weights of cells, for dense X; where they are 0, X is not looked at.

    Returns
    -------
    error : float
        Sum of squares, in float64; without cancellation for dense X.

    Notes
    -----
    O(nnz k) time, and O(n k^2) for sparse X.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import squared_error
    >>> squared_error(np.array([[3.0, 5.0]]), np.array([[1.0]]), np.array([[2.0], [3.0]]))
    5.0
    """
    n, m = X.shape
    errors = np.empty(n)
    if scipy.sparse.issparse(X):
        Ht, W = Ht.astype(np.float64), W.astype(np.float64)
        X = X.astype(np.float64)  # squares may leave the range of float32
        squares = np.asarray(X.multiply(X).sum(axis=1)).ravel()
        errors = squares - 2 * np.einsum("ij,ij->i", W, X @ Ht)
        errors = np.maximum(errors + np.einsum("ij,ij->i", W @ (Ht.T @ Ht), W), 0)
    for first in range(0, 0 if scipy.sparse.issparse(X) else n, max(1, _BLOCK_VALUES // m)):
        rows = slice(first, first + max(1, _BLOCK_VALUES // m))
        rest = np.square(X[rows] - W[rows].astype(np.float64) @ Ht.T)
        if cell_weight is not None:
            rest = np.where(cell_weight[rows] > 0, rest * cell_weight[rows], 0)
        errors[rows] = rest.sum(axis=1)
    return float(errors.sum() if sample_weight is None else errors @ sample_weight)


def _joined(parts):
    return parts[0] if len(parts) == 1 else np.hstack(parts)


def _split(product, n_parts):
    return [np.ascontiguousarray(part) for part in np.hsplit(np.asarray(product), n_parts)]
