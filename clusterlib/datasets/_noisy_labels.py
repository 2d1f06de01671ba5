"""Wrong labels planted by a known transition matrix."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from clusterlib.datasets._draws import class_codes, random_generator
from clusterlib.kernels import cluster_sums, pairwise_distances
from clusterlib.kernels.checks import as_matrix, check_finite
from clusterlib.validation import checked_choice, checked_real

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import Array, ArrayLike, Float64Array, RandomState

__all__ = ["make_noisy_labels"]


_TINY = np.finfo(np.float64).tiny


class _Noise(Enum):
    SYMMETRIC = "symmetric"
    PAIR = "pair"
    FREQUENCY = "frequency"
    NEXT = "next"
    BOUNDARY = "boundary"


def make_noisy_labels(
    y: ArrayLike,
    *,
    noise_rate: float = 0.2,
    kind: Literal["symmetric", "pair", "frequency", "next", "boundary"] = "symmetric",
    X: ArrayLike | None = None,
    random_state: RandomState = None,
) -> tuple[Array, Float64Array]:
    """Replace labels by wrong ones, each independently, and tell with which probabilities.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels that can be sorted; at least two classes.
    noise_rate : float, default=0.2
        Probability in [0, 1] that a label is replaced by another one; for "boundary" the mean of
        the probabilities of each class.
    kind : {"symmetric", "pair", "frequency", "next", "boundary"}, default="symmetric"
        Where wrong labels go: "symmetric" to every other class alike, "pair" to the class with
        the nearest mean of X (the confusion people make [1]_), "frequency" to the other classes
        in proportion to their size, so that the share of wrong labels within each observed class
        is about ``noise_rate`` however long the tail [2]_, "next" to the next class in sorted
        order, from the last to the first (the asymmetric noise of many papers), "boundary" to the
        class whose mean is nearest to the row, and the more often the nearer it is (see Notes).
    X : array-like of shape (n_samples, n_features), default=None
        The data; needed for "pair" and "boundary" alone.
    random_state : None, int or RandomState, default=None
        Which labels are replaced, and by what.

    Returns
    -------
    y_noisy : ndarray of shape (n_samples,)
        Observed labels, in the dtype of y.
    transition : ndarray of shape (n_classes, n_classes), float64
        ``transition[i, j]`` is the probability that true class i is observed as class j, classes
        in sorted order; rows sum to 1, the diagonal is ``1 - noise_rate``. For "boundary" it is
        the mean over the rows of class i.

    Raises
    ------
    ValueError
        If there are fewer than two classes, X is missing for "pair" or "boundary" or has another
        length, or an option is out of range.
    TypeError
        If an option is of the wrong kind.

    Notes
    -----
    The probabilities, for n rows of which ``n_i`` are of class i, and K classes:

    - "symmetric": i becomes j with ``noise_rate / (K - 1)``;
    - "frequency": i becomes j with ``noise_rate n_j / (n - n_i)``;
    - "next": i becomes ``i + 1 mod K`` with ``noise_rate``;
    - "pair": i becomes the class with the nearest mean with ``noise_rate``;
    - "boundary": a row x of class i becomes j, the other class whose mean ``m_j`` is nearest to x,
      with ``1 / (1 + exp(b / s - a_i))``. There b is the distance of x to the boundary halfway
      between ``m_i`` and ``m_j``, negative on the side of j,

      ``b = (|x - m_j|^2 - |x - m_i|^2) / (2 |m_i - m_j|)``,

      and s the root mean square over all rows and features of x minus the mean of its class. So
      the odds of a wrong label are e times larger for each standard deviation that a row lies
      nearer to the boundary. ``a_i`` makes the mean over class i equal to ``noise_rate``.

    The number of wrong labels varies, by ``sqrt(n noise_rate (1 - noise_rate))`` or less around
    ``n noise_rate``. Some programs replace exactly ``floor(n noise_rate)`` labels; within each
    class that would spare all classes of fewer than ``1 / noise_rate`` rows.

    O(n + K^2) time and memory; with "pair" O(n d + K^2 d) time, with "boundary" O(n K d) time and
    O(n (K + d)) memory, for d features.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. Menon, R. Nock, L. Qu, "Making deep neural networks robust to
       label noise: a loss correction approach", CVPR 2017.
    .. [2] M. Zhang, X. Zhao, J. Yao, C. Yuan, W. Huang, "When noisy labels meet long tail dilemmas:
       a representation calibration method", ICCV 2023, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets import make_noisy_labels
    >>> y = np.repeat(["ant", "bee", "cat"], 1000)
    >>> noisy, transition = make_noisy_labels(y, noise_rate=0.3, random_state=0)
    >>> transition.round(2).tolist()
    [[0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]]
    >>> bool(0.25 < np.mean(noisy != y) < 0.35)
    True
    """
    classes, codes = class_codes(y)
    if len(classes) < 2:
        raise ValueError("y must have at least 2 classes")
    noise_rate = checked_real("noise_rate", noise_rate, 0, 1)
    kind = checked_choice("kind", kind, _Noise)
    if kind is _Noise.BOUNDARY:
        aims, probabilities = _boundary_flips(codes, len(classes), noise_rate, X)
        transition = _mean_transition(codes, len(classes), aims, probabilities, noise_rate)
        is_wrong = random_generator(random_state).random(len(codes)) < probabilities
        return classes[np.where(is_wrong, aims, codes)], transition
    transition = noise_rate * _flips(kind, codes, len(classes), X)
    np.fill_diagonal(transition, 1 - noise_rate)
    rng = random_generator(random_state)
    noisy = np.empty_like(codes)
    for label, probabilities in enumerate(transition):
        rows = np.flatnonzero(codes == label)
        noisy[rows] = rng.choice(len(classes), size=len(rows), p=probabilities)
    return classes[noisy], transition


def _flips(kind, codes, n_classes, X):
    """Where a label goes, given that it is replaced: rows sum to 1, the diagonal is 0."""
    if kind is _Noise.SYMMETRIC:
        flips = np.ones((n_classes, n_classes))
    elif kind is _Noise.FREQUENCY:
        flips = np.tile(np.bincount(codes).astype(np.float64), (n_classes, 1))
    elif kind is _Noise.NEXT:
        flips = np.roll(np.eye(n_classes), 1, axis=1)
    else:
        flips = np.zeros((n_classes, n_classes))
        flips[np.arange(n_classes), _nearest_classes(codes, n_classes, X)] = 1.0
    np.fill_diagonal(flips, 0.0)
    return flips / flips.sum(axis=1, keepdims=True)


def _nearest_classes(codes, n_classes, X):
    """The class with the nearest mean, for each class; the first on ties."""
    means = _class_means(_Noise.PAIR, codes, n_classes, X)
    distances = pairwise_distances(means, means)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)


def _class_means(kind, codes, n_classes, X):
    if X is None:
        raise ValueError(f"kind={kind.value!r} needs X to find the class with the nearest mean")
    if len(X) != len(codes):
        raise ValueError(f"X must have {len(codes)} rows, one for each label, got {len(X)}")
    sums, sizes = cluster_sums(X, codes, n_classes)
    return sums / sizes[:, None]


def _boundary_flips(codes, n_classes, noise_rate, X):
    """Class that each row would be mistaken for, the first on ties, and how probable that is."""
    if X is not None:
        X = as_matrix("X", X).astype(np.float64)
        check_finite("X", X)
        # Nothing below depends on the scale, and so no square can leave float64.
        X /= np.abs(X).max(initial=0.0) or 1.0
    means = _class_means(_Noise.BOUNDARY, codes, n_classes, X)
    distances = pairwise_distances(X, means)
    distances[np.arange(len(X)), codes] = np.inf
    aims = distances.argmin(axis=1)
    spread = np.sqrt(np.mean((X - means[codes]) ** 2))
    probabilities = np.empty(len(X))
    for label in range(n_classes):
        rows = np.flatnonzero(codes == label)
        away = means[label] - means[aims[rows]]
        halfway = (means[label] + means[aims[rows]]) / 2
        # Where two means are the same, there is no boundary to be near to.
        units = spread * np.linalg.norm(away, axis=1)
        margins = np.sum((X[rows] - halfway) * away, axis=1)
        margins = np.divide(margins, units, out=np.zeros(len(rows)), where=units > 0)
        probabilities[rows] = _with_mean(margins, noise_rate)
    return aims, probabilities


def _with_mean(margins, mean):
    """Logistic function of minus the margins, moved until its values have the mean."""
    if mean in (0.0, 1.0):
        return np.full(len(margins), mean)
    # With all margins at the lowest or the highest one the answer would be known.
    low, high = margins.min() + logit(mean) - 1.0, margins.max() + logit(mean) + 1.0
    offset = brentq(lambda a: expit(a - margins).mean() - mean, low, high, maxiter=1000)
    return expit(offset - margins)


def _mean_transition(codes, n_classes, aims, probabilities, noise_rate):
    """Probabilities of the observed classes, mean over the rows of each class."""
    table = np.zeros((n_classes, n_classes))
    np.add.at(table, (codes, aims), probabilities)
    transition = noise_rate * table / np.maximum(table.sum(axis=1, keepdims=True), _TINY)
    np.fill_diagonal(transition, 1 - noise_rate)
    return transition
