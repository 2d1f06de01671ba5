"""The kernels of ``toys.cuh``."""

from pathlib import Path

from clusterlib.kernels._cupy.instances import Instance

__all__ = ["FOLDER", "TOYS", "toy"]

FOLDER = Path(__file__).parent
_KERNELS = [
    "atomics",
    "barrier_for_half_a_warp",
    "barrier_for_one_warp",
    "beyond_shared",
    "beyond_shared_by_pointer",
    "block_of",
    "block_sum<false>",
    "block_sum<true>",
    "different_warp_operations",
    "division_by_zero",
    "misaligned",
    "neighbour<false>",
    "neighbour<true>",
    "neighbour_after_shuffle",
    "reads_beyond",
    "rounded",
    "row_of",
    "scaled",
    "shuffle_down<double>",
    "shuffle_down<int>",
    "shuffle_idx<double>",
    "shuffle_idx<int>",
    "shuffle_in_half_a_warp",
    "shuffle_of_a_part",
    "shuffle_up<double>",
    "shuffle_up<int>",
    "shuffle_width",
    "shuffle_xor<double>",
    "shuffle_xor<int>",
    "tickets",
    "too_much_shared",
    "two_barriers",
    "wrong_address",
]
_THREADS = {"votes": 96, "empty<48>": 48}


def toy(kernel):
    """Return the instance of a toy kernel."""
    return Instance("toys.cuh", f"toy::{kernel}", _THREADS.get(kernel, 64))


TOYS = tuple(map(toy, [*_KERNELS, *_THREADS]))
