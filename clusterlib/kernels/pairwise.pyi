# Types of the contracts in pairwise.py, apart: what a contract says fills that file.

from collections.abc import Callable
from typing import Any, Literal, overload

from clusterlib.kernels.metrics import Metric
from clusterlib.typing import (
    ArrayLike,
    Backend,
    FloatArray,
    Int32Array,
    Int64Array,
    MetricName,
)

__all__ = [
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
]

def pairwise_distances(
    X: ArrayLike,
    Y: ArrayLike | None = None,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    out: FloatArray | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> FloatArray: ...
@overload
def pairwise_argmin(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    return_distance: Literal[False] = False,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Int32Array: ...
@overload
def pairwise_argmin(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    return_distance: Literal[True],
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[Int32Array, FloatArray]: ...
def pairwise_topk(
    X: ArrayLike,
    Y: ArrayLike,
    k: int,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[FloatArray, Int32Array]: ...
@overload
def pairwise_logsumexp(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    inverse_temperature: float | ArrayLike = 1.0,
    log_weight: float | ArrayLike | None = None,
    x_group: ArrayLike | None = None,
    y_group: ArrayLike | None = None,
    mask: Literal["same", "different"] | None = None,
    values: None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> FloatArray: ...
@overload
def pairwise_logsumexp(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    inverse_temperature: float | ArrayLike = 1.0,
    log_weight: float | ArrayLike | None = None,
    x_group: ArrayLike | None = None,
    y_group: ArrayLike | None = None,
    mask: Literal["same", "different"] | None = None,
    values: ArrayLike,
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[FloatArray, FloatArray]: ...
def pairwise_threshold(
    X: ArrayLike,
    Y: ArrayLike,
    threshold: float | ArrayLike,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    n_threads: int | None = None,
    backend: Backend = None,
) -> Int64Array: ...
