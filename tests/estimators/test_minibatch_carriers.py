"""MiniBatchKMeans on rows that are read block by block: the bits of an array, little memory."""

import sys
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import adjusted_rand_score

from clusterlib.blocks import Block, as_blocks
from clusterlib.cluster import KMeans, MiniBatchKMeans
from clusterlib.solvers import minibatch, pull
from tests.carriers import CARRIERS, Elsewhere
from tests.estimators.cases import blobs

pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge")

SETTINGS = {
    "small batches": {"batch_size": 700},
    "across blocks": {"batch_size": 5000, "init": "random", "tol": 1e-3},
    "larger than blocks": {"batch_size": 20_000, "init": "k-means||", "init_size": 100},
    "all rows for the start": {"init_size": 30_000, "n_init": 2},
    "many reassigned": {"reassignment_ratio": 0.9, "max_no_improvement": None, "max_iter": 2},
}


def rows(n=20_011, d=5, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 4 * rng.normal(size=(9, d))[rng.integers(9, size=n)]
    X[100:120] = 0.0
    return X.astype(dtype)


def weights(n):
    weight = np.random.default_rng(1).uniform(size=n).round(1)
    weight[2000:7000] = 0.0  # whole batches without weight
    return weight


def assert_same(found, expected):
    names = [name for name in vars(expected) if name.endswith("_")]
    assert {"labels_", "cluster_centers_", "counts_", "inertia_", "n_steps_"} <= set(names)
    for name in names:
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_carrier_gives_the_same_bits(carrier, setting, tmp_path):
    X = rows()
    weight = weights(len(X))
    options = {"batches": "in_order", "random_state": 0, "max_iter": 3, **SETTINGS[setting]}
    expected = MiniBatchKMeans(10, **options).fit(X, sample_weight=weight)
    assert (expected.n_relocated_ > 0) == (setting == "many reassigned")
    blocks = CARRIERS[carrier](X, tmp_path)
    model = MiniBatchKMeans(10, **options).fit(blocks, sample_weight=weight)
    assert_same(model, expected)
    assert_array_equal(model.predict(blocks), expected.labels_)


@pytest.mark.parametrize("carrier", ["array", "memory map", "file", "shards"])
def test_random_batches_are_those_of_an_array(carrier, tmp_path):
    X = rows()
    expected = MiniBatchKMeans(10, random_state=0).fit(X, sample_weight=weights(len(X)))
    model = MiniBatchKMeans(10, random_state=0)
    assert_same(model.fit(CARRIERS[carrier](X, tmp_path), sample_weight=weights(len(X))), expected)


@pytest.mark.parametrize("carrier", ["batches", "elsewhere"])
def test_random_batches_need_rows_one_by_one(carrier, tmp_path):
    blocks = CARRIERS[carrier](rows(), tmp_path)
    with pytest.raises(ValueError, match=r"fetched one by one, and those of a .* set batches='in_"):
        MiniBatchKMeans(3).fit(blocks)


def test_random_batches_are_refused_for_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "shards").mkdir()
    X = rows(9000)
    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(X.ravel()), 5)
    parquet.write_table(pyarrow.table({"x": column}), tmp_path / "shards" / "a.parquet")
    for path in (tmp_path / "shards", tmp_path / "shards" / "a.parquet"):
        with pytest.raises(ValueError, match="batches='random' needs rows that can be fetched"):
            MiniBatchKMeans(3).fit(path)
        model = MiniBatchKMeans(3, batches="in_order", random_state=0).fit(path)
        assert_same(model, MiniBatchKMeans(3, batches="in_order", random_state=0).fit(X))


@pytest.mark.parametrize("value", ["ordered", None, 3])
def test_the_order_has_two_names(value):
    with pytest.raises((TypeError, ValueError), match="batches must be .*'random', 'in_order'"):
        MiniBatchKMeans(3, batches=value).fit(rows(100))


def test_batches_are_pulls_one_after_the_other():
    X = rows(10_000, dtype=np.float64)
    weight = weights(len(X))
    centers = counts = None
    for _ in range(2):
        for start in range(0, len(X), 1024):
            batch = slice(start, start + 1024)
            if not weight[batch].any():
                continue
            if centers is None:
                centers, counts = X[:4], np.zeros(4)
            rng = np.random.default_rng(0)
            centers, counts, *_ = pull(X[batch], centers, counts, rng, sample_weight=weight[batch])
    options = {"sample_weight": weight, "max_iter": 2, "max_no_improvement": None}
    options["reassignment_ratio"] = 0.0
    result = minibatch(Elsewhere(X, 4096), X[:4], np.random.default_rng(0), **options)
    assert_array_equal(result.centers, centers)
    assert_array_equal(result.counts, counts)
    assert_allclose(result.counts.sum(), 2 * weight.sum(), rtol=1e-12)
    assert (result.n_steps, result.n_iter) == (2 * (10 - 4), 2)


class OneBuffer(Elsewhere):
    """Reads every block into the memory of the one before."""

    def __iter__(self):
        memory = np.empty((self.block_rows, self.n_features), self.dtype)
        for start, stop in self.ranges():
            memory[: stop - start] = self.rows(start, stop)
            yield Block(start, stop, memory[: stop - start])


def test_a_batch_does_not_live_in_blocks_that_are_gone():
    X = rows(dtype=np.float64)
    options = {"batch_size": 7000, "max_iter": 1}
    found, expected = (
        minibatch(given, X[:4], np.random.default_rng(0), **options)
        for given in (OneBuffer(X, 4096), X)
    )
    assert_array_equal(found.centers, expected.centers)


def test_a_fit_may_end_within_the_first_pass(tmp_path):
    X, y = blobs(n=30_000)
    blocks = as_blocks(lambda: iter(np.array_split(X, 9)), block_rows=4096)
    seen = []
    blocks.observer = seen.append
    model = MiniBatchKMeans(3, batches="in_order", batch_size=256, random_state=0).fit(blocks)
    assert model.converged_
    assert model.n_iter_ == 1
    assert model.n_steps_ * 256 < 30_000
    assert seen.count(0) == 3  # the sample, the batches, the labels
    assert adjusted_rand_score(y, model.labels_) == 1


def test_given_centres_need_no_sample(tmp_path):
    blocks = CARRIERS["file"](rows(), tmp_path)
    seen = []
    blocks.observer = seen.append
    options = {"batches": "in_order", "max_iter": 2, "max_no_improvement": None}
    model = MiniBatchKMeans(4, init=rows()[:4], compute_labels=False, **options).fit(blocks)
    assert seen.count(0) == 2
    assert not hasattr(model, "labels_")


def test_is_nearly_as_good_as_exact_k_means():
    X = rows(8000)
    exact = KMeans(9, random_state=0).fit(X)
    model = MiniBatchKMeans(9, batches="in_order", batch_size=256, random_state=0).fit(X)
    assert model.inertia_ < 1.1 * exact.inertia_


def peak_of_fit(n, tmp_path):
    np.save(tmp_path / f"{n}.npy", rows(n, d=8))
    blocks = as_blocks(tmp_path / f"{n}.npy", block_rows=4096)
    model = MiniBatchKMeans(4, batches="in_order", random_state=0, max_no_improvement=None)
    tracemalloc.start()
    model.set_params(max_iter=1).fit(blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_nothing_but_labels_is_kept_for_a_row(tmp_path):
    peak_of_fit(8192, tmp_path)  # what is made once
    few, many = peak_of_fit(40_000, tmp_path), peak_of_fit(120_000, tmp_path)
    assert many - few < 5 * 80_000


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_carrier_is_one_batch_of_partial_fit(carrier, tmp_path):
    X = rows()
    weight = weights(len(X))
    expected = MiniBatchKMeans(6, random_state=0, reassignment_ratio=0.5)
    expected.partial_fit(X[:5000]).partial_fit(X, sample_weight=weight)
    assert expected.n_relocated_ > 0
    model = MiniBatchKMeans(6, random_state=0, reassignment_ratio=0.5)
    model.partial_fit(X[:5000])
    model.partial_fit(CARRIERS[carrier](X, tmp_path), sample_weight=weight)
    assert_same(model, expected)
    first = MiniBatchKMeans(6, random_state=0).partial_fit(Elsewhere(X, 4096))
    assert_same(first, MiniBatchKMeans(6, random_state=0).partial_fit(X))


def test_large_batches_draw_rows_by_a_race(monkeypatch):
    monkeypatch.setattr(sys.modules[pull.__module__], "_FEW_ROWS", 1000)
    X = rows(9000)
    counts = np.array([9.0, 9.0, 9.0, 0.0])
    centers = np.r_[X[:3], [[1e4] * 5]].astype(np.float32)
    pulls = [
        pull(given, centers, counts, np.random.default_rng(0), reassign=True)
        for given in (X, Elsewhere(X, 4096))
    ]
    assert pulls[0].n_reassigned == 1
    for one, other in zip(*pulls, strict=True):
        assert_array_equal(one, other)
    assert (X == pulls[0].centers[3]).all(axis=1).any()
    same = pull(np.ones((3000, 5)), centers, counts, np.random.default_rng(0), reassign=True)
    assert same.n_reassigned == 0  # at most half as many as there are different rows


@pytest.mark.parametrize("carrier", ["array", "file", "batches", "elsewhere"])
def test_wrong_values_are_refused(carrier, tmp_path):
    X = rows()
    X[17_123, 2] = np.inf
    model = MiniBatchKMeans(3, batches="in_order", init=X[:3])
    with pytest.raises(ValueError, match="Input X contains infinity in row 17123, column 2"):
        model.fit(CARRIERS[carrier](X, tmp_path))


def test_dask_arrays_give_the_same_bits():
    da = pytest.importorskip("dask.array")
    X = rows()
    lazy = da.from_array(X, chunks=(4096, 5))
    options = {"batches": "in_order", "random_state": 0, "max_iter": 1}
    model = MiniBatchKMeans(4, **options).fit(lazy)
    assert_same(model, MiniBatchKMeans(4, **options).fit(X))
    with pytest.raises(ValueError, match="those of a DaskBlocks are read in order"):
        MiniBatchKMeans(4).fit(lazy)
