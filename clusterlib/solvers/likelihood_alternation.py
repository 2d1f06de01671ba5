"""The alternation between a likelihood-adjusted program and the covariances of its groups."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from clusterlib.solvers.gaussian import CovarianceType, GaussianGroups
from clusterlib.solvers.gaussian_em import classification_em
from clusterlib.solvers.gaussian_moments import group_moments, indicators, lifted_moments
from clusterlib.solvers.low_rank_likelihood import (
    Trace,
    group_memberships,
    low_rank_likelihood,
)
from clusterlib.solvers.sdp_rounding import candidate_labels

__all__ = ["Alternation", "Program", "alternate", "matched_labels"]

# Shares of noise in a factor that is built from labels: without any, nothing would move; with
# much of it, now and then a group loses all rows.
_NOISES = (0.7, 0.3)
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


class Alternation(NamedTuple):
    """Where an alternation ended.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        The best partition that was met, after classification EM.
    memberships : ndarray of shape (n_samples, n_groups), float64
        Soft labels of the last program.
    objective : float
        Log-likelihood of the classification and log density of the prior at ``labels``.
    history : ndarray of shape (n_iter,), float64
        The same of the lifted program after each round; never falls.
    n_iter : int
        Rounds.
    converged : bool
        Whether labels were met again, or no program got any better.
    """

    labels: np.ndarray
    memberships: np.ndarray
    objective: float
    history: np.ndarray
    n_iter: int
    converged: bool


class _Solution(NamedTuple):
    """A factor, the parameters that are best for it, and their lifted objective."""

    W: np.ndarray
    columns: np.ndarray
    groups: GaussianGroups
    objective: float


def alternate(X, labels, n_groups, model, program, rng, callback=None):
    """Solve for memberships and for covariances in turn.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows, in the frame of the model.
    labels : ndarray of shape (n_samples,), int32
        Where the first covariances come from.
    n_groups : int
        Number of groups.
    model : GroupModel
        What is assumed of them. Known covariances leave one round.
    program : Program
        How each program is solved.
    rng : numpy.random.Generator
        For the starts of the solves.
    callback : None or callable, default=None
        ``callback(n_iter, objective)`` after each round; True stops.

    Returns
    -------
    alternation : Alternation

    Notes
    -----
    Each program is solved from noise around the last labels. Where that ends below the factor
    of the round before, which is feasible still, it is solved again from there; where that is
    no better either, the alternation has converged. So the lifted objective never falls, global
    solve or not (with ``lifted=False`` it may). Labels of a factor are matched to the groups
    before they are used.
    """
    best = classification_em(X, labels[None], n_groups, model)
    groups = _groups_of_labels(X, labels, n_groups, model)
    seen, history, last = {labels.tobytes()}, [], None
    converged = False
    while len(history) < program.max_iter and not converged:
        solution = _solve(X, labels, groups, model, program, last, rng)
        if solution is None:
            converged = True
            break
        last = solution
        step = _rounded(X, last, model, program.rank, rng)
        labels = step.labels[0]
        if step.objective[0] > best.objective[0]:
            best = step
        groups = last.groups if program.lifted else _groups_of_labels(X, labels, n_groups, model)
        history.append(last.objective)
        converged = labels.tobytes() in seen or model.covariances is not None
        seen.add(labels.tobytes())
        if callback is not None and callback(len(history), last.objective):
            break
    best = classification_em(X, best.labels, n_groups, model)
    return Alternation(
        best.labels[0],
        group_memberships(last.W, last.columns, n_groups),
        float(best.objective[0]),
        np.array(history),
        len(history),
        converged,
    )


def matched_labels(X, labels, groups, model):
    """Give every cluster the covariance, and the share, that suits it best.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows.
    labels : ndarray of shape (n_samples,), int32
        Clusters with arbitrary numbers.
    groups : GaussianGroups
        A stack of one, whose covariances and shares are to be handed out.
    model : GroupModel
        Type of the covariances.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        Numbers of the groups: the matching with the largest profiled log-likelihood.

    Notes
    -----
    The Hungarian method on ``n_k (log w_j - log|S_j| / 2) - tr(S_j^-1 C_k) / 2`` with C_k the
    scatter of cluster k: O(n p^2 K + K^2 p^2 + K^3) time.
    """
    n_groups = groups.means.shape[1]
    moments = group_moments(X, indicators(labels[None], n_groups), CovarianceType.FULL)
    matrices = model.matrices(groups)[0]
    constants = groups.log_weights[0] - 0.5 * np.linalg.slogdet(matrices)[1]
    distances = np.einsum("kab,jab->kj", moments.scatters[0], np.linalg.inv(matrices))
    clusters, numbers = linear_sum_assignment(
        moments.sizes[0][:, None] * constants - 0.5 * distances, maximize=True
    )
    order = np.empty(n_groups, dtype=np.int32)
    order[clusters] = numbers
    return order[labels]


def _groups_of_labels(X, labels, n_groups, model):
    moments = group_moments(X, indicators(labels[None], n_groups), model.covariance_type)
    return model.groups(moments)


def _solve(X, labels, groups, model, program, last, rng):
    """Solve the program for given groups; None if the last factor cannot be improved on."""
    n_groups = groups.means.shape[1]
    solution = None
    for noise in _NOISES:
        start = _factor_around(labels, n_groups, program.rank, noise, rng)
        solution = _solution(X, start, groups, model, program, rng)
        if solution is not None:
            break
    if last is None:
        # The labels themselves are feasible, if they leave no group empty.
        start = _factor_around(labels, n_groups, program.rank, 0.0, rng)
        columns = np.repeat(np.arange(n_groups, dtype=np.int32), program.rank)
        return solution or _with_groups(X, start, columns, n_groups, model)
    if solution is not None and (solution.objective > last.objective or not program.lifted):
        return solution
    start = np.zeros((len(X), n_groups * program.rank))
    start[:, _places(last.columns, program.rank)] = last.W
    solution = _solution(X, start, groups, model, program, rng)
    # What is left of a trace's error could pass for progress.
    least = program.tol * max(1.0, abs(last.objective))
    better = solution is not None and solution.objective > last.objective + least
    return solution if better else None


def _places(columns, rank):
    """Where columns stand among ``rank`` for each group, of which some may be missing."""
    ranks = [np.count_nonzero(columns[:index] == k) for index, k in enumerate(columns)]
    return columns * rank + np.array(ranks)


def _solution(X, start, groups, model, program, rng):
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


def _with_groups(X, W, columns, n_groups, model):
    """A factor with the parameters that are best for it."""
    moments = lifted_moments(X, W, columns, n_groups, model.covariance_type)
    best = model.groups(moments)
    objective = model.profile_likelihood(best, moments) + model.log_prior(best)
    return _Solution(W, columns, best, float(objective[0]))


def _factor_around(labels, n_groups, rank, noise, rng):
    """Noise, and the rest of each row in a column of its group."""
    n = len(labels)
    W = rng.standard_gamma(5.0, (n, n_groups * rank))
    W *= noise / W.sum(axis=1, keepdims=True)
    column = rng.integers(rank, size=n) if noise else 0
    W[np.arange(n), labels * rank + column] += 1 - noise
    return W


def _rounded(X, solution, model, rank, rng):
    """The best partition that a factor can be rounded to, after a step of classification EM.

    With one column for each group the factor is a partition but for the tolerance.
    """
    n_groups = solution.groups.means.shape[1]
    if rank == 1:
        found = [solution.columns[solution.W.argmax(axis=1)]]
    else:
        rounded = candidate_labels(X, solution.W, n_groups, rng, group=solution.columns)
        found = list(rounded.values())
    matched = [matched_labels(X, labels, solution.groups, model) for labels in found]
    steps = classification_em(X, np.stack(matched), n_groups, model, max_iter=1)
    best = int(np.argmax(steps.objective))
    return steps._replace(
        labels=steps.labels[best : best + 1], objective=steps.objective[best : best + 1]
    )
