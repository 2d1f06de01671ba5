"""A file that keeps a k-means fit through the death of its process."""

import hashlib
import math
import os
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from clusterlib.blocks import replacing
from clusterlib.solvers import LloydResult

__all__ = ["Checkpoint", "FitState", "checked_checkpoint", "digest"]

_VERSION = 1


class FitState(NamedTuple):
    """Where a fit with several starts is.

    Attributes
    ----------
    seeds : ndarray of shape (n_starts,), int
        Seeds of all starts.
    start : int
        Number of the start that is going on, from 0.
    centers : ndarray of shape (n_clusters, n_features)
        Its centres.
    history : ndarray of shape (n_iterations,), float64
        Squared moves in the iterations it has done.
    n_relocated : int
        Centres it has moved to far rows.
    best : LloydResult or None
        The best start that has ended, without labels.
    tol : float
        Squared moves at which starts end, in the scale of X.
    """

    seeds: np.ndarray
    start: int
    centers: np.ndarray
    history: np.ndarray
    n_relocated: int
    best: LloydResult | None
    tol: float


def checked_checkpoint(checkpoint):
    """Return the path of a checkpoint, or None.

    Parameters
    ----------
    checkpoint : None, str or path-like
        The parameter of an estimator.

    Returns
    -------
    path : None or pathlib.Path
        In a folder that exists.

    Raises
    ------
    TypeError, ValueError
        If it is no path, or its folder does not exist.

    Examples
    --------
    >>> from clusterlib.cluster._checkpoint import checked_checkpoint
    >>> checked_checkpoint(None)
    """
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(
            f"checkpoint must be None or the path of a file; got {type(checkpoint).__name__}"
        )
    path = Path(checkpoint)
    if path.is_dir() or not path.absolute().parent.is_dir():
        wrong = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise ValueError(f"checkpoint must be the path of a file; {str(path)!r} {wrong}")
    return path


def digest(array):
    """Return a short text that tells an array from others, whatever its size.

    Parameters
    ----------
    array : ndarray of any shape and dtype
        What a fit depends on and a checkpoint need not keep.

    Returns
    -------
    text : str
        32 hexadecimal digits of its bytes in C order.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster._checkpoint import digest
    >>> digest(np.zeros(3)) == digest(np.ones(3))
    False
    """
    return hashlib.blake2b(np.ascontiguousarray(array), digest_size=16).hexdigest()


class Checkpoint:
    """State of a fit in a file that is replaced as a whole after every iteration.

    Parameters
    ----------
    path : None or pathlib.Path
        Without one nothing is kept.
    identity : dict of str to str or int
        What has to be the same for a fit to go on from the file.

    Examples
    --------
    >>> from clusterlib.cluster._checkpoint import Checkpoint
    >>> Checkpoint(None, {}).load()
    """

    def __init__(self, path, identity):
        self._path = path
        self._identity = {name: np.array(value) for name, value in identity.items()}

    def load(self):
        """Return the :class:`FitState` of the file; None without a file."""
        if self._path is None or not self._path.exists():
            return None
        stored = self._stored()
        for name, value in self._identity.items():
            if name not in stored or not np.array_equal(stored[name], value):
                raise ValueError(
                    f"checkpoint {str(self._path)!r} belongs to another fit: it has "
                    f"{name}={stored.get(name)}, this fit has {name}={value}. Delete the file to "
                    "start afresh"
                )
        try:
            return _state_of(stored)
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise self._no_checkpoint(error) from error

    def check_tol(self, state, tol):
        """Refuse rows of the same shape whose variance, in which ``tol`` is counted, is another."""
        if not np.isclose(state.tol, tol, rtol=1e-6, atol=0.0):  # machines may round differently
            raise ValueError(
                f"checkpoint {str(self._path)!r} belongs to another fit: starts end at squared "
                f"moves of {state.tol:.7g} there and {tol:.7g} here, so X has changed. Delete the "
                "file to start afresh"
            )

    def _stored(self):
        try:
            with self._path.open("rb") as opened, ZipFile(opened) as members:
                _check_members(members, os.fstat(opened.fileno()).st_size)
                opened.seek(0)
                with np.load(opened, allow_pickle=False) as file:
                    stored = {name: file[name] for name in file.files}
            version = int(stored["version"])
        except (MemoryError, PermissionError):
            raise  # says nothing of what the file holds
        except Exception as error:  # whatever the readers of ZIP and NumPy stumble over
            raise self._no_checkpoint(error) from error
        if version != _VERSION:
            raise ValueError(
                f"checkpoint {str(self._path)!r} has version {version}, this clusterlib reads "
                f"version {_VERSION}. Delete the file to start afresh"
            )
        return stored

    def _no_checkpoint(self, error):
        return ValueError(
            f"checkpoint {str(self._path)!r} is no checkpoint of clusterlib: {error}. Delete the "
            "file to start afresh"
        )

    def save(self, state):
        """Write a :class:`FitState`; the old file stays whole until the new one is."""
        if self._path is None:
            return
        best = state.best
        arrays = {
            "version": _VERSION,
            "seeds": state.seeds,
            "start": state.start,
            "centers": state.centers,
            "history": np.asarray(state.history, dtype=np.float64),
            "n_relocated": state.n_relocated,
            "tolerance": state.tol,
            "best_centers": state.centers[:0] if best is None else best.centers,
            "best_history": np.zeros(0) if best is None else best.history,
            "best_inertia": np.inf if best is None else best.inertia,
            "best_converged": best is not None and best.converged,
            "best_n_relocated": 0 if best is None else best.n_relocated,
        }
        with replacing(self._path) as file:
            np.savez(file, **arrays, **self._identity)

    def remove(self):
        """Delete the file: the fit has ended."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _check_members(members, n_bytes):
    """Refuse arrays that the file has no bytes for: memory would be taken for them all the same."""
    for member in members.infolist():
        with members.open(member) as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            whole = math.prod(shape) * dtype.itemsize == member.file_size - file.tell()
        if member.compress_type != ZIP_STORED or member.file_size > n_bytes or not whole:
            raise ValueError(f"{member.filename} is not as long as it says")


def _state_of(stored):
    """The state in the arrays of a checkpoint, if they fit together."""
    seeds, start, centers = stored["seeds"], int(stored["start"]), stored["centers"]
    history, n_relocated, tol = stored["history"], stored["n_relocated"], stored["tolerance"]
    best_centers, best_history = stored["best_centers"], stored["best_history"]
    found = dict(zip(("n_clusters", "n_features"), centers.shape, strict=True), dtype=centers.dtype)
    fit_together = (
        seeds.ndim == history.ndim == best_history.ndim == 1
        and seeds.dtype.kind == "i"
        and 0 <= start < len(seeds)
        and all(str(stored.get(name, value)) == str(value) for name, value in found.items())
        and best_centers.shape in {centers.shape, (0, centers.shape[1])}
        and best_centers.dtype == centers.dtype
        and centers.dtype in (np.float32, np.float64)
        and history.dtype == best_history.dtype == np.float64
        and np.isfinite(centers).all()
        and np.isfinite(best_centers).all()
    )
    if not fit_together:
        raise ValueError("its arrays do not fit together")
    best = None
    if len(best_centers):
        inertia, converged = float(stored["best_inertia"]), bool(stored["best_converged"])
        moved = int(stored["best_n_relocated"])
        n_iter = len(best_history)
        best = LloydResult(None, best_centers, inertia, n_iter, converged, moved, best_history)
    return FitState(seeds, start, centers, history, int(n_relocated), best, float(tol))
