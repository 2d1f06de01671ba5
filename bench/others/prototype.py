"""A prototype of the assignment outside of the repository, in the folder CLUSTERLIB_PROTOTYPES.

Its module ``auc2`` has ``exact2(costs, capacities) -> (labels, prices)``, an auction and augmenting
paths compiled by Numba, and ``sqd(X, Y)`` for costs. It runs on one thread.
"""

import os
import sys
from types import ModuleType

import numpy as np

from bench.quotas import Assigned, sizes

_FOLDER = os.environ.get("CLUSTERLIB_PROTOTYPES")
if not _FOLDER:
    raise ImportError("CLUSTERLIB_PROTOTYPES names no folder")


def _import():
    """The module; the data of its own bench, which it imports as well, are not needed."""
    sys.modules.setdefault("bench_data", ModuleType("bench_data")).synth = None
    sys.path.insert(0, _FOLDER)
    try:
        import auc2
    finally:
        sys.path.remove(_FOLDER)
    return auc2


_PROTOTYPE = _import()
DISTRIBUTION = "numba"


def entries(problem):
    low, high = sizes(problem.case)
    if low != high:
        return  # it knows no lower bounds
    if problem.case.op == "capacity":
        yield "prototype", lambda: _call(problem, problem.cost)
    if problem.case.op == "quotas":
        yield "prototype", lambda: _call(problem, None)


def compile_all():
    """Compile what ``exact2`` calls."""
    _PROTOTYPE.exact2(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]), np.array([2, 1]))


def assign(cost, capacity):
    """An assignment with at most ``capacity`` rows a cluster, and the number of its paths."""
    found = []
    answer = _PROTOTYPE.exact2(cost, np.full(cost.shape[1], capacity), info=found)
    return Assigned(*answer), int(found[0][2])


def _call(problem, cost):
    capacities = np.full(problem.case.k, sizes(problem.case)[1])
    compile_all()
    X, Y = problem.X.astype(np.float64), problem.Y.astype(np.float64)

    def call():
        D = _PROTOTYPE.sqd(X, Y) if cost is None else cost
        return Assigned(*_PROTOTYPE.exact2(D, capacities))

    return call
