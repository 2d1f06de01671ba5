"""Threads of Python may call the extension module at once: kernels give up the GIL."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.fuzz.signatures import CALLS, Described, Sizes

_native = pytest.importorskip("clusterlib.kernels._native", reason="the kernels are not built")

# Several chunks of rows for every kernel, and no whole number of them.
SIZES = Sizes(n=9001, m=21, d=9, k=7, dtype=np.float32)
N_THREADS = 4


def arguments_of(name):
    """Arguments that a function takes, with values in the range described."""
    rng = np.random.default_rng(0)

    def filled(described):
        values = rng.uniform(described.least, described.most + 1, described.shape)
        return values.astype(described.dtype)

    return [filled(x) if isinstance(x, Described) else x for x in CALLS[name](SIZES)]


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"set_isa", "set_screen_bound_factor"}))
def test_calls_at_once_answer_like_one(name):
    def call(_):
        arguments = arguments_of(name)
        answer = getattr(_native, name)(*arguments)
        arrays = [x.tobytes() for x in arguments if isinstance(x, np.ndarray)]
        return repr(answer), arrays

    expected = call(0)
    with ThreadPoolExecutor(N_THREADS) as pool:
        for found in pool.map(call, range(N_THREADS)):
            assert found == expected
