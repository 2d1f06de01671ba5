"""Measure the memory of a sweep over costs that are never stored: ``python -m bench.memory``.

A process of its own: what counts is the largest resident size of the whole process. The line that
is printed belongs at the end of a result file; ``bench.page`` shows it.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench.cases import Case
from bench.machine import describe
from bench.problems import Potentials, make_problem
from bench.transport_judge import column_errors
from clusterlib.kernels import sinkhorn_iterate_points


def main(argv: list[str] | None = None) -> dict:
    """Make the sweeps, print what they took and return it."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="points on either side")
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backend")
    options = parser.parse_args(argv)
    case = Case("lazy", options.rows, options.d, options.rows, data="sphere", epsilon=0.05)
    with threadpool_limits(1):
        line = measure(case, options.sweeps, options.threads, options.backend)
    print(json.dumps(line))
    return line


def measure(case: Case, sweeps: int, threads: int, backend: str | None) -> dict:
    """Time and growth of the resident size of ``sweeps`` iterations on points."""
    problem = make_problem(case, threads, backend)
    a, b = problem.weights("float64")
    log_a, log_b, f, g = np.log(a), np.log(b), np.zeros_like(a), np.zeros_like(b)
    options = {"n_threads": threads, "backend": backend}
    few = slice(0, min(512, case.n))  # whatever is loaded or started at the first call
    warm = (log_a[few], log_b[few], f[few].copy(), g[few].copy())
    sinkhorn_iterate_points(problem.X[few], problem.Y[few], case.epsilon, *warm, **options)
    before, start = resident_bytes(), time.process_time()
    sinkhorn_iterate_points(
        problem.X, problem.Y, case.epsilon, log_a, log_b, f, g, n_iters=sweeps, **options
    )
    seconds, extra = time.process_time() - start, peak_bytes() - before
    return {
        "kind": "memory",
        "case": case.name,
        "threads": threads,
        "sweeps": sweeps,
        "seconds": seconds,
        "extra_bytes": extra,
        "matrix_bytes": case.n * case.k * case.itemsize,
        "error": column_errors(problem, Potentials(f, g)),
        **{key: describe()[key] for key in ("cpu", "revision")},
    }


def resident_bytes() -> int:
    """Resident size of this process now; on Linux its peak starts anew from here.

    Elsewhere it is the peak up to now, so that what follows is counted less what came before.
    """
    reset, size = Path("/proc/self/clear_refs"), Path("/proc/self/statm")
    if not reset.exists():
        return peak_bytes()
    reset.write_text("5")
    return int(size.read_text().split()[1]) * resource.getpagesize()


def peak_bytes() -> int:
    """Largest resident size of this process since its peak was started anew."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
