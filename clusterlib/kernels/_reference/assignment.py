"""Reference of the kernels in ``kernels/assignment.py``: all costs in float64, one path at a time.

The clusters and one more node are a network. Moving the row that pays least for it from cluster a to
b is an arc from a to b. The additional node takes what the sizes leave open: an arc from cluster k
to it means that the size that k aims at grows by 1, one from it to k that it shrinks.
"""

from itertools import pairwise

import numpy as np

from clusterlib.kernels._reference.pairwise import pairwise_distances

__all__ = ["capacity_assignment", "capacity_assignment_points", "priced_argmin"]

_LARGEST_COST = 2.0**900


def _checked(C):
    """C in float64; refuses what is not finite or too large."""
    D = np.array(C, dtype=np.float64, order="C")
    largest = max(-float(D.min(initial=0.0)), float(D.max(initial=0.0)))
    if not np.isfinite(largest):
        raise ValueError("C contains NaN or infinity; every value must be finite")
    if largest > _LARGEST_COST:
        raise ValueError(
            f"C must be at most 2^900 in absolute value, got {largest:g}; divide C by a constant"
        )
    return D


class _Network:
    """Labels and prices on the way to an optimum; every row is where cost plus price is least."""

    def __init__(self, D, size_min, size_max, prices):
        # The differences within a row are what decides; an offset would only cost digits of them.
        self.D = D - D.min(axis=1, keepdims=True)
        self.k, self.size_min, self.size_max = D.shape[1], size_min, size_max
        widest = self.D.max(initial=0.0)
        self.prices = np.append(np.clip(prices, -widest, widest), 0.0)  # the last: additional node
        self.labels = (self.D + self.prices[:-1]).argmin(axis=1)
        self.load = np.bincount(self.labels, minlength=self.k)
        self.aim = np.clip(self.load, size_min, size_max)
        self.aim[prices > 0] = size_max[prices > 0]
        self.aim[prices < 0] = size_min[prices < 0]
        self.weight = np.full((self.k + 1, self.k + 1), np.inf)  # of the arcs
        self.mover = np.zeros((self.k, self.k), dtype=np.int64)  # the row that pays it
        for cluster in range(self.k):
            self.refresh(cluster)

    def refresh(self, cluster):
        """Find the arcs from a cluster to the others."""
        rows = np.flatnonzero(self.labels == cluster)
        if len(rows) == 0:
            self.weight[cluster, :-1] = np.inf
            return
        moves = self.D[rows] - self.D[rows, cluster][:, None]
        cheapest = moves.argmin(axis=0)
        self.mover[cluster] = rows[cheapest]
        self.weight[cluster, :-1] = moves[cheapest, np.arange(self.k)]
        self.weight[cluster, cluster] = np.inf

    def excess(self):
        """How many rows too many each node has."""
        return np.append(self.load - self.aim, self.aim.sum() - len(self.D))

    def arcs(self):
        """Weights less what the prices pay for: at least 0, up to rounding."""
        self.weight[:-1, -1] = np.where(self.aim < self.size_max, 0.0, np.inf)
        self.weight[-1, :-1] = np.where(self.aim > self.size_min, 0.0, np.inf)
        return np.maximum(self.weight + self.prices - self.prices[:, None], 0.0)

    def augment(self, source, missing):
        """Send one row from ``source`` along a shortest path to a node where one is missing."""
        arcs = self.arcs()
        distance, before = np.full(self.k + 1, np.inf), np.full(self.k + 1, -1)
        distance[source], settled = 0.0, np.zeros(self.k + 1, dtype=bool)
        while True:
            node = int(np.where(settled, np.inf, distance).argmin())
            if missing[node]:
                break
            settled[node] = True
            nearer = ~settled & (distance[node] + arcs[node] < distance)
            distance[nearer], before[nearer] = distance[node] + arcs[node, nearer], node
        self.prices += distance[node] - np.minimum(distance, distance[node])
        self.prices -= self.prices[-1]
        path = [node]
        while path[-1] != source:
            path.append(before[path[-1]])
        for b, a in pairwise(path):
            self.move(a, b)
        for cluster in path:
            if cluster < self.k:
                self.refresh(cluster)

    def move(self, a, b):
        """Use the arc from a to b."""
        if b == self.k:
            self.aim[a] += 1
        elif a == self.k:
            self.aim[b] -= 1
        else:
            self.labels[self.mover[a, b]] = b
            self.load[a] -= 1
            self.load[b] += 1

    def final_prices(self):
        """Prices whose signs fit the sizes, which rounding may have missed by little."""
        prices = self.prices[:-1].copy()
        prices[self.load < self.size_max] = np.minimum(prices[self.load < self.size_max], 0.0)
        prices[self.load > self.size_min] = np.maximum(prices[self.load > self.size_min], 0.0)
        return prices

    def gap(self, prices):
        """Add up what is missing in the conditions of optimality."""
        priced = self.D + prices
        own = priced[np.arange(len(priced)), self.labels]
        above = np.where(prices > 0, (self.size_max - self.load) * prices, 0.0)
        below = np.where(prices < 0, (self.size_min - self.load) * prices, 0.0)
        return (own - priced.min(axis=1)).sum() + (above + below).sum()


def _solve(D, size_min, size_max, prices, labels, sums):
    network, n_paths = _Network(D, size_min, size_max, prices), 0
    while (excess := network.excess()).any():
        network.augment(int(excess.argmax()), excess < 0)
        n_paths += 1
    labels[:], prices[:] = network.labels, network.final_prices()
    sums[:] = D[np.arange(len(D)), labels].sum(), network.gap(prices)
    return n_paths


def capacity_assignment(C, size_min, size_max, prices, labels, sums, n_threads):
    """Assign by successive shortest paths from where the prices send the rows."""
    return _solve(_checked(C), size_min, size_max, prices, labels, sums)


def _distances(X, Y, metric):
    D = np.empty((len(X), len(Y)))
    pairwise_distances(X, Y, metric, D, 1)
    return D


def capacity_assignment_points(X, Y, metric, size_min, size_max, prices, labels, sums, n_threads):
    """The same for the distances of the defined evaluation."""
    return _solve(_distances(X, Y, metric), size_min, size_max, prices, labels, sums)


def priced_argmin(X, Y, metric, prices, labels, n_threads):
    """Write where distance plus price is least."""
    labels[:] = (_distances(X, Y, metric) + prices).argmin(axis=1)
