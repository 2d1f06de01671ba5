"""Data for a case: generated, seeded, the same for every contestant."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.cases import Case

SAMPLED_ROWS = 100


class Fit(NamedTuple):
    """Answer of a ``fit``: final centres (k, d) and the number of iterations that were made."""

    centers: np.ndarray
    n_iter: int


@dataclass(frozen=True)
class Problem:
    """What a contestant is given. ``rows`` are the rows on which long answers are checked."""

    case: Case
    X: np.ndarray
    Y: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    threads: int
    backend: str | None = None

    @property
    def inverse_temperature(self) -> float:
        """Of a log-sum-exp: about 1 / spread of the distances, so that no term can be skipped."""
        return 1.0 / self.case.d


def _gaussian(rng, case):
    """Unstructured: the hardest data for anything that skips work."""
    return _normal(rng, case, case.n), _normal(rng, case, case.k)


def _clustered(rng, case):
    """As many blobs as centres; neighbours touch (their middle is about two deviations away)."""
    blobs = _normal(rng, case, case.k) * np.asarray(4 / np.sqrt(2 * case.d), case.dtype)
    X = _normal(rng, case, case.n) + blobs[rng.integers(case.k, size=case.n)]
    return X, blobs + 0.1 * _normal(rng, case, case.k)


def _separated(rng, case):
    """As many blobs as centres, twice as far from each other as their points from their middle."""
    blobs = _normal(rng, case, case.k) * np.asarray(1.5, case.dtype)
    X = _normal(rng, case, case.n) + blobs[rng.integers(case.k, size=case.n)]
    return X, blobs + 0.1 * _normal(rng, case, case.k)


def _sphere(rng, case):
    """Embeddings: rows of length one."""
    return tuple(A / np.linalg.norm(A, axis=1, keepdims=True) for A in _gaussian(rng, case))


def _offset(rng, case):
    """A mean a thousand deviations away: squared norms cancel."""
    return tuple(A + 1000 for A in _gaussian(rng, case))


def _far(rng, case):
    """One centre far from everything: spoils any shift by the mean."""
    X, Y = _gaussian(rng, case)
    Y[-1] += 1e4
    return X, Y


def _ties(rng, case):
    """Small integers: many exactly equal distances."""
    return rng.integers(0, 3, (case.n, case.d)), rng.integers(0, 3, (case.k, case.d))


KINDS = {
    "gaussian": _gaussian,
    "clustered": _clustered,
    "separated": _separated,
    "sphere": _sphere,
    "offset": _offset,
    "far": _far,
    "ties": _ties,
}


def _normal(rng, case, rows):
    return rng.standard_normal((rows, case.d), dtype=case.dtype)


def make_problem(case: Case, threads: int, backend: str | None = None) -> Problem:
    """Generate the data of a case; a ``fit`` starts at k different rows of X."""
    rng = np.random.default_rng(0)
    X, Y = (np.ascontiguousarray(A, dtype=case.dtype) for A in KINDS[case.data](rng, case))
    if case.op == "fit":
        Y = X[rng.choice(case.n, case.k, replace=False)]
    labels = rng.integers(case.k, size=case.n).astype(np.int32)
    rows = np.sort(rng.choice(case.n, min(case.n, SAMPLED_ROWS), replace=False))
    return Problem(case, X, Y, labels, rows, threads, backend)
