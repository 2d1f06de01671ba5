"""Files that are written as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels.checks import checked_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

    from clusterlib.typing import Array

__all__ = ["replacing", "write_npy"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` once everything is written.

    Parameters
    ----------
    path : str or path-like
        The file to write. Where it is a symbolic link, the file behind it is replaced.

    Yields
    ------
    file : binary file
        Lies beside ``path`` under a hidden name that ends in ``.part``.

    Raises
    ------
    FileNotFoundError
        If the folder of ``path`` does not exist.
    IsADirectoryError
        If ``path`` is a folder.
    OSError
        If the disk is full or cannot be written to.

    Notes
    -----
    Whatever is raised inside, ``KeyboardInterrupt`` included, what was written is removed and an
    old file under that name stays as it was. The data reach the disk before the name does, so
    that a crash of the machine leaves the old file or the new one.

    Examples
    --------
    >>> import os, tempfile
    >>> from clusterlib.blocks import replacing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(os.path.join(folder, "note")) as file:
    ...         _ = file.write(b"whole")
    ...     os.listdir(folder)
    ['note']
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: its folder does not exist")
    # The name of the target is left out: with anything added it might be too long.
    temporary = target.parent / f".{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder):
    """Have the names in a folder written to the disk, where the system offers it."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):  # the file is in place; some file systems refuse this
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def write_npy(path: str | os.PathLike[str], parts: Iterable[Array], *, n_samples: int) -> None:
    """Write rows that come in parts as one ``.npy`` file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        The file to write; it is replaced when all rows are written.
    parts : iterable of arrays of shape (n, ...)
        Parts of the rows in order, of one dtype and equal but for the number of rows. At least
        one, which may have no rows.
    n_samples : int
        Number of rows of all parts.

    Raises
    ------
    ValueError
        If there is no part, the parts differ, or their rows do not add up to ``n_samples``.
    TypeError
        If the parts hold Python objects, or ``n_samples`` is not an integer.
    OSError
        If the file cannot be written, see :func:`replacing`.

    Notes
    -----
    One part is in memory at a time.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from clusterlib.blocks import write_npy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels.npy")
    ...     write_npy(path, (np.full(2, i) for i in range(3)), n_samples=6)
    ...     np.load(path)
    array([0, 0, 1, 1, 2, 2])
    """
    n_samples = checked_integer("n_samples", n_samples, 0, 2**62)
    kind, written = None, 0
    with replacing(path) as file:
        for part in parts:
            part = np.asarray(part)
            if part.ndim == 0 or part.dtype.hasobject:
                raise TypeError(
                    f"parts must be arrays of numbers or text with at least 1 dimension, got "
                    f"shape {part.shape} and dtype {part.dtype}"
                )
            if kind is None:
                kind = part.dtype, part.shape[1:]
                header = {
                    "descr": np.lib.format.dtype_to_descr(part.dtype),
                    "fortran_order": False,
                    "shape": (n_samples, *part.shape[1:]),
                }
                np.lib.format.write_array_header_1_0(file, header)
            if (part.dtype, part.shape[1:]) != kind:
                raise ValueError(
                    f"all parts must have dtype {kind[0]} and rows of shape {kind[1]} as the "
                    f"first one, got {part.dtype} and {part.shape[1:]} from row {written}"
                )
            written += len(part)
            if written > n_samples:
                break
            # As bytes: not every dtype can be written as it is.
            file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        if kind is None:
            raise ValueError("there are no parts to write; a file of 0 rows needs an empty part")
        if written != n_samples:
            many = "more than" if written > n_samples else "only"
            raise ValueError(
                f"the parts must have n_samples={n_samples} rows, got {many} "
                f"{min(written, n_samples)}"
            )
