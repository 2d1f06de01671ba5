"""Timings of one case, and the ceilings that floors are made of."""

import importlib
import time
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.gpu import peers
from bench.gpu.cases import Case
from bench.gpu.judge import judge
from bench.gpu.problems import Problem, make_problem, our_call

OURS = "clusterlib"
WARMUPS = 3
LEAST_REPEATS = 3


class Budget:
    """Wall time: of the whole run, and of one contestant in one case."""

    def __init__(self, seconds: float, repeats: int, each: float = 0.6):
        self.repeats, self.each = repeats, each
        self._end = time.perf_counter() + seconds

    def is_spent(self) -> bool:
        return time.perf_counter() > self._end

    def counts(self, ms: float) -> tuple[int, int]:
        """How many warm-ups and repeats, for a call of so many milliseconds."""
        if self.is_spent():
            return 0, 1
        fitting = int(1000 * self.each / max(ms, 1e-3))
        repeats = max(min(LEAST_REPEATS, self.repeats), min(self.repeats, fitting))
        return min(WARMUPS, fitting), repeats


class Ceilings(NamedTuple):
    """What the device was seen to do: bytes per second of a copy, operations of products."""

    bytes: float
    flops: dict

    def floor(self, case: Case) -> tuple[float, str]:
        """(least milliseconds that the ceilings allow, which of them binds)."""
        compute = case.flops / self.flops[case.products_in]
        memory = case.bytes / self.bytes
        return 1000 * max(compute, memory), "products" if compute > memory else "memory"


def load_peers() -> tuple[list, dict]:
    """(modules that can be imported, {name: why another cannot})."""
    modules, skipped = [], {}
    for name in peers.PEERS:
        try:
            modules.append(importlib.import_module(f"bench.gpu.peers.{name}"))
        except Exception as error:  # noqa: BLE001 - broken installations fail in many ways
            skipped[name] = f"{type(error).__name__}: {error}"
    return modules, skipped


def measure_ceilings(device, copied: int = 1 << 30, side: int = 8192) -> Ceilings:
    """Copy a large array, multiply large matrices; the best of a few tries counts."""
    moved = 2 * copied / _best(device, _copy(device, copied))
    flops = {}
    for dtype in ("float32", "float64"):
        flops[dtype] = 2 * side**3 / _best(device, _product(device, side, dtype))
        device.free()
    return Ceilings(moved, flops)


def _copy(device, size):
    source, target = (device.runtime.zeros((size // 4,), np.float32) for _ in range(2))

    def call():
        target[...] = source

    return call


def _product(device, side, dtype):
    A, B = (device.normal((side, side), dtype, seed) for seed in (1, 2))
    out = device.runtime.empty((side, side), np.dtype(dtype))
    return lambda: device.runtime.matmul(A, B, out)


def _best(device, call, tries=7):
    """Seconds of the fastest call."""
    return max(min(device.milliseconds(call) for _ in range(tries)), 1e-6) / 1000


def measure(
    case: Case, device, modules: list | None, ceilings: Ceilings, budget: Budget, seed: int
) -> Iterator[dict]:
    """Result lines of a case: of the peers while there is time, or ours where modules is None."""
    try:
        problem = make_problem(case, device, seed)
    except Exception as error:  # noqa: BLE001 - it is reported, and other cases run
        yield _failed(case, OURS if modules is None else "peers", error)
        return
    for name, setup in _contestants(problem, modules):
        if name != OURS and budget.is_spent():
            yield {"kind": "skipped", "case": case.name, "contestant": name, "why": "out of time"}
            continue
        try:
            yield _result(problem, name, setup, ceilings, budget)
        except Exception as error:  # noqa: BLE001 - out of memory, for example
            yield _failed(case, name, error)
        device.free()


def _contestants(problem: Problem, modules: list | None) -> Iterator[tuple]:
    if modules is None:
        yield OURS, lambda: our_call(problem)
        return
    for module in modules:
        try:
            yield from module.entries(problem)
        except Exception as error:  # noqa: BLE001 - told as the failure of its call
            yield module.__name__.rpartition(".")[2], lambda error=error: _raise(error)


def _raise(error):
    raise error


def _failed(case: Case, name: str, error: Exception) -> dict:
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    return {"kind": "failed", "case": case.name, "contestant": name, "why": why[:300]}


def _result(problem: Problem, name: str, setup, ceilings: Ceilings, budget: Budget) -> dict:
    case, device = problem.case, problem.device
    call, answers = setup(), []
    first = device.milliseconds(lambda: answers.append(call()))
    checked = judge(problem, answers.pop())
    warmups, repeats = budget.counts(device.milliseconds(call))
    for _ in range(warmups):
        device.milliseconds(call)
    times = [device.milliseconds(call) for _ in range(repeats)]
    floor, binding = ceilings.floor(case)
    return {
        "kind": "result",
        "case": case.name,
        "contestant": name,
        **{key: getattr(case, key) for key in ("op", "n", "d", "k", "dtype", "flops", "bytes")},
        "ms": median(times),
        "ms_least": min(times),
        "ms_first": first,
        "repeats": repeats,
        "floor_ms": floor,
        "floor_of": binding,
        "over_floor": median(times) / floor,
        **checked,
        "at": round(time.time()),
    }
