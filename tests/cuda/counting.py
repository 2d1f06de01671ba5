"""What the main kernels ask of a device, counted by the simulator of PTX.

``python -m tests.cuda.counting`` prints it; with ``--write-baseline`` it rewrites
``counter_baseline.json``.
"""

import argparse
import functools
import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from clusterlib.kernels import (
    cluster_sums,
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    sinkhorn_iterate,
)
from clusterlib.kernels._cupy import pairwise_argmin as argmin_passes
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.compiling import find_nvcc
from tests.cuda.ptxsim.runtime import SimulatedRuntime

__all__ = ["BASELINE", "COUNTED", "SHAPE", "measure"]

BASELINE = Path(__file__).parent / "counter_baseline.json"
SHAPE = 256, 256, 64
"""Rows of X, rows of Y, features: whole tiles, so that edges do not blur what a tile does."""


def _points(runtime, dtype, columns=SHAPE[1]):
    n, _, d = SHAPE
    rng = np.random.default_rng(0)
    return [
        runtime.to_device(rng.standard_normal((rows, d)).astype(dtype)) for rows in (n, columns)
    ]


def _assign(dtype, tensor, columns=SHAPE[1]):
    def run(runtime):
        never = {np.dtype(kind): (1 << 30, 1 << 30) for kind in (np.float32, np.float64)}
        with (
            mock.patch.object(argmin_passes, "TENSOR_CORES", tensor),
            mock.patch.object(argmin_passes, "MATRIX_PRODUCTS", never),
        ):
            pairwise_argmin(*_points(runtime, dtype, columns))

    return run


def _compare(kernel, dtype):
    return lambda runtime: kernel(*_points(runtime, dtype))


def _sum(dtype):
    def run(runtime):
        X, _ = _points(runtime, dtype)
        labels = runtime.to_device(np.random.default_rng(1).integers(0, 8, len(X)).astype(np.int32))
        cluster_sums(X, labels, 8)

    return run


def _transport(dtype):
    def run(runtime):
        n, m, _ = SHAPE
        cost = np.random.default_rng(2).uniform(size=(n, m)).astype(dtype)
        vectors = [np.full(n, -np.log(n)), np.full(m, -np.log(m)), np.zeros(n), np.zeros(m)]
        arrays = [runtime.to_device(array) for array in (cost, *vectors)]
        sinkhorn_iterate(arrays[0], 0.1, *arrays[1:], n_iters=1)

    return run


# {name: (part of the names of the kernels that are counted, what launches them)}
COUNTED = {
    "assign single": ("argmin_tiles", _assign(np.float32, False)),
    "assign single, tensor cores": ("argmin_tiles", _assign(np.float32, True)),
    "assign double": ("argmin_tiles", _assign(np.float64, False)),
    "assign single, 32 columns": ("argmin_tiles", _assign(np.float32, False, 32)),
    "assign double, 32 columns": ("argmin_tiles", _assign(np.float64, False, 32)),
    "distances single": ("distance_tiles", _compare(pairwise_distances, np.float32)),
    "distances double": ("distance_tiles", _compare(pairwise_distances, np.float64)),
    "log-sum-exp single": ("logsumexp", _compare(pairwise_logsumexp, np.float32)),
    "log-sum-exp double": ("logsumexp", _compare(pairwise_logsumexp, np.float64)),
    "cluster sums single": ("sum_", _sum(np.float32)),
    "cluster sums double": ("sum_", _sum(np.float64)),
    "sinkhorn single": ("sinkhorn", _transport(np.float32)),
    "sinkhorn double": ("sinkhorn", _transport(np.float64)),
}


@functools.cache
def measure(name):
    """Count one entry of ``COUNTED``.

    Returns
    -------
    counts : dict
        {kernel: {quantity: value}}: multiply-adds, of all lanes and on tensor cores; sectors of
        global loads and stores over the ideal; wavefronts of shared memory over the ideal, and
        per request. The ideals are those of :mod:`tests.cuda.ptxsim.counters`.
    """
    part, launch = COUNTED[name]
    runtime = SimulatedRuntime(counting=True)
    with use(runtime):
        launch(runtime)
    return {
        kernel: {
            "fused": counters.fused,
            "tensor": counters.tensor,
            "load sectors / ideal": round(counters.loads.over_ideal, 4),
            "store sectors / ideal": round(counters.stores.over_ideal, 4),
            "wavefronts / ideal": round(counters.shared.over_ideal, 4),
            "wavefronts / request": round(counters.shared.per_request, 4),
        }
        for kernel, counters in sorted(runtime.counters.items())
        if part in kernel
    }


def _main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write-baseline", action="store_true")
    write = parser.parse_args().write_baseline
    if find_nvcc() is None:
        sys.exit("nvcc was not found")
    text = json.dumps({name: measure(name) for name in COUNTED}, indent=1) + "\n"
    if write:
        BASELINE.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    _main()
