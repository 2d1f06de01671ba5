"""How time grows with the number of rows: ``python -m bench.growth FILE [FILE ...]``.

Cases that differ in n alone are one series. Of every contestant with three of them and more the
exponent b of ``seconds = a n^b`` is fitted by least squares of the logarithms, from the medians.
"""

import argparse
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bench.records import read

FEWEST = 3
APART = ("op", "d", "k", "dtype", "data", "metric", "epsilon", "problems", "separation", "rank")


class Growth(NamedTuple):
    """Times of one contestant on cases of growing size."""

    series: str
    contestant: str
    threads: int
    rows: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def exponent(self) -> float:
        return float(np.polyfit(np.log(self.rows), np.log(self.seconds), 1)[0])


def growths(results: Iterable[dict]) -> list[Growth]:
    """All series of at least three sizes, in the order of the results."""
    series: dict[tuple, dict[int, float]] = {}
    for line in results:
        if line["contestant"] == "nothing":
            continue
        name = line["case"].replace(f"-n{line['n']}-", "-")
        apart = tuple(line.get(key) for key in APART)
        times = series.setdefault((name, line["contestant"], line["threads"], apart), {})
        times[line["n"]] = line["ns_median"] * 1e-9
    return [
        Growth(name, contestant, threads, *zip(*sorted(times.items()), strict=True))
        for (name, contestant, threads, _), times in series.items()
        if len(times) >= FEWEST
    ]


def main(argv: list[str] | None = None) -> None:
    """Print a table in markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("paths", nargs="+", metavar="FILE", help="json lines of bench.run")
    paths = parser.parse_args(argv).paths
    print("| cases | contestant | threads | seconds by rows | exponent |\n|---|---|---|---|---|")
    results = [line for path in paths for line in read(path).results]
    for growth in growths(results):
        pairs = zip(growth.rows, growth.seconds, strict=True)
        times = ", ".join(f"{rows}: {seconds:.3g}" for rows, seconds in pairs)
        name, who = f"`{growth.series}`", growth.contestant
        print(f"| {name} | {who} | {growth.threads} | {times} | {growth.exponent:.2f} |")


if __name__ == "__main__":
    main()
