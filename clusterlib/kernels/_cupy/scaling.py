"""The scaling form on a CUDA device; contracts are in ``clusterlib/kernels/scaling.py``.

K is read twice for each product, in float64 arithmetic.
"""

import numpy as np

from clusterlib.kernels import sinkhorn_checks as host_door
from clusterlib.kernels._cupy import sinkhorn_arguments as door
from clusterlib.kernels._cupy.checks import (
    as_device_vector,
    checked_device_options,
    checked_device_state,
)
from clusterlib.kernels._cupy.instances import instances_by_dtype
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.sinkhorn_passes import LEAF, ceil_divide, merge_leaves
from clusterlib.kernels.checks import checked_integer

__all__ = ["INSTANCES", "scaling_iterate", "weighted_gram_product"]

_THREADS = 256
_LEAVES = 512  # whose sums wait to be merged
_SOURCE = "sinkhorn_scaling.cuh"
_ROWS = instances_by_dtype(_SOURCE, "scaled_rows", _THREADS)
_PANELS = instances_by_dtype(_SOURCE, "scaled_panels", _THREADS)
INSTANCES = (*_ROWS.values(), *_PANELS.values())


def _products(K, vector, weight, limit, scaled, sums):
    """Write ``h = K vector``, scaled by the weights, and ``sums = K' h``."""
    runtime, (n, m) = active(), K.shape
    if n == 0:
        sums[...] = 0.0
        return
    runtime.launch(_ROWS[K.dtype], n, K, np.int32(m), vector, weight, np.float64(limit), scaled)
    n_leaves, panels = ceil_divide(n, LEAF), ceil_divide(m, _THREADS)
    parts = runtime.empty((min(_LEAVES, n_leaves), m), np.float64)
    chunks = runtime.empty((ceil_divide(n_leaves, _LEAVES), m), np.float64)
    for chunk, first in enumerate(range(0, n_leaves, _LEAVES)):
        count = min(_LEAVES, n_leaves - first)
        runtime.launch(
            _PANELS[K.dtype], count * panels, K, np.int64(n), np.int32(m), np.int32(panels),
            scaled, np.int64(first), parts,
        )  # fmt: skip
        merge_leaves(parts, count, chunks[chunk])
    merge_leaves(chunks, len(chunks), sums)


def _total(vector):
    """Sum of a vector by the fixed tree, on the host."""
    total = active().empty((1,), np.float64)
    merge_leaves(vector.reshape(-1, 1), len(vector), total)
    return float(active().to_host(total)[0])


def scaling_iterate(
    K,
    a,
    b,
    u,
    v,
    *,
    relaxation=1.0,
    n_iters=1,
    tol=0.0,
    limit=1e6,
    n_threads=None,
    backend=None,
):
    """Run Sinkhorn iterations in the scaling form; two numbers of each are read from the device."""
    checked_device_options(n_threads, backend)
    runtime, original = active(), K
    K = door.as_device_cost("K", K)
    n, m = K.shape
    a = as_device_vector("a", a, n, low=0.0)
    b = as_device_vector("b", b, m, low=0.0)
    u = checked_device_state("u", u, (n,), np.float64)
    v = checked_device_state("v", v, (m,), np.float64)
    _check_positive("v", v, b > 0)
    relaxation = host_door.checked_relaxation(relaxation)
    n_iters = checked_integer("n_iters", n_iters, 1, host_door.MOST_ITERATIONS)
    tol = host_door.checked_tolerance(tol)
    limit = host_door.checked_number(
        "limit", limit, lambda top: 1.0 < top <= 1e100, "in (1, 1e100]"
    )
    v[...] = np.where(b > 0, v, 0.0)
    sums, history = runtime.empty((m,), np.float64), []
    for _ in range(n_iters):
        _products(K, v, a, limit, u, sums)
        history.append(_total(abs(v * sums - b)))
        if tol > 0 and history[-1] <= tol:
            break
        v[...] = _stepped(b, sums, v, relaxation, limit)
        if _has_left(u, a, limit) or _has_left(v, b, limit):
            break
    return runtime.like(runtime.to_device(np.array(history)), original)


def _check_positive(name, value, here):
    bad = here & ~((value > 0) & (value < np.inf))
    if bool(bad.any()):
        position = int(bad.argmax())
        raise ValueError(
            f"{name} must be positive and finite where there is weight, got "
            f"{float(value[position])} at index {position}"
        )


def _stepped(b, sums, v, relaxation, limit):
    """The scalings of the columns after their step; 0 where there is no weight."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = b / sums
        usable = (ratio > 0) & (ratio < np.inf)
        stepped = v ** (1.0 - relaxation) * np.where(usable, ratio, limit * limit) ** relaxation
    return np.where(b > 0, stepped, 0.0)


def _has_left(scaling, weight, limit):
    """Whether a scaling that counts is out of the range that the caller allows."""
    return bool(((weight > 0) & ((scaling > limit) | (scaling < 1.0 / limit))).any())


def weighted_gram_product(K, weight, vector, *, n_threads=None, backend=None):
    """Multiply a vector by ``K' diag(weight) K``; two reads of K."""
    checked_device_options(n_threads, backend)
    runtime, original = active(), K
    K = door.as_device_cost("K", K)
    weight = as_device_vector("weight", weight, K.shape[0])
    vector = as_device_vector("vector", vector, K.shape[1])
    product = runtime.empty((K.shape[1],), np.float64)
    _products(K, vector, weight, 0.0, runtime.empty((K.shape[0],), np.float64), product)
    return runtime.like(product, original)
