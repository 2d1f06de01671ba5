"""What a kernel test runs on."""

import pytest

from tests.helpers import TARGETS, running_on

FAST_TARGETS = [target for target in TARGETS if target.backend != "reference"]


@pytest.fixture(params=TARGETS, ids=str)
def backend(request):
    """Every backend, the native one at every instruction set of this machine."""
    with running_on(request.param):
        yield request.param.backend


@pytest.fixture(params=FAST_TARGETS, ids=str)
def fast_backend(request):
    """The same without the reference, which is the judge."""
    with running_on(request.param):
        yield request.param.backend


@pytest.fixture(params=[t for t in TARGETS if t.backend == "native"] or [None], ids=str)
def native_backend(request):
    """The native backend at every instruction set of this machine."""
    if request.param is None:
        pytest.skip("the native kernels are not built")
    with running_on(request.param):
        yield request.param.backend
