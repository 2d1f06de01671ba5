"""Wrong labels planted by a known transition matrix."""

from enum import Enum

import numpy as np

from clusterlib.datasets._draws import class_codes, random_generator
from clusterlib.kernels import cluster_sums, pairwise_distances
from clusterlib.validation import checked_choice, checked_real

__all__ = ["make_noisy_labels"]


class _Noise(Enum):
    SYMMETRIC = "symmetric"
    PAIR = "pair"
    FREQUENCY = "frequency"


def make_noisy_labels(y, *, noise_rate=0.2, kind="symmetric", X=None, random_state=None):
    """Replace labels by wrong ones, each independently, and tell with which probabilities.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels that can be sorted; at least two classes.
    noise_rate : float, default=0.2
        Probability in [0, 1] that a label is replaced by another one.
    kind : {"symmetric", "pair", "frequency"}, default="symmetric"
        Where wrong labels go: "symmetric" to every other class alike, "pair" to the class with
        the nearest mean of X (the confusion people make [1]_), "frequency" to the other classes
        in proportion to their size, so that the share of wrong labels within each observed class
        is about ``noise_rate`` however long the tail.
    X : array-like of shape (n_samples, n_features), default=None
        The data; needed for "pair" alone.
    random_state : None, int or RandomState, default=None
        Which labels are replaced, and by what.

    Returns
    -------
    y_noisy : ndarray of shape (n_samples,)
        Observed labels, in the dtype of y.
    transition : ndarray of shape (n_classes, n_classes), float64
        ``transition[i, j]`` is the probability that true class i is observed as class j, classes
        in sorted order; rows sum to 1, the diagonal is ``1 - noise_rate``.

    Raises
    ------
    ValueError
        If there are fewer than two classes, X is missing for "pair" or has another length, or an
        option is out of range.
    TypeError
        If an option is of the wrong kind.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. Menon, R. Nock, L. Qu, "Making deep neural networks robust to
       label noise: a loss correction approach", CVPR 2017.

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
    else:
        flips = np.zeros((n_classes, n_classes))
        flips[np.arange(n_classes), _nearest_classes(codes, n_classes, X)] = 1.0
    np.fill_diagonal(flips, 0.0)
    return flips / flips.sum(axis=1, keepdims=True)


def _nearest_classes(codes, n_classes, X):
    """The class with the nearest mean, for each class; the first on ties."""
    if X is None:
        raise ValueError("kind='pair' needs X to find the class with the nearest mean")
    if len(X) != len(codes):
        raise ValueError(f"X must have {len(codes)} rows, one for each label, got {len(X)}")
    sums, sizes = cluster_sums(X, codes, n_classes)
    means = sums / sizes[:, None]
    distances = pairwise_distances(means, means)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)
