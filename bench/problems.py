"""Data for a case: generated, seeded, the same for every contestant."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bench import pairings, quotas
from bench.cases import QUOTAS, SDP, TRANSPORT, Case
from bench.race import Difference

SAMPLED_ROWS = 100
BLOCK = 1024
MEASURED_COSTS = 1_000_000_000


class Fit(NamedTuple):
    """Answer of a ``fit``: final centres (k, d) and the number of iterations that were made."""

    centers: np.ndarray
    n_iter: int


class Potentials(NamedTuple):
    """Answer of a transport problem: the plan is ``exp((f_i + g_j - C_ij) / epsilon)``.

    ``sweeps`` is the number of iterations of a ``solve``.
    """

    f: np.ndarray
    g: np.ndarray
    sweeps: int = 0


class Simplex(NamedTuple):
    """Answer of a semidefinite program: ``Z = W D^-1 W'`` with D the column sums of W (n, r).

    ``group`` tells the group of a column where there are several; None stands for one group.
    """

    W: np.ndarray
    n_iter: int = 0
    group: np.ndarray | None = None


class Factor(NamedTuple):
    """Answer of a semidefinite program: ``Z = U U'`` with U (n, r)."""

    U: np.ndarray
    n_iter: int = 0


class Matrices(NamedTuple):
    """Answer of a semidefinite program: the matrices (groups, n, n) themselves."""

    Z: np.ndarray
    n_iter: int = 0


class Bound(NamedTuple):
    """Answer of a ``certificate`` or ``bound``: no k-means cost is below ``lower``.

    W, if there is one, is the factor of a relaxation whose value the bound is meant to meet.
    """

    lower: float
    W: np.ndarray | None = None


@dataclass(frozen=True)
class Problem:
    """What a contestant is given. ``rows`` are the rows on which long answers are checked.

    With several problems X and Y have three axes, and ``rows`` are problems. The weights of a
    transport problem are uniform. Of a semidefinite program ``labels`` are the planted clusters
    and Y their centres.
    """

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

    @cached_property
    def cost(self) -> np.ndarray:
        """Squared distances of a transport problem, (n, k) or (problems, n, k); the largest is 1.

        The points were scaled for that; of ``codes``: the scores of their rows, cosines; of
        ``QUOTAS``: the squared distances in float64; of a ``pairing`` see ``pairings``.
        """
        if self.case.op in QUOTAS:
            return quotas.costs(self.X, self.Y)
        if self.case.op == "pairing":
            return pairings.costs(self)
        if self.case.op == "codes":
            return self.X @ self.Y.T
        return np.concatenate([squared_distances(x, self.Y) for x in row_blocks(self.X)])

    @cached_property
    def kernel(self) -> np.ndarray:
        """``exp(-cost / epsilon)``."""
        kernel = self.cost / np.asarray(-self.case.epsilon, self.case.dtype)
        return np.exp(kernel, out=kernel)

    @cached_property
    def covariances(self) -> np.ndarray:
        """Of the groups of ``ellipsoids``: the same variances along axes in different orders."""
        return np.array([np.diag(_variances(self.case, k)) for k in range(self.case.k)])

    def weights(self, dtype: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Uniform weights of the rows and columns of every problem."""
        lead = self.X.shape[:-2]
        sizes = (self.case.n, self.case.k)
        return tuple(np.full((*lead, size), 1 / size, dtype or self.case.dtype) for size in sizes)

    def per_iteration(self, run: Callable[[int], object]) -> Difference:
        """The time of one iteration of ``run(number of iterations)``."""
        return Difference(run, *self.case.counts)


def row_blocks(A: np.ndarray) -> list[np.ndarray]:
    """A in blocks of rows; many small problems as one block."""
    return [A] if A.ndim == 3 else [A[s : s + BLOCK] for s in range(0, len(A), BLOCK)]


def squared_distances(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Squared distances of points whose norms are alike, so that little cancels."""
    squared = X @ np.swapaxes(-2 * Y, -1, -2)
    squared += np.einsum("...ij,...ij->...i", X, X)[..., :, None]
    squared += np.einsum("...ij,...ij->...i", Y, Y)[..., None, :]
    return np.maximum(squared, 0, out=squared)


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


def _balls(rng, case):
    """Unit noise around centres that are all equally far apart; row i is in cluster i modulo k."""
    centers = (case.separation or 6.0) / np.sqrt(2) * np.eye(case.k, case.d)
    X = _normal(rng, case, case.n)
    X += centers.astype(case.dtype)[np.arange(case.n) % case.k]
    return X, centers


def _ellipsoids(rng, case):
    """The same centres, and noise whose long axes differ from group to group."""
    X, centers = _balls(rng, case)
    for k in range(case.k):
        scales = np.sqrt(_variances(case, k)).astype(case.dtype)
        middle = centers[k].astype(case.dtype)
        X[k :: case.k] = (X[k :: case.k] - middle) * scales + middle
    return X, centers


def _variances(case, k):
    return np.roll(np.geomspace(4, 0.25, case.d), k * case.d // case.k)


KINDS = {
    "gaussian": _gaussian,
    "clustered": _clustered,
    "separated": _separated,
    "sphere": _sphere,
    "offset": _offset,
    "far": _far,
    "ties": _ties,
    "balls": _balls,
    "ellipsoids": _ellipsoids,
    "zipf": quotas.zipf,
    "uniform": pairings.uniform,
    "integers": pairings.integers,
    "products": pairings.products,
}


def _normal(rng, case, rows):
    return rng.standard_normal((rows, case.d), dtype=case.dtype)


def _unit(A):
    return A / np.linalg.norm(A, axis=-1, keepdims=True)


def _transport(rng, case):
    """Points on the sphere, scaled so that the largest squared distance is 1; rows for ``codes``.

    Episodes: a support point for each of n classes, and k queries that take the classes in turn.
    """
    lead = (case.problems,) * (case.problems > 1)
    X, Y = (rng.standard_normal((*lead, m, case.d), dtype=case.dtype) for m in (case.n, case.k))
    if case.op == "episodes":
        middles = rng.standard_normal(X.shape, dtype=case.dtype) / 2  # errors are made
        return X + middles, Y + middles[..., np.arange(case.k) % case.n, :]
    if case.data == "clustered":  # twenty blobs of different sizes on either side
        middles = rng.standard_normal((20, case.d), dtype=case.dtype)
        X, Y = (middles[rng.integers(20, size=len(A))] + A / 2 for A in (X, Y))
    X, Y = _unit(X), _unit(Y)
    if case.op == "codes":
        return X, Y
    largest = 4.0  # on the sphere; the true one where looking for it does not take too long
    if case.n * case.k <= MEASURED_COSTS:
        largest = max(squared_distances(x, Y).max() for x in row_blocks(X))
    return X / np.sqrt(largest), Y / np.sqrt(largest)


def make_problem(case: Case, threads: int, backend: str | None = None, *, seed: int = 0) -> Problem:
    """Generate the data of a case; a ``fit`` starts at k different rows of X."""
    rng = np.random.default_rng(seed)
    generate = _transport if case.op in TRANSPORT else KINDS[case.data]
    X, Y = (np.ascontiguousarray(A, dtype=case.dtype) for A in generate(rng, case))
    if case.op == "fit":
        Y = X[rng.choice(case.n, case.k, replace=False)]
    labels = rng.integers(case.k, size=case.n).astype(np.int32)
    if case.op in SDP:
        labels = (np.arange(case.n) % case.k).astype(np.int32)
    rows = np.sort(rng.choice(len(X), min(len(X), SAMPLED_ROWS), replace=False))
    return Problem(case, X, Y, labels, rows, threads, backend)
