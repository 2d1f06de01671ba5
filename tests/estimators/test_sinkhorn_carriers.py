"""SinkhornClustering on rows that are read block by block: the bits of an array, little memory."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.cluster import ClusteredMemory, SinkhornClustering, _starts
from clusterlib.solvers import sinkhorn_means, unit_rows
from clusterlib.solvers.prototype_codes import PrototypeCodes
from tests.carriers import CARRIERS, Elsewhere

pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:.*different clusters")

SETTINGS = {
    "exact": {},
    "estimated": {"prior": "estimate", "max_iter": 2},
    "of SwAV": {"n_iters": 3, "prior": [1, 2, 3, 4, 5, 6]},
    "lengths": {"normalize": False, "epsilon": 2.0},
    "hard": {"epsilon": 0.004, "max_iter": 1, "n_iters": 2},
}


def rows(n=9_011, d=5, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 4 * rng.normal(size=(9, d))[rng.integers(9, size=n)]
    X[100:120] = 0.0
    return X.astype(dtype)


def weights(n):
    return np.random.default_rng(1).uniform(size=n).round(1)


def assert_same(found, expected):
    names = [name for name in vars(expected) if name.endswith("_")]
    assert {"labels_", "cluster_centers_", "prior_", "vectors_", "counts_"} <= set(names)
    for name in names:
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_carrier_gives_the_same_bits(carrier, setting, tmp_path):
    X = rows()
    weight = weights(len(X))
    options = {"max_iter": 1, "init": X[200:206] + 1, **SETTINGS[setting]}
    expected = SinkhornClustering(6, **options).fit(X, sample_weight=weight)
    blocks = CARRIERS[carrier](X, tmp_path)
    assert_same(SinkhornClustering(6, **options).fit(blocks, sample_weight=weight), expected)
    for method in (
        expected.predict,
        expected.transform,
        expected.predict_proba,
        expected.assign,
        expected.score,
    ):
        assert_array_equal(method(blocks), method(X))


@pytest.mark.parametrize("init", ["auto", "k-means||", "random"])
@pytest.mark.parametrize("carrier", ["file", "batches", "elsewhere"])
def test_starts_are_the_same(carrier, init, tmp_path, monkeypatch):
    monkeypatch.setattr(_starts, "_FEW_ROWS", 5000)  # "auto" stands for k-means||
    X = rows()
    options = {"init": init, "n_init": 1, "max_iter": 1, "random_state": 0, "n_iters": 2}
    expected = SinkhornClustering(6, **options).fit(X)
    assert_same(SinkhornClustering(6, **options).fit(CARRIERS[carrier](X, tmp_path)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_columns_that_underflow_are_found_on_every_carrier(carrier, dtype, tmp_path):
    X = (rows(dtype=np.float64) * 0.01 + np.eye(5)[0]).astype(dtype)
    centers = np.eye(5, dtype=dtype)[:3]
    centers[2] = -centers[0]
    found = []
    for given in (X, CARRIERS[carrier](X, tmp_path)):
        codes = PrototypeCodes(as_blocks(given), 0.001, sample_weight=weights(len(X)))
        logs = [codes.sweep(centers, np.zeros(3)), codes.sweep(centers, np.array([0.1, 0, 0]))]
        found.append((*logs, *codes.means(), codes.row_value(), codes.total))
    assert found[0][0][2] < -1000
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)


def test_potentials_have_the_shares_that_were_asked_for():
    """Potentials start from their mean; what they are does not depend on it."""
    X = rows(dtype=np.float64)
    blocks = Elsewhere(X, 4096)
    codes = PrototypeCodes(blocks, 0.05)
    centers = unit_rows(X[200:206])
    _, logs, error = codes.balance(
        centers, np.zeros(6), np.full(6, -np.log(6)), tol=1e-9, max_sweeps=1000
    )
    assert error <= 1e-9
    np.testing.assert_allclose(np.exp(logs), 1 / 6, atol=1e-9)
    assert codes.total == len(X) - 20


def test_weights_of_any_size_add_up():
    X = rows(n=500, dtype=np.float64)
    centers = unit_rows(X[:4] + 1)
    plain = sinkhorn_means(X, centers, max_iter=2, sample_weight=np.full(500, 3.0))
    for factor in (2.0**-900, 2.0**1000):
        result = sinkhorn_means(X, centers, max_iter=2, sample_weight=np.full(500, 3.0 * factor))
        assert_array_equal(result.centers, plain.centers)
        assert result.objective == plain.objective


def peak_of_fit(n, tmp_path):
    np.save(tmp_path / f"{n}.npy", rows(n, d=8))
    model = SinkhornClustering(4, init=np.eye(4, 8), max_iter=2, n_iters=2)
    blocks = as_blocks(tmp_path / f"{n}.npy", block_rows=4096)
    tracemalloc.start()
    model.fit(blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_nothing_but_labels_is_kept_for_a_row(tmp_path):
    peak_of_fit(8192, tmp_path)  # what is made once
    few, many = peak_of_fit(80_000, tmp_path), peak_of_fit(160_000, tmp_path)
    assert many - few < 5 * 80_000


@pytest.mark.parametrize("normalize", [True, False])
def test_passes_are_those_that_are_promised(normalize, tmp_path):
    blocks = CARRIERS["file"](rows(), tmp_path)
    seen = []
    blocks.observer = seen.append
    options = {"epsilon": 2.0, "normalize": normalize, "max_iter": 3, "init": rows()[:6] + 1}
    model = SinkhornClustering(6, **options).fit(blocks)
    assert seen.count(0) == model.n_sweeps_ + model.n_iter_ + 4 + (not normalize)


@pytest.mark.parametrize("carrier", ["array", "file", "batches", "elsewhere"])
def test_wrong_rows_are_refused(carrier, tmp_path):
    X = rows()
    X[8_500, 2] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN in row 8500, column 2"):
        SinkhornClustering(3, init="k-means||").fit(CARRIERS[carrier](X, tmp_path))


def test_rows_without_direction_and_long_rows_are_refused():
    for init in ("k-means++", "k-means||"):
        with pytest.raises(ValueError, match="X has no row with a direction"):
            SinkhornClustering(3, init=init).fit(Elsewhere(np.zeros((9000, 2)), 4096))
    X = rows()
    X[8_999] = 1e7
    with pytest.raises(ValueError, match=r"rows must not be longer .*; got a row of length 2.24e"):
        SinkhornClustering(3, normalize=False).fit(Elsewhere(X, 4096))


def test_a_batch_may_be_a_slice_of_a_memory_map(tmp_path):
    X = rows()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    models = [SinkhornClustering(4, random_state=0, queue_size=500) for _ in range(2)]
    for start in range(0, 3000, 1000):
        for model, source in zip(models, (X, mapped), strict=True):
            model.partial_fit(source[start : start + 1000])
    assert_same(*models)
    assert type(models[1].queue_) is np.ndarray


def test_a_batch_of_several_blocks_is_refused(tmp_path):
    blocks = CARRIERS["file"](rows(), tmp_path)
    with pytest.raises(ValueError, match="partial_fit takes one batch, .* got 2 blocks of 8192"):
        SinkhornClustering(4).partial_fit(blocks)
    model = SinkhornClustering(4, random_state=0)
    for block in blocks:
        model.partial_fit(block.array)
    assert model.n_steps_ == 2


def test_dask_arrays_give_the_same_bits():
    da = pytest.importorskip("dask.array")
    X = rows()
    options = {"max_iter": 1, "n_iters": 2, "init": "k-means||", "random_state": 0}
    expected = SinkhornClustering(4, **options).fit(X)
    model = SinkhornClustering(4, **options).fit(da.from_array(X, chunks=(4096, 5)))
    assert_same(model, expected)


def test_a_clustered_memory_takes_batches(tmp_path):
    blocks = CARRIERS["file"](rows(), tmp_path)
    with pytest.raises(TypeError, match=r"ClusteredMemory needs .* with one batch after the"):
        ClusteredMemory().fit(blocks)
    memory = ClusteredMemory(capacity=2000, n_init=1, random_state=0)
    for block in blocks:
        memory.partial_fit(block.array)
    assert memory.n_steps_ == 2
