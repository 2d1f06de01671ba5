"""Plans for CUDA devices, emulated: against the reference, within its contract."""

import numpy as np
import pytest

from clusterlib.kernels import sinkhorn_plan
from tests.cuda.test_sinkhorn import on_device, sweep
from tests.helpers import DTYPES
from tests.kernels.test_sinkhorn_plan import assert_plans_agree
from tests.kernels.transport_cases import Bound, problem


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (33, 17), (40, 257), (5, 1025), (2, 2100)])
def test_plans_of_all_sizes(emulated, shape, update, dtype):
    p = problem(*shape, dtype)
    f = np.where(p.log_a > -np.inf, -0.4, -np.inf)
    weight = np.random.default_rng(shape[0]).uniform(0, 2, shape[0])
    for row_weight in (None, weight):
        options = {"log_a": p.log_a if update else None, "row_weight": row_weight}
        wanted, given = f.copy(), f.copy()
        expected = sinkhorn_plan(p.C, 0.1, wanted, p.g, backend="reference", **options)
        result = on_device(emulated, sinkhorn_plan, p.C, 0.1, given, p.g, **options)
        Bound(p.C, p.g, 0.1).assert_potentials(given, wanted)
        assert_plans_agree(p, 0.1, result, expected)


def test_plans_in_precise_arithmetic_and_of_scores(emulated):
    p = problem(35, 129, np.float32)
    f = np.zeros(35)
    expected = sinkhorn_plan(p.C, 0.01, f, p.g, log_a=p.log_a, backend="reference")
    options = {"log_a": p.log_a, "precise": True}
    result = on_device(emulated, sinkhorn_plan, p.C, 0.01, np.zeros(35), p.g, **options)
    assert_plans_agree(p, 0.01, result, expected, precise=True)
    scores = on_device(
        emulated, sinkhorn_plan, -p.C, 0.01, np.zeros(35), p.g, scores=True, **options
    )
    assert all(np.array_equal(x, y) for x, y in zip(scores[:3], result[:3], strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(70, 33), (2, 2100)])
def test_sums_of_a_plan_are_those_of_a_sweep(emulated, shape, dtype):
    p = problem(*shape, dtype)
    f, sums = sweep(emulated, p, 0.1)
    out = np.full(shape, np.nan, dtype)
    again = np.zeros(shape[0])
    options = {"log_a": p.log_a, "out": out}
    result = on_device(emulated, sinkhorn_plan, p.C, 0.1, again, p.g, **options)
    assert np.array_equal(again, f) and np.array_equal(result.column_sums, sums)
    assert np.array_equal(result.plan, out) and np.isfinite(out).all()


def test_the_plan_may_not_overlap_the_cost(emulated):
    C, f, g = (emulated.zeros(shape, np.float64) for shape in ((3, 2), (3,), (2,)))
    with pytest.raises(ValueError, match="out must not overlap"):
        sinkhorn_plan(C, 0.5, f, g, out=C)
