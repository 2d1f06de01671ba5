"""What a pass of k-means costs on many machines: a model, and a check of it on this one.

``python -m bench.scaling_model`` prints the bytes and operations of a pass for each machine, and the
seconds of what they take: reading, kernels, merges, the scheduler. ``--check`` measures what the
model needs to know of this machine (the work of a block, a task of a Dask cluster that does
nothing) and compares its passes on 1 and 2 workers, for several sizes of blocks, with measured ones.
The lines of the check go to ``bench/results/scaling_model.jsonl``. See ``docs/methods/scaling.md``.
"""

import argparse
import json
import math
import operator
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from bench.dask_blocks import (
    N_CLUSTERS,
    N_FEATURES,
    add,
    cluster,
    drawn,
    fastest,
    lazily_drawn,
    nothing,
    sums_of,
)
from bench.machine import describe
from clusterlib.blocks import DaskBlocks, map_reduce
from clusterlib.config import config_context
from clusterlib.kernels import LEAF_ROWS

RESULTS = Path(__file__).parent / "results" / "scaling_model.jsonl"
PARTS_OF_A_MERGE = 8


class Problem(NamedTuple):
    """Rows, and how they are clustered."""

    n_samples: float
    n_features: int
    stored_bytes: int  # of a value
    n_clusters: int
    block_rows: int


class Machines(NamedTuple):
    """What a machine does in a second; all are alike."""

    count: int
    read: float  # bytes from its disk or store
    operations: float  # of the distance kernels, all cores
    network: float  # bytes to or from another machine
    task: float  # seconds of the scheduler for a task


def predicted(problem: Problem, machines: Machines) -> dict:
    """Bytes, operations and seconds of one pass."""
    n, d, k = problem.n_samples, problem.n_features, problem.n_clusters
    blocks = math.ceil(n / problem.block_rows)
    levels = math.ceil(math.log(max(blocks, 2), PARTS_OF_A_MERGE))
    merges = sum(math.ceil(blocks / PARTS_OF_A_MERGE**level) for level in range(1, levels + 1))
    sums = 8 * k * (d + 1)
    read = n * d * problem.stored_bytes / machines.count
    operations = 2 * n * k * d / machines.count
    seconds = {
        "read": read / machines.read,
        "kernels": operations / machines.operations,
        # All sums of blocks may have to move once; the last ones are waited for level by level.
        "sums": sums * blocks / machines.count / machines.network
        + levels * PARTS_OF_A_MERGE * sums / machines.network,
        # Workers hand the centres on: their number doubles with each transfer.
        "centres": math.ceil(math.log2(machines.count + 1)) * 4 * k * d / machines.network,
        "scheduler": (blocks + merges) * machines.task,
    }
    work = max(seconds["read"], seconds["kernels"]) + seconds["sums"] + seconds["centres"]
    return {
        "blocks": blocks,
        "merges": merges,
        "read_bytes": read,
        "operations": operations,
        "sums_bytes": sums * blocks / machines.count,
        "block_bytes": problem.block_rows * d * 4,
        **{f"{name}_seconds": value for name, value in seconds.items()},
        "pass_seconds": max(work, seconds["scheduler"]),
    }


def show(options: argparse.Namespace) -> None:
    """The table of the documentation."""
    machines = Machines(
        options.machines, options.read, options.operations, options.network, options.task
    )
    print(
        "block rows  blocks    block GB  read s  kernels s  sums s  centres s  scheduler s  pass s"
    )
    for exponent in (14, 17, 20, 22):
        problem = Problem(options.rows, options.features, 2, options.clusters, 1 << exponent)
        found = predicted(problem, machines)
        print(
            f"2^{exponent:<8d}  {found['blocks']:<8d}  {found['block_bytes'] / 1e9:8.2f}  "
            f"{found['read_seconds']:6.1f}  {found['kernels_seconds']:9.1f}  "
            f"{found['sums_seconds']:6.1f}  {found['centres_seconds']:9.2f}  "
            f"{found['scheduler_seconds']:11.1f}  {found['pass_seconds']:6.1f}"
        )
    print(
        f"for each machine: {found['read_bytes']:.3g} bytes read, {found['operations']:.3g} "
        "operations"
    )


def check(options: argparse.Namespace) -> Iterator[dict]:
    """Measured passes beside ``blocks * (work of a block / workers + a task that does nothing)``."""
    for n_workers in (1, 2):
        with threadpool_limits(1), config_context(n_threads=1), cluster(n_workers):
            task = idle_task(options.repeat)
            for exponent in (14, 16, 18):
                yield compared(options, n_workers, 1 << exponent, task)


def idle_task(repeat: int) -> float:
    """Seconds that a block takes when nothing is done with it."""
    import dask.array as da

    shape, chunks = (200 * LEAF_ROWS, N_FEATURES), (LEAF_ROWS, N_FEATURES)
    blocks = DaskBlocks(da.zeros(shape, chunks=chunks, dtype="float32"))
    centers = drawn(1, 1 + N_CLUSTERS)
    run = partial(map_reduce, nothing, operator.add, blocks, broadcast=(centers,))
    return fastest(repeat, run)[0] / len(blocks)


def compared(options: argparse.Namespace, n_workers: int, block_rows: int, task: float) -> dict:
    """One pass, as the model has it and as it was."""
    centers = drawn(1, 1 + N_CLUSTERS)
    n_blocks = max(8, options.check_rows // block_rows)
    one, _ = fastest(options.repeat, lambda: sums_of(drawn(0, block_rows), centers))
    blocks = DaskBlocks(lazily_drawn(n_blocks * block_rows, block_rows))
    blocks.is_finite = True
    step = partial(map_reduce, sums_of, add, blocks, broadcast=(centers,))
    measured, _ = fastest(options.repeat, step)
    model = n_blocks * (one / n_workers + task)
    return {
        "workers": n_workers,
        "block_rows": block_rows,
        "blocks": n_blocks,
        "block_ms": 1e3 * one,
        "task_ms": 1e3 * task,
        "model_seconds": model,
        "measured_seconds": measured,
        "measured_over_model": measured / model,
    }


def main(arguments: list[str] | None = None) -> None:
    """Print the table of many machines, or check it here."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--check-rows", type=int, default=4 << 20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=float, default=1e10)
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--read", type=float, default=2e9, help="bytes a second from the disk")
    parser.add_argument("--operations", type=float, default=2e12, help="a second, all cores")
    parser.add_argument("--network", type=float, default=1.25e9, help="bytes a second")
    parser.add_argument("--task", type=float, default=1e-3, help="seconds of the scheduler")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if not options.check:
        show(options)
        return
    lines = []
    for row in check(options):
        row |= {key: describe()[key] for key in ("cpu", "load", "revision")}
        lines.append(json.dumps(row))
        print(lines[-1], flush=True)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
