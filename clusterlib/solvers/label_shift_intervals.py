"""Intervals of the shares of classes in domains: what sampling and what the fit leave open."""

import numpy as np
from scipy import special

__all__ = ["corrected_marginals", "marginal_intervals"]

# Calibrated on simulated domains of images and digits; see the notes of marginal_intervals.
_INFLATION = 1.5
_BIAS_INFLATION = 1.0
# Rows that a share needs to be told from none.
_ROWS_OF_NONE = 2.0


def corrected_marginals(marginals, refits):
    """Take off the shares what refits to simulated data have too much.

    Parameters
    ----------
    marginals : ndarray of shape (r, k), float64
        Shares of the classes in each domain, as fitted; rows sum to 1.
    refits : SimulatedRefits
        Of the same fit.

    Returns
    -------
    corrected : ndarray of shape (r, k), float64
        Not negative; rows sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import SimulatedRefits, corrected_marginals
    >>> refits = SimulatedRefits(np.full((4, 1, 2), [0.1, -0.1]), np.ones(4))
    >>> corrected_marginals(np.array([[0.6, 0.4]]), refits)
    array([[0.5, 0.5]])
    """
    corrected = np.clip(marginals - refits.errors.mean(axis=0), 0.0, None)
    return corrected / corrected.sum(axis=1, keepdims=True)


def marginal_intervals(marginals, refits, rows_of_domains, *, level=0.95, sampled_fraction=0.0):
    """Intervals that hold the share of each class in each domain.

    Parameters
    ----------
    marginals : ndarray of shape (r, k), float64
        Shares as fitted; rows sum to 1.
    refits : SimulatedRefits
        Of the same fit; ten or more.
    rows_of_domains : ndarray of shape (r,)
        Number of rows of each domain.
    level : float, default=0.95
        Coverage wanted, above 0 and below 1; of each interval by itself.
    sampled_fraction : float, default=0.0
        Part of each domain that the rows are. 0 asks for the shares behind rows that were drawn
        independently; 1 for the shares of the classes among these very rows.

    Returns
    -------
    intervals : ndarray of shape (2, r, k), float64
        Lower and upper ends, from 0 to 1.
    """
    estimate = corrected_marginals(marginals, refits)
    rows = np.asarray(rows_of_domains, dtype=np.float64)[:, None]
    variance = _model_variance(marginals, refits)
    inside = np.clip(estimate, 0.5 / rows, 1 - 0.5 / rows)
    spread = inside * (1 - inside)
    variance = variance + (1 - sampled_fraction) * spread / rows
    effective = np.maximum(spread / variance - 1.0, 1.0)
    ones, others = estimate * effective, (1 - estimate) * effective
    tail = 0.5 * (1 - level)
    lower = special.betaincinv(ones + 0.5, others + 0.5, tail)
    upper = special.betaincinv(ones + 0.5, others + 0.5, 1 - tail)
    lower = np.where(ones < _ROWS_OF_NONE, 0.0, lower)
    upper = np.where(others < _ROWS_OF_NONE, 1.0, upper)
    return np.stack([lower, upper])


def _model_variance(marginals, refits):
    """Squared error of the fit in each cell: what refits vary by, and a part of their bias."""
    variances = refits.errors.var(axis=0, ddof=1) * (1 + 1 / len(refits.errors))
    spread = np.clip(marginals * (1 - marginals), 1e-3, None)
    # Variances of few refits are noisy: half of each is what its share would have at the mean.
    smooth = spread * (variances.mean() / spread.mean())
    bias = refits.errors.mean(axis=0)
    return _INFLATION * 0.5 * (variances + smooth) + _BIAS_INFLATION * bias**2
