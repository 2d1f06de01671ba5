"""Blocks that threads work on: the bits and the order of one after the other."""

import operator
import threading
import weakref

import numpy as np
import pytest

from clusterlib.blocks import ThreadedBlocks, as_blocks, map_blocks, map_reduce
from clusterlib.blocks._device import DeviceBlocks
from clusterlib.cluster import KMeans
from clusterlib.config import config_context, default_threads, get_config
from clusterlib.kernels import LEAF_ROWS, cluster_sums

N_SAMPLES = 9 * LEAF_ROWS + 17


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, 3)) * 10.0 ** rng.uniform(-8, 8, size=(N_SAMPLES, 1))
    return X.astype(np.float32), rng.integers(-1, 4, size=N_SAMPLES).astype(np.int32)


def threaded(X, n_threads=3):
    return ThreadedBlocks(as_blocks(X, block_rows=LEAF_ROWS), n_threads)


def carriers(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return {
        "array": X,
        "file": tmp_path / "X.npy",
        "batches": lambda: (X[start : start + 1000] for start in range(0, len(X), 1000)),
    }


@pytest.mark.parametrize("carrier", ["array", "file", "batches"])
@pytest.mark.parametrize("n_threads", [1, 2, 5, None])
def test_any_number_of_threads_gives_the_same_bits(rows, tmp_path, carrier, n_threads):
    X, labels = rows

    def sums(block, y, k):
        return cluster_sums(block, y, k)

    def merge(left, right):
        for a, b in zip(left, right, strict=True):
            a += b
        return left

    blocks = threaded(carriers(X, tmp_path)[carrier], n_threads)
    found = map_reduce(sums, merge, blocks, labels, broadcast=(4,))
    for got, right in zip(found, cluster_sums(X, labels, 4), strict=True):
        np.testing.assert_array_equal(got, right)
    indices = [5, N_SAMPLES - 1, 5]
    np.testing.assert_array_equal(blocks.take(indices), X[indices])
    np.testing.assert_array_equal(blocks.rows(4000, 5000), X[4000:5000])
    np.testing.assert_array_equal(np.concatenate([block.array for block in blocks]), X)


def test_blocks_are_worked_on_at_once_and_come_in_order(rows):
    """The first block waits until the third has begun, so one thread would never end."""
    third = threading.Event()

    def start(block, numbers):
        number = numbers.start // LEAF_ROWS
        if number == 2:
            third.set()
        if number == 0:
            assert third.wait(60)
        return number

    assert map_blocks(start, threaded(rows[0]), range(N_SAMPLES)) == list(range(10))


def test_few_blocks_are_in_memory(tmp_path):
    alive, most = weakref.WeakSet(), 0

    class Rows(np.ndarray):
        pass

    class Watched(type(as_blocks(np.zeros((1, 1))))):
        in_memory = False

        def rows(self, start, stop):
            nonlocal most
            rows = super().rows(start, stop).copy().view(Rows)
            alive.add(_Token(rows))
            most = max(most, len(alive))
            return rows

    class _Token:
        def __init__(self, rows):
            rows.token = self

    blocks = ThreadedBlocks(Watched(np.zeros((40 * LEAF_ROWS, 1)), LEAF_ROWS), 2)
    assert map_reduce(len, operator.add, blocks) == 40 * LEAF_ROWS
    assert most <= 2 + 1 + 3  # three that are read ahead


def test_kernels_get_one_thread_and_settings_of_the_caller(rows):
    with config_context(n_threads=7, block_bytes=12345):
        found = map_blocks(
            lambda block: (default_threads(), get_config()["block_bytes"]), threaded(rows[0])
        )
    assert found == [(1, 12345)] * 10


def test_an_error_reaches_the_caller_and_stops_the_rest(rows):
    called = []

    def fails(block, numbers):
        called.append(numbers.start)
        if numbers.start == 0:
            raise ZeroDivisionError("first")
        return 1

    with pytest.raises(ZeroDivisionError, match="first"):
        map_blocks(fails, threaded(rows[0], 2), range(N_SAMPLES))
    assert len(called) <= 3


def test_progress_and_finiteness_are_those_of_the_carrier(rows, tmp_path):
    X = rows[0]
    np.save(tmp_path / "X.npy", X)
    blocks, seen = threaded(tmp_path / "X.npy"), []
    blocks.observer = seen.append
    map_blocks(len, blocks)
    assert sum(seen) == N_SAMPLES and blocks.is_finite
    X[LEAF_ROWS + 3, 1] = np.inf
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(ValueError, match=f"infinity in row {LEAF_ROWS + 3}, column 1"):
        map_blocks(len, threaded(tmp_path / "X.npy"))


def test_k_means_finds_the_same(rows):
    X = np.sign(rows[0]) * np.log1p(np.abs(rows[0]))
    expected = KMeans(5, random_state=0, max_iter=5, tol=0.5).fit(X)
    found = KMeans(5, random_state=0, max_iter=5, tol=0.5).fit(threaded(X))
    np.testing.assert_array_equal(found.cluster_centers_, expected.cluster_centers_)
    np.testing.assert_array_equal(found.labels_, expected.labels_)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X: ThreadedBlocks(X), TypeError, "carrier, see as_blocks, got ndarray"),
        (lambda X: threaded(X, 0), ValueError, "n_threads"),
        (lambda X: threaded(X, 1.5), TypeError, "n_threads"),
        (lambda X: ThreadedBlocks(threaded(X)), ValueError, "ThreadedBlocks"),
        (lambda X: ThreadedBlocks(object.__new__(DeviceBlocks)), ValueError, "DeviceBlocks"),
    ],
)
def test_what_threads_cannot_work_on_is_refused(rows, make, error, message):
    with pytest.raises(error, match=message):
        make(rows[0])


def test_arrays_beside_the_rows_must_be_as_long(rows):
    with pytest.raises(ValueError, match=f"length {N_SAMPLES}, got 5"):
        map_blocks(len, threaded(rows[0]), np.zeros(5))


def test_rows_cost_what_they_cost_in_the_carrier(rows):
    assert ThreadedBlocks(as_blocks(rows[0])).takes_cheaply
    assert not ThreadedBlocks(as_blocks(lambda: iter(rows[:1]))).takes_cheaply
