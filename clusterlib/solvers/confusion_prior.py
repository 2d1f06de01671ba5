"""Class shares of unlabelled rows, from how a classifier confuses the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import optimize

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, FloatArray, IntArray

__all__ = ["ConfusionPrior", "class_confusion", "confusion_covariance", "confusion_prior"]

# Singular values below this part of the largest are taken for zero.
_SMALLEST = 1e-12


class ConfusionPrior(NamedTuple):
    """Class shares that explain the predictions, with the plain inverse beside them.

    Attributes
    ----------
    prior : ndarray of shape (n_classes,), float64
        Not negative, of sum 1: the nearest fit of the predictions.
    unconstrained : ndarray of shape (n_classes,), float64
        What inverting the confusion matrix gives; it may be negative. The same as ``prior`` where
        it is not.
    residual : float
        Euclidean distance between what the prior predicts and what was seen.
    condition : float
        Condition number of the confusion matrix; infinite if it has no inverse.
    """

    prior: Float64Array
    unconstrained: Float64Array
    residual: float
    condition: float


def class_confusion(
    predictions: FloatArray, codes: IntArray, n_classes: int, *, weight: Array | None = None
) -> Float64Array:
    """Mean prediction within each class.

    Parameters
    ----------
    predictions : ndarray of shape (n_samples, n_classes), float32 or float64
        Probabilities of rows that the classifier was not fitted to, or indicators of predicted
        classes.
    codes : ndarray of shape (n_samples,), int
        Their classes, from 0 to ``n_classes - 1``.
    n_classes : int
        Each has a row with weight.
    weight : ndarray of shape (n_samples,), default=None
        Weights of rows; None is 1 for each.

    Returns
    -------
    confusion : ndarray of shape (n_classes, n_classes), float64
        Column y holds the mean of the predictions of class y; it sums to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.confusion_prior import class_confusion
    >>> predictions = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> class_confusion(predictions, np.array([0, 0, 1]), 2)
    array([[0.5, 0. ],
           [0.5, 1. ]])
    """
    weight = np.ones(len(codes)) if weight is None else weight
    sums = [np.bincount(codes, weight * column, n_classes) for column in predictions.T]
    return np.array(sums) / np.bincount(codes, weight, n_classes)


def confusion_prior(confusion: Float64Array, predicted: Float64Array) -> ConfusionPrior:
    """Shares of the classes under which the predictions come out as they did.

    Under label shift the mean prediction is ``confusion @ prior`` [1]_. The prior minimises the
    distance between the two over the simplex; inverting the matrix instead gives negative shares
    whenever noise takes the predictions out of the hull of its columns.

    Parameters
    ----------
    confusion : ndarray of shape (n_classes, n_classes), float64
        As from :func:`class_confusion`; columns sum to 1.
    predicted : ndarray of shape (n_classes,), float64
        Mean of the predictions of the unlabelled rows; of sum 1.

    Returns
    -------
    result : ConfusionPrior
        Named tuple of ``prior``, ``unconstrained``, ``residual`` and ``condition``.

    Notes
    -----
    Exact, by non-negative least squares. With ``A = confusion - predicted 1'`` the misfit of a
    prior is ``A prior``; minimising ``|A q|^2 + (1'q - 1)^2`` over ``q >= 0`` gives a multiple of
    the prior that minimises ``|A prior|``, as the best multiple of a prior costs
    ``r / (1 + r)`` for ``r = |A prior|^2``, which rises with r. O(n_classes^3) time.

    References
    ----------
    .. [1] Z. Lipton, Y.-X. Wang and A. Smola, "Detecting and correcting for label shift with
       black box predictors", ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.confusion_prior import confusion_prior
    >>> confusion = np.array([[0.8, 0.3], [0.2, 0.7]])
    >>> result = confusion_prior(confusion, np.array([0.7, 0.3]))
    >>> result.prior.round(3), round(result.condition, 2)
    (array([0.8, 0.2]), 2.03)
    >>> confusion_prior(confusion, np.array([0.9, 0.1])).prior
    array([1., 0.])
    """
    n_classes = confusion.shape[1]
    misfit = np.vstack([confusion - predicted[:, None], np.ones(n_classes)])
    aim = np.zeros(len(misfit))
    aim[-1] = 1.0
    prior = optimize.nnls(misfit, aim)[0]
    prior /= prior.sum()
    singular = np.linalg.svd(confusion, compute_uv=False)
    invertible = singular[-1] > _SMALLEST * singular[0]
    return ConfusionPrior(
        prior=prior,
        unconstrained=np.linalg.lstsq(confusion, predicted, rcond=_SMALLEST)[0],
        residual=float(np.linalg.norm(confusion @ prior - predicted)),
        condition=float(singular[0] / singular[-1]) if invertible else np.inf,
    )


def confusion_covariance(
    confusion, prior, predictions, codes, target_predictions, *, weight=None, target_weight=None
):
    """Sampling covariance of a prior that was estimated from a confusion matrix.

    Parameters
    ----------
    confusion : ndarray of shape (n_classes, n_classes), float64
        As from :func:`class_confusion`.
    prior : ndarray of shape (n_classes,), float64
        The estimate.
    predictions : ndarray of shape (n_samples, n_classes)
        Predictions of the labelled rows behind the matrix.
    codes : ndarray of shape (n_samples,), int
        Their classes.
    target_predictions : ndarray of shape (n_target, n_classes)
        Predictions of the unlabelled rows.
    weight, target_weight : ndarray of shape (n_samples,) and (n_target,), default=None
        Weights of rows; None is 1 for each.

    Returns
    -------
    covariance : ndarray of shape (n_classes, n_classes), float64
        By the delta method: ``C^-1 (V_t + sum_y prior_y^2 V_y) C^-T``, with V_t the covariance of
        the mean prediction of the unlabelled rows and V_y that of class y. It holds for the plain
        inverse; where the simplex cuts, the estimate varies less. Infinite on the diagonal, and
        0 elsewhere, if the matrix has no inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.confusion_prior import confusion_covariance
    >>> perfect = np.eye(2)[[0, 1, 0, 1]]
    >>> target = np.eye(2)[np.repeat([0, 1], [25, 75])]
    >>> prior, codes = np.array([0.25, 0.75]), np.array([0, 1, 0, 1])
    >>> found = confusion_covariance(np.eye(2), prior, perfect, codes, target)
    >>> np.sqrt(found[0, 0]).round(4)  # sqrt(0.25 * 0.75 / 100)
    np.float64(0.0433)
    """
    n_classes = len(prior)
    singular = np.linalg.svd(confusion, compute_uv=False)
    if not singular[-1] > _SMALLEST * singular[0]:
        return np.diag(np.full(n_classes, np.inf))
    weight = np.ones(len(codes)) if weight is None else weight
    shares = weight / np.bincount(codes, weight, n_classes)[codes]
    residuals = (shares * prior[codes])[:, None] * (predictions - confusion.T[codes])
    inverse = np.linalg.inv(confusion).T
    source = residuals @ inverse
    if target_weight is None:
        target_weight = np.ones(len(target_predictions))
    shares = target_weight / target_weight.sum()
    residuals = shares[:, None] * (target_predictions - shares @ target_predictions)
    target = residuals @ inverse
    # Products of factors with themselves: rounding makes no variance negative.
    return source.T @ source + target.T @ target
