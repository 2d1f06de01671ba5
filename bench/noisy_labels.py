"""Long tails with wrong labels: ``python -m bench.noisy_labels accuracy``, and other parts.

``accuracy`` learns from data with three kinds of wrong labels and long tails, ``embeddings`` from
those of sentences, reduced or with all features, ``violations`` from what no model of Gaussians with labels that depend on the
class alone describes: heavy tails, two clusters in a class, wrong labels near the boundary. They
print balanced accuracy on test rows with right labels, in percent. Where a method comes with several
strengths of regularisation, that of a cell is shown which does best on the test rows. ``issues``
ranks the training rows by how probably their label is wrong and prints the average precision of
that; of cleanlab's rankings the best one of a data set is shown.

Figures are means over seeds, with standard errors over seeds for the means of data sets. Results are
json lines; with ``--out`` a run that was cut short goes on where it stopped.
"""

import argparse
import json
import time
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from threadpoolctl import threadpool_limits

from bench import machine, noisy_label_tables
from bench.accuracy import read
from bench.label_shift_cases import Absent
from bench.noisy_label_cases import CELLS, Cell, Task
from bench.noisy_label_methods import CLEAN, FAMILIES, OF_TEXTS, OTHERS, RANKINGS

SEEDS = 3
METHODS, RANKING_METHODS = (
    {name: method for family in families.values() for name, method in family.items()}
    for families in (FAMILIES, RANKINGS)
)


def main(argv: list[str] | None = None) -> list[dict]:
    """Compute what is missing in the file, print the tables, return all lines."""
    options = parse(argv)
    kept = read(options.out) if options.out else []
    lines = [line for line in kept if line["kind"] == options.part]
    done = {(line["cell"], line["method"], line["seed"]) for line in lines}
    with threadpool_limits(1):
        for line in measure(
            options.part, (key for key in _keys(options) if _name(*key) not in done)
        ):
            lines.append(line)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    print(noisy_label_tables.report(options.part, lines))
    return lines


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.noisy_labels", description=__doc__)
    parser.add_argument("part", choices=CELLS)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many, default {SEEDS}")
    parser.add_argument("--first-seed", type=int, default=0, help="default 0")
    parser.add_argument("--cells", nargs="+", help="cells whose names hold one of these; all")
    parser.add_argument("--methods", nargs="+", help="columns of the table; all")
    parser.add_argument("--out", type=Path, help="file to go on with; none")
    options = parser.parse_args(argv)
    known = _families(options.part)
    if unknown := set(options.methods or ()) - set(known):
        parser.error(f"no such methods: {sorted(unknown)}; there are {list(known)}")
    if not _chosen_cells(options):
        names = [cell.name for cell in CELLS[options.part]]
        parser.error(f"no such cells: {options.cells}; there are {names}")
    return options


def _families(part):
    """Columns of a part, and the methods of each."""
    if part == "issues":
        return RANKINGS
    return {name: FAMILIES[name] for name in (OF_TEXTS if part == "embeddings" else OTHERS)}


def _chosen_cells(options):
    wanted = options.cells or [""]
    return [cell for cell in CELLS[options.part] if any(word in cell.name for word in wanted)]


def _keys(options: argparse.Namespace) -> Iterator[tuple[Cell, str, int]]:
    families = _families(options.part)
    columns = options.methods or families
    methods = list(dict.fromkeys(method for column in columns for method in families[column]))
    for cell in _chosen_cells(options):
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for method in methods:
                yield cell, method, seed


def _name(cell, method, seed):
    return cell.name, method, seed


def measure(part: str, keys: Iterable[tuple[Cell, str, int]]) -> Iterator[dict]:
    """One line for each cell, method and seed; data that are not here are told once."""
    revision, drawn, task, absent = machine.describe()["revision"], None, None, set()
    figures = ranked if part == "issues" else scored
    for cell, method, seed in keys:
        if cell.data in absent:
            continue
        line = {"cell": cell.name, "data": cell.data, "method": method, "seed": seed}
        line |= {"revision": revision}
        if drawn != (cell, seed):
            try:
                drawn, task = (cell, seed), cell.draw(seed)
            except Absent as why:
                absent.add(cell.data)
                yield line | {"kind": "absent", "why": str(why)}
                continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is wrong with such data, or no convergence
            try:
                found = figures(task, method, seed)
            except Exception as why:  # noqa: BLE001 - it is reported, and the others run on
                yield line | {"kind": "failed", "why": repr(why)}
                continue
        yield {"kind": part} | line | found


def _timed(call):
    start = time.process_time()
    return call(), round(time.process_time() - start, 3)


def scored(task: Task, method: str, seed: int) -> dict:
    """Balanced accuracy on the test rows, what the method has chosen, and its time."""
    problem = task.clean if method in FAMILIES[CLEAN] else task.problem
    found, seconds = _timed(partial(METHODS[method], problem, seed))
    accuracy = balanced_accuracy_score(task.y_test, found.labels)
    return {"accuracy": round(accuracy, 5), "choice": found.choice, "seconds": seconds}


def ranked(task: Task, method: str, seed: int) -> dict:
    """Average precision of wrong labels, and how far probabilities are from what is the case."""
    wrong = task.problem.labels != task.y
    found, seconds = _timed(partial(RANKING_METHODS[method], task.problem, seed))
    figures = {
        "precision": average_precision_score(wrong, found),
        "expected": found.mean(),
        "wrong": wrong.mean(),
        "brier": np.mean((found - wrong) ** 2),
        "seconds": seconds,
    }
    return {name: round(float(value), 5) for name, value in figures.items()}


if __name__ == "__main__":
    main()
