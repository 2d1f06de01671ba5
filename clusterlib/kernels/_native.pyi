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
def class_moments(
    X: NDArray[_Float],  # (n, d); what is not finite in a row of a class is not finite in a scatter
    labels: NDArray[np.int32],  # (n,), negative: skipped
    sample_weight: NDArray[np.float64] | None,  # (n,), not negative
    weights: NDArray[np.float64],  # (n_classes,), as cluster_sums leaves them
    means: NDArray[
        np.float64
    ],  # (n_classes, d), in and out: shifts, then corrected by what is left
    scatters: NDArray[np.float64],  # (n_classes, d, d)
    n_threads: int,
) -> None: ...
def row_softmax(
    scores: NDArray[_Float],  # (n, k)
    log_weight: NDArray[_Float] | None,  # (k,)
    posteriors: NDArray[_Float],  # (n, k), may be scores
    lse: NDArray[_Float],  # (n,); NaN for a row with NaN or +inf, -inf for one of -inf only
    labels: NDArray[np.int32] | None,  # (n,)
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
def capacity_assignment(
    C: NDArray[_Float],  # (n, k), any strides; finite and at most 2^900, checked here
    size_min: NDArray[np.int64],  # (k,), met by some assignment
    size_max: NDArray[np.int64],  # (k,), at most n + 1
    prices: NDArray[np.float64],  # (k,), in: where to start, out
    labels: NDArray[np.int32],  # (n,)
    sums: NDArray[np.float64],  # (2,): cost, gap
    n_threads: int,
) -> int: ...  # augmenting paths
def capacity_assignment_points(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    size_min: NDArray[np.int64],
    size_max: NDArray[np.int64],
    prices: NDArray[np.float64],
    labels: NDArray[np.int32],
    sums: NDArray[np.float64],
    n_threads: int,
) -> int: ...
def priced_argmin(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    prices: NDArray[np.float64],  # (k,), at most 2^900
    labels: NDArray[np.int32],  # (n,)
    n_threads: int,
) -> None: ...
def sinkhorn_sweep(
    C: NDArray[_Float],  # (n, m), any strides
    epsilon: float,
    log_a: NDArray[np.float64],  # (R, n), -inf: no weight
    f: NDArray[np.float64],  # (R, n), in and out
    g: NDArray[np.float64],  # (R, m), -inf: no column
    tau_a: float,
    f_max: float,
    update_f: bool,
    precise: bool,
    scores: bool,  # C is minus the cost
    column_sums: NDArray[np.float64],  # (R, m)
    n_threads: int,
) -> None: ...
def sinkhorn_sweep_points(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    epsilon: float,
    log_a: NDArray[np.float64],  # (n,)
    f: NDArray[np.float64],  # (n,), in and out
    g: NDArray[np.float64],  # (m,)
    tau_a: float,
    f_max: float,
    update_f: bool,
    column_sums: NDArray[np.float64],  # (m,)
    n_threads: int,
) -> None: ...
def sinkhorn_iterate(
    C: NDArray[_Float],
    epsilon: float,
    log_a: NDArray[np.float64],  # (R, n)
    log_b: NDArray[np.float64],  # (R, m)
    f: NDArray[np.float64],  # (R, n), in and out
    g: NDArray[np.float64],  # (R, m), in and out
    tau_a: float,
    tau_b: float,
    relaxation: float,
    n_iters: int,
    tol: float,
    precise: bool,
    history: NDArray[np.float64],  # (R, n_iters, 2): error, dual value
    n_threads: int,
) -> int: ...  # iterations that were done
def sinkhorn_iterate_points(
    X: NDArray[_Float],
    Y: NDArray[_Float],
    metric: int,
    epsilon: float,
    log_a: NDArray[np.float64],  # (n,)
    log_b: NDArray[np.float64],  # (m,)
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    tau_a: float,
    tau_b: float,
    relaxation: float,
    n_iters: int,
    tol: float,
    history: NDArray[np.float64],  # (n_iters, 2)
    n_threads: int,
) -> int: ...
def sinkhorn_plan(
    C: NDArray[_Float],
    epsilon: float,
    log_a: NDArray[np.float64] | None,  # (n,); None: f as it is given
    f: NDArray[np.float64],  # (n,), in and out
    g: NDArray[np.float64],
    row_weight: NDArray[np.float64] | None,  # (n,)
    precise: bool,
    scores: bool,  # C is minus the cost
    out: NDArray[_Float],  # (n, m)
    row_sums: NDArray[np.float64],
    column_sums: NDArray[np.float64],
    column_squares: NDArray[np.float64] | None,  # (m,); there if row_weight is
    n_threads: int,
) -> None: ...
def sinkhorn_batch(
    C: NDArray[_Float],  # (B, p, q), C-ordered
    epsilon: NDArray[np.float64],  # (B,)
    log_a: NDArray[np.float64],  # (B, p)
    log_b: NDArray[np.float64],  # (B, q)
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    tau_a: float,
    tau_b: float,
    max_iter: int,
    tol: float,
    n_iter: NDArray[np.int32],  # (B,)
    error: NDArray[np.float64],  # (B,)
    n_threads: int,
) -> None: ...
def scaling_iterate(
    K: NDArray[_Float],
    a: NDArray[np.float64],  # (n,)
    b: NDArray[np.float64],  # (m,)
    u: NDArray[np.float64],  # in and out
    v: NDArray[np.float64],  # in and out
    relaxation: float,
    n_iters: int,
    tol: float,
    limit: float,
    history: NDArray[np.float64],  # (n_iters,)
    n_threads: int,
) -> int: ...
def weighted_gram_product(
    K: NDArray[_Float],
    weight: NDArray[np.float64],  # (n,)
    vector: NDArray[np.float64],  # (m,)
    product: NDArray[np.float64],  # (m,)
    n_threads: int,
) -> None: ...
def simplex_projection(
    V: NDArray[_Float],  # (n, r)
    out: NDArray[_Float],
    n_threads: int,
) -> None: ...
def simplex_descent(
    n_rows: int,
    X: NDArray[_Float],  # (tiles, p, 16)
    W: NDArray[_Float],  # (tiles, r, 16), in and out
    spare: NDArray[_Float],  # as W
    linear: NDArray[_Float] | None,  # (tiles, groups, 16)
    precisions: NDArray[np.float64] | None,  # (groups, p, p)
    group: NDArray[np.int32],  # (r,)
    constraint: NDArray[np.int32],  # (r,)
    target: NDArray[np.float64],  # (constraints,)
    multiplier: NDArray[np.float64],  # (constraints,)
    penalty: float,
    tol: float,
    step: NDArray[np.float64],  # (1,), in and out; 0: found from the gradient
    violation: NDArray[np.float64],  # (constraints,)
    sizes: NDArray[np.float64],  # (r,)
    history: NDArray[np.float64],  # (n_iters, 2)
    n_threads: int,
) -> int: ...
def plsa_step(
    indptr: NDArray[np.int64],  # (n + 1,), not decreasing
    indices: NDArray[np.int32],  # (nnz,)
    data: NDArray[_Float],  # (nnz,), at least 0
    W: NDArray[_Float],  # (n, k), C-ordered
    H: NDArray[_Float],  # (m, k), C-ordered
    beta: float,
    leaves: NDArray[np.int64],  # bounds of runs of rows, from 0 to n
    W_sums: NDArray[_Float],  # (n, k)
    H_sums: NDArray[_Float],  # (m, k)
    n_threads: int,
) -> float: ...  # log-likelihood
def mixture_weights(
    indptr: NDArray[np.int64],  # (n + 1,)
    indices: NDArray[np.int32],  # (nnz,)
    data: NDArray[_Float],  # (nnz,)
    H: NDArray[_Float],  # (m, k)
    max_iter: int,
    tol: float,
    W: NDArray[_Float],  # (n, k), in and out
    n_iter: NDArray[np.int32],  # (n,)
    n_threads: int,
) -> None: ...
def tempered_posterior(
    H: NDArray[_Float],  # (n, k), C-ordered; not checked by the caller
    D: NDArray[_Float],  # (r, k)
    domains: NDArray[np.int32],  # (n,)
    neighbors: NDArray[np.int32] | None,  # (n, q)
    floor: float,
    tau: float,
    beta: float,
    weight: NDArray[np.float64] | None,  # (n,)
    leaf_rows: int,
    responsibilities: NDArray[_Float] | None,  # (n, k)
    posterior: NDArray[_Float] | None,  # (n, k)
    counts: NDArray[np.float64],  # (r, k)
    totals: NDArray[np.float64],  # (r, k)
    n_threads: int,
) -> float: ...  # log-likelihood; NaN if H is not finite or below 0
def hals_sweep(
    W: NDArray[_Float],  # (n, k), in and out
    R: NDArray[_Float],  # (n, k), any strides
    G: NDArray[np.float64],  # (k, k)
    moves: NDArray[np.float64],  # (n_sweeps,); NaN if W or R is not as it has to be
    n_threads: int,
) -> None: ...
def masked_hals_sweep(
    W: NDArray[_Float],  # (n, k), in and out
    X: NDArray[_Float],  # (n, m), any strides
    V: NDArray[_Float],  # (n, m), any strides
    H: NDArray[_Float],  # (k, m)
    l1: float,
    l2: float,
    moves: NDArray[np.float64],  # (n_sweeps,); NaN as above
    loss: NDArray[np.float64],  # (1,)
    n_threads: int,
) -> None: ...
def linear_assignment(
    C: NDArray[_Float],  # (n, m) with n <= m, columns next to each other
    sign: float,  # 1, or -1 for the largest sum
    columns: NDArray[np.int64],  # (n,)
    u: NDArray[np.float64],  # (n,)
    v: NDArray[np.float64],  # (m,)
) -> int: ...  # 0, or why there is no answer: kernels/linear_assignment.py
def isa() -> str: ...
def available_isas() -> list[str]: ...
def set_isa(name: str) -> None: ...
def set_screen_bound_factor(factor: float) -> None: ...  # for tests; 1 unless one says otherwise
def openmp() -> bool: ...
def max_threads() -> int: ...
