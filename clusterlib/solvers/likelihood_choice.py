"""Which model of Gaussian groups the data ask for: covariances, weights, dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.solvers.gaussian import CovarianceType

if TYPE_CHECKING:
    from clusterlib.typing import Array

__all__ = ["aic_of_rest", "candidate_dimensions", "corrected_aic"]

_LOG_2_PI = float(np.log(2 * np.pi))
# All features compete with the principal components only if they are no more than this, and if
# every group has so many rows for each feature; else their covariances are noise.
_MOST_FEATURES = 64
_ROWS_PER_FEATURE = 4


def corrected_aic(model, log_likelihood, sizes, n_features):
    """Twice what a new sample would lose: Akaike's criterion for samples that are small.

    Parameters
    ----------
    model : GroupModel
        Type of covariances, weights, prior.
    log_likelihood : float
        Of the classification.
    sizes : ndarray of shape (n_groups,)
        Numbers of rows of the groups.
    n_features : int
        Dimension p.

    Returns
    -------
    criterion : float
        ``-2 log_likelihood + 2 sum_k q m_k / (m_k - lost)``, small is good: q parameters are
        estimated from m_k rows, the prior's included. Infinite where a group has too few rows.

    Notes
    -----
    A Gaussian fitted to m rows in p dimensions, its ``q = p + p (p + 1) / 2`` parameters at their
    best, overstates the likelihood of m new rows by ``q m / (m - p - 2)`` in the mean [1]_. For
    tied covariances m is n and ``lost = K + p + 1``; for diagonal ones each feature counts alone,
    ``lost = 3``; for spherical ones there are p m numbers for p + 1 parameters. Shares count
    K - 1 where they are estimated. The penalty of BIC, log n for each parameter, prefers too few
    of them in small samples.

    References
    ----------
    .. [1] E. J. Bedrick, C.-L. Tsai, "Model selection for multivariate regression in small
       samples", Biometrics 50(1), 1994.
    """
    p, rows = n_features, np.asarray(sizes, dtype=np.float64) + model.prior.rows
    if model.covariance_type is CovarianceType.FULL:
        penalty = _overstated(p * (p + 3) / 2, rows, p + 2)
    elif model.covariance_type is CovarianceType.TIED:
        total = np.array([np.sum(sizes) + model.prior.rows])
        n_groups = len(rows)
        penalty = _overstated(n_groups * p + p * (p + 1) / 2, total, n_groups + p + 1)
    elif model.covariance_type is CovarianceType.DIAG:
        penalty = _overstated(2 * p, rows, 3)
    else:
        penalty = _overstated(p + 1, p * rows, p + 2)
    if model.estimated_weights:
        penalty += len(rows) - 1
    return float(-2 * log_likelihood + 2 * penalty)


def candidate_dimensions(n_samples: int, n_features: int, n_clusters: int) -> tuple[int, ...]:
    """Numbers of principal components that groups may be looked for in.

    Parameters
    ----------
    n_samples, n_features, n_clusters : int
        Size of the problem.

    Returns
    -------
    dimensions : tuple of int
        ``(n_features,)`` up to 2 K + 2 features; ``(2 K,)`` beyond 64 features, or with less than
        4 rows for each feature and group; both in between, for :func:`aic_of_rest` to judge.

    Notes
    -----
    The means of K groups span K - 1 dimensions; as many again leave room for the directions in
    which the groups have different shapes.

    Examples
    --------
    >>> from clusterlib.solvers import candidate_dimensions
    >>> [candidate_dimensions(150, p, 3) for p in (4, 10, 50)]
    [(4,), (6, 10), (6,)]
    """
    reduced = 2 * n_clusters
    if n_features <= reduced + 2:
        return (n_features,)
    if n_features > _MOST_FEATURES or n_samples < _ROWS_PER_FEATURE * n_features * n_clusters:
        return (reduced,)
    return (reduced, n_features)


def aic_of_rest(variances: Array, n_components: int, n_samples: int) -> float:
    """What the directions that a reduction left out add to the criterion of the others.

    Parameters
    ----------
    variances : ndarray of shape (n_rest,)
        Of the rows along the principal directions that were left out; positive.
    n_components : int
        How many were kept.
    n_samples : int
        Number of rows.

    Returns
    -------
    criterion : float
        To be added to :func:`corrected_aic` on the components: the sum compares with the
        criterion of groups in all features.

    Notes
    -----
    That rows know nothing of their group in the directions left out means that these are a
    regression on the components, with one covariance for all rows. Principal components are not
    correlated, so its coefficients are 0 and its covariance diagonal at the best likelihood;
    parameters they are nonetheless.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import aic_of_rest
    >>> round(aic_of_rest(np.array([1.0, 1.0]), 1, 100), 2)
    582.31
    """
    n_rest = len(variances)
    log_likelihood = -0.5 * n_samples * (np.log(variances).sum() + n_rest * (_LOG_2_PI + 1))
    n_parameters = n_rest * (n_components + 1) + n_rest * (n_rest + 1) / 2
    lost = n_rest + n_components + 2
    penalty = _overstated(n_parameters, np.array([float(n_samples)]), lost)
    return float(-2 * log_likelihood + 2 * penalty)


def _overstated(n_parameters, rows, lost):
    """Sum of ``q m / (m - lost)``, infinite if any m is too small."""
    if (rows <= lost).any():
        return np.inf
    return float((n_parameters * rows / (rows - lost)).sum())
