"""Calibration of class probabilities: slopes and offsets of their logarithms, by Newton's method."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, IntArray

__all__ = [
    "Calibration",
    "CalibrationKind",
    "calibrate",
    "calibrated",
    "calibration_influence",
    "floored_logarithms",
]

# A classifier that claims more than this is not believed: what is the chance of a label that was
# wrongly written down?
_FLOOR = 1e-6
_CHUNK_ROWS = 8192
_SHORTEST_STEP = 2.0**-30


class CalibrationKind(Enum):
    """What a calibration may change.

    Attributes
    ----------
    TEMPERATURE
        One slope for all classes.
    BIAS_CORRECTED
        One slope, and an offset for each class.
    VECTOR
        A slope and an offset for each class.
    """

    TEMPERATURE = "temperature"
    BIAS_CORRECTED = "bias corrected temperature"
    VECTOR = "vector"


class Calibration(NamedTuple):
    """Slopes and offsets of logarithms of probabilities.

    Attributes
    ----------
    slope, offset : ndarray of shape (n_classes,), float64
        Calibrated probabilities are ``softmax_y(slope_y log p_y + offset_y)``. A temperature is
        one over the slope; offsets sum to 0.
    log_loss : float
        Mean of ``-log p`` of the true classes, without the penalty.
    n_iter : int
        Newton steps taken.
    converged : bool
        Whether the last step could not lower the objective by more than the tolerance.
    history : ndarray of shape (n_iter + 1,), float64
        Penalised log loss of the identity and after each step; it never rises.
    """

    slope: Float64Array
    offset: Float64Array
    log_loss: float
    n_iter: int
    converged: bool
    history: Float64Array


def floored_logarithms(probabilities):
    """Logarithms of probabilities, of which none counts as less than 1e-6.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes), float32 or float64
        Rows in the simplex.

    Returns
    -------
    logarithms : ndarray of shape (n_samples, n_classes), float64
        Finite: a forest that has never seen a class says 0, and one such row would decide a
        calibration.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.calibration import floored_logarithms
    >>> floored_logarithms(np.array([[1.0, 0.0]])).round(2)
    array([[  0.  , -13.82]])
    """
    return np.log(np.maximum(probabilities, _FLOOR), dtype=np.float64)


def calibrated(logarithms: Float64Array, slope: Array, offset: Array) -> Float64Array:
    """Probabilities after calibration.

    Parameters
    ----------
    logarithms : ndarray of shape (n_samples, n_classes), float64
        Of the probabilities before.
    slope, offset : ndarray of shape (n_classes,)
        As in :class:`Calibration`.

    Returns
    -------
    probabilities : ndarray of shape (n_samples, n_classes), float64
        ``softmax_y(slope_y logarithm_y + offset_y)``.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.calibration import calibrated
    >>> calibrated(np.log([[0.8, 0.2]]), np.array([0.5, 0.5]), np.zeros(2)).round(3)
    array([[0.667, 0.333]])
    """
    scores = logarithms * slope + offset
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def calibrate(
    logarithms: Float64Array,
    codes: IntArray,
    kind: CalibrationKind,
    *,
    weight: Array | None = None,
    strength: float = 1.0,
    max_iter: int = 100,
    tol: float = 1e-12,
) -> Calibration:
    """Slopes and offsets of the highest likelihood of labels that the classifier has not seen.

    Minimises the weighted mean of ``-log softmax(slope log p_i + offset)_{y_i}``, a convex
    function, plus ``strength / (2 n) (|slope - 1|^2 + |offset|^2)`` with n the sum of the
    weights and a common slope counted once: as much as one row says, but enough for an answer where the classes are separated
    without an error and the slope would go to infinity.

    Parameters
    ----------
    logarithms : ndarray of shape (n_samples, n_classes), float64
        Finite logarithms of probabilities of rows outside the training rows, as from
        :func:`floored_logarithms`.
    codes : ndarray of shape (n_samples,), int
        Their classes, from 0 to ``n_classes - 1``.
    kind : CalibrationKind
        What may change: one slope (temperature scaling [1]_), one slope and an offset for each
        class (bias-corrected temperature scaling [2]_), or a slope and an offset for each class
        (vector scaling [1]_). Label shift needs the offsets: they make the mean of the
        probabilities equal the frequencies of the classes.
    weight : ndarray of shape (n_samples,), default=None
        Weights of rows, not negative and not all 0; None is 1 for each.
    strength : float, default=1.0
        Above 0.
    max_iter : int, default=100
        Most Newton steps.
    tol : float, default=1e-12
        Ends when the step is expected to lower the objective by no more than this.

    Returns
    -------
    result : Calibration
        Named tuple of ``slope``, ``offset``, ``log_loss``, ``n_iter``, ``converged`` and
        ``history``.

    Notes
    -----
    O(n k^2) time for a step, of which four to eight are usual; memory for a chunk of rows. A
    slope below 0 comes out if the classifier is worse than chance.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural
       networks", ICML 2017.
    .. [2] A. Alexandari, A. Kundaje and A. Shrikumar, "Maximum likelihood with bias-corrected
       calibration is hard-to-beat at label shift adaptation", ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.calibration import CalibrationKind, calibrate
    >>> sure = np.log(np.array([[0.99, 0.01], [0.01, 0.99]]).repeat(100, axis=0))
    >>> codes = np.repeat([0, 1, 1, 0], [90, 10, 90, 10])  # right nine times of ten
    >>> result = calibrate(sure, codes, CalibrationKind.TEMPERATURE)
    >>> result.slope.round(2), result.converged
    (array([0.48, 0.48]), True)
    """
    n_classes = logarithms.shape[1]
    weight = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64)
    total = weight.sum()
    rows = _Rows(logarithms, codes, weight / total)
    basis, penalty = _basis(kind, n_classes), strength / total
    identity = np.concatenate([np.ones(n_classes), np.zeros(n_classes)])
    free = np.zeros(basis.shape[1])  # the deviation from the identity
    loss, gradient, hessian = rows.derivatives(identity)
    history, converged = [loss], False
    while len(history) <= max_iter:
        slope = basis.T @ gradient + penalty * free
        curvature = basis.T @ hessian @ basis + penalty * np.eye(len(free))
        step = -linalg.solve(curvature, slope, assume_a="pos")
        decrease = -float(slope @ step)
        if converged := decrease <= tol:
            break
        size = 1.0
        while size >= _SHORTEST_STEP:
            moved = free + size * step
            state = rows.derivatives(identity + basis @ moved)
            value = state[0] + penalty / 2.0 * float(moved @ moved)
            if value <= history[-1] - 1e-4 * size * decrease:
                break
            size /= 2.0
        else:
            converged = True  # rounding: nothing lowers the objective any more
            break
        free, (loss, gradient, hessian) = moved, state
        history.append(value)
    found = identity + basis @ free
    return Calibration(
        slope=found[:n_classes],
        offset=found[n_classes:],
        log_loss=float(loss),
        n_iter=len(history) - 1,
        converged=converged,
        history=np.array(history),
    )


def calibration_influence(logarithms, codes, kind, calibration, *, weight=None, strength=1.0):
    """How much each row has moved the slopes and offsets: the influence function.

    Parameters
    ----------
    logarithms, codes, kind, weight, strength
        As in :func:`calibrate`.
    calibration : Calibration
        Its result.

    Returns
    -------
    influence : ndarray of shape (n_samples, 2 * n_classes), float64
        Slopes first. The sum over the rows of ``(w_i influence_i)^2``, with the weights scaled to
        sum 1, is the sandwich variance of slopes and offsets.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import calibration as solver
    >>> logarithms, codes = np.log(np.full((4, 2), 0.5)), np.array([0, 1, 1, 0])
    >>> kind = solver.CalibrationKind.BIAS_CORRECTED
    >>> result = solver.calibrate(logarithms, codes, kind)
    >>> solver.calibration_influence(logarithms, codes, kind, result)[:2, 2:]
    array([[ 0.66666667, -0.66666667],
           [-0.66666667,  0.66666667]])
    """
    n_classes = logarithms.shape[1]
    weight = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64)
    rows = _Rows(logarithms, codes, weight / weight.sum())
    found = np.concatenate([calibration.slope, calibration.offset])
    hessian = rows.derivatives(found)[2]
    basis, penalty = _basis(kind, n_classes), strength / weight.sum()
    curvature = basis.T @ hessian @ basis + penalty * np.eye(basis.shape[1])
    residuals = calibrated(logarithms, calibration.slope, calibration.offset)
    residuals[np.arange(len(codes)), codes] -= 1.0
    scores = np.hstack([residuals * logarithms, residuals]) @ basis
    return -linalg.solve(curvature, scores.T, assume_a="pos").T @ basis.T


def _basis(kind, n_classes):
    """Directions of (slopes, offsets) that are free, orthogonal columns; offsets sum to 0."""
    nothing = np.zeros((n_classes, n_classes - 1))
    offsets = np.vstack([nothing, linalg.null_space(np.ones((1, n_classes)))])
    slopes = np.eye(2 * n_classes, n_classes)
    if kind is CalibrationKind.VECTOR:
        return np.hstack([slopes, offsets])
    common = slopes.sum(axis=1, keepdims=True)
    return common if kind is CalibrationKind.TEMPERATURE else np.hstack([common, offsets])


class _Rows:
    """The mean log loss of labelled rows and its derivatives by slopes and offsets."""

    def __init__(self, logarithms, codes, weight):
        self._logarithms, self._codes, self._weight = logarithms, codes, weight

    def derivatives(self, parameters):
        """Mean log loss, gradient and Hessian by all slopes and offsets."""
        k = len(parameters) // 2
        loss, gradient, hessian = 0.0, np.zeros(2 * k), np.zeros((2 * k, 2 * k))
        for start in range(0, len(self._codes), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            logarithms, codes, weight = (
                a[part] for a in (self._logarithms, self._codes, self._weight)
            )
            places = np.arange(len(codes))
            scores = logarithms * parameters[:k] + parameters[k:]
            scores -= scores.max(axis=1, keepdims=True)
            p = np.exp(scores)
            sums = p.sum(axis=1, keepdims=True)
            p /= sums
            loss += float(weight @ (np.log(sums[:, 0]) - scores[places, codes]))
            both = np.hstack([p * logarithms, p])  # dp_y / d(slope, offset), without the mean
            root = np.sqrt(weight)[:, None]
            hessian -= (root * both).T @ (root * both)
            squares = weight @ (both[:, :k] * logarithms)
            crosses, masses = weight @ both[:, :k], weight @ p
            hessian[:k, :k] += np.diag(squares)
            hessian[:k, k:] += np.diag(crosses)
            hessian[k:, :k] += np.diag(crosses)
            hessian[k:, k:] += np.diag(masses)
            gradient[:k] += crosses - np.bincount(codes, weight * logarithms[places, codes], k)
            gradient[k:] += masses - np.bincount(codes, weight, k)
        return loss, gradient, hessian
