"""Render a result file: ``python -m bench.table FILE [--markdown] [--picture out.svg]``."""

import argparse
from pathlib import Path

from bench.records import Run, has_floor, is_ours, is_peer, ratio, read
from bench.verdict import checks


def render(run: Run, *, markdown: bool = False) -> str:
    """The whole report: machine, ratios per case, goals, what was skipped or failed."""
    parts = [_machine(run)]
    parts.append(_section("Ratios", _grid(_RATIO_HEAD, _ratio_rows(run), markdown), markdown))
    if rows := _goal_rows(run):
        parts.append(_section("Goals", _grid(_GOAL_HEAD, rows, markdown), markdown))
    notes = [" ".join(str(value) for value in line.values()) for line in run.others]
    return "\n\n".join(parts + (["\n".join(notes)] if notes else []))


_RATIO_HEAD = (
    "case", "T", "contestant", "ms", "x floor", "(min)", "x memory", "peer/ours", "answer",
)  # fmt: skip
_GOAL_HEAD = ("case", "T", "figure", "value", "goal", "")


def _section(title: str, body: str, markdown: bool) -> str:
    return f"### {title}\n\n{body}" if markdown else f"{title}\n{body}"


def _machine(run: Run) -> str:
    lines = []
    for machine in run.machines:
        limits = ", ".join(
            f"{name.replace('_', ' ')} {value / 1e9:.0f}e9/s"
            for name, value in machine["limits"].items()
            if value
        )
        what = f"{machine['cpu']}; isa {machine['isa']}; threads {machine['threads']}"
        lines.append(f"{what}; {limits}")
    if run.machines:
        first = run.machines[0]
        lines.append("versions: " + ", ".join(f"{k} {v}" for k, v in first["versions"].items()))
        lines.append("libraries: " + "; ".join(first["pools"]))
    return "\n".join(lines)


def _ratio_rows(run: Run) -> list[tuple[str, ...]]:
    rows = []
    for (case, threads), lines in run.groups().items():
        ours = next((line for name, line in lines.items() if is_ours(name)), None)
        for name, line in lines.items():
            rows.append(
                (
                    case,
                    str(threads),
                    name,
                    f"{line['ns_median'] / 1e6:.4g}",
                    *_floor_figures(line),
                    f"{ratio(line, ours):.2f}" if ours and is_peer(name) else "",
                    _answer(line),
                )
            )
    return rows


def _floor_figures(line: dict) -> tuple[str, ...]:
    """Median and smallest time over the arithmetic floor, and the median over the memory's."""
    figures = {name: line[name] for name in ("over_floor_median", "over_floor", "over_memory")}
    if line["contestant"] == "nothing":
        figures = dict.fromkeys(figures)
    if not has_floor(line):  # a sum, an exponential: the memory is the floor that counts
        figures |= {"over_floor_median": None, "over_floor": None}
    return tuple("" if value is None else f"{value:.3g}" for value in figures.values())


def _answer(line: dict) -> str:
    """What is known about the correctness of an answer, in a few words."""
    if "wrong" in line:
        wrong = f"{line['wrong']} of {line['checked']} wrong" if line["wrong"] else "exact"
        return wrong + ("" if line["agreement"] == 1 else f", agrees {line['agreement']:.5f}")
    if "same_inertia" in line:
        same = "same inertia" if line["same_inertia"] else f"inertia differs {line['error']:.1e}"
        return f"{same}, {line['n_iter']} iterations"
    if "accuracy" in line:
        return f"accuracy {line['accuracy']:.4f}"
    if "error" not in line:
        return ""
    if "inertia" in line:
        return f"inertia {line['inertia']:.6g}, {line['error']:.2%} above the best"
    return f"error {line['error']:.0e}" + "".join(
        f", {text}"
        for text in (
            f"{line['sweeps']} sweeps" if "sweeps" in line else "",
            f"infeasible {line['infeasible']:.0e}" if "infeasible" in line else "",
            f"{line['n_iter']} iterations" if line.get("n_iter") else "",
            "BOUND IS FALSE" if line.get("false_bound") else "",
        )
        if text
    )


def _goal_rows(run: Run) -> list[tuple[str, ...]]:
    return [
        (
            check.case,
            str(check.threads),
            check.figure,
            f"{check.value:.2f}" if check.value >= 0.1 else f"{check.value:.2g}",
            ("<= " if check.at_most else ">= ") + f"{check.bound:g}",
            "reached" if check.reached else "MISSED",
        )
        for check in checks(run)
    ]


def _grid(head: tuple[str, ...], rows: list[tuple[str, ...]], markdown: bool) -> str:
    if markdown:
        lines = [head, ("---",) * len(head), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *rows]
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also draw (svg, png, pdf)")
    options = parser.parse_args(argv)
    run = read(options.file)
    print(render(run, markdown=options.markdown))
    if options.picture:
        from bench.picture import draw  # needs matplotlib

        draw(run, options.picture)


if __name__ == "__main__":
    main()
