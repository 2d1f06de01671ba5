"""k-means on rows that are read block by block has the bits of k-means on an array."""

import logging
import os
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.base import _Pass
from clusterlib.blocks import as_blocks
from clusterlib.cluster import KMeans, SphericalKMeans
from clusterlib.config import config_context
from tests.carriers import CARRIERS, Elsewhere

CLASSES = [KMeans, SphericalKMeans]


def rows(n=20_011, d=5, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 4 * rng.normal(size=(9, d))[rng.integers(9, size=n)]
    X[100:120] = 0.0
    return X.astype(dtype)


def assert_same(found, expected):
    for name in ("cluster_centers_", "labels_", "history_", "cluster_sizes_"):
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name in ("inertia_", "n_iter_", "converged_", "n_relocated_"):
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("init", ["k-means++", "k-means||", "random"])
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("cls", CLASSES)
def test_every_carrier_gives_the_same_bits(cls, carrier, init, tmp_path):
    X = rows()
    weight = np.random.default_rng(1).uniform(size=len(X)).round(1)
    model = cls(40, init=init, n_init=1, max_iter=8, random_state=3)
    expected = cls(**model.get_params()).fit(X, sample_weight=weight)
    blocks = CARRIERS[carrier](X, tmp_path)
    model.fit(blocks, sample_weight=weight)
    assert_same(model, expected)
    assert_array_equal(model.predict(blocks), expected.predict(X))
    assert_array_equal(model.transform(blocks), expected.transform(X))
    assert model.score(blocks, sample_weight=weight) == expected.score(X, sample_weight=weight)


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("cls", CLASSES)
def test_far_rows_are_found_in_any_block(cls, carrier, tmp_path):
    """Centres without rows move to different rows, wherever those are, equal costs included."""
    X = rows()
    X[[3, 9_000, 19_000]] = [[900.0, 1, 0, 0, 0], [900.0, 1, 0, 0, 0], [-900.0, 1, 0, 0, 0]]
    init = np.ones((6, 5), dtype=np.float32)
    init[1:] = [[-1e4, i, 0, 0, -5e4] for i in range(5)]
    expected = cls(6, init=init, max_iter=2, tol=1e9).fit(X)
    assert expected.n_relocated_ > 0
    assert_same(
        cls(6, init=init, max_iter=2, tol=1e9).fit(CARRIERS[carrier](X, tmp_path)), expected
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int16])
@pytest.mark.parametrize("carrier", ["memory map", "file", "shards", "batches", "elsewhere"])
def test_numbers_are_converted_as_those_of_an_array(carrier, dtype, tmp_path):
    X = rows(9000, dtype=np.float64).round(2).astype(dtype)
    model = KMeans(3, random_state=0).fit(CARRIERS[carrier](X, tmp_path))
    expected = KMeans(3, random_state=0).fit(X)
    assert_same(model, expected)
    assert model.cluster_centers_.dtype == expected.cluster_centers_.dtype


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_and_blocks_change_no_bit(n_threads, tmp_path):
    X = rows(30_000)
    expected = KMeans(12, init="k-means||", random_state=0).fit(X)
    np.save(tmp_path / "X.npy", X)
    for block_rows in (1, 8192, 16384, 65536):
        with config_context(n_threads=n_threads):
            blocks = as_blocks(tmp_path / "X.npy", block_rows=block_rows)
            assert_same(KMeans(12, init="k-means||", random_state=0).fit(blocks), expected)


def test_paths_and_memory_maps_are_taken_as_they_are(tmp_path):
    X = rows(5000)
    np.save(tmp_path / "X.npy", X)
    expected = KMeans(4, random_state=0).fit(X)
    for given in (tmp_path / "X.npy", str(tmp_path / "X.npy"), np.load(tmp_path / "X.npy", "r")):
        model = KMeans(4, random_state=0).fit(given)
        assert_same(model, expected)
        assert model.n_features_in_ == 5
        assert_array_equal(model.predict(given), expected.labels_)


@pytest.mark.parametrize("carrier", ["array", "file", "batches", "elsewhere"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_wrong_value_is_named_with_its_row(carrier, value, tmp_path):
    X = rows()
    X[17_123, 2] = value
    found = "NaN" if np.isnan(value) else "infinity"
    with pytest.raises(ValueError, match=f"Input X contains {found} in row 17123, column 2"):
        KMeans(3, init="k-means||").fit(CARRIERS[carrier](X, tmp_path))


def test_wrong_carriers_are_refused(tmp_path):
    X = rows(5000)
    model = KMeans(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match="X has 4 features, but KMeans is expecting 5"):
        model.predict(as_blocks(X[:, :4], block_rows=4096))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        KMeans(3).fit(as_blocks(X[:0]))
    with pytest.raises(ValueError, match="n_clusters=3 must not be above n_samples=2"):
        KMeans(3).fit(as_blocks(X[:2]))
    with pytest.raises(ValueError, match=r"sample_weight .*\(n_samples,\)=\(5000,\)"):
        KMeans(3).fit(as_blocks(X), sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="no row with a direction"):
        SphericalKMeans(3, init="k-means||").fit(as_blocks(np.zeros((5000, 2)), block_rows=4096))


def stop_after(n_passes):
    """An observer that raises as Ctrl-C does, in the middle of a pass."""
    seen = []

    def observe(n_rows):
        seen.append(n_rows)
        if seen.count(0) > n_passes:
            raise KeyboardInterrupt

    return observe


@pytest.mark.parametrize("cls", CLASSES)
def test_an_interrupted_fit_predicts_and_goes_on(cls):
    X = rows()
    model = cls(7, init=X[:7] + 1, tol=0, warm_start=True)
    whole = cls(7, init=X[:7] + 1, tol=0).fit(X)
    assert whole.n_iter_ > 6
    blocks = Elsewhere(X, 8192)
    blocks.observer = stop_after(6)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blocks)
    assert 0 < model.n_iter_ < whole.n_iter_
    assert not model.converged_
    assert not hasattr(model, "labels_")
    done = model.n_iter_
    assert_array_equal(model.history_, whole.history_[:done])
    assert model.predict(X).shape == (len(X),)
    model.fit(X)
    assert model.n_iter_ == whole.n_iter_ - done
    assert_array_equal(model.labels_, whole.labels_)
    assert_array_equal(model.cluster_centers_, whole.cluster_centers_)


def test_an_interrupted_first_pass_leaves_what_was_there():
    X = rows()
    model = KMeans(4, random_state=0).fit(X)
    centers = model.cluster_centers_.copy()
    blocks = Elsewhere(X, 8192)
    blocks.observer = stop_after(1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blocks)
    assert_array_equal(model.cluster_centers_, centers)
    assert_array_equal(model.labels_, KMeans(4, random_state=0).fit(X).labels_)


def test_warm_start_checks_what_it_starts_from():
    X = rows(5000)
    model = KMeans(4, warm_start=True, random_state=0).fit(X)
    assert model.fit(X).n_iter_ == 1
    with pytest.raises(ValueError, match="n_clusters=5 cannot be changed"):
        model.set_params(n_clusters=5).fit(X)
    with pytest.raises(ValueError, match="expecting 5 features"):
        model.set_params(n_clusters=4).fit(X[:, :3])


@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("n_passes", [9, 14, 25])
def test_a_checkpoint_gives_the_bits_of_an_unbroken_fit(n_init, n_passes, tmp_path):
    X = rows()
    options = {"init": "random", "n_init": n_init, "tol": 1e-3, "max_iter": 9, "random_state": 1}
    whole = KMeans(7, **options).fit(X)
    path = tmp_path / "fit.npz"
    blocks = Elsewhere(X, 8192)
    blocks.observer = stop_after(n_passes)
    broken = KMeans(7, checkpoint=path, **options)
    try:
        broken.fit(blocks)
    except KeyboardInterrupt:
        assert path.exists()
    assert_same(KMeans(7, checkpoint=str(path), **options).fit(X), whole)
    assert not path.exists()


def test_a_killed_process_leaves_a_checkpoint(tmp_path):
    X = rows(dtype=np.float64)
    np.save(tmp_path / "X.npy", X)
    code = """
import os, signal, sys
from clusterlib.blocks import as_blocks
from clusterlib.cluster import KMeans
blocks = as_blocks("X.npy", block_rows=8192)
passes = []
def observe(n_rows):
    passes.append(n_rows)
    if passes.count(0) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
blocks.observer = observe
KMeans(7, init="k-means||", tol=0, random_state=3, checkpoint="fit.npz").fit(blocks)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    path = tmp_path / "fit.npz"
    n_done = len(np.load(path)["history"])
    model = KMeans(7, init="k-means||", tol=0, random_state=3, checkpoint=path)
    seen = []
    blocks = as_blocks(tmp_path / "X.npy", block_rows=8192)
    blocks.observer = seen.append
    model.fit(blocks)
    assert_same(model, KMeans(7, init="k-means||", tol=0, random_state=3).fit(X))
    # The iterations that were left, and one pass for the labels: no seeding, none done twice.
    assert 0 < n_done < model.n_iter_
    assert seen.count(0) == model.n_iter_ - n_done + 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["X.npy"]


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    X = rows(5000)
    path = tmp_path / "fit.npz"
    blocks = Elsewhere(X, 4096)
    blocks.observer = stop_after(12)
    with pytest.raises(KeyboardInterrupt):
        KMeans(7, init="random", n_init=4, checkpoint=path, random_state=0).fit(blocks)
    for other, message in [
        (KMeans(6, init="random", n_init=4, random_state=0), "n_clusters=7, this fit has .*=6"),
        (KMeans(7, init="random", n_init=4, random_state=1), "random_state=0, this fit has .*=1"),
        (SphericalKMeans(7, init="random", n_init=4, random_state=0), "estimator=KMeans"),
    ]:
        with pytest.raises(ValueError, match=message):
            other.set_params(checkpoint=path).fit(X)
    with pytest.raises(ValueError, match="n_samples=5000, this fit has n_samples=4999"):
        KMeans(7, init="random", n_init=4, checkpoint=path, random_state=0).fit(X[1:])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="is no checkpoint of clusterlib"):
        KMeans(7, checkpoint=path).fit(X)
    with pytest.raises(ValueError, match="folder that does not exist"):
        KMeans(7, checkpoint=tmp_path / "no" / "fit.npz").fit(X)
    with pytest.raises(TypeError, match="checkpoint must be None or the path of a file; got int"):
        KMeans(7, checkpoint=3).fit(X)


def test_progress_is_told_for_every_pass(caplog):
    X = rows()
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        KMeans(3, random_state=0, verbose=1, max_iter=4, tol=1e9).fit(Elsewhere(X, 8192))
    told = [r.getMessage() for r in caplog.records if "rows/s" in r.getMessage()]
    assert any(f"{len(X)} rows in" in line for line in told)
    assert told[0].startswith("KMeans: pass 1: ")


def test_a_slow_pass_tells_its_share_and_the_seconds_left(caplog):
    seconds = iter([0.0, 0.0, 2.0, 6.0, 7.0, 12.0])
    a_pass = _Pass("KMeans", 1000, clock=lambda: next(seconds))
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        for n_rows in (0, 100, 200, 100, 600):
            a_pass(n_rows)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "KMeans: pass 1: 30 % of the rows, 50 rows/s, 14 s left",
        "KMeans: pass 1: 1000 rows in 12 s, 83.3 rows/s",
    ]


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("cls", CLASSES)
def test_nothing_but_labels_is_kept_for_a_row(cls, tmp_path):
    peaks = []
    for n in (8192, 80_000, 200_000):  # the first makes what is made once
        np.save(tmp_path / f"{n}.npy", rows(n, d=8))
        blocks = as_blocks(tmp_path / f"{n}.npy", block_rows=4096)
        model = cls(4, init=np.eye(4, 8), max_iter=2, tol=0)
        tracemalloc.start()
        model.fit(blocks)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 5 * 120_000
