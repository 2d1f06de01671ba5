"""What the extension module offers; the other backends have the same kernels.

Everything is positional. The caller has checked the arguments and allocated C-ordered outputs;
only finiteness of X and Y is checked here (ValueError "X contains NaN or infinity ...").
X and Y share one dtype, float32 or float64, and may have any strides.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Float = TypeVar("_Float", np.float32, np.float64)

def pairwise_distances(
    X: NDArray[_Float],  # (n, d)
    Y: NDArray[_Float],  # (m, d)
    metric: int,
    out: NDArray[_Float],  # (n, m)
    n_threads: int,  # 0: omp_get_max_threads()
) -> None: ...
def pairwise_argmin(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    labels: NDArray[np.int32],  # (n,)
    distances: NDArray[_Float] | None,  # (n,)
    n_threads: int,
) -> None: ...
def pairwise_topk(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    distances: NDArray[_Float],  # (n, k)
    indices: NDArray[np.int32],  # (n, k)
    n_threads: int,
) -> None: ...
def pairwise_logsumexp(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    inverse_temperature: NDArray[np.float64],  # (n,)
    log_weight: NDArray[np.float64] | None,  # (m,)
    x_group: NDArray[np.int64] | None,  # (n,)
    y_group: NDArray[np.int64] | None,  # (m,)
    mask: int,  # 0 all, 1 same group, 2 different group
    values: NDArray[_Float] | None,  # (m, q), C-ordered
    out: NDArray[_Float],  # (n,)
    weighted: NDArray[_Float] | None,  # (n, q)
    n_threads: int,
) -> None: ...
def pairwise_threshold(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    threshold: NDArray[np.float64],  # (n,), infinities allowed
    counts: NDArray[np.int64],  # (n,)
    n_threads: int,
) -> None: ...
def cluster_sums(
    X: NDArray[_Float],  # (n, d); its finiteness is checked by the caller, in the sums
    labels: NDArray[np.int32],  # (n,), negative: skipped
    sample_weight: NDArray[np.float64] | None,  # (n,)
    sums: NDArray[np.float64],  # (n_clusters, d)
    weights: NDArray[np.float64],  # (n_clusters,)
    n_threads: int,
) -> None: ...
def bounded_argmin(
    X: NDArray[_Float],  # (n, d)
    centers: NDArray[_Float],  # (k, d)
    moves: NDArray[np.float32],  # (k,)
    labels: NDArray[np.int32],  # (n,), in and out
    upper: NDArray[np.float32],  # (n,), in and out
    lower: NDArray[np.float32],  # (n, 16), in and out
    sample: bool,
    n_threads: int,
) -> tuple[int, int]: ...
def isa() -> str: ...
def available_isas() -> list[str]: ...
def set_isa(name: str) -> None: ...
def set_screen_bound_factor(factor: float) -> None: ...  # for tests; 1 unless one says otherwise
def openmp() -> bool: ...
def max_threads() -> int: ...
