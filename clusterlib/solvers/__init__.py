"""Algorithms as pure functions: arrays or blocks of rows in, a named tuple out.

They check nothing, know no estimator and print nothing; whoever calls them has checked the input.
"""

from clusterlib.solvers.assignment import (
    assign,
    assign_several,
    center_distances,
    costs_of_assignment,
    total_cost,
    weighted_total,
)
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.geometry import row_norms, unit_rows
from clusterlib.solvers.lloyd import LloydResult, lloyd, scatter
from clusterlib.solvers.minibatch import MiniBatchResult, Pull, minibatch, pull
from clusterlib.solvers.seeding import Seeds, kmeans_plusplus, random_rows

__all__ = [
    "LloydResult",
    "MiniBatchResult",
    "Pull",
    "RowDraws",
    "Seeds",
    "assign",
    "assign_several",
    "center_distances",
    "costs_of_assignment",
    "kmeans_plusplus",
    "lloyd",
    "minibatch",
    "pull",
    "random_rows",
    "row_norms",
    "scatter",
    "total_cost",
    "unit_rows",
    "weighted_total",
]
