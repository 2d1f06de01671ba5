"""Classes found by their domains: ``python -m bench.label_shift --out FILE``.

Every setting of ``bench.label_shift_cases`` is dealt with several seeds, and every method learns
from three quarters of the rows and their domains. Found classes are matched to the true ones once,
for the accuracy on the other quarter and for the error of the class shares alike. Results are json
lines; a run that was cut short goes on where it stopped. At the end a table is printed.
"""

import argparse
import json
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from bench import machine
from bench.accuracy import key_of, read
from bench.label_shift_cases import SETTINGS, Absent, Task
from bench.label_shift_methods import METHODS, PUBLISHED, SUPERVISED
from clusterlib.config import config_context
from clusterlib.metrics import label_shift_floors, latent_label_shift_scores

SEEDS = 3
FIGURES = ("accuracy", "error", "seconds", "label_floor", "domain_only")


def main(argv: list[str] | None = None) -> list[dict]:
    """Compute what is missing in the file, print the table, return all lines."""
    options = parse(argv)
    lines = read(options.out) if options.out else []
    if not options.report:
        lines = [line for line in lines if line["kind"] == "found"]
        done = {key_of(line) for line in lines}
        with threadpool_limits(1), config_context(n_threads=1):
            for line in measure(key for key in _keys(options) if key not in done):
                lines.append(line)
                if options.out:
                    with options.out.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    print(table(lines))
    return lines


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.label_shift", description=__doc__)
    parser.add_argument("--out", type=Path, help="file to go on with; default none")
    parser.add_argument("--setting", action="append", choices=SETTINGS, help="default all")
    parser.add_argument("--method", action="append", choices=METHODS, help="default all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many, default {SEEDS}")
    parser.add_argument("--first-seed", type=int, default=0, help="default 0")
    parser.add_argument("--report", action="store_true", help="only print the table of the file")
    return parser.parse_args(argv)


def _keys(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    for setting in options.setting or SETTINGS:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for method in options.method or METHODS:
                yield setting, method, seed


def measure(keys: Iterable[tuple[str, str, int]]) -> Iterator[dict]:
    """One line for each setting, method and seed; data that are not here are told once."""
    revision, drawn, task, absent = machine.describe()["revision"], None, None, set()
    for setting, method, seed in keys:
        if setting in absent:
            continue
        if drawn != (setting, seed):
            try:
                drawn, task = (setting, seed), SETTINGS[setting].draw(seed)
            except Absent as why:
                absent.add(setting)
                yield {"kind": "absent", "setting": setting, "why": str(why)}
                continue
        line = {"setting": setting, "method": method, "seed": seed, "revision": revision}
        try:
            yield {"kind": "found"} | line | _described(task) | scored(task, method, seed)
        except Exception as why:  # noqa: BLE001 - it is reported, and the others run on
            yield {"kind": "failed"} | line | {"why": repr(why)}


def _described(task: Task) -> dict:
    return {
        "n": len(task.X),
        "d": task.X.shape[1],
        "k": task.n_classes,
        "r": task.n_domains,
        "condition": round(task.condition, 3),
    }


def scored(task: Task, method: str, seed: int) -> dict:
    """How well a method does, in which time, and the yardsticks of the task."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = METHODS[method](task, seed)
    seconds = time.process_time() - start
    classes = np.arange(task.n_classes)
    scores = latent_label_shift_scores(
        task.y_test, found.labels, task.label_marginals, found.marginals, classes=classes
    )
    floors = label_shift_floors(task.label_marginals, task.y, task.domains, classes=classes)
    figures = (scores.accuracy, scores.marginal_error, seconds, *floors)
    return {name: round(value, 5) for name, value in zip(FIGURES, figures, strict=True)}


def summary(lines: Iterable[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean of every figure over the seeds, by setting and method."""
    groups: dict[str, dict[str, list[dict]]] = {}
    for line in lines:
        if line["kind"] == "found":
            of_setting = groups.setdefault(line["setting"], {})
            of_setting.setdefault(line["method"], []).append(line)
    return {
        setting: {
            method: {name: float(np.mean([line[name] for line in group])) for name in FIGURES}
            for method, group in methods.items()
        }
        for setting, methods in groups.items()
    }


def table(lines: list[dict]) -> str:
    """Markdown: accuracy / error of each method, the best accuracy and error in bold."""
    found = summary(lines)
    shown = [name for name in METHODS if any(name in row for row in found.values())]
    columns = list(dict.fromkeys("published" if name in PUBLISHED else name for name in shown))
    head = ("setting", "domain only", *columns, "label floor")
    rows = [head, ("---",) * len(head)]
    for setting in (name for name in SETTINGS if name in found):
        row = _with_published(found[setting])
        some = next(iter(row.values()))
        best = [
            best([figures[name] for key, figures in row.items() if key != SUPERVISED], default=0)
            for best, name in ((max, "accuracy"), (min, "error"))
        ]
        cells = [_cell(row.get(name), best, name) for name in columns]
        floor = _short(some["label_floor"], 4)
        rows.append((setting, _short(some["domain_only"], 3), *cells, floor))
    told = [f"{line['setting']}: {line['why']}" for line in lines if line["kind"] == "absent"]
    done = {key_of(line) for line in lines if line["kind"] == "found"}
    failed = [line for line in lines if line["kind"] == "failed" and key_of(line) not in done]
    told += [f"{line['setting']}, {line['method']}: {line['why']}" for line in failed]
    return "\n".join(["| " + " | ".join(row) + " |" for row in rows] + sorted(set(told)))


def _with_published(row: dict[str, dict]) -> dict[str, dict]:
    """Of the two numbers of cells the more accurate one, which favours the published procedure."""
    both = [row[name] for name in PUBLISHED if name in row]
    rest = {name: figures for name, figures in row.items() if name not in PUBLISHED}
    return rest | ({"published": max(both, key=lambda f: f["accuracy"])} if both else {})


def _cell(figures: dict | None, best: list[float], method: str) -> str:
    if figures is None:
        return ""
    if method == SUPERVISED:
        return _short(figures["accuracy"], 3)
    texts = [_short(figures["accuracy"], 3), _short(figures["error"], 4)]
    values = (figures["accuracy"], figures["error"])
    bold = [value == target for value, target in zip(values, best, strict=True)]
    return " / ".join(f"**{t}**" if b else t for t, b in zip(texts, bold, strict=True))


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


if __name__ == "__main__":
    machine.restart_without_overrides("bench.label_shift")
    main()
