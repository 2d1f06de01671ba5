"""Batches that are made again for every pass give the rows and the bits of one array."""

import gc
import operator
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterlib.blocks import BatchBlocks, as_blocks, is_carried, leaf_sum, map_reduce
from clusterlib.config import config_context
from clusterlib.kernels import LEAF_ROWS

N_SAMPLES = 3 * LEAF_ROWS + 17
X = (np.random.default_rng(0).normal(size=(N_SAMPLES, 2)) * 1e4 ** np.arange(2)).astype(np.float32)


def cut(rows, sizes):
    """Batches of these sizes, and the rest as one more."""
    stops = np.minimum(np.cumsum(sizes, dtype=int), len(rows))
    return np.split(rows, stops)


def joined(blocks):
    return np.concatenate([block.array for block in blocks])


def total(blocks):
    return map_reduce(lambda rows: leaf_sum(rows[:, 0]), operator.add, blocks)


class Watched:
    """A function that gives batches, and tells which of them were made and how passes ended."""

    def __init__(self, batches):
        self.batches, self.made, self.closed, self.passes = batches, 0, 0, 0

    def __call__(self):
        self.passes += 1
        return self._make()

    def _make(self):
        try:
            for batch in self.batches:
                self.made += 1
                yield batch
        finally:
            self.closed += 1


class Loader:
    """What data loaders have: a length and an iterator, no items."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, N_SAMPLES // 2), max_size=12),
    block_rows=st.sampled_from([1, LEAF_ROWS, 2 * LEAF_ROWS, 10**6]),
    counted=st.booleans(),
)
def test_any_cut_gives_the_rows_and_bits_of_the_array(sizes, block_rows, counted):
    blocks = BatchBlocks(
        lambda: iter(cut(X, sizes)), block_rows, n_samples=None if counted else N_SAMPLES
    )
    assert blocks.shape == X.shape and blocks.dtype == X.dtype and not blocks.in_memory
    expected = as_blocks(X, block_rows=block_rows)
    for _ in range(2):
        assert [block[:2] for block in blocks] == [*expected.ranges()]
        np.testing.assert_array_equal(joined(blocks), X)
    assert total(blocks) == total(as_blocks(X))


@pytest.mark.parametrize(
    "kinds",
    [("<f2",), (">f4", "<f2"), ("<f4", "<f8"), ("<f4", "<i8"), ("?",), ("<u8", "<f2")],
)
def test_dtype_is_the_one_that_holds_all_batches(kinds):
    batches = [np.full((3, 2), i % 2, kind) for i, kind in enumerate(kinds * 2)]
    blocks = BatchBlocks(batches)
    narrow = all(kind[1:] in ("f2", "f4") for kind in kinds)
    assert blocks.dtype == (np.float32 if narrow else np.float64)
    served = joined(blocks)
    assert served.dtype == blocks.dtype
    np.testing.assert_array_equal(served, np.concatenate(batches))


def test_batches_without_rows_have_no_say_in_the_dtype():
    nothing = np.empty((0, 2))
    for n_samples in (None, 4):
        blocks = BatchBlocks([nothing, X[:4], nothing], n_samples=n_samples)
        assert blocks.dtype == np.float32
        np.testing.assert_array_equal(joined(blocks), X[:4])
    empty = BatchBlocks([nothing])
    assert empty.shape == (0, 2) and empty.dtype == np.float64
    assert [block.array.shape for block in empty] == [(0, 2)]
    assert empty.take([]).shape == (0, 2)


class BrainTensor:
    """A tensor of the type that has no counterpart in NumPy, as PyTorch has it."""

    dtype = "torch.bfloat16"

    def __init__(self, rows):
        self.rows = rows

    def float(self):
        return self.rows

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Got unsupported ScalarType BFloat16")


def test_brain_floats_are_served_as_single_ones():
    blocks = BatchBlocks([BrainTensor(X[:5]), BrainTensor(X[5:9])])
    assert blocks.dtype == np.float32
    np.testing.assert_array_equal(joined(blocks), X[:9])
    ml_dtypes = pytest.importorskip("ml_dtypes")
    brain = X[:9].astype(ml_dtypes.bfloat16)
    blocks = BatchBlocks([brain])
    assert blocks.dtype == np.float32
    np.testing.assert_array_equal(joined(blocks), brain.astype(np.float32))


def test_lists_and_frames_are_batches():
    pandas = pytest.importorskip("pandas")
    rows = X[:6].astype(np.float64)
    blocks = BatchBlocks([rows[:2].tolist(), pandas.DataFrame(rows[2:4]), tuple(rows[4:].tolist())])
    np.testing.assert_array_equal(joined(blocks), rows)


def test_door_tells_batches_from_arrays():
    batches = cut(X, [1000, 7, 5000])
    for source in (
        lambda: batches,
        lambda: iter(batches),
        Loader(batches),
        {1: batches[0]}.values(),
    ):
        assert is_carried(source) and isinstance(as_blocks(source), BatchBlocks)
    np.testing.assert_array_equal(joined(as_blocks(Loader(batches), block_rows=LEAF_ROWS)), X)
    for source in (X[:3], X[:3].tolist(), tuple(map(tuple, X[:3].tolist()))):
        assert not is_carried(source)
        assert not isinstance(as_blocks(source), BatchBlocks)
    with pytest.raises(TypeError, match="got int"):
        BatchBlocks(3)


@pytest.mark.parametrize("once", [iter([X]), (batch for batch in [X]), map(np.asarray, [X])])
@pytest.mark.parametrize("take", [as_blocks, BatchBlocks])
def test_what_can_be_read_once_is_refused(once, take):
    with pytest.raises(TypeError, match="read once.*pass a function that returns it"):
        take(once)


def test_function_that_returns_one_iterator_is_found_out():
    once = iter([X[:5], X[5:9]])
    blocks = BatchBlocks(lambda: once)
    with pytest.raises(ValueError, match="gave 0 rows.* 9 are expected.*new iterator every time"):
        joined(blocks)


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        (lambda: 3, TypeError, "iterable of batches, got int"),
        (list, ValueError, "no batches"),
        ([X[:2], X[:3, :1]], ValueError, "batch 1 of X has 1 features, .* before have 2"),
        ([X[:2], X[2]], ValueError, r"batch 1 of X must have 2 dimensions.*\(2,\)"),
        ([(X[:2], np.zeros(2))], ValueError, "batch 0 of X is a tuple of 2 arrays; .* rows alone"),
        ([[X[:2]]], ValueError, "batch 0 of X is a list of 1 arrays"),
        ([np.ones((2, 0))], ValueError, "batch 0 of X must have at least 1 feature"),
        ([X[:2], [["a", "b"]]], TypeError, "batch 1 of X"),
        ([X[:2].astype(complex)], TypeError, "batch 0 of X .*real numbers"),
        ([None], TypeError, "batch 0 of X"),
    ],
)
@pytest.mark.parametrize("n_samples", [None, 5])
def test_wrong_batches_are_refused(batches, error, message, n_samples):
    with pytest.raises(error, match=message):
        joined(BatchBlocks(batches, n_samples=n_samples))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("n_samples", -1, ValueError),
        ("n_samples", 2.0, TypeError),
        ("block_rows", 0, ValueError),
        ("block_rows", 0.5, TypeError),
    ],
)
def test_wrong_numbers_are_refused_before_a_batch_is_made(name, value, error):
    watched = Watched([X])
    with pytest.raises(error, match=name):
        BatchBlocks(watched, **{name: value})
    assert watched.passes == 0


@pytest.mark.parametrize("shift", [-1, 1, -N_SAMPLES, N_SAMPLES])
@pytest.mark.parametrize("block_rows", [LEAF_ROWS, 10**6])
def test_passes_of_other_lengths_are_refused(shift, block_rows):
    batches = cut(X, [1000, 5000])
    blocks = BatchBlocks(lambda: batches, block_rows)
    doubled = np.concatenate([X, X])
    batches = cut(doubled[: N_SAMPLES + shift], [N_SAMPLES + shift])
    wanted = f"gave (at least )?{N_SAMPLES + shift} rows in this pass, {N_SAMPLES} are expected"
    with pytest.raises(ValueError, match=wanted):
        joined(blocks)
    assert not blocks.is_finite
    batches = cut(X, [N_SAMPLES])
    np.testing.assert_array_equal(joined(blocks), X)


@pytest.mark.parametrize("claimed", [N_SAMPLES - 1, N_SAMPLES + 1, 0])
def test_claimed_number_of_rows_is_checked(claimed):
    blocks = BatchBlocks(Loader(cut(X, [100, 100])), n_samples=claimed)
    assert len(blocks) == max(1, -(-claimed // blocks.block_rows))
    with pytest.raises(ValueError, match=f"{claimed} are expected"):
        joined(blocks)


def test_double_batch_after_a_single_one_is_refused_if_nobody_looked():
    batches = [X[:5], X[5:9].astype(np.float64)]
    assert BatchBlocks(batches).dtype == np.float64
    with pytest.raises(ValueError, match="batch 1 of X holds float64.*float32.*n_samples"):
        joined(BatchBlocks(batches, n_samples=9))


def test_batches_are_made_once_for_each_pass_and_counted_once():
    watched = Watched(cut(X, [3000] * 4))
    blocks = BatchBlocks(watched, LEAF_ROWS)
    assert (watched.passes, watched.made, watched.closed) == (1, 5, 1)
    for n_passes in (2, 3, 4):
        joined(blocks)
        assert (watched.passes, watched.made, watched.closed) == (n_passes, 5 * n_passes, n_passes)
    watched = Watched(cut(X, [3000] * 4))
    BatchBlocks(watched, n_samples=N_SAMPLES)
    assert (watched.passes, watched.made, watched.closed) == (1, 1, 1)


def test_leaving_early_closes_the_batches():
    watched = Watched([X[:1000]] * 100)
    blocks = BatchBlocks(watched, LEAF_ROWS, n_samples=100_000)
    watched.made = watched.closed = 0
    for _ in blocks:
        break
    assert watched.closed == 1 and watched.made < 20
    with pytest.raises(KeyboardInterrupt):
        for _ in blocks:
            raise KeyboardInterrupt
    assert watched.closed == 2
    with pytest.raises(ZeroDivisionError):
        list(blocks.map(lambda rows: 1 // 0))
    assert watched.closed == 3 and not blocks.is_finite
    assert not [t for t in threading.enumerate() if "read-ahead" in t.name]


def test_passes_may_overlap():
    blocks = BatchBlocks(lambda: cut(X, [777] * 15), LEAF_ROWS)
    for outer in blocks:
        np.testing.assert_array_equal(joined(blocks), X)
        np.testing.assert_array_equal(outer.array, X[outer.start : outer.stop])
        np.testing.assert_array_equal(blocks.take([outer.start]), X[[outer.start]])
    first, second = iter(blocks), iter(blocks)
    for _ in range(len(blocks)):
        np.testing.assert_array_equal(next(first).array, next(second).array)
    results = [None] * 4

    def work(i):
        results[i] = joined(blocks)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, X)


def test_rows_and_take_make_no_more_batches_than_they_need():
    watched = Watched(cut(X, [1000] * 12))
    blocks = BatchBlocks(watched)
    watched.made = 0
    np.testing.assert_array_equal(blocks.rows(999, 2001), X[999:2001])
    assert watched.made == 3
    np.testing.assert_array_equal(blocks.take([1500, 0, 1500]), X[[1500, 0, 1500]])
    assert watched.made == 5
    assert blocks.rows(5, 5).shape == blocks.take([]).shape == (0, 2)
    assert watched.made == 5 and watched.closed == watched.passes == 3
    everything = np.random.default_rng(1).permutation(N_SAMPLES)
    np.testing.assert_array_equal(blocks.take(everything), X[everything])
    for wrong in ([N_SAMPLES], [-1]):
        with pytest.raises(IndexError):
            blocks.take(wrong)


def test_batch_may_be_overwritten_by_the_next():
    def batches():
        memory = np.empty((LEAF_ROWS, 2), np.float32)
        for start in range(0, N_SAMPLES, LEAF_ROWS):
            rows = X[start : start + LEAF_ROWS]
            memory[: len(rows)] = rows
            yield memory[: len(rows)]
        memory[:] = np.nan

    blocks = BatchBlocks(batches, LEAF_ROWS)
    np.testing.assert_array_equal(joined(blocks), X)
    np.testing.assert_array_equal(blocks.rows(0, LEAF_ROWS), X[:LEAF_ROWS])


class BrokenPipe(Exception):
    pass


@pytest.mark.parametrize("after", [0, 2, 4])
def test_error_of_the_batches_reaches_the_caller_as_it_is(after):
    error = None

    def batches():
        for number, batch in enumerate(cut(X, [3000] * 4)):
            if number == after and error is not None:
                raise error
            yield batch

    blocks = BatchBlocks(batches, LEAF_ROWS)
    error = BrokenPipe("nothing comes")
    for read in (joined, total, lambda blocks: blocks.take([N_SAMPLES - 1])):
        with pytest.raises(BrokenPipe) as caught:
            read(blocks)
        assert caught.value is error
    with pytest.raises(BrokenPipe):
        BatchBlocks(batches)
    assert not blocks.is_finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 5000, N_SAMPLES - 1])
def test_what_is_not_finite_is_refused_with_its_row(value, row):
    wrong = X.copy()
    wrong[row, 1] = value
    blocks = BatchBlocks(Loader(cut(wrong, [1234] * 8)), LEAF_ROWS)
    with pytest.raises(ValueError, match=rf"in row {row}, column 1;"):
        joined(blocks)
    assert not blocks.is_finite
    with pytest.raises(ValueError, match=rf"in row {row}, column 1;"):
        blocks.check_finite()


def test_observer_hears_of_every_block():
    blocks = BatchBlocks(lambda: cut(X, [100] * 50), LEAF_ROWS)
    heard = []
    blocks.observer = heard.append
    joined(blocks)
    assert heard == [0, LEAF_ROWS, LEAF_ROWS, LEAF_ROWS, 17] and blocks.is_finite


def test_few_blocks_are_in_memory():
    block_bytes = LEAF_ROWS * 16 * 4
    made = np.ones((1000, 16), np.float32)

    def batches():
        for _ in range(400):
            yield made.copy()

    with config_context(block_bytes=block_bytes):
        blocks = BatchBlocks(batches)
    assert blocks.block_rows == LEAF_ROWS
    gc.collect()
    tracemalloc.start()
    try:
        for read in (
            total,
            lambda blocks: blocks.take([0, 399_999]),
            lambda _: BatchBlocks(batches),
        ):
            tracemalloc.reset_peak()
            read(blocks)
            _, peak = tracemalloc.get_traced_memory()
            # Three blocks, a batch, and what the interpreter needs.
            assert peak < 3 * block_bytes + made.nbytes + 50_000 < 50 * block_bytes
    finally:
        tracemalloc.stop()
