"""A temperature for each class: loose classes get a higher one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import cluster_sums
from clusterlib.kernels.checks import as_matrix, check_finite
from clusterlib.solvers.assignment import costs_of_assignment
from clusterlib.solvers.subclass_groups import class_numbers, subclass_groups
from clusterlib.solvers.transport_problem import checked_member, checked_real

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import Array, ArrayLike, Float64Array

__all__ = ["ClassTemperatures", "TemperatureForm", "class_temperatures"]


class TemperatureForm(Enum):
    """How a temperature follows from the spread of a class over the mean spread.

    Attributes
    ----------
    EXPONENTIAL
        In proportion to its exponential.
    LINEAR
        In proportion to it.
    """

    EXPONENTIAL = "exponential"
    LINEAR = "linear"


class ClassTemperatures(NamedTuple):
    """The temperatures and what they follow from.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The classes, sorted, in the dtype of y.
    temperatures : ndarray of shape (n_classes,), float64
        Above 0.
    spread : ndarray of shape (n_classes,), float64
        How loose each class is, before it was limited by percentiles.
    """

    classes: Array
    temperatures: Float64Array
    spread: Float64Array


def class_temperatures(
    Z: ArrayLike,
    y: ArrayLike,
    subclass_labels: ArrayLike | None = None,
    *,
    temperature: float,
    form: Literal["exponential", "linear"] | TemperatureForm = "exponential",
    offset: float = 10.0,
    percentiles: tuple[float, float] | None = None,
) -> ClassTemperatures:
    """Give every class a temperature by how loose it is.

    With ``t_c`` the mean of class c, its spread is
    ``phi_c = sum_i |z_i - t_c| / (n_c log(n_c + offset))``, so that of two classes with rows
    equally far from their mean the larger one counts as tighter. The temperature is
    ``temperature * exp(phi_c / mean phi)``, or ``temperature * phi_c / mean phi`` in the linear
    form; see :func:`two_level_loss`, which takes the result.

    Parameters
    ----------
    Z : array-like of shape (n, d)
        Embeddings, one view of every row; finite, float32 or float64. Lengths are used as given.
    y : array-like of shape (n,)
        Class of each row, numbers or strings.
    subclass_labels : array-like of shape (n,), default=None
        Where given, classes with one subclass keep ``temperature``. Their spread still counts in
        the mean.
    temperature : float
        That of the first level, above 0.
    form : {"exponential", "linear"} or TemperatureForm, default="exponential"
        The form of the paper, whose temperatures all lie above the first one, or that of its
        published code.
    offset : float, default=10.0
        Above 0; what tames the logarithm of small classes.
    percentiles : None or (float, float), default=None
        Spreads are limited to these percentiles over the classes, each from 0 to 100, before
        they are averaged. The published code has (20, 80).

    Returns
    -------
    result : ClassTemperatures
        Temperatures in the order of the sorted classes.

    Raises
    ------
    ValueError
        For NaN or infinity, no rows, shapes that disagree, numbers out of range, an unknown form,
        a subclass in two classes, and in the linear form for a class without spread, as one of a
        single row is, where other classes have some: percentiles keep its temperature above 0.
        In the exponential form for a class so loose that its temperature leaves float64.
    TypeError
        For what is not an array of real numbers, or labels of mixed kinds.

    Notes
    -----
    O(n d) time, O(n + n_classes d) memory; sums are in float64. Without any spread all classes
    count as equal.

    References
    ----------
    .. [1] C. Hou, J. Zhang, H. Wang and T. Zhou, "Subclass-balancing contrastive learning for
       long-tailed recognition", ICCV 2023, equations 5 and 6.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import class_temperatures
    >>> Z = np.array([[0.0], [2.0], [0.0], [6.0]])
    >>> class_temperatures(Z, ["a", "a", "b", "b"], temperature=0.1).temperatures.round(4)
    array([0.1649, 0.4482])
    """
    Z = as_matrix("Z", Z)
    if len(Z) == 0:
        raise ValueError(f"Z must have at least 1 row, got shape {Z.shape}")
    check_finite("Z", Z)
    classes = class_numbers("y", y, len(Z))
    temperature = checked_real("temperature", temperature, low=0.0, low_open=True)
    form = checked_member("form", form, TemperatureForm)
    offset = checked_real("offset", offset, low=0.0, low_open=True)
    limits = None if percentiles is None else _checked_percentiles(percentiles)
    keeps_first = np.zeros(len(classes.values), dtype=bool)
    if subclass_labels is not None:
        keeps_first = subclass_groups(y, subclass_labels, len(Z)).n_subclasses() == 1
    spread = _spread(Z, classes, offset)
    ratios = _ratios(spread, limits)
    with np.errstate(over="ignore"):
        if form is TemperatureForm.EXPONENTIAL:
            ratios = np.exp(ratios)
        temperatures = temperature * np.where(keeps_first, 1.0, ratios)
    _check_range(temperatures, classes.values)
    return ClassTemperatures(classes.values, temperatures, spread)


def _checked_percentiles(percentiles):
    try:
        low, high = percentiles
    except (TypeError, ValueError):
        raise ValueError(f"percentiles must be None or two numbers, got {percentiles!r}") from None
    low = checked_real("percentiles[0]", low, low=0.0)
    high = checked_real("percentiles[1]", high, low=0.0)
    if not low <= high <= 100.0:
        raise ValueError(f"percentiles must rise and be at most 100, got {percentiles!r}")
    return low, high


def _spread(Z, classes, offset):
    n_classes, counts = len(classes.values), classes.counts
    with np.errstate(over="ignore"):
        sums, _ = cluster_sums(Z, classes.of_row, n_classes)
        costs = costs_of_assignment(Z, sums / counts[:, None], classes.of_row)
    distances = np.bincount(classes.of_row, weights=np.sqrt(costs), minlength=n_classes)
    spread = distances / (counts * np.log(counts + offset))
    if not np.isfinite(spread.sum()):
        raise ValueError("Z has values too large for distances in float64; scale it down")
    return spread


def _ratios(spread, limits):
    """Spreads over their mean; all 1 where there is none."""
    if limits is not None:
        spread = np.clip(spread, *np.percentile(spread, limits))
    mean = spread.mean()
    return spread / mean if mean > 0 else np.ones(len(spread))


def _check_range(temperatures, classes):
    tight, loose = temperatures == 0, ~np.isfinite(temperatures)
    if tight.any():
        raise ValueError(
            f"class {classes[tight][0]!s} of y has no spread, for which form='linear' gives a "
            "temperature of 0; limit the spreads by (higher) percentiles, or take "
            "form='exponential'"
        )
    if loose.any():
        raise ValueError(
            f"class {classes[loose][0]!s} of y is so much looser than the mean that its "
            "temperature leaves float64; limit the spreads by percentiles, or take form='linear'"
        )
