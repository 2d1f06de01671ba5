"""A cluster whose workers are killed in the middle of a pass gives the same bits."""

import subprocess
import sys

import pytest

pytest.importorskip("distributed")

# In a process of its own that does not end in the ordinary way: closing a LocalCluster of which a
# worker died may fail within Dask.
FAULTS = """
import os, signal
from pathlib import Path
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from clusterlib.blocks import DaskBlocks, map_reduce
from clusterlib.kernels import LEAF_ROWS, cluster_sums

def die_once(name):
    died = Path(FOLDER, name)
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)

def block_sums(block, y, numbers):
    if numbers.start == 6 * LEAF_ROWS:
        die_once("on a block")
    return cluster_sums(block, y, 4)

def merge(left, right):
    for a, b in zip(left, right):
        a += b
    return left

def last_merge(left, right):
    left += right
    if left[0] == N_SAMPLES:
        die_once("on a merge")
    return left

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    N_SAMPLES = 9 * LEAF_ROWS + 17
    X = rng.normal(size=(N_SAMPLES, 3)) * 10.0 ** rng.uniform(-8, 8, size=(N_SAMPLES, 1))
    labels = rng.integers(0, 4, size=N_SAMPLES).astype(np.int32)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    client = Client(cluster)
    lazy = da.from_array(X, chunks=(LEAF_ROWS, 3))
    right = cluster_sums(X, labels, 4)
    for rows in (lazy, lazy.persist()):
        found = map_reduce(block_sums, merge, DaskBlocks(rows), labels, range(N_SAMPLES))
        assert all(map(np.array_equal, found, right))
        assert Path(FOLDER, "on a block").exists()
        Path(FOLDER, "on a block").unlink()
    count = map_reduce(lambda rows: np.full(1, len(rows)), last_merge, DaskBlocks(lazy))
    assert count == N_SAMPLES
    assert Path(FOLDER, "on a merge").exists()
    Path(FOLDER, "done").touch()
    for pid in client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)
    os._exit(0)
"""


def test_a_worker_that_dies_changes_nothing(tmp_path):
    """It is killed on a block that is made anew, on one that was persisted, and on a merge."""
    code = FAULTS.replace("FOLDER", repr(str(tmp_path)))
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "done").exists()
