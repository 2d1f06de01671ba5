"""The alternation between a likelihood-adjusted program and the covariances of its groups."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from clusterlib.solvers.gaussian import CovarianceType
from clusterlib.solvers.gaussian_em import classification_em
from clusterlib.solvers.gaussian_moments import group_moments, indicators
from clusterlib.solvers.likelihood_program import settle, solve_program
from clusterlib.solvers.low_rank_likelihood import group_memberships
from clusterlib.solvers.sdp_rounding import candidate_labels

__all__ = ["Alternation", "alternate", "groups_for_clusters", "rounded_partition"]


class Alternation(NamedTuple):
    """Where an alternation ended.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        The best partition that was met, after classification EM.
    memberships : ndarray of shape (n_samples, n_groups), float64
        Soft labels of the last program, numbered like ``labels``.
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
    before they are used. The last round starts from the best partition that was met, unless the
    program has found better already.
    """
    first, best = labels, classification_em(X, labels[None], n_groups, model)
    groups = _groups_of_labels(X, labels, n_groups, model)
    seen, history, last = {labels.tobytes()}, [], None
    converged = False
    while len(history) < program.max_iter and not converged:
        solution = solve_program(X, labels, groups, model, program, rng, last)
        if solution is None:
            converged = True
            break
        last = solution
        step = rounded_partition(X, last, model, rng)
        labels = step.labels[0]
        if step.objective[0] > best.objective[0]:
            best = step
        groups = last.groups if program.lifted else _groups_of_labels(X, labels, n_groups, model)
        history.append(last.objective)
        converged = labels.tobytes() in seen or model.covariances is not None
        seen.add(labels.tobytes())
        if callback is not None and callback(len(history), last.objective):
            break
    ended = best.labels[0]
    if model.covariances is None:
        ended = _renumbered(ended, first, n_groups)
    best = classification_em(X, ended[None], n_groups, model)
    # What a partition is above its relaxation within the tolerance is no reason for a round.
    if best.objective[0] > last.objective + program.tol * max(1.0, abs(last.objective)):
        last = settle(X, best.labels[0], n_groups, model, program, rng)
        # Known covariances make one program, solved from elsewhere, and no second round.
        history = history if model.covariances is None else []
        history.append(last.objective)
    return Alternation(
        best.labels[0],
        _aligned(group_memberships(last.W, last.columns, n_groups), best.labels[0]),
        float(best.objective[0]),
        np.array(history),
        len(history),
        converged,
    )


def groups_for_clusters(X, labels, groups, model):
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


def rounded_partition(X, solution, model, rng):
    """Round a factor, and take a step of classification EM.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows.
    solution : ProgramSolution
        With one column for each group, its factor is a partition but for the tolerance; of more
        columns all of :func:`candidate_labels` are tried, as memberships tell clusters but not
        groups where covariances are much the same.
    model : GroupModel
        What is assumed of the groups.
    rng : numpy.random.Generator
        For k-means on embedded rows.

    Returns
    -------
    step : EMResult
        Of the best candidate: labels and objective are stacks of one.
    """
    n_groups = solution.groups.means.shape[1]
    if len(solution.columns) == n_groups:
        found = [solution.columns[solution.W.argmax(axis=1)]]
    else:
        rounded = candidate_labels(X, solution.W, n_groups, rng, group=solution.columns)
        found = list(rounded.values())
    matched = [groups_for_clusters(X, labels, solution.groups, model) for labels in found]
    steps = classification_em(X, np.stack(matched), n_groups, model, max_iter=1)
    best = int(np.argmax(steps.objective))
    return steps._replace(
        labels=steps.labels[best : best + 1], objective=steps.objective[best : best + 1]
    )


def _renumbered(labels, first, n_groups):
    """Number the clusters so that they agree with the first labels on the most rows."""
    shared = indicators(labels[None], n_groups)[0] @ indicators(first[None], n_groups)[0].T
    return linear_sum_assignment(shared, maximize=True)[1].astype(np.int32)[labels]


def _aligned(memberships, labels):
    """Put the columns in the order that agrees with the labels on the most rows."""
    shared = indicators(labels[None], memberships.shape[1])[0] @ memberships
    return memberships[:, linear_sum_assignment(shared, maximize=True)[1]]


def _groups_of_labels(X, labels, n_groups, model):
    moments = group_moments(X, indicators(labels[None], n_groups), model.needed_moments)
    return model.groups(moments)
