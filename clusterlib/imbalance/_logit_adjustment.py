"""Any classifier's scores, as if its classes had been equally frequent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterlib.solvers import logit_adjustment as adjusted
from clusterlib.validation import checked_class_prior, checked_class_scores, checked_real

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, FloatArray

__all__ = ["logit_adjustment"]


def logit_adjustment(scores: ArrayLike, class_prior: ArrayLike, *, tau: float = 1.0) -> FloatArray:
    """Take the frequency of the classes out of a classifier's scores: ``s_iy - tau log pi_y``.

    A classifier that is trained on a long tail prefers the head, and rightly so as long as new
    rows come with the same shares. Where the classes count alike, as in balanced accuracy, the
    class with the largest adjusted score is the better answer [1]_: if the scores are logarithms
    of true probabilities, with ``tau=1`` it is the best of all answers. No training is needed.

    Parameters
    ----------
    scores : array-like of shape (n_samples, n_classes), float32 or float64
        Logarithms of probabilities, each row up to a constant: ``predict_log_proba``, or
        ``decision_function`` of a logistic regression with three or more classes; margins of a
        support vector machine are none. Minus infinity stands for the probability 0.
    class_prior : array-like of shape (n_classes,)
        Shares of the classes in training, or their sizes: above 0, divided by their sum.
    tau : float, default=1.0
        At least 0: how much of the prior is taken out. 0 changes nothing, more than 1 favours the
        tail, which helps where scores of the head are too sure of themselves.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes), float32 or float64
        ``argmax(axis=1)`` is the class, a softmax of each row the probabilities with equal shares.
        The dtype is that of the scores; other numbers than floats become float64.

    Raises
    ------
    ValueError
        If scores hold NaN or infinity, have not two dimensions, the prior has another length or is
        not finite and above 0, or tau is negative.
    TypeError
        If an argument does not hold real numbers.

    See Also
    --------
    clusterlib.label_shift.EMShiftEstimator : Shares of the new rows where they are not equal.
    clusterlib.metrics.shot_accuracy : What it does for the head and for the tail.

    Notes
    -----
    O(n k) time and memory, for k classes.

    References
    ----------
    .. [1] A. K. Menon, S. Jayasumana, A. S. Rawat, H. Jain, A. Veit, S. Kumar, "Long-tail learning
       via logit adjustment", ICLR 2021, section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.imbalance import logit_adjustment
    >>> scores = np.log([[0.6, 0.4], [0.9, 0.1]])
    >>> logit_adjustment(scores, [300, 100]).argmax(axis=1)
    array([1, 0])
    """
    scores = checked_class_scores(scores)
    class_prior = checked_class_prior(class_prior, scores.shape[1])
    tau = checked_real("tau", tau, 0)
    return adjusted(scores, class_prior, tau=tau)
