"""What a test of the CUDA kernels runs on."""

import pytest

from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.arrays import host_copies_refused
from tests.cuda.emul.build import COMPILER, compiler_is_missing
from tests.cuda.emul.emulator import EmulatedRuntime


@pytest.fixture(scope="session")
def compiler():
    """The compiler that the device sources are emulated with."""
    if compiler_is_missing():
        pytest.skip(f"{COMPILER} is not installed: the device sources cannot be emulated")
    return COMPILER


@pytest.fixture
def emulated(request, compiler):
    """The emulated device in use, as the runtime.

    Threads run in ascending order unless the test is parametrised with one of ``ORDERS``::

        @pytest.mark.parametrize("emulated", ORDERS, indirect=True)
    """
    runtime = EmulatedRuntime(getattr(request, "param", "up"))
    with use(runtime), host_copies_refused():
        yield runtime
