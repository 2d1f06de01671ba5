"""The machine's limits, measured: multiply-adds, bfloat16 dot products, memory, sgemm.

``peak.cpp`` is compiled once per machine and compiler into the user's cache folder. Without a
compiler the bench still runs: figures over the floor are then left out.
"""

from bench.floors.limits import measure_limits
from bench.floors.probe import NoProbe, Probe, make_probe

__all__ = ["NoProbe", "Probe", "make_probe", "measure_limits"]
