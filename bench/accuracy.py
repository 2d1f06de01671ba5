"""How many rows go to the wrong group: ``python -m bench.accuracy --out errors.jsonl``.

Every setting of ``bench.accuracy_cases`` is drawn with several seeds, and every method looks for
its groups; names of groups are matched before errors are counted. Results are json lines, one for
each setting, seed and method. A run that was cut short goes on where it stopped: what the file
holds already is not computed again, unless the file is removed. At the end a table is printed.
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
from bench.accuracy_cases import KNOWING, METHODS, OURS, PEERS, SETTINGS
from clusterlib.config import config_context
from clusterlib.metrics import clustering_accuracy

SEEDS = 20
CLOSE = 0.02  # more than this above the best of the peers is called worse


def main(argv: list[str] | None = None) -> list[dict]:
    """Compute what is missing in the file, print the table, return all lines."""
    options = parse(argv)
    lines = read(options.out) if options.out else []
    if not options.report:
        done = {key_of(line) for line in lines if line["kind"] == "error"}
        wanted = [key for key in _keys(options) if key not in done]
        lines = [line for line in lines if line["kind"] == "error"]
        with threadpool_limits(1), config_context(n_threads=1):
            for line in measure(wanted):
                lines.append(line)
                if options.out:
                    with options.out.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    print(table(lines))
    return lines


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--out", type=Path, help="file to go on with; default none")
    parser.add_argument("--setting", action="append", choices=SETTINGS, help="default all")
    parser.add_argument("--method", action="append", choices=METHODS, help="default all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many, default {SEEDS}")
    parser.add_argument("--first-seed", type=int, default=0, help="default 0")
    parser.add_argument("--report", action="store_true", help="only print the table of the file")
    return parser.parse_args(argv)


def key_of(line: dict) -> tuple[str, str, int]:
    """What a line is about."""
    return line["setting"], line["method"], line["seed"]


def _keys(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    for setting in options.setting or SETTINGS:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for method in options.method or METHODS:
                yield setting, method, seed


def read(path: Path) -> list[dict]:
    """Lines of a result file; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure(keys: Iterable[tuple[str, str, int]]) -> Iterator[dict]:
    """One line for each setting, method and seed that is not without meaning."""
    revision, drawn, sample = machine.describe()["revision"], None, None
    for setting, method, seed in keys:
        if drawn != (setting, seed):
            drawn, sample = (setting, seed), SETTINGS[setting](seed)
        line = {"kind": "error", "setting": setting, "method": method, "seed": seed}
        line |= {"n": len(sample.X), "d": sample.X.shape[1], "k": sample.n_groups}
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                labels = METHODS[method](sample, seed)
        except Exception as why:  # noqa: BLE001 - it is reported, and the others run on
            yield line | {"kind": "failed", "why": repr(why), "revision": revision}
            continue
        seconds = time.process_time() - start
        if labels is not None:
            error = 1 - float(clustering_accuracy(sample.labels, labels))
            yield line | {"error": error, "seconds": round(seconds, 4), "revision": revision}


def summary(lines: Iterable[dict]) -> dict[str, dict[str, tuple[float, float, int]]]:
    """Mean error, its standard error and the number of seeds, by setting and method."""
    errors: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        if line["kind"] == "error":
            of_setting = errors.setdefault(line["setting"], {})
            of_setting.setdefault(line["method"], []).append(line["error"])
    return {
        setting: {method: _mean(values) for method, values in methods.items()}
        for setting, methods in errors.items()
    }


def _mean(values: list[float]) -> tuple[float, float, int]:
    spread = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), float(spread), len(values)


def table(lines: list[dict]) -> str:
    """Markdown: a row for each setting, the lowest error in bold, and how ours compares."""
    found = summary(lines)
    methods = [name for name in METHODS if any(name in row for row in found.values())]
    head = ("setting", "seeds", *methods, "ours less the best peer")
    rows = [head, ("---",) * len(head)]
    for setting in (name for name in SETTINGS if name in found):
        row = found[setting]
        lowest = min((row[name][0] for name in row if name != KNOWING), default=0)
        cells = [_cell(row.get(name), lowest, name != KNOWING) for name in methods]
        seeds = max(count for _, _, count in row.values())
        rows.append((setting, str(seeds), *cells, _difference(row)))
    done = {key_of(line) for line in lines if line["kind"] == "error"}
    failed = [line for line in lines if line["kind"] == "failed" and key_of(line) not in done]
    failures = [f"{line['setting']}, {line['method']}: {line['why']}" for line in failed]
    return "\n".join(["| " + " | ".join(row) + " |" for row in rows] + sorted(set(failures)))


def _cell(figures: tuple[float, float, int] | None, lowest: float, competes: bool) -> str:
    if figures is None:
        return ""
    mean, spread, count = figures
    text = f"**{mean:.3f}**" if competes and mean <= lowest else f"{mean:.3f}"
    return text + (f" ± {spread:.3f}" if count > 1 else "")


def _difference(row: dict[str, tuple[float, float, int]]) -> str:
    """Error of ours less that of the best of the peers."""
    peers = [row[name][0] for name in PEERS if name in row]
    if OURS not in row or not peers:
        return ""
    difference = row[OURS][0] - min(peers)
    return f"{difference:+.3f}" + (" WORSE" if difference > CLOSE else "")


if __name__ == "__main__":
    machine.restart_without_overrides("bench.accuracy")
    main()
