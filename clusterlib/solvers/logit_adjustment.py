"""Scores as if all classes had been equally frequent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array, FloatArray

__all__ = ["logit_adjustment"]


def logit_adjustment(
    scores: FloatArray, class_prior: Float64Array, *, tau: float = 1.0
) -> FloatArray:
    """Take the frequency of the classes out of scores: ``s_iy - tau log pi_y``.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes), float32 or float64
        Logarithms of probabilities, each row up to a constant.
    class_prior : ndarray of shape (n_classes,), float64
        Shares of the classes among the rows that the scores were learned from.
    tau : float, default=1.0
        How much of the prior is taken out; 0 changes nothing.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float32 or float64
        In the dtype of the given ones. A class of prior 0 gets minus infinity, unless tau is 0:
        nothing is known of it.

    See Also
    --------
    clusterlib.imbalance.logit_adjustment : The same with checks.
    reweighted_posteriors : Another prior for probabilities instead of their logarithms.

    Notes
    -----
    O(n k) time and memory.

    References
    ----------
    .. [1] A. K. Menon, S. Jayasumana, A. S. Rawat, H. Jain, A. Veit, S. Kumar, "Long-tail learning
       via logit adjustment", ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import logit_adjustment
    >>> probabilities = np.array([[0.6, 0.4]])
    >>> adjusted = logit_adjustment(np.log(probabilities), np.array([0.75, 0.25]))
    >>> np.exp(adjusted).round(3)
    array([[0.8, 1.6]])
    """
    if tau == 0:
        return scores.copy()
    shift = np.full(len(class_prior), np.inf)
    known = class_prior > 0
    shift[known] = tau * np.log(class_prior[known])
    return scores - shift.astype(scores.dtype)
