"""A file that keeps a k-means fit through the death of its process."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

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
            if name not in stored or stored[name] != value:
                raise ValueError(
                    f"checkpoint {str(self._path)!r} belongs to another fit: it has "
                    f"{name}={stored.get(name)}, this fit has {name}={value}. Delete the file to "
                    "start afresh"
                )
        best = None
        if len(stored["best_centers"]):
            history = stored["best_history"]
            inertia, converged = float(stored["best_inertia"]), bool(stored["best_converged"])
            n_relocated = int(stored["best_n_relocated"])
            best = LloydResult(
                None, stored["best_centers"], inertia, len(history), converged, n_relocated, history
            )
        counts = int(stored["start"]), stored["centers"], stored["history"]
        n_relocated, tol = int(stored["n_relocated"]), float(stored["tolerance"])
        return FitState(stored["seeds"], *counts, n_relocated, best, tol)

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
            with self._path.open("rb") as opened, ZipFile(opened):  # or NumPy takes other kinds
                opened.seek(0)
                with np.load(opened, allow_pickle=False) as file:
                    stored = {name: file[name] for name in file.files}
            version = int(stored["version"])
        except (BadZipFile, OSError, TypeError, ValueError, KeyError, EOFError) as error:
            raise ValueError(
                f"checkpoint {str(self._path)!r} is no checkpoint of clusterlib: {error}. Delete "
                "the file to start afresh"
            ) from error
        if version != _VERSION:
            raise ValueError(
                f"checkpoint {str(self._path)!r} has version {version}, this clusterlib reads "
                f"version {_VERSION}. Delete the file to start afresh"
            )
        return stored

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
