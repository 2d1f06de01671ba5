"""Codes of rows among prototypes that are never stored: sums of columns, and means under them."""

import numpy as np

from clusterlib.blocks import map_blocks, map_reduce, tree_reduce
from clusterlib.kernels import (
    Metric,
    pairwise_distances,
    pairwise_logsumexp,
    sinkhorn_sweep_points,
)
from clusterlib.kernels.dispatch import is_device_array
from clusterlib.kernels.leaves import LEAF_ROWS
from clusterlib.solvers.geometry import row_norms
from clusterlib.solvers.momentum import Momentum

__all__ = ["PrototypeCodes"]

_LABEL_VALUES = 1 << 18
_DEVICE_LABEL_VALUES = 1 << 24
_DUAL_NOISE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}
# Below this a sum of plan entries has lost some of them to underflow.
_LEAST_SUM = {np.dtype(np.float32): 1e-28, np.dtype(np.float64): 1e-290}


class PrototypeCodes:
    """The plan between rows and prototypes, known by its potentials f and g alone.

    Costs are ``1 - cos`` or minus the inner product; f belongs to the rows and is that of the last
    sweep, g to the prototypes. Rows of weight 0 and rows of zeros have no part in anything.

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
    f : ndarray of shape (n_samples,), float64
        Potentials of the rows.
    n_sweeps : int
        How often all rows have been compared with all prototypes.
    """

    def __init__(self, blocks, epsilon, *, sample_weight=None, normalize=True):
        self.blocks, self.epsilon = blocks, epsilon
        self.metric = Metric.COSINE if normalize else Metric.INNER_PRODUCT
        self.offset = 1.0 if normalize else 0.0
        norms = row_norms(blocks)
        present = norms >= np.finfo(np.float64).tiny
        weight = present * (np.ones(blocks.n_samples) if sample_weight is None else sample_weight)
        self.total = float(weight.sum())
        self.a = weight / (self.total or 1.0)
        with np.errstate(divide="ignore"):
            self.log_a = np.log(self.a)
            # Directions are summed by giving a row the weight 1 / norm.
            self.log_scale = -np.log(norms, where=present, out=np.zeros(len(norms)))
        if not normalize:
            self.log_scale[:] = 0.0
        self.entropy_of_rows = -self._mean(self.log_a)
        self.f = np.zeros(blocks.n_samples)
        self.n_sweeps = 0

    def first_logs(self, centers):
        """Logarithms of the sums of columns of ``a exp(-cost / epsilon)``: nothing balanced yet."""
        self.n_sweeps += 1
        return self._exact_logs(centers, self.log_a)

    def sweep(self, centers, g):
        """Normalise the rows; returns the logarithms of the sums of columns."""
        self.n_sweeps += 1
        arguments = (centers, self.epsilon, g, self.metric)
        parts = map_blocks(_swept, self.blocks, self.log_a, self.f, broadcast=arguments)
        self.f = self.blocks.to_host(self.blocks.joined([f for _, f in parts]))
        sums = self.blocks.to_host(tree_reduce(np.add, (part for part, _ in parts)))
        used = g > -np.inf
        seen = used & (sums > _LEAST_SUM[self.blocks.dtype])
        logs = np.log(sums, out=np.full(len(sums), -np.inf), where=seen)
        lost = used & ~seen
        if lost.any():
            logs[lost] = self._exact_logs(centers[lost], self.f / self.epsilon)
            logs[lost] += g[lost] / self.epsilon
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
        return self._mean(self.f)

    def _mean(self, values):
        return float((self.a[self.a > 0] * values[self.a > 0]).sum())

    def value(self, g, sums, log_prior):
        """``<Q, similarity> - epsilon KL(Q | a prior')`` for the Q of f and g with these sums."""
        here = log_prior > -np.inf
        column = float(sums[here] @ (self.epsilon * log_prior[here] - g[here]))
        return self.offset - self.row_value() + column - self.epsilon * self.entropy_of_rows

    def means(self, centers):
        """Means of the rows under the codes of f.

        Returns
        -------
        logs : ndarray of shape (n_clusters,), float64
            Logarithm of the sum of ``Q_ij / |x_i|`` (of Q without ``normalize``), but for g.
        means : ndarray of shape (n_clusters, n_features), float64
            Weighted means of the rows by these.
        """
        log_weight = self.f / self.epsilon + self.log_scale
        broadcast = (centers, 1.0 / self.epsilon, self.metric)
        found = map_reduce(_leaf_means, _merged_means, self.blocks, log_weight, broadcast=broadcast)
        return tuple(map(self.blocks.to_host, found))

    def vectors(self, centers, g):
        """Weighted sums of the rows (of their directions) under the codes of f and g."""
        logs, means = self.means(centers)
        return self.total * np.exp(logs + g / self.epsilon)[:, None] * means

    def labels(self, centers, g):
        """Prototype with the largest code of each row, the lowest index on ties; beside the rows."""
        broadcast = (centers, g, self.metric)
        return self.blocks.joined(map_blocks(_largest_codes, self.blocks, broadcast=broadcast))

    def _exact_logs(self, centers, log_weight):
        broadcast = (centers, 1.0 / self.epsilon, self.metric)
        logs = map_reduce(_leaf_logs, np.logaddexp, self.blocks, log_weight, broadcast=broadcast)
        return self.blocks.to_host(logs)


def share_error(logs, log_prior):
    """Sum of the absolute differences between shares and prior, given as logarithms."""
    return float(np.abs(np.exp(logs) - np.exp(log_prior)).sum())


def _swept(rows, log_a, f, centers, epsilon, g, metric):
    f = f.copy()  # a hint; another carrier may not share memory
    sums = sinkhorn_sweep_points(rows, centers, epsilon, log_a, f, g, metric=metric)
    return sums, f


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
