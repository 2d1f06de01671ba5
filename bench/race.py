"""Time several calls against each other, with a probe of the machine between any two of them.

All contestants run once per round, in an order that rotates, so that a change of clock frequency
or a noisy neighbour meets everybody; what is left of it cancels in time x (probe around the call).
"""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median

MIN_SECONDS = 0.002  # a shorter call is repeated inside one timing
MAX_CALLS = 1000
MIN_REPEATS = 2
LONG_SECONDS = 5  # a call that takes longer is timed once, when its answer is checked
SETTLE_SECONDS = 0.003  # worker threads of the last call may still spin, waiting for more work


@dataclass(frozen=True)
class Difference:
    """A call whose time is that of one iteration: ``run(many)`` less ``run(few)``, over the
    iterations between. What is done once (checks, buffers, a plan at the end) cancels."""

    run: Callable[[int], object]
    few: int
    many: int

    def __call__(self) -> object:
        return self.run(self.many)


@dataclass(frozen=True)
class Sample:
    """One timing: seconds per call on the wall and of CPU (all threads), and operations per
    second of the probe around it."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Timing:
    """All samples of one contestant.

    With one thread the CPU time counts, which other processes cannot lengthen (and which betrays
    a contestant that quietly starts more threads); with several threads the wall time.
    """

    samples: tuple[Sample, ...]
    threads: int

    @property
    def seconds(self) -> list[float]:
        return [s.cpu if self.threads == 1 else s.wall for s in self.samples]

    def summary(self, flops: int) -> dict[str, float | int | None]:
        """The figures of a result line; ``over_floor`` is None without a probe."""
        over_floor = [t * s.peak / flops for t, s in zip(self.seconds, self.samples, strict=True)]
        peaks = [s.peak for s in self.samples]
        return {
            "ns": round(min(self.seconds) * 1e9),
            "ns_median": round(median(self.seconds) * 1e9),
            "wall_ns": round(min(s.wall for s in self.samples) * 1e9),
            "cpu_ns_per_thread": round(min(s.cpu for s in self.samples) * 1e9 / self.threads),
            "over_floor": _finite(min(over_floor)),
            "over_floor_median": _finite(median(over_floor)),
            "peak_flops": _finite(median(peaks)),
            "repeats": len(self.samples),
        }


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def observed(
    call: Callable[[], object], probe: Callable[[], float]
) -> tuple[object, Sample | None]:
    """The answer of a call and, if it took long, its timing."""
    before = probe()
    cpu, wall = time.process_time(), time.perf_counter()
    answer = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if wall < LONG_SECONDS or isinstance(call, Difference):
        return answer, None
    return answer, Sample(wall, cpu, (before + probe()) / 2)


def race(
    calls: Mapping[str, Callable[[], object]],
    probe: Callable[[], float],
    *,
    threads: int,
    repeats: int,
    seconds: float,
    known: Mapping[str, Sample] | None = None,
) -> dict[str, Timing]:
    """Time every call ``repeats`` times, or as often as fits into ``seconds`` (at least twice).

    Those with a ``known`` timing are not called again.
    """
    counts, turns = {}, {}
    samples: dict[str, list[Sample]] = {name: [] for name in calls}
    for name, sample in (known or {}).items():
        samples[name].append(sample)
    calls = {name: call for name, call in calls.items() if not samples[name]}
    for name, call in calls.items():
        first = _duration(call)
        counts[name] = min(MAX_CALLS, max(1, math.ceil(MIN_SECONDS / max(first, 1e-9))))
        fitting = int(seconds / max(first, MIN_SECONDS))
        turns[name] = min(repeats, max(MIN_REPEATS, fitting))
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(max(turns.values(), default=0)):
            before = probe()
            for name in _rotated(list(calls), number):
                if number >= turns[name]:
                    continue
                if threads > 1:
                    time.sleep(SETTLE_SECONDS)
                wall, cpu = _timed(calls[name], counts[name])
                after = probe()
                samples[name].append(Sample(wall, cpu, (before + after) / 2))
                before = after
    finally:
        if collecting:
            gc.enable()
    return {name: Timing(tuple(taken), threads) for name, taken in samples.items()}


def _rotated(names: list[str], number: int) -> list[str]:
    shift = number % max(len(names), 1)
    return names[shift:] + names[:shift]


def _duration(call: Callable[[], object]) -> float:
    """Seconds that one timing of a call takes on the wall."""
    if isinstance(call, Difference):
        return sum(_seconds(partial(call.run, number), 1)[0] for number in (call.few, call.many))
    return _seconds(call, 1)[0]


def _timed(call: Callable[[], object], count: int) -> tuple[float, float]:
    """Seconds per call, or per iteration of a difference: wall, CPU of all threads.

    Of a difference ``few`` runs once before. Else it alone would pay for memory that was given
    back to the system (of a virtual machine: to its host) since the last turn.
    """
    if not isinstance(call, Difference):
        return _seconds(call, count)
    call.run(call.few)
    few, many = (_seconds(partial(call.run, number), count) for number in (call.few, call.many))
    between = call.many - call.few
    return (many[0] - few[0]) / between, (many[1] - few[1]) / between


def _seconds(call: Callable[[], object], count: int) -> tuple[float, float]:
    """Seconds per call: wall, CPU of all threads. The answer is freed outside the timing."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        answer = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    del answer
    return wall / count, cpu / count


def fastest(candidates: Mapping[object, Callable[[], object]]) -> object:
    """Key of the candidate whose second call is fastest: how a baseline's block size is tuned."""
    times = {}
    for key, call in candidates.items():
        call()
        times[key] = min(_timed(call, 1)[0] for _ in range(2))
    return min(times, key=times.__getitem__)
