"""Partitions of many starts under many models, by EM and classification EM: warm starts."""

from itertools import islice, permutations
from typing import NamedTuple

import numpy as np

from clusterlib.solvers.gaussian import GroupModel
from clusterlib.solvers.gaussian_em import classification_em, expectation_maximisation
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.gaussian_moments import indicators
from clusterlib.solvers.likelihood_choice import corrected_aic

__all__ = ["Screened", "permuted_labels", "screen"]

# Short EM from all starts, longer EM from those that have come farthest.
_SHORT_ITER = 15
_LONG_ITER = 100
_KEPT = 10
# Operations of an iteration, over which fewer starts are taken.
_WORK = 2e7
_FEWEST_STARTS = 6
# Orders of the known covariances that are offered with each start: all of them up to K = 4.
_ORDERS = 24


class Screened(NamedTuple):
    """The partitions that were found under one model, the best one first.

    Attributes
    ----------
    model : GroupModel
        Type of covariances, weights, prior.
    frame : GaussianFrame
        Coordinates the model works in.
    labels : ndarray of shape (n_partitions, n_samples), int32
        Different partitions; those that leave a group empty are last.
    objective : ndarray of shape (n_partitions,)
        Log-likelihood of the classification and log density of the prior, in the frame.
    criterion : float
        :func:`corrected_aic` of the first, in the units of the data.
    """

    model: GroupModel
    frame: GaussianFrame
    labels: np.ndarray
    objective: np.ndarray
    criterion: float


def screen(frame, labels, n_clusters, model):
    """Improve starts by EM and classification EM, and rank what they end at.

    Parameters
    ----------
    frame : GaussianFrame
        Rows, in the coordinates of the model.
    labels : ndarray of shape (n_starts, n_samples), int32
        First labels; where rows, features or groups are very many only the first are used.
    n_clusters : int
        Number of groups.
    model : GroupModel
        What is assumed of the groups.

    Returns
    -------
    screened : Screened

    Notes
    -----
    15 iterations of EM from each start, 100 more from the ten that are best then, classification
    EM from all starts and all ends of EM. EM is trapped less often than classification EM, whose
    end is what counts. O(n p^2 K) time for each start and iteration.
    """
    X = frame.coordinates
    work = n_clusters * X.shape[0] * X.shape[1] ** 2
    labels = labels[: max(_FEWEST_STARTS, int(_WORK / work))]
    memberships = indicators(labels, n_clusters)
    short = expectation_maximisation(X, memberships, model, max_iter=_SHORT_ITER)
    best = np.argsort(-short.objective, kind="stable")[:_KEPT]
    posteriors = indicators(short.labels[best], n_clusters)
    long = expectation_maximisation(X, posteriors, model, max_iter=_LONG_ITER)
    starts = np.concatenate([long.labels, labels])
    return ranked(frame, classification_em(X, starts, n_clusters, model), n_clusters, model)


def ranked(frame, ends, n_clusters, model):
    """Different ends of classification EM in order of their objectives."""
    sizes = indicators(ends.labels, n_clusters).sum(axis=2)
    has_empty = (sizes == 0).any(axis=1)
    order, seen = [], set()
    for index in np.lexsort((-ends.objective, has_empty)):
        signature = ends.labels[index].tobytes()
        if signature not in seen:
            seen.add(signature)
            order.append(index)
    first, n, p = order[0], *frame.coordinates.shape
    likelihood = ends.log_likelihood[first] - n * frame.log_determinant
    criterion = corrected_aic(model, likelihood, sizes[first], p)
    return Screened(model, frame, ends.labels[order], ends.objective[order], criterion)


def permuted_labels(labels, n_clusters, rng):
    """Give the groups of every start other numbers, as known covariances are not exchangeable.

    Parameters
    ----------
    labels : ndarray of shape (n_starts, n_samples), int32
        Partitions.
    n_clusters : int
        Number of groups.
    rng : numpy.random.Generator
        Draws orders beyond 4 groups.

    Returns
    -------
    labels : ndarray of shape (n_orders * n_starts, n_samples), int32
        All orders of up to 4 groups, the given one first; 24 random ones of more.
    """
    orders = list(islice(permutations(range(n_clusters)), _ORDERS))
    if n_clusters > 4:
        orders[1:] = [rng.permutation(n_clusters) for _ in orders[1:]]
    return np.concatenate([np.asarray(order, dtype=np.int32)[labels] for order in orders])
