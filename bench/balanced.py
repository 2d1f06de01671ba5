"""Balanced clusters beside the race: ``python -m bench.balanced scale|memory|hard --out FILE``.

``scale`` multiplies the data by powers of ten and tells who still finds the same clusters,
``memory`` the largest resident size of an assignment and of a fit, ``hard`` how the time of an
assignment grows on inputs that are made to be hard. Every measurement is a process of its own, with
a limit of time. Lines of json go to the end of the file, for ``bench.page``; a table is printed.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench import hard_quotas, quotas
from bench.cases import Case
from bench.machine import describe, restart_without_overrides
from bench.memory import peak_bytes, resident_bytes
from bench.problems import make_problem
from clusterlib.config import config_context

FACTORS = (1.0, 1e-12, 1e-4, 1e6, 1e12)
SCALED = Case("balanced", 400, 20, 8, dtype="float64", data="clustered")
FITTED = ("clusterlib", "k-means-constrained")
ASSIGNING = ("clusterlib", "prototype")
LIMIT_SECONDS = 120


def main(argv: list[str] | None = None) -> list[dict]:
    """Measure, print a table, return the lines."""
    options = parse(argv)
    if options.one:
        with threadpool_limits(options.threads), config_context(n_threads=options.threads):
            print(json.dumps(MEASURES[options.what](options, json.loads(options.one))))
        return []
    machine = {key: describe()[key] for key in ("cpu", "revision")}
    lines = []
    for setting in SETTINGS[options.what](options):
        if options.contestant and setting.get("contestant") not in options.contestant:
            continue
        found = apart(options, setting)
        line = (
            {"kind": f"balanced {options.what}", "threads": options.threads}
            | setting
            | found
            | machine
        )
        lines.append(line)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    print("\n".join(TABLES[options.what](lines)))
    return lines


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.balanced", description=__doc__)
    parser.add_argument("what", choices=("scale", "memory", "hard"))
    parser.add_argument("--out", type=Path, help="file to add to; default none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backend", help="of our kernel, for hard inputs")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds for each")
    parser.add_argument("--rows", type=int, nargs="+", help="default 1 000 000; 2000 8000 32000")
    parser.add_argument("--k", type=int, nargs="+", help="default 100; 10 50 500")
    parser.add_argument("--family", nargs="+", choices=hard_quotas.FAMILIES, help="default all")
    parser.add_argument("--contestant", nargs="+", default=[], help="only these; default all")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def apart(options: argparse.Namespace, setting: dict) -> dict:
    """One measurement in a process of its own; what went wrong, or that it took too long."""
    command = [sys.executable, "-m", "bench.balanced", options.what, "--one", json.dumps(setting)]
    command += ["--threads", str(options.threads)]
    command += ["--backend", options.backend] if options.backend else []
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=options.limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"why": f"more than {options.limit:g} s"}
    if done.returncode:
        return {"why": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


# Scale of the data: labels and inertia of a fit, on the scale of the data.


def scale_settings(options: argparse.Namespace) -> Iterator[dict]:
    for contestant, factor in product(FITTED, FACTORS):
        yield {"contestant": contestant, "factor": factor}


def measure_scale(options: argparse.Namespace, setting: dict) -> dict:
    case = SCALED
    problem = make_problem(case, options.threads)
    factor = setting["factor"]
    labels = fit(setting["contestant"], factor * problem.X, factor * problem.Y, case)
    unscaled = fit(setting["contestant"], problem.X, problem.Y, case)
    return {
        "same_labels": float((labels == unscaled).mean()),
        "inertia": quotas.inertia(problem.X, labels, case.k),
    }


def fit(contestant: str, X, Y, case: Case, **options) -> np.ndarray:
    """Labels of a fit from the centres Y to clusters of n/k rows."""
    low, high = quotas.sizes(case)
    options |= {"size_min": low, "size_max": high, "init": Y, "n_init": 1, "random_state": 0}
    return _estimator(contestant)(case.k, **options).fit(X).labels_


def _estimator(contestant):
    if contestant == "clusterlib":
        from clusterlib.cluster import BalancedKMeans

        return BalancedKMeans
    from k_means_constrained import KMeansConstrained

    return KMeansConstrained


def scale_table(lines: Iterable[dict]) -> Iterator[str]:
    yield "| contestant | data times | same labels | inertia of the labels on the data |"
    yield "|---|---|---|---|"
    for line in lines:
        found = line.get("why") or f"{line['same_labels']:.1%} | {line['inertia']:.6g}"
        yield f"| {line['contestant']} | {line['factor']:g} | {found} |"


# Memory: what the whole process grows by.


def memory_settings(options: argparse.Namespace) -> Iterator[dict]:
    for n, k, call in product(options.rows or [1_000_000], options.k or [100], MEMORY_CALLS):
        yield {"call": call, "n": n, "d": 64, "k": k, "dtype": "float32"}


def measure_memory(options: argparse.Namespace, setting: dict) -> dict:
    call = MEMORY_CALLS[setting["call"]]
    sizes = {key: setting[key] for key in ("n", "d", "k")}
    case = Case("quotas", **sizes, dtype=setting["dtype"], data="zipf")
    problem = make_problem(case, options.threads)
    few = Case("quotas", **(sizes | {"n": 4 * case.k}), dtype=case.dtype, data="zipf")
    call(problem.X[: few.n], problem.Y, few)  # whatever is loaded or started at the first call
    give_back_memory()
    before, start = resident_bytes(), time.process_time()
    call(problem.X, problem.Y, case)
    seconds, extra = time.process_time() - start, peak_bytes() - before
    return {"seconds": seconds, "extra_bytes": extra, "data_bytes": problem.X.nbytes}


def give_back_memory() -> None:
    """Give freed memory back to the system: what is taken from it again would not be counted."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


def _assignment(X, Y, case):
    from clusterlib.kernels import capacity_assignment_points

    return capacity_assignment_points(X, Y, *quotas.sizes(case)).labels


def _fit_of_ten(X, Y, case):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is not meant to converge
        return fit("clusterlib", X, Y, case, max_iter=10)


MEMORY_CALLS = {"one assignment": _assignment, "a fit of 10 iterations": _fit_of_ten}


def memory_table(lines: Iterable[dict]) -> Iterator[str]:
    yield "| call | rows | k | CPU seconds | MB more than before | times X |\n|---|---|---|---|---|---|"
    for line in lines:
        figures = line.get("why") or (
            f"{line['seconds']:.1f} | {line['extra_bytes'] / 1e6:.0f} | "
            f"{line['extra_bytes'] / line['data_bytes']:.2f}"
        )
        yield f"| {line['call']} | {line['n']} | {line['k']} | {figures} |"


# Hard inputs: time and paths by size.


def hard_settings(options: argparse.Namespace) -> Iterator[dict]:
    families = options.family or hard_quotas.FAMILIES
    sizes = product(options.k or [10, 50, 500], options.rows or [2000, 8000, 32_000])
    for family, (k, n), contestant in product(families, sizes, ASSIGNING):
        yield {"family": family, "n": n, "k": k, "contestant": contestant}


def measure_hard(options: argparse.Namespace, setting: dict) -> dict:
    n, k = setting["n"], setting["k"]
    X, Y = hard_quotas.make(setting["family"], n, k)
    assign = ASSIGN[setting["contestant"]]
    bounds = n // k, -(-n // k)
    few = Case("quotas", 2 * k, X.shape[1], k)
    assign(X[: few.n], Y, quotas.sizes(few), options.backend)
    start = time.process_time()
    answer, n_paths = assign(X, Y, bounds, options.backend)
    seconds = time.process_time() - start
    found = quotas.judged(answer, [quotas.costs(X, Y)], k, *bounds)
    return {
        "seconds": seconds,
        "n_paths": n_paths,
        "gap": found.gap / found.cost,
        "infeasible": found.outside,
    }


def _ours(X, Y, bounds, backend):
    from clusterlib.kernels import capacity_assignment_points

    result = capacity_assignment_points(X, Y, *bounds, backend=backend)
    return quotas.Assigned(result.labels, result.prices), result.n_paths


def _prototype(X, Y, bounds, backend):
    from bench.others.prototype import assign

    return assign(quotas.costs(X, Y), bounds[1])


ASSIGN = {"clusterlib": _ours, "prototype": _prototype}


def hard_table(lines: Iterable[dict]) -> Iterator[str]:
    """A row for each family, k and contestant; the exponent is that of the last two sizes."""
    groups: dict[tuple, list[dict]] = {}
    for line in lines:
        groups.setdefault((line["family"], line["k"], line["contestant"]), []).append(line)
    yield "| input | k | contestant | seconds by rows | exponent | paths | gap |"
    yield "|---|---|---|---|---|---|---|"
    for (family, k, contestant), group in groups.items():
        times = ", ".join(f"{x['n']}: {x.get('why') or format(x['seconds'], '.3g')}" for x in group)
        done = [x for x in group if "seconds" in x]
        paths = done[-1]["n_paths"] if done else ""
        gap = f"{max(x['gap'] for x in done):.0e}" if done else ""
        yield f"| {family} | {k} | {contestant} | {times} | {_exponent(done)} | {paths} | {gap} |"


def _exponent(lines):
    if len(lines) < 2 or lines[-2]["seconds"] <= 0:
        return ""
    times, rows = ([x[key] for x in lines[-2:]] for key in ("seconds", "n"))
    return f"{np.log(times[1] / times[0]) / np.log(rows[1] / rows[0]):.2f}"


SETTINGS = {"scale": scale_settings, "memory": memory_settings, "hard": hard_settings}
MEASURES = {"scale": measure_scale, "memory": measure_memory, "hard": measure_hard}
TABLES = {"scale": scale_table, "memory": memory_table, "hard": hard_table}


if __name__ == "__main__":
    restart_without_overrides("bench.balanced")
    main()
