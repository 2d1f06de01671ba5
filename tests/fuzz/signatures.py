"""For each function of the extension module, arguments that it takes, of sizes that bytes choose.

An array is described, not made, so that the description can be spoilt first.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["CALLS", "Described", "Sizes"]


@dataclass
class Described:
    """An array: its shape, its dtype and what is in it."""

    shape: tuple
    dtype: type
    least: float = -2.0
    most: float = 2.0


@dataclass(frozen=True)
class Sizes:
    """Numbers of rows, other rows, features, and the dtype."""

    n: int
    m: int
    d: int
    k: int
    dtype: type

    @classmethod
    def chosen(cls, choices):
        few = [1, 2, 3, 5, 8, 17, 33, 70]
        sizes = [choices.among(few) for _ in range(4)]
        return cls(*sizes, choices.among([np.float32, np.float64]))

    def floats(self, *shape):
        return Described(shape, self.dtype)

    def shares(self, *shape):
        return Described(shape, self.dtype, 0.0, 1.0)


def _doubles(*shape):
    return Described(shape, np.float64)


def _indices(bound, *shape, dtype=np.int32):
    return Described(shape, dtype, 0, bound - 1)


def _steps(count, end):
    """Bounds that rise from 0 to ``end``."""
    return np.linspace(0, end, count).astype(np.int64)


def _points(s):
    return [s.floats(s.n, s.d), s.floats(s.m, s.d)]


def _sizes(s):
    return [np.zeros(s.m, np.int64), np.full(s.m, s.n, np.int64)]


def _table(s):
    cells = s.n * min(3, s.m)
    ends = _steps(s.n + 1, cells)
    return [ends, _indices(s.m, cells), s.shares(cells)]


def _simplex(s):
    tiles = -(-s.n // 16)
    return [
        *[s.n, s.floats(tiles, s.d, 16), s.shares(tiles, s.k, 16), s.floats(tiles, s.k, 16)],
        *[s.floats(tiles, s.m, 16), _doubles(s.m, s.d, s.d), _indices(s.m, s.k)],
        *[_indices(s.m, s.k), _doubles(s.m), _doubles(s.m), 1.0, 0.1, np.zeros(1)],
        *[_doubles(s.m), _doubles(s.k), _doubles(3, 2), 2],
    ]


# name -> the arguments for some sizes; numbers, None and arrays as they are, or described ones.
CALLS = {
    "pairwise_distances": lambda s: [*_points(s), 0, s.floats(s.n, s.m), 2],
    "pairwise_argmin": lambda s: [*_points(s), 1, _indices(s.m, s.n), s.floats(s.n), 2],
    "pairwise_topk": lambda s: [
        *[*_points(s), 2, s.floats(s.n, min(s.k, s.m)), _indices(9, s.n, min(s.k, s.m)), 2]
    ],
    "pairwise_logsumexp": lambda s: [
        *[*_points(s), 0, _doubles(s.n), _doubles(s.m), _indices(3, s.n, dtype=np.int64)],
        *[_indices(3, s.m, dtype=np.int64), 1, s.floats(s.m, s.k), s.floats(s.n)],
        *[s.floats(s.n, s.k), 2],
    ],
    "pairwise_threshold": lambda s: [
        *[*_points(s), 3, _doubles(s.n), _indices(9, s.n, dtype=np.int64), 2]
    ],
    "cluster_sums": lambda s: [
        *[s.floats(s.n, s.d), _indices(s.k, s.n), _doubles(s.n), _doubles(s.k, s.d)],
        *[_doubles(s.k), 2],
    ],
    "class_moments": lambda s: [
        *[s.floats(s.n, s.d), _indices(s.k, s.n), Described((s.n,), np.float64, 0, 1)],
        *[_doubles(s.k), _doubles(s.k, s.d), _doubles(s.k, s.d, s.d), 2],
    ],
    "row_softmax": lambda s: [
        *[s.floats(s.n, s.k), s.floats(s.k), s.floats(s.n, s.k), s.floats(s.n)],
        *[_indices(s.k, s.n), 2],
    ],
    "bounded_argmin": lambda s: [
        *[*_points(s), Described((s.m,), np.float32, 0, 1), _indices(s.m, s.n)],
        *[Described((s.n,), np.float32), Described((s.n, 16), np.float32), True, 2],
    ],
    "capacity_assignment": lambda s: [
        *[s.floats(s.n, s.m), *_sizes(s), _doubles(s.m), _indices(s.m, s.n), _doubles(2), 2]
    ],
    "capacity_assignment_points": lambda s: [
        *[*_points(s), 0, *_sizes(s), _doubles(s.m), _indices(s.m, s.n), _doubles(2), 2]
    ],
    "priced_argmin": lambda s: [*_points(s), 0, _doubles(s.m), _indices(s.m, s.n), 2],
    "sinkhorn_sweep": lambda s: [
        *[s.floats(s.n, s.m), 0.5, _doubles(s.k, s.n), _doubles(s.k, s.n), _doubles(s.k, s.m)],
        *[1.0, 5.0, True, False, False, _doubles(s.k, s.m), 2],
    ],
    "sinkhorn_sweep_points": lambda s: [
        *[*_points(s), 0, 0.5, _doubles(s.n), _doubles(s.n), _doubles(s.m), 1.0, 5.0, True],
        *[_doubles(s.m), 2],
    ],
    "sinkhorn_iterate": lambda s: [
        *[s.floats(s.n, s.m), 0.5, _doubles(s.k, s.n), _doubles(s.k, s.m), _doubles(s.k, s.n)],
        *[_doubles(s.k, s.m), 1.0, 1.0, 1.0, 3, 1e-3, False, _doubles(s.k, 3, 2), 2],
    ],
    "sinkhorn_iterate_points": lambda s: [
        *[*_points(s), 0, 0.5, _doubles(s.n), _doubles(s.m), _doubles(s.n), _doubles(s.m)],
        *[1.0, 1.0, 1.0, 3, 1e-3, _doubles(3, 2), 2],
    ],
    "sinkhorn_plan": lambda s: [
        *[s.floats(s.n, s.m), 0.5, _doubles(s.n), _doubles(s.n), _doubles(s.m), _doubles(s.n)],
        *[False, False, s.floats(s.n, s.m), _doubles(s.n), _doubles(s.m), _doubles(s.m), 2],
    ],
    "sinkhorn_batch": lambda s: [
        *[s.floats(s.k, s.n, s.m), Described((s.k,), np.float64, 0.3, 1), _doubles(s.k, s.n)],
        *[_doubles(s.k, s.m), _doubles(s.k, s.n), _doubles(s.k, s.m), 1.0, 1.0, 3, 1e-3],
        *[_indices(9, s.k), _doubles(s.k), 2],
    ],
    "scaling_iterate": lambda s: [
        *[s.shares(s.n, s.m), _doubles(s.n), _doubles(s.m), _doubles(s.n), _doubles(s.m)],
        *[1.0, 3, 1e-3, 1e10, _doubles(3), 2],
    ],
    "weighted_gram_product": lambda s: [
        *[s.floats(s.n, s.m), _doubles(s.n), _doubles(s.m), _doubles(s.m), 2]
    ],
    "simplex_projection": lambda s: [s.floats(s.n, s.k), s.floats(s.n, s.k), 2],
    "simplex_descent": _simplex,
    "plsa_step": lambda s: [
        *[*_table(s), s.shares(s.n, s.k), s.shares(s.m, s.k), 1.0, _steps(3, s.n)],
        *[s.floats(s.n, s.k), s.floats(s.m, s.k), 2],
    ],
    "mixture_weights": lambda s: [
        *[*_table(s), s.shares(s.m, s.k), 3, 1e-3, s.shares(s.n, s.k), _indices(9, s.n), 2]
    ],
    "tempered_posterior": lambda s: [
        *[s.shares(s.n, s.k), s.shares(s.m, s.k), _indices(s.m, s.n), _indices(s.n, s.n, 3)],
        *[0.0, 1.0, 1.0, Described((s.n,), np.float64, 0, 1), 16, s.floats(s.n, s.k)],
        *[s.floats(s.n, s.k), _doubles(s.m, s.k), _doubles(s.m, s.k), 2],
    ],
    "hals_sweep": lambda s: [
        *[s.shares(s.n, s.k), s.floats(s.n, s.k), _doubles(s.k, s.k), _doubles(3), 2]
    ],
    "masked_hals_sweep": lambda s: [
        *[s.shares(s.n, s.k), s.shares(s.n, s.m), s.shares(s.n, s.m), s.shares(s.k, s.m)],
        *[0.1, 0.1, _doubles(3), _doubles(1), 2],
    ],
    "linear_assignment": lambda s: [
        *[s.floats(min(s.n, s.m), s.m), 1.0, _indices(9, min(s.n, s.m), dtype=np.int64)],
        *[_doubles(min(s.n, s.m)), _doubles(s.m)],
    ],
    "isa": lambda s: [],
    "available_isas": lambda s: [],
    "set_isa": lambda s: ["baseline"],
    "set_screen_bound_factor": lambda s: [1.0],
    "openmp": lambda s: [],
    "max_threads": lambda s: [],
}
