"""Checks of the row softmax: where posteriors go, and rows that have none."""

import numpy as np

__all__ = ["check_rows", "checked_posteriors"]


def checked_posteriors(out, scores):
    """Allocate the output, or check that the caller's array can take the posteriors."""
    if out is None:
        return np.empty(scores.shape, dtype=scores.dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, got {type(out).__name__}")
    if out.shape != scores.shape or out.dtype != scores.dtype:
        raise ValueError(
            f"out must have shape {scores.shape} and dtype {scores.dtype}, got {out.shape} and "
            f"{out.dtype}"
        )
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError("out must be C-contiguous, aligned and writeable")
    same = out.ctypes.data == scores.ctypes.data and out.strides == scores.strides
    if not same and np.may_share_memory(out, scores):
        raise ValueError("out must be scores itself or not overlap it in memory")
    return out


def check_rows(lse):
    """Implementations write NaN for a row that is refused and -inf for one without any class."""
    wrong = ~np.isfinite(lse)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    if lse[row] == -np.inf:
        raise ValueError(
            f"scores must leave a class to every row, but all scores of row {row} (with "
            f"log_weight) are -inf"
        )
    raise ValueError(
        f"scores (with log_weight) must be finite or -inf, got NaN or +inf in row {row}"
    )
