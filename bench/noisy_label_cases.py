"""Long tails with wrong labels, for ``bench.noisy_labels``: data, and the cells of its tables."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from bench.label_shift_cases import Absent
from bench.subclass_balancing import pooled_patches
from clusterlib.datasets import load_embeddings, make_long_tail, make_noisy_labels

WORDS = 200  # mean patches
N_TEST = {"mnist": 150, "digits": 60, "gauss": 200, "heavy tails": 200, "two clusters": 200}
N_CLASSES, N_GROUPS, N_FEATURES, CLASS_ROWS = 20, 5, 32, 600  # of generated data
OFFSET = 0.4  # of a class's two clusters from its mean, in each feature
HEAVY = 3  # degrees of freedom
TEXT_AXES, LARGEST_GROUP = 96, 500
NONE = "none"


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method sees; where rows are reduced, all features are there as well."""

    X: np.ndarray
    labels: np.ndarray
    X_test: np.ndarray
    whole: np.ndarray | None = None
    whole_test: np.ndarray | None = None

    @cached_property
    def unreduced(self) -> "Problem":
        """The same labels with all features of the rows."""
        if self.whole is None:
            return self
        return Problem(self.whole, self.labels, self.whole_test)


@dataclass(frozen=True, eq=False)
class Task:
    """A problem and its answers."""

    problem: Problem
    y: np.ndarray
    y_test: np.ndarray

    @property
    def clean(self) -> Problem:
        """The same rows with the labels that they ought to have."""
        return replace(self.problem, labels=self.y)


@dataclass(frozen=True)
class Cell:
    """Which data, how many labels are wrong and in which manner, and how long the tail is.

    The ratio of the largest class to the smallest is None where rows are taken as they come.
    """

    data: str
    kind: str
    noise_rate: float
    ratio: int | None

    @property
    def name(self) -> str:
        noise = self.kind if self.kind == NONE else f"{self.kind} {self.noise_rate:g}"
        return f"{self.data}, {noise}" + (f", ratio {self.ratio}" if self.ratio else "")

    def draw(self, seed: int) -> Task:
        """Draw a tail, then wrong labels; test rows are of the right class."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        X, y, X_test, y_test = DATA[self.data](self, seed, rng)
        noisy = y
        if self.kind != NONE:
            where = {"X": X} if self.kind == "boundary" else {}
            noisy = make_noisy_labels(
                y, noise_rate=self.noise_rate, kind=self.kind, random_state=_state(rng), **where
            )[0]
        problem = Problem(X, noisy, X_test)
        return Task(reduced(problem) if self.data in TEXTS else problem, y, y_test)


def _state(rng):
    return int(rng.integers(2**31))


def scaled(X):
    """Centred, with a mean variance of 1."""
    X = X - X.mean(axis=0)
    return X / np.sqrt(X.var(axis=0).mean())


def reduced(problem: Problem) -> Problem:
    """Principal components of the training rows, with a mean variance of 1, and all features."""
    axes = PCA(TEXT_AXES, svd_solver="full").fit(problem.X)
    X, X_test = axes.transform(problem.X), axes.transform(problem.X_test)
    unit = np.sqrt(X.var(axis=0).mean())
    return Problem(X / unit, problem.labels, X_test / unit, problem.X, problem.X_test)


# Rows that are split here: as many of each class for the test, a tail of the others.


@cache
def _mnist():
    pooled, y = pooled_patches(WORDS)
    return scaled(PCA(64, random_state=0).fit_transform(np.sqrt(pooled))), y


@cache
def _digits():
    X, y = load_digits(return_X_y=True)
    return scaled(PCA(32, random_state=0).fit_transform(X)), y


@cache
def _generated(data, seed):
    """Classes around five places, each with a covariance of its own."""
    rng = np.random.default_rng(100 + seed)
    groups = rng.normal(size=(N_GROUPS, N_FEATURES))
    centers = groups[np.arange(N_CLASSES) % N_GROUPS]
    centers = centers + rng.normal(0, 0.55, size=centers.shape)
    y = np.repeat(np.arange(N_CLASSES), CLASS_ROWS)
    X = np.empty((len(y), N_FEATURES))
    for c, center in enumerate(centers):
        axes = np.linalg.qr(rng.normal(size=(N_FEATURES, N_FEATURES)))[0]
        spread = np.exp(rng.normal(0, 0.25, size=N_FEATURES))
        rows = (rng.normal(size=(CLASS_ROWS, N_FEATURES)) * spread) @ axes.T
        if data == "heavy tails":
            rows /= np.sqrt(rng.chisquare(HEAVY, size=(CLASS_ROWS, 1)) / HEAVY)
        if data == "two clusters":
            offset = rng.normal(0, OFFSET, size=N_FEATURES)
            rows += np.where(rng.random((CLASS_ROWS, 1)) < 0.5, offset, -offset)
        X[y == c] = center + rows
    return scaled(X), y


def _dealt(cell, seed, rng):
    rows = {"mnist": _mnist, "digits": _digits}.get(cell.data)
    X, y = rows() if rows else _generated(cell.data, seed)
    order = rng.permutation(len(y))
    X, y = X[order], y[order]
    rank = np.empty(len(y), dtype=int)
    for c, size in enumerate(np.bincount(y)):
        rank[y == c] = np.arange(size)
    test = rank < N_TEST[cell.data]
    tail = _tail(X[~test], y[~test], cell.ratio, np.bincount(y[~test]).min(), rng)
    return *tail, X[test], y[test]


def _tail(X, y, ratio, largest, rng):
    """A long tail whose classes come in random order; of few rows a class cannot be the first."""
    counts = np.bincount(y)
    sizes = largest * float(ratio) ** -(np.arange(len(counts)) / (len(counts) - 1))
    order = rng.permutation(len(counts))
    while (counts[order] < np.floor(sizes + 0.5)).any():
        order = rng.permutation(len(counts))
    return make_long_tail(
        X, y, imbalance_ratio=ratio, n_max=int(largest), class_order=order, random_state=_state(rng)
    )


# Sentence embeddings, which come with test rows.

TEXTS = {"r8": "reuters-r8", "newsgroups": "20newsgroups"}


@cache
def _texts(name):
    try:
        parts = [load_embeddings(f"{name}-{half}") for half in ("train", "test")]
    except FileNotFoundError as error:
        raise Absent(str(error)) from error
    return [(part["data"].astype(np.float64), part["target"]) for part in parts]


def _embedded(cell, seed, rng):
    (X, y), (X_test, y_test) = _texts(TEXTS[cell.data])
    if cell.ratio:
        X, y = _tail(X, y, cell.ratio, LARGEST_GROUP, rng)
    mean = X.mean(axis=0)
    unit = np.sqrt(X.var(axis=0).mean())
    return (X - mean) / unit, y, (X_test - mean) / unit, y_test


DATA = dict.fromkeys(N_TEST, _dealt) | dict.fromkeys(TEXTS, _embedded)
"""Rows, labels, test rows and their labels, of a cell, a seed and a generator."""


def _cells(data, ratios, kinds, rates):
    return [
        Cell(name, kind, rate, ratio)
        for name in data
        for ratio in ratios
        for kind in kinds
        for rate in rates
    ]


def _text_cells():
    noises = ((NONE, 0.0), ("frequency", 0.4), ("symmetric", 0.4), ("next", 0.2))
    return [
        Cell(name, kind, rate, ratio)
        for name, ratio in (("r8", None), ("newsgroups", 100))
        for kind, rate in noises
    ]


_KINDS, _RATES = ("frequency", "symmetric", "next"), (0.2, 0.4)

CELLS: dict[str, list[Cell]] = {
    "accuracy": [
        *_cells(("mnist", "gauss"), (10, 100), _KINDS, _RATES),
        *_cells(("digits",), (10,), _KINDS, _RATES),
    ],
    "embeddings": _text_cells(),
    "violations": [
        *_cells(("heavy tails", "two clusters"), (10, 100), ("symmetric",), _RATES),
        *_cells(("gauss", "mnist"), (10, 100), ("boundary",), _RATES),
        *_cells(("digits",), (10,), ("boundary",), _RATES),
    ],
}
CELLS["issues"] = [*CELLS["accuracy"], *(c for c in CELLS["embeddings"] if c.kind != NONE)]
