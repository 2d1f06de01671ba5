"""Tables in markdown of the json lines of ``bench.noisy_labels``."""

from collections.abc import Callable, Iterable

import numpy as np

from bench.noisy_label_methods import (
    CLASSIFIER,
    CLEAN,
    CLEANLAB,
    FAMILIES,
    OURS,
    RANKINGS,
    TUNED,
    WHOLE,
)

Figures = dict[str, dict[str, dict[int, float]]]
"""Figures of seeds, by cell and column."""


def report(part: str, lines: list[dict]) -> str:
    """All tables of a part, and what was absent or failed."""
    found = [line for line in lines if line["kind"] == part]
    if part == "issues":
        tables = _issue_tables(found)
    else:
        tables = _accuracy_tables(found, _with_error if part == "embeddings" else _percent)
    absent = {f"{x['data']} is left out: {x['why']}" for x in lines if x["kind"] == "absent"}
    failed = {
        f"{x['cell']}, {x['method']}, seed {x['seed']}: {x['why']}"
        for x in lines
        if x["kind"] == "failed"
    }
    return "\n\n".join([*tables, *sorted(absent), *sorted(failed)])


def best(
    lines: Iterable[dict], families: dict[str, dict], figure: str, by: str, choose: Callable = max
) -> Figures:
    """Of every column the variant with the best mean in each cell, or of all that ``by`` says."""
    groups: dict[tuple[str, str], dict[str, list[dict]]] = {}
    for line in lines:
        for column in (name for name, family in families.items() if line["method"] in family):
            variants = groups.setdefault((column, line[by]), {})
            variants.setdefault(line["method"], []).append(line)
    found: Figures = {line["cell"]: {} for line in lines}
    for column in families:
        for (name, _), variants in groups.items():
            if name == column:
                chosen = choose(variants.values(), key=lambda xs: np.mean([x[figure] for x in xs]))
                for line in chosen:
                    of_seeds = found[line["cell"]].setdefault(column, {})
                    of_seeds[line["seed"]] = line[figure]
    return found


def by_data(figures: Figures, data_of: dict[str, str]) -> dict[str, dict[str, list[float]]]:
    """Means over the cells of each data set, one for each seed that all cells have."""
    found: dict[str, dict[str, list[float]]] = {}
    for data in dict.fromkeys(data_of.values()):
        rows = [row for cell, row in figures.items() if data_of[cell] == data]
        for column in rows[0]:
            runs = [row.get(column, {}) for row in rows]
            seeds = sorted(set.intersection(*map(set, runs)))
            if seeds:
                means = [float(np.mean([run[seed] for run in runs])) for seed in seeds]
                found.setdefault(data, {})[column] = means
    return found


def _accuracy_tables(lines, text):
    if not lines:
        return []
    figures = best(lines, FAMILIES, "accuracy", "cell")
    columns = _columns(figures, FAMILIES)
    head, gains = ("cell", *columns), {cell: gain(row) for cell, row in figures.items()}
    rows = [(cell, *_marked(row, columns, text)) for cell, row in figures.items()]
    if any(gains.values()):
        head = (*head, f"{CLASSIFIER} less regression")
        rows = [(*row, _with_error(gains[row[0]], "+")) for row in rows]
    tables = [_markdown(head, rows), _mean_table(lines, figures, columns)]
    if chosen := _choices(lines):
        tables.append(chosen)
    return tables


def _columns(figures, families):
    present = {column for row in figures.values() for column in row}
    return [column for column in families if column in present]


def gain(row: dict[str, dict[int, float]]) -> list[float]:
    """What the classifier has more than the better one of the tuned regressions, by seed."""
    peers = [row[column] for column in (TUNED, WHOLE) if column in row]
    if CLASSIFIER not in row or not peers:
        return []
    peer = max(peers, key=lambda run: np.mean(list(run.values())))
    return [value - peer[seed] for seed, value in row[CLASSIFIER].items() if seed in peer]


def _marked(row, columns, text):
    """Means in percent, the best one bold; clean labels compete with nobody."""
    means = {column: np.mean(list(run.values())) for column, run in row.items()}
    top = max((mean for column, mean in means.items() if column != CLEAN), default=0)
    texts = {column: text(list(run.values())) for column, run in row.items()}
    bold = {column for column, mean in means.items() if mean == top and column != CLEAN}
    return [f"**{texts[c]}**" if c in bold else texts.get(c, "") for c in columns]


def _mean_table(lines, figures, columns):
    """Means of data sets; how much of what wrong labels cost is won back; the worst cells."""
    means = by_data(figures, {line["cell"]: line["data"] for line in lines})
    head = ("method", *means, "mean", "gap closed", "worst cell", "first in cells")
    rows = []
    for column in columns:
        runs = [of_data.get(column, []) for of_data in means.values()]
        whole = [np.mean(run) for run in runs] if all(runs) else []
        rows.append(
            (
                column,
                *map(_with_error, runs),
                f"{100 * np.mean(whole):.1f}" if whole else "",
                _gap_closed(means, column),
                _worst(figures, column),
                _firsts(figures, column),
            )
        )
    return _markdown(head, rows)


def _percent(values):
    return f"{100 * np.mean(values):.1f}"


def _with_error(values, sign=""):
    """Mean and its standard error, in percent."""
    if not values:
        return ""
    text = f"{100 * np.mean(values):{sign}.1f}"
    if len(values) > 1:
        text += f" ± {100 * np.std(values, ddof=1) / np.sqrt(len(values)):.1f}"
    return text


def gap_closed(means: dict[str, dict[str, list[float]]], column: str) -> float | None:
    """Share of the way from tuned regression to clean labels; mean over the data sets.

    None without both ends, or where the labels are clean.
    """
    shares = []
    for of_data in means.values():
        if not {TUNED, CLEAN, column} <= of_data.keys():
            return None
        low, high, ours = (np.mean(of_data[name]) for name in (TUNED, CLEAN, column))
        if high <= low:
            return None
        shares.append((ours - low) / (high - low))
    return float(np.mean(shares))


def _gap_closed(means, column):
    share = gap_closed(means, column)
    return "" if share is None else f"{100 * share:.0f} %"


def _differences(figures, column, other):
    for cell, row in figures.items():
        if {column, other} <= row.keys():
            means = [np.mean(list(row[name].values())) for name in (column, other)]
            yield means[0] - means[1], cell


def _worst(figures, column):
    """The cell in which a method lacks most to tuned regression, or wins least."""
    worst = min(_differences(figures, column, TUNED), default=None)
    return f"{100 * worst[0]:+.1f}: {worst[1]}" if worst and column != TUNED else ""


def _firsts(figures, column):
    """In how many cells nobody does better, among whoever has to learn from wrong labels."""
    if column == CLEAN:
        return ""
    rows = [row for row in figures.values() if column in row]
    means = [{c: np.mean(list(run.values())) for c, run in row.items()} for row in rows]
    first = [m[column] == max(v for c, v in m.items() if c != CLEAN) for m in means]
    return f"{sum(first)} of {len(first)}"


def _choices(lines):
    """What methods have chosen, seed by seed; empty if none says."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        if line["choice"]:
            found.setdefault(line["cell"], {}).setdefault(line["method"], []).append(line["choice"])
    methods = list(dict.fromkeys(method for row in found.values() for method in row))
    rows = [(cell, *(", ".join(row.get(m, [])) for m in methods)) for cell, row in found.items()]
    return _markdown(("chosen", *methods), rows) if rows else ""


def _issue_tables(lines):
    if not lines:
        return []
    precision = best(lines, RANKINGS, "precision", "data")
    brier = best(lines, RANKINGS, "brier", "data", min)
    columns = _columns(precision, RANKINGS)
    ours = {(x["cell"], x["seed"]): x for x in lines if x["method"] in RANKINGS[OURS]}
    rows = []
    for cell, row in precision.items():
        probable = [
            [x[k] for x in ours.values() if x["cell"] == cell] for k in ("expected", "wrong")
        ]
        told = [f"{np.mean(values):.3f}" if values else "" for values in probable]
        errors = [f"{np.mean(list(brier[cell][c].values())):.3f}" for c in columns if c in row]
        rows.append((cell, *_marked(row, columns, _percent), *told, " / ".join(errors)))
    head = (
        "cell",
        *columns,
        "mean probability",
        "share wrong",
        f"Brier score, {' / '.join(columns)}",
    )
    tables = [_markdown(head, rows)]
    means = by_data(precision, {line["cell"]: line["data"] for line in lines})
    rows = [
        (
            data,
            *(_with_error(of_data.get(c, [])) for c in columns),
            *(_wins(precision, lines, data, column) for column in (OURS, CLASSIFIER)),
        )
        for data, of_data in means.items()
    ]
    head = ("average precision", *columns, f"{OURS} above", f"{CLASSIFIER} above")
    return [*tables, _markdown(head, rows)]


def _wins(precision, lines, data, column):
    """In how many cells of a data set a ranking is better than those of cleanlab."""
    cells = {line["cell"] for line in lines if line["data"] == data}
    chosen = {cell: row for cell, row in precision.items() if cell in cells}
    differences = [difference for difference, _ in _differences(chosen, column, CLEANLAB)]
    return f"{sum(d > 0 for d in differences)} of {len(differences)}" if differences else ""


def _markdown(head, rows):
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
