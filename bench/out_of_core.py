"""Rows that do not fit into memory: what a fit takes of it, and what a pass takes of time.

``python -m bench.out_of_core memory`` fits k-means to a file in a process that the system does not
let grow by more than three blocks, the centres and the labels (and 20 MiB that stacks of threads
reserve), and prints the peak of resident memory beside that sum. Linux only.

``python -m bench.out_of_core overlap`` times a pass of k-means over a file, reading alone and the
kernels alone on blocks that are in memory. Reading and kernels overlap as well as they can where
the pass takes as long as the slower of the two. The file is in the page cache, or is dropped from
it before every pass (then the disk is the limit).

A line for each figure goes to ``bench/results/out_of_core.jsonl``.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

from bench.machine import cores, describe
from clusterlib.blocks import Blocks, FileBlocks, as_blocks
from clusterlib.cluster import KMeans
from clusterlib.config import config_context
from clusterlib.solvers.geometry import Flat
from clusterlib.solvers.labelling import Labelling

RESULTS = Path(__file__).parent / "results" / "out_of_core.jsonl"
RESERVED = 20 << 20
GOAL_PASS = 1.15


def write_rows(path: Path, n_samples: int, n_features: int) -> None:
    """A file of float32 blobs, a block at a time."""
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n_samples, n_features))
    places = 2 * rng.normal(size=(50, n_features)).astype(np.float32)
    noise = rng.normal(size=(1 << 14, n_features)).astype(np.float32)
    for start in range(0, n_samples, len(noise)):
        rows = noise + places[rng.integers(len(places), size=len(noise))]
        X[start : start + len(rows)] = rows[: n_samples - start]
    X.flush()


def resident(key: str) -> int:
    """Bytes that the system counts for this process."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def limited_fit(path: str, n_clusters: int, block_rows: int) -> dict:
    """Fit in this process, which may not grow by more than the sum; run in one of its own."""
    small = np.random.default_rng(0).normal(size=(9000, 8)).astype(np.float32)
    options = {"init": "k-means||", "max_iter": 3, "tol": 0, "random_state": 0}
    KMeans(n_clusters, **options).fit(small)  # code is loaded by now
    X = as_blocks(np.load(path, mmap_mode="r"), block_rows=block_rows)
    block = X.block_rows * X.n_features * X.dtype.itemsize
    total = 3 * block + n_clusters * X.n_features * X.dtype.itemsize + 4 * X.n_samples
    before = resident("VmRSS")
    limit = resident("VmData") + total + RESERVED
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted from here
    began = time.perf_counter()
    KMeans(n_clusters, **options).fit(X)
    return {
        "what": "memory",
        "n_samples": X.n_samples,
        "n_features": X.n_features,
        "n_clusters": n_clusters,
        "file_bytes": os.stat(path).st_size,
        "block_bytes": block,
        "blocks_centres_labels_bytes": total,
        "limit_bytes": total + RESERVED,
        "peak_bytes": resident("VmHWM") - before,
        "seconds": time.perf_counter() - began,
    }


class SameBlock(Blocks):
    """As many blocks as a file has, all of them the same rows in memory."""

    def __init__(self, blocks: Blocks):
        self.n_samples, self.n_features = blocks.shape
        self.dtype, self.block_rows = blocks.dtype, blocks.block_rows
        self._rows = blocks.rows(0, min(blocks.block_rows, blocks.n_samples))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The first rows, whatever is asked for."""
        return self._rows[: stop - start]


def step_seconds(blocks: Blocks, centers: np.ndarray) -> float:
    """Wall seconds of one step of k-means without bounds."""
    labelling = Labelling(blocks, len(centers), Flat)
    labelling._bounds = None  # a file that is so large has none
    began = time.perf_counter()
    labelling.step(centers)
    return time.perf_counter() - began


def read_seconds(blocks: Blocks) -> float:
    """Wall seconds of a pass that does nothing with the rows."""
    began = time.perf_counter()
    for _ in blocks:
        pass
    return time.perf_counter() - began


def drop(path: Path) -> None:
    """Ask the system to forget what it keeps of a file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def overlap(
    path: Path, n_clusters: int, cached: bool, n_threads: int, block_mib: int, repeat: int
) -> dict:
    """Medians of a pass, of reading alone and of the kernels alone, taken in turns."""
    with config_context(block_bytes=block_mib << 20):
        blocks = FileBlocks(path)
    blocks.check_finite()
    memory = SameBlock(blocks)
    centers = blocks.take(np.linspace(0, blocks.n_samples - 1, n_clusters).astype(int))
    times = {"read": [], "kernels": [], "pass": []}
    with config_context(n_threads=n_threads):
        for _ in range(repeat):
            for name, work in (
                ("read", lambda: read_seconds(blocks)),
                ("kernels", lambda: step_seconds(memory, centers)),
                ("pass", lambda: step_seconds(blocks, centers)),
            ):
                if not cached:
                    drop(path)
                times[name].append(work())
    medians = {f"{name}_seconds": statistics.median(values) for name, values in times.items()}
    slower = max(medians["read_seconds"], medians["kernels_seconds"])
    shared = (n_threads * medians["kernels_seconds"] + medians["read_seconds"]) / cores()
    shared = shared if cached else 0.0  # a disk does not use a core
    return {
        "what": "overlap",
        "n_samples": blocks.n_samples,
        "n_features": blocks.n_features,
        "n_clusters": n_clusters,
        "block_rows": blocks.block_rows,
        "block_mib": block_mib,
        "file": "in the page cache" if cached else "dropped before every pass",
        "n_threads": n_threads,
        "repeat": repeat,
        **medians,
        "pass_over_slower": medians["pass_seconds"] / slower,
        # No pass can take less where all of it is the work of these cores.
        "pass_over_floor": medians["pass_seconds"] / max(slower, shared),
    }


def run_memory(options: argparse.Namespace, folder: Path) -> list[dict]:
    """Fit in a process of its own for every shape."""
    found = []
    for n_features, n_clusters in ((64, 16), (768, 100)):
        path = folder / f"rows-{n_features}.npy"
        write_rows(path, int(options.gigabytes * 1e9 / 4 / n_features), n_features)
        block_rows = max(4096, (16 << 20) // (4 * n_features))
        call = f"from bench.out_of_core import *; print(json.dumps(limited_fit({str(path)!r}, "
        call += f"{n_clusters}, {block_rows})))"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", call], check=True, capture_output=True, text=True
        )
        found.append(json.loads(done.stdout))
        path.unlink()
        row = found[-1]
        print(
            f"{row['file_bytes'] / 1e9:.2f} GB, {n_features} features, k = {n_clusters}: peak "
            f"{row['peak_bytes'] / 1e6:.1f} MB, three blocks + centres + labels "
            f"{row['blocks_centres_labels_bytes'] / 1e6:.1f} MB, file over limit "
            f"{row['file_bytes'] / row['limit_bytes']:.1f}, {row['seconds']:.1f} s"
        )
    return found


def run_overlap(options: argparse.Namespace, folder: Path) -> list[dict]:
    """Every number of centres, cached and not, on one and on two threads."""
    found = []
    path = folder / "rows.npy"
    write_rows(path, int(options.gigabytes * 1e9 / 4 / 256), 256)
    print("threads  MiB  k     file                        read    kernels  pass    slower  floor")
    cases = product(options.threads, options.block_mib, (True, False), options.clusters)
    for n_threads, block_mib, cached, n_clusters in cases:
        row = overlap(path, n_clusters, cached, n_threads, block_mib, options.repeat)
        found.append(row)
        print(
            f"{n_threads:7d}  {block_mib:3d}  {n_clusters:4d}  {row['file']:26s}  "
            f"{row['read_seconds']:6.3f}  {row['kernels_seconds']:7.3f}  "
            f"{row['pass_seconds']:6.3f}  {row['pass_over_slower']:6.3f}  "
            f"{row['pass_over_floor']:6.3f}",
            flush=True,
        )
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run one part and write its lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=("memory", "overlap"))
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--clusters", type=int, nargs="+", default=[4, 16, 64, 256])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--block-mib", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where the file is written")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    run = run_memory if options.part == "memory" else run_overlap
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = run(options, Path(folder))
    earlier = options.out.read_text().splitlines() if options.out.exists() else []
    kept = [line for line in earlier if json.loads(line)["what"] != options.part]
    lines = [json.dumps({**row, "machine": describe()}) for row in found]
    options.out.write_text("\n".join([*kept, *lines]) + "\n")


if __name__ == "__main__":
    main()
