"""First centres: k-means|| against greedy k-means++ and rows drawn at random.

``python -m bench.seeding`` fits every problem from the seeds of every way and prints means over
the draws, relative to greedy k-means++: what the rows cost at the seeds, what they cost when
Lloyd's iteration has ended, and the processor seconds of seeding. A line for each draw goes to
``bench/results/seeding.jsonl``.

- Draws are 6 of every way, 3 for 500 clusters; ``--seeds`` changes that.
- ``blobs``: 200 tight clusters of Zipf's sizes; the smallest have a few rows and lie far away.
- ``texts``: sentence embeddings of 20 Newsgroups, of the folder that ``CLUSTERLIB_DATA`` names;
  what is not there is left out.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from clusterlib.datasets import load_embeddings
from clusterlib.solvers import kmeans_parallel, kmeans_plusplus, lloyd, random_rows, total_cost

RESULTS = Path(__file__).parent / "results" / "seeding.jsonl"
N_CLUSTERS = (20, 100, 500)
LARGE = 500  # so many clusters get half of the draws
JUDGE = "greedy k-means++"
MAX_ITER = 100


def blobs(n: int = 20_000, d: int = 16, n_blobs: int = 200) -> np.ndarray:
    """Tight clusters of Zipf's sizes; the smaller a cluster, the farther away it may lie."""
    rng = np.random.default_rng(20_261)
    shares = 1.0 / np.arange(1, n_blobs + 1)
    sizes = np.maximum(np.floor(n * shares / shares.sum()), 2).astype(int)
    sizes[0] += n - sizes.sum()
    distance = np.linspace(5.0, 40.0, n_blobs)[:, None]
    places = distance * rng.normal(size=(n_blobs, d)) / np.sqrt(d)
    rows = np.repeat(places, sizes, axis=0) + 0.2 * rng.normal(size=(n, d))
    return rng.permutation(rows).astype(np.float32)


def texts() -> np.ndarray:
    """Sentence embeddings as they are."""
    return np.asarray(load_embeddings("20newsgroups-train").data, dtype=np.float32)


def problems() -> Iterator[tuple[str, np.ndarray]]:
    """Name and rows."""
    yield "blobs", blobs()
    if "CLUSTERLIB_DATA" in os.environ:
        yield "texts", texts()


def ways() -> dict[str, Callable]:
    """Every way of seeding: ``find(X, n_clusters, rng, spherical=...)``."""

    def parallel(n_rounds: int, oversampling: float) -> Callable:
        def find(X, n_clusters, rng, *, spherical):
            return kmeans_parallel(
                X,
                n_clusters,
                rng,
                spherical=spherical,
                n_rounds=n_rounds,
                oversampling=oversampling,
            )

        return find

    found = {JUDGE: kmeans_plusplus, "random": random_rows}
    for n_rounds, oversampling in [(2, 1.0), (5, 0.5), (5, 1.0), (5, 2.0)]:
        name = f"k-means||, {n_rounds} rounds of {oversampling:g} k"
        found[name] = parallel(n_rounds, oversampling)
    return found


def trial(
    X: np.ndarray, find: Callable, n_clusters: int, seed: int, spherical: bool
) -> dict[str, float]:
    """Cost at the seeds, cost at the end and seconds of seeding."""
    began = time.process_time()
    seeds = find(X, n_clusters, np.random.default_rng(seed), spherical=spherical)
    seconds = time.process_time() - began
    fitted = lloyd(X, seeds.centers, max_iter=MAX_ITER, spherical=spherical)
    return {
        "cost": total_cost(X, seeds.centers, spherical=spherical),
        "inertia": float(fitted.inertia),
        "n_iter": fitted.n_iter,
        "seconds": seconds,
    }


def measured(n_seeds: int) -> Iterator[dict]:
    """A record for every problem, number of clusters, way and seed."""
    for name, X in problems():
        spherical = name == "texts"
        for n_clusters in N_CLUSTERS:
            for way, find in ways().items():
                for seed in range(n_seeds if n_clusters < LARGE else max(1, n_seeds // 2)):
                    found = trial(X, find, n_clusters, seed, spherical)
                    place = {"problem": name, "shape": X.shape, "k": n_clusters, "way": way}
                    yield place | {"seed": seed} | found


def table(records: list[dict]) -> Iterator[str]:
    """Means over the seeds: costs relative to the judge, with standard errors, and seconds."""
    yield "| data | k | seeds from | cost of the seeds | final cost | iterations | seconds |"
    yield "|---|---:|---|---:|---:|---:|---:|"
    groups: dict[tuple, list[dict]] = {}
    for record in records:
        groups.setdefault((record["problem"], record["k"], record["way"]), []).append(record)
    for (problem, k, way), group in groups.items():
        judged = groups[problem, k, JUDGE]
        cells = []
        for column in ("cost", "inertia"):
            ratios = np.array([r[column] for r in group]) / np.mean([r[column] for r in judged])
            error = ratios.std(ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else 0.0
            cells.append(f"{ratios.mean():.3f} ± {error:.3f}")
        n_iter, seconds = (np.mean([r[c] for r in group]) for c in ("n_iter", "seconds"))
        name = way.replace("|", "\\|")  # no border of a column
        yield f"| {problem} | {k} | {name} | {' | '.join(cells)} | {n_iter:.0f} | {seconds:.2f} |"


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the records and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="draws of every way")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the records")
    parser.add_argument("--report", action="store_true", help="print what the file holds")
    options = parser.parse_args(arguments)
    if not options.report:
        with options.out.open("w", encoding="utf-8") as file:
            for record in measured(options.seeds):
                file.write(json.dumps(record) + "\n")
                file.flush()
    lines = options.out.read_text(encoding="utf-8").splitlines()
    for line in table([json.loads(line) for line in lines]):
        print(line)


if __name__ == "__main__":
    main()
