"""What latent label shift says of itself: ``python -m bench.label_shift_diagnostics --out FILE``.

Domains are dealt as in ``bench.label_shift``, and from three quarters of their rows come the classes
for the true number of them, the report on the fit, intervals of the class shares, and the number of
classes that would have been chosen. Concentrations of 30 and 100 leave no shift to speak of: the
report should flag them all, and none else. Intervals are held against the shares that rows were
dealt from (three quarters of each domain are known), against those of the very rows, and, with rows
drawn independently, against the shares behind them. Results are json lines; a run that was cut short
goes on where it stopped. At the end tables are printed.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench import machine
from bench.accuracy import read
from bench.label_shift_cases import CONDITION, DATA, Setting, Task
from clusterlib.config import config_context
from clusterlib.metrics import latent_label_shift_scores
from clusterlib.solvers import (
    choose_n_classes,
    cluster_domain_table,
    corrected_marginals,
    domain_histograms,
    label_shift_report,
    marginal_intervals,
    nearest_other_rows,
    shift_strength,
    simulated_refits,
    tempered_label_shift,
)

CONCENTRATIONS = (0.5, 3, 10, 30, 100)
USABLE = 10  # the largest concentration at which the classes are to be found
PARTS = ("report", "intervals", "independent", "choice")
N_AVERAGED = 10
N_REFITS = 10
LEVEL = 0.95
DEALT = 0.75  # of a domain's rows are fitted
SLACK = 0.85  # so much of what may be dealt is drawn independently, or classes would run out


def main(argv: list[str] | None = None) -> list[dict]:
    """Compute what is missing in the file, print the tables, return all lines."""
    options = parse(argv)
    lines = read(options.out) if options.out else []
    done = {_key(line) for line in lines}
    with threadpool_limits(1), config_context(n_threads=1):
        for key in () if options.table else _keys(options):
            if key in done:
                continue
            lines.append(measured(*key) | {"revision": machine.describe()["revision"]})
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    print(tables(lines))
    return lines


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.label_shift_diagnostics", description=__doc__
    )
    parser.add_argument("--out", type=Path, help="file to go on with; default none")
    parser.add_argument("--part", action="append", choices=PARTS, help="default all")
    parser.add_argument("--data", action="append", choices=DATA, help="default digits")
    parser.add_argument("--domains", action="append", type=int, help="default 20")
    parser.add_argument("--concentration", action="append", type=float, help="default all")
    parser.add_argument("--seeds", type=int, default=4, help="how many, default 4")
    parser.add_argument("--first-seed", type=int, default=0, help="default 0")
    parser.add_argument("--table", action="store_true", help="only print the tables of the file")
    return parser.parse_args(argv)


def _keys(options: argparse.Namespace) -> Iterator[tuple]:
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for concentration in options.concentration or CONCENTRATIONS:
            for data in options.data or ["digits"]:
                for n_domains in options.domains or [20]:
                    for part in options.part or PARTS:
                        if part == "report" or concentration <= USABLE:
                            yield part, data, n_domains, float(concentration), seed


def _key(line: dict) -> tuple:
    return tuple(line[name] for name in ("part", "data", "r", "a", "seed"))


def measured(part: str, data: str, n_domains: int, concentration: float, seed: int) -> dict:
    """One line: what a part of the diagnostics says of one draw."""
    condition = CONDITION.get(concentration, max(CONDITION.values()))
    task = Setting(data, n_domains, concentration, condition).draw(seed)
    rng = np.random.default_rng(seed)
    if part == "independent":
        task = independent(task, data, rng)
    line = {"part": part, "data": data, "r": n_domains, "a": concentration, "seed": seed}
    line |= {"n": len(task.X), "k": task.n_classes}
    return line | {"report": _report, "choice": _choice}.get(part, _intervals)(task, rng)


def independent(task: Task, data: str, rng: np.random.Generator) -> Task:
    """Rows drawn from the class shares one by one, each row of the data once at most."""
    X, y = DATA[data]()
    pools = [rng.permutation(np.flatnonzero(y == label)) for label in range(task.n_classes)]
    most = min(len(pool) for pool in pools) / task.label_marginals.mean(axis=0).max()
    size = int(SLACK * most / task.n_domains)
    rows, domains = [], []
    for domain, shares in enumerate(task.label_marginals):
        for label, count in enumerate(rng.multinomial(size, shares)):
            rows.append(pools[label][:count])
            pools[label] = pools[label][count:]
            domains.append(np.full(len(rows[-1]), domain))
    rows, domains = np.concatenate(rows), np.concatenate(domains)
    nothing = X[:0], domains[:0], y[:0]
    return Task(X[rows], domains, y[rows], *nothing, task.label_marginals, task.condition)


def _neighbors(task: Task) -> tuple[np.ndarray, np.ndarray]:
    n = len(task.X)
    near = nearest_other_rows(np.ascontiguousarray(task.X), min(max(30, n // 100), 200, n - 1))
    return near, task.domains.astype(np.int32)


def _fit(task: Task, rng: np.random.Generator):
    """The fit, its neighbours, the domains, and the seconds it took."""
    near, domains = _neighbors(task)
    f = domain_histograms(near, domains, task.n_domains)
    averaged = np.ascontiguousarray(near[:, :N_AVERAGED])
    start = time.process_time()
    fit = tempered_label_shift(f, averaged, domains, task.n_domains, task.n_classes, rng=rng)
    return fit, near, f, domains, time.process_time() - start


def _scores(task: Task, fit, marginals: np.ndarray):
    classes = np.arange(task.n_classes)
    labels = fit.posteriors.argmax(axis=1)
    return latent_label_shift_scores(
        task.y, labels, task.label_marginals, marginals, classes=classes
    )


def _report(task: Task, rng: np.random.Generator) -> dict:
    fit, near, f, domains, seconds = _fit(task, rng)
    start = time.process_time()
    strength = shift_strength(near, domains, task.n_domains, task.n_classes, rng=rng)
    middle = time.process_time()
    D = fit.domain_given_class
    refits = simulated_refits(fit.posteriors, D, near, domains, rng=rng, n_refits=3)
    table = cluster_domain_table(f, domains, task.n_domains, rng)
    arrays = fit.pooled, D, fit.marginals, domains, table
    options = {"start_agreement": fit.start_agreement}
    report = label_shift_report(*arrays, strength=strength, refits=refits, **options)
    fitted = label_shift_report(*arrays, **options)
    scores = _scores(task, fit, fit.marginals)
    seen = {"fit": seconds, "strength": middle - start, "refits": time.process_time() - middle}
    return {
        "accuracy": scores.accuracy,
        "error": scores.marginal_error,
        **report._asdict(),
        "fitted_strength": fitted.shift_strength,
        "seconds": seen,
    }


def _intervals(task: Task, rng: np.random.Generator) -> dict:
    fit, near, _, domains, _ = _fit(task, rng)
    start = time.process_time()
    refits = simulated_refits(
        fit.posteriors, fit.domain_given_class, near, domains, rng=rng, n_refits=N_REFITS
    )
    seconds = time.process_time() - start
    order = np.argsort(_scores(task, fit, fit.marginals).class_of_label)
    counts = np.zeros((task.n_domains, task.n_classes))
    np.add.at(counts, (domains, task.y), 1)
    sizes = counts.sum(axis=1)
    drawn = len(task.X_test) == 0
    truths = {"shares": (0.0 if drawn else DEALT, task.label_marginals)}
    truths["rows"] = 1.0, counts / sizes[:, None]
    line = {"seconds": seconds}
    for name, (fraction, truth) in truths.items():
        ends = marginal_intervals(
            fit.marginals, refits, sizes, level=LEVEL, sampled_fraction=fraction
        )
        lower, upper = ends[:, :, order]
        line[name] = float(((truth >= lower) & (truth <= upper)).mean())
        line[f"{name}_width"] = float((upper - lower).mean())
    corrected = corrected_marginals(fit.marginals, refits)[:, order]
    line["error"] = float(np.abs(fit.marginals[:, order] - task.label_marginals).mean())
    line["corrected_error"] = float(np.abs(corrected - task.label_marginals).mean())
    return line


def _choice(task: Task, rng: np.random.Generator) -> dict:
    near, domains = _neighbors(task)
    start = time.process_time()
    choice = choose_n_classes(near, domains, task.n_domains, rng=rng)
    return {
        "chosen": choice.n_classes,
        "rank_classes": choice.rank_classes,
        "sure": choice.sure,
        "seconds": time.process_time() - start,
    }


def tables(lines: list[dict]) -> str:
    """Means over the seeds of each setting, a table for each part."""
    cells = defaultdict(list)
    for line in lines:
        cells[line["part"], line["data"], line["r"], line["a"]].append(line)
    found = []
    for part in PARTS:
        own = sorted(key for key in cells if key[0] == part)
        if own:
            head, row = _COLUMNS[part]
            found += [
                "",
                f"| setting | runs | {' | '.join(head)} |",
                "|---" * (2 + len(head)) + "|",
            ]
            for key in own:
                values = " | ".join(row(cells[key]))
                found.append(f"| {key[1]} r={key[2]} a={key[3]:g} | {len(cells[key])} | {values} |")
    return "\n".join(found[1:])


def _mean(lines: list[dict], name: str, digits: int) -> str:
    return f"{np.mean([line[name] for line in lines]):.{digits}f}"


def _range(lines: list[dict], name: str, digits: int = 3) -> str:
    values = [line[name] for line in lines]
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def _report_row(lines: list[dict]) -> list[str]:
    names = ("accuracy", "expected_accuracy", "shift_strength", "start_agreement", "class_margin")
    flagged = sum(not line["identified"] for line in lines)
    return [f"{flagged} of {len(lines)}", *(_range(lines, name) for name in names)]


def _intervals_row(lines: list[dict]) -> list[str]:
    digits = {"shares": 3, "shares_width": 3, "rows": 3, "rows_width": 3, "error": 4}
    digits |= {"corrected_error": 4, "seconds": 1}
    return [_mean(lines, name, places) for name, places in digits.items()]


def _choice_row(lines: list[dict]) -> list[str]:
    off = [line["chosen"] - line["k"] for line in lines]
    rank = [line["rank_classes"] - line["k"] for line in lines]
    unsure = [place for place, line in zip(off, lines, strict=True) if not line["sure"]]
    signed = (" ".join(f"{value:+d}" for value in values) for values in (off, unsure, rank))
    return [*signed, _mean(lines, "seconds", 1)]


_SHARES_HEAD = ("of the shares", "width", "of the rows", "width", "error", "corrected", "seconds")
_REPORT_HEAD = ("flagged", "accuracy", "expected", "strength", "agreement", "margin")
_CHOICE_HEAD = ("chosen less true", "of these unsure", "rank test", "seconds")
_COLUMNS = {
    "report": (_REPORT_HEAD, _report_row),
    "intervals": (_SHARES_HEAD, _intervals_row),
    "independent": (_SHARES_HEAD, _intervals_row),
    "choice": (_CHOICE_HEAD, _choice_row),
}


if __name__ == "__main__":
    main()
