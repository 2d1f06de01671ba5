"""Constants of the descent on the simplex that its implementations share; csrc/simplex.cpp too."""

__all__ = [
    "BACKTRACK",
    "DECREASE",
    "FIRST_MOVE",
    "GROWN",
    "GROWTH",
    "LONGEST",
    "MEMORY",
    "MOST_BACKTRACKS",
    "RESIDUAL",
    "SHORTEST",
    "SLACK",
    "SMALLEST_SHARE",
    "SMALLEST_SIZE",
]

MEMORY = 10
"""Values whose largest a step may not exceed."""

SLACK = 4.0
"""Units of rounding of F and f by which it may, so that no search goes on for what is rounding."""

BACKTRACK, DECREASE, MOST_BACKTRACKS = 0.3, 1e-4, 40
"""Factor of a refused step, share of its squared length that F has to fall by, and how often."""

FIRST_MOVE = 0.1
"""Largest change of an entry by a first step, before rows are projected."""

SHORTEST, LONGEST = 1e-4, 1e3
"""Range of the steps of Barzilai and Borwein."""

GROWTH, GROWN = 3.0, 1e2
"""Growth of a step along which F is not convex, and the largest that this may lead to."""

RESIDUAL = 0.05
"""Residual of a row that moves by 1 under a step of 1."""

SMALLEST_SIZE = 1e-12
"""Size that an empty column is given where its size divides."""

SMALLEST_SHARE = 1e-6
"""Least metric of a column, the average being 1: what is smaller hardly moves any more."""
