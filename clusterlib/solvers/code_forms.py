"""Two ways to compute the sums of columns that codes need: with stored exponentials, and logs."""

import numpy as np

from clusterlib.blocks import tree_reduce
from clusterlib.kernels import scaling_iterate, sinkhorn_plan, sinkhorn_sweep
from clusterlib.kernels.checks import check_finite
from clusterlib.kernels.leaves import SWEEP_ROWS

__all__ = ["LogForm", "ScalingForm"]

_SCRATCH_BYTES = 1 << 22
_LIMIT = 1e100  # the largest a kernel takes; ranges are looked at here
# Below this a sum of float64 plan entries has lost some of them.
_LEAST_SUM = 1e-290


class _Form:
    """A batch of scores, its codes-to-be, and potentials of the columns over epsilon, ``loads``.

    Parameters
    ----------
    scores : ndarray of shape (n, k)
        Similarities.
    epsilon : float
        Entropic strength.
    used : ndarray of shape (k,), bool
        Columns that may have rows.
    out : ndarray of shape (n, k)
        Room for n k numbers, in the end for the codes.
    options : dict
        ``n_threads`` and ``backend``.
    """

    def __init__(self, scores, epsilon, used, out, options):
        self.scores, self.epsilon, self.used, self.out = scores, epsilon, used, out
        self.options = options
        n, k = scores.shape
        leaves = _SCRATCH_BYTES // (SWEEP_ROWS * k * scores.itemsize)
        self._step = SWEEP_ROWS << max(0, leaves.bit_length() - 1)
        self._scratch = np.empty((min(self._step, n), k), dtype=scores.dtype)
        self._zeros = np.zeros(len(self._scratch))

    def _costs(self):
        """Yield slices of rows and their costs, minus the scores, in a small array."""
        n = len(self.scores)
        for start in range(0, n, self._step):
            rows = slice(start, min(start + self._step, n))
            yield rows, np.negative(self.scores[rows], out=self._scratch[: rows.stop - start])

    def codes(self, loads):
        """Normalise the rows: write and return the codes.

        The last potentials of the rows are where the kernel looks for its shift; they matter to
        the time, and to the last bits.
        """
        f, g = self.row_potentials(), self.epsilon * loads
        for rows, cost in self._costs():
            zeros = self._zeros[: len(cost)]
            sinkhorn_plan(
                cost, self.epsilon, f[rows], g, log_a=zeros, out=self.out[rows],
                precise=self.precise, **self.options,
            )  # fmt: skip
        return self.out


class ScalingForm(_Form):
    """``exp(scores / epsilon)``, stored: fast, in the range of the dtype."""

    precise = False

    def first_logs(self):
        """Logarithms of the sums of columns before anything is normalised; None out of range."""
        self.row_scaling = np.ones(len(self.scores))
        k = self.scores.shape[1]
        sums, in_range = [np.zeros(k)], True
        for rows, cost in self._costs():
            if not np.isfinite(cost.max()):
                check_finite("scores", self.scores)
            zeros = self._zeros[: len(cost)]
            plan = sinkhorn_plan(
                cost, self.epsilon, zeros, np.zeros(k), out=self.out[rows], **self.options
            )
            in_range = in_range and self._in_range(plan.row_sums)
            sums.append(plan.column_sums)
        return self._logs(tree_reduce(np.add, sums[1:] or sums), in_range)

    def logs(self, loads):
        """The same with rows normalised under the loads, which are left out of the sums."""
        n, column_scaling = len(self.scores), np.exp(loads)
        if not self._in_range(column_scaling[self.used]):
            return None
        # With weights of 1 the kernel leaves 1 / sum where the scaling of a column was.
        scaling_iterate(
            self.out, np.ones(n), self.used.astype(np.float64), self.row_scaling, column_scaling,
            limit=_LIMIT, **self.options,
        )  # fmt: skip
        with np.errstate(divide="ignore"):
            sums = 1.0 / column_scaling
        return self._logs(sums, self._in_range(self.row_scaling))

    def row_potentials(self):
        """Potentials of the rows as the last ``logs`` found them, 0 before the first one."""
        return self.epsilon * np.log(self.row_scaling)

    def _in_range(self, values):
        info = np.finfo(self.scores.dtype)
        low, high = np.sqrt(info.tiny), np.sqrt(info.max)
        return len(values) == 0 or bool(values.min() > low and values.max() < high)

    def _logs(self, sums, in_range):
        if len(self.scores) == 0:
            return np.full(len(sums), -np.inf)
        if not (in_range and self._in_range(sums[self.used])):
            return None
        return np.log(sums, out=np.full(len(sums), -np.inf), where=self.used)


class LogForm(_Form):
    """Minus the scores, stored: in no danger, with an exponential in each iteration."""

    precise = True

    def first_logs(self):
        """Logarithms of the sums of columns before anything is normalised."""
        check_finite("scores", self.scores)
        self.f = np.zeros(len(self.scores))
        cost = np.negative(self.scores, out=self.out)
        if len(cost) == 0:
            return np.full(cost.shape[1], -np.inf)
        # The best row of each column has the exponent 0 under these potentials.
        best = cost.min(axis=0).astype(np.float64)
        return self._logs(self._sweep(best, update_f=False), best / self.epsilon)

    def logs(self, loads):
        """The same with rows normalised under the loads, which are left out of the sums."""
        if len(self.f) == 0:
            return np.full(len(loads), -np.inf)
        return self._logs(self._sweep(self.epsilon * loads, update_f=True), loads)

    def _logs(self, sums, loads):
        logs = np.full(len(loads), -np.inf)
        seen = self.used & (sums > _LEAST_SUM) & (sums < np.inf)
        logs[seen] = np.log(sums[seen]) - loads[seen]
        lost = np.flatnonzero(self.used & ~seen)
        if len(lost):
            logs[lost] = self._exact_logs(lost)
        return logs

    def row_potentials(self):
        """Potentials of the rows as the last ``logs`` found them, 0 before the first one."""
        return self.f

    def _sweep(self, g, update_f):
        log_a = np.zeros(len(self.f))
        return sinkhorn_sweep(
            self.out, self.epsilon, log_a, self.f, g, update_f=update_f, precise=True,
            **self.options,
        )  # fmt: skip

    def _exact_logs(self, columns):
        """Logarithms of sums that float64 cannot hold, shifted by their largest terms."""
        parts = []
        for start in range(0, len(self.f), SWEEP_ROWS):
            rows = slice(start, start + SWEEP_ROWS)
            exponents = (self.f[rows, None] - self.out[rows, columns]) / self.epsilon
            parts.append(np.logaddexp.reduce(exponents, axis=0))
        return tree_reduce(np.logaddexp, parts)
