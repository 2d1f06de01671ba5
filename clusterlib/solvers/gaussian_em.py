"""EM and classification EM for Gaussian groups with a prior, many starts at a time."""

from typing import NamedTuple

import numpy as np

from clusterlib.solvers.gaussian import GaussianGroups
from clusterlib.solvers.gaussian_moments import group_moments, indicators

__all__ = ["EMResult", "classification_em", "expectation_maximisation"]


class EMResult(NamedTuple):
    """Where EM or classification EM ended, for each of several starts.

    Attributes
    ----------
    labels : ndarray of shape (n_starts, n_samples), int32
        Most likely group of each row under ``groups``, the lowest index on ties.
    groups : GaussianGroups
        Parameters.
    log_likelihood : ndarray of shape (n_starts,)
        Of the mixture for EM, of the classification for classification EM.
    objective : ndarray of shape (n_starts,)
        The same with the log density of the prior added.
    n_iter : int
        Iterations of the longest start.
    converged : bool
        Whether all starts stood still.
    """

    labels: np.ndarray
    groups: GaussianGroups
    log_likelihood: np.ndarray
    objective: np.ndarray
    n_iter: int
    converged: bool


def expectation_maximisation(X, memberships, model, *, max_iter=100, tol=1e-6):
    """Maximise the likelihood of a mixture times the prior of its covariances.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Centred rows.
    memberships : ndarray of shape (n_starts, n_groups, n_samples)
        Where to start.
    model : GroupModel
        Type of covariances, weights, prior; what it knows stays.
    max_iter : int, default=100
        Most iterations.
    tol : float, default=1e-6
        Stop when the objective of no start gains more than this for each row.

    Returns
    -------
    result : EMResult

    Notes
    -----
    The objective of a start never falls, but for shares that are kept above 0.001. O(n p^2) time
    for each group of each start and iteration. Starts run side by side in products of matrices.

    References
    ----------
    .. [1] A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum likelihood from incomplete data via
       the EM algorithm", J. R. Stat. Soc. B 39(1), 1977.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.gaussian import CovariancePrior, CovarianceType, GroupModel
    >>> from clusterlib.solvers.gaussian_em import expectation_maximisation
    >>> from clusterlib.solvers.gaussian_moments import indicators
    >>> X = np.array([[-5.0], [-4.0], [4.0], [5.0]])
    >>> model = GroupModel(CovarianceType.FULL, True, CovariancePrior(0.25, 1.0))
    >>> start = indicators(np.array([[0, 0, 0, 1]]), 2)
    >>> expectation_maximisation(X, start, model).labels
    array([[0, 0, 1, 1]], dtype=int32)
    """
    before = np.full(len(memberships), -np.inf)
    converged, n_iter = False, 0
    while n_iter < max_iter and not converged:
        n_iter += 1
        groups = model.groups(group_moments(X, memberships, model.needed_moments))
        joint = model.log_joint(X, groups)
        likelihood = _to_posteriors(joint).sum(axis=1)
        objective = likelihood + model.log_prior(groups)
        memberships = joint
        converged = bool((objective - before <= tol * len(X)).all())
        before = objective
    labels = memberships.argmax(axis=1).astype(np.int32)
    return EMResult(labels, groups, likelihood, objective, n_iter, converged)


def classification_em(X, labels, n_groups, model, *, max_iter=100):
    """Maximise the likelihood of a classification times the prior of its covariances.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Centred rows.
    labels : ndarray of int of shape (n_starts, n_samples)
        Where to start.
    n_groups : int
        Number of groups.
    model : GroupModel
        Type of covariances, weights, prior; what it knows stays.
    max_iter : int, default=100
        Most iterations.

    Returns
    -------
    result : EMResult
        ``converged`` if all labels are those that their own parameters give.

    Notes
    -----
    For given labels the parameters are at their best, for given parameters the labels are: the
    objective never falls, but for shares that are kept above 0.001. A group that loses all its
    rows keeps mean 0 and the covariance of the prior. O(n p^2) time for each group of each start
    and iteration.

    References
    ----------
    .. [1] G. Celeux, G. Govaert, "A classification EM algorithm for clustering and two stochastic
       versions", Comput. Stat. Data Anal. 14(3), 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.gaussian import CovariancePrior, CovarianceType, GroupModel
    >>> from clusterlib.solvers.gaussian_em import classification_em
    >>> X = np.array([[-6.0], [-5.0], [-4.0], [4.0], [5.0]])
    >>> model = GroupModel(CovarianceType.TIED, False, CovariancePrior(0.25, 1.0))
    >>> result = classification_em(X, np.array([[0, 0, 1, 1, 1]]), 2, model)
    >>> result.labels, result.converged
    (array([[0, 0, 0, 1, 1]], dtype=int32), True)
    """
    converged, n_iter = False, 0
    while n_iter < max_iter and not converged:
        n_iter += 1
        moments = group_moments(X, indicators(labels, n_groups), model.needed_moments)
        groups = model.groups(moments)
        joint = model.log_joint(X, groups)
        moved = joint.argmax(axis=1).astype(np.int32)
        converged = np.array_equal(moved, labels)
        labels = moved
    likelihood = np.take_along_axis(joint, labels[:, None, :], axis=1).sum(axis=(1, 2))
    objective = likelihood + model.log_prior(groups)
    return EMResult(labels, groups, likelihood, objective, n_iter, converged)


def _to_posteriors(joint):
    """Overwrite log joint densities by posteriors; returns log densities, (n_starts, n)."""
    largest = joint.max(axis=1)
    joint -= largest[:, None, :]
    np.exp(joint, out=joint)
    total = joint.sum(axis=1)
    joint /= total[:, None, :]
    return largest + np.log(total)
