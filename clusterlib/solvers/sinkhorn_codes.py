"""Balanced soft labels of a batch of scores: the codes of SwAV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels._cupy.checks import checked_device_output
from clusterlib.kernels.checks import checked_integer
from clusterlib.kernels.sinkhorn_checks import (
    as_cost,
    as_weight,
    checked_epsilon,
    checked_tolerance,
)
from clusterlib.solvers.momentum import Momentum
from clusterlib.solvers.score_sweeps import ScoreSweeps
from clusterlib.solvers.sides import side_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, ArrayLike, Backend, FloatArray

__all__ = ["log_shares", "sinkhorn_assign"]

_MOST_ITERATIONS = 2**31 - 1
_DUAL_NOISE = 1e-7


def sinkhorn_assign(
    scores: ArrayLike,
    epsilon: float = 0.05,
    *,
    n_iters: int | None = 3,
    prior: ArrayLike | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    out: Array | None = None,
    all_reduce: Callable[..., Any] | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> FloatArray:
    """Share out a batch of rows among prototypes: every row in full, every prototype its part.

    The codes maximise ``<Q, scores> + epsilon H(Q)`` among the Q of which every row sums to 1 and
    the columns to n times the prior. They are those of SwAV: with a finite ``n_iters`` columns
    and rows are normalised in turn as often as that, rows last, so that rows are exact and columns
    nearly so. Large scores are good, as similarities are; the cost of transport is ``-scores``,
    and this is where the sign turns.

    Parameters
    ----------
    scores : array-like of shape (n, k)
        Similarities of rows and prototypes, float32 or float64 (others become float64), finite,
        of any scale: cosines for SwAV. They may be on a CUDA device, where the codes live then.
    epsilon : float, default=0.05
        Entropic strength in the units of the scores, above 0. Small ones give hard codes.
    n_iters : int or None, default=3
        Normalisations of the columns, at least 1; 3 is what SwAV does. None goes on until ``tol``.
    prior : array-like of shape (k,), default=None
        Wanted shares of the prototypes: not negative, not all 0, divided by their sum. None wants
        equal shares; a prototype of share 0 gets no row.
    tol : float, default=1e-6
        With ``n_iters=None``: the shares may differ from the prior by this much, in sum.
    max_iter : int, default=1000
        With ``n_iters=None``: most iterations. ``abs(codes.mean(axis=0) - prior).sum()`` tells
        whether they were enough.
    out : ndarray of shape (n, k), default=None
        C-ordered array of the dtype of the scores for the codes; it must not overlap them.
    all_reduce : callable, default=None
        For a batch that is spread over workers, each of which calls this function with its rows:
        ``all_reduce(values, "sum" or "max")`` returns the sum or maximum of a float64 array over
        the workers. Only arrays of k and of single numbers travel.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    codes : ndarray of shape (n, k)
        In the dtype of the scores, not negative; rows sum to 1 up to rounding.

    Raises
    ------
    ValueError
        For NaN or infinity in the scores, numbers out of range, shapes that disagree.
    TypeError
        For what is not an array of real numbers.

    Notes
    -----
    O(n k) time: ``n_iters`` sweeps and the last normalisation read the scores once each, with one
    exponential per entry. Iterations stay in the log domain, and change to float64 arithmetic
    where a sum leaves the range of float32, so that no epsilon and no scale of the scores
    overflows. Memory is that of the codes.

    The result depends on neither the number of threads nor, up to rounding, on how rows are
    spread over workers: partial sums of columns are all that is shared.

    References
    ----------
    .. [1] M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski and A. Joulin, "Unsupervised
       learning of visual features by contrasting cluster assignments", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn_assign
    >>> scores = np.array([[0.9, 0.8], [0.7, 0.1], [0.6, 0.2], [0.9, 0.3]])
    >>> sinkhorn_assign(scores, n_iters=None).round(2)
    array([[0.  , 1.  ],
           [0.92, 0.08],
           [0.17, 0.83],
           [0.92, 0.08]])
    """
    side = side_of(scores)
    scores = as_cost("scores", scores) if side.on_host else side.matrix("scores", scores)
    epsilon = checked_epsilon(epsilon)
    if n_iters is not None:
        n_iters = checked_integer("n_iters", n_iters, 1, _MOST_ITERATIONS)
    tol = checked_tolerance(tol)
    max_iter = checked_integer("max_iter", max_iter, 1, _MOST_ITERATIONS)
    shares = log_shares(side.numbers("prior", prior), scores.shape[1])
    out = _checked_codes(out, scores)
    across = _Alone() if all_reduce is None else _Workers(all_reduce)
    n_rows = across.sum(float(len(scores)))
    if n_rows == 0:
        return side.like(out)
    wanted = shares + np.log(n_rows)
    options = {"n_threads": n_threads, "backend": backend}
    used = shares > -np.inf
    try:
        batch = ScoreSweeps(scores, epsilon, used, False, options)
        loads = _balance(batch, wanted, n_iters, tol, max_iter, across)
    except _OutOfRange:
        # One worker may have left the range where this one has not.
        side.check_finite("scores", scores)
        batch = ScoreSweeps(scores, epsilon, used, True, options)
        loads = _balance(batch, wanted, n_iters, tol, max_iter, across)
    return side.like(batch.codes(loads, out))


def log_shares(prior, n_clusters):
    """Logarithms of the shares that a prior asks for; uniform for None.

    Parameters
    ----------
    prior : None or array-like of shape (n_clusters,)
        Not negative, not all 0.
    n_clusters : int
        How many.

    Returns
    -------
    log_share : ndarray of shape (n_clusters,), float64
        Their exponentials sum to 1; -inf for a share of 0.

    Examples
    --------
    >>> from clusterlib.solvers.sinkhorn_codes import log_shares
    >>> log_shares([1, 1], 2).round(3)
    array([-0.693, -0.693])
    """
    if prior is None:
        return np.full(n_clusters, -np.log(n_clusters))
    prior = as_weight("prior", prior, n_clusters)
    largest = prior.max()
    if largest == 0:
        raise ValueError("prior must have a share above 0, but all of them are 0")
    prior = prior / largest  # whose sum cannot overflow
    with np.errstate(divide="ignore"):
        return np.log(prior / prior.sum())


def _checked_codes(out, scores):
    if not side_of(scores).on_host:
        return checked_device_output(out, scores.shape, scores.dtype, (scores,), "scores")
    if out is None:
        return np.empty(scores.shape, dtype=scores.dtype)
    if not isinstance(out, np.ndarray) or out.shape != scores.shape or out.dtype != scores.dtype:
        raise ValueError(
            f"out must be an array of shape {scores.shape} and dtype {scores.dtype}, like scores"
        )
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be C-contiguous and writeable")
    if np.may_share_memory(out, scores):
        raise ValueError("out must not overlap scores in memory")
    return out


class _Alone:
    """The whole batch is here."""

    @staticmethod
    def sum(value):
        return value

    @staticmethod
    def log_sums(logs, n_columns):
        if logs is None:
            raise _OutOfRange
        return logs


class _Workers:
    """Each worker has some rows of the batch; sums of columns are merged as logarithms."""

    def __init__(self, all_reduce):
        self._all_reduce = all_reduce

    def sum(self, value):
        return float(self._merged(np.array([float(value)]), "sum")[0])

    def log_sums(self, logs, n_columns):
        # One more number tells all workers that one of them has left the range.
        packed = np.full(n_columns + 1, -np.inf)
        if logs is None:
            packed[-1] = 0.0
        else:
            packed[:-1] = logs
        top = self._merged(packed, "max")
        if top[-1] == 0.0:
            raise _OutOfRange
        shift = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):
            return (shift + np.log(self._merged(np.exp(packed - shift), "sum")))[:-1]

    def _merged(self, values, operation):
        return np.asarray(self._all_reduce(values, operation), dtype=np.float64)


class _OutOfRange(Exception):
    """The numbers have left the range of their type."""


def _balance(batch, wanted, n_iters, tol, max_iter, across):
    """Find potentials of the columns over epsilon, for which rows remain to be normalised.

    ``wanted`` are the logarithms of the sums that columns should have; -inf for unused ones.
    """

    def target(loads=None):
        logs = batch.first_logs() if loads is None else batch.logs(loads)
        sums = across.log_sums(logs, len(wanted))
        return np.subtract(wanted, sums, out=np.full(len(wanted), -np.inf), where=here)

    here = wanted > -np.inf
    loads = target()
    if n_iters is not None:
        for _ in range(n_iters - 1):
            loads = target(loads)
        return loads
    sums = np.exp(wanted)
    momentum, previous = Momentum(_DUAL_NOISE, scale=sums.sum()), loads
    for _ in range(max_iter):
        step = target(loads)[here] - loads[here]
        error = float(sums[here] @ np.abs(np.expm1(-step))) / sums.sum()
        if error <= tol:
            break
        row_dual = float(batch.f.sum()) / batch.epsilon
        dual = across.sum(row_dual) + float(sums[here] @ loads[here])
        push, pull = momentum.weights(error, dual)
        moved = loads.copy()
        moved[here] += push * step + pull * (loads[here] - previous[here])
        loads, previous = moved, loads
    return loads
