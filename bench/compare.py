"""Decide regressions: ``python -m bench.compare base.jsonl head.jsonl``; exit status 1 if any.

Only single-thread lines of clusterlib count: they are relative to the probe around every call, so
that two runs at different clock frequencies can be compared (nanoseconds where no probe could be
built). A case is slower when both the
smallest and the median figure rose by more than the tolerance.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.records import Run, is_ours, read

TOLERANCE = 0.05


@dataclass(frozen=True)
class Change:
    """Head over base of one case: 1 is unchanged, 2 is twice the time."""

    case: str
    contestant: str
    smallest: float
    median: float

    def is_slower(self, tolerance: float) -> bool:
        return min(self.smallest, self.median) > 1 + tolerance

    def is_faster(self, tolerance: float) -> bool:
        return max(self.smallest, self.median) < 1 / (1 + tolerance)


def changes(base: Run, head: Run) -> Iterator[Change]:
    """Cases that both runs hold, at one thread, ours."""
    before, after = _lines(base), _lines(head)
    for key in before.keys() & after.keys():
        probed = before[key]["over_floor"] is not None and after[key]["over_floor"] is not None
        names = ("over_floor", "over_floor_median") if probed else ("ns", "ns_median")
        yield Change(*key, *(after[key][name] / before[key][name] for name in names))


def _lines(run: Run) -> dict[tuple[str, str], dict]:
    return {
        (line["case"], line["contestant"]): line
        for line in run.results
        if line["threads"] == 1 and is_ours(line["contestant"])
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    options = parser.parse_args(argv)
    base, head = read(options.base), read(options.head)
    found = sorted(changes(base, head), key=lambda change: -change.median)
    for change in found:
        word = "slower" if change.is_slower(options.tolerance) else ""
        word = word or ("faster" if change.is_faster(options.tolerance) else "")
        print(
            f"{change.case}  {change.contestant}  min x{change.smallest:.3f}"
            f"  median x{change.median:.3f}  {word}".rstrip()
        )
    for case, contestant in sorted(_lines(base).keys() - _lines(head).keys()):
        print(f"{case}  {contestant}  only in base")
    slower = sum(change.is_slower(options.tolerance) for change in found)
    print(f"{len(found)} compared, {slower} slower")
    return int(slower > 0 or not found)


if __name__ == "__main__":
    sys.exit(main())
