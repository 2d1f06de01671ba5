"""Blocks are read while others are worked on, into memory that nobody holds, and nothing is left."""

import gc
import io
import itertools
import os
import threading

import numpy as np
import pytest

from clusterlib.blocks import BatchBlocks, Blocks, as_blocks, map_blocks
from clusterlib.blocks._spare import SpareMemory
from clusterlib.blocks._streamed import StreamedBlocks
from clusterlib.config import config_context, get_config
from clusterlib.kernels import LEAF_ROWS

N_BLOCKS = 9
PATIENCE = 60  # seconds until a test that waits for another thread fails


@pytest.fixture
def X():
    return np.arange(2.0 * N_BLOCKS * LEAF_ROWS, dtype=np.float32).reshape(-1, 2)


@pytest.fixture
def carrier(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return as_blocks(tmp_path / "X.npy", block_rows=LEAF_ROWS)


class Meeting(Blocks):
    """Every block but the first is read only when the consumer has come to the one before it."""

    in_memory = False
    n_samples, n_features, dtype, block_rows = 4 * LEAF_ROWS, 1, np.dtype(float), LEAF_ROWS

    def __init__(self):
        self.begun = [threading.Event() for _ in range(4)]
        self.arrived = [threading.Event() for _ in range(4)]

    def rows(self, start, stop):
        number = start // LEAF_ROWS
        self.begun[number].set()
        if number:
            assert self.arrived[number - 1].wait(PATIENCE)
        return np.full((stop - start, 1), float(number))


def test_a_block_is_read_while_the_one_before_it_is_worked_on():
    blocks = Meeting()
    for number, block in enumerate(blocks):
        assert block.array[0, 0] == number
        # Both would wait for ever if one came after the other.
        assert number == 3 or blocks.begun[number + 1].wait(PATIENCE)
        blocks.arrived[number].set()


def test_blocks_that_are_held_stay_as_they_are(carrier, X):
    held = [block.array for block in carrier]
    tails = map_blocks(lambda rows: rows[-2:, 1], carrier)  # views hold their block, too
    list(carrier)
    np.testing.assert_array_equal(np.concatenate(held), X)
    for number, tail in enumerate(tails, start=1):
        np.testing.assert_array_equal(tail, X[number * LEAF_ROWS - 2 : number * LEAF_ROWS, 1])


def test_passes_side_by_side_do_not_share_memory(carrier, X):
    passes = [iter(carrier) for _ in range(3)]
    for blocks in zip(*passes, strict=True):
        for block in blocks:
            np.testing.assert_array_equal(block.array, X[block.start : block.stop])
        for one, other in itertools.combinations(blocks, 2):
            assert not np.shares_memory(one.array, other.array)


def test_passes_in_threads_do_not_share_memory(carrier, X):
    seen = []

    def run():
        for _ in range(5):
            seen.append(all(np.array_equal(b.array, X[b.start : b.stop]) for b in carrier))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 20


def test_memory_is_used_again(carrier):
    places = {block.array.__array_interface__["data"][0] for block in carrier}
    assert len(places) <= 4  # three, and one that was fresh while all were held


def test_memory_is_used_again_only_where_it_is_large_enough():
    spare = SpareMemory()
    one = spare.array((3, 2), np.dtype(np.float32))
    place = one.__array_interface__["data"][0]
    del one
    large = spare.array((30, 2), np.dtype(np.float64))
    small = spare.array((2, 2), np.dtype(np.float32))
    assert large.__array_interface__["data"][0] != place
    assert small.__array_interface__["data"][0] == place and small.shape == (2, 2)
    held = memoryview(small)
    del small
    assert spare.array((2, 2), np.dtype(np.float32)).__array_interface__["data"][0] != place
    held.release()


def test_memory_of_three_blocks_is_kept():
    spare = SpareMemory()
    held = [spare.array((3, 2), np.dtype(np.float32)) for _ in range(5)]
    places = {array.__array_interface__["data"][0] for array in held}
    assert (len(places), len(spare._memories)) == (5, 3)


def test_memory_is_given_back_after_the_last_row(carrier):
    next(iter(carrier))
    for _ in carrier:
        pass
    assert carrier._spare._memories == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs a list of open descriptors")
def test_no_descriptor_is_left(X, tmp_path):
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", X)

    def use(source):
        blocks = as_blocks(source, block_rows=LEAF_ROWS)
        next(iter(blocks))
        blocks.take([1, LEAF_ROWS, 3])
        return blocks

    use(tmp_path)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    kept = [use(tmp_path / "0.npy") for _ in range(100)]
    kept += [use(tmp_path) for _ in range(100)]
    assert len(os.listdir("/proc/self/fd")) <= before
    os.truncate(tmp_path / "0.npy", 100)
    for blocks in kept:
        with pytest.raises(OSError, match=r"0\.npy has changed"):
            blocks.take([0])
    assert len(os.listdir("/proc/self/fd")) <= before


def test_an_open_file_is_refused_by_its_name():
    with pytest.raises(TypeError, match=r"X is an open file \(BytesIO\); pass its path"):
        BatchBlocks(io.BytesIO(b"1 2"))


def test_a_pass_that_is_left_while_a_batch_is_made_hides_no_error():
    """A second Ctrl-C does not wait for the thread that reads: what it reads from stays open."""
    begun, go_on = threading.Event(), threading.Event()
    waits = []

    def batches():
        for rows in (np.zeros((9, 2)), np.ones((9, 2))):
            if waits:
                begun.set()
                assert go_on.wait(60)
            yield rows

    stream = BatchBlocks(batches)._stream()
    waits.append(True)
    reader = threading.Thread(target=stream.rows, args=(0, 1))
    reader.start()
    assert begun.wait(60)
    stream.close()
    go_on.set()
    reader.join()
    stream.close()
    assert stream._chunks.gi_frame is None


def test_every_batch_is_made_under_the_settings_of_the_caller():
    seen = []

    def batches():
        for _ in range(4):
            seen.append(get_config()["n_threads"])
            yield np.zeros((LEAF_ROWS, 1))

    blocks = BatchBlocks(batches, block_rows=LEAF_ROWS)
    seen.clear()
    with config_context(n_threads=3):
        assert len(list(blocks)) == 4
    assert seen == [3] * 4


class Groups(StreamedBlocks):
    """Groups of two rows that tell when they are read."""

    n_samples, n_features, dtype, block_rows = 10, 1, np.dtype(float), LEAF_ROWS
    _group_starts = np.arange(0, 10, 2)

    def __init__(self):
        self.read = []

    def _chunks(self, group):
        for number in range(group, 5):
            self.read.append(number)
            yield np.array([[2.0 * number], [2.0 * number + 1]])


@pytest.mark.parametrize(
    ("wanted", "groups"), [([1, 4], [0, 2]), ([9, 0, 3], [0, 1, 4]), ([5], [2]), ([6, 7], [3])]
)
def test_groups_without_a_wanted_row_are_not_read(wanted, groups):
    blocks = Groups()
    np.testing.assert_array_equal(blocks.take(wanted).ravel(), wanted)
    assert blocks.read == groups
