"""tempered_posterior: every backend against the reference, and that against the formula."""

import numpy as np
import pytest

from clusterlib.kernels import tempered_posterior
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SIZES
from tests.kernels.mixture_cases import assert_close, factor, rounding

COLUMNS = [*range(1, 18), 20, 24, 31, 32, 33, 40, 64, 65]
DOMAINS = [1, 2, 7, 40]
SHAPES = [
    (n, DOMAINS[(i + j) % 4], COLUMNS[(4 * i + j) % len(COLUMNS)])
    for i, n in enumerate(SIZES)
    for j in range(4)
]
SHAPES += [(33, 5, k) for k in COLUMNS]
POWERS = [(1.0, 1.0), (2.0, 3.0), (1.0, 2.0), (3.0, 1.0), (0.5, 1.7), (4.0, 8.0)]


def problem(n, r, k, dtype=np.float64, seed=0, q=None):
    """Arguments, with rows and domains of very different entries."""
    rng = np.random.default_rng([n, r, k, seed])
    arguments = {
        "H": factor(rng, n, k, dtype),
        "D": factor(rng, r, k, dtype),
        "domains": rng.integers(0, r, n).astype(np.int32),
    }
    if q is not None:
        arguments["neighbors"] = rng.integers(0, max(n, 1), size=(n, q)).astype(np.int32)
    return arguments


def assert_same_result(found, expected, k, power=1.0, n=1):
    dtype = found.counts.dtype if found.posterior is None else found.posterior.dtype
    for name in ("responsibilities", "posterior"):
        if getattr(found, name) is not None:
            relative = rounding(4 * k, dtype, power)
            assert_close(getattr(found, name), getattr(expected, name), relative)
    for name in ("counts", "totals"):
        assert_close(
            getattr(found, name), getattr(expected, name), rounding(4 * k + n, float, power)
        )
    if np.isfinite(expected.log_likelihood):
        size = 1 + 100 * expected.totals.sum()
        error = abs(found.log_likelihood - expected.log_likelihood)
        assert error <= rounding(4 * k + n, float, power) * size
    else:
        assert found.log_likelihood == expected.log_likelihood


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau, beta", POWERS)
def test_all_sizes(fast_backend, tau, beta, dtype):
    for i, (n, r, k) in enumerate(SHAPES):
        arguments = problem(n, r, k, dtype, q=(None, 1, 3)[i % 3])
        options = {"floor": (0.0, 1e-3)[i % 2], "tau": tau, "beta": beta, "return_posterior": True}
        if i % 4 == 0:
            options["weight"] = np.random.default_rng(i).integers(0, 3, n) / 2
        found = tempered_posterior(**arguments, **options, backend=fast_backend)
        expected = tempered_posterior(**arguments, **options, backend="reference")
        assert found.responsibilities.dtype == dtype and found.posterior.dtype == dtype
        assert found.counts.shape == (r, k) and found.totals.dtype == np.float64
        assert isinstance(found.log_likelihood, float)
        assert_same_result(found, expected, k, tau * beta if (tau, beta) == (0.5, 1.7) else beta, n)


@pytest.mark.parametrize("tau, beta", POWERS)
def test_the_reference_is_the_formula(tau, beta):
    arguments = problem(50, 4, 6, q=3)
    H, D, domains, neighbors = arguments.values()
    D += 0.01
    h = (H[neighbors].sum(axis=1) / 3 + 0.1) ** tau
    products = h / h.sum(axis=1, keepdims=True) * D[domains]
    s = products.sum(axis=1, keepdims=True)
    P = products / s
    G = P**beta / (P**beta).sum(axis=1, keepdims=True)
    weight = np.arange(50) / 7
    found = tempered_posterior(
        **arguments, floor=0.1, tau=tau, beta=beta, weight=weight, return_posterior=True,
        backend="reference",
    )  # fmt: skip
    one_hot = weight[:, None] * (domains[:, None] == np.arange(4))
    assert np.allclose(found.posterior, P, rtol=1e-12, atol=0)
    assert np.allclose(found.responsibilities, G, rtol=1e-12, atol=0)
    assert np.allclose(found.counts, one_hot.T @ G, rtol=1e-12, atol=0)
    assert np.allclose(found.totals, one_hot.T @ P, rtol=1e-12, atol=0)
    assert np.isclose(found.log_likelihood, weight @ np.log(s[:, 0]), rtol=1e-12)


def test_plain_powers_are_a_step_of_label_shift(backend):
    # For one domain: pi <- mean of pi h / b, normalised, whose likelihood never falls.
    rng = np.random.default_rng(0)
    H = rng.dirichlet(np.ones(5), size=400)
    source = H.mean(axis=0)
    prior = np.full(5, 0.2)
    previous = -np.inf
    for _ in range(20):
        found = tempered_posterior(H, (prior / source)[None], np.zeros(400, int), backend=backend)
        posterior = H * prior / source
        posterior /= posterior.sum(axis=1, keepdims=True)
        assert np.allclose(found.counts[0] / 400, posterior.mean(axis=0), rtol=1e-12)
        assert np.array_equal(found.counts, found.totals)
        assert found.log_likelihood >= previous - 1e-9
        previous, prior = found.log_likelihood, found.counts[0] / 400


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau, beta", POWERS)
def test_rows_are_distributions_and_counts_their_sums(backend, tau, beta, dtype):
    arguments = problem(300, 7, 9, dtype)
    found = tempered_posterior(
        **arguments, tau=tau, beta=beta, return_posterior=True, backend=backend
    )
    unit = 1e-6 if dtype == np.float32 else 1e-14
    for rows, sums in [(found.responsibilities, found.counts), (found.posterior, found.totals)]:
        assert rows.min() >= 0 and np.all(np.abs(rows.sum(axis=1) - 1) <= unit)
        for d in range(7):
            own = rows[arguments["domains"] == d].sum(axis=0, dtype=np.float64)
            assert np.allclose(sums[d], own, rtol=10 * unit, atol=10 * unit)
    assert np.all(found.responsibilities.max(axis=1) >= found.posterior.max(axis=1) - unit)


def test_outputs_are_made_on_request(backend):
    arguments = problem(20, 3, 4)
    full = tempered_posterior(**arguments, beta=2.0, return_posterior=True, backend=backend)
    sums = tempered_posterior(**arguments, beta=2.0, return_responsibilities=False, backend=backend)
    assert sums.posterior is None and sums.responsibilities is None
    for name in ("counts", "totals", "log_likelihood"):
        assert np.array_equal(getattr(sums, name), getattr(full, name))
    only = tempered_posterior(
        **arguments, beta=2.0, return_posterior=True, return_responsibilities=False,
        backend=backend,
    )  # fmt: skip
    assert np.array_equal(only.posterior, full.posterior) and only.responsibilities is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_neighbours_are_averaged(backend, dtype):
    arguments = problem(60, 5, 7, dtype, q=4)
    neighbors = arguments.pop("neighbors")
    found = tempered_posterior(**arguments, neighbors=neighbors, floor=0.25, tau=2.0,
                               backend=backend)  # fmt: skip
    mean = arguments["H"][neighbors].mean(axis=1, dtype=np.float64)
    domains, D = arguments["domains"], arguments["D"]
    plain = tempered_posterior(mean, D, domains, floor=0.25, tau=2.0, backend=backend)
    assert np.allclose(found.counts, plain.counts, rtol=1e-13)
    own = tempered_posterior(**arguments, neighbors=np.arange(60)[:, None], backend=backend)
    alone = tempered_posterior(**arguments, backend=backend)
    assert np.allclose(own.counts, alone.counts, rtol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau, beta", POWERS)
def test_rows_without_a_component_are_uniform(backend, tau, beta, dtype):
    H = np.array([[1, 0, 0], [0, 0, 0], [0.5, 0.5, 0], [0, 1, 1]], dtype)
    D = np.array([[0, 0.5, 0.5], [1, 0.5, 0]], dtype)
    options = {"tau": tau, "beta": beta, "return_posterior": True, "backend": backend}
    found = tempered_posterior(H, D, [0, 0, 1, 1], **options)
    assert found.log_likelihood == -np.inf
    third, share = np.full(3, 1 / 3), 0.5**beta
    assert np.allclose(found.posterior[0], third) and np.allclose(found.responsibilities[0], third)
    # A row of H that is 0 says nothing: the domain decides.
    assert np.allclose(found.posterior[1], [0, 0.5, 0.5])
    assert np.allclose(found.responsibilities[2], np.array([1, share, 0]) / (1 + share), rtol=1e-6)
    assert np.array_equal(found.posterior[3], [0, 1, 0])
    some = tempered_posterior(H, D, [0, 0, 1, 1], weight=[0, 1, 1, 0], **options)
    expected = np.log(1 / 3) + np.log(0.75)
    assert np.isclose(some.log_likelihood, expected)
    assert np.array_equal(some.posterior, found.posterior)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau, beta", POWERS)
def test_numbers_of_any_size(backend, tau, beta, dtype):
    far = 60 if dtype == np.float32 else 600
    arguments = problem(40, 6, 5, dtype)
    arguments["H"] += arguments["H"].dtype.type(0.01)
    arguments["D"] += arguments["D"].dtype.type(0.01)
    options = {"tau": tau, "beta": beta, "return_posterior": True, "backend": backend}
    plain = tempered_posterior(**arguments, **options)
    for left, right in [(far, far), (-far, -far), (far, -far), (0, -far)]:
        moved = arguments | {
            "H": np.ldexp(arguments["H"], np.where(np.arange(40) % 3, left, 0)[:, None]),
            "D": np.ldexp(arguments["D"], right),
        }
        found = tempered_posterior(**moved, **options)
        for name in ("responsibilities", "posterior"):
            relative = rounding(40, dtype, 2 * beta + 0.1)
            assert_close(getattr(found, name), getattr(plain, name), relative)
        shift = 40 * right * np.log(2)
        assert np.isclose(found.log_likelihood, plain.log_likelihood + shift, rtol=1e-10)


@pytest.mark.parametrize("tau, beta", POWERS)
def test_entries_that_differ_by_the_whole_range(backend, tau, beta):
    H = np.array([[1e300, 1e-300, 0, 1], [5e-324, 0, 5e-324, 5e-324], [1e308] * 4])
    D = np.array([[1e-300, 1e300, 1, 1e-5], [5e-324, 1, 0, 1], [1e308] * 4])
    every = np.tile(H, (3, 1)), D, np.repeat([0, 1, 2], 3)
    options = {"tau": tau, "beta": beta, "return_posterior": True}
    found = tempered_posterior(*every, **options, backend=backend)
    expected = tempered_posterior(*every, **options, backend="reference")
    assert not any(np.isnan(part).any() for part in found)
    assert np.allclose(found.posterior, expected.posterior, rtol=1e-9, atol=1e-60)
    assert np.allclose(found.responsibilities, expected.responsibilities, rtol=1e-9, atol=1e-60)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1e-30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_are_no_weights_are_refused(backend, bad, dtype):
    for n, k, row, column in [(1, 1, 0, 0), (5, 3, 4, 2), (70, 10, 69, 9), (200, 33, 77, 20)]:
        for q in (None, 2):
            arguments = problem(n, 3, k, dtype, q=q)
            if q is not None:
                arguments["neighbors"][:] = 0  # nobody's neighbour, but a row all the same
            arguments["H"][row, column] = bad
            with pytest.raises(ValueError, match="H must hold finite numbers that are at least 0"):
                tempered_posterior(**arguments, beta=2.0, backend=backend)
            for tau in (2.0, 0.5):
                with pytest.raises(ValueError, match="H must hold finite numbers that are at"):
                    tempered_posterior(**arguments, tau=tau, backend=backend)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_give_the_same_bits(backend, dtype):
    n = 4096 * 5 + 77
    rng = np.random.default_rng(1)
    H, D = factor(rng, n, 6, dtype), factor(rng, 9, 6, dtype)
    domains, weight = rng.integers(0, 9, n), rng.random(n)
    one, *others = [
        tempered_posterior(H, D, domains, weight=weight, beta=2.0, n_threads=threads,
                           return_posterior=True, backend=backend)
        for threads in (1, 2, 3, 8)
    ]  # fmt: skip
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, tmp_path):
    arguments = problem(50, 6, 5, dtype, q=2)
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    arranged = {name: arrange(array, tmp_path) for name, array in arguments.items()
                if array.ndim == 2}  # fmt: skip
    for name in ("domains",):
        arranged[name] = arrange(arguments[name][:, None], tmp_path)[:, 0]
    found = tempered_posterior(**arranged, tau=2.0, beta=3.0, backend=backend)
    expected = tempered_posterior(**arguments, tau=2.0, beta=3.0, backend=backend)
    for a, b in zip(found, expected, strict=True):
        assert (a is None and b is None) or np.array_equal(a, b)


def test_rows_do_not_see_each_other(backend):
    for k in (3, 10, 16, 33):
        arguments = problem(70, 5, k)
        rows = tempered_posterior(**arguments, tau=2.0, beta=3.0, backend=backend).responsibilities
        for i in range(0, 70, 3):
            alone = tempered_posterior(
                arguments["H"][i : i + 1], arguments["D"], arguments["domains"][i : i + 1],
                tau=2.0, beta=3.0, backend=backend,
            )  # fmt: skip
            assert np.allclose(alone.responsibilities[0], rows[i], rtol=1e-14, atol=0)


def test_no_rows(backend):
    found = tempered_posterior(np.ones((0, 3)), np.ones((2, 3)), np.zeros(0, int), backend=backend)
    assert found.responsibilities.shape == (0, 3) and found.log_likelihood == 0
    assert not found.counts.any() and not found.totals.any()


def test_other_numbers_are_converted(backend):
    found = tempered_posterior([[1, 3]], np.ones((1, 2), np.float32), [0], backend=backend)
    assert found.responsibilities.dtype == np.float64
    assert np.array_equal(found.responsibilities, [[0.25, 0.75]])
