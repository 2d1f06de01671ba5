"""A fit on a file that is far larger than the memory it may take, which the system enforces."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clusterlib.blocks import ArrayBlocks, as_blocks
from clusterlib.cluster import KMeans

N_FEATURES, N_CLUSTERS, BLOCK_ROWS = 64, 4, 1 << 16
N_SAMPLES = 19 * BLOCK_ROWS - 1000
BLOCK = BLOCK_ROWS * N_FEATURES * 4
BUDGET = 3 * BLOCK + N_CLUSTERS * N_FEATURES * 4 + 4 * N_SAMPLES
# Stacks of threads and arenas of malloc are reserved and hardly used; a limit counts them.
RESERVED = 20 << 20

FIT = """
import gc, json, resource, sys
import numpy as np
from clusterlib.blocks import as_blocks
from clusterlib.cluster import KMeans

budget, reserved, block_rows, k = map(int, sys.argv[1:])

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))

def fit(X):
    return KMeans(k, init="k-means||", max_iter=2, tol=0, random_state=0).fit(X)

fit(np.random.default_rng(0).normal(size=(9000, 64)).astype(np.float32))  # code is loaded by now
gc.collect()
X = as_blocks(np.load("X.npy", mmap_mode="r"), block_rows=block_rows)
before = status("VmRSS")
limit = status("VmData") + budget + reserved
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak is counted from here
model = fit(X)
peak = status("VmHWM") - before
refused = False
try:
    np.ones(4 * budget, np.uint8)
except MemoryError:
    refused = True
np.save("labels.npy", model.labels_)
print(json.dumps({"peak": peak, "refused": refused}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (N_SAMPLES, N_FEATURES))
    some = rng.normal(size=(BLOCK_ROWS, N_FEATURES)).astype(np.float32)
    for start in range(0, N_SAMPLES, BLOCK_ROWS):
        X[start : start + BLOCK_ROWS] = (some + rng.normal(size=N_FEATURES))[: N_SAMPLES - start]
    return folder


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counts as Linux does")
def test_a_fit_takes_three_blocks_centres_and_labels(folder):
    assert 4 * (BUDGET + RESERVED) < (folder / "X.npy").stat().st_size
    arguments = map(str, (BUDGET, RESERVED, BLOCK_ROWS, N_CLUSTERS))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIT, *arguments],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert found["refused"]  # the limit was one
    assert found["peak"] <= BUDGET
    X = np.load(folder / "X.npy", mmap_mode="r")
    model = KMeans(N_CLUSTERS, init="k-means||", max_iter=2, tol=0, random_state=0).fit(X)
    np.testing.assert_array_equal(np.load(folder / "labels.npy"), model.labels_)


def test_blocks_of_a_file_are_arrays_in_memory(folder):
    """Their pages come from the system, as those of a file do: not every map is a file."""
    rows = as_blocks(folder / "X.npy").rows(0, 100)
    assert isinstance(as_blocks(rows), ArrayBlocks)
