"""Time of the noise model: ``python -m bench.noisy_label_speed iteration`` and ``... fit``.

``iteration`` holds an iteration of EM for Gaussian classes with wrong labels against the matrix
products that it is made of: whitening all rows for all classes, 512 rows and a class at a time, and
scatters of the rows with a posterior in the class. Iterations are differences of two fits. ``fit``
holds two fits of `RepresentationCalibrator`, one to principal components with a shrinkage that is
chosen and one to all features with one covariance, and the classifier, against cleanlab's filter with five
folds of logistic regression, on the same rows. Contestants take turns; with one thread the time of
the process counts, else that of the clock, and the least one of all rounds. Both print a table in
markdown.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from bench.label_shift_cases import Absent
from bench.machine import describe, restart_without_overrides
from clusterlib.config import config_context
from clusterlib.datasets import load_embeddings, make_noisy_labels
from clusterlib.imbalance import NoisyLabelClassifier, RepresentationCalibrator
from clusterlib.kernels import LEAF_ROWS
from clusterlib.solvers import (
    noisy_gaussian_scores,
    noisy_gaussians,
    principal_components,
    project,
)

WRONG = 0.2  # share of wrong labels
SHRINKAGE = 5  # in numbers of features
ITERATIONS = 2  # between the shorter and the longer fit
WHITENED_ROWS, LEAST_POSTERIOR = 512, 2.0**-60  # as the solver has them
RANK, NOISE = 40, 0.15  # directions that tell classes apart, and what is beside them
FOLDS = 5


def main(argv: list[str] | None = None) -> dict:
    """Measure one part, print its table, and return its line."""
    options = parse(argv)
    with threadpool_limits(options.threads), config_context(n_threads=options.threads):
        seconds, found = PARTS[options.part](options)
    shape = {name: value for name, value in vars(options).items() if name not in ("part", "out")}
    line = {"kind": options.part, **shape, "seconds": seconds, **found}
    if options.out:
        with options.out.open("a") as file:
            file.write(json.dumps({"kind": "machine", **describe()}) + "\n")
            file.write(json.dumps(line) + "\n")
    print(report(line))
    return line


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.noisy_label_speed", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, rows, features, classes, rounds in (
        ("iteration", 1_000_000, 64, 100, 1),
        ("fit", 50_000, 384, 20, 1),
    ):
        part = parts.add_parser(name)
        part.add_argument("--rows", type=int, default=rows)
        part.add_argument("--features", type=int, default=features)
        part.add_argument("--classes", type=int, default=classes)
        part.add_argument("--dtype", choices=["float32", "float64"], default="float32")
        part.add_argument("--rounds", type=int, default=rounds)
        part.add_argument("--threads", type=int, default=1)
        part.add_argument("--seed", type=int, default=0)
        part.add_argument("--out", type=Path, help="json lines are appended here")
        if name == "iteration":
            part.add_argument("--spread", type=float, default=0.6, help="of the means")
        else:
            part.add_argument("--components", type=int, default=96)
            part.add_argument("--data", choices=["gaussians", "newsgroups"], default="gaussians")
    return parser.parse_args(argv)


def timed(contestants: dict, options: argparse.Namespace) -> tuple[dict, dict]:
    """Least seconds of every contestant over the rounds, and what each returned last."""
    clock = time.process_time if options.threads == 1 else time.perf_counter
    seconds, answers = {}, {}
    for _ in range(options.rounds):
        for name, contestant in contestants.items():
            start = clock()
            answers[name] = contestant()
            seconds[name] = min(seconds.get(name, np.inf), clock() - start)
    return seconds, answers


# An iteration and its products.


def overlapping(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Gaussians of different shapes, and labels of which some are wrong."""
    rng = np.random.default_rng(options.seed)
    n, m, k = options.rows, options.features, options.classes
    means = options.spread * rng.normal(size=(k, m))
    axes = np.linalg.qr(rng.normal(size=(k, m, m)))[0]
    shapes = axes * np.exp(0.25 * rng.normal(size=(k, 1, m)))
    classes = rng.integers(k, size=n)
    X = np.empty((n, m), dtype=options.dtype)
    for c in range(k):
        rows = np.flatnonzero(classes == c)
        X[rows] = rng.normal(size=(len(rows), m)) @ shapes[c].T + means[c]
    return X, _noisy(classes, options)


def _noisy(classes, options):
    return make_noisy_labels(classes, noise_rate=WRONG, random_state=options.seed)[0]


def measure_iteration(options: argparse.Namespace) -> tuple[dict, dict]:
    """Seconds of an iteration and of its products; how many classes a row is looked at in."""
    X, codes = overlapping(options)
    n_classes, m = options.classes, options.features

    def fitted(n_iter):
        return noisy_gaussians(X, codes, n_classes, shrinkage=SHRINKAGE * m, max_iter=n_iter)

    members = members_of_leaves(X, codes, fitted(ITERATIONS))
    everybody = np.full_like(members, LEAF_ROWS)
    everybody[-1] = len(X) - LEAF_ROWS * (len(members) - 1)
    contestants = {
        "short": lambda: fitted(1),
        "whitening": lambda: whitened(X, n_classes),
        "long": lambda: fitted(1 + ITERATIONS),
        "scatters": lambda: scatters(members, m),
        "scatters, all rows in all classes": lambda: scatters(everybody, m),
    }
    seconds = timed(contestants, options)[0]
    iteration = (seconds.pop("long") - seconds.pop("short")) / ITERATIONS
    return {"iteration": iteration, **seconds}, {"classes_of_a_row": members.sum() / len(X)}


def members_of_leaves(X, codes, fit) -> np.ndarray:
    """Rows of each leaf that have a posterior in each class, shape (n_leaves, n_classes)."""
    log_labels = np.log(fit.transition.T) + np.log(fit.class_prior)
    found = []
    for start in range(0, len(X), LEAF_ROWS):
        cut = slice(start, start + LEAF_ROWS)
        joint = noisy_gaussian_scores(X[cut], fit) + log_labels[codes[cut]]
        lse = np.logaddexp.reduce(joint, axis=1, keepdims=True)
        found.append(np.count_nonzero(joint - lse >= np.log(LEAST_POSTERIOR), axis=0))
    return np.array(found)


def whitened(X, n_classes):
    """The products of whitening, in float64: some rows at a time with a matrix for each class."""
    m = X.shape[1]
    matrices = np.random.default_rng(0).normal(size=(n_classes, m, m))
    rows, product = np.random.default_rng(1).normal(size=(2, WHITENED_ROWS, m))
    for start in range(0, len(X), WHITENED_ROWS):
        n = min(WHITENED_ROWS, len(X) - start)
        for matrix in matrices:
            np.matmul(rows[:n], matrix.T, out=product[:n])


def scatters(members, m):
    """The products of scatters, which NumPy takes half the operations for: they are symmetric."""
    rows, product = np.random.default_rng(0).normal(size=(LEAF_ROWS, m)), np.empty((m, m))
    for n in members.ravel():
        np.matmul(rows[:n].T, rows[:n], out=product)


# A fit beside cleanlab.


def embedded(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that look like embeddings, their labels, and which of these are wrong."""
    rng = np.random.default_rng(options.seed)
    n, m = options.rows, options.features
    if options.data == "newsgroups":
        X, y = _newsgroups()
        drawn, classes = rng.integers(len(X), size=n), np.unique(y, return_inverse=True)[1]
        X = X[drawn] + 0.5 * X.std(axis=0) * rng.normal(size=(n, X.shape[1]))
        classes = classes[drawn]
    else:
        rank, k = min(RANK, m), options.classes
        means, shapes = 0.9 * rng.normal(size=(k, rank)), np.exp(0.4 * rng.normal(size=(k, rank)))
        classes = rng.integers(k, size=n)
        inner = means[classes] + shapes[classes] * rng.normal(size=(n, rank))
        X = inner @ rng.normal(size=(rank, m)) / np.sqrt(m) + NOISE * rng.normal(size=(n, m))
    labels = _noisy(classes, options)
    return X.astype(options.dtype), labels, labels != classes


def _newsgroups():
    try:
        parts = [load_embeddings(f"20newsgroups-{half}") for half in ("train", "test")]
    except FileNotFoundError as error:
        raise Absent(str(error)) from error
    return (np.concatenate([part[key] for part in parts]) for key in ("data", "target"))


def calibrated(X, labels, options) -> tuple[np.ndarray, dict]:
    """How doubtful labels are by the noise model of principal components."""
    rows = project(X, principal_components(X, options.components))
    fit = RepresentationCalibrator(random_state=options.seed).fit(rows, labels)
    return 1 - fit.label_quality_, {"n_iter": fit.n_iter_, "shrinkage": fit.shrinkage_}


def calibrated_together(X, labels, options) -> tuple[np.ndarray, int]:
    """The same with one covariance for all classes, which takes all features."""
    fit = RepresentationCalibrator(shrinkage=np.inf, random_state=options.seed).fit(X, labels)
    return 1 - fit.label_quality_, fit.n_iter_


def classified(X, labels, options) -> tuple[np.ndarray, str]:
    """The same by the classifier, which takes all features and learns to classify as well."""
    model = NoisyLabelClassifier(n_components=options.components, random_state=options.seed)
    model.fit(X, labels)
    return 1 - model.label_quality_, model.head_


def filtered(X, labels) -> tuple[np.ndarray, np.ndarray]:
    """How doubtful they are by cleanlab, as its `CleanLearning` goes about it."""
    from cleanlab.filter import find_label_issues

    model = LogisticRegression(max_iter=1000)
    shares = cross_val_predict(model, X, labels, cv=FOLDS, method="predict_proba")
    issues = find_label_issues(labels, shares, n_jobs=1)
    return 1 - shares[np.arange(len(labels)), labels], issues


def measure_fit(options: argparse.Namespace) -> tuple[dict, dict]:
    """Seconds of all four, and the average precisions of their rankings."""
    X, labels, wrong = embedded(options)
    contestants = {
        "noise model": lambda: calibrated(X, labels, options),
        "one covariance": lambda: calibrated_together(X, labels, options),
        "classifier": lambda: classified(X, labels, options),
        "cleanlab": lambda: filtered(X, labels),
    }
    seconds, answers = timed(contestants, options)
    precision = {
        name: average_precision_score(wrong, doubt) for name, (doubt, _) in answers.items()
    }
    shape = {"features": X.shape[1], "classes": len(np.unique(labels))}
    found = {"average_precision": precision, "n_iter_together": answers["one covariance"][1]}
    return seconds, shape | found | answers["noise model"][1]


PARTS = {"iteration": measure_iteration, "fit": measure_fit}


def report(line: dict) -> str:
    """The line as a table."""
    seconds = line["seconds"]
    size = f"{line['rows']} rows, {line['features']} features, {line['classes']} classes"
    lines = [f"\n{size}, {line['dtype']}, {line['threads']} thread(s)\n"]
    if line["kind"] == "iteration":
        lines += ["| what | seconds |", "|---|---|"]
        lines += [f"| {name} | {value:.3f} |" for name, value in seconds.items()]
        lines.append(
            f"\nAn iteration takes {of_products(seconds, 'scatters'):.2f} times its products; "
            f"{of_products(seconds, 'scatters, all rows in all classes'):.2f} times them if all "
            f"rows were in all classes. A row is in {line['classes_of_a_row']:.1f} of them."
        )
    else:
        lines += ["| method | seconds | average precision |", "|---|---|---|"]
        lines += [
            f"| {name} | {value:.2f} | {line['average_precision'][name]:.4f} |"
            for name, value in seconds.items()
        ]
        times, together, classifier = (
            seconds["cleanlab"] / seconds[name]
            for name in ("noise model", "one covariance", "classifier")
        )
        lines.append(
            f"\nThe noise model is {times:.2f} times as fast: {line['components']} components, "
            f"{line['n_iter']} iterations, shrinkage {line['shrinkage']:g}. With one covariance "
            f"for all features it is {together:.2f} times as fast, {line['n_iter_together']} "
            f"iterations, and the classifier {classifier:.2f} times."
        )
    return "\n".join(lines)


def of_products(seconds: dict, which: str) -> float:
    """Time of an iteration over that of whitening and of some scatters."""
    return seconds["iteration"] / (seconds["whitening"] + seconds[which])


if __name__ == "__main__":
    restart_without_overrides("bench.noisy_label_speed")
    try:
        main()
    except Absent as why:
        print(f"left out: {why}")
