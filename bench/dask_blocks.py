"""What a Dask cluster costs a block, and what it leaves of a pass: ``python -m bench.dask_blocks``.

``overhead`` maps a function that does nothing over blocks that cost nothing, with and without the
merges. ``pass`` is one step of k-means on rows that each task generates, on a cluster of this
machine and on the same blocks without one: kernels with all threads and generation one block
ahead, or several blocks at once with a thread each. ``threads`` compares these two for a function
that NumPy does. Bits are compared, too.
"""

import argparse
import contextlib
import json
import operator
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench.machine import describe, restart_without_overrides
from clusterlib.blocks import Blocks, DaskBlocks, ThreadedBlocks, leaf_sum, map_blocks, map_reduce
from clusterlib.config import config_context
from clusterlib.kernels import LEAF_ROWS, cluster_sums, pairwise_argmin

PARTS = ("overhead", "pass", "threads")
N_FEATURES = 32
N_CLUSTERS = 100
BLOCK_ROWS = 2**18  # about a tenth of a second in one thread
KEY = 20261127


class GeneratedBlocks(Blocks):
    """Rows that are drawn block by block from numbered random streams and never stored."""

    in_memory = False

    def __init__(self, n_samples: int, block_rows: int = BLOCK_ROWS):
        self.n_samples, self.n_features = n_samples, N_FEATURES
        self.dtype, self.block_rows = np.dtype(np.float32), block_rows

    def rows(self, start: int, stop: int) -> np.ndarray:
        return drawn(start, stop)


def drawn(start: int, stop: int) -> np.ndarray:
    """Uniform rows of a block; each block has a stream of its own."""
    bits = np.random.Philox(key=KEY, counter=[0, 0, 0, start])
    return np.random.Generator(bits).random((stop - start, N_FEATURES), dtype=np.float32)


def lazily_drawn(n_samples: int, block_rows: int = BLOCK_ROWS):
    """The same rows as a Dask array."""
    import dask.array as da

    def block(block_info=None):
        (start, stop), _ = block_info[None]["array-location"]
        return drawn(start, stop)

    whole, rest = divmod(n_samples, block_rows)
    chunks = (block_rows,) * whole + ((rest,) if rest else ())
    return da.map_blocks(block, chunks=(chunks, (N_FEATURES,)), dtype=np.float32)


def main(argv: list[str] | None = None) -> list[dict]:
    """Measure, print a line of JSON for each figure, and return them."""
    parser = argparse.ArgumentParser(prog="python -m bench.dask_blocks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--rows", type=int, default=20_000_000, help="of the pass")
    parser.add_argument("--blocks", default="100,1000", help="numbers of blocks of the overhead")
    parser.add_argument("--workers", type=int, default=2, help="and threads without a cluster")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, help="append the lines to a file")
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    measures = {"overhead": overhead, "pass": k_means_pass, "threads": threads}
    lines = []
    for part in options.parts or PARTS:
        for line in measures[part](options):
            lines.append(line | {key: describe()[key] for key in ("cpu", "load", "revision")})
            print(json.dumps(lines[-1]), flush=True)
    if options.out:
        with options.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    return lines


@contextlib.contextmanager
def cluster(n_workers: int) -> Iterator[None]:
    """Workers with a thread each, warm: they have imported what a pass needs."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers, threads_per_worker=1, dashboard_address=":0") as workers,
        Client(workers) as client,
    ):
        client.run(lambda: sums_of(drawn(0, LEAF_ROWS), drawn(0, N_CLUSTERS)))
        yield


def timed(call: Callable, *arguments) -> tuple[float, object]:
    """Wall time of a call, and its answer."""
    start = time.perf_counter()
    answer = call(*arguments)
    return time.perf_counter() - start, answer


def fastest(repeat: int, call: Callable) -> tuple[float, object]:
    """The fastest of several calls."""
    return min((timed(call) for _ in range(repeat)), key=lambda run: run[0])


def nothing(rows, centers):
    return 1


def overhead(options: argparse.Namespace) -> Iterator[dict]:
    """Milliseconds of a block whose work takes none."""
    import dask.array as da

    centers = np.zeros((1000, 768), np.float32)
    with cluster(options.workers):
        for n_blocks in map(int, options.blocks.split(",")):
            shape = (n_blocks * LEAF_ROWS, N_FEATURES)
            X = da.zeros(shape, chunks=(LEAF_ROWS, N_FEATURES), dtype=np.float32)
            for kind, rows in (("made", X), ("persisted", X.persist())):
                blocks = DaskBlocks(rows)

                def mapped(blocks=blocks):
                    return sum(map_blocks(nothing, blocks, broadcast=(centers,)))

                def merged(blocks=blocks):
                    return map_reduce(nothing, operator.add, blocks, broadcast=(centers,))

                for verb, call in (("map", mapped), ("map_reduce", merged)):
                    seconds, answer = fastest(options.repeat, call)
                    yield {
                        "kind": "overhead",
                        "verb": verb,
                        "rows": kind,
                        "blocks": n_blocks,
                        "workers": options.workers,
                        "ms_per_block": round(1e3 * seconds / n_blocks, 3),
                        "complete": answer == n_blocks,
                    }


def sums_of(rows: np.ndarray, centers: np.ndarray) -> list[np.ndarray]:
    """What a step of k-means asks of a block."""
    labels = pairwise_argmin(rows, centers)
    return list(cluster_sums(rows, labels, len(centers)))


def add(left: list[np.ndarray], right: list[np.ndarray]) -> list[np.ndarray]:
    for a, b in zip(left, right, strict=True):
        a += b
    return left


def k_means_pass(options: argparse.Namespace) -> Iterator[dict]:
    """Rows in a second of one assignment with the sums, by three ways to use the cores."""
    centers = drawn(1, 1 + N_CLUSTERS)
    here = GeneratedBlocks(options.rows)
    here.is_finite = True  # kernels look at the rows once more anyway

    def step(blocks):
        return map_reduce(sums_of, add, blocks, broadcast=(centers,))

    with (
        threadpool_limits(1),
        config_context(n_threads=options.workers),
        cluster(options.workers),
    ):
        there = DaskBlocks(lazily_drawn(options.rows))
        there.is_finite = True
        ways = {
            "threads of kernels": here,
            "blocks in threads": ThreadedBlocks(here, options.workers),
            "cluster": there,
        }
        # In turns, so that a neighbour on the machine disturbs all of them.
        rounds = [{way: timed(step, ways[way]) for way in ways} for _ in range(options.repeat)]
    found = {way: min((turn[way] for turn in rounds), key=lambda run: run[0]) for way in ways}
    best = min(found[way][0] for way in found if way != "cluster")
    _, right = found["threads of kernels"]
    for way, (seconds, answer) in found.items():
        yield {
            "kind": "pass",
            "way": way,
            "rows": options.rows,
            "d": N_FEATURES,
            "k": N_CLUSTERS,
            "block_rows": BLOCK_ROWS,
            "workers": options.workers,
            "seconds": round(seconds, 3),
            "million_rows_per_second": round(options.rows / seconds / 1e6, 3),
            "of_the_best_here": round(best / seconds, 3),
            "same_bits": all(map(np.array_equal, answer, right)),
        }


def log_likelihood(rows: np.ndarray) -> float:
    """A function that NumPy does, in one thread."""
    return leaf_sum(np.log1p(np.exp(rows)).sum(axis=1))


def threads(options: argparse.Namespace) -> Iterator[dict]:
    """Blocks in threads beside the threads of kernels, for a kernel and for NumPy."""
    n_samples = min(options.rows, 16 * BLOCK_ROWS)
    X = drawn(0, n_samples)
    blocks = GeneratedBlocks(n_samples)
    blocks.rows = lambda start, stop: X[start:stop]
    blocks.is_finite = True
    several = ThreadedBlocks(blocks, options.workers)
    centers = X[:N_CLUSTERS]
    calls = {
        "kernels": lambda rows: map_reduce(sums_of, add, rows, broadcast=(centers,)),
        "numpy": lambda rows: [map_reduce(log_likelihood, operator.add, rows)],
    }
    with threadpool_limits(1), config_context(n_threads=options.workers):
        for function, call in calls.items():
            one, right = fastest(options.repeat, lambda call=call: call(blocks))
            many, answer = fastest(options.repeat, lambda call=call: call(several))
            yield {
                "kind": "threads",
                "function": function,
                "rows": n_samples,
                "threads": options.workers,
                "one_block_seconds": round(one, 3),
                "several_blocks_seconds": round(many, 3),
                "times_faster": round(one / many, 2),
                "same_bits": all(map(np.array_equal, answer, right)),
            }


if __name__ == "__main__":
    restart_without_overrides("bench.dask_blocks")
    main()
