"""How often certificates close as clusters move apart: ``python -m bench.closing``.

Balls of unit noise; the best partition known is where Lloyd's iteration from the planted centres ends.
For every separation the share of samples on which that partition is proved optimal, and the mean
gap between its cost and the lower bounds of k-means, as a table in markdown. With ``--full`` the
dual is solved where no proof was found, which takes a second for each sample of 1000 rows.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bench.cases import Case
from bench.estimators.bench_certificates import settled
from bench.problems import make_problem
from clusterlib.solvers import certify_partition, kmeans_lower_bound, low_rank_sdp

SEPARATIONS = (4.0, 5.0, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 10.0)


class Closing(NamedTuple):
    """What certificates say at one separation."""

    separation: float
    samples: int
    proved: float
    fast_gap: float
    full_gap: float | None


def main(argv: list[str] | None = None) -> list[Closing]:
    """Print the table and return its rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.closing", description=__doc__)
    parser.add_argument("--rows", type=int, default=1000, help="of a sample, default 1000")
    parser.add_argument("--d", type=int, default=20, help="features, default 20")
    parser.add_argument("--k", type=int, default=4, help="balls, default 4")
    parser.add_argument("--seeds", type=int, default=10, help="samples, default 10")
    parser.add_argument("--full", action="store_true", help="solve the dual, too")
    known = ", ".join(f"{separation:g}" for separation in SEPARATIONS)
    parser.add_argument(
        "--separation",
        type=float,
        action="append",
        help=f"of the centres in standard deviations, may be repeated; default {known}",
    )
    options = parser.parse_args(argv)
    print(
        "| separation | samples | proved optimal | gap, fast | gap, full |\n|---|---|---|---|---|"
    )
    found = []
    for separation in options.separation or SEPARATIONS:
        case = Case("bound", options.rows, options.d, options.k, "float64", "balls")
        gaps = list(closings(case, separation, options.seeds, full=options.full))
        proved, fast, full = (np.array(column, dtype=float) for column in zip(*gaps, strict=True))
        full_gap = float(full.mean()) if options.full else None
        row = Closing(separation, len(gaps), float(proved.mean()), float(fast.mean()), full_gap)
        shown = "" if full_gap is None else f"{full_gap:.1e}"
        print(
            f"| {separation:g} | {len(gaps)} | {row.proved:.2f} | {row.fast_gap:.1e} | {shown} |",
            flush=True,
        )
        found.append(row)
    return found


def closings(
    case: Case, separation: float, seeds: int, *, full: bool
) -> Iterator[tuple[bool, float, float | None]]:
    """Whether a partition is proved, and the gaps: of samples with the seeds 0, 1, ..."""
    for seed in range(seeds):
        problem = make_problem(replace(case, separation=separation), 1, seed=seed)
        labels = settled(problem)
        certificate = certify_partition(problem.X, labels)
        cost = certificate.cost
        if certificate.certified:
            yield True, 0.0, 0.0
            continue
        fast = kmeans_lower_bound(problem.X, labels, case.k).lower_bound
        gap = None
        if full:
            W = low_rank_sdp(problem.X, case.k, rng=np.random.default_rng(seed)).W
            bound = kmeans_lower_bound(problem.X, labels, case.k, method="full", W=W)
            gap = 1 - bound.lower_bound / cost
        yield False, 1 - fast / cost, gap


if __name__ == "__main__":
    main()
