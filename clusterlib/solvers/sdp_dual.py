"""Multipliers of the k-means relaxation for a few thousand rows, by alternating directions.

The relaxation of Peng and Wei, ``max <A, Z>`` over positive semidefinite Z >= 0 with ``Z 1 = 1``
and trace K, is split into ``Z = Y``: Z keeps the eigenvalues, Y the signs. In the scaled form all
that has to be stored is one symmetric matrix ``T = Y - N / rho``, as Y and N are its positive and
negative parts, and the matrix whose eigenvalues are projected is ``|T| + A / rho``.
"""

import logging
from typing import NamedTuple

import numpy as np

from clusterlib.solvers.partition_geometry import chunks

__all__ = ["DualSolution", "solve_dual"]

_LOGGER = logging.getLogger("clusterlib")
_TILE_BYTES = 1 << 19  # a tile of T and its scratch stay in the cache
_RELAXATION = 1.6
_FIRST_RHO = 2.0
_PERIOD = 10  # iterations between two looks at the residuals
_IMBALANCE, _RHO_STEP = 2.0, 1.3
_FIRST_VECTORS = 24
# Part of the vectors that may belong to positive eigenvalues; with fewer spare ones the iteration
# loses some of those close to 0, and bounds stay far from what they are estimated to be.
_FILLED = 0.6
_CAUTION, _SMALL_RESIDUAL = 0.25, 2e-4  # objectives of infeasible Z are off by more than gaps
_DENSE = 100  # rows up to which all eigenvalues are computed


class DualSolution(NamedTuple):
    """The best bound that was proved on the way, and how close to the optimum it should be.

    Attributes
    ----------
    bound : float
        The smallest of the proved bounds of ``<A, Z>``, in the squared units of the rows.
    objective : float
        ``<A, Z>`` of the last Z, which is feasible only in the limit.
    n_iter : int
        Iterations done.
    converged : bool
        Whether bound and objective met.
    history : ndarray of shape (n_looks, 4), float64
        Iterations, ``<A, Z>``, estimated bound, and Frobenius norm of Z - Y relative to Y.
    interrupted : bool
        Whether a keyboard interrupt was the end.
    """

    bound: float
    objective: float
    n_iter: int
    converged: bool
    history: np.ndarray
    interrupted: bool


class _State:
    """T, rho, and vectors that span the large eigenvalues of ``|T| + A / rho``."""

    def __init__(self, rows, start, n_clusters, dtype, rng):
        n = len(rows)
        self.n, self.n_clusters, self.dtype, self.rng = n, n_clusters, dtype, rng
        self.unit = float(np.linalg.eigvalsh(rows.T @ rows)[-1])
        self.rows = (rows / np.sqrt(self.unit)).astype(dtype)
        self.rho = _FIRST_RHO
        factor = start.astype(dtype)
        self.T = factor @ factor.T
        step = max(16, _TILE_BYTES // (n * self.T.itemsize))
        self.tiles = chunks(0, n, step)
        self.scratch = np.empty((2, min(step, n), n), dtype)
        width = _FIRST_VECTORS + 2 * n_clusters
        self.dense = n <= _DENSE or width > n // 3
        self.vectors = np.empty((n, 0), dtype)
        if not self.dense:
            given = np.concatenate([factor, self.rows], axis=1)[:, : width // 2]
            self.vectors = self._widened(given, width)
            for _ in range(3):
                self.vectors = self._orthonormal(self.multiplied(self.vectors))

    def _widened(self, vectors, width):
        extra = self.rng.standard_normal((self.n, width - vectors.shape[1])).astype(self.dtype)
        return self._orthonormal(np.concatenate([vectors, extra], axis=1))

    def _orthonormal(self, vectors):
        """An orthonormal basis of the vectors, orthogonal to that of ones."""
        return np.linalg.qr(vectors - vectors.mean(axis=0))[0]

    def multiplied(self, vectors):
        """``P (|T| + A / rho) P`` times vectors that sum to 0."""
        product = np.empty_like(vectors)
        for tile in self.tiles:
            size = np.abs(self.T[tile], out=self.scratch[0, : tile.stop - tile.start])
            np.matmul(size, vectors, out=product[tile])
        product += self.rows @ ((self.rows.T @ vectors) / self.dtype(self.rho))
        product -= product.mean(axis=0)
        return product

    def spectrum(self):
        """The projection of the eigenvalues and the vectors of those that stay positive."""
        if self.dense:
            matrix = np.abs(self.T) + self.rows @ self.rows.T / self.rho
            matrix -= matrix.mean(axis=0)
            matrix -= matrix.mean(axis=1)[:, None]
            values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
            self.vectors = vectors[:, -_FIRST_VECTORS:]
        else:
            self.vectors = self._orthonormal(self.multiplied(self.vectors))
            values, turn = np.linalg.eigh(self.vectors.T @ self.multiplied(self.vectors))
            vectors = self.vectors = self.vectors @ turn
        kept = project_spectrum(values.astype(np.float64), self.n_clusters - 1)
        positive = kept > 0
        if not self.dense and np.count_nonzero(positive) > _FILLED * len(kept):
            self._grow()
        return kept[positive].astype(self.dtype), vectors[:, positive]

    def _grow(self):
        width = self.vectors.shape[1] * 3 // 2
        self.dense = width > self.n // 3
        if not self.dense:
            self.vectors = self._widened(self.vectors, width)

    def advance(self, kept, vectors, measure):
        """Update T for the Z of a spectrum; norms of Z - Y, of the step of Y, of Y and of N."""
        ones = np.full((self.n, 1), 1.0 / self.n, self.dtype)
        left = np.concatenate([vectors * kept, ones], axis=1) * self.dtype(_RELAXATION)
        right = np.concatenate([vectors, np.ones_like(ones)], axis=1).T.copy()
        squares = np.zeros(4)
        for tile in self.tiles:
            T = self.T[tile]
            change, positive = self.scratch[:, : len(T)]
            np.matmul(left[tile], right, out=change)
            # Over-relaxed: T becomes a Z + (1 - a) Y - N / rho, and T + a (Z - Y) is the same.
            np.maximum(T, 0, out=positive)
            positive *= self.dtype(_RELAXATION)
            change -= positive
            T += change
            if measure:
                squares += self._squares(T, change, positive)
        return np.sqrt(squares)

    def _squares(self, T, change, relaxed_positive):
        """Squared norms over one tile; ``change`` is a (Z - Y) of the Y before."""
        before = relaxed_positive / self.dtype(_RELAXATION)
        Y = np.maximum(T, 0)
        Z = change / self.dtype(_RELAXATION) + before
        parts = (Z - Y, Y - before, Y, Y - T)
        return np.array([float(np.vdot(part, part)) for part in parts])

    def balance(self, norms):
        """Change rho if the primal and the dual residual are of different size.

        Each is measured by the root of what it is a residual of. Neither absolute nor relative
        residuals are good throughout: the first let rho grow too much where balls overlap, the
        second keep it too small where they are apart.
        """
        primal = norms[0] / np.sqrt(norms[2])
        dual = norms[1] / np.sqrt(max(norms[3], np.finfo(self.dtype).tiny))
        if primal > _IMBALANCE * dual:
            factor = _RHO_STEP
        elif dual > _IMBALANCE * primal:
            factor = 1.0 / _RHO_STEP
        else:
            return
        self.rho *= factor
        for tile in self.tiles:
            T = self.T[tile]
            np.multiply(T, self.dtype(1.0 / factor), out=T, where=T < 0)

    def objective(self, kept, vectors):
        """``<A, Z>`` in the units of the rows."""
        products = self.rows.T @ vectors
        return float(np.square(products).sum(axis=0) @ kept) * self.unit

    def estimated_bound(self, vectors):
        """The bound of the multipliers as far as the vectors see their eigenvalues."""
        product, total = np.empty_like(vectors), 0.0
        for tile in self.tiles:
            N = np.minimum(self.T[tile], 0, out=self.scratch[0, : tile.stop - tile.start])
            np.matmul(N, vectors, out=product[tile])
            total -= float(N.sum(dtype=np.float64))
        small = self.rows.T @ vectors
        matrix = small.T @ small - self.rho * (vectors.T @ product)
        values = np.linalg.eigvalsh(matrix.astype(np.float64))[::-1]
        top = float(np.maximum(values[: self.n_clusters - 1], 0.0).sum())
        return (top + self.rho * total / self.n) * self.unit

    def multipliers(self):
        """N in the units of the rows, symmetric, in float64: n^2 more numbers."""
        N = np.empty(self.T.shape)
        factor = -0.5 * self.rho * self.unit
        for tile in self.tiles:
            np.minimum(self.T[tile], 0, out=N[tile])
            N[tile] += np.minimum(self.T[:, tile].T, 0)
            N[tile] *= factor
        return N


def solve_dual(rows, n_clusters, start, prove, *, tol, max_iter, dtype, rng, callback=None):
    """Look for multipliers whose bound is the value of the relaxation.

    Parameters
    ----------
    rows : ndarray of shape (n, p), float64
        Centred, not all 0.
    n_clusters : int
        K, from 2 to n - 1.
    start : ndarray of shape (n, r), float64
        A factor of the Z to start from.
    prove : callable
        ``prove(N, vectors)`` returns a true bound of ``<A, Z>`` for multipliers N of shape (n, n),
        float64; vectors of shape (n, v) approximate the eigenvectors that matter.
    tol : float
        Gap between bound and objective at which to stop, in the squared units of the rows.
    max_iter : int
        Most iterations.
    dtype : type
        numpy.float32 or numpy.float64, what T is kept in. Multipliers are valid in either.
    rng : numpy.random.Generator
        Fills up the vectors.
    callback : callable, default=None
        ``callback(n_iter, objective, bound, residual)`` at every look; True stops.

    Returns
    -------
    solution : DualSolution
        With the best proved bound.

    Notes
    -----
    O(n^2 v) time an iteration with v vectors, 24 + 2 K at first and more where more eigenvalues
    stay positive; n^2 numbers. The bound is estimated from the vectors and proved when the
    estimate is good, and at the end. A keyboard interrupt is an end as well.
    """
    state = _State(rows, start, n_clusters, dtype, rng)
    best, history, n_iter, converged, is_proved = np.inf, [], 0, False, False
    objective, interrupted = np.inf, False
    try:
        kept, vectors = state.spectrum()
        while n_iter < max_iter and not converged:
            n_iter += 1
            measure = n_iter % _PERIOD == 0 or n_iter == max_iter
            norms = state.advance(kept, vectors, measure)
            is_proved = False
            if measure:
                objective, bound = state.objective(kept, vectors), state.estimated_bound(vectors)
                residual = norms[0] / norms[2]
                history.append((n_iter, objective, bound, residual))
                if callback is not None and callback(*history[-1]):
                    break
                # Z is close to feasible where the two agree and it agrees with Y as well.
                if abs(bound - objective) <= _CAUTION * tol and residual <= _SMALL_RESIDUAL:
                    best, is_proved = min(best, prove(state.multipliers(), state.vectors)), True
                    converged = best - objective <= tol
                if n_iter > _PERIOD:
                    state.balance(norms)
            if not converged:
                kept, vectors = state.spectrum()
    except KeyboardInterrupt:
        interrupted = True
        _LOGGER.info("interrupted after %d iterations; the bound so far is kept", n_iter)
    if not is_proved:
        best = min(best, prove(state.multipliers(), state.vectors))
    history = np.array(history, dtype=np.float64).reshape(-1, 4)
    return DualSolution(best, objective, n_iter, converged, history, interrupted)


def project_spectrum(values, total):
    """The nearest numbers between 0 and 1 with a given sum.

    Parameters
    ----------
    values : ndarray of shape (m,), float64
        In any order.
    total : int
        The sum, from 0 to m.

    Returns
    -------
    projected : ndarray of shape (m,), float64
        ``min(1, max(0, values - t))`` for the t that gives the sum.
    """
    # The sum is piecewise linear in t, with corners at the values and at 1 below them.
    corners = np.sort(np.concatenate([values, values - 1.0]))
    low, high = 0, len(corners) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if np.clip(values - corners[middle], 0.0, 1.0).sum() >= total:
            low = middle
        else:
            high = middle
    sums = [np.clip(values - corners[i], 0.0, 1.0).sum() for i in (low, high)]
    share = (sums[0] - total) / (sums[0] - sums[1]) if sums[0] > sums[1] else 0.0
    level = corners[low] + share * (corners[high] - corners[low])
    return np.clip(values - level, 0.0, 1.0)
