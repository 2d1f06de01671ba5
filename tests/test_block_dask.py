"""Dask arrays as carriers: the bits of the array for any cluster, chunks and faults."""

import gc
import operator
import subprocess
import sys
import time

import numpy as np
import pytest

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

import dask

from clusterlib.blocks import DaskBlocks, as_blocks, is_carried, map_blocks, map_reduce
from clusterlib.blocks._dask_jobs import Job, Recipe
from clusterlib.config import config_context, default_threads, get_config
from clusterlib.kernels import LEAF_ROWS, cluster_sums

N_SAMPLES = 9 * LEAF_ROWS + 17
N_CLUSTERS = 4


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def grown(cluster):
    """A function that gives the cluster so many workers."""
    with distributed.Client(cluster) as client:

        def grow(n_workers):
            cluster.scale(n_workers)
            client.wait_for_workers(n_workers)
            while len(client.nthreads()) > n_workers:
                time.sleep(0.05)
            return client

        yield grow


@pytest.fixture
def client(grown):
    """Two workers, on which nothing is left after a test."""
    client = grown(2)
    yield client
    deadline = time.monotonic() + 20
    while (client.futures or any(client.who_has().values())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not client.futures
    assert not any(client.who_has().values())


@pytest.fixture(scope="module")
def rows():
    """Rows whose sums depend on the order of the additions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, 3)) * 10.0 ** rng.uniform(-8, 8, size=(N_SAMPLES, 1))
    labels = rng.integers(-1, N_CLUSTERS, size=N_SAMPLES).astype(np.int32)
    return X.astype(np.float32), labels, rng.uniform(size=N_SAMPLES)


@pytest.fixture
def lazy(rows):
    return da.from_array(rows[0], chunks=(LEAF_ROWS, 3))


def block_sums(block, labels, weight, n_clusters):
    return cluster_sums(block, labels, n_clusters, sample_weight=weight)


def merge_pairs(left, right):
    """A merge that changes its left argument, as those of solvers may."""
    for a, b in zip(left, right, strict=True):
        a += b
    return left


def assert_sums(X, rows, weight=None, **options):
    array, labels, _ = rows
    blocks = DaskBlocks(X, **options)
    found = map_reduce(block_sums, merge_pairs, blocks, labels, weight, broadcast=(N_CLUSTERS,))
    expected = cluster_sums(array, labels, N_CLUSTERS, sample_weight=weight)
    for got, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, right)
    assert blocks.is_finite
    return blocks


CHUNKS = [LEAF_ROWS, 2 * LEAF_ROWS, 3 * LEAF_ROWS, 1000, N_SAMPLES, (5, N_SAMPLES - 5)]


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("block_rows", [None, 1, 2 * LEAF_ROWS])
def test_any_chunks_give_the_bits_of_the_array(rows, chunks, block_rows):
    X = da.from_array(rows[0], chunks=(chunks, 2))
    assert_sums(X, rows, block_rows=block_rows)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_schedulers_of_this_process_give_the_same_bits(rows, lazy, scheduler):
    with dask.config.set(scheduler=scheduler, num_workers=2):
        assert_sums(lazy, rows, rows[2])


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_bits(grown, rows, lazy, n_workers):
    assert len(grown(n_workers).nthreads()) == n_workers
    assert_sums(lazy, rows, rows[2])


@pytest.mark.parametrize("chunks", [3 * LEAF_ROWS, 1000], ids=str)
def test_unaligned_chunks_are_put_together_by_workers(client, rows, chunks):
    assert_sums(da.from_array(rows[0], chunks=(chunks, 2)), rows)


def test_persisted_blocks_are_not_made_again(client, rows, tmp_path):
    def noted(block):
        with open(tmp_path / "made", "a") as file:
            file.write(".")
        return block

    X = da.from_array(rows[0], chunks=(LEAF_ROWS, 3)).map_blocks(noted, meta=rows[0][:0])
    blocks = DaskBlocks(X.persist())
    for _ in range(2):
        map_reduce(len, operator.add, blocks)
    assert (tmp_path / "made").read_text() == "." * 10
    map_reduce(len, operator.add, DaskBlocks(X))
    assert (tmp_path / "made").read_text() == "." * 20


def test_one_persisted_part_is_enough(client, rows):
    first, rest = np.split(rows[0], [2 * LEAF_ROWS])
    X = da.from_array(first, chunks=(LEAF_ROWS, 3)).persist()
    X = da.concatenate([X, da.from_array(rest, chunks=(LEAF_ROWS, 3))])
    assert_sums(X, rows)


def test_many_blocks_merge_by_the_same_tree(client):
    """More than three batches of blocks, of different sizes, and rows that say their numbers."""
    X = da.zeros((150 * LEAF_ROWS + 1, 1), chunks=(LEAF_ROWS, 1), dtype=np.float32)

    def first(rows, numbers):
        return [numbers.start // LEAF_ROWS]

    def pair(left, right):
        return [left, right]

    shape = map_reduce(first, pair, DaskBlocks(X), range(X.shape[0]))
    array = as_blocks(np.zeros(X.shape, np.float32), block_rows=LEAF_ROWS)
    assert shape == map_reduce(first, pair, array, range(X.shape[0]))
    assert map_blocks(first, DaskBlocks(X), range(X.shape[0])) == [[i] for i in range(151)]


@pytest.mark.parametrize(
    ("stored", "served"),
    [("f2", np.float32), (">f4", np.float32), ("i1", np.float64), ("?", np.float64)],
)
def test_blocks_of_any_type_are_converted_where_they_are(stored, served):
    X = np.random.default_rng(1).integers(0, 2, size=(LEAF_ROWS + 5, 3)).astype(stored)
    blocks = DaskBlocks(da.from_array(X, chunks=(LEAF_ROWS, 3)))
    assert blocks.dtype == served
    assert map_blocks(lambda block: block.dtype.name, blocks) == [np.dtype(served).name] * 2
    np.testing.assert_array_equal(np.concatenate([block.array for block in blocks]), X)


def test_labels_come_in_order_and_progress_is_told(client, rows, lazy):
    blocks, seen = DaskBlocks(lazy), []
    blocks.observer = seen.append
    labels = map_blocks(lambda block, y, shift: y + shift, blocks, rows[1], broadcast=(1,))
    np.testing.assert_array_equal(np.concatenate(labels), rows[1] + 1)
    assert seen == [0, *[LEAF_ROWS] * 9, 17]
    map_reduce(len, operator.add, blocks)
    assert sum(seen) == 2 * N_SAMPLES and len(seen) == 2 * 11


@pytest.mark.parametrize("on_cluster", [False, True])
def test_take_and_rows_fetch_what_is_asked_for(request, rows, lazy, on_cluster):
    if on_cluster:
        request.getfixturevalue("client")
    blocks, X = DaskBlocks(lazy), rows[0]
    for indices in ([], [5], [N_SAMPLES - 1, 0, 5, 5, -1, 2 * LEAF_ROWS, 3]):
        taken = blocks.take(indices)
        np.testing.assert_array_equal(taken, X[np.asarray(indices, np.intp)])
        assert taken.dtype == X.dtype
    for start, stop in [(0, 0), (0, 1), (4000, 9000), (LEAF_ROWS, 2 * LEAF_ROWS), (7, N_SAMPLES)]:
        np.testing.assert_array_equal(blocks.rows(start, stop), X[start:stop])
    for wrong in (N_SAMPLES, -N_SAMPLES - 1):
        with pytest.raises(IndexError, match="indices"):
            blocks.take([wrong])


def test_a_merge_leaves_what_workers_hold_as_it_is():
    blocks = as_blocks(np.ones((3, 1)))
    for n_parts in range(1, 9):
        parts = [[np.full(2, float(i))] for i in range(n_parts)]
        total = Job(blocks, None, merge_pairs).merged(parts)
        assert total[0].tolist() == [n_parts * (n_parts - 1) / 2] * 2
        assert [part[0].tolist() for part in parts] == [[float(i)] * 2 for i in range(n_parts)]


@pytest.mark.parametrize("on_cluster", [False, True])
def test_an_error_reaches_the_caller_as_it_is(request, lazy, tmp_path, on_cluster):
    if on_cluster:
        request.getfixturevalue("client")

    def fails(block, numbers):
        if numbers.start == 5 * LEAF_ROWS:
            with open(tmp_path / "calls", "a") as file:
                file.write("called\n")
            raise ZeroDivisionError("row 20480")
        return 1

    for verb in (
        lambda: map_blocks(fails, DaskBlocks(lazy), range(N_SAMPLES)),
        lambda: map_reduce(fails, operator.add, DaskBlocks(lazy), range(N_SAMPLES)),
    ):
        with pytest.raises(ZeroDivisionError, match=r"^row 20480$"):
            verb()
    assert (tmp_path / "calls").read_text() == "called\n" * 2  # no task is tried again


@pytest.mark.parametrize("on_cluster", [False, True])
def test_a_value_that_is_not_finite_is_refused_with_its_row(request, rows, on_cluster):
    if on_cluster:
        request.getfixturevalue("client")
    X = rows[0].copy()
    X[3 * LEAF_ROWS + 7, 1] = np.nan
    blocks = DaskBlocks(da.from_array(X, chunks=(LEAF_ROWS, 3)))
    message = f"NaN in row {3 * LEAF_ROWS + 7}, column 1"
    with pytest.raises(ValueError, match=message):
        map_reduce(len, operator.add, blocks)
    assert not blocks.is_finite
    with pytest.raises(ValueError, match=message):
        blocks.check_finite()


def test_persisted_blocks_outlive_a_pass_that_fails(client, rows, lazy):
    X = lazy.persist()

    def fails(block):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        map_reduce(fails, operator.add, DaskBlocks(X))
    assert_sums(X, rows)
    assert all(future.status == "finished" for future in distributed.futures_of(X))
    del X
    gc.collect()  # the traceback of the error holds it in a circle


def test_a_caller_who_leaves_early_cancels_the_rest(client, lazy):
    results = DaskBlocks(lazy).map(lambda block, start: start, [range(N_SAMPLES)])
    assert next(results).start == 0
    results.close()  # the fixture looks whether anything is left


def test_broadcast_arguments_and_functions_are_sent_once(client, tmp_path):
    """Each worker unpickles them once, however many blocks it works on."""

    class Noted:
        def __reduce__(self):
            return _noted, (str(tmp_path / "unpickled"),)

    X = da.zeros((40 * LEAF_ROWS, 1), chunks=(LEAF_ROWS, 1))
    captured = Noted()
    map_blocks(lambda block, noted: (captured, None)[1], DaskBlocks(X), broadcast=(Noted(),))
    times = len((tmp_path / "unpickled").read_text())
    # Two objects, on two workers and perhaps on the way through the scheduler's process.
    assert 2 <= times <= 2 * 2 + 2


def _noted(path):
    with open(path, "a") as file:
        file.write(".")


def test_large_arrays_beside_the_rows_bring_no_warning(client):
    """Warnings are errors here, and Dask warns of graphs of more than 10 MB."""
    n_samples = 3 * 2**17
    X = da.zeros((n_samples, 1), chunks=(2**17, 1), dtype=np.float32)
    beside = np.arange(10.0 * n_samples).reshape(n_samples, 10)
    parts = map_blocks(lambda block, b: float(b[0, 0]), DaskBlocks(X), beside)
    assert parts == [0.0, 10.0 * 2**17, 20.0 * 2**17]


def test_kernels_in_workers_use_the_thread_that_is_theirs(client, lazy):
    with config_context(n_threads=7):
        found = map_blocks(lambda block: default_threads(), DaskBlocks(lazy))
    assert found == [1] * 10


# The cluster of the other tests may be there, of which early versions of Dask remind whoever asks
# for another scheduler.
@pytest.mark.filterwarnings("ignore:Running on a single-machine scheduler:UserWarning")
def test_kernels_share_the_threads_of_this_process(lazy, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    for options, n_threads in [
        ({"scheduler": "threads", "num_workers": 2}, 3),
        ({"scheduler": "threads", "num_workers": 9}, 1),
        ({"scheduler": "synchronous"}, 6),
    ]:
        with dask.config.set(options):
            found = map_blocks(lambda block: get_config()["n_threads"], DaskBlocks(lazy))
        assert found == [n_threads] * 10


def test_blocks_of_their_own_tasks_cost_one_task():
    X = da.random.default_rng(0).normal(size=(3 * LEAF_ROWS, 2), chunks=(LEAF_ROWS, 2)) * 2 + 1
    assert all(isinstance(source, Recipe) for source in DaskBlocks(X)._sources)
    shared = X.rechunk((1000, 2))  # chunks are cut, and the parts go to two blocks
    assert not any(isinstance(source, Recipe) for source in DaskBlocks(shared)._sources)


def test_rows_that_are_not_what_the_array_says_are_refused():
    def wide(block):
        return block.astype(np.float64)

    X = da.zeros((10, 2), dtype=np.float32, chunks=(10, 2))
    with pytest.raises(TypeError, match="float32, but rows 0 to 10 are float64"):
        map_blocks(len, DaskBlocks(X.map_blocks(wide, dtype=np.float32)))
    with pytest.raises(ValueError, match=r"shape \(10, 2\), but it has shape \(9, 2\)"):
        map_blocks(len, DaskBlocks(X.map_blocks(lambda block: block[1:], dtype=np.float32)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X: X[X[:, 0] > 0], ValueError, "compute_chunk_sizes"),
        (lambda X: X[:, 0], ValueError, "2 dimensions"),
        (lambda X: X[:, :0], ValueError, "at least 1 feature"),
        (lambda X: X.astype(complex), TypeError, "real numbers"),
        (lambda X: np.zeros((3, 2)), TypeError, "Dask array, got ndarray"),
    ],
)
def test_what_cannot_be_read_is_refused(lazy, make, error, message):
    with pytest.raises(error, match=message):
        DaskBlocks(make(lazy))


def test_arrays_beside_the_rows_must_be_as_long(lazy):
    for verb in (map_blocks, lambda fn, *given: map_reduce(fn, operator.add, *given)):
        with pytest.raises(ValueError, match=f"length {N_SAMPLES}, got 5"):
            verb(len, DaskBlocks(lazy), np.zeros(5))


def test_no_rows_are_one_empty_block():
    blocks = DaskBlocks(da.zeros((0, 2), chunks=(5, 2)))
    assert map_blocks(np.shape, blocks) == [(0, 2)]
    assert blocks.take([]).shape == blocks.rows(0, 0).shape == (0, 2)


def test_dask_is_not_imported_unasked():
    code = "import sys, clusterlib.blocks, numpy; clusterlib.blocks.as_blocks(numpy.ones((3, 2)))"
    code += "; assert not {'dask', 'distributed'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_door_knows_dask_arrays(lazy):
    blocks = as_blocks(lazy, block_rows=2 * LEAF_ROWS)
    assert isinstance(blocks, DaskBlocks) and len(blocks) == 5
    assert is_carried(lazy)
