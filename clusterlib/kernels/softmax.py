"""Contract of the row softmax: posteriors of classes from their scores, in the log domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels.checks import as_matrix, as_vector, checked_integer, checked_threads
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.softmax_checks import check_rows, checked_posteriors

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Backend, FloatArray, Int32Array, Weights

__all__ = ["RowSoftmax", "row_softmax"]


class RowSoftmax(NamedTuple):
    """What :func:`row_softmax` returns.

    Attributes
    ----------
    posteriors : ndarray of shape (n, k), dtype of scores
        P: rows that sum to 1.
    lse : ndarray of shape (n,), dtype of scores
        Logarithm of the sum of ``exp(z)`` of each row.
    labels : ndarray of shape (n,), int32, or None
        The column of the largest z of each row, the lowest one on ties.
    """

    posteriors: FloatArray
    lse: FloatArray
    labels: Int32Array | None


@follows_data
def row_softmax(
    scores: ArrayLike,
    *,
    log_weight: Weights = None,
    return_labels: bool = False,
    out: Array | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> RowSoftmax:
    """Normalise the exponentials of each row: ``P_ij = exp(z_ij - lse_i)``, ``z = scores + log_weight``.

    This is the expectation step of every mixture: scores are log-densities, weights the priors of
    the classes. The largest z of a row is taken out before any exponential, so that no row
    overflows, nor vanishes because all of its scores are small.

    Parameters
    ----------
    scores : array-like of shape (n, k)
        Rows of float32 or float64 values in any layout, finite or -inf (no such class in this
        row). Integers, bools and objects are converted to float64, float16 to float32; n may be
        0, k may not.
    log_weight : float or array-like of shape (k,), default=None
        Added to every row: finite or -inf (no such class). Rounded to the dtype of scores, as is
        each sum z.
    return_labels : bool, default=False
        Also find the largest z of each row.
    out : ndarray of shape (n, k), default=None
        Where the posteriors go: C-ordered, in the dtype of scores. It may be ``scores`` itself,
        which is then overwritten (whatever is refused, too).
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    softmax : RowSoftmax
        Posteriors, their normalisers and, if asked for, labels.

    Raises
    ------
    ValueError
        For NaN or +inf in scores or log_weight, a row without any class (all of z is -inf: it has
        no posterior, and a made-up one would count as a row in every sum), wrong shapes, an
        unknown backend.
    TypeError
        For what is not an array of real numbers.

    Notes
    -----
    O(n k) time, no memory beside the results. With u the unit roundoff of the dtype (2^-24,
    2^-53), the relative error of a posterior is at most ``(3 |z_ij - max_j z_ij| + 120 + k / 256) u``,
    and the error of ``lse`` at most ``(|lse| + 120 + k / 256) u``. Posteriors below 2^-100 (float64:
    2^-1000) may be 0 or off by as much. Labels are exact.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import row_softmax
    >>> scores = np.log(np.array([[1.0, 3.0], [2.0, 2.0]]))
    >>> result = row_softmax(scores, return_labels=True)
    >>> result.posteriors.round(12)
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    >>> np.exp(result.lse).round(12), result.labels
    (array([4., 4.]), array([1, 0], dtype=int32))
    """
    n_threads = checked_threads(n_threads)
    scores = as_matrix("scores", scores)
    n, k = scores.shape
    checked_integer("the number of classes", k, 1, 2**31 - 1)
    if log_weight is not None:
        log_weight = as_vector("log_weight", log_weight, k, allow_minus_inf=True)
        with np.errstate(over="ignore"):  # what leaves the range spoils its rows
            log_weight = log_weight.astype(scores.dtype, copy=False)
    posteriors = checked_posteriors(out, scores)
    lse = np.empty(n, dtype=scores.dtype)
    labels = np.empty(n, dtype=np.int32) if return_labels else None
    run = implementation("row_softmax", backend)
    run(scores, log_weight, posteriors, lse, labels, n_threads)
    check_rows(lse)
    return RowSoftmax(posteriors, lse, labels)
