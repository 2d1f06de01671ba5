"""Codes of rows among prototypes that are never stored: sums of columns, and means under them."""

import operator
from typing import NamedTuple

import numpy as np

from clusterlib.blocks import leaf_sum, map_blocks, map_reduce, tree_reduce
from clusterlib.kernels import (
    Metric,
    pairwise_distances,
    pairwise_logsumexp,
    sinkhorn_sweep_points,
)
from clusterlib.kernels.dispatch import is_device_array
from clusterlib.kernels.leaves import LEAF_ROWS
from clusterlib.solvers.assignment import weighted_total
from clusterlib.solvers.geometry import row_norms
from clusterlib.solvers.momentum import Momentum

__all__ = ["PrototypeCodes"]

_LABEL_VALUES = 1 << 18
_DEVICE_LABEL_VALUES = 1 << 24
_DUAL_NOISE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}
# Below this a sum of plan entries may have lost some of them to underflow: an exponential below
# the smallest number of the dtype, in a row whose sum is as small as a shift may leave it (2^-40
# and 2^-500), is an entry of 1e-26 and 1e-157.
_LEAST_SUM = {np.dtype(np.float32): 1e-20, np.dtype(np.float64): 1e-150}


class _Units(NamedTuple):
    """What turns rows and their weights into logarithms; small, and handed to every block."""

    epsilon: float
    metric: Metric
    scale: float  # a power of two near the largest weight: scaled weights add up without overflow
    total: float  # of the scaled weights of the rows that take part


class _Sweep(NamedTuple):
    """What the potentials of the rows follow from; see :func:`_potentials`."""

    centers: np.ndarray
    g: np.ndarray
    hint: float


class PrototypeCodes:
    """The plan between rows and prototypes, known by its potentials f and g alone.

    Costs are ``1 - cos`` or minus the inner product; f belongs to the rows and is that of the last
    sweep, g to the prototypes. Rows of weight 0 and rows of zeros have no part in anything.

    Of rows in memory, 32 bytes for each are kept: weights, scales, f. Of all others nothing: f
    follows from the prototypes and g of the last sweep and is computed anew in the pass that
    needs it, with the same bits.

    Parameters
    ----------
    blocks : Blocks
        The rows. Weights and potentials of rows, and all that prototypes have, are on the host.
    epsilon : float
        Entropic strength.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    normalize : bool, default=True
        Whether rows count by their directions.

    Attributes
    ----------
    total : float
        Sum of the weights of the rows that take part.
    n_sweeps : int
        How often all rows have been compared with all prototypes for sums of columns.
    """

    def __init__(self, blocks, epsilon, *, sample_weight=None, normalize=True):
        self.blocks, self.epsilon = blocks, epsilon
        metric = Metric.COSINE if normalize else Metric.INNER_PRODUCT
        self.offset = 1.0 if normalize else 0.0
        largest = 1.0 if sample_weight is None else float(np.max(sample_weight, initial=0.0))
        scale = float(np.ldexp(1.0, np.frexp(largest)[1] - 1)) if largest > 0 else 1.0
        units = _Units(epsilon, metric, scale, 1.0)
        self._weight, self._kept, self._f = sample_weight, (None, None), None
        if blocks.in_memory:
            weight, norms = _scaled_weights(row_norms(blocks), sample_weight, scale)
            mass = _mass(weight)
        else:
            mass = map_reduce(_mass_of_block, _added, blocks, sample_weight, broadcast=(units,))
        self.total = mass[0] * scale
        self._units = units._replace(total=mass[0] or 1.0)
        # -sum a log a of the weights a, which are the scaled ones over their total
        self.entropy_of_rows = float(np.log(self._units.total)) - mass[1] / self._units.total
        if blocks.in_memory:
            self._a = weight / self._units.total
            self._kept = _log_weights(self._a, norms, metric)
        self._swept, self._row_value = None, 0.0
        self.n_sweeps = 0

    def first_logs(self, centers):
        """Logarithms of the sums of columns of ``a exp(-cost / epsilon)``: nothing balanced yet."""
        self.n_sweeps += 1
        return self.blocks.to_host(self._reduced(_first_logs, np.logaddexp, centers))

    def sweep(self, centers, g):
        """Normalise the rows; returns the logarithms of the sums of columns."""
        self.n_sweeps += 1
        # The mean potential, known everywhere, is near enough to most rows' for their
        # exponentials to stay in range; potentials kept for each row would not be.
        hint = self._row_value + self.epsilon * self.entropy_of_rows if self._swept else 0.0
        self._swept = _Sweep(centers, g.copy(), hint)
        arguments = (*self._units, *self._swept)
        if self.blocks.in_memory:
            parts = map_blocks(_sums_and_f, self.blocks, self._kept[0], broadcast=arguments)
            self._f = self.blocks.to_host(self.blocks.joined([f for _, f in parts]))
            sums = self.blocks.to_host(tree_reduce(operator.add, (part for part, _ in parts)))
            self._row_value = weighted_total(self._f, self._a)
        else:
            sums, self._row_value = map_reduce(
                _sums_and_value, _added, self.blocks, self._weight, broadcast=arguments
            )
        used = g > -np.inf
        seen = used & (sums > _LEAST_SUM[self.blocks.dtype])
        logs = np.log(sums, out=np.full(len(sums), -np.inf), where=seen)
        lost = used & ~seen
        if lost.any():
            found = self._reduced(_lost_logs, np.logaddexp, *self._swept, centers[lost])
            logs[lost] = self.blocks.to_host(found) + g[lost] / self.epsilon
        return logs

    def balance(self, centers, g, log_prior, *, tol, max_sweeps):
        """Give every prototype its share; returns ``(g, logarithms of the sums, error)``.

        The error is ``sum |sums - prior|``; f and the sums belong to the returned g.
        """
        here, prior = log_prior > -np.inf, np.exp(log_prior)
        momentum = Momentum(_DUAL_NOISE[self.blocks.dtype], scale=1.0)
        g, previous = np.where(here, g, -np.inf), g
        for _ in range(max_sweeps):
            logs = self.sweep(centers, g)
            error = share_error(logs, log_prior)
            if error <= tol:
                break
            dual = self.row_value() + float(prior[here] @ g[here])
            push, pull = momentum.weights(error, dual)
            step = self.epsilon * (log_prior[here] - logs[here])
            moved = g.copy()
            moved[here] += push * step + pull * (g[here] - previous[here])
            g, previous = moved, g
        else:  # f of the last g is still missing
            logs = self.sweep(centers, g)
            error = share_error(logs, log_prior)
        return g, logs, error

    def normalize(self, centers, log_prior, n_iters):
        """Normalise columns and rows in turn, as SwAV does; returns what :meth:`balance` does."""
        here = log_prior > -np.inf
        shares = np.where(here, self.epsilon * log_prior, -np.inf)
        g = np.where(here, shares - self.epsilon * self.first_logs(centers), -np.inf)
        logs = self.sweep(centers, g)
        for _ in range(n_iters - 1):
            g[here] += self.epsilon * (log_prior[here] - logs[here])
            logs = self.sweep(centers, g)
        return g, logs, share_error(logs, log_prior)

    def row_value(self):
        """Sum of weight times potential of the rows."""
        return self._row_value

    def value(self, g, sums, log_prior):
        """``<Q, similarity> - epsilon KL(Q | a prior')`` for the Q of f and g with these sums."""
        here = log_prior > -np.inf
        column = float(sums[here] @ (self.epsilon * log_prior[here] - g[here]))
        return self.offset - self.row_value() + column - self.epsilon * self.entropy_of_rows

    def means(self):
        """Means of the rows under the codes of the last sweep.

        Returns
        -------
        logs : ndarray of shape (n_clusters,), float64
            Logarithm of the sum of ``Q_ij / |x_i|`` (of Q without ``normalize``), but for g.
        means : ndarray of shape (n_clusters, n_features), float64
            Weighted means of the rows by these.
        """
        found = self._reduced(_means_of_block, _merged_means, *self._swept)
        return tuple(map(self.blocks.to_host, found))

    def vectors(self):
        """Weighted sums of the rows (of their directions) under the codes of the last sweep."""
        logs, means = self.means()
        return self.total * np.exp(logs + self._swept.g / self.epsilon)[:, None] * means

    def labels(self, centers, g):
        """Prototype with the largest code of each row, the lowest index on ties; beside the rows."""
        broadcast = (centers, g, self._units.metric)
        return self.blocks.joined(self.blocks.map(_largest_codes, broadcast=broadcast))

    def _reduced(self, fn, merge, *arguments):
        """Merge ``fn`` of the rows, with what is kept of them."""
        beside = self._weight, *self._kept, self._f
        if self.blocks.in_memory:  # weights are part of what is kept
            beside = None, *beside[1:]
        return map_reduce(fn, merge, self.blocks, *beside, broadcast=(*self._units, *arguments))


def share_error(logs, log_prior):
    """Sum of the absolute differences between shares and prior, given as logarithms."""
    return float(np.abs(np.exp(logs) - np.exp(log_prior)).sum())


def _added(left, right):
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _scaled_weights(norms, weight, scale):
    """Weights of the rows, 0 for those without a direction, over a power of two; and norms."""
    present = norms >= np.finfo(np.float64).tiny
    weight = np.ones(len(norms)) if weight is None else weight / scale
    return present * weight, norms


def _mass(weight):
    """``sum w`` and ``sum w log w``."""
    logs = np.log(weight, where=weight > 0, out=np.zeros(len(weight)))
    return leaf_sum(weight), leaf_sum(weight * logs)


def _mass_of_block(rows, weight, units):
    return _mass(_scaled_weights(row_norms(rows), weight, units.scale)[0])


def _log_weights(a, norms, metric):
    """Logarithms of the weights, and of what turns a row into what is summed up."""
    with np.errstate(divide="ignore"):
        log_a = np.log(a)
    if metric is not Metric.COSINE:
        return log_a, np.zeros(len(a))
    # Directions are summed by giving a row the weight 1 / norm.
    present = norms >= np.finfo(np.float64).tiny
    return log_a, -np.log(norms, where=present, out=np.zeros(len(a)))


def _weights_of_block(rows, weight, metric, scale, total):
    """Weights of rows of which nothing is kept, and their logarithms."""
    weight, norms = _scaled_weights(row_norms(rows), weight, scale)
    a = weight / total
    return a, *_log_weights(a, norms, metric)


def _sums_and_f(rows, log_a, epsilon, metric, scale, total, centers, g, hint):
    f = hint + epsilon * log_a
    sums = sinkhorn_sweep_points(rows, centers, epsilon, log_a, f, g, metric=metric)
    return sums, f


def _sums_and_value(rows, weight, epsilon, metric, scale, total, centers, g, hint):
    a, log_a, _ = _weights_of_block(rows, weight, metric, scale, total)
    sums, f = _sums_and_f(rows, log_a, epsilon, metric, scale, total, centers, g, hint)
    return sums, weighted_total(f, a)


def _first_logs(rows, weight, log_a, log_scale, f, epsilon, metric, scale, total, centers):
    if log_a is None:
        _, log_a, _ = _weights_of_block(rows, weight, metric, scale, total)
    return _leaf_logs(rows, log_a, centers, 1.0 / epsilon, metric)


def _lost_logs(
    rows, weight, log_a, log_scale, f, epsilon, metric, scale, total, centers, g, hint, lost
):
    """Logarithms of the sums of columns of ``exp((f - cost) / epsilon)`` for some prototypes."""
    if f is None:
        _, log_a, _ = _weights_of_block(rows, weight, metric, scale, total)
        _, f = _sums_and_f(rows, log_a, epsilon, metric, scale, total, centers, g, hint)
    return _leaf_logs(rows, f / epsilon, lost, 1.0 / epsilon, metric)


def _means_of_block(
    rows, weight, log_a, log_scale, f, epsilon, metric, scale, total, centers, g, hint
):
    if f is None:
        _, log_a, log_scale = _weights_of_block(rows, weight, metric, scale, total)
        _, f = _sums_and_f(rows, log_a, epsilon, metric, scale, total, centers, g, hint)
    return _leaf_means(rows, f / epsilon + log_scale, centers, 1.0 / epsilon, metric)


def _leaves(rows):
    """Rows that are summed up by themselves; on a device the kernel cuts all of them."""
    if is_device_array(rows):
        return [slice(None)]
    return [slice(start, start + LEAF_ROWS) for start in range(0, max(len(rows), 1), LEAF_ROWS)]


def _leaf_logs(rows, log_weight, centers, beta, metric):
    """Leaf by leaf, so that the bits are the same for blocks of any size."""
    return tree_reduce(
        np.logaddexp,
        (
            pairwise_logsumexp(
                centers,
                rows[leaf],
                metric=metric,
                inverse_temperature=beta,
                log_weight=log_weight[leaf],
            ).astype(np.float64)
            for leaf in _leaves(rows)
        ),
    )


def _leaf_means(rows, log_weight, centers, beta, metric):
    parts = (
        pairwise_logsumexp(
            centers,
            rows[leaf],
            metric=metric,
            inverse_temperature=beta,
            log_weight=log_weight[leaf],
            values=rows[leaf],
        )
        for leaf in _leaves(rows)
    )
    return tree_reduce(_merged_means, ([p.astype(np.float64) for p in part] for part in parts))


def _merged_means(left, right):
    logs = np.logaddexp(left[0], right[0])
    shift = np.where(np.isfinite(logs), logs, 0.0)
    shares = (np.exp(part[0] - shift)[:, None] for part in (left, right))
    means = sum(share * part[1] for share, part in zip(shares, (left, right), strict=True))
    return logs, means


def _largest_codes(rows, centers, g, metric):
    values = _DEVICE_LABEL_VALUES if is_device_array(rows) else _LABEL_VALUES
    step = max(1, values // len(centers))
    costs = (
        pairwise_distances(rows[start : start + step], centers, metric=metric)
        for start in range(0, len(rows), step)
    )
    labels = [np.argmax(g - cost, axis=1).astype(np.int32) for cost in costs]
    return np.concatenate(labels) if labels else np.empty(0, dtype=np.int32)
