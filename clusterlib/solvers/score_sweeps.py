"""Sums of columns that codes need, by sweeps over the scores, which are never copied."""

import numpy as np

from clusterlib.blocks import tree_reduce
from clusterlib.kernels import sinkhorn_plan, sinkhorn_sweep
from clusterlib.kernels.leaves import SWEEP_ROWS
from clusterlib.solvers.sides import side_of

__all__ = ["ScoreSweeps"]

# Rows are looked at just before they are swept, while they are in a cache.
_BLOCK_BYTES = 1 << 23


class ScoreSweeps:
    """A batch of scores and its row potentials.

    Parameters
    ----------
    scores : ndarray or device array of shape (n, k)
        Similarities; vectors are on the host in either case.
    epsilon : float
        Entropic strength.
    used : ndarray of shape (k,), bool
        Columns that may have rows.
    precise : bool
        Calculate in float64, for scores of any range. Otherwise in the dtype of the scores, and
        sums are None where they leave its range.
    options : dict
        ``n_threads`` and ``backend``.
    """

    def __init__(self, scores, epsilon, used, precise, options):
        self.scores, self.epsilon, self.used, self.precise = scores, epsilon, used, precise
        self.options, self.side = options, side_of(scores)
        self.f = np.zeros(len(scores))
        self._log_a = np.zeros(len(scores))
        narrow = scores.dtype == np.float32 and not precise
        self._least, self._most = (1e-30, 1e30) if narrow else (1e-290, 1e290)

    def first_logs(self):
        """Logarithms of the sums of columns before anything is normalised; None out of range."""
        if len(self.scores) == 0:
            return np.full(len(self.used), -np.inf)
        if not self.precise:
            return self._first_logs_in_range()
        # The best row of each column has the exponent 0 under these potentials.
        g = -self.side.to_host(self.scores.max(axis=0)).astype(np.float64)
        return self._logs(self._sweep(slice(None), g, update_f=False), g / self.epsilon)

    def logs(self, loads):
        """The same with rows normalised under the potentials ``epsilon loads`` of the columns.

        They are left out of the sums.
        """
        if len(self.scores) == 0:
            return np.full(len(self.used), -np.inf)
        sums = self._sweep(slice(None), self.epsilon * loads, update_f=True)
        return self._logs(sums, loads)

    def codes(self, loads, out):
        """Normalise the rows last: write and return the codes.

        The last potentials of the rows are where the kernel looks for its shift; they matter to
        the time, and to the last bits.
        """
        self.side.call(
            sinkhorn_plan, self.scores, self.epsilon, self.f, self.epsilon * loads,
            log_a=self._log_a, out=out, precise=self.precise, scores=True, written=(self.f,),
            **self.options,
        )  # fmt: skip
        return out

    def _sweep(self, rows, g, update_f):
        f = self.f[rows]
        return self.side.call(
            sinkhorn_sweep, self.scores[rows], self.epsilon, self._log_a[rows], f, g,
            update_f=update_f, precise=self.precise, scores=True, written=(f,), **self.options,
        )  # fmt: skip

    def _first_logs_in_range(self):
        n, k = self.scores.shape
        leaves = _BLOCK_BYTES // (SWEEP_ROWS * k * self.scores.itemsize)
        step = SWEEP_ROWS << max(0, leaves.bit_length() - 1)
        zeros, parts = np.zeros(k), []
        for start in range(0, n, step):
            rows = slice(start, start + step)
            # Large scores overflow their sums and NaN spoils them, but -inf would pass unseen.
            if not self.scores[rows].min() > -np.inf:
                self.side.check_finite("scores", self.scores)
            parts.append(self._sweep(rows, zeros, update_f=False))
        return self._logs(tree_reduce(np.add, parts), zeros)

    def _logs(self, sums, loads):
        logs = np.full(len(loads), -np.inf)
        seen = self.used & (sums > self._least) & (sums < self._most)
        lost = np.flatnonzero(self.used & ~seen)
        if len(lost) and not self.precise:
            return None
        logs[seen] = np.log(sums[seen]) - loads[seen]
        if len(lost):
            logs[lost] = self._exact_logs(lost)
        return logs

    def _exact_logs(self, columns):
        """Logarithms of sums that float64 cannot hold, shifted by their largest terms."""
        parts = []
        for start in range(0, len(self.f), SWEEP_ROWS):
            rows = slice(start, start + SWEEP_ROWS)
            scores = self.side.to_host(self.scores[rows, columns]).astype(np.float64)
            parts.append(np.logaddexp.reduce((self.f[rows, None] + scores) / self.epsilon, axis=0))
        return tree_reduce(np.logaddexp, parts)
