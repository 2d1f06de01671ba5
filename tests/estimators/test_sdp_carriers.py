"""The relaxation of k-means on rows that are read block by block."""

import logging
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from clusterlib.blocks import as_blocks
from clusterlib.cluster import SDPClustering
from tests.carriers import CARRIERS, Elsewhere

FITTED = [
    "cluster_centers_",
    "labels_",
    "inertia_",
    "rounding_",
    "cluster_sizes_",
    "objective_",
    "lower_bound_",
    "solver_",
    "certificate_",
    "n_iter_",
    "converged_",
    "history_",
    "trace_error_",
    "residual_",
    "n_features_in_",
]


def rows(n=20_011, d=4, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 6 * rng.normal(size=(4, d))[rng.integers(4, size=n)]
    return X.astype(dtype)


def sketch(n_clusters=4, **options):
    options = {"sketch_size": 200, "tol": 1e-3, "random_state": 3} | options
    return SDPClustering(n_clusters, solver="sketch", **options)


def assert_same(found, expected):
    for name in FITTED:
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("options", [{}, {"n_sketches": 1, "n_clusters": 40}], ids=str)
def test_every_carrier_gives_the_same_bits(options, tmp_path):
    X = rows()
    expected = sketch(**options).fit(X)
    assert expected.solver_ == "sketch"
    for name, carrier in CARRIERS.items():
        blocks = carrier(X, tmp_path)
        model = sketch(**options).fit(blocks)
        assert_same(model, expected)
        assert_array_equal(model.predict(blocks), expected.labels_, err_msg=name)


@pytest.mark.parametrize("carrier", ["file", "batches", "elsewhere"])
def test_solvers_of_all_rows_read_them_into_memory(carrier, tmp_path):
    X = rows(9000, dtype=np.float64)
    # "auto" takes the factor of so few rows, and a sketch of fewer rows than it has does, too.
    for options in ({}, {"solver": "sketch", "sketch_size": 9000}, {"certify": "fast"}):
        model = SDPClustering(4, rank=4, tol=1e-3, n_kmeans=1, random_state=0, **options)
        expected = model.fit(X)
        assert expected.solver_ == "low_rank"
        blocks = CARRIERS[carrier](X, tmp_path)
        passes = []
        blocks.observer = passes.append
        found = SDPClustering(**model.get_params()).fit(blocks)
        assert_same(found, expected)
        assert_array_equal(found.membership_, expected.membership_)
        assert passes.count(0) == 1


@pytest.mark.parametrize("carrier", ["file", "elsewhere"])
def test_one_cluster_and_equal_rows_have_no_choice(carrier, tmp_path):
    X = rows(9000)
    model = SDPClustering(1, certify="fast", random_state=0).fit(CARRIERS[carrier](X, tmp_path))
    assert_same(model, SDPClustering(1, certify="fast", random_state=0).fit(X))
    assert (model.solver_, model.certificate_) == ("exact", "exact")
    with pytest.warns(ConvergenceWarning, match="found 1 different clusters"):
        sketch().fit(as_blocks(np.ones((9000, 2)), block_rows=4096))


def test_passes_are_as_many_as_the_docstring_says(tmp_path):
    X = rows()
    for n_sketches, fewest in ((1, 9), (3, 15)):
        blocks = Elsewhere(X, 8192)
        passes = []  # without the taking of 1 + n_sketches samples, which costs none here
        blocks.observer = passes.append
        sketch(n_sketches=n_sketches).fit(blocks)
        assert 0 < passes.count(0) - fewest <= 10


def test_memory_is_blocks_and_some_numbers_for_each_row(tmp_path):
    n, d = 100_000, 32
    X = rows(n, d)
    np.save(tmp_path / "X.npy", X)
    blocks = as_blocks(tmp_path / "X.npy", block_rows=4096)
    sketch(n_sketches=1).fit(blocks)
    tracemalloc.start()
    sketch(n_sketches=1).fit(blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Arrival times, their order and sizes for each row, beside labels of two candidates.
    block = 4096 * d * 4
    bound = 30 * n + 6 * block
    assert peak < bound < 0.5 * X.nbytes


def test_certificates_of_sketches_need_rows_in_memory(tmp_path):
    X = rows(5000)
    np.save(tmp_path / "X.npy", X)
    for certify in ("fast", "block", "full"):
        with pytest.raises(
            ValueError, match=f"certify='{certify}' needs all rows at once, and a sk"
        ):
            sketch(certify=certify).fit(tmp_path / "X.npy")
    assert sketch(certify="fast").fit(as_blocks(X, block_rows=4096)).lower_bound_ > 0


def test_wrong_rows_are_named_and_leave_the_estimator_as_it_was(tmp_path):
    X = rows()
    model = sketch().fit(X)
    centers = model.cluster_centers_
    X = X.copy()
    X[17_123, 2] = np.inf
    for carrier in ("file", "batches", "elsewhere"):
        for options in ({}, {"solver": "low_rank", "rank": 4}):
            with pytest.raises(ValueError, match="infinity in row 17123, column 2"):
                model.set_params(**options).fit(CARRIERS[carrier](X, tmp_path))
        model.set_params(solver="sketch", rank=None)
    assert model.cluster_centers_ is centers
    with pytest.raises(ValueError, match="n_clusters=4 must not be above n_samples=3"):
        sketch().fit(as_blocks(X[:3]))
    with pytest.raises(ValueError, match="X has 2 features, but SDPClustering is expecting 4"):
        model.predict(as_blocks(X[:, :2], block_rows=4096))


def test_progress_is_told_for_every_pass(caplog):
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        sketch(verbose=1, n_sketches=1).fit(Elsewhere(rows(), 8192))
    told = [r.getMessage() for r in caplog.records if "rows/s" in r.getMessage()]
    assert told[0].startswith("SDPClustering: pass 1: 20011 rows in")


def test_a_memory_map_is_an_array_for_a_certificate(tmp_path):
    X = np.random.default_rng(0).normal(size=(600, 2)) + [[9.0 * (i % 3), 0] for i in range(600)]
    np.save(tmp_path / "X.npy", X)
    model = SDPClustering(3, solver="sketch", sketch_size=200, certify="fast", random_state=0)
    expected = clone(model).fit(X)
    found = clone(model).fit(np.load(tmp_path / "X.npy", mmap_mode="r"))
    assert_array_equal(found.labels_, expected.labels_)
    assert found.optimality_gap_ == expected.optimality_gap_
    with pytest.raises(ValueError, match=r"certify='fast' .* numpy\.memmap"):
        clone(model).fit(tmp_path / "X.npy")
