"""Measure: ``python -m bench.run --short`` for a first look, without ``--short`` for everything.

Results are json lines: first what the machine is and can do, then one line per case, contestant
and number of threads. At the end the table of ratios is printed.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench import adapters, floors, machine, table
from bench.cases import CASES, SHORT, Case, select
from bench.judge import digest, verdicts
from bench.kernels.levels import active_isa, isa_of
from bench.problems import Problem, make_problem
from bench.race import observed, race
from bench.records import is_ours

RESULTS = Path(__file__).parent / "results"
RECORDED = (
    "op", "n", "d", "k", "dtype", "data", "metric", "epsilon", "problems", "separation", "rank",
)  # fmt: skip


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small cases, under five minutes")
    parser.add_argument(
        "--case", action="append", default=[], metavar="PATTERN", help="only cases like this"
    )
    parser.add_argument(
        "--contestants", default="", metavar="A,B", help='only these ("ours" is clusterlib)'
    )
    parser.add_argument("--threads", default="1", metavar="T,T", help="default 1")
    parser.add_argument("--repeat", type=int, default=7, help="timings per contestant")
    parser.add_argument("--seconds", type=float, help="time per contestant and case, if shorter")
    parser.add_argument("--backend", help="of our kernels; default the one a user gets")
    parser.add_argument("--rows", type=int, help="cut all cases to this size, to try things out")
    parser.add_argument("--out", type=Path, help="result file; default bench/results/<time>.jsonl")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Path | None:
    """Run the bench; returns the path of the result file."""
    options = parse(argv)
    cases = select(SHORT if options.short else CASES, options.case)
    if options.rows:
        cases = list(dict.fromkeys(case.with_rows(options.rows) for case in cases))
    if not cases:
        sys.exit(f"no case is like {options.case}; --list shows all")
    if options.list:
        print("\n".join(case.name for case in cases))
        return None
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = options.out or RESULTS / f"{now}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for line in measure_all(cases, options):
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(_progress(line), flush=True)
    print()
    print(table.render(table.read(path)))
    print(f"\n{path}")
    return path


def measure_all(cases: list[Case], options: argparse.Namespace) -> Iterator[dict]:
    """Result lines of all cases; for each number of threads the machine first."""
    field = adapters.load(filter(None, options.contestants.split(",")))
    head = machine.describe() | {
        "isa": active_isa(),
        "backend": options.backend,
        "versions": field.versions(),
    }
    seconds = options.seconds or (1.0 if options.short else 20.0)
    small = {"memory_floats": 1 << 20} if options.rows else {}
    for name, why in field.skipped.items():
        yield {"kind": "skipped", "adapter": name, "why": why}
    for threads in map(int, options.threads.split(",")):
        with field.limited_to(threads):
            limits = floors.measure_limits(threads, **small)
            pools = machine.thread_pools()
            yield {"kind": "machine", **head, "threads": threads, "limits": limits, "pools": pools}
            for case in cases:
                problem = make_problem(case, threads, options.backend)
                for line in measure(problem, field, options.repeat, seconds):
                    yield line | _over_memory(line, limits["read_bytes"])


def measure(
    problem: Problem, field: adapters.Field, repeats: int, seconds: float
) -> Iterator[dict]:
    """Result lines of one case: everybody set up and checked, then the race."""
    case, threads = problem.case, problem.threads
    calls, digests, known = {}, {}, {}
    probe = floors.make_probe(case.dtype, threads)
    same = {"case": case.name, "threads": threads}
    for adapter in field.adapters.values():
        for name, setup in adapter.entries(problem):
            try:
                call = setup()
                answer, sample = observed(call, probe)
                digests[name] = digest(problem, answer)
                del answer
            except Exception as error:  # noqa: BLE001 - it is reported, and the others run on
                yield {"kind": "failed", **same, "contestant": name, "why": repr(error)}
            else:
                calls[name] = call
                known |= {name: sample} if sample else {}
    options = {"threads": threads, "repeats": repeats, "seconds": seconds, "known": known}
    timings = race(calls, probe, **options)
    checked = verdicts(problem, digests)
    for name, timing in timings.items():
        if median(timing.seconds) <= 0:  # only a difference can be
            why = "the time of an iteration drowned in that of the set-up"
            yield {"kind": "failed", **same, "contestant": name, "why": why}
            continue
        yield {
            "kind": "result",
            **same,
            "contestant": name,
            "isa": isa_of(name) if is_ours(name) else None,
            **{key: getattr(case, key) for key in RECORDED},
            "goals": case.goals,
            "flops": case.flops,
            "bytes": case.bytes,
            **timing.summary(case.flops),
            **checked.get(name, {}),
            "at": round(time.time()),
        }


def _over_memory(line: dict, bandwidth: float | None) -> dict:
    """Time over what reading (and writing) everything once would take."""
    if line["kind"] != "result":
        return {}
    return {"over_memory": bandwidth and line["ns_median"] * 1e-9 * bandwidth / line["bytes"]}


def _progress(line: dict) -> str:
    if line["kind"] == "machine":
        limits = {name: value and round(value / 1e9) for name, value in line["limits"].items()}
        return f"{line['cpu']}, isa {line['isa']}, {line['threads']} thread(s), in 1e9/s: {limits}"
    if line["kind"] == "skipped":
        return f"skipped {line['adapter']}: {line['why']}"
    if line["kind"] == "failed":
        return f"{line['case']} failed: {line['contestant']}: {line['why']}"
    return f"{line['case']} t{line['threads']} {line['contestant']}: {line['ns'] / 1e6:.3f} ms"


if __name__ == "__main__":
    machine.restart_without_overrides("bench.run")
    main()
