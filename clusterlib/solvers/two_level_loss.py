"""A contrastive loss on two levels: rows of a subclass, and subclasses of a class."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import Metric, pairwise_logsumexp
from clusterlib.kernels.checks import as_matrix, as_numeric, check_finite
from clusterlib.solvers.class_temperatures import ClassTemperatures
from clusterlib.solvers.subclass_groups import subclass_groups
from clusterlib.solvers.transport_problem import checked_member, checked_real

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import ArrayLike, Backend, Float64Array, FloatArray

__all__ = ["Reduction", "TwoLevelLoss", "two_level_loss"]


class Reduction(Enum):
    """What becomes of the losses of all anchors.

    Attributes
    ----------
    MEAN
        Their mean.
    SUM
        Their sum.
    """

    MEAN = "mean"
    SUM = "sum"


class TwoLevelLoss(NamedTuple):
    """A loss and how it changes with the embeddings.

    Attributes
    ----------
    value : float
        Mean or sum of ``per_anchor``.
    gradient : ndarray of shape (n, d), dtype of Z
        Derivative of ``value`` by Z, not projected onto the sphere.
    per_anchor : ndarray of shape (n,), float64
        Loss of each row as an anchor.
    """

    value: float
    gradient: FloatArray
    per_anchor: Float64Array


def two_level_loss(
    Z: ArrayLike,
    y: ArrayLike,
    subclass_labels: ArrayLike,
    views: ArrayLike | None = None,
    *,
    temperature: float = 0.1,
    class_temperatures: float | ArrayLike | ClassTemperatures | None = None,
    beta: float = 0.25,
    base_temperature: float | None = None,
    reduction: Literal["mean", "sum"] | Reduction = "mean",
    n_threads: int | None = None,
    backend: Backend = None,
) -> TwoLevelLoss:
    """Contrast rows with their subclass, and with the rest of their class, in one loss.

    An anchor i loses, with ``s_ij = <z_i, z_j>``,

    - minus the mean of ``log softmax(s_ij / temperature)`` over the other rows of its subclass,
      the softmax running over all rows but i,
    - and ``beta`` times minus the mean of ``log softmax(s_ij / tau)`` over the rows of its class in
      other subclasses and its other view, the softmax running over all rows outside of its
      subclass and its other view; tau is the temperature of its class.

    Parameters
    ----------
    Z : array-like of shape (n, d)
        Embeddings of all views, float32 or float64 (others become float64), finite. Unit vectors
        in the paper, which neither formula nor gradient needs; squared lengths over
        temperatures have to be below 1 / eps of the dtype, 8e6 and 5e15, where rounding decides.
    y : array-like of shape (n,)
        Class of each row, numbers or strings.
    subclass_labels : array-like of shape (n,)
        Subclass of each row; every subclass lies in one class, so labels differ between classes.
    views : array-like of int of shape (n,), default=None
        Index of the other view of each row, of the same subclass; the other view of that is the
        row itself. None: row i of the first half belongs to row i of the second half.
    temperature : float, default=0.1
        Of the first level, above 0.
    class_temperatures : None, float, array-like of shape (n_classes,) or ClassTemperatures, \
default=None
        Of the second level, above 0: one for all (None: the first one), one for each class of y
        in sorted order, or what :func:`class_temperatures` returned for these and other classes.
    beta : float, default=0.25
        Weight of the second level, at least 0.
    base_temperature : float, default=None
        Where given, the first level is multiplied by ``temperature / base_temperature``.
    reduction : {"mean", "sum"} or Reduction, default="mean"
        Over the anchors.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    loss : TwoLevelLoss
        Value, gradient and the loss of each anchor.

    Raises
    ------
    ValueError
        For NaN or infinity in Z, shapes that disagree, numbers out of range, an unknown reduction,
        views that are not pairs within a subclass, a subclass in two classes, a class that has no
        temperature.
    TypeError
        For what is not an array of real numbers, views that are no integers, labels of mixed kinds.

    Notes
    -----
    O(n^2 d) time in four sweeps of :func:`clusterlib.kernels.pairwise_logsumexp`, two without the
    second level; O(n d) memory, no n x n matrix. Sums over positives are sums over groups, in
    float64. The sweeps run in the dtype of Z, with the error that the kernel states. The bits
    depend on neither threads nor memory layout; the order of rows changes rounding only.

    References
    ----------
    .. [1] C. Hou, J. Zhang, H. Wang and T. Zhou, "Subclass-balancing contrastive learning for
       long-tailed recognition", ICCV 2023, equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import two_level_loss
    >>> angles = np.array([0.0, 0.2, 0.9, 2.2])
    >>> angles = np.concatenate([angles, angles + 0.05])
    >>> Z = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> y, subclasses = [0, 0, 0, 1] * 2, [0, 0, 1, 2] * 2
    >>> loss = two_level_loss(Z, y, subclasses, class_temperatures=[0.2, 0.1])
    >>> round(loss.value, 6), loss.gradient.shape
    (0.923332, (8, 2))
    """
    Z = as_matrix("Z", Z)
    if len(Z) < 2:
        raise ValueError(f"Z must have at least 2 rows, two views of one, got shape {Z.shape}")
    check_finite("Z", Z)
    groups = subclass_groups(y, subclass_labels, len(Z))
    views = _checked_views(views, groups.subclasses)
    temperature = checked_real("temperature", temperature, low=0.0, low_open=True)
    of_class = _second_temperatures(class_temperatures, temperature, groups.classes.values)
    beta = checked_real("beta", beta, low=0.0)
    factor = 1.0
    if base_temperature is not None:
        base = checked_real("base_temperature", base_temperature, low=0.0, low_open=True)
        factor = temperature / base
    reduction = checked_member("reduction", reduction, Reduction)
    _check_range(Z, min(temperature, of_class.min()))
    options = {"n_threads": n_threads, "backend": backend}
    losses, gradient = _first_level(Z, groups, temperature, options)
    losses, gradient = factor * losses, factor * gradient
    if beta > 0:
        more, steeper = _second_level(Z, groups, views, of_class, options)
        losses, gradient = losses + beta * more, gradient + beta * steeper
    scale = 1.0 / len(Z) if reduction is Reduction.MEAN else 1.0
    gradient = (scale * gradient).astype(Z.dtype)
    return TwoLevelLoss(float(scale * losses.sum()), gradient, losses)


def _checked_views(views, subclasses):
    """The other view of each row, as int64."""
    n = len(subclasses.of_row)
    rows = np.arange(n)
    if views is None:
        if n % 2:
            raise ValueError(f"Z must have two halves of views, got {n} rows; say views")
        views = np.roll(rows, n // 2)
    views = as_numeric("views", views)
    if views.dtype.kind not in "iu":
        raise TypeError(f"views must hold integers, got dtype {views.dtype}")
    if views.shape != (n,):
        raise ValueError(f"views must have shape ({n},), got {views.shape}")
    if views.min() < 0 or views.max() >= n:
        raise ValueError(f"views must be from 0 to {n - 1}, got {views.min()} to {views.max()}")
    views = views.astype(np.int64)
    wrong = np.flatnonzero((views == rows) | (views[views] != rows))
    if len(wrong):
        i = wrong[0]
        raise ValueError(
            f"views must pair the rows, but row {i} has row {views[i]} as its other view, which "
            f"has row {views[views[i]]}"
        )
    apart = np.flatnonzero(subclasses.of_row != subclasses.of_row[views])
    if len(apart):
        raise ValueError(
            f"both views must have the same subclass, but rows {apart[0]} and {views[apart[0]]} "
            "differ"
        )
    return views


def _second_temperatures(given, first, classes):
    """Temperature of each class of the batch."""
    if isinstance(given, ClassTemperatures):
        places = np.searchsorted(given.classes, classes)
        known = given.classes[np.minimum(places, len(given.classes) - 1)] == classes
        if not known.all():
            absent = classes[np.flatnonzero(~known)[0]]
            raise ValueError(f"class_temperatures has none for class {absent!s} of y")
        given = given.temperatures[places]
    given = np.asarray(as_numeric("class_temperatures", first if given is None else given))
    if given.ndim and given.shape != classes.shape:
        raise ValueError(
            f"class_temperatures must be a number or have shape ({len(classes)},), one for each "
            f"class of y, got {given.shape}"
        )
    given = np.broadcast_to(given.astype(np.float64), classes.shape)
    if not (np.isfinite(given) & (given > 0)).all():
        wrong = given[~(np.isfinite(given) & (given > 0))][0]
        raise ValueError(f"class_temperatures must be finite and above 0, got {wrong}")
    return given


def _check_range(Z, smallest):
    """Refuse exponents whose rounding in the dtype of Z is as large as what they tell apart."""
    with np.errstate(over="ignore"):
        longest = float(_row_products(Z, Z).max())
        largest = np.divide(max(1.0, longest), smallest)  # of b s, of b z and of b
    limit = 1.0 / np.finfo(Z.dtype).eps
    if not largest < limit:
        raise ValueError(
            f"Z has rows of squared length up to {longest:.3g}, which over a temperature of "
            f"{smallest:.3g} must be below {limit:.3g} in {Z.dtype}; scale Z to unit length, or "
            "raise the temperature"
        )


def _row_products(A, B):
    """Inner products of rows in float64, in an order that no memory layout changes."""
    return np.multiply(A, B, dtype=np.float64, order="C").sum(axis=1)


def _first_level(Z, groups, temperature, options):
    """Losses and gradient where positives are the other rows of the subclass."""

    def others(rows, weight=None):
        own = rows if weight is None else rows * weight[:, None]
        return groups.subclasses.sums(rows, weight=weight, **options) - own

    counts = groups.subclasses.counts[groups.subclasses.of_row] - 1
    sharpness = np.full(len(Z), 1.0 / temperature)
    return _level(Z, np.arange(len(Z)), None, sharpness, others, counts, options)


def _second_level(Z, groups, views, temperatures, options):
    """Losses and gradient where positives are other subclasses of the class and the other view."""

    def relatives(rows, weight=None):
        paired = rows[views] if weight is None else rows[views] * weight[views, None]
        in_class = groups.classes.sums(rows, weight=weight, **options)
        return in_class - groups.subclasses.sums(rows, weight=weight, **options) + paired

    classes, subclasses = groups.classes, groups.subclasses
    counts = classes.counts[classes.of_row] - subclasses.counts[subclasses.of_row] + 1
    sharpness = 1.0 / temperatures[classes.of_row]
    return _level(Z, subclasses.of_row, views, sharpness, relatives, counts, options)


def _level(Z, group, views, sharpness, positive_sums, counts, options):
    """One level: ``logsumexp_j(b_i s_ij) - b_i mean_p s_ip`` and its gradient, summed over i.

    Parameters
    ----------
    Z : ndarray of shape (n, d)
        The rows.
    group : ndarray of int of shape (n,)
        The log-sum-exp runs over the rows of other groups.
    views : None or ndarray of int of shape (n,)
        A row that it contains although it is of the same group.
    sharpness : ndarray of shape (n,)
        b, one over the temperature of the anchor.
    positive_sums : callable
        ``positive_sums(rows, weight=None)`` adds up the weighted rows of the positives of each
        row, of shape (n, d). Being a positive is mutual, so it serves columns as well.
    counts : ndarray of int of shape (n,)
        Number of positives.
    options : dict
        ``n_threads`` and ``backend`` of the kernel.
    """
    masked = {"metric": Metric.INNER_PRODUCT, "x_group": group, "y_group": group}
    masked |= {"mask": "different"} | options
    logs, mean = pairwise_logsumexp(Z, Z, inverse_temperature=sharpness, values=Z, **masked)
    logs, mean = logs.astype(np.float64), mean.astype(np.float64)
    if views is not None:
        other = Z[views].astype(np.float64)
        product = sharpness * _row_products(Z, other)
        rest, logs = logs, np.logaddexp(logs, product)
        share = np.exp(product - logs)[:, None]
        mean = np.exp(rest - logs)[:, None] * mean + share * other
    positive = positive_sums(Z) / counts[:, None]
    losses = logs - sharpness * _row_products(Z, positive)
    gradient = sharpness[:, None] * (mean - positive)
    gradient -= positive_sums(Z, sharpness / counts)
    # As a column, row k is pulled by sum_i b_i exp(b_i s_ik - logs_i) z_i: the same sweep with
    # the roles exchanged, where each row brings its own temperature and log-sum-exp along.
    sharp = (Z * sharpness[:, None]).astype(Z.dtype)
    back, pull = pairwise_logsumexp(Z, sharp, log_weight=-logs, values=sharp, **masked)
    gradient += np.exp(back.astype(np.float64))[:, None] * pull
    if views is not None:
        gradient += (share * sharpness[:, None])[views] * other
    return losses, gradient
