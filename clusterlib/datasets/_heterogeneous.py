"""Mixtures whose groups differ in shape, size or scale, where k-means or EM goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.datasets._draws import checked_dtype, seeded_generator
from clusterlib.datasets._separated import equidistant_centers
from clusterlib.validation import checked_integer

if TYPE_CHECKING:
    from clusterlib.typing import DTypeLike, Float64Array, FloatArray, IndexArray, RandomState

__all__ = ["DIFFICULT_MIXTURES", "HeterogeneousMixture", "make_heterogeneous_mixture"]

# The rotations of "long_axes" belong to the setting and not to a sample of it.
_ROTATION_SEED = 7


class HeterogeneousMixture(NamedTuple):
    """Rows of a Gaussian mixture with the truth about them.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        The rows.
    labels : ndarray of shape (n_samples,), intp
        Group of each row.
    means : ndarray of shape (n_groups, n_features), float64
        Centres of the groups.
    covariances : ndarray of shape (n_groups, n_features, n_features), float64
        Their covariance matrices.
    weights : ndarray of shape (n_groups,), float64
        Shares of the rows that are in each group; these are not random.
    """

    X: FloatArray
    labels: IndexArray
    means: Float64Array
    covariances: Float64Array
    weights: Float64Array


def make_heterogeneous_mixture(
    setting: str = "elongated",
    n_samples: int = 150,
    *,
    n_features: int | None = None,
    dtype: DTypeLike = np.float64,
    random_state: RandomState = None,
) -> HeterogeneousMixture:
    """Draw one of nine Gaussian mixtures that are hard for k-means, for EM or for both.

    With e_j the axes counted from 0, I the identity and ``diag`` a diagonal matrix, the groups
    are N(m_k, S_k) for k = 0, 1, ... as follows.

    Parameters
    ----------
    setting : str, default="elongated"
        One of ``DIFFICULT_MIXTURES``. Groups are equally large unless sizes are named.

        - "elongated": 3 parallel cigars in 2 columns; m = (0, 0), (0, 3), (0, 6), all
          S = diag(16, 1/4). k-means cuts across them.
        - "crossed": 3 groups along different axes in 4 columns; m_k = 3 e_k,
          S = diag(6, 1, .3, 1), diag(.3, 4, 1, .5), diag(1, .3, 1, 5).
        - "wide_and_tight": 3 balls of different scales in 5 columns with 1/2, 1/4 and 1/4 of the
          rows; m = 0, 4 e_0, 4 e_1, S = 9 I, I / 4, I.
        - "unequal_sizes": 3 ellipsoids in 4 columns with .8, .12 and .08 of the rows; m = 0,
          4 e_0, 4 e_1, S = diag(3, 3, 1, 1), diag(.3, 1, 1, .3), diag(1, .3, .3, 1).
        - "long_axes": 3 groups in 50 columns, or any number from 3; m_k = 2.6 sqrt(2) e_k,
          S_k = s_k I + Q_k diag(12, 6) Q_k' with s = .5, 1, 1.5 and Q_k two random axes that are
          the same for every seed. EM estimates far too many numbers.
        - "concentric": 2 groups around almost one centre in 6 columns; m = 0, e_0,
          S = diag(8, 8, 8, .2, .2, .2) and the same reversed.
        - "unequal_balls": 3 balls of different scales in 10 columns; m_k = 5 / sqrt(2) e_k,
          S = .3 I, I, 3 I.
        - "equal_balls": 4 balls of one scale in 400 columns, or any number from 4;
          m_k = 7.5 / sqrt(2) e_k, S = I. Here the groups do not differ, and k-means is right.
        - "nested": 4 groups in 8 columns, one ball inside an ellipsoid and two crossed discs;
          m = 0, 3 e_0, 5 e_1, 5 e_2, S = diag(4, 4, 4, 4, .5, .5, .5, .5), I / 10,
          diag(6, .1, 6, .1, 1, 1, 1, 1), diag(.1, 6, .1, 6, 1, 1, 1, 1).
    n_samples : int, default=150
        Number of rows. Row i is in group ``i % n_groups``, except where the sizes are named or
        the setting is "nested": there the groups follow one another. Sizes are rounded down; the
        rest falls to the last group, in "nested" to the first.
    n_features : int, default=None
        Number of columns of "long_axes" and "equal_balls". None takes the number above; the
        other settings have no choice.
    dtype : dtype, default=float64
        float32 or float64 of X. The numbers are drawn in float64.
    random_state : None, int or RandomState, default=None
        The rows. An integer seeds NumPy's ``default_rng`` directly, and the rows of group 0, then
        of 1 and so on are drawn by its ``multivariate_normal``; those of "equal_balls", where the
        noise is the same for all, by one call of ``normal``.

    Returns
    -------
    mixture : HeterogeneousMixture
        Named tuple of ``X``, ``labels``, ``means``, ``covariances`` and ``weights``.

    Raises
    ------
    ValueError
        If there is no such setting, a number is out of range or dtype is another one.
    TypeError
        If a number is not an integer.

    See Also
    --------
    make_gaussian_mixture : Random centres and rotations, with chosen separation and shape.
    make_separated_mixture : Balls at one distance, of any number and size.

    Notes
    -----
    O(n_samples n_features^2 + n_groups n_features^3) time.

    ``multivariate_normal`` takes the axes of a covariance from LAPACK. They are not unique where
    eigenvalues repeat, so the rows of "long_axes" may differ between two builds of NumPy; those
    of the other settings, whose covariances are diagonal, do not.

    Examples
    --------
    >>> from clusterlib.datasets import make_heterogeneous_mixture
    >>> mixture = make_heterogeneous_mixture("concentric", 100, random_state=0)
    >>> mixture.X.shape, mixture.weights, mixture.covariances.shape
    ((100, 6), array([0.5, 0.5]), (2, 6, 6))
    """
    if not isinstance(setting, str) or setting not in _GROUPS:
        raise ValueError(f"setting must be one of {', '.join(_GROUPS)}, got {setting!r}")
    n_samples = checked_integer("n_samples", n_samples, 1)
    options = {}
    if n_features is not None:
        if setting not in _FEWEST_FEATURES:
            raise ValueError(
                f"n_features must be None for setting={setting!r}, got {n_features!r}: "
                f"only {' and '.join(_FEWEST_FEATURES)} have a choice"
            )
        fewest = _FEWEST_FEATURES[setting]
        options["n_features"] = checked_integer("n_features", n_features, fewest)
    dtype = checked_dtype(dtype)
    rng = seeded_generator(random_state)
    means, covariances = _GROUPS[setting](**options)
    labels = _LABELS.get(setting, _take_turns)(n_samples, len(means))
    X = _ROWS.get(setting, _draw_groups)(rng, labels, means, covariances)
    weights = np.bincount(labels, minlength=len(means)) / n_samples
    return HeterogeneousMixture(X.astype(dtype, copy=False), labels, means, covariances, weights)


def _draw_groups(rng, labels, means, covariances):
    X = np.empty((len(labels), means.shape[1]))
    for group, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        rows = np.flatnonzero(labels == group)
        X[rows] = rng.multivariate_normal(mean, covariance, len(rows))
    return X


def _draw_balls(rng, labels, means, covariances):
    return means[labels] + rng.normal(size=(len(labels), means.shape[1]))


def _diagonals(*variances):
    return np.array([np.diag(np.asarray(row, dtype=float)) for row in variances])


def _on_axes(n_features, *places):
    """Centres from pairs of an axis and how far out on it they lie."""
    means = np.zeros((len(places), n_features))
    for mean, (axis, distance) in zip(means, places, strict=True):
        mean[axis] = distance
    return means


def _elongated():
    return _on_axes(2, (1, 0), (1, 3), (1, 6)), _diagonals(*[(16, 0.25)] * 3)


def _crossed():
    covariances = _diagonals((6, 1, 0.3, 1), (0.3, 4, 1, 0.5), (1, 0.3, 1, 5))
    return _on_axes(4, (0, 3), (1, 3), (2, 3)), covariances


def _wide_and_tight():
    covariances = np.array([scale * np.eye(5) for scale in (9, 0.25, 1)])
    return _on_axes(5, (0, 0), (0, 4), (1, 4)), covariances


def _unequal_sizes():
    covariances = _diagonals((3, 3, 1, 1), (0.3, 1, 1, 0.3), (1, 0.3, 0.3, 1))
    return _on_axes(4, (0, 0), (0, 4), (1, 4)), covariances


def _long_axes(n_features=50):
    rng = np.random.default_rng(_ROTATION_SEED)
    covariances = []
    for noise in (0.5, 1.0, 1.5):
        axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0][:, :2]
        covariances.append(noise * np.eye(n_features) + axes @ np.diag([12.0, 6.0]) @ axes.T)
    return equidistant_centers(3, n_features, 4 * 1.3), np.array(covariances)


def _concentric():
    variances = (8, 8, 8, 0.2, 0.2, 0.2)
    return _on_axes(6, (0, 0), (0, 1)), _diagonals(variances, variances[::-1])


def _unequal_balls():
    covariances = np.array([scale * np.eye(10) for scale in (0.3, 1, 3)])
    return equidistant_centers(3, 10, 5.0), covariances


def _equal_balls(n_features=400):
    covariances = np.repeat(np.eye(n_features)[None], 4, axis=0)
    return equidistant_centers(4, n_features, 7.5), covariances


def _nested():
    covariances = _diagonals(
        (4, 4, 4, 4, 0.5, 0.5, 0.5, 0.5),
        [0.1] * 8,
        (6, 0.1, 6, 0.1, 1, 1, 1, 1),
        (0.1, 6, 0.1, 6, 1, 1, 1, 1),
    )
    return _on_axes(8, (0, 0), (0, 3), (1, 5), (2, 5)), covariances


def _take_turns(n_samples, n_groups):
    return np.arange(n_samples) % n_groups


def _half_and_quarters(n_samples, n_groups):
    sizes = [n_samples // 2, n_samples // 4]
    return np.repeat(np.arange(n_groups), [*sizes, n_samples - sum(sizes)])


def _large_to_small(n_samples, n_groups):
    sizes = [8 * n_samples // 10, 12 * n_samples // 100]  # in integers: .12 n may round below
    return np.repeat(np.arange(n_groups), [*sizes, n_samples - sum(sizes)])


def _rest_first(n_samples, n_groups):
    sizes = np.full(n_groups, n_samples // n_groups)
    sizes[0] += n_samples % n_groups
    return np.repeat(np.arange(n_groups), sizes)


_GROUPS = {
    "elongated": _elongated,
    "crossed": _crossed,
    "wide_and_tight": _wide_and_tight,
    "unequal_sizes": _unequal_sizes,
    "long_axes": _long_axes,
    "concentric": _concentric,
    "unequal_balls": _unequal_balls,
    "equal_balls": _equal_balls,
    "nested": _nested,
}

_FEWEST_FEATURES = {"long_axes": 3, "equal_balls": 4}

_LABELS = {
    "wide_and_tight": _half_and_quarters,
    "unequal_sizes": _large_to_small,
    "nested": _rest_first,
}

_ROWS = {"equal_balls": _draw_balls}

DIFFICULT_MIXTURES = tuple(_GROUPS)
"""Names of the settings, for parametrised tests and benches."""
