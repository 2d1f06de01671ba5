"""What follows a Sinkhorn sweep on a CUDA device: error, dual value and the step of the columns."""

import numpy as np

from clusterlib.kernels._cupy.instances import Instance
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.sinkhorn_passes import ceil_divide

__all__ = ["INSTANCES", "ColumnSteps"]

_THREADS = 256
_VECTOR_BLOCK = 1024  # entries, as in csrc/cuda/sinkhorn_columns.cuh
_LOST_CHUNKS, _LOST_ROWS = 16, 256  # most chunks of rows, and fewest rows, of lost columns
_LINES = 256  # of the history that are allocated to begin with

_NAMES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
# Sums of columns outside these may have lost terms to the range of the type.
_TRUSTED = {"float": (1e-30, 1e30), "double": (1e-280, 1e280)}


def _instance(kernel, kind, threads=_THREADS):
    return Instance("sinkhorn_columns.cuh", f"cl::{kernel}<{kind}>", threads)


_LOST = {kind: _instance("lost_columns", kind) for kind in _TRUSTED}
_STEP = {kind: _instance("column_step", kind) for kind in _TRUSTED}
_MASSES = _instance("marginal_masses", "double")
_TRANSLATION = _instance("translation", "double", 32)
_TERMS = _instance("marginal_terms", "double")
_CLOSE = _instance("close_iteration", "double")

INSTANCES = (*_LOST.values(), *_STEP.values(), _MASSES, _TRANSLATION, _TERMS, _CLOSE)


class ColumnSteps:
    """Iterations of R right-hand sides, but for their sweeps.

    Parameters
    ----------
    epsilon : float
        Entropic strength.
    taus : tuple of float
        Damping of rows and columns.
    log_weights, potentials : tuple of device array of shapes (R, n) and (R, m), float64
        Of rows and columns; potentials are moved.
    dtype : dtype
        Type that the sweeps calculate in.
    """

    def __init__(self, epsilon, taus, log_weights, potentials, dtype):
        runtime = active()
        self.epsilon, self._taus = epsilon, tuple(np.float64(tau) for tau in taus)
        self._log_weights, self._potentials = log_weights, potentials
        (self._sides, n), m = potentials[0].shape, potentials[1].shape[1]
        self._n, self._m, self._kind = n, m, _NAMES[np.dtype(dtype)]
        self.seen = potentials[1].astype(dtype)
        self.sums = runtime.empty((self._sides, m), np.float64)
        self._targets = runtime.empty((self._sides, m), np.float64)
        self._blocks = ceil_divide(n, _VECTOR_BLOCK), ceil_divide(m, _VECTOR_BLOCK)
        self._terms = runtime.empty((self._sides, sum(self._blocks), 3), np.float64)
        self._lines, self._history = 0, runtime.empty((self._sides, _LINES, 2), np.float64)
        self._lost = None
        rhos = (epsilon * tau / (1.0 - tau) if 0 < tau < 1 else 0.0 for tau in taus)
        self._rhos = tuple(np.float64(rho) for rho in rhos)

    def _block_counts(self):
        return np.int32(self._blocks[0]), np.int32(self._blocks[1])

    def _translation(self):
        """The shift of f against g, if both marginals are penalised."""
        if not all(0 < tau < 1 for tau in self._taus):
            return None
        runtime = active()
        blocks = self._sides * sum(self._blocks)
        tops, totals = (runtime.empty((blocks,), np.float64) for _ in range(2))
        runtime.launch(
            _MASSES, blocks, np.int64(self._n), np.int32(self._m), *self._block_counts(),
            *self._log_weights, *self._potentials, *self._rhos, tops, totals,
        )  # fmt: skip
        shifts = runtime.empty((self._sides,), np.float64)
        runtime.launch(
            _TRANSLATION, self._sides, *self._block_counts(), *self._rhos, tops, totals, shifts
        )
        return shifts

    def _look_for_lost(self, C):
        """Sum up lost columns anew, in chunks of rows; returns (tops, totals, chunks)."""
        runtime = active()
        chunks = min(_LOST_CHUNKS, ceil_divide(self._n, _LOST_ROWS))
        if self._lost is None:
            shape = chunks, self._sides, self._m
            self._lost = tuple(runtime.empty(shape, np.float64) for _ in range(2))
        groups = ceil_divide(self._m, 32)
        limits = (np.float64(limit) for limit in _TRUSTED[self._kind])
        runtime.launch(
            _LOST[_NAMES[C.dtype]], chunks * self._sides * groups, C, np.int64(self._n),
            np.int32(self._m), np.int32(self._sides), np.int32(groups),
            np.int64(ceil_divide(self._n, chunks)), np.float64(self.epsilon), *self._potentials,
            self._log_weights[1], self.sums, *limits, *self._lost,
        )  # fmt: skip
        return *self._lost, np.int32(chunks)

    def evaluate(self, C=None, logs=None):
        """Write a line of the history, and the targets of the columns.

        Parameters
        ----------
        C : device array of shape (n, m), default=None
            The cost that ``sums`` come from, where columns are worked out anew that were lost.
        logs : device array of shape (R, m), float64, default=None
            Logarithms of the sums of columns, where they are known.
        """
        runtime = active()
        lost = (None, None, np.int32(0)) if C is None else self._look_for_lost(C)
        limits = (np.float64(limit) for limit in _TRUSTED[self._kind])
        if self._lines == self._history.shape[1]:
            longer = runtime.empty((self._sides, 4 * self._lines, 2), np.float64)
            longer[:, : self._lines] = self._history
            self._history = longer
        runtime.launch(
            _TERMS, self._sides * sum(self._blocks), np.int64(self._n), np.int32(self._m),
            np.int32(self._sides), *self._block_counts(), *self._log_weights, *self._potentials,
            np.float64(self.epsilon), *self._taus, *self._rhos, self._translation(), self.sums,
            logs, *lost, *limits, self._targets, self._terms,
        )  # fmt: skip
        runtime.launch(
            _CLOSE, self._sides, np.int32(sum(self._blocks)), np.float64(self.epsilon),
            self._terms, np.int64(self._history.shape[1]), np.int64(self._lines), self._history,
        )  # fmt: skip
        self._lines += 1

    def error(self):
        """The largest error of the last line, on the host."""
        return float(active().to_host(self._history[:, self._lines - 1, 0]).max())

    def history(self):
        """Errors and dual values up to now, of shape (R, n_done, 2)."""
        return self._history[:, : self._lines].copy()

    def step(self, relaxation):
        """Move g to its targets, or by so much of the way."""
        count = self._sides * self._m
        active().launch(
            _STEP[self._kind], ceil_divide(count, _THREADS), np.int64(count),
            np.float64(relaxation), self._log_weights[1], self._targets, self._potentials[1],
            self.seen,
        )  # fmt: skip
