"""Which head to learn wrong labels with: ``python -m bench.noisy_label_heads --out heads.jsonl``.

Fits all heads that :func:`clusterlib.solvers.choose_head` may compare to all cells of
``bench.noisy_labels``, and prints the balanced accuracy of each on test rows with right labels, in
percent, and of rules that choose among them by the scores of left-out labels, which may be wrong: among
all heads, or among those that rest on how far labels are right. Figures are means over cells and seeds.
Lines that are in the file are not computed again.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import balanced_accuracy_score
from threadpoolctl import threadpool_limits

from bench import machine
from bench.accuracy import read
from bench.label_shift_cases import Absent
from bench.noisy_label_cases import CELLS, Cell
from clusterlib.solvers import (
    HeadKind,
    choose_head,
    choose_shrinkage,
    fitted_parts,
    head_scores,
    principal_components,
    project,
)

N_COMPONENTS = 96
NAMES = [kind.value for kind in HeadKind]
CELLS_OF_HEADS = [*CELLS["accuracy"], *CELLS["embeddings"], *CELLS["violations"]]


def main(argv: list[str] | None = None) -> list[dict]:
    """Compute what is missing in the file, print the tables, return all lines."""
    parser = argparse.ArgumentParser(prog="python -m bench.noisy_label_heads", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many, default 3")
    parser.add_argument("--cells", nargs="+", help="cells whose names hold one of these; all")
    parser.add_argument("--out", type=Path, help="file to go on with; none")
    options = parser.parse_args(argv)
    lines = read(options.out) if options.out else []
    done = {(line["cell"], line["seed"]) for line in lines}
    absent = set()
    for cell in _wanted(options.cells):
        for seed in range(options.seeds):
            if (cell.name, seed) in done or cell.data in absent:
                continue
            try:
                lines.append(measured(cell, seed))
            except Absent:
                absent.add(cell.data)
                continue
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    print(report(lines))
    for data in sorted(absent):
        print(f"{data} is left out: it is not here")
    return lines


def _wanted(words):
    return [cell for cell in CELLS_OF_HEADS if any(word in cell.name for word in words or [""])]


def measured(cell: Cell, seed: int) -> dict:
    """Scores of left-out labels and accuracy on test rows, of the best head of each kind."""
    task = cell.draw(seed)
    problem = task.problem.unreduced
    n_classes = int(max(task.y.max(), task.y_test.max())) + 1
    views = _views(problem)
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        shrinkage = choose_shrinkage(views[0][0], problem.labels, n_classes, rng).shrinkage
        shrinkages = [shrinkage, np.inf][: len(views)]
        rows, test = zip(*views, strict=True)
        choice = choose_head(
            rows, problem.labels, n_classes, shrinkages, rng, kinds=tuple(HeadKind)
        )
        strengths = {}
        for head in choice.heads:
            for kind, (C,) in head.strengths().items():
                strengths[kind] = sorted({*strengths.get(kind, []), C})
        parts = fitted_parts(rows, problem.labels, n_classes, shrinkages, strengths, max_iter=300)
        found = {h.kind.value: head_scores(test, parts, h).argmax(axis=1) for h in choice.heads}
    accuracy = {name: balanced_accuracy_score(task.y_test, of) for name, of in found.items()}
    return {
        "kind": "heads",
        "cell": cell.name,
        "data": cell.data,
        "seed": seed,
        "revision": machine.describe()["revision"],
        "accuracy": {name: round(float(value), 5) for name, value in accuracy.items()},
        "scores": dict(zip(NAMES, choice.scores.round(5).tolist(), strict=True)),
        "errors": dict(zip(NAMES, choice.standard_errors.round(5).tolist(), strict=True)),
        "choice": choice.head.kind.value,
    }


def _views(problem):
    """Pairs of rows and test rows as the estimator sees them."""
    X, X_test = problem.X, problem.X_test
    if X.shape[1] <= N_COMPONENTS:
        return [(X, X_test)]
    found = principal_components(X, N_COMPONENTS)
    return [(project(X, found), project(X_test, found)), (X, X_test)]


def _first(order, errors):
    """The first head in an order that loses at most so many standard errors to the best of them.

    The errors are those of differences to the best of all heads, which is near the best of some.
    """

    def rule(line):
        best = max(line["scores"][name] for name in order)
        near = (n for n in order if best - line["scores"][n] <= errors * line["errors"][n])
        return next(near, max(order, key=line["scores"].get))

    return rule


_RECOVERED = [kind.value for kind in HeadKind.recovered()]
_COMBINED_FIRST = ["combined", *(name for name in _RECOVERED if name != "combined")]
RULES: dict[str, Callable[[dict], str]] = {
    "best score of all": _first(NAMES, 0),
    "best score of weighted, gaussian, combined": _first(_RECOVERED, 0),
    "the simplest of these within one standard error": _first(_RECOVERED, 1),
    "combined if within one, else the simplest": _first(_COMBINED_FIRST, 1),
    "combined if within two, else the simplest": _first(_COMBINED_FIRST, 2),
    "the most accurate of all, of each fit": lambda line: max(NAMES, key=line["accuracy"].get),
}


def report(lines: list[dict]) -> str:
    """One table in markdown: heads and rules in rows, data in columns; boundary noise by itself."""
    data = list(dict.fromkeys(_column(line) for line in lines))
    always = {f"always {name}": (lambda line, name=name: name) for name in NAMES}
    rows = ["| head | " + " | ".join(data) + " |", "|---" * (len(data) + 1) + "|"]
    for name, rule in (always | RULES).items():
        means = [
            np.mean([line["accuracy"][rule(line)] for line in lines if _column(line) == of])
            for of in data
        ]
        rows.append(f"| {name} | " + " | ".join(f"{100 * mean:.1f}" for mean in means) + " |")
    return "\n".join(rows)


def _column(line):
    return f"{line['data']}, boundary" if "boundary" in line["cell"] else line["data"]


if __name__ == "__main__":
    main()
