"""The bench of CUDA devices, on the emulated one: every call runs and every answer is judged.

Nothing here looks at how long something took.
"""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")

from bench.gpu import __main__ as program
from bench.gpu import report
from bench.gpu.cases import CASES, Case, select
from bench.gpu.device import CupyDevice
from bench.gpu.judge import judge
from bench.gpu.measure import OURS, Budget, Ceilings, measure, measure_ceilings
from bench.gpu.peers import PEERS, matrix_products
from bench.gpu.problems import make_problem, our_call
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.arrays import DeviceArray, as_host
from tests.cuda.emul.build import COMPILER, compiler_is_missing
from tests.cuda.emul.emulator import EmulatedRuntime

OPS = sorted({case.op for case in CASES})
SMALL = 70  # rows and columns


class EmulatedDevice:
    """Has the methods of ``CupyDevice``."""

    def __init__(self):
        self.runtime = EmulatedRuntime()

    def normal(self, shape, dtype, seed):
        rng = np.random.default_rng(seed)
        return self.runtime.to_device(rng.standard_normal(shape, dtype=dtype))

    def uniform(self, shape, dtype, seed):
        return self.runtime.to_device(np.random.default_rng(seed).random(shape, dtype=dtype))

    def to_host(self, array):
        if hasattr(array, "detach"):
            return array.numpy()
        return np.array(as_host(array)) if isinstance(array, DeviceArray) else np.asarray(array)

    def torch(self, array):
        return pytest.importorskip("torch").from_numpy(as_host(array))

    def milliseconds(self, call):
        start = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - start)

    def free(self):
        """Nothing is kept."""

    def describe(self):
        return {"device": "emulated", **self.clocks()}

    def clocks(self):
        return {"smi": None}


@pytest.fixture
def device():
    if compiler_is_missing():
        pytest.skip(f"{COMPILER} is not installed: the device sources cannot be emulated")
    emulated = EmulatedDevice()
    with use(emulated.runtime):
        yield emulated


def cases_of(op):
    return [case.cut(SMALL) for case in CASES if case.op == op]


def is_right(line):
    return line.get("wrong", 0) == 0 and line.get("deviation", 0.0) < 1e-5


def test_cases_are_well_formed():
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.flops > 0 and case.bytes > 0
        assert case.cut(SMALL).n <= SMALL and case.cut(SMALL).k <= SMALL
    assert [case.op for case in select(["topk", "argmin-float64*"])] == ["argmin", "topk"]
    assert Case("argmin", 1_000_000, 64, 1000).flops == 128_000_000_000


@pytest.mark.parametrize("op", OPS)
def test_our_answers_pass_the_judge(device, op):
    for case in cases_of(op):
        problem = make_problem(case, device, 3)
        verdict = judge(problem, our_call(problem)())
        assert verdict["checked"] > 0
        assert is_right(verdict), verdict


@pytest.mark.parametrize("op", OPS)
def test_wrong_answers_are_seen(device, op):
    problem = make_problem(cases_of(op)[0], device, 3)
    answer = our_call(problem)()
    if op in ("fit", "points"):
        wrong = answer[0][::-1], answer[1]
    elif op in ("moments", "sums"):
        wrong = answer * np.float32(1.001)
    else:
        wrong = answer[::-1]
    assert not is_right(judge(problem, wrong))
    assert judge(problem, None) == {"checked": 0}


@pytest.mark.parametrize("op", OPS)
def test_products_and_what_follows_are_right(device, monkeypatch, op):
    monkeypatch.setattr(matrix_products, "CHUNK_BYTES", 30 * SMALL * 4)
    for case in cases_of(op):
        problem = make_problem(case, device, 4)
        for name, setup in matrix_products.entries(problem):
            assert is_right(judge(problem, setup()())), name


@pytest.mark.parametrize("op", OPS)
def test_torch_is_right(device, monkeypatch, op):
    pytest.importorskip("torch")
    from bench.gpu.peers import torch as peer

    monkeypatch.setattr(peer, "CHUNK_BYTES", 30 * SMALL * 4)
    for case in cases_of(op):
        problem = make_problem(case, device, 5)
        names = []
        for name, setup in peer.entries(problem):
            names.append(name)
            assert is_right(judge(problem, setup()())), name
        assert len(names) == 1


def test_a_run_writes_lines_and_a_table(device, capsys, tmp_path):
    out = tmp_path / "lines.jsonl"
    options = [
        "--rows",
        "20",
        "--repeat",
        "2",
        "--seconds",
        "600",
        "--seed",
        "5",
        "--out",
        str(out),
    ]
    lines = program.main(options, device=device)
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines
    kinds = [line["kind"] for line in lines]
    assert kinds.count("machine") == 1 and kinds[-1] == "clocks"
    assert not [line for line in lines if line["kind"] == "failed"]
    ours = [line for line in lines if line.get("contestant") == OURS]
    assert [line["op"] for line in ours] == [case.op for case in CASES]
    assert all(line["repeats"] == 2 and line["ms"] > 0 and is_right(line) for line in ours)
    skipped = {line["contestant"] for line in lines if line["kind"] == "skipped"}
    assert skipped <= set(PEERS) and "cuvs" in skipped
    printed = capsys.readouterr().out
    assert "ours ms" in printed and "cupy matmul + argmin" in printed
    assert str(tmp_path) not in out.read_text()


def test_failures_are_told_and_the_others_run(device):
    def entries(problem):
        raise MemoryError("no room for it")

    broken = SimpleNamespace(__name__="bench.gpu.peers.broken", entries=entries)

    ceilings, budget = Ceilings(1e12, {"float32": 1e12, "float64": 1e12}), Budget(60.0, 1)
    case = Case("argmin", 9, 2, 3)
    lines = list(measure(case, device, [broken, matrix_products], ceilings, budget, 1))
    assert [line["kind"] for line in lines] == ["failed", "result"]
    assert lines[0]["why"] == "MemoryError: no room for it"
    assert "broken: MemoryError: no room" in report.render(lines)
    late = list(measure(case, device, [matrix_products], ceilings, Budget(-1.0, 1), 1))
    assert late[0]["why"] == "out of time"
    (ours,) = measure(case, device, None, ceilings, Budget(-1.0, 5), 1)
    assert ours["repeats"] == 1


def test_floors_are_what_the_ceilings_allow(device):
    ceilings = Ceilings(1e9, {"float32": 1e12, "float64": 5e11})
    assert ceilings.floor(Case("argmin", 1000, 1000, 1000)) == (pytest.approx(8.004), "memory")
    assert ceilings.floor(Case("argmin", 1000, 100_000, 1000, "float64"))[1] == "memory"
    assert Ceilings(1e15, ceilings.flops).floor(Case("argmin", 1000, 1000, 1000)) == (
        2.0,
        "products",
    )
    measured = measure_ceilings(device, copied=1 << 16, side=16)
    assert measured.bytes > 0 and set(measured.flops) == {"float32", "float64"}


def fake_cupy(events):
    """As much of CuPy as ``CupyDevice`` uses, on NumPy."""
    properties = {
        "name": b"a device",
        "multiProcessorCount": 132,
        "totalGlobalMem": 1 << 36,
        "l2CacheSize": 1 << 21,
    }
    runtime = SimpleNamespace(
        getDeviceProperties=lambda number: properties,
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13010,
    )

    class Event:
        def record(self):
            events.append("record")

        def synchronize(self):
            events.append("synchronize")

    def empty(size, dtype):
        events.append(("flushes", size))
        return SimpleNamespace(fill=lambda value: events.append("flush"))

    return SimpleNamespace(
        random=np.random,
        empty=empty,
        asnumpy=np.asarray,
        get_default_memory_pool=lambda: SimpleNamespace(
            free_all_blocks=lambda: events.append("free")
        ),
        cuda=SimpleNamespace(
            Event=Event,
            get_elapsed_time=lambda start, end: 2.5,
            Device=lambda: SimpleNamespace(id=0),
            runtime=runtime,
        ),
    )


def test_the_device_is_timed_by_events_with_a_cold_cache(device, monkeypatch):
    events = []
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(events))
    real = CupyDevice()
    for _ in range(2):
        assert real.milliseconds(lambda: events.append("call")) == 2.5
    once = ["flush", "record", "call", "record", "synchronize"]
    assert events == [("flushes", 1 << 22), *once, *once]
    assert real.normal((3, 2), "float32", 1).dtype == np.float32
    assert real.uniform((4,), np.float64, 1).shape == (4,)
    told = json.loads(json.dumps(real.describe()))
    assert told["device"] == "a device" and told["cuda_driver"] == 13010
    assert "numpy" in told["versions"]
    real.free()
    assert events[-1] == "free"


def test_without_a_device_it_says_so_in_one_line():
    command = "import sys; sys.modules['cupy'] = None; import runpy; "
    command += "runpy.run_module('bench.gpu', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", command], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nothing to measure: ")
