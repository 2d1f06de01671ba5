"""How every kernel of this backend is compiled."""

import numba

__all__ = ["compiled"]


def compiled(function):
    """Compile without the GIL, cached on disk where any place for a cache is writable.

    fastmath stays off: the order and the rounding of sums are part of the contract, and without
    it LLVM neither reorders nor fuses them. Kernels that call each other live in one file,
    because a cached kernel notices changes of its own file only.
    """
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # a read-only installation without NUMBA_CACHE_DIR or home directory
        return numba.njit(nogil=True, error_model="numpy")(function)
