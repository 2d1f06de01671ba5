"""Class shares of a batch, from posteriors: ``python -m bench.class_shares``.

Rows of Gaussian classes that overlap, whose exact posteriors under a source prior everybody gets.
The batch has other shares. A table in markdown gives, for each estimator, the time (the shortest
of the repetitions), the L1 error of the shares, and by how much their mean log-likelihood falls
short of the optimum, whose certificate is checked. QuaPy takes part where it is installed.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier
from threadpoolctl import threadpool_limits

from clusterlib.solvers import class_confusion, confusion_prior, shifted_prior

FEATURES = 8
SOURCE_ROWS = 10_000
SPREADS = {"apart": 1.5, "overlapping": 0.5}  # of the centres of classes of unit variance


class Batch(NamedTuple):
    """Posteriors of a batch and of labelled rows, under the source prior."""

    posteriors: np.ndarray
    shares: np.ndarray
    source_prior: np.ndarray
    labelled: np.ndarray
    codes: np.ndarray


def draw(n: int, k: int, spread: float, seed: int) -> Batch:
    """Draw labelled rows by the source prior and a batch by other shares."""
    rng = np.random.default_rng(seed)
    centers = spread * rng.normal(size=(k, FEATURES))
    source_prior, shares = rng.dirichlet(np.full(k, 5.0)), rng.dirichlet(np.full(k, 1.0))

    def rows(n, prior):
        codes = rng.choice(k, size=n, p=prior)
        x = centers[codes] + rng.normal(size=(n, FEATURES))
        scores = x @ centers.T - (centers**2).sum(axis=1) / 2 + np.log(source_prior)
        h = np.exp(scores - scores.max(axis=1, keepdims=True))
        return h / h.sum(axis=1, keepdims=True), codes

    labelled, codes = rows(SOURCE_ROWS, source_prior)
    return Batch(rows(n, shares)[0], shares, source_prior, labelled, codes)


def entries(batch: Batch) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Names of the estimators, and calls that return shares."""
    h, b = batch.posteriors, batch.source_prior
    k = len(b)
    yield "ours, EM and Newton", lambda: shifted_prior(h, b).prior
    yield (
        "ours, EM alone (1000 steps at most)",
        lambda: shifted_prior(h, b, newton=False, max_iter=1000).prior,
    )
    confusion = class_confusion(batch.labelled, batch.codes, k)
    yield "ours, confusion matrix", lambda: confusion_prior(confusion, h.mean(axis=0)).prior
    try:
        from quapy.method.aggregative import EMQ, PACC
    except ImportError as why:
        print(f"QuaPy is left out: {why}")
        return
    yield "QuaPy EMQ", lambda: EMQ.EM(b, h)[0]
    yield "QuaPy EMQ, epsilon 1e-8", lambda: EMQ.EM(b, h, epsilon=1e-8)[0]
    classifier = DummyClassifier().fit(np.zeros((k, 1)), np.arange(k))  # which is never asked
    for solver in ("minimize", "exact-raise"):
        peer = PACC(classifier, fit_classifier=False, val_split=None, solver=solver)
        peer.aggregation_fit(batch.labelled, batch.codes)
        yield f"QuaPy PACC, {solver}", partial(_aggregated, peer, h)


def _aggregated(peer, posteriors):
    return peer.aggregate(posteriors)


def measure(n: int, k: int, spread: float, seed: int, repeat: int) -> dict[str, tuple]:
    """Seconds, error and missing log-likelihood of every estimator."""
    batch = draw(n, k, spread, seed)
    scaled = batch.posteriors / batch.source_prior
    best = shifted_prior(batch.posteriors, batch.source_prior, tol=1e-11)
    assert best.gap < 1e-8, best
    found = {}
    for name, call in entries(batch):
        seconds = []
        for _ in range(repeat):
            begin = time.perf_counter()
            shares = call()
            seconds.append(time.perf_counter() - begin)
        with np.errstate(divide="ignore"):
            missing = best.log_likelihood - np.log(scaled @ shares).mean()
        found[name] = min(seconds), np.abs(shares - batch.shares).sum(), max(0.0, missing)
    return found


def main(argv: list[str] | None = None) -> dict[tuple[str, str], tuple]:
    """Print the tables; return means over the seeds by setting and estimator."""
    parser = argparse.ArgumentParser(prog="python -m bench.class_shares", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="of the batch, default 100 000")
    parser.add_argument("--classes", type=int, default=10, help="default 10")
    parser.add_argument("--seeds", type=int, default=3, help="how many, default 3")
    parser.add_argument("--repeat", type=int, default=3, help="calls that are timed, default 3")
    options = parser.parse_args(argv)
    means = {}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers say so where they stop early
        for setting, spread in SPREADS.items():
            runs = [
                measure(options.rows, options.classes, spread, seed, options.repeat)
                for seed in range(options.seeds)
            ]
            print(f"\nclasses {setting}, n={options.rows}, k={options.classes}\n")
            print("| estimator | seconds | L1 error | log-likelihood missing |\n|---|---|---|---|")
            for name in runs[0]:
                means[setting, name] = mean = tuple(np.mean([run[name] for run in runs], axis=0))
                print(f"| {name} | {mean[0]:.4f} | {mean[1]:.4f} | {mean[2]:.1e} |")
    return means


if __name__ == "__main__":
    main()
