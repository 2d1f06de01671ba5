"""What the self-test computes: one small problem or more for each kernel, the same in every run."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from clusterlib import kernels

__all__ = ["Case", "all_cases"]

_N_ROWS, _N_COLUMNS, _N_FEATURES = 300, 40, 19
_SEED = 20_250


class Case(NamedTuple):
    """One call of a kernel.

    Attributes
    ----------
    kernel : callable
        A public function of :mod:`clusterlib.kernels`.
    arguments : tuple
        Arrays and numbers; arrays are copied before they are used.
    options : dict
        Keyword arguments.
    changed : tuple of int
        Which arguments the kernel changes in place, so that they belong to its answer.
    answer : callable
        What of the result is determined by the contract; all of it by default.
    """

    kernel: Callable
    arguments: tuple
    options: dict
    changed: tuple = ()
    answer: Callable = staticmethod(lambda result: result)

    @property
    def name(self):
        """The kernel and, where a metric is chosen, which."""
        metric = self.options.get("metric")
        return self.kernel.__name__ + (f" {metric}" if metric else "")


def all_cases(dtype) -> Iterator[Case]:
    """Yield the cases, with the floating-point arrays in a dtype.

    Parameters
    ----------
    dtype : dtype
        float32 or float64.

    Yields
    ------
    case : Case
        In the order of the kernels' modules.
    """
    rng = np.random.default_rng(_SEED)
    X = (rng.normal(size=(_N_ROWS, _N_FEATURES)) + rng.integers(0, 4, size=(_N_ROWS, 1))).astype(
        dtype
    )
    Y = X[:_N_COLUMNS] + dtype(0.25)
    yield from _pairwise(X, Y, rng)
    yield from _clusters(X, Y, rng)
    yield from _transport(X, Y, rng)
    yield from _factors(dtype, rng)


def _pairwise(X, Y, rng):
    groups = [rng.integers(0, 5, size=len(rows)) for rows in (X, Y)]
    values = rng.normal(size=(len(Y), 3)).astype(X.dtype)
    for metric in ("sqeuclidean", "euclidean", "cosine", "inner_product"):
        chosen = {"metric": metric}
        yield Case(kernels.pairwise_argmin, (X, Y), chosen | {"return_distance": True})
        yield Case(kernels.pairwise_topk, (X, Y, 5), chosen)
        yield Case(kernels.pairwise_distances, (X, Y), chosen)
        yield Case(kernels.pairwise_threshold, (X, Y, 3.0), chosen)
        yield Case(
            kernels.pairwise_logsumexp,
            (X, Y),
            chosen
            | {
                "inverse_temperature": 0.5,
                "x_group": groups[0],
                "y_group": groups[1],
                "mask": "different",
                "values": values,
            },
        )


def _clusters(X, Y, rng):
    labels = rng.integers(-1, len(Y), size=len(X)).astype(np.int32)
    weight = rng.uniform(size=len(X))
    yield Case(kernels.cluster_sums, (X, labels, len(Y)), {"sample_weight": weight})
    yield Case(kernels.class_moments, (X, labels, len(Y)), {"sample_weight": weight})
    scores = X @ Y.T
    priors = np.log(rng.dirichlet(np.full(len(Y), 5.0)))
    yield Case(kernels.row_softmax, (scores,), {"log_weight": priors, "return_labels": True})
    state = (
        np.zeros(len(Y), dtype=np.float32),
        np.zeros(len(X), dtype=np.int32),
        np.full(len(X), np.inf, dtype=np.float32),
        np.zeros((len(X), kernels.BOUND_GROUPS), dtype=np.float32),
    )
    # What the bounds are is each backend's own affair; the labels are not.
    yield Case(kernels.bounded_argmin, (X, Y, *state), {}, (3,), lambda counts: ())
    yield Case(
        kernels.capacity_assignment_points,
        (X, Y, 0, 8),
        {},
        answer=lambda found: (found.labels, found.cost),
    )
    yield Case(kernels.priced_argmin, (X, Y, rng.uniform(size=len(Y))), {})


def _transport(X, Y, rng):
    n, m = len(X), len(Y)
    C = np.square(X[:, None] - Y[None]).mean(axis=2)
    f, g = np.zeros(n), 0.1 * rng.normal(size=m)
    log_a = np.log(rng.dirichlet(np.full(n, 5.0)))
    log_b = np.log(rng.dirichlet(np.full(m, 5.0)))
    yield Case(kernels.sinkhorn_sweep, (C, 0.5, log_a, f, g), {}, (3,))
    yield Case(kernels.sinkhorn_sweep_points, (X, Y, 9.0, log_a, f, g), {}, (4,))
    few = {"n_iters": 5}
    yield Case(kernels.sinkhorn_iterate, (C, 0.5, log_a, log_b, f, g), few, (4, 5))
    yield Case(kernels.sinkhorn_iterate_points, (X, Y, 9.0, log_a, log_b, f, g), few, (5, 6))
    yield Case(kernels.sinkhorn_plan, (C, 0.5, f, g), {"log_a": log_a})
    stack = C[:60].reshape(6, 10, m)
    sides = np.full(10, -np.log(10)), log_b
    start = np.zeros((6, 10)), np.zeros((6, m))
    yield Case(kernels.sinkhorn_batch, (stack, 0.5, *sides, *start), {"max_iter": 5}, (4, 5))
    K = np.exp(-C)
    yield Case(
        kernels.scaling_iterate,
        (K, np.exp(log_a), np.exp(log_b), np.ones(n), np.ones(m)),
        few,
        (3, 4),
    )
    weight, vector = rng.uniform(size=n), rng.uniform(size=m)
    yield Case(kernels.weighted_gram_product, (K, weight, vector), {})
    square = C[:m]
    yield Case(
        kernels.linear_assignment,
        (square,),
        {},
        answer=lambda found: (found.rows, found.columns, found.cost),
    )


def _factors(dtype, rng):
    V = rng.normal(size=(90, 7)).astype(dtype)
    yield Case(kernels.simplex_projection, (V,), {})
    H = rng.uniform(size=(7, 30)).astype(dtype)
    data = rng.uniform(size=(90, 30)).astype(dtype)
    W = np.full((90, 7), 0.3, dtype=dtype)
    yield Case(kernels.hals_sweep, (W, data @ H.T, H @ H.T), {"n_sweeps": 3}, (0,))
    weight = (rng.uniform(size=data.shape) > 0.2).astype(dtype)
    yield Case(kernels.masked_hals_sweep, (W, data, weight, H), {"n_sweeps": 3}, (0,))
