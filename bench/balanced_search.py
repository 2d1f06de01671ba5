"""What searches gain in balanced k-means: ``python -m bench.balanced_search [--seeds 5]``.

Restarts get the processor time that swaps of centres took, seed by seed. Printed are mean and
standard deviation over the seeds of the inertia, relative to the mean of one start without
exchanges, and mean seconds.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from clusterlib.cluster import BalancedKMeans
from clusterlib.config import config_context
from clusterlib.datasets import load_embeddings

N_SWAPS = 50


def zipf_mixture(n: int = 5000, d: int = 64, n_components: int = 60) -> np.ndarray:
    """Unit rows of a mixture whose k-th component has a weight of 1 / k."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, n_components + 1)
    places = rng.normal(size=(n_components, d))
    spread = 0.8 * rng.uniform(0.5, 1.5, size=(n_components, 1))
    y = rng.choice(n_components, size=n, p=weights / weights.sum())
    rows = places[y] + spread[y] * rng.normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def texts(n: int = 5000, d: int = 64) -> np.ndarray:
    """Sentence embeddings on their leading directions, as unit rows."""
    X = load_embeddings("20newsgroups-train").data[:n].astype(np.float64)
    X = X - X.mean(axis=0)
    rows = X @ np.linalg.svd(X, full_matrices=False)[2][:d].T
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def problems() -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, rows and number of clusters."""
    digits = load_digits().data.astype(np.float32)
    yield "Zipf mixture, 5000 x 64, k = 50", zipf_mixture(), 50
    if "CLUSTERLIB_DATA" in os.environ:
        yield "20 Newsgroups, 5000 x 64, k = 50", texts(), 50
    yield "digits, 1797 x 64, k = 50", digits, 50
    yield "digits, 1797 x 64, k = 180", digits, 180


def fit(X: np.ndarray, k: int, seed: int, **options: object) -> tuple[float, float]:
    """Inertia and processor seconds of a fit."""
    began = time.process_time()
    inertia = BalancedKMeans(k, random_state=seed, **options).fit(X).inertia_
    return inertia, time.process_time() - began


def restarts(X: np.ndarray, k: int, seed: int, budget: float, **options: object) -> float:
    """Best inertia of as many starts as fit into a time; the last one may end after it."""
    best, spent, number = np.inf, 0.0, 0
    while spent < budget:
        inertia, seconds = fit(X, k, 1000 * seed + number, **options)
        best, spent, number = min(best, inertia), spent + seconds, number + 1
    return best


def contest(X: np.ndarray, k: int, seed: int) -> dict[str, tuple[float, float]]:
    """Inertia and seconds of every way, the first one to compare with."""
    plain = fit(X, k, 1000 * seed, exchange=False)
    exchanged = fit(X, k, 1000 * seed)
    swapped = fit(X, k, 1000 * seed, n_swaps=N_SWAPS)
    budget = swapped[1]
    return {
        "one start": plain,
        "with exchanges": exchanged,
        "restarts": (restarts(X, k, seed, budget, exchange=False), budget),
        "restarts with exchanges": (restarts(X, k, seed, budget), budget),
        f"exchanges and {N_SWAPS} swaps": swapped,
    }


def table(seeds: int, report: Callable[[str], None]) -> None:
    """Run all problems and report the rows of a table."""
    for name, X, k in problems():
        fit(X[: 10 * k], k, 0)  # whatever has to be compiled
        runs = [contest(X, k, seed) for seed in range(seeds)]
        report(f"\n{name}\n")
        report("| way | inertia, % of one start | seconds |\n|---|---|---|")
        base = np.mean([run["one start"][0] for run in runs])
        for way in runs[0]:
            ratios = [100 * run[way][0] / base for run in runs]
            seconds = np.mean([run[way][1] for run in runs])
            report(f"| {way} | {np.mean(ratios):.2f} ± {np.std(ratios):.2f} | {seconds:.2f} |")


def main(argv: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with config_context(n_threads=options.threads):
        table(options.seeds, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
