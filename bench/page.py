"""Render result files as the page of the documentation that shows them.

``python -m bench.page FILE [FILE ...] > docs/benchmarks.md``
"""

import json
import sys

from bench.balanced import TABLES
from bench.cases import QUOTAS, SDP, TRANSPORT
from bench.factor_fits import OPS as FACTORISATIONS
from bench.records import OURS, has_floor, is_ours

INTRO = """# Benchmarks

Our time over the arithmetic floor of the machine, and peers' times over ours (more than 1: we are
faster). Every figure comes from the json lines in `bench/results/summary*.jsonl`; this page was
written by `python -m bench.page bench/results/summary*.jsonl`. How a figure comes about, and how
peers are tuned, is told in `bench/README.md`. "Wrong" counts labels that are not the nearest row,
of those that were looked at in float64.

Of optimal transport (`sinkhorn`: a stored cost in the log domain, `scaling`: a stored kernel,
`lazy`: points whose costs are never stored) the time is that of one iteration, from the difference
of two calls; "read once" is one read of the matrix, "sgemm" the bare products of the points. Of a
`solve` the error is that of the marginals in float64, L1, and the number that of the iterations.

Of semidefinite programs (`relaxation`: that of k-means, `likelihood`: of Gaussian groups with known
covariances) the error is what the objective lacks to the best one among the contestants, relative to
the k-means cost or for each number of the data, and "infeasible" the largest violation of a
constraint; a partition of k-means is an answer as well, and lacks what the relaxation gains. The error
of a `sketch` is its k-means cost over that of Lloyd's iteration from the true centres, less 1; that of
a `certificate` or `bound` the gap which is left.

Of non-negative factors, `hals` and `masked` are one sweep over a factor, `plsa` one step for a sparse
table, `fold` 100 iterations for the weights of its rows, `shift` and `tempered` one step for rows with
domains. `nmf` and `counts` are whole factorisations from scratch, a dense one of squares and a sparse
one by the Kullback-Leibler divergence; their error is how far the objective is above the best one of
the case.

Of clusters of n/k rows, `capacity` is one assignment from a stored matrix of squared distances and
`quotas` the same from points; "one pass" finds nearest centres without any bound on sizes and
"all distances" writes the matrix. The gap is how far the cost may be above the optimum, relative to it:
by the contestant's own prices, or without such by the best lower bound that anybody's prove. `balanced` is a whole fit from the same centres; its
inertia is told relative to the best one of the case.

Machines differ: each section names its own, and only times of the same section compare.
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
    results = [line for line in lines if line["kind"] == "result"]
    results = [line for line in results if line["contestant"] != "nothing"]
    limits = ", ".join(
        f"{k.replace('_', ' ')} {v:.3g}/s" for k, v in machine["limits"].items() if v
    )
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    yield f"## {path.rpartition('/')[2]}\n"
    yield f"{machine['cpu']}, instruction set {machine['isa']}. {limits}.{_load(lines)}\n"
    yield f"{versions}.\n"
    transport = [line for line in results if line["op"] in TRANSPORT]
    programs = [line for line in results if line["op"] in SDP]
    factorisations = [line for line in results if line["op"] in FACTORISATIONS]
    bounded = [line for line in results if line["op"] in QUOTAS]
    apart = (*TRANSPORT, *SDP, *FACTORISATIONS, *QUOTAS)
    others = [line for line in results if line["op"] not in apart]
    head = "| case | threads | ours, ms | ours / floor | in float32 | peers / ours |"
    yield from _table(head, _row, others)
    head = "| case | threads | ours, ms | ours per entry or problem | peers / ours |"
    yield from _table(head, _transport_row, transport)
    for fits in (programs, factorisations, bounded):
        yield from _table("| case | threads | ours, ms | peers / ours |", _program_row, fits)
    yield from (_memory(line) for line in lines if line["kind"] == "memory")
    for what, table in TABLES.items():
        if found := [line for line in lines if line["kind"] == f"balanced {what}"]:
            yield from (*table(found), "")


def _load(lines):
    """How busy the cores were with other work when runs began, where that was written down."""
    machines = [line for line in lines if line["kind"] == "machine"]
    loads = [line["load"] for line in machines if line.get("load") is not None]
    if not loads:
        return ""
    apart = f"{min(loads):.1f}" + f" to {max(loads):.1f}" * (max(loads) > min(loads))
    return f" Load when runs began {apart}, on {machines[0]['cores']} cores."


def _table(head, row, results):
    if not results:
        return
    yield head
    yield "|---" * (head.count("|") - 1) + "|"
    cases = dict.fromkeys((line["case"], line["threads"]) for line in results)
    for case, threads in cases:
        group = [x for x in results if (x["case"], x["threads"]) == (case, threads)]
        one = [x for x in results if (x["case"], x["threads"], x["contestant"]) == (case, 1, OURS)]
        yield row(case, threads, group, one)
    yield ""


def _row(case, threads, group, _):
    ours = next(line for line in group if line["contestant"] == OURS)
    wide = next((x for x in group if x["contestant"].startswith(f"{OURS} ")), None)
    return (
        f"| `{case}` | {threads} | {ours['ns_median'] / 1e6:.3g}{_note(ours)} | "
        f"{_floor(ours, threads)} | {_floor(wide, threads)} | {_beside(ours, group)} |"
    )


def _transport_row(case, threads, group, one):
    ours = next(line for line in group if line["contestant"] == OURS)
    note = _note(ours)
    if threads > 1 and one:
        ratio = one[0]["ns_median"] / ours["ns_median"]
        note += f" (one thread takes {ratio:.2f} times as long)"
    return (
        f"| `{case}` | {threads} | {ours['ns_median'] / 1e6:.3g}{note} | {_each(ours)} | "
        f"{_beside(ours, group)} |"
    )


def _program_row(case, threads, group, _):
    ours = next(line for line in group if line["contestant"] == OURS)
    time = f"{ours['ns_median'] / 1e6:.3g}{_note(ours)}"
    return f"| `{case}` | {threads} | {time} | {_beside(ours, group)} |"


def _each(line):
    if line["problems"] > 1:
        return f"{line['ns_median'] / line['problems'] / 1e3:.3g} us"
    floor = _floor(line, line["threads"])
    entry = f"{line['ns_median'] / line['n'] / line['k']:.3g} ns"
    return f"{entry}, {floor} of the floor" if floor else entry


def _beside(ours, group):
    peers = sorted(
        (line for line in group if not is_ours(line["contestant"])),
        key=lambda line: line["ns_median"],
    )
    return ", ".join(
        f"{line['contestant']} **{line['ns_median'] / ours['ns_median']:.2f}**{_note(line)}"
        for line in peers
    )


def _memory(line):
    return (
        f"`{line['case']}`, {line['threads']} thread(s): {line['sweeps']} sweep(s) in "
        f"{line['seconds']:.3g} s of CPU time, with {line['extra_bytes'] / 1e6:.3g} MB more than "
        f"before at most; the matrix of the costs would take {line['matrix_bytes'] / 1e9:.3g} GB.\n"
    )


def _floor(line, threads):
    known = line is not None and threads == 1 and has_floor(line) and line["over_floor_median"]
    return f"{line['over_floor_median']:.2f}" if known else ""


def _note(line):
    """What must be known of an answer to read its time."""
    if line.get("wrong"):
        return f" ({line['wrong']} of {line['checked']} wrong)"
    if "sweeps" in line:
        return f" (error {line['error']:.0e}, {line['sweeps']})"
    if line["op"] in FACTORISATIONS:
        return f" (error {line['error']:.0e})"
    if line["op"] in QUOTAS and "error" in line:
        value = f"inertia +{line['error']:.2%}" if "inertia" in line else f"gap {line['error']:.0e}"
        return f" ({value})"
    if line["op"] in SDP and "error" in line:
        broken = f", infeasible {line['infeasible']:.0e}" if "infeasible" in line else ""
        return f" (error {line['error']:.0e}{broken})" + " FALSE" * line.get("false_bound", False)
    return f" (accuracy {line['accuracy']:.4f})" if "accuracy" in line else ""


if __name__ == "__main__":
    main(sys.argv[1:])
