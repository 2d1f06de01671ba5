"""Exchanges of rows against a plain version that loops over rows, borders and pairs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import balanced_exchange, exchange_rows, unit_rows


class Plain:
    """The objective by its definition, and the search as the documentation tells it."""

    def __init__(self, X, labels, k, low, high, spherical):
        self.X = unit_rows(X) if spherical else X - X.mean(axis=0)
        self.labels, self.k, self.spherical = labels.copy(), k, spherical
        self.low, self.high = np.broadcast_to(low, k), np.broadcast_to(high, k)

    def worth(self, labels, clusters):
        sums = [self.X[labels == j].sum(axis=0) for j in clusters]
        if self.spherical:
            return sum(np.linalg.norm(total) for total in sums)
        counts = [max((labels == j).sum(), 1) for j in clusters]
        return sum(total @ total / count for total, count in zip(sums, counts, strict=True))

    def gain(self, row, other, partner):
        changed, own = self.labels.copy(), self.labels[row]
        changed[row] = other
        if partner >= 0:
            changed[partner] = own
        pair = own, other
        return self.worth(changed, pair) - self.worth(self.labels, pair) * (1 + 1e-12)

    def may_move(self, own, other):
        sizes = np.bincount(self.labels, minlength=self.k)
        return sizes[own] > max(self.low[own], 1) and sizes[other] < self.high[other]

    def costs(self, X, centers):
        if self.spherical:
            return 1 - self.X @ centers.T
        return np.square(X[:, None] - centers).sum(axis=2)

    def curvature(self):
        if self.spherical:
            lengths = [np.linalg.norm(self.X[self.labels == j].sum(axis=0)) for j in range(self.k)]
            return 1 / np.maximum(lengths, 1)
        return 1 / np.maximum(np.bincount(self.labels, minlength=self.k), 1)

    def near(self, X, centers, prices):
        """For each border (own, other) the rows with the least slack, if they may gain.

        Each with its slack and the square roots of its costs here and there.
        """
        costs, each, curvature = self.costs(X, centers), np.arange(len(X)), self.curvature()
        here = costs[each, self.labels]
        farthest = [np.sqrt(here[self.labels == j].max(initial=0)) for j in range(self.k)]
        found = {}
        for i, own in enumerate(self.labels):
            slack = costs[i] + prices - here[i] - prices[own]
            others = [j for j in np.argsort(slack, kind="stable") if j != own][:4]
            for j in others:
                there = np.sqrt(costs[i, j])
                if slack[j] < (curvature[own] + curvature[j]) * (there + farthest[j]) ** 2:
                    entry = slack[j], i, np.sqrt(here[i]), there
                    found.setdefault((own, j), []).append(entry)
        return {border: sorted(rows)[:32] for border, rows in found.items()}

    def changes(self, near):
        """The best partner of each row of the lower cluster of a border, and moves alone."""
        found, curvature = [], self.curvature()
        for (own, other), rows in near.items():
            for slack, i, here, there in rows:
                partners = [
                    j
                    for slack_j, j, here_j, there_j in near.get((other, own), [])
                    if slack + slack_j
                    < (curvature[own] + curvature[other]) * min(here + there_j, there + here_j) ** 2
                ]
                if own < other and partners:
                    gains = [self.gain(i, other, j) for j in partners]
                    best = int(np.argmax(gains))
                    found.append((gains[best], i, own, other, partners[best]))
                if self.may_move(own, other):
                    found.append((self.gain(i, other, -1), i, own, other, -1))
        return sorted((c for c in found if c[0] > 0), key=lambda c: (-c[0], c[1]))

    def make(self, row, own, other, partner):
        fits = self.labels[row] == own
        fits &= self.may_move(own, other) if partner < 0 else self.labels[partner] == other
        if not fits or not self.gain(row, other, partner) > 0:
            return False
        self.labels[row] = other
        if partner >= 0:
            self.labels[partner] = own
        return True

    def run(self, X, centers, prices, n_passes=3):
        near, made = self.near(X, centers, prices), []
        for _ in range(n_passes):
            made.append(sum(self.make(*change[1:]) for change in self.changes(near)))
            if not made[-1]:
                break
            near = {
                (own, other): [row for row in rows if self.labels[row[1]] == own]
                for (own, other), rows in near.items()
            }
        return made


def problem(n, k, d, seed, spherical=False, wild=False):
    """Rows, labels that are good or drawn at random, their means, and prices."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 3.0
    if spherical:
        X -= 3.0
    labels = rng.permutation(np.arange(n) % k).astype(np.int32)
    if not wild:
        labels = np.argsort(np.argsort(X[:, 0])).astype(np.int32) * k // n
    means = np.array([X[labels == j].mean(axis=0) for j in range(k)])
    prices = 0.2 * rng.normal(size=k)
    return X, labels.astype(np.int32), unit_rows(means) if spherical else means, prices


CASES = [
    (40, 4, 2, 10, 10, False), (40, 5, 2, 4, 12, True), (60, 7, 3, [3, 9, 1, 5, 0, 2, 8], 20, True),
    (36, 2, 1, 0, 36, True), (36, 2, 2, 18, 18, True), (30, 6, 2, 5, [5, 9, 30, 6, 5, 8], False),
]  # fmt: skip


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("seed", range(2))
def test_labels_are_those_of_a_plain_version(case, seed, spherical):
    n, k, d, low, high, wild = CASES[case]
    X, labels, centers, prices = problem(n, k, d + spherical, seed, spherical, wild)
    before = labels.copy()
    plain = Plain(X, labels, k, low, high, spherical)
    made = plain.run(X, centers, prices)
    found = exchange_rows(X, labels, centers, prices, low, high, spherical=spherical)
    assert sum(made) > 0
    assert_array_equal(found, plain.labels)
    assert_array_equal(labels, before)


@pytest.mark.parametrize(("seed", "low", "high"), [(20, 0, 40), (22, 10, 10)])
def test_three_passes_are_made_where_more_would_gain(seed, low, high):
    X, labels, centers, prices = problem(40, 4, 2, seed, wild=True)
    plain, longer = (Plain(X, labels, 4, low, high, spherical=False) for _ in range(2))
    assert longer.run(X, centers, 0 * prices, n_passes=4)[3] > 0
    plain.run(X, centers, 0 * prices)
    found = exchange_rows(X, labels, centers, 0 * prices, low, high)
    assert_array_equal(found, plain.labels)
    assert not np.array_equal(found, longer.labels)


@pytest.mark.parametrize("spherical", [False, True])
def test_of_long_borders_the_first_rows_on_each_side_are_looked_at(spherical):
    X, labels, centers, prices = problem(150, 2, 3, 1, spherical, wild=True)
    plain = Plain(X, labels, 2, 75, 75, spherical)
    assert all(len(rows) == 32 for rows in plain.near(X, centers, prices).values())
    plain.run(X, centers, prices)
    found = exchange_rows(X, labels, centers, prices, 75, 75, spherical=spherical)
    assert_array_equal(found, plain.labels)


@pytest.mark.parametrize("name", ["_CHUNK_VALUES", "_PAIRS_AT_ONCE"])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_chunks_change_nothing(name, size, monkeypatch):
    arguments = *problem(60, 5, 2, 3, wild=True), 5, 20
    expected = exchange_rows(*arguments)
    monkeypatch.setattr(balanced_exchange, name, size)
    assert_array_equal(exchange_rows(*arguments), expected)


def test_a_farther_origin_other_units_and_orders_change_nothing():
    X, labels, centers, prices = problem(60, 5, 3, 4, wild=True)
    expected = exchange_rows(X, labels, centers, prices, 6, 20)
    found = exchange_rows(64 * X + 512, labels, 64 * centers + 512, 4096 * prices, 6, 20)
    assert_array_equal(found, expected)
    rows = np.random.default_rng(0).permutation(60)
    found = exchange_rows(X[rows], labels[rows], centers, prices, 6, 20)
    assert_array_equal(found, expected[rows])
    assert_allclose(centers, problem(60, 5, 3, 4, wild=True)[2], rtol=0)


def test_a_row_alone_stays_and_an_empty_cluster_may_be_filled():
    X = np.array([[0.0], [1.0], [7.0], [8.0], [50.0]])
    labels = np.array([0, 0, 0, 0, 1], dtype=np.int32)
    centers, prices = np.array([[4.0], [50.0], [8.0]]), np.zeros(3)
    found = exchange_rows(X, labels, centers, prices, 0, 5)
    plain = Plain(X, labels, 3, 0, 5, spherical=False)
    plain.run(X, centers, prices)
    assert_array_equal(found, plain.labels)
    assert_array_equal(np.bincount(found), [2, 1, 2])
    # With room for one row alone it takes the one that is worth most there.
    assert_array_equal(exchange_rows(X, labels, centers, prices, 0, [5, 5, 1]), [2, 0, 0, 0, 1])
