"""Tables that many tests share: what a kernel runs on, sizes, memory layouts, bad input."""

from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusterlib.kernels import Metric, available_backends

METRICS = [metric.name.lower() for metric in Metric]
DTYPES = [np.float32, np.float64]

# Around every width of a register, a tile or a loop that an implementation may have.
SIZES = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 257]
# (n, m, d): every size in every place, each with four partners; d = 0 is bad input.
SHAPES = sorted(
    {
        (SIZES[i], SIZES[(a * i + b) % len(SIZES)], SIZES[(c * i + e) % len(SIZES)])
        for a, b, c, e in [(1, 0, 1, 0), (2, 3, 7, 5), (4, 1, 2, 8), (7, 11, 4, 2)]
        for i in range(len(SIZES))
        if SIZES[(c * i + e) % len(SIZES)] > 0
    }
)


class Target(NamedTuple):
    """A backend and, for the native one, the instruction set it is held to."""

    backend: str
    isa: str | None = None

    def __str__(self):
        return self.backend if self.isa is None else f"{self.backend}-{self.isa}"


def _targets():
    targets = [Target(name) for name in available_backends() if name != "native"]
    if "native" in available_backends():
        from clusterlib.kernels import _native

        targets += [Target("native", isa) for isa in _native.available_isas()]
    return targets


TARGETS = _targets()


@contextmanager
def _held_to(isa):
    from clusterlib.kernels import _native

    usual = _native.isa()
    _native.set_isa(isa)
    try:
        yield
    finally:
        _native.set_isa(usual)


def running_on(target):
    """Context in which the native backend is held to the target's instruction set."""
    return nullcontext() if target.isa is None else _held_to(target.isa)


def _read_only(array, folder):
    array = np.array(array, order="C")
    array.flags.writeable = False
    return array


def _memory_mapped(array, folder):
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def _strided(array, folder):
    wide = np.zeros((2 * array.shape[0], 3 * array.shape[1] + 1), dtype=array.dtype)
    view = wide[::2, 1::3]
    view[...] = array
    return view


def _reversed(array, folder):
    return np.array(array[::-1, ::-1], order="C")[::-1, ::-1]


def _fortran(array, folder):
    return np.array(array, order="F")


def _long_rows(array, folder):
    # Rows 4096 bytes apart fall into few sets of a cache; some implementations treat them apart.
    row = 4096 // array.dtype.itemsize * (1 + array.nbytes // max(1, len(array)) // 4096)
    view = np.zeros((len(array), row), dtype=array.dtype)[:, : array.shape[1]]
    view[...] = array
    return view


def _byte_swapped(array, folder):
    return array.astype(array.dtype.newbyteorder())


def _misaligned(array, folder):
    buffer = np.zeros(array.nbytes + 1, dtype=np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


# name -> function(array, folder): the same values laid out differently, passed through uncopied.
LAYOUTS = {
    "read_only": _read_only,
    "memory_mapped": _memory_mapped,
    "strided": _strided,
    "reversed": _reversed,
    "fortran": _fortran,
    "long_rows": _long_rows,
}
# These have to be copied, but mean the same.
COPIED_LAYOUTS = {"byte_swapped": _byte_swapped, "misaligned": _misaligned}


class Bad(NamedTuple):
    """Input that is refused: ``make(good matrix)`` raises ``error`` matching ``message``."""

    name: str
    make: object
    error: type
    message: str  # {name} stands for the argument

    def __str__(self):
        return self.name


def _with(value):
    def make(good):
        bad = np.array(good)
        bad[len(bad) // 2, -1] = value
        return bad

    return make


def _masked(good):
    return np.ma.MaskedArray(good, mask=np.eye(*good.shape, dtype=bool))


_NOT_FINITE = "{name} contains NaN or infinity"
_TWO_DIMENSIONS = "{name} must have 2 dimensions"
_NUMBERS = "{name} must be an array of (real )?numbers"

BAD_MATRICES = [
    Bad("nan", _with(np.nan), ValueError, _NOT_FINITE),
    Bad("infinity", _with(np.inf), ValueError, _NOT_FINITE),
    Bad("minus_infinity", _with(-np.inf), ValueError, _NOT_FINITE),
    Bad("scalar", lambda good: 3.0, ValueError, _TWO_DIMENSIONS),
    Bad("one_dimension", lambda good: good[0], ValueError, _TWO_DIMENSIONS),
    Bad("three_dimensions", lambda good: good[None], ValueError, _TWO_DIMENSIONS),
    Bad("no_features", lambda good: good[:, :0], ValueError, "{name} must have at least 1 feature"),
    Bad("object", lambda good: np.full(good.shape, object()), TypeError, _NUMBERS),
    Bad("strings", lambda good: np.full(good.shape, "a"), TypeError, _NUMBERS),
    Bad(
        "strings_in_object",
        lambda good: np.full(good.shape, "a", object),
        TypeError,
        _NUMBERS,
    ),
    Bad("complex", lambda good: good.astype(complex), TypeError, _NUMBERS),
    Bad("dates", lambda good: np.zeros(good.shape, dtype="M8[s]"), TypeError, _NUMBERS),
    Bad("ragged", lambda good: [[1.0, 2.0], [3.0]], TypeError, _NUMBERS),
    Bad("sparse", lambda good: sparse.csr_array(good), TypeError, "{name} is sparse"),
    Bad("masked", _masked, TypeError, "{name} has masked entries"),
]
