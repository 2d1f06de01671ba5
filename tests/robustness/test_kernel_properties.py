"""Every public kernel on rows nobody would choose: backends agree, layouts and threads do not matter.

A campaign of one kernel: ``CLUSTERLIB_CAMPAIGN=100 pytest -k "kernel and sinkhorn_plan"``.
"""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterlib import kernels
from clusterlib.kernels import available_backends
from tests.helpers import LAYOUTS
from tests.robustness.kernel_calls import CALLS, EXACT
from tests.robustness.strategies import SEEDS, Refused, examples, outcome, rows

INDIRECT = {"merge_moments", "pack_rows", "unpack_rows"}
NO_KERNELS = {"active_backend"}  # available_backends keeps its answer, and is no function


def call(name, X, seed, **options):
    """Answers of a kernel, a tuple, or its refusal; the same arguments for the same seed."""
    return outcome(CALLS[name], X, np.random.default_rng(seed), **options)


def test_every_kernel_is_in_the_table():
    functions = {n for n in kernels.__all__ if inspect.isfunction(getattr(kernels, n))}
    assert functions == set(CALLS) | INDIRECT | NO_KERNELS


def assert_near(found, expected, tol):
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max(initial=1.0))
    np.testing.assert_allclose(found, expected, rtol=tol, atol=tol * scale)


@pytest.mark.parametrize("name", CALLS)
@examples(4)
@given(data=rows(), seed=SEEDS)
def test_backends_agree_or_all_refuse(name, data, seed):
    X = data.make()
    tol = 1e-4 if data.dtype == "float32" else 1e-8
    if "sinkhorn" in name and "points" in name:  # roots of squares that cancel
        tol = 5e-3 if data.dtype == "float32" else 1e-6
    expected = call(name, X, seed, backend="reference")
    for backend in set(available_backends()) - {"reference"}:
        found = call(name, X, seed, backend=backend)
        assert isinstance(found, Refused) == isinstance(expected, Refused), (found, expected)
        if isinstance(found, Refused):
            continue
        for one, other in zip(found, expected, strict=True):
            assert not np.isnan(one).any() and not np.isnan(other).any()
            if name in EXACT:
                np.testing.assert_array_equal(one, other)
            else:
                assert_near(one, other, tol)


@pytest.mark.parametrize("name", CALLS)
@examples(3)
@given(
    data=rows(),
    seed=SEEDS,
    layout=st.sampled_from([n for n in LAYOUTS if n != "memory_mapped"]),
    n_threads=st.integers(1, 3),
)
def test_layouts_and_threads_change_no_bit(name, data, seed, layout, n_threads):
    X = data.make()
    options = {} if name == "linear_assignment" else {"n_threads": n_threads}
    expected = call(name, X, seed)
    found = call(name, LAYOUTS[layout](X, None), seed, **options)
    assert isinstance(found, Refused) == isinstance(expected, Refused)
    if not isinstance(found, Refused):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
