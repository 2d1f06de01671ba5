"""Embeddings that somebody has computed and put into a folder; nothing is downloaded."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from sklearn.utils import Bunch

from clusterlib.validation import checked_flag

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import DTypeLike, FloatArray, IndexArray

__all__ = ["load_embeddings"]

_KEYS = ("X", "y", "classes")


def _default_folder():
    """Where caches of the user live on this system."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clusterlib"


@overload
def load_embeddings(
    name: str, *, dtype: DTypeLike = ..., return_X_y: Literal[False] = ...
) -> Bunch: ...
@overload
def load_embeddings(
    name: str, *, dtype: DTypeLike = ..., return_X_y: Literal[True]
) -> tuple[FloatArray, IndexArray]: ...
def load_embeddings(
    name: str, *, dtype: DTypeLike = np.float32, return_X_y: bool = False
) -> Bunch | tuple[FloatArray, IndexArray]:
    """Load labelled embeddings from a file that was put into the data folder.

    The folder is named by the environment variable ``CLUSTERLIB_DATA``; without it, it is the
    folder ``clusterlib`` among the user's caches (``~/.cache/clusterlib`` on Linux). The file
    ``<name>.npz`` holds ``X`` of shape (n_samples, n_features), any floating dtype, ``y`` of shape
    (n_samples,), integer indices into ``classes``, and ``classes``, strings. Benches use
    "reuters-r8-train", "reuters-r8-test", "20newsgroups-train" and "20newsgroups-test",
    sentence embeddings of these corpora.

    Parameters
    ----------
    name : str
        Name of the file without its suffix.
    dtype : dtype, default=float32
        Type of the rows; None keeps the stored one, often float16.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of the bunch.

    Returns
    -------
    embeddings : Bunch
        ``data``, ndarray of shape (n_samples, n_features) in the dtype asked for; ``target``,
        ndarray of shape (n_samples,), intp; ``target_names``, ndarray of shape (n_classes,).

    Raises
    ------
    FileNotFoundError
        If the file is not there; the message says what to put where.
    ValueError
        If the name contains a path, or the file is not as described.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest.mock import patch
    >>> import numpy as np
    >>> from clusterlib.datasets import load_embeddings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     X = np.eye(3, dtype=np.float16)
    ...     np.savez(os.path.join(folder, "own.npz"), X=X, y=[0, 1, 0], classes=["a", "b"])
    ...     with patch.dict(os.environ, {"CLUSTERLIB_DATA": folder}):
    ...         embeddings = load_embeddings("own")
    >>> embeddings.data.dtype, embeddings.target_names[embeddings.target].tolist()
    (dtype('float32'), ['a', 'b', 'a'])
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"name must be a file name without folder and suffix, got {name!r}")
    return_X_y = checked_flag("return_X_y", return_X_y)
    folder = os.environ.get("CLUSTERLIB_DATA")
    path = (Path(folder) if folder else _default_folder()) / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"there are no embeddings {str(path)!r}: put a file of this name there, written by "
            "numpy.savez with X (n_samples, n_features), y (indices into classes) and classes, "
            "or name another folder in the environment variable CLUSTERLIB_DATA"
        )
    data, target, names = _read(path)
    if dtype is not None:
        data = data.astype(dtype, copy=False)
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, target_names=names)


def _read(path):
    with np.load(path, allow_pickle=False) as file:
        if missing := [key for key in _KEYS if key not in file]:
            raise ValueError(f"{path} lacks {', '.join(missing)}; it must hold {', '.join(_KEYS)}")
        X, y, classes = (file[key] for key in _KEYS)
    if X.ndim != 2 or X.dtype.kind != "f":
        raise ValueError(f"X in {path} must be a floating matrix, got {X.dtype} of shape {X.shape}")
    if y.shape != X.shape[:1] or y.dtype.kind not in "iu" or classes.ndim != 1:
        raise ValueError(f"y in {path} must hold an integer for each of the {len(X)} rows of X")
    if len(y) and not (0 <= y.min() and y.max() < len(classes)):
        raise ValueError(f"y in {path} must hold indices into its {len(classes)} classes")
    return X, y.astype(np.intp), classes
