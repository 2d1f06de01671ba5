"""Rows sorted by their labels on a CUDA device, for kernels that work through one class at a time."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels._cupy.checks import as_device_integers
from clusterlib.kernels._cupy.instances import Instance
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.dispatch import is_device_array

__all__ = ["INSTANCES", "SortedRows", "as_device_labels", "check_labels", "sort_rows"]

_THREADS = 512
_SCAN_LABELS_AT_ONCE = 32  # kScanLabels of sorted_rows.cuh
_UNIT_ROWS = 2048
_MOST_UNIT_ROWS = 1 << 24  # as many as a span of the sums may have
_MOST_PLACES = 1 << 23
_MOST_ROWS = 2**31 - 64  # numbers of rows are int, also those of a batch that ends after the last

_COUNT = Instance("sorted_rows.cuh", "cl::count_labels", _THREADS)
_SCAN_UNITS = Instance("sorted_rows.cuh", "cl::scan_units", _THREADS)
_SCAN_LABELS = Instance("sorted_rows.cuh", "cl::scan_labels", _THREADS)
_PLACE = Instance("sorted_rows.cuh", "cl::place_rows", _THREADS)
INSTANCES = (_COUNT, _SCAN_UNITS, _SCAN_LABELS, _PLACE)


class SortedRows(NamedTuple):
    """The order of rows by label, equal labels in the order of the rows.

    Attributes
    ----------
    rows : array of shape (n,), int32
        Numbers of the rows; those with negative labels are missing, and the end is undefined.
    starts : array of shape (k + 1,), int32
        Where the rows of each label begin.
    places : array of shape (units, k), int32
        Rows of each label up to the end of each unit of ``unit_rows`` rows.
    unit_rows : int
        A power of two.
    beyond : array of shape (1,), int32
        The largest label of k and more, whose rows are skipped; 0 if there is none.
    """

    rows: object
    starts: object
    places: object
    unit_rows: int
    beyond: object


def as_device_labels(labels, length, n_labels, limit):
    """Return int32 labels on the device, negative ones negative; :func:`check_labels` comes later.

    Only of a type that int32 does not hold are they looked at, and refused, here.
    """
    if length > _MOST_ROWS:
        raise ValueError(f"X must have at most {_MOST_ROWS} rows on a CUDA device, got {length}")
    if is_device_array(labels):
        labels = active().asarray(labels)
        if labels.dtype.kind in "iu" and not np.can_cast(labels.dtype, np.int32) and labels.size:
            most = int(labels.max())
            if most >= n_labels:
                raise ValueError(_too_large(limit, n_labels, most))
            if labels.dtype.kind == "i":
                labels = np.maximum(labels, -1)  # one below the int32 range must not wrap around
            labels = labels.astype(np.int32)
    return as_device_integers("labels", labels, length, np.int32)


def _too_large(limit, n_labels, most):
    return f"labels must be below {limit}={n_labels}, got {most}"


def check_labels(order, limit):
    """Refuse labels that are too large, once the device has looked at all of them."""
    most = int(order.beyond[0])
    if most:
        raise ValueError(_too_large(limit, len(order.starts) - 1, most))


def sort_rows(labels, n_labels):
    """Sort rows by labels that :func:`as_device_labels` has returned."""
    runtime = active()
    n, k = len(labels), np.int64(n_labels)
    unit_rows = _UNIT_ROWS
    while unit_rows < min(n, _MOST_UNIT_ROWS) and -(-n // unit_rows) * n_labels > _MOST_PLACES:
        unit_rows *= 2
    units = max(1, -(-n // unit_rows))
    places = runtime.zeros((units, n_labels), np.int32)
    beyond = runtime.zeros((1,), np.int32)
    totals, starts = (runtime.empty((n_labels + extra,), np.int32) for extra in (0, 1))
    rows = runtime.empty((max(n, 1),), np.int32)
    size = np.int64(n), np.int32(unit_rows), k
    runtime.launch(_COUNT, units, labels, *size, places, beyond)
    runtime.launch(
        _SCAN_UNITS, -(-n_labels // _SCAN_LABELS_AT_ONCE), places, np.int64(units), k, totals
    )
    runtime.launch(_SCAN_LABELS, 1, totals, k, starts)
    runtime.launch(_PLACE, units, labels, *size, starts, places, rows)
    return SortedRows(rows, starts, places, unit_rows, beyond)
