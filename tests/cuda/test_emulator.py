"""The emulation itself: what kernels compute in it, and that it sees what is wrong with them."""

import functools
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from clusterlib.kernels._cupy.instances import Instance
from tests.cuda.emul.arguments import Shifted
from tests.cuda.emul.emulator import ORDERS, EmulatedRuntime
from tests.cuda.emul.toys import FOLDER, TOYS, toy

WARP = np.arange(32)


@pytest.fixture(scope="session")
def device(compiler):
    """EmulatedRuntime for the toys."""
    return functools.partial(EmulatedRuntime, instances=TOYS, folder=FOLDER)


def launched(runtime, kernel, grid, *args, out=(64, np.float32)):
    """Launch a toy whose last parameter is its result."""
    result = runtime.empty(*out)
    runtime.launch(toy(kernel), grid, *args, result)
    return runtime.to_host(result)


@pytest.mark.parametrize("order", ORDERS)
def test_threads_of_a_block_share_memory(device, order):
    runtime = device(order)
    x = np.random.default_rng(0).integers(0, 100, (3, 64)).astype(np.float32)
    sums = launched(runtime, "block_sum<true>", 3, runtime.to_device(x), out=(3, np.float32))
    np.testing.assert_array_equal(sums, x.sum(1))


def test_a_missing_barrier_shows(device):
    results = []
    for order in ORDERS:
        runtime = device(order)
        x = runtime.to_device(np.ones((1, 64), np.float32))
        results.append(launched(runtime, "block_sum<false>", 1, x, out=(1, np.float32))[0])
    assert np.isnan(results).any()


def test_switching_by_ucontext_gives_the_same(device):
    x = np.arange(64, dtype=np.float32).reshape(1, 64)
    runtime = device("shuffled", flags=("-DCL_EMULATE_UCONTEXT",))
    sums = launched(runtime, "block_sum<true>", 1, runtime.to_device(x), out=(1, np.float32))
    np.testing.assert_array_equal(sums, x.sum(1))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("barrier_for_half_a_warp", r"deadlock.*thread 0 waits at __syncthreads \(toys.cuh:\d+\)"),
        ("barrier_for_one_warp", r"deadlock.*thread 0 waits.*thread 32 has left"),
        ("two_barriers", r"divergence.*__syncthreads.*__syncthreads"),
        ("shuffle_in_half_a_warp", r"thread 0 waits at __shfl_xor_sync.*thread 16 has left"),
        ("different_warp_operations", r"__shfl_xor_sync.*__syncwarp"),
        ("shuffle_of_a_part", r"mask 0x0000ffff: whole warps only"),
        ("shuffle_width", r"width 12"),
        ("beyond_shared", r"outside the shared array number 0 of 256 bytes"),
        ("too_much_shared", r"static shared memory passes 49152 bytes"),
        ("wrong_address", r"thread 0 of block \(0, 0\) reads or writes at a wrong"),
        ("division_by_zero", r"divides an integer by zero"),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_kernels_that_are_wrong_are_reported(device, kernel, message, order):
    runtime = device(order)
    # Which thread is named depends on the order.
    message = message if order == "up" else re.sub("thread [0-9]+", "thread [0-9]+", message)
    if order != "up" and "left" in message:
        message = "has left the kernel"
    with pytest.raises(RuntimeError, match=message):
        launched(runtime, kernel, 1)
    # The next launch is none the worse for it.
    ticket = launched(runtime, "block_of", (2, 2), out=(4, np.int32))
    np.testing.assert_array_equal(ticket, [0, 1, 1000, 1001])


def shuffled_lanes(kind, width, by):
    """The lane that each lane reads, lane by lane as the programming guide describes it."""
    for lane in WARP:
        first = lane // width * width
        if kind == "idx":
            yield first + by % width
        elif kind == "up":
            yield lane - by if lane - by >= first else lane
        elif kind == "down":
            yield lane + by if lane + by < first + width else lane
        else:
            yield lane ^ by if lane ^ by < first + width else lane


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("width", [1, 2, 8, 16, 32])
@pytest.mark.parametrize("kind", ["idx", "up", "down", "xor"])
def test_shuffles(device, kind, width, order):
    runtime = device(order)
    for by in (0, 1, 3, 8, 17, 31):
        args = (np.int32(width), np.int32(by))
        lanes = launched(runtime, f"shuffle_{kind}<int>", 1, *args, out=(64, np.int32))
        expected = np.array(list(shuffled_lanes(kind, width, by)))
        np.testing.assert_array_equal(lanes, np.concatenate([expected, 32 + expected]))
        wide = launched(runtime, f"shuffle_{kind}<double>", 1, *args, out=(64, np.float64))
        np.testing.assert_array_equal(wide, lanes)


@pytest.mark.parametrize("order", ORDERS)
def test_votes(device, order):
    runtime = device(order)
    x = np.random.default_rng(1).integers(0, 2, 96).astype(np.int32)
    x[32:64], x[64:] = 0, 1
    votes = launched(runtime, "votes", 1, runtime.to_device(x), out=((3, 3), np.uint32))
    rows = x.reshape(3, 32)
    np.testing.assert_array_equal(votes[:, 0], (rows << WARP.astype(np.int64)).sum(1))
    np.testing.assert_array_equal(votes[:, 1], rows.any(1))
    np.testing.assert_array_equal(votes[:, 2], rows.all(1))


@pytest.mark.parametrize("order", ORDERS)
def test_integer_atomics(device, order):
    runtime = device(order)
    x = np.random.default_rng(2).integers(0, 2**31 - 1, 192).astype(np.int32)
    result = runtime.zeros(6, np.int32)
    runtime.launch(toy("atomics"), 3, runtime.to_device(x), result)
    wrapped = x.sum(dtype=np.int64).astype(np.int32)
    bits = np.bitwise_or.reduce(x), np.bitwise_and.reduce(x | 1)
    expected = [wrapped, x.max(), min(x.min(), 0), bits[0], 0, len(x)]
    np.testing.assert_array_equal(runtime.to_host(result), expected)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("undeclared();", "undeclared"),
        ("atomicAdd(x, 1.0f);", "atomicAdd of this type is not allowed"),
        ("__shfl_xor_sync(~0u, char(1), 1);", "shuffles move 4 or 8 bytes"),
        ("max(1, 2u);", "ambiguous"),
        ("__shared__ float part[32];", "__shared__"),
    ],
)
def test_what_must_not_compile(compiler, tmp_path, statement, message):
    text = f'#include "cuda_emul.h"\n__global__ void bad(float* x) {{ {statement} }}\n'
    (tmp_path / "bad.cuh").write_text(text, encoding="utf-8")
    instance = Instance("bad.cuh", "bad", 32)
    runtime = EmulatedRuntime(instances=[instance], folder=tmp_path)
    with pytest.raises(RuntimeError, match=message):
        runtime.launch(instance, 1, runtime.empty(1, np.float32))


def test_rounded_operations_are_not_contracted(device):
    runtime = device()
    a, b = np.float32(1 + 2**-12), np.float32(-(1 + 2**-11))
    out = launched(runtime, "rounded", 1, a, a, b, out=(3, np.float32))
    exact = np.float64(a) * np.float64(a) + np.float64(b)
    assert exact != 0
    np.testing.assert_array_equal(out, np.array([0, exact, 0], np.float32))


def test_threads_run_in_the_order_asked_for(device):
    def order_of(*args):
        return launched(device(*args), "tickets", 2, out=(129, np.int32))[1:]

    ascending = np.arange(128)
    np.testing.assert_array_equal(order_of("up"), ascending)
    np.testing.assert_array_equal(order_of("down"), ascending[::-1])
    shuffled = order_of("shuffled", 3)
    np.testing.assert_array_equal(np.sort(shuffled), ascending)
    assert not np.array_equal(shuffled, ascending)
    np.testing.assert_array_equal(shuffled, order_of("shuffled", 3))
    assert not np.array_equal(shuffled, order_of("shuffled", 4))


@pytest.mark.parametrize(
    ("position", "value", "error", "message"),
    [
        (0, np.zeros(64, np.float32), TypeError, "a NumPy array of float32"),
        (0, np.float64, TypeError, r"parameter 0 \(const float\*\): got a device array of float64"),
        (1, 64, TypeError, r"parameter 1 \(long long\): got int 64"),
        (1, np.int32(64), TypeError, "got int32"),
        (2, np.float64(1), TypeError, r"parameter 2 \(float\): got float64"),
        (3, np.int32, TypeError, r"parameter 3 \(float\*\): got a device array of int32"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(device, position, value, error, message):
    runtime = device()
    args = [
        runtime.zeros(64, np.float32),
        np.int64(64),
        np.float32(1),
        runtime.empty(64, np.float32),
    ]
    runtime.launch(toy("scaled"), 1, *args)
    args[position] = runtime.zeros(64, value) if isinstance(value, type) else value
    with pytest.raises(error, match=message):
        runtime.launch(toy("scaled"), 1, *args)


def test_what_a_launch_cannot_mean_is_refused(device):
    runtime = device()
    x, out = runtime.zeros((64, 2), np.float32), runtime.empty(64, np.float32)
    n, one = np.int64(64), np.float32(1)
    with pytest.raises(TypeError, match="takes 4 arguments, got 3"):
        runtime.launch(toy("scaled"), 1, out, n, one)
    with pytest.raises(ValueError, match="parameter 0.*not C-contiguous"):
        runtime.launch(toy("scaled"), 1, x[:, 0], n, one, out)
    frozen = runtime.zeros(64, np.float32)
    frozen.flags.writeable = False
    runtime.launch(toy("scaled"), 1, frozen, n, one, out)
    with pytest.raises(ValueError, match="parameter 3.*read-only"):
        runtime.launch(toy("scaled"), 1, out, n, one, frozen)
    with pytest.raises(ValueError, match="not among the instances"):
        runtime.launch(Instance("toys.cuh", "toy::unheard_of", 32), 1)
    with pytest.raises(RuntimeError, match="48 threads: whole warps"):
        runtime.launch(toy("empty<48>"), 1)
    with pytest.raises(RuntimeError, match="a grid of 1 by 65536 blocks"):
        runtime.launch(toy("scaled"), (1, 65536), out, n, one, out)
    before = len(runtime.launched)
    runtime.launch(toy("scaled"), 0, out, n, one, out)
    assert len(runtime.launched) == before


@pytest.mark.parametrize("of_numpy", [False, True])
@pytest.mark.parametrize("beyond", [1, 40])
def test_writes_out_of_bounds_are_reported(device, of_numpy, beyond):
    runtime = device()
    x = runtime.zeros(128, np.float32)
    out = runtime.zeros(64, np.float32)
    out = out + 1 if of_numpy else out
    args = (x, np.int64(64), np.float32(2))
    runtime.launch(toy("scaled"), 2, *args, out)
    np.testing.assert_array_equal(runtime.to_host(out), 0)
    with pytest.raises(RuntimeError, match=r"parameter 3 \(float\*\): written out of bounds"):
        runtime.launch(toy("scaled"), 2, x, np.int64(64 + beyond), np.float32(2), out)
    # Also inside a larger array, of which a part was handed over.
    whole = runtime.zeros(256, np.float32)
    runtime.launch(toy("scaled"), 2, *args, whole[64:128])
    with pytest.raises(RuntimeError, match="at element 64 of an array of 64"):
        runtime.launch(toy("scaled"), 2, x + 1, np.int64(65), np.float32(2), whole[64:128])


def test_views_of_one_array_stay_views_in_a_launch(device):
    runtime = device()
    whole = runtime.zeros(128, np.float32) + 3
    runtime.launch(toy("scaled"), 1, whole[:64], np.int64(64), np.float32(2), whole[64:])
    runtime.launch(toy("scaled"), 1, whole[64:], np.int64(64), np.float32(2), whole[64:])
    np.testing.assert_array_equal(runtime.to_host(whole), np.repeat([3, 12], 64))


def test_what_nobody_writes_is_nan(device):
    runtime = device()
    x, out = runtime.zeros(64, np.float32), runtime.empty(64, np.float32)
    runtime.launch(toy("scaled"), 1, x, np.int64(50), np.float32(2), out)
    np.testing.assert_array_equal(np.isnan(runtime.to_host(out)), np.arange(64) >= 50)
    assert np.isnan(runtime.to_host(runtime.empty((3, 3), np.float64))).all()


def test_offsets_beyond_two_to_the_31_are_tested_with_a_shifted_base(device):
    runtime = device()
    x = np.arange(64, dtype=np.float32)
    row, stride = 2**22, 2**12
    out = runtime.empty(64, np.float32)
    shifted = Shifted(runtime.to_device(x), row * stride)
    runtime.launch(toy("row_of"), 1, shifted, np.int64(row), np.int32(stride), out)
    np.testing.assert_array_equal(runtime.to_host(out), x)


def test_some_blocks_of_a_grid(device):
    runtime = device()
    out = runtime.zeros((2, 10**6), np.int32)
    runtime.launch_blocks(toy("block_of"), (10**6, 2), 999_997, 999_999, out)
    written = np.argwhere(runtime.to_host(out) > 0)
    np.testing.assert_array_equal(written, [(r, c) for r in (0, 1) for c in (999_997, 999_998)])


def test_launches_from_several_threads_take_turns(device):
    runtime = device()
    x = np.random.default_rng(3).integers(0, 9, (8, 64)).astype(np.float32)

    def sums(_):
        return launched(runtime, "block_sum<true>", 8, runtime.to_device(x), out=(8, np.float32))

    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(sums, range(40)):
            np.testing.assert_array_equal(result, x.sum(1))
