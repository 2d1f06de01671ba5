"""One program of the alternation: memberships for given covariances, and what follows from them."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from clusterlib.solvers.gaussian import GaussianGroups
from clusterlib.solvers.gaussian_moments import lifted_moments
from clusterlib.solvers.low_rank_likelihood import Trace, low_rank_likelihood
from clusterlib.solvers.low_rank_sdp import low_rank_sdp

__all__ = ["Program", "ProgramSolution", "settle", "solve_program"]

# Shares of noise in a factor that is built from labels: without any, nothing would move; with
# much of it, now and then a group loses all rows.
_NOISES = (0.7, 0.3)
_LITTLE_NOISE = 0.05
# A trace that is wrong by more is a failed solve.
_FAILED_TRACE = 1e-3


class Program(NamedTuple):
    """How the programs of an alternation are solved.

    Attributes
    ----------
    rank : int
        Columns of each group.
    trace : Trace
        What the traces have to be.
    lifted : bool
        Whether covariances come from the membership matrices; else from the rounded labels.
    max_iter : int
        Most rounds.
    tol : float
        Relative tolerance of a solve.
    n_threads : None or int
        Of the kernel.
    """

    rank: int = 1
    trace: Trace = Trace.GROUP
    lifted: bool = True
    max_iter: int = 20
    tol: float = 1e-6
    n_threads: int | None = None


class ProgramSolution(NamedTuple):
    """A factor, the parameters that are best for it, and their lifted objective.

    Attributes
    ----------
    W : ndarray of shape (n_samples, n_columns), float64
        Rows in the simplex.
    columns : ndarray of shape (n_columns,), int32
        Group of each column.
    groups : GaussianGroups
        A stack of one: the parameters that maximise the objective for W.
    objective : float
        Half the value of the program plus the log density of the prior, at W and ``groups``.
    """

    W: np.ndarray
    columns: np.ndarray
    groups: GaussianGroups
    objective: float


def solve_program(X, labels, groups, model, program, rng, last=None):
    """Solve for memberships with given covariances.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows, in the frame of the model.
    labels : ndarray of shape (n_samples,), int32
        Partition that the start is built around.
    groups : GaussianGroups
        A stack of one: covariances and shares.
    model : GroupModel
        What is assumed of the groups.
    program : Program
        How to solve.
    rng : numpy.random.Generator
        For the start.
    last : None or ProgramSolution, default=None
        Of the round before, whose objective is to be raised.

    Returns
    -------
    solution : None or ProgramSolution
        None if neither a solve from noise nor one from ``last`` ends above ``last``.

    Notes
    -----
    Tied covariances and equal shares give all groups the same matrix A. Only the sum of the
    membership matrices is then in the program, which is k-means' own on whitened rows:
    :func:`low_rank_sdp` solves it, with the trace in total, and its columns are handed out to the
    groups afterwards.
    """
    solve = _relaxed_kmeans if model.is_exchangeable else _from_labels
    solution = solve(X, labels, groups, model, program, rng)
    if last is None or (solution is not None and not program.lifted):
        return solution
    if solution is not None and solution.objective > last.objective:
        return solution
    resume = _resumed_kmeans if model.is_exchangeable else _resumed
    solution = resume(X, last, groups, model, program, rng)
    # What is left of a trace's error could pass for progress.
    least = program.tol * max(1.0, abs(last.objective))
    better = solution is not None and solution.objective > last.objective + least
    return solution if better else None


def settle(X, labels, n_groups, model, program, rng):
    """Relax a partition with the covariances that are best for it.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows, in the frame of the model.
    labels : ndarray of shape (n_samples,), int32
        The partition.
    n_groups : int
        Number of groups.
    model : GroupModel
        What is assumed of them.
    program : Program
        How to solve.
    rng : numpy.random.Generator
        For a little noise.

    Returns
    -------
    solution : ProgramSolution
        With an objective not below that of the partition.
    """
    columns = np.repeat(np.arange(n_groups, dtype=np.int32), program.rank)
    start = _factor_around(labels, n_groups, program.rank, 0.0, rng)
    partition = _with_groups(X, start, columns, n_groups, model)
    start = _factor_around(labels, n_groups, program.rank, _LITTLE_NOISE, rng)
    solution = _solved(X, start, partition.groups, model, program, rng)
    if solution is None or solution.objective < partition.objective:
        return partition
    return solution


def _from_labels(X, labels, groups, model, program, rng):
    n_groups = groups.means.shape[1]
    for noise in _NOISES:
        start = _factor_around(labels, n_groups, program.rank, noise, rng)
        solution = _solved(X, start, groups, model, program, rng)
        if solution is not None:
            return solution
    # The labels themselves are feasible, unless they leave a group empty.
    start = _factor_around(labels, n_groups, program.rank, 0.0, rng)
    columns = np.repeat(np.arange(n_groups, dtype=np.int32), program.rank)
    return _with_groups(X, start, columns, n_groups, model)


def _resumed(X, last, groups, model, program, rng):
    """Solve again from a factor, some columns of which may have been dropped."""
    n_groups = groups.means.shape[1]
    start = np.zeros((len(X), n_groups * program.rank))
    taken = [np.count_nonzero(last.columns[:index] == k) for index, k in enumerate(last.columns)]
    start[:, last.columns * program.rank + np.array(taken)] = last.W
    return _solved(X, start, groups, model, program, rng)


def _solved(X, start, groups, model, program, rng):
    """Solve once; None if a group lost all its rows, which no partition asked for does."""
    n_groups = groups.means.shape[1]
    result = low_rank_likelihood(
        X,
        model.matrices(groups)[0],
        rng=rng,
        log_weights=groups.log_weights[0],
        rank=program.rank,
        trace=program.trace,
        W=start,
        tol=program.tol,
        callback=_stands_on_failure,
        n_threads=program.n_threads,
    )
    if result.trace_error > _FAILED_TRACE:
        return None
    return _with_groups(X, result.W, result.group, n_groups, model)


def _stands_on_failure(n_iter, objective, trace_error, residual):
    """Whether a solve has come to rest where its traces are wrong: it would stay there."""
    return trace_error > _FAILED_TRACE and residual == 0


def _relaxed_kmeans(X, labels, groups, model, program, rng, start=None):
    """The program of groups that are all alike."""
    n_groups = groups.means.shape[1]
    factor = np.linalg.cholesky(groups.covariances[0])
    whitened = solve_triangular(factor, X.T, lower=True).T
    rank = 2 * n_groups if start is None else start.shape[1]
    W = low_rank_sdp(
        whitened,
        n_groups,
        rng=rng,
        rank=rank,
        W=start,
        tol=program.tol,
        n_threads=program.n_threads,
    ).W
    shared = W.T @ (labels[:, None] == np.arange(n_groups))
    columns = shared.argmax(axis=1).astype(np.int32)
    return _with_groups(X, W, columns, n_groups, model)


def _resumed_kmeans(X, last, groups, model, program, rng):
    labels = last.columns[last.W.argmax(axis=1)]
    return _relaxed_kmeans(X, labels, groups, model, program, rng, last.W)


def _with_groups(X, W, columns, n_groups, model):
    """A factor with the parameters that are best for it."""
    moments = lifted_moments(X, W, columns, n_groups, model.covariance_type)
    best = model.groups(moments)
    objective = model.profile_likelihood(best, moments) + model.log_prior(best)
    return ProgramSolution(W, columns, best, float(objective[0]))


def _factor_around(labels, n_groups, rank, noise, rng):
    """Noise, and the rest of each row in a column of its group."""
    n = len(labels)
    W = rng.standard_gamma(5.0, (n, n_groups * rank))
    W *= noise / W.sum(axis=1, keepdims=True)
    column = rng.integers(rank, size=n) if noise else 0
    W[np.arange(n), labels * rank + column] += 1 - noise
    return W
