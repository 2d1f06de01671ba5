"""Names for the types of arguments and answers, for annotations and type checkers.

No module loads this one when it runs; annotations name it for type checkers alone. Arrays on a CUDA
device, where a function takes them, are not told apart from those of NumPy, whose methods they
have.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, Union

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array, sparray, spmatrix

    from clusterlib.blocks import Blocks

__all__ = [
    "Array",
    "ArrayLike",
    "Backend",
    "BoolArray",
    "Carrier",
    "Classifier",
    "CsrArray",
    "DTypeLike",
    "Float32Array",
    "Float64Array",
    "FloatArray",
    "IndexArray",
    "Int32Array",
    "Int64Array",
    "IntArray",
    "MetricName",
    "RandomState",
    "Rows",
    "SparseMatrix",
    "SupportsArray",
    "Weights",
]


class SupportsArray(Protocol):
    """An array of NumPy or of another library, a data frame, a column of one."""

    def __array__(self) -> NDArray[Any]: ...
    def __len__(self) -> int: ...


class Classifier(Protocol):
    """A classifier in the manner of scikit-learn."""

    def fit(self, X: Any, y: Any, /) -> Any: ...
    def predict(self, X: Any, /) -> Any: ...


ArrayLike: TypeAlias = SupportsArray | list[Any] | tuple[Any, ...] | range
"""What NumPy makes an array of, but for a single text, so that misspelt options are found."""

Array: TypeAlias = NDArray[Any]
"""An array whose dtype is that of something else, labels for example."""

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""An array of float32 or float64."""

Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.integer[Any]]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]
IndexArray: TypeAlias = NDArray[np.intp]
BoolArray: TypeAlias = NDArray[np.bool_]

CsrArray: TypeAlias = "csr_array"
SparseMatrix: TypeAlias = Union["sparray", "spmatrix"]

Rows: TypeAlias = Union[ArrayLike, "Blocks"]
"""Rows in memory, or in a carrier: what solvers take."""

Carrier: TypeAlias = Union[
    ArrayLike,
    "Blocks",
    str,
    os.PathLike[str],
    Sequence[str | os.PathLike[str]],
    Callable[[], Iterable[ArrayLike]],
    Iterable[ArrayLike],
]
"""Rows in memory, on disk, on other machines or in batches: what ``as_blocks`` takes."""

Weights: TypeAlias = float | ArrayLike | None
"""A weight of every row, the same for all of them, or 1."""

RandomState: TypeAlias = int | np.random.RandomState | None
Backend: TypeAlias = Literal["auto", "native", "numba", "reference"] | None
MetricName: TypeAlias = Literal["sqeuclidean", "euclidean", "cosine", "inner_product"]
