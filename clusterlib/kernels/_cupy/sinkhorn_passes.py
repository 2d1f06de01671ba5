"""Passes over a stored cost on a CUDA device: half a Sinkhorn iteration, and the plan."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels._cupy.instances import Instance
from clusterlib.kernels._cupy.runtime import active

__all__ = ["INSTANCES", "LEAF", "RowRule", "StoredCost", "ceil_divide", "merge_leaves"]

LEAF = 32  # rows, as in csrc/cuda/sinkhorn_rows.cuh
_THREADS = 256
_FAN = 32
_PARTIAL_BYTES = 1 << 26  # of the sums of leaves that wait to be merged
_LEAST_LEAVES = 512  # that are swept together, so that a large device has work

_NAMES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_KINDS = (("float", "float"), ("float", "double"), ("double", "double"))
# Columns of a thread that fit into its registers, the fewest first. The first are for rows that a
# warp can hold: more warps are needed where each has little to load.
_DEPTHS = {"float": (4, 16), "double": (4, 12)}
# Threads of a row at most. Longer rows wait for each other at too many barriers: on an H200 a second
# read of the cost is as fast from about 1000 columns on, and twice as fast for 10 000.
_LONGEST_TEAM = 64


def _instance(kernel, *arguments):
    return Instance("sinkhorn.cuh", f"cl::{kernel}<{', '.join(map(str, arguments))}>", _THREADS)


_FUSED = {
    (cost, kind, depth): _instance("sinkhorn_fused", cost, kind, depth)
    for cost, kind in _KINDS
    for depth in _DEPTHS[kind]
}
_ROWS = {kinds: _instance("sinkhorn_rows", *kinds) for kinds in _KINDS}
_PANELS = {kinds: _instance("sinkhorn_panels", *kinds) for kinds in _KINDS}
_MERGE = Instance("sinkhorn_sums.cuh", f"cl::merge_leaves<double, {_FAN}>", _THREADS)

INSTANCES = (*_FUSED.values(), *_ROWS.values(), *_PANELS.values(), _MERGE)


def ceil_divide(a, b):
    """Return how many groups of ``b`` hold ``a``."""
    return -(-a // b)


class RowRule(NamedTuple):
    """How row potentials follow from the sums of rows; as in the contract."""

    epsilon: float
    tau: float = 1.0
    f_max: float = np.inf
    update: bool = True

    def arguments(self):
        """Arguments of a kernel."""
        numbers = (np.float64(x) for x in (self.epsilon, self.tau, self.f_max))
        return *numbers, np.int32(self.update)


class _RowNumbers(NamedTuple):
    """Numbers of all rows for all right-hand sides, (R, n): their plan is factor exp(gap - shift)."""

    shifts: object
    factors: object
    sums: object


def merge_leaves(leaves, count, out):
    """Write the sum of the first ``count`` of the leaves into ``out``, by the fixed tree."""
    runtime, width = active(), int(np.prod(leaves.shape[1:]))
    if count == 1:
        out[...] = leaves[0].reshape(out.shape)
        return
    while count > 1:
        groups = ceil_divide(count, _FAN)
        merged = out if groups == 1 else runtime.empty((groups, width), np.float64)
        grid = ceil_divide(groups * width, _THREADS)
        runtime.launch(_MERGE, grid, leaves, np.int64(count), np.int64(width), merged)
        leaves, count = merged, groups


class StoredCost:
    """A stored cost on the device, and how a pass over it is made.

    Parameters
    ----------
    C : device array of shape (n, m)
        C-ordered, float32 or float64.
    sides : int
        Number R of right-hand sides.
    precise : bool, default=False
        Calculate in float64.
    scores : bool, default=False
        The cost is -C.
    """

    def __init__(self, C, sides, *, precise=False, scores=False):
        self.C, self.sides, self.shape = C, sides, C.shape
        self.dtype = np.dtype(np.float64) if precise else C.dtype
        self._kinds = _NAMES[C.dtype], _NAMES[self.dtype]
        self._sign = self.dtype.type(1.0 if scores else -1.0)
        self._depth, self._span = self._layout()
        self._leaves = ceil_divide(C.shape[0], LEAF)

    def _layout(self):
        """How many columns a thread keeps, and threads a row: None where a row is too long."""
        m = self.shape[1]
        depths = _DEPTHS[self._kinds[1]]
        for depth in depths:
            span, most = 8, 32 if depth == depths[0] else _LONGEST_TEAM
            while span < most and span < m and (span < 32 or span * depth < m):
                span *= 2
            if span * depth >= m:
                return depth, span
        return None, None

    def seen(self, g):
        """Return the column potentials as a pass reads them."""
        with np.errstate(over="ignore"):
            return g.astype(self.dtype, copy=False)

    def sweep(self, rule, log_a, weight, f, seen, sums, rows=None):
        """Update f where the rule says so, and write the column sums of the plan.

        Parameters
        ----------
        rule : RowRule
            Of all right-hand sides.
        log_a, weight, f : device array of shape (R, n), float64
            Logarithms of the weights, the weights, and the potentials.
        seen : device array of shape (R, m)
            Column potentials in the dtype that is calculated in.
        sums : device array of shape (R, m), float64
            Output.
        rows : _RowNumbers, default=None
            Output on request.
        """
        if self._leaves == 0:
            sums[...] = 0.0
            return
        runtime, width = active(), self.sides * self.shape[1]
        if rows is None and self._depth is None:
            rows = self.row_numbers()
        step = self._leaves_at_once(8 * width)
        parts = runtime.empty((min(step, self._leaves), self.sides, self.shape[1]), np.float64)
        chunks = runtime.empty((ceil_divide(self._leaves, step), width), np.float64)
        for chunk, first in enumerate(range(0, self._leaves, step)):
            count = min(step, self._leaves - first)
            vectors = log_a, weight, f, seen
            self._sweep_leaves(rule, vectors, first, count, parts, rows)
            merge_leaves(parts, count, sums if len(chunks) == 1 else chunks[chunk])
        if len(chunks) > 1:
            merge_leaves(chunks, len(chunks), sums)

    def row_numbers(self):
        """Allocate the numbers of the rows."""
        shape = self.sides, self.shape[0]
        return _RowNumbers(*(active().empty(shape, np.float64) for _ in range(3)))

    def _leaves_at_once(self, width_bytes):
        step = _LEAST_LEAVES
        while 2 * step * width_bytes <= _PARTIAL_BYTES:
            step *= 2
        return step

    def _sizes(self):
        return np.int64(self.shape[0]), np.int32(self.shape[1]), np.int32(self.sides)

    def _sweep_leaves(self, rule, vectors, first, count, parts, rows):
        runtime = active()
        log_a, weight, f, seen = vectors
        start = np.int64(first)
        if self._depth is not None:
            runtime.launch(
                _FUSED[(*self._kinds, self._depth)], count * self.sides, self.C, *self._sizes(),
                np.int32(self._span), self._sign, *rule.arguments(), log_a, weight, f, seen,
                start, parts, *(rows or (None, None, None)),
            )  # fmt: skip
            return
        n_rows = min(count * LEAF, self.shape[0] - first * LEAF)
        runtime.launch(
            _ROWS[self._kinds], n_rows * self.sides, self.C, *self._sizes(), self._sign,
            *rule.arguments(), log_a, weight, f, seen, np.int64(first * LEAF), *rows,
        )  # fmt: skip
        self._panels(rule.epsilon, seen, rows, (first, count), partial=parts)

    def _panels(self, epsilon, seen, rows, leaves, partial=None, plan=None, weighted=None):
        first, count = leaves
        panels = ceil_divide(self.shape[1], _THREADS)
        row_weight, squares = weighted or (None, None)
        active().launch(
            _PANELS[self._kinds], count * self.sides * panels, self.C, *self._sizes(),
            np.int32(panels), self._sign, np.float64(epsilon), seen, rows.shifts, rows.factors,
            row_weight, np.int64(first), partial, plan, squares,
        )  # fmt: skip

    def write_plan(self, epsilon, seen, rows, plan, row_weight=None, column_squares=None):
        """Write the plan of one right-hand side, and the weighted sums of its squares.

        Parameters
        ----------
        epsilon, seen, rows
            As for and from :meth:`sweep`.
        plan : device array of shape (n, m)
            Output, in the dtype of the cost.
        row_weight : device array of shape (n,), default=None
            Weights of rows.
        column_squares : device array of shape (m,), float64, default=None
            Output, with ``row_weight``.
        """
        runtime, m = active(), self.shape[1]
        step = self._leaves_at_once(8 * m)
        if row_weight is None:
            for first in range(0, self._leaves, step):
                leaves = first, min(step, self._leaves - first)
                self._panels(epsilon, seen, rows, leaves, plan=plan)
            return
        if self._leaves == 0:
            column_squares[...] = 0.0
            return
        parts = runtime.empty((min(step, self._leaves), m), np.float64)
        chunks = runtime.empty((ceil_divide(self._leaves, step), m), np.float64)
        for chunk, first in enumerate(range(0, self._leaves, step)):
            leaves = first, min(step, self._leaves - first)
            self._panels(epsilon, seen, rows, leaves, plan=plan, weighted=(row_weight, parts))
            merge_leaves(parts, leaves[1], chunks[chunk])
        merge_leaves(chunks, len(chunks), column_squares)
