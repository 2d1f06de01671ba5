"""Reference of the kernels in ``kernels/pairwise.py``: the defined float64 evaluation, in NumPy.

Everything works on tiles of a few rows against all of Y, so that memory stays bounded.
"""

import numpy as np

from clusterlib.kernels.metrics import Metric

__all__ = [
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
]

_TILE_VALUES = 1 << 16


def _defined_sum(terms):
    """Add terms in eight lanes, then the lanes as a tree: the order every backend follows."""
    s = [0.0] * 8
    for p, term in enumerate(terms):
        s[p % 8] = s[p % 8] + term
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


def _norms(columns):
    return np.sqrt(_defined_sum(column * column for column in columns))


def _safe_divide(numerator, denominator):
    """numerator / denominator, and 0 where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator > 0)


def _largest_magnitude(name, A):
    """The largest absolute value of A, read in blocks; refuses NaN and infinity."""
    largest = 0.0
    rows = max(1, _TILE_VALUES // A.shape[1])
    for start in range(0, len(A), rows):
        block = A[start : start + rows]
        magnitude = max(abs(float(block.min())), abs(float(block.max())))
        if not np.isfinite(magnitude):
            raise ValueError(f"{name} contains NaN or infinity; every value must be finite")
        largest = max(largest, magnitude)
    return largest


def _exponent(magnitude):
    """Exponent of the power of two that is divided out; 0 where squares cannot leave float64."""
    if magnitude == 0 or 2.0**-450 <= magnitude <= 2.0**500:
        return 0
    return max(-1022, min(1022, int(np.frexp(magnitude)[1])))


class _Problem:
    """X against Y under one metric: values to compare, and the distances they stand for."""

    def __init__(self, X, Y, metric):
        self.X, self.metric = X, Metric(metric)
        self.exponent = _exponent(max(_largest_magnitude("X", X), _largest_magnitude("Y", Y)))
        self.y_columns = np.ascontiguousarray(self._scaled_columns(Y))
        self.rows_per_tile = max(1, _TILE_VALUES // max(len(Y), X.shape[1]))

    def _scaled_columns(self, rows):
        return np.ldexp(rows.T.astype(np.float64), -self.exponent)

    def tiles(self):
        """Yield (rows, columns of these rows of X, values to compare) in order."""
        for start in range(0, len(self.X), self.rows_per_tile):
            rows = slice(start, min(start + self.rows_per_tile, len(self.X)))
            x_columns = self._scaled_columns(self.X[rows])
            pairs = zip(x_columns[:, :, None], self.y_columns, strict=True)
            if self.metric in (Metric.SQEUCLIDEAN, Metric.EUCLIDEAN):
                values = _defined_sum((x - y) * (x - y) for x, y in pairs)
            else:
                values = -_defined_sum(x * y for x, y in pairs)
            if self.metric is Metric.COSINE:
                values = _safe_divide(values, _norms(self.y_columns))
            yield rows, x_columns, values

    def distances(self, x_columns, values):
        """Turn compared values, one row for each row of X, into the distances in float64."""
        if self.metric is Metric.COSINE:
            return np.clip(1.0 + _safe_divide(values, _norms(x_columns)[:, None]), 0.0, 2.0)
        with np.errstate(over="ignore"):  # beyond float64 a distance is infinite
            if self.metric is Metric.EUCLIDEAN:
                return np.ldexp(np.sqrt(values), self.exponent)
            return np.ldexp(values, 2 * self.exponent)


def _store(out, values):
    """Round to the dtype of ``out``; a distance beyond its range becomes infinite."""
    with np.errstate(over="ignore"):
        out[...] = values


def pairwise_distances(X, Y, metric, out, n_threads):
    """Write every distance; one thread whatever is asked for."""
    problem = _Problem(X, Y, metric)
    for rows, x_columns, values in problem.tiles():
        _store(out[rows], problem.distances(x_columns, values))


def pairwise_argmin(X, Y, metric, labels, distances, n_threads):
    """Write the nearest row of Y, the lowest index on ties."""
    problem = _Problem(X, Y, metric)
    for rows, x_columns, values in problem.tiles():
        labels[rows] = np.argmin(values, axis=1)
        if distances is not None:
            nearest = values.min(axis=1, keepdims=True)
            _store(distances[rows], problem.distances(x_columns, nearest)[:, 0])


def pairwise_topk(X, Y, metric, distances, indices, n_threads):
    """Write the k nearest rows of Y in order, the lower index first on ties."""
    problem = _Problem(X, Y, metric)
    for rows, x_columns, values in problem.tiles():
        order = np.argsort(values, axis=1, kind="stable")[:, : indices.shape[1]]
        indices[rows] = order
        nearest = np.take_along_axis(values, order, axis=1)
        _store(distances[rows], problem.distances(x_columns, nearest))


def pairwise_logsumexp(
    X,
    Y,
    metric,
    inverse_temperature,
    log_weight,
    x_group,
    y_group,
    mask,
    values,
    out,
    weighted,
    n_threads,
):
    """Write the log-sum-exp of each row and, on request, the softmax-weighted sums of values."""
    problem = _Problem(X, Y, metric)
    for rows, x_columns, compared in problem.tiles():
        beta = inverse_temperature[rows, None]
        distances = problem.distances(x_columns, compared)
        scores = -beta * np.where(beta > 0, distances, 0.0)  # 0 * inf would be NaN
        if log_weight is not None:
            # A weight of zero wins over everything, an overflown product included.
            with np.errstate(invalid="ignore"):
                scores = np.where(log_weight == -np.inf, -np.inf, scores + log_weight)
        if mask:
            same = x_group[rows, None] == y_group
            scores = np.where(same if mask == 1 else ~same, scores, -np.inf)
        highest = np.max(scores, axis=1, initial=-np.inf, keepdims=True)
        shift = np.where(np.isfinite(highest), highest, 0.0)
        exponentials = np.exp(scores - shift)
        total = exponentials.sum(axis=1)
        with np.errstate(divide="ignore"):  # log(0) = -inf is the sum over nothing
            _store(out[rows], np.log(total) + shift[:, 0])
        if weighted is not None:
            sums = exponentials @ values.astype(np.float64)
            _store(weighted[rows], _safe_divide(sums, total[:, None]))


def pairwise_threshold(X, Y, metric, threshold, counts, n_threads):
    """Write how many rows of Y lie within the threshold of each row of X."""
    problem = _Problem(X, Y, metric)
    for rows, x_columns, values in problem.tiles():
        within = problem.distances(x_columns, values) <= threshold[rows, None]
        counts[rows] = np.count_nonzero(within, axis=1)
