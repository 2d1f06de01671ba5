"""Render result files as the page of the documentation that shows them.

``python -m bench.page FILE [FILE ...] > docs/benchmarks.md``
"""

import json
import sys

from bench.records import OURS

INTRO = """# Benchmarks

Our time over the arithmetic floor of the machine, and peers' times over ours (more than 1: we are
faster). Every figure comes from the json lines in `bench/results/summary*.jsonl`; this page was
written by `python -m bench.page bench/results/summary*.jsonl`. How a figure comes about, and how
peers are tuned, is told in `bench/README.md`. "Wrong" counts labels that are not the nearest row,
of those that were looked at in float64.
"""


def main(paths):
    """Write the page to stdout."""
    out = [INTRO]
    for path in paths:
        with open(path, encoding="utf8") as file:
            lines = [json.loads(line) for line in file]
        out += _section(path, lines)
    sys.stdout.write("\n".join(out).rstrip() + "\n")


def _section(path, lines):
    machine = next(line for line in lines if line["kind"] == "machine")
    results = [line for line in lines if "contestant" in line and line["contestant"] != "nothing"]
    limits = ", ".join(
        f"{k.replace('_', ' ')} {v:.3g}/s" for k, v in machine["limits"].items() if v
    )
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    yield f"## {path.rpartition('/')[2]}\n"
    yield f"{machine['cpu']}, instruction set {machine['isa']}. {limits}.\n\n{versions}.\n"
    yield "| case | threads | ours, ms | ours / floor | in float32 | peers / ours |"
    yield "|---|---|---|---|---|---|"
    cases = dict.fromkeys((line["case"], line["threads"]) for line in results)
    for case, threads in cases:
        group = [x for x in results if (x["case"], x["threads"]) == (case, threads)]
        yield _row(case, threads, group)
    yield ""


def _row(case, threads, group):
    ours = next(line for line in group if line["contestant"] == OURS)
    wide = next((x for x in group if x["contestant"].startswith(f"{OURS} ")), None)
    peers = sorted(
        (line for line in group if not line["contestant"].startswith(OURS)),
        key=lambda line: line["ns_median"],
    )
    beside = ", ".join(
        f"{line['contestant']} **{line['ns_median'] / ours['ns_median']:.2f}**{_wrong(line)}"
        for line in peers
    )
    return (
        f"| `{case}` | {threads} | {ours['ns_median'] / 1e6:.3g}{_wrong(ours)} | "
        f"{_floor(ours, threads)} | {_floor(wide, threads)} | {beside} |"
    )


def _floor(line, threads):
    known = line is not None and threads == 1 and line["over_floor_median"]
    return f"{line['over_floor_median']:.2f}" if known else ""


def _wrong(line):
    return f" ({line['wrong']} of {line['checked']} wrong)" if line.get("wrong") else ""


if __name__ == "__main__":
    main(sys.argv[1:])
