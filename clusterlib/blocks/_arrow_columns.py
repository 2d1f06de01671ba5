"""Columns of an Arrow schema that hold the rows of X, and their values as matrices."""

from typing import NamedTuple

import numpy as np

__all__ = ["Columns", "choose_columns"]


class Columns(NamedTuple):
    """Which columns hold X, and what they hold.

    Attributes
    ----------
    origin : str
        What has the columns, for messages.
    names : list of str
        One column of vectors, or one column for each feature.
    of_vectors : bool
        Which of the two.
    width : int or None
        Number of features; None where the lists themselves must tell.
    dtype : dtype
        float32 or float64, what the values are served as.
    """

    origin: str
    names: list
    of_vectors: bool
    width: int | None
    dtype: np.dtype

    def matrix(self, batch, first_row):
        """Return the rows of a record batch, a view where Arrow's memory allows one.

        Errors name rows by their number in the origin, ``first_row`` is that of the first one.
        """
        arrays = [batch.column(name) for name in self.names]
        for name, array in zip(self.names, arrays, strict=True):
            if array.null_count:
                row = first_row + _first_null(array)
                raise ValueError(
                    f"column {name!r} of {self.origin} is null in row {row}; fill or drop such "
                    "rows first"
                )
        if not self.of_vectors:
            matrix = np.empty((batch.num_rows, len(arrays)), self.dtype)
            for place, array in enumerate(arrays):
                matrix[:, place] = array.to_numpy(zero_copy_only=False)
            return matrix
        return self._vectors(arrays[0], first_row)

    def with_width(self, array):
        """Return the columns with the length of the first list of an array as their width."""
        array = getattr(array, "storage", array)
        name = f"column {self.names[0]!r} of {self.origin}"
        if not array[0].is_valid:
            raise ValueError(f"{name} is null in row 0; fill or drop such rows first")
        if not (width := len(array[0])):
            raise ValueError(f"{name} has no values in row 0, at least 1 is needed")
        return self._replace(width=width)

    def _vectors(self, array, first_row):
        name = self.names[0]
        array = getattr(array, "storage", array)  # of an extension type, such as a tensor
        width = self.width
        if not hasattr(array.type, "list_size"):
            lengths = array.value_lengths().to_numpy(zero_copy_only=False)
            if (other := lengths != width).any():
                row = int(np.argmax(other))
                raise ValueError(
                    f"column {name!r} of {self.origin} has {lengths[row]} values in row "
                    f"{first_row + row} and {width} in row 0; all rows must have the same number"
                )
        values = array.flatten()  # heeds the offset of a slice, as .values does not
        if values.null_count:
            row, place = divmod(_first_null(values), width)
            raise ValueError(
                f"column {name!r} of {self.origin} has a null in row {first_row + row}, place "
                f"{place}; every value must be a finite number"
            )
        return values.to_numpy(zero_copy_only=False).reshape(len(array), width)


def _first_null(array):
    return int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))


def choose_columns(schema, column, origin="X"):
    """Choose the columns of X.

    Parameters
    ----------
    schema : pyarrow.Schema
        Names and types.
    column : str or None
        Name of the column of vectors. None takes the only one there is, or all columns where each
        holds one number for each row.
    origin : str, default="X"
        What has the columns, for messages.

    Returns
    -------
    columns : Columns
        The choice.

    Raises
    ------
    TypeError
        If the column does not hold vectors of real numbers.
    ValueError
        If there is no such column, or none or several that could be meant: all are listed.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from clusterlib.blocks._arrow_columns import choose_columns
    >>> vectors = pa.list_(pa.float32(), 3)
    >>> schema = pa.schema([("name", pa.string()), ("embedding", vectors)])
    >>> choose_columns(schema, None).names
    ['embedding']
    """
    types = {field.name: field.type for field in schema}
    if len(types) < len(schema):
        raise ValueError(f"{origin} has several columns of one name: {_listed(schema)}")
    if column is None:
        of_lists = [name for name, kind in types.items() if _is_number(_item_type(kind))]
        if len(of_lists) != 1:
            if types and all(map(_is_number, types.values())):
                return Columns(origin, [*types], False, len(types), _served(types.values()))
            raise ValueError(
                f"{origin} has {len(of_lists)} columns of vectors, give column= the name of one; "
                f"its columns are {_listed(schema)}"
            )
        column = of_lists[0]
    if column not in types:
        raise ValueError(f"{origin} has no column {column!r}; its columns are {_listed(schema)}")
    kind, item = types[column], _item_type(types[column])
    if not _is_number(item):
        raise TypeError(
            f"column {column!r} of {origin} must hold vectors of real numbers, got {kind}"
        )
    width = getattr(getattr(kind, "storage_type", kind), "list_size", None)
    if width == 0:
        raise ValueError(
            f"column {column!r} of {origin} must hold at least 1 value in each row, got 0"
        )
    return Columns(origin, [column], True, width, _served([item]))


def _item_type(kind):
    """Type of the items of a list type, or of what an extension type stores; None of others."""
    import pyarrow.types

    kind = getattr(kind, "storage_type", kind)
    lists = (pyarrow.types.is_list, pyarrow.types.is_large_list, pyarrow.types.is_fixed_size_list)
    return kind.value_type if any(is_one(kind) for is_one in lists) else None


def _is_number(kind):
    import pyarrow.types

    numbers = (pyarrow.types.is_floating, pyarrow.types.is_integer, pyarrow.types.is_boolean)
    return kind is not None and any(is_one(kind) for is_one in numbers)


def _served(kinds):
    narrow = all(str(kind) in {"halffloat", "float"} for kind in kinds)
    return np.dtype(np.float32 if narrow else np.float64)


def _listed(schema):
    """Names and types for a message, the first ones of many."""
    shown = [f"{field.name!r} ({field.type})" for field in schema][:20]
    return ", ".join(shown) + (", ..." if len(schema) > 20 else "")
