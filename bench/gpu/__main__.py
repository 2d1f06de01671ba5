"""Measure the kernels on a CUDA device: ``python -m bench.gpu``.

Times are medians of CUDA events with a cold L2 cache. Floors are computed, from a copy and matrix
products measured on the same device at the start: what no dense pass can be faster than.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from bench import machine
from bench.gpu import report
from bench.gpu.cases import select
from bench.gpu.measure import Budget, load_peers, measure, measure_ceilings


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--case", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--repeat", type=int, default=20, help="timings per contestant, at most")
    parser.add_argument("--short", action="store_true", help="5 timings, and half the time")
    parser.add_argument("--seconds", type=float, default=90.0, help="then peers are left out")
    parser.add_argument("--rows", type=int, help="cut all cases to this size, to try things out")
    parser.add_argument("--ours", action="store_true", help="without peers")
    parser.add_argument("--seed", type=int, help="of the inputs; default fresh ones")
    parser.add_argument("--out", type=Path, help="file for the lines, as json")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None, device=None) -> list[dict]:
    """Run the bench; returns the lines, none without a device."""
    options = parse(argv)
    cases = select(options.case)
    if not cases:
        sys.exit(f"no case is like {options.case}")
    if device is None:
        device = _device()
        if device is None:
            return []
    lines = []
    file = options.out.open("w", encoding="utf-8") if options.out else None
    try:
        for line in run(cases, options, device):
            lines.append(line)
            print(_progress(line), flush=True)
            if file:
                file.write(json.dumps(line) + "\n")
                file.flush()
    finally:
        if file:
            file.close()
    print()
    print(report.render(lines))
    return lines


def _device():
    try:
        from bench.gpu.device import CupyDevice

        return CupyDevice()
    except (ImportError, RuntimeError) as error:
        print(f"nothing to measure: {str(error).splitlines()[0]}")
        return None


def run(cases: list, options: argparse.Namespace, device) -> Iterator[dict]:
    """All lines: who cannot compete, what the device is and can do, then the cases."""
    warnings.filterwarnings("ignore", message=".*max_iter.*")  # fits make a fixed number
    seconds, repeats = options.seconds, options.repeat
    if options.short:
        seconds, repeats = seconds / 2, min(repeats, 5)
    modules, skipped = ([], {}) if options.ours else load_peers()
    for name, why in skipped.items():
        yield {"kind": "skipped", "contestant": name, "why": why}
    small = {"copied": 1 << 20, "side": 64} if options.rows else {}
    ceilings = measure_ceilings(device, **small)
    head = machine.describe() | device.describe()
    head = {key: value for key, value in head.items() if key != "environment"}
    yield {"kind": "machine", **head, "ceilings": ceilings._asdict()}
    seed = options.seed if options.seed is not None else time.time_ns() % 2**31
    budget = Budget(seconds, repeats)
    fields = (None,) if options.ours else (None, modules)
    for field in fields:  # ours first: that is what must not run out of time
        for number, case in enumerate(cases):
            cut = case.cut(options.rows) if options.rows else case
            for line in measure(cut, device, field, ceilings, budget, seed + 10 * number):
                yield line | ({"seed": seed + 10 * number} if line["kind"] == "result" else {})
    yield {"kind": "clocks", **device.clocks()}


def _progress(line: dict) -> str:
    if line["kind"] == "machine":
        ceilings = line["ceilings"]
        speeds = ", ".join(
            f"{key} {value / 1e12:.1f} T/s" for key, value in ceilings["flops"].items()
        )
        return f"{line['device']}: copies {ceilings['bytes'] / 1e12:.2f} TB/s, products {speeds}"
    if line["kind"] == "clocks":
        return f"clocks at the end: {line['smi']}"
    name = line.get("case", "all cases")
    if line["kind"] != "result":
        return f"{name} {line['kind']}: {line['contestant']}: {line['why']}"
    return (
        f"{name} {line['contestant']}: {line['ms']:.3f} ms, {line['over_floor']:.2f} x floor, "
        f"{report.check(line)} ({line['repeats']} times, first {line['ms_first']:.0f} ms)"
    )


if __name__ == "__main__":
    main()
