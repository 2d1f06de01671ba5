"""Fits on a Dask cluster of 1, 2 and 4 workers have the bits of fits on an array, faults included."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("distributed")

# In a process of its own: workers import it anew, and one of them is killed.
FITS = """
import os, signal, sys, warnings
from pathlib import Path

import numpy as np

N_SAMPLES, N_FEATURES = 30_011, 5
warnings.simplefilter("ignore")


def rows():
    rng = np.random.default_rng(0)
    places = 4 * rng.normal(size=(9, N_FEATURES))
    X = rng.normal(size=(N_SAMPLES, N_FEATURES)) + places[rng.integers(9, size=N_SAMPLES)]
    return X.astype(np.float32)


def dies_once(block, folder, block_info):
    # The last block of a late pass kills its worker, once: passes are counted by files.
    if block_info[0]["chunk-location"][0] == 3:
        passes = len(list(Path(folder).glob("pass-*")))
        Path(folder, f"pass-{passes}").touch()
        if passes == 11:
            os.kill(os.getpid(), signal.SIGKILL)
    return block


def models():
    from clusterlib.cluster import KMeans, SphericalKMeans

    yield KMeans(40, init="k-means||", max_iter=4, random_state=0)
    yield KMeans(3, random_state=1)
    yield SphericalKMeans(6, init="k-means||", max_iter=6, random_state=2)


def same(found, expected):
    for name in ("cluster_centers_", "labels_", "history_", "cluster_sizes_"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    assert found.inertia_ == expected.inertia_


if __name__ == "__main__":
    import dask.array as da
    from distributed import Client, LocalCluster

    from clusterlib.cluster import KMeans
    from clusterlib.config import config_context

    folder = sys.argv[1]
    X = rows()
    weight = np.random.default_rng(1).uniform(size=N_SAMPLES)
    with config_context(n_threads=2):
        expected = [model.fit(X, sample_weight=weight) for model in models()]
    lazy = da.from_array(X, chunks=(8192, N_FEATURES))
    for fitted, right in zip(models(), expected):  # no cluster at all
        same(fitted.fit(lazy, sample_weight=weight), right)
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
    client = Client(cluster)
    for n_workers in (1, 2, 4):
        cluster.scale(n_workers)
        client.wait_for_workers(n_workers)
        for fitted, right in zip(models(), expected):
            same(fitted.fit(lazy, sample_weight=weight), right)
            np.testing.assert_array_equal(fitted.predict(lazy), right.predict(X))
    deadly = lazy.map_blocks(dies_once, folder, dtype=X.dtype, meta=X[:0])
    model = KMeans(40, init="k-means||", max_iter=4, random_state=0).fit(deadly, None, weight)
    same(model, expected[0])
    assert len(list(Path(folder).glob("pass-*"))) > 12
    broken = X.copy()
    broken[20_000, 1] = np.nan
    try:
        KMeans(3, init="k-means||").fit(da.from_array(broken, chunks=(8192, N_FEATURES)))
    except ValueError as error:
        assert "NaN in row 20000, column 1" in str(error), error
    else:
        raise AssertionError("NaN was taken")
    Path(folder, "done").touch()
    os._exit(0)  # closing a cluster of which a worker died may fail within Dask
"""


def test_workers_and_their_deaths_change_no_bit(tmp_path):
    script = tmp_path / "fits.py"
    script.write_text(FITS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (tmp_path / "done").exists(), done.stderr[-3000:]
