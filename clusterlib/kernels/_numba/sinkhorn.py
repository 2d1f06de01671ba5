"""Numba backend of the kernels in ``kernels/sinkhorn.py``."""

import math
import threading

import numpy as np

from clusterlib.kernels._numba import sinkhorn_loops as loops
from clusterlib.kernels._numba.leaf_sums import sum_over_leaves
from clusterlib.kernels._numba.threads import parallel_map, thread_count
from clusterlib.kernels._numba.tiles import Tiles

__all__ = [
    "scaling_iterate",
    "sinkhorn_batch",
    "sinkhorn_iterate",
    "sinkhorn_iterate_points",
    "sinkhorn_plan",
    "sinkhorn_sweep",
    "sinkhorn_sweep_points",
    "weighted_gram_product",
]

_BLOCK_VALUES = 1 << 17  # of a few rows, which stay in a second-level cache
_MOST_ROWS = 64  # that are added up in the type of the cost before float64 takes over
_LARGEST_FACTOR = 1e30  # of a row that is still calculated in float32


class _StoredCost:
    """A stored cost, or a few of its columns, that is read a few rows at a time."""

    def __init__(self, C, precise=False, columns=slice(None), scores=False):
        self.scores = scores
        self.C, self.selected, self.shape = C, columns, C[:1, columns].shape[1:]
        self.shape = (len(C), *self.shape)
        self.dtype = np.dtype(np.float64) if precise else C.dtype

    def block(self, rows, buffer):
        block = buffer[: rows.stop - rows.start]
        block[...] = self.C[rows, self.selected]
        return np.negative(block, out=block) if self.scores else block

    def columns(self, columns):
        return _StoredCost(self.C, True, columns)


class _PointsCost:
    """The cost between two point clouds, calculated in float64 a few rows at a time."""

    dtype = np.dtype(np.float64)

    def __init__(self, X, Y, metric):
        self.tiles, self.X, self.Y, self.metric = Tiles(X, Y, metric), X, Y, metric
        self.shape = len(X), len(Y)

    def block(self, rows, buffer):
        return self.tiles.distances(*self.tiles.compute(rows))

    def columns(self, columns):
        return _PointsCost(self.X, self.Y[columns], self.metric)


def _block_rows(n_columns):
    return max(4, min(_MOST_ROWS, _BLOCK_VALUES // n_columns // 4 * 4))


def _blocks(leaf, n_columns):
    """Rows of a leaf that are worked on together."""
    step = _block_rows(n_columns)
    return [
        slice(start, min(start + step, leaf.stop)) for start in range(leaf.start, leaf.stop, step)
    ]


class _Buffers(threading.local):
    """Arrays of one thread for a block of rows, kept because fresh pages cost as much as a sweep."""

    def __init__(self):
        self.kept = {}

    def of(self, n_columns, dtype, count=1):
        """``count`` arrays of a block's shape."""
        key = n_columns, dtype, count
        if key not in self.kept:
            self.kept[key] = np.empty((count, _block_rows(n_columns), n_columns), dtype=dtype)
        return self.kept[key]


class _Sweep:
    """One sweep over the cost: potentials of rows, sums of columns, the plan on request."""

    def __init__(self, cost, epsilon, log_a, f, g, tau_a=1.0, f_max=np.inf, update_f=True):
        self.cost, self.epsilon, self.log_a, self.f, self.g = cost, epsilon, log_a, f, g
        self.options = tau_a, f_max, update_f
        self.plan = self.row_sums = self.row_weight = None
        self.buffers = _Buffers()

    def leaf_sums(self, leaf):
        """Sums of one leaf (R, m), or (2, m) with row weights: of the plan and its squares."""
        sums = self._leaf_sums(leaf, self.cost.dtype)
        if sums is None:  # an entry of the plan may leave the range of float32
            sums = self._leaf_sums(leaf, np.dtype(np.float64))
        return sums

    def _leaf_sums(self, leaf, dtype):
        m = self.cost.shape[1]
        sums = np.zeros((2 if self.row_weight is not None else len(self.f), m))
        part = np.empty(m, dtype=dtype)
        with np.errstate(over="ignore"):
            g = self.g.astype(dtype)
        slope = dtype.type(min(1.0 / (self.epsilon * math.log(2.0)), np.finfo(dtype).max / 2))
        cost_buffer, e_buffer = self.buffers.of(m, dtype, 2)
        for rows in _blocks(leaf, m):
            cost = self.cost.block(rows, cost_buffer)
            e, numbers = e_buffer[: len(cost)], np.empty((3, len(cost)))
            highest, total, factor = numbers
            for r in range(len(self.f)):
                loops.exponentials(cost, g[r], slope, e, highest, total)
                loops.row_factors(
                    self.epsilon, self.log_a[r, rows], self.f[r, rows], *self.options, *numbers
                )
                if dtype.itemsize == 4 and factor.max() > _LARGEST_FACTOR:
                    return None
                loops.add_columns(e, factor, part, sums[r])
            if self.plan is not None:
                self._write(rows, e, total, factor, part, sums)
        return sums

    def _write(self, rows, e, total, factor, part, sums):
        self.row_sums[rows] = total * factor
        np.multiply(e, factor.astype(e.dtype)[:, None], out=e)
        with np.errstate(over="ignore"):
            self.plan[rows] = e
        if self.row_weight is not None:
            np.multiply(e, e, out=e)
            loops.add_columns(e, self.row_weight[rows], part, sums[1])

    def run(self, n_threads):
        """Column sums (R, m)."""
        n, m = self.cost.shape
        return sum_over_leaves(n, self.leaf_sums, (len(self.f), m), n_threads)


def sinkhorn_sweep(
    C, epsilon, log_a, f, g, tau_a, f_max, update_f, precise, scores, column_sums, n_threads
):
    """Update row potentials, write the column sums."""
    cost = _StoredCost(C, precise, scores=scores)
    column_sums[:] = _Sweep(cost, epsilon, log_a, f, g, tau_a, f_max, update_f).run(n_threads)


def sinkhorn_sweep_points(
    X, Y, metric, epsilon, log_a, f, g, tau_a, f_max, update_f, column_sums, n_threads
):
    """Do the same for the cost between two point clouds."""
    sides = log_a[None], f[None], g[None]
    sweep = _Sweep(_PointsCost(X, Y, metric), epsilon, *sides, tau_a, f_max, update_f)
    column_sums[:] = sweep.run(n_threads)[0]


def _repair(cost, epsilon, f, g, sums, logs, log_b):
    """Logarithms of the sums that underflowed, by a pass over these columns in float64."""
    columns = np.flatnonzero((log_b > -np.inf) & ~np.isfinite(logs))
    few = cost.columns(columns)
    highest, total = np.full(len(columns), -np.inf), np.zeros(len(columns))
    (buffer,) = _Buffers().of(len(columns), np.dtype(np.float64))
    for rows in _blocks(slice(0, cost.shape[0]), len(columns)):
        block = few.block(rows, buffer)
        loops.add_exact_columns(block, epsilon, f[rows], g[columns], highest, total)
    logs[columns] = highest + np.log(total)
    sums[columns] = np.exp(np.minimum(logs[columns], 709.0))


def _iterate(
    cost, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol, history, n_threads
):
    narrow = cost.dtype.itemsize == 4
    sweep = _Sweep(cost, epsilon, log_a, f, g, tau_a)
    b = np.exp(log_b)
    logs, steps = np.empty(g.shape[1]), np.empty(g.shape)
    for done in range(n_iters):
        sums = sweep.run(n_threads)
        for r in range(len(f)):
            # What lies below 2^-100 of the mass may have lost terms that left float32.
            least = max(loops.sum_of(sums[r]), len(f[r])) * 2.0**-100 if narrow else 0.0
            if not loops.log_sums(sums[r], log_b[r], least, logs):
                _repair(cost, epsilon, f[r], g[r], sums[r], logs, log_b[r])
            history[r, done, 0] = loops.column_step(
                epsilon, log_a[r], log_b[r], b[r], f[r], g[r], tau_a, tau_b, sums[r], logs, steps[r]
            )
            mass = loops.sum_of(sums[r])
            history[r, done, 1] = loops.dual_value(
                epsilon, log_a[r], log_b[r], f[r], g[r], tau_a, tau_b, mass
            )
        if tol > 0 and (history[:, done, 0] <= tol).all():
            return done + 1
        # Potentials are what the next sweep sees of them, so that its error belongs to them.
        g[:] = (g + relaxation * steps).astype(cost.dtype)
    return n_iters


def sinkhorn_iterate(
    C, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol, precise, history,
    n_threads,
):  # fmt: skip
    """Iterate on a stored cost; vectors and history have a leading axis of right-hand sides."""
    return _iterate(
        _StoredCost(C, precise), epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters,
        tol, history, n_threads,
    )  # fmt: skip


def sinkhorn_iterate_points(
    X, Y, metric, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol, history,
    n_threads,
):  # fmt: skip
    """Iterate on the cost between two point clouds."""
    sides = log_a[None], log_b[None], f[None], g[None]
    return _iterate(
        _PointsCost(X, Y, metric), epsilon, *sides, tau_a, tau_b, relaxation, n_iters, tol,
        history[None], n_threads,
    )  # fmt: skip


def sinkhorn_plan(
    C, epsilon, log_a, f, g, row_weight, precise, scores, out, row_sums, column_sums,
    column_squares, n_threads,
):  # fmt: skip
    """Write the plan with its row sums, column sums and weighted column sums of squares."""
    update_f = log_a is not None
    weights = log_a if update_f else np.zeros(len(f))
    cost = _StoredCost(C, precise, scores=scores)
    sweep = _Sweep(cost, epsilon, weights[None], f[None], g[None], update_f=update_f)
    sweep.plan, sweep.row_sums, sweep.row_weight = out, row_sums, row_weight
    n_sums = 1 if row_weight is None else 2
    sums = sum_over_leaves(len(C), sweep.leaf_sums, (n_sums, len(g)), n_threads)
    column_sums[:] = sums[0]
    if row_weight is not None:
        column_squares[:] = sums[1]


def sinkhorn_batch(
    C, epsilon, log_a, log_b, f, g, tau_a, tau_b, max_iter, tol, n_iter, error, n_threads
):
    """Iterate every problem by itself."""
    size = max(1, -(-len(C) // (8 * thread_count(n_threads))))

    def work(first):
        some = slice(first, first + size)
        loops.iterate_problems(
            C[some], epsilon[some], log_a[some], log_b[some], f[some], g[some], tau_a, tau_b,
            max_iter, tol, n_iter[some], error[some],
        )  # fmt: skip

    parallel_map(work, range(0, len(C), size), n_threads)


def _scaled_products(K, vector, scale, n_threads):
    """K' scale(rows, K vector), summed over leaves; K is read once."""
    buffers = _Buffers()

    def leaf_sums(leaf):
        sums, part = np.zeros(K.shape[1]), np.empty(K.shape[1])
        (buffer,) = buffers.of(K.shape[1], K.dtype)
        for rows in _blocks(leaf, K.shape[1]):
            k = buffer[: rows.stop - rows.start]
            k[...] = K[rows]
            products = np.empty(len(k))
            loops.multiply_rows(k, vector, products)
            loops.add_columns(k, scale(rows, products), part, sums)
        return sums

    return sum_over_leaves(len(K), leaf_sums, (K.shape[1],), n_threads)


def _divide(numerator, denominator, otherwise):
    """numerator / denominator; ``otherwise`` where that is no positive number."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = numerator / denominator
    return np.where(np.isfinite(ratio) & (ratio > 0), ratio, otherwise)


def scaling_iterate(K, a, b, u, v, relaxation, n_iters, tol, limit, history, n_threads):
    """Iterate u = a / Kv, v = b / K'u; return how many iterations were done."""
    v[b == 0] = 0.0

    def scale(rows, products):
        u[rows] = np.where(a[rows] > 0, _divide(a[rows], products, limit * limit), 0.0)
        return u[rows]

    for done in range(n_iters):
        sums = _scaled_products(K, v, scale, n_threads)
        history[done] = np.abs(v * sums - b).sum()
        if tol > 0 and history[done] <= tol:
            return done + 1
        here = b > 0
        ratio = _divide(b[here], sums[here], limit * limit)
        v[here] = v[here] ** (1.0 - relaxation) * ratio**relaxation
        scalings = np.concatenate([u[a > 0], v[here]])
        if ((scalings > limit) | (scalings < 1.0 / limit)).any():
            return done + 1
    return n_iters


def weighted_gram_product(K, weight, vector, product, n_threads):
    """Write K' diag(weight) K vector."""
    product[:] = _scaled_products(
        K, vector, lambda rows, products: weight[rows] * products, n_threads
    )
