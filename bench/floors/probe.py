"""The probe: a few milliseconds of multiply-adds that say how fast the machine is just now."""

import math

from bench.floors.build import NoCompiler, load_library

KINDS = {"float32": 0, "float64": 1, "bfloat16": 2}
BURST_SECONDS = 0.001
BURSTS = 3  # the fastest counts: a burst that was interrupted says nothing about the machine


class Probe:
    """``probe()`` is the number of operations per second the machine reaches at this moment.

    Parameters
    ----------
    dtype : "float32", "float64" or "bfloat16"
        Type of the multiply-adds; bfloat16 stands for dot products that add up in float32.
    threads : int
        Number of threads that compute at the same time; the figure is their sum.
    """

    def __init__(self, dtype: str, threads: int):
        self.kind, self.threads = KINDS[dtype], threads
        self._seconds = load_library().peak_seconds
        self._operations = load_library().peak_operations(self.kind)
        self._iterations = 1000
        if self._operations:
            trial = min(self._seconds(self.kind, 10_000, 1) for _ in range(5))
            self._iterations = max(1000, math.ceil(10_000 * BURST_SECONDS / trial))

    def __call__(self) -> float:
        if not self._operations:
            return math.nan  # the machine has no such instruction
        best = min(self._seconds(self.kind, self._iterations, self.threads) for _ in range(BURSTS))
        return self._operations * self._iterations * self.threads / best


class NoProbe:
    """Stands in where nothing can be compiled: the machine's speed is unknown."""

    def __call__(self) -> float:
        return math.nan


def make_probe(dtype: str, threads: int) -> Probe | NoProbe:
    """A probe, or its stand-in on a machine without a compiler."""
    try:
        return Probe(dtype, threads)
    except NoCompiler:
        return NoProbe()
