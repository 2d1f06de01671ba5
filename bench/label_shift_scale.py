"""Label shift among millions of rows: ``python -m bench.label_shift_scale --rows 1000000``.

Classes of two Gaussian modes each, dealt to domains with class shares from a Dirichlet
distribution. What is found is held against Bayes' rule, which knows the modes and the shares, and
against those who see the domain alone; the time, against that of the k-means passes it contains.
A process of its own, because the largest resident size of the whole process counts.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from bench.machine import describe, restart_without_overrides
from bench.memory import peak_bytes, resident_bytes
from clusterlib.config import config_context
from clusterlib.metrics import label_shift_floors, latent_label_shift_scores
from clusterlib.solvers import micro_clusters, scaled_label_shift

N_MODES = 2
CHUNK_ROWS = 1 << 17


class Rows(NamedTuple):
    """Rows with their domains, and what only the generator knows."""

    X: np.ndarray
    domains: np.ndarray
    classes: np.ndarray
    marginals: np.ndarray  # (n_domains, n_classes)
    centers: np.ndarray  # (N_MODES, n_classes, n_features)


def main(argv: list[str] | None = None) -> dict:
    """Fit once, print what it took and what it found, and return it."""
    options = parse(argv)
    with (
        threadpool_limits(options.threads),
        config_context(n_threads=options.threads),
        tempfile.TemporaryDirectory() as folder,
    ):
        path = Path(folder) / "X.npy" if options.mapped else None
        line = measure(drawn(options, path), options)
    print(json.dumps(line))
    return line


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.label_shift_scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--d", type=int, default=16)
    parser.add_argument("--alpha", type=float, default=3.0, help="of all classes together")
    parser.add_argument("--spread", type=float, default=0.9, help="of the modes, in deviations")
    parser.add_argument("--micro", type=int, default=4000, help="micro-clusters")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mapped", action="store_true", help="read X from a file")
    return parser.parse_args(argv)


def drawn(options: argparse.Namespace, path: Path | None) -> Rows:
    """Draw rows chunk by chunk, into a file if there is a path."""
    rng = np.random.default_rng(options.seed)
    n, k, r = options.rows, options.classes, options.domains
    centers = rng.normal(0, options.spread, (N_MODES, k, options.d)).astype(np.float32)
    marginals = rng.dirichlet(np.full(k, options.alpha / k), size=r)
    domains = rng.permutation(np.arange(n, dtype=np.int32) % r)
    classes = np.empty(n, dtype=np.int8 if k < 128 else np.int32)
    shape = (n, options.d)
    X = np.empty(shape, np.float32) if path is None else _file(path, shape)
    steps = marginals.cumsum(axis=1)
    for start in range(0, n, CHUNK_ROWS):
        cut = slice(start, start + CHUNK_ROWS)
        above = rng.random((len(X[cut]), 1)) > steps[domains[cut]]
        classes[cut] = np.minimum(above.sum(axis=1), k - 1)
        mode = rng.integers(0, N_MODES, len(above))
        noise = rng.standard_normal((len(above), options.d), dtype=np.float32)
        X[cut] = centers[mode, classes[cut]] + noise
    return Rows(X, domains, classes, marginals, centers)


def _file(path: Path, shape: tuple[int, int]) -> np.ndarray:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)


def measure(rows: Rows, options: argparse.Namespace) -> dict:
    """Times, memory and scores of one fit."""
    before, start = resident_bytes(), time.process_time()
    micro_clusters(rows.X, options.micro, np.random.default_rng(options.seed))
    k_means, start = time.process_time() - start, time.process_time()
    found = scaled_label_shift(
        rows.X,
        rows.domains,
        options.domains,
        options.classes,
        rng=np.random.default_rng(options.seed),
        n_micro=options.micro,
    )
    seconds, extra = time.process_time() - start, peak_bytes() - before
    labels = found.posteriors.argmax(axis=1)
    names = np.arange(options.classes)
    scores = latent_label_shift_scores(
        rows.classes, labels, rows.marginals, found.marginals, classes=names
    )
    floors = label_shift_floors(rows.marginals, rows.classes, rows.domains, classes=names)
    return {
        "kind": "scale",
        **{name: getattr(options, name) for name in ("rows", "domains", "classes", "d", "alpha")},
        **{name: getattr(options, name) for name in ("micro", "seed", "threads", "mapped")},
        "k_means_seconds": round(k_means, 2),
        "seconds": round(seconds, 2),
        "times_k_means": round(seconds / k_means, 2),
        "extra_bytes": extra,
        "accuracy": round(scores.accuracy, 5),
        "bayes": round(bayes_accuracy(rows), 5),
        "domain_only": round(floors.domain_only_accuracy, 5),
        "error": round(scores.marginal_error, 5),
        "label_floor": round(floors.label_floor, 5),
        "held_out": {
            model.value: round(value, 4) for model, value in found.model_log_likelihoods.items()
        },
        **{key: describe()[key] for key in ("cpu", "revision")},
    }


def bayes_accuracy(rows: Rows) -> float:
    """Accuracy of the rule that knows the modes and the shares in every domain."""
    n_modes, n_classes, n_features = rows.centers.shape
    centers = rows.centers.reshape(-1, n_features)
    right = 0
    for start in range(0, len(rows.X), CHUNK_ROWS):
        cut = slice(start, start + CHUNK_ROWS)
        scores = rows.X[cut] @ centers.T - 0.5 * np.square(centers).sum(axis=1)
        densities = np.exp(scores - scores.max(axis=1, keepdims=True))
        densities = densities.reshape(-1, n_modes, n_classes).sum(axis=1)
        best = (densities * rows.marginals[rows.domains[cut]]).argmax(axis=1)
        right += int(np.count_nonzero(best == rows.classes[cut]))
    return right / len(rows.X)


if __name__ == "__main__":
    restart_without_overrides("bench.label_shift_scale")
    main()
