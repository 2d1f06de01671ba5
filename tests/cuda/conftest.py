"""What a test of the CUDA kernels runs on."""

import pytest

from clusterlib.kernels._cupy.runtime import CupyRuntime, use
from tests.cuda.emul.arrays import host_copies_refused
from tests.cuda.emul.build import COMPILER, compiler_is_missing
from tests.cuda.emul.emulator import EmulatedRuntime


@pytest.fixture(scope="session")
def compiler():
    """The compiler that the device sources are emulated with."""
    if compiler_is_missing():
        pytest.skip(f"{COMPILER} is not installed: the device sources cannot be emulated")
    return COMPILER


def pytest_addoption(parser):
    parser.addoption(
        "--on-device",
        action="store_true",
        help="run the tests of CUDA kernels on the CUDA device of this machine, by CuPy, instead "
        "of the emulated one: pytest tests/cuda --on-device",
    )


@pytest.fixture
def emulated(request):
    """The emulated device in use, as the runtime; with ``--on-device`` the real one.

    Threads run in ascending order unless the test is parametrised with one of ``ORDERS``::

        @pytest.mark.parametrize("emulated", ORDERS, indirect=True)
    """
    order = getattr(request, "param", "up")
    if request.config.getoption("--on-device", default=False):
        if order != "up":
            pytest.skip("a real device has its own order of threads")
        with use(CupyRuntime()) as runtime:
            yield runtime
        return
    request.getfixturevalue("compiler")
    with use(EmulatedRuntime(order)) as runtime, host_copies_refused():
        yield runtime


@pytest.fixture
def emulation(emulated):
    """The runtime, for tests of what only the emulation can do."""
    if not isinstance(emulated, EmulatedRuntime):
        pytest.skip("a real device neither lists its launches nor takes addresses out of nowhere")
    return emulated
