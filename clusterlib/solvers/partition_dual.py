"""Multipliers of the nonnegativity of a lifted partition, built from the partition itself.

Between the clusters a and b the multipliers are

    N_ij = u_i v_j (1 - t <y_i, J y_j>) / s,
    u_i = n_b / 2 (|x_i - m_b|^2 - |x_i - m_a|^2 - z c),   c = 1 / n_a + 1 / n_b,

v_j the same with the roles exchanged, and u clipped at 0. For t = 0 these are the rank-one blocks
of the certificate of Iguchi, Mixon, Peterson and Villar. The y_i are coordinates of the rows, less
their mean weighted by u, so that t changes no sum of a row of N. Without clipping, and off the
means of the clusters, the block of rank one is a negative multiple of the inner products along
``m_a - m_b``, larger than needed to cancel those of A, and nothing at all across. So J is -1 along
that line, to take the excess back, and 1 across, to cancel the inner products there, as far as
N stays nonnegative. A + N is of low rank for every n.
"""

from dataclasses import dataclass

import numpy as np

from clusterlib.solvers.eigenvalue_bounds import LowRank, dot_error

__all__ = ["ROOM", "Correction", "PartitionDual", "most_directions"]

# Above this many pairs of rows the largest inner product is bounded by norms.
_MOST_PAIRS = 20_000_000
ROOM = 1e-6  # of t below its limit, for the rounding of what the limit is computed from


@dataclass(frozen=True)
class Correction:
    """What orthogonal directions add to the blocks of rank one.

    Attributes
    ----------
    directions : ndarray of shape (p, q), float64
        Orthonormal; the leading principal directions of the rows within the clusters.
    radius : float
        Coordinates y longer than this, in units of their median length, are shortened to it. The
        longest ones limit t for all rows.
    overshoot : float
        How much to add back, relative to the term of other directions, of what the blocks of rank
        one take too much of along the line between the means.
    """

    directions: np.ndarray
    radius: float
    overshoot: float

    def basis(self, offset):
        """The direction of ``offset`` and orthonormal columns that complete the directions."""
        p, q = self.directions.shape
        full = np.linalg.qr(np.column_stack([offset, self.directions]))[0]
        return full[:, : min(q + 1, p)]


def most_directions(n_features, n_clusters, largest_core):
    """How many directions across keep the core small; -1 where not even the line fits."""
    pairs = n_clusters * (n_clusters - 1)
    fitting = (largest_core - n_features) // max(pairs, 1) - 2
    return max(-1, min(n_features - 1, fitting))


class PartitionDual:
    """The matrix A + N of a partition, as a product of few columns.

    Parameters
    ----------
    geometry : PartitionGeometry
        Rows and margins.
    z : float
        Multiplier of the trace.
    correction : Correction, default=None
        None leaves the blocks of rank one.
    pairs : bool, default=True
        False leaves N = 0.
    within : bool, default=False
        Take the columns less their means over the clusters, for the certificate; else N itself.

    Attributes
    ----------
    matrix : LowRank
        A + N, or its projection.
    sums : ndarray of shape (m,), float64
        Sums of the columns.
    strengths : dict
        (a, b) with a < b -> the factor t of the pair.

    Notes
    -----
    With q directions across there are ``m = p + K (K - 1) (2 + q)`` columns, of which the rows of
    one cluster meet ``p + (K - 1) (2 + q)``: O(n (p + K q)^2) time; 8 n K bytes for the weights,
    8 n_a K (2 + q) for the columns of the largest cluster, and m^2 numbers.
    """

    def __init__(self, geometry, z, correction=None, *, within=False, pairs=True):
        self.geometry, self.z, self.within = geometry, z, within
        self.correction = correction
        K = geometry.n_clusters
        p = geometry.rows.shape[1]
        self._pairs = [(a, b) for a in range(K) for b in range(K) if a != b and pairs]
        self._bases = self._pair_bases()
        width = 1 + (self._bases[0, 1].shape[1] if self._bases else 0)
        self._first = {pair: p + i * width for i, pair in enumerate(self._pairs)}
        self._width = width
        self._m = p + len(self._pairs) * width
        self._weights = {pair: self._clipped(*pair) for pair in self._pairs}
        self._sides = {}
        self.strengths = {}
        self.matrix, self.sums = self._assembled()

    def _pair_bases(self):
        if self.correction is None or not self._pairs:
            return {}
        bases = {}
        for a, b in self._pairs:
            bases[a, b] = (
                bases[b, a] if b < a else self.correction.basis(self.geometry.offsets[a, b])
            )
        return bases

    def _clipped(self, a, b):
        g = self.geometry
        rows = slice(*g.starts[a : a + 2])
        u = g.margins[rows, b] - self.z * g.inverse_sizes[a, b]
        return np.maximum(u, 0.0, out=u) * (0.5 * g.sizes[b])

    def _weighted_features(self, pair):
        """``u_i y_i`` of the first of two clusters, the y_i centred by the weights u."""
        u, rows = self._weights[pair], slice(*self.geometry.starts[pair[0] : pair[0] + 2])
        y = self.geometry.within(pair[0], rows) @ self._bases[pair]
        y[:, 0] *= np.sqrt(self._stretch(*pair))
        _shorten(y, self.correction.radius)
        mass = u.sum()
        if mass > 0:
            y -= (u @ y) / mass
        y *= u[:, None]
        return y

    def _keep_side(self, pair, weighted):
        """Keep of the y_i what the largest inner product with the other side will need."""
        u = self._weights[pair]
        y = weighted[u > 0] / u[u > 0, None]
        longest = np.sqrt(np.square(y).sum(axis=1).max(initial=0.0))
        n_pairs = self.geometry.sizes[pair[0]] * self.geometry.sizes[pair[1]]
        self._sides[pair] = (longest, y if n_pairs <= _MOST_PAIRS else None)

    def _stretch(self, a, b):
        """Squared factor of the coordinate along the line between two means.

        The block of rank one turns the unit inner product along that line into
        ``-(d + z c) / (d - z c)``, d the squared distance of the means.
        """
        g = self.geometry
        distance, part = g.squared_distances[a, b], self.z * g.inverse_sizes[a, b]
        if distance == 0.0:
            return 0.0
        # No more than makes sense: beyond, u is clipped for most rows.
        return self.correction.overshoot * (distance + part) / max(distance - part, distance / 10)

    def _assembled(self):
        g, m = self.geometry, self._m
        p = g.rows.shape[1]
        gram, sums = np.zeros((m, m)), np.zeros(m)
        for a in range(g.n_clusters):
            own = [pair for pair in self._pairs if pair[0] == a]
            index = np.concatenate(
                [np.arange(p)]
                + [np.arange(self._first[pair], self._first[pair] + self._width) for pair in own]
            )
            local, local_sums = np.zeros((len(index), len(index))), np.zeros(len(index))
            # Of one cluster at a time: those of all would be many times the rows.
            features = {pair: self._weighted_features(pair) for pair in own if self._bases}
            for rows in g.chunks_of(a):
                columns = self._columns(a, own, rows, features)
                local += columns.T @ columns
                local_sums += columns.sum(axis=0)
            gram[np.ix_(index, index)] += local
            sums[index] += local_sums
            for pair, weighted in features.items():
                self._keep_side(pair, weighted)
        lengths = np.sqrt(gram.diagonal()) * (1.0 + g.sum_error)
        if not self.within:
            gram -= np.outer(sums, sums / len(g.rows))
        return LowRank(gram, self._core(), lengths, 4.0 * g.sum_error), sums

    def _columns(self, a, own, rows, features):
        g = self.geometry
        local = slice(rows.start - g.starts[a], rows.stop - g.starts[a])
        parts = [g.within(a, rows) if self.within else g.rows[rows]]
        for pair in own:
            if self.within:
                # What is left of u once its mean is gone, without a cancellation.
                u = 0.5 * g.sizes[pair[1]] * (g.margins[rows, pair[1]] - g.squared_distances[pair])
            else:
                u = self._weights[pair][local]
            parts.append(u[:, None])
            if features:
                parts.append(features[pair][local])
        return np.concatenate(parts, axis=1)

    def _core(self):
        p = self.geometry.rows.shape[1]
        core = np.zeros((self._m, self._m))
        core[np.arange(p), np.arange(p)] = 1.0
        for a, b in self._pairs:
            if a > b:
                continue
            mass_a, mass_b = self._weights[a, b].sum(), self._weights[b, a].sum()
            if mass_a == 0 or mass_b == 0:
                continue
            s = np.sqrt(mass_a) * np.sqrt(mass_b)
            t = self.strengths[a, b] = self._strength(a, b, s)
            values = np.full(self._width, -t / s)
            values[:2] = np.array([1.0, t])[: self._width] / s
            left = self._first[a, b] + np.arange(self._width)
            right = self._first[b, a] + np.arange(self._width)
            core[left, right] = core[right, left] = values
        return core

    def _strength(self, a, b, s):
        """The factor t of a pair, no larger than keeps its block of N nonnegative."""
        if not self._bases:
            return 0.0
        wanted = s / (self._weights[a, b].mean() * self._weights[b, a].mean())
        largest = _largest_product(self._sides[a, b], self._sides[b, a])
        return min(wanted, (1.0 - ROOM) / largest) if largest > 0 else wanted


def _shorten(y, radius):
    """Cut rows down to a length in units of their median one, in place."""
    if np.isinf(radius):
        return
    length = np.sqrt(np.square(y).sum(axis=1))
    radius = radius * np.median(length)
    longer = length > radius
    y[longer] *= (radius / length[longer])[:, None]


def _largest_product(left, right):
    """No less than any ``<y, J y'>``; the product of the longest where there are many pairs."""
    (longest, rows), (other_longest, other_rows) = left, right
    if rows is None:
        return longest * other_longest
    mirrored = other_rows.copy()
    mirrored[:, 0] *= -1.0
    step = max(1, 1_000_000 // max(len(mirrored), 1))
    largest = 0.0
    for first in range(0, len(rows), step):
        largest = max(largest, float((rows[first : first + step] @ mirrored.T).max(initial=0.0)))
    return largest + dot_error(rows.shape[1] + 4) * longest * other_longest
