"""Transport solvers and estimators with arrays on an emulated CUDA device: as on the host."""

import numpy as np
import pytest

from clusterlib.cluster import SinkhornClustering
from clusterlib.solvers import (
    PointCost,
    cost_scale,
    partial_sinkhorn,
    sinkhorn,
    sinkhorn_assign,
    sinkhorn_batch,
    sinkhorn_divergence,
)
from clusterlib.transport import OTPrototypeClassifier, SinkhornTransport
from tests.cuda.test_estimators import Tensor as Plain
from tests.helpers import DTYPES, METRICS

METHODS = ["auto", "log", "newton", "scaling"]


def matrix(n, m, dtype=np.float64):
    return np.random.default_rng([n, m]).uniform(size=(n, m)).astype(dtype)


def clouds(n, m, d, dtype=np.float64):
    rng = np.random.default_rng([n, m, d])
    return rng.normal(size=(n, d)).astype(dtype), (rng.normal(size=(m, d)) + 1).astype(dtype)


def on_host(runtime, array):
    assert runtime.owns(array)
    return runtime.to_host(array)


def assert_same_answer(runtime, found, expected, tol=2e-5):
    """Potentials up to a constant, objective and plan, as exact as a solve to 1e-6 makes them."""
    f, g = on_host(runtime, found.f), on_host(runtime, found.g)
    assert found.converged and expected.converged and found.marginal_error <= 1e-6
    here = found.a > 0
    total = (f[:, None] + g)[here]
    assert np.allclose(total, (expected.f[:, None] + expected.g)[here], rtol=0, atol=tol)
    assert np.allclose(found.value, expected.value, rtol=1e-5, atol=1e-5)
    assert np.abs(on_host(runtime, found.plan()) - expected.plan()).sum() < tol


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_stored_costs(emulated, method, dtype):
    C = matrix(40, 33, dtype)
    a = np.arange(40.0) / np.arange(40.0).sum()
    expected = sinkhorn(C, 0.02, a=a, method=method)
    for weights in (a, emulated.to_device(a)):
        found = sinkhorn(emulated.to_device(C), 0.02, a=weights, method=method)
        assert_same_answer(emulated, found, expected)


@pytest.mark.parametrize("method", ["auto", "log", "newton"])
def test_relaxed_marginals(emulated, method):
    C = matrix(30, 20)
    for options in ({"rho_a": 0.5}, {"rho_b": 0.3}, {"rho_a": 0.5, "rho_b": 0.3}):
        expected = sinkhorn(C, 0.05, method=method, **options)
        found = sinkhorn(emulated.to_device(C), 0.05, method=method, **options)
        assert_same_answer(emulated, found, expected)
        assert np.allclose(found.certificate(), expected.certificate(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_points(emulated, metric, dtype):
    X, Y = clouds(40, 33, 3, dtype)
    device = [emulated.to_device(points) for points in (X, Y)]
    host = PointCost(X, Y, metric=metric)
    epsilon = 0.1 * cost_scale(host)
    cost = PointCost(*device, metric=metric)
    assert np.isclose(cost_scale(cost), cost_scale(host), rtol=1e-6)
    expected, found = sinkhorn(host, epsilon), sinkhorn(cost, epsilon)
    assert_same_answer(emulated, found, expected, tol=2e-4)
    mapped = on_host(emulated, found.barycentric_map())
    assert np.allclose(mapped, expected.barycentric_map(), rtol=0, atol=1e-4)
    mapped = on_host(emulated, found.entropic_map(emulated.to_device(Y)))
    assert np.allclose(mapped, expected.entropic_map(Y), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("rho", "dtype"), [(np.inf, np.float32), (1.0, np.float64), (0.1, np.float64)]
)
def test_divergences(emulated, rho, dtype):
    X, Y = clouds(20, 15, 2, dtype)
    a = np.arange(20.0) / 190
    options = {"a": a, "b": np.full(15, 1 / 15), "rho": rho, "tol": 1e-7}
    expected = sinkhorn_divergence(X, Y, 0.5, **options)
    found = sinkhorn_divergence(*map(emulated.to_device, (X, Y)), 0.5, **options)
    assert found.converged and np.isclose(found.value, expected.value, rtol=1e-5)
    for name in ("f", "g", "self_f", "self_g"):
        potential = on_host(emulated, getattr(found, name))
        assert np.allclose(potential, getattr(expected, name), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["max", "mean", "median"])
def test_scales_of_costs(emulated, kind):
    C = matrix(40, 33)
    assert np.isclose(cost_scale(emulated.to_device(C), kind), cost_scale(C, kind), rtol=1e-14)


def test_points_far_from_the_origin(emulated):
    X, Y = (points + 1000 for points in clouds(20, 15, 2, np.float32))
    found = sinkhorn(PointCost(emulated.to_device(X), emulated.to_device(Y)), 0.5)
    assert_same_answer(emulated, found, sinkhorn(PointCost(X, Y), 0.5), tol=2e-4)


@pytest.mark.parametrize("method", METHODS)
def test_several_right_hand_sides(emulated, method):
    C, b = matrix(30, 20), matrix(3, 20) + 0.1
    expected = sinkhorn(C, 0.05, b=b, method=method)
    found = sinkhorn(emulated.to_device(C), 0.05, b=emulated.to_device(b), method=method)
    for r in range(3):
        assert_same_answer(emulated, found.side(r), expected.side(r))


def test_an_offset_and_another_layout(emulated):
    C = matrix(30, 20) + 100
    expected = sinkhorn(C, 0.05)
    found = sinkhorn(emulated.to_device(C.T.copy()).T, 0.05)
    assert_same_answer(emulated, found, expected)
    assert np.isclose(found.transport_cost, expected.transport_cost, rtol=1e-9)
    assert np.allclose(found.certificate()[:2], expected.certificate()[:2], rtol=1e-7)
    rounded = on_host(emulated, found.rounded_plan())
    assert np.allclose(rounded.sum(axis=1), found.a, rtol=0, atol=1e-15)
    assert np.allclose(rounded.sum(axis=0), found.b, rtol=0, atol=1e-15)
    values = matrix(20, 2)
    mapped = on_host(emulated, found.barycentric_map(emulated.to_device(values)))
    assert np.allclose(mapped, expected.barycentric_map(values), rtol=0, atol=1e-5)


def test_solves_go_on_from_potentials(emulated):
    C = emulated.to_device(matrix(30, 20))
    first = sinkhorn(C, 0.05)
    for start in ({"g": first.g}, {"f": first.f}, {"g": emulated.to_host(first.g)}):
        assert sinkhorn(C, 0.05, **start).n_iter < first.n_iter / 2


def test_what_is_refused(emulated):
    C, X = matrix(5, 4), clouds(5, 4, 2)[0]
    device = emulated.to_device(C)
    with pytest.raises(TypeError, match="a is on a CUDA device and the costs are on the host"):
        sinkhorn(C, 0.1, a=emulated.to_device(np.ones(5)))
    with pytest.raises(TypeError, match="Y is on the host"):
        PointCost(emulated.to_device(X), X)
    with pytest.raises(TypeError, match="X is on the host"):
        PointCost(X, emulated.to_device(X))
    with pytest.raises(TypeError, match="values is on the host"):
        sinkhorn(device, 0.1).barycentric_map(C[:4])
    with pytest.raises(TypeError, match="must be float32 or float64 on a CUDA device"):
        sinkhorn(emulated.to_device(np.ones((5, 4), int)), 0.1)
    C[1, 1] = np.nan
    with pytest.raises(ValueError, match="cost contains NaN or infinity"):
        sinkhorn(emulated.to_device(C), 0.1)
    X[1, 1] = np.inf
    with pytest.raises(ValueError, match="Y contains NaN or infinity"):
        PointCost(device, emulated.to_device(np.hstack([X, X])))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_iters", [3, None])
def test_codes_of_scores(emulated, n_iters, dtype):
    scores = matrix(70, 9, dtype)
    prior = np.arange(9.0)
    # Sums of the larger ones leave the range of the dtype.
    for scale in (1.0, 1e4) if n_iters else (1.0,):
        options = {"n_iters": n_iters, "prior": prior, "epsilon": 0.1}
        expected = sinkhorn_assign(dtype(scale) * scores, **options)
        found = sinkhorn_assign(emulated.to_device(dtype(scale) * scores), **options)
        codes = on_host(emulated, found)
        assert codes.dtype == dtype
        # Exponents of up to 10 and 1e5, with the roundings of the dtype.
        allowed = 1e-5 if scale == 1.0 else 1e-1 if dtype == np.float32 else 1e-5
        assert np.abs(codes - expected).max() <= allowed
        assert np.allclose(codes.sum(axis=1), 1.0, rtol=0, atol=1e-5)
    out = emulated.zeros((70, 9), dtype)
    assert sinkhorn_assign(emulated.to_device(scores), out=out) is out
    with pytest.raises(ValueError, match="out must not overlap scores in memory"):
        sinkhorn_assign(out, out=out)


@pytest.mark.parametrize(
    ("parameters", "dtype"),
    [
        ({}, np.float32),
        ({"metric": "cosine", "cost_scale": "median"}, np.float64),
        ({"rho_b": 1.0, "cost_scale": "max"}, np.float64),
        ({"out_of_sample_map": "nearest"}, np.float32),
    ],
)
def test_sinkhorn_transport(emulated, parameters, dtype):
    X, Y = clouds(40, 33, 3, dtype)
    weights = {"sample_weight": np.arange(40.0)}
    expected = SinkhornTransport(**parameters).fit(X, target=Y, **weights)
    x, y = emulated.to_device(X), emulated.to_device(Y)
    found = SinkhornTransport(**parameters).fit(x, target=y, **weights)
    assert found.converged_ and found.source_ is x and found.target_ is y
    assert np.isclose(found.epsilon_effective_, expected.epsilon_effective_, rtol=1e-5)
    assert np.isclose(found.transport_cost_, expected.transport_cost_, rtol=1e-4)
    assert np.abs(on_host(emulated, found.plan()) - expected.plan()).sum() < 1e-4
    moved = on_host(emulated, found.transform(x))
    assert moved.dtype == dtype
    assert np.allclose(moved, expected.transform(X), rtol=0, atol=1e-3)
    stays = np.arange(40) % 3 == 0
    moved = on_host(emulated, found.transform(x, in_target=stays))
    assert np.array_equal(moved[stays], X[stays])
    assert np.allclose(moved, expected.transform(X, in_target=stays), rtol=0, atol=1e-3)
    back = on_host(emulated, found.inverse_transform(y))
    assert np.allclose(back, expected.inverse_transform(Y), rtol=0, atol=1e-3)
    again = SinkhornTransport(**parameters).fit_transform(x, target=y, **weights)
    assert np.array_equal(emulated.to_host(again), emulated.to_host(found.transform(x)))
    with pytest.raises(TypeError, match="X is on the host and SinkhornTransport was fitted on"):
        found.transform(X)


def test_sides_of_a_transport(emulated):
    X, Y = clouds(12, 9, 2)
    x, y = emulated.to_device(X), emulated.to_device(Y)
    with pytest.raises(TypeError, match="X is on the host and target is on a CUDA device"):
        SinkhornTransport().fit(X, target=y)
    with pytest.raises(TypeError, match="X is on a CUDA device and target is on the host"):
        SinkhornTransport().fit(x, target=Y)
    labels = {"y": np.zeros(12, int), "target_labels": np.zeros(9, int)}
    with pytest.raises(TypeError, match="works on host arrays where there are target_labels"):
        SinkhornTransport().fit(x, target=y, **labels)


def test_what_works_on_the_host_alone(emulated):
    X, Y = map(emulated.to_device, clouds(12, 9, 2))
    cost = emulated.to_device(matrix(12, 9))
    with pytest.raises(TypeError, match=r"works on host arrays: pass cupy.asnumpy\(X\)"):
        OTPrototypeClassifier().fit(X, np.arange(12) % 2)
    for call in (
        lambda: partial_sinkhorn(cost, 0.1, 0.5),
        lambda: sinkhorn(cost, 0.1, mass=0.5),
    ):
        with pytest.raises(TypeError, match=r"works on host arrays: pass cupy.asnumpy\(cost\)"):
            call()
    with pytest.raises(TypeError, match=r"works on host arrays: pass cupy.asnumpy\(costs\)"):
        sinkhorn_batch(emulated.zeros((2, 3, 4), np.float64), 0.1)
    with pytest.raises(TypeError, match="works on host arrays: pass points from the host"):
        partial_sinkhorn(PointCost(X, Y), 0.1, 0.5)


class Tensor(Plain):
    """With the arithmetic that a tensor has, and arrays of CuPy have not for tensors."""

    def min(self):
        return self.array.min()

    def max(self):
        return self.array.max()

    def __sub__(self, other):
        return type(self)(self.array - other)


def test_tensors_get_tensors_back(emulation, monkeypatch):
    owns, asarray = emulation.owns, emulation.asarray
    monkeypatch.setattr(emulation, "owns", lambda value: isinstance(value, Tensor) or owns(value))
    monkeypatch.setattr(emulation, "asarray", lambda value: asarray(getattr(value, "array", value)))
    monkeypatch.setattr(
        emulation,
        "like",
        lambda result, original: Tensor(result) if isinstance(original, Tensor) else result,
    )
    X, Y = clouds(20, 15, 2)
    x, y = (Tensor(emulation.to_device(points)) for points in (X, Y))
    for cost in (PointCost(x, y), Tensor(emulation.to_device(matrix(20, 15)))):
        result = sinkhorn(cost, 0.5)
        again = sinkhorn(cost, 0.5, g=result.g)
        answers = result.f, result.g, result.plan(), result.rounded_plan()
        assert {type(array) for array in answers} == {Tensor} and again.n_iter < result.n_iter
    assert type(sinkhorn(PointCost(x, y), 0.5).barycentric_map()) is Tensor
    assert type(sinkhorn_divergence(x, y, 0.5).f) is Tensor
    assert type(sinkhorn_assign(x)) is Tensor
    for chosen in ("entropic", "nearest"):
        model = SinkhornTransport(epsilon=0.5, out_of_sample_map=chosen).fit(x, target=y)
        answers = model.f_, model.g_, model.plan(), model.transform(x), model.inverse_transform(y)
        kept = model.transform(x, in_target=np.arange(20) < 5)
        assert {type(array) for array in (*answers, kept)} == {Tensor}
    model = SinkhornClustering(n_clusters=2, init=X[:2], queue_size=20).fit(x)
    answers = model.predict(x), model.transform(x), model.predict_proba(x), model.assign(x)
    model.partial_fit(x).partial_fit(x)
    fitted = model.labels_, model.cluster_centers_, model.queue_
    assert {type(array) for array in (*answers, *fitted)} == {Tensor}
