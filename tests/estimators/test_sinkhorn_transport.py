"""SinkhornTransport: where rows go, in theory, in pipelines, and with labels and weights."""

import logging
import pickle
import tracemalloc

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.config import config_context
from clusterlib.transport import SinkhornTransport
from tests.estimators.cases import blobs

EXACT = {"tol": 1e-11, "max_iter": 20_000}


@pytest.fixture(scope="module")
def domains():
    """Sources with classes, and targets: the same blobs, turned, stretched and moved."""
    (X, Z), (y, z) = ((both[:90], both[90:]) for both in blobs(n=200))
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    return X, y, 0.3 * Z @ (np.eye(3) + 0.2 * turn) + [20.0, 0, -5], z


def squared_distances(X, Y):
    return ((X[:, None] - Y) ** 2).sum(axis=2)


def logsumexp(values, axis):
    top = values.max(axis=axis, keepdims=True)
    return (top + np.log(np.exp(values - top).sum(axis=axis, keepdims=True))).squeeze(axis)


def textbook(X, Z, epsilon, norm=None, labels=None, limit_max=np.inf, n_iter=5000):
    """The transport of ot.da.SinkhornTransport, as its documents tell it: plan, log v, scale."""
    cost = squared_distances(X, Z)
    scale = cost.max() if norm == "max" else 1.0
    cost = cost / scale
    if labels is not None:
        y, z = labels
        mismatch = (y[:, None] != z) & (y != -1)[:, None] & (z != -1)
        cost[mismatch] = np.maximum(cost[mismatch], limit_max * cost.max())
    log_a, log_b = -np.log(len(X)), -np.log(len(Z))
    log_u, log_v = np.zeros(len(X)), np.zeros(len(Z))
    for _ in range(n_iter):
        log_v = log_b - logsumexp(log_u[:, None] - cost / epsilon, axis=0)
        log_u = log_a - logsumexp(log_v - cost / epsilon, axis=1)
    return np.exp(log_u[:, None] + log_v - cost / epsilon), log_v, scale


@pytest.mark.parametrize("norm", [None, "max"])
def test_parity_with_the_textbook(domains, norm):
    X, _, Z, _ = domains
    new = X[:7] + 0.3
    epsilon = 0.05 if norm else 12.0
    plan, log_v, scale = textbook(X, Z, epsilon, norm)
    transport = SinkhornTransport(epsilon, cost_scale=norm, **EXACT).fit(X, target=Z)
    assert transport.epsilon_effective_ == pytest.approx(epsilon * scale)
    assert np.abs(transport.plan() - plan).sum() < 1e-8
    assert_allclose(transport.transform(X), plan / plan.sum(axis=1)[:, None] @ Z, atol=1e-7)
    weight = np.exp(log_v - squared_distances(new, Z) / scale / epsilon)
    expected = weight @ Z / weight.sum(axis=1)[:, None]
    assert_allclose(transport.transform(new), expected, atol=1e-7)
    cost = (squared_distances(X, Z) * plan).sum()
    assert transport.transport_cost_ == pytest.approx(cost, rel=1e-8)
    # The way back: means of the columns.
    assert_allclose(
        transport.inverse_transform(Z), plan.T @ X / plan.sum(axis=0)[:, None], atol=1e-7
    )
    # The map of Ferradans et al.
    transport.set_params(out_of_sample_map="nearest")
    nearest = np.argmin(squared_distances(new, X), axis=1)
    moved = plan / plan.sum(axis=1)[:, None] @ Z
    assert_allclose(transport.transform(new), moved[nearest] + new - X[nearest], atol=1e-7)
    assert_allclose(transport.transform(X), moved, atol=1e-7)


@pytest.mark.parametrize("unknown", [0.0, 0.4])
def test_parity_with_the_textbook_with_labels(domains, unknown):
    X, y, Z, z = domains
    z = np.where(np.random.default_rng(0).random(len(z)) < unknown, -1, z)
    plan, _, _ = textbook(X, Z, 0.05, "max", labels=(y, z), limit_max=10.0)
    transport = SinkhornTransport(0.05, cost_scale="max", limit=10.0, **EXACT)
    transport.fit(X, y, target=Z, target_labels=z)
    assert np.abs(transport.plan() - plan).sum() < 1e-8
    moved = plan / plan.sum(axis=1)[:, None] @ Z
    assert_allclose(transport.fit_transform(X, y, target=Z, target_labels=z), moved, atol=1e-7)
    transport.set_params(out_of_sample_map="nearest")
    assert_allclose(transport.transform(X), moved, atol=1e-7)
    assert_allclose(transport.transform(X + 1e-3), moved + 1e-3, atol=1e-7)
    # Classes differ in mass by a few percent: what one has too much goes to another one.
    between = transport.plan()[(y[:, None] != z) & (z >= 0)].sum()
    assert between < (0.1 if unknown == 0 else 1e-6)
    without = clone(transport).fit(X, target=Z)
    assert without.plan()[(y[:, None] != z) & (z >= 0)].sum() > between


def test_labels_of_any_kind_mean_the_same(domains):
    X, y, Z, z = domains
    z = np.where(np.arange(len(z)) % 3, z, -1)
    numbers = SinkhornTransport().fit(X, y, target=Z, target_labels=z)
    names = np.array(["cat", "dog", "emu"])
    partial = [None if label == -1 else names[label] for label in z]
    strings = SinkhornTransport().fit(X, names[y], target=Z, target_labels=partial)
    assert_array_equal(strings.plan(), numbers.plan())
    nothing = SinkhornTransport().fit(X, y, target=Z, target_labels=np.full(len(z), -1))
    assert_array_equal(nothing.g_, SinkhornTransport().fit(X, target=Z).g_)
    assert nothing.penalty_ is None


def test_relaxed_marginals_are_those_of_the_textbook(domains):
    X, _, Z, _ = domains
    epsilon, rho_a, rho_b = 20.0, 60.0, 150.0
    kernel = np.exp(-squared_distances(X, Z) / epsilon) / (len(X) * len(Z))
    u, v = np.ones(len(X)), np.ones(len(Z))
    for _ in range(5000):  # Chizat et al. 2018, the entropy relative to the weights
        u = (1 / len(X) / (kernel @ v)) ** (rho_a / (rho_a + epsilon))
        v = (1 / len(Z) / (u @ kernel)) ** (rho_b / (rho_b + epsilon))
    plan = u[:, None] * kernel * v
    transport = SinkhornTransport(epsilon, cost_scale=None, rho_a=rho_a, rho_b=rho_b, **EXACT)
    assert_allclose(transport.fit(X, target=Z).plan().sum(), plan.sum(), rtol=1e-8)
    assert np.abs(transport.plan() - plan).sum() < 1e-8 * plan.sum()
    assert transport.transport_cost_ == pytest.approx((squared_distances(X, Z) * plan).sum())


SETTINGS = [
    {},
    {"epsilon": 0.01},
    {"metric": "euclidean"},
    {"metric": "cosine", "cost_scale": "max"},
    {"metric": "inner_product", "cost_scale": 30.0},
    {"rho_b": 0.5},
    {"rho_a": 1.0, "rho_b": 2.0},
    {"cost_scale": "median"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_training_rows_go_where_the_plan_sends_them(domains, settings):
    X, _, Z, _ = domains
    transport = SinkhornTransport(**settings).fit(X, target=Z)
    plan = transport.plan()
    assert transport.converged_
    assert_allclose(
        transport.transform(X), plan @ Z / plan.sum(axis=1)[:, None], rtol=1e-9, atol=1e-9
    )
    if "rho_b" not in settings:
        assert_allclose(plan.sum(axis=1), 1 / len(X), rtol=1e-5)
        assert np.abs(plan.sum(axis=0) - 1 / len(Z)).sum() <= 1.1e-6


@pytest.mark.parametrize("out_of_sample_map", ["entropic", "nearest"])
def test_a_row_goes_the_same_way_in_any_company(domains, out_of_sample_map):
    X, _, Z, _ = domains
    transport = SinkhornTransport(out_of_sample_map=out_of_sample_map).fit(X, target=Z)
    moved = transport.transform(X)
    assert_allclose(transport.transform(X[5:9]), moved[5:9], rtol=1e-12)
    assert_allclose(transport.fit_transform(X, target=Z), moved, rtol=1e-12)
    assert_allclose(transport.transform(X + 1e-9), moved, atol=1e-6)


def test_small_epsilon_finds_the_matching():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    order = rng.permutation(40)
    transport = SinkhornTransport(epsilon=1e-4).fit(X, target=X[order] + [7.0, -3.0])
    assert_allclose(transport.transform(X), X + [7.0, -3.0], atol=0.05)
    assert_allclose(transport.inverse_transform(X + [7.0, -3.0]), X, atol=0.05)


def test_scale_and_place_do_not_matter(domains):
    X, _, Z, _ = domains
    plain = SinkhornTransport().fit(X, target=Z).transform(X)
    scaled = SinkhornTransport().fit(1000 * X + 5, target=1000 * Z + 5).transform(1000 * X + 5)
    assert_allclose(scaled, 1000 * plain + 5, rtol=1e-6)


def test_single_precision_is_near_double(domains):
    X, _, Z, _ = domains
    wide = SinkhornTransport().fit(X, target=Z)
    narrow = SinkhornTransport().fit(X.astype(np.float32), target=Z.astype(np.float32))
    moved = narrow.transform(X.astype(np.float32))
    assert moved.dtype == np.float32
    assert_allclose(moved, wide.transform(X), atol=1e-3)


def test_threads_change_no_bit(domains):
    X, _, Z, _ = domains
    moved = []
    for n_threads in (1, 3):
        with config_context(n_threads=n_threads):
            moved.append(SinkhornTransport().fit_transform(X, target=Z))
    assert_array_equal(*moved)


@pytest.mark.parametrize("relaxed", [{}, {"rho_b": 0.3}, {"rho_a": 0.2, "rho_b": 0.5}], ids=str)
def test_weights_are_repetitions(domains, relaxed):
    X, _, Z, _ = domains
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, size=len(X)), rng.integers(0, 3, size=len(Z))
    weighted = SinkhornTransport(tol=1e-10, **relaxed).fit(
        X, target=Z, sample_weight=a, target_weight=b
    )
    repeated = SinkhornTransport(tol=1e-10, **relaxed)
    repeated.fit(np.repeat(X, a, axis=0), target=np.repeat(Z, b, axis=0))
    assert_allclose(weighted.epsilon_effective_, repeated.epsilon_effective_, rtol=1e-12)
    assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-7)
    mass = weighted.plan().sum()
    assert mass == pytest.approx(repeated.plan().sum(), rel=1e-7)
    assert_array_equal(np.isneginf(weighted.f_), a == 0)
    assert not weighted.plan()[a == 0].any()
    assert not weighted.plan()[:, b == 0].any()


def test_targets_without_a_counterpart_are_left_out(domains):
    X, y, _, _ = domains
    source = X[y < 2]
    target = np.r_[source + 0.1, X[y == 2][:20]]
    strict = SinkhornTransport().fit(source, target=target)
    loose = SinkhornTransport(rho_b=0.05).fit(source, target=target)
    mass = [fit.plan()[:, len(source) :].sum() for fit in (strict, loose)]
    assert mass[0] == pytest.approx(20 / len(target), rel=1e-4)
    assert mass[1] < 0.1 * mass[0]
    error = [np.abs(fit.transform(source) - source).mean() for fit in (strict, loose)]
    assert error[1] < error[0]


def test_rows_at_home_in_the_target_stay(domains):
    X, _, Z, _ = domains
    transport = SinkhornTransport().fit(X, target=Z)
    both = np.r_[X[:4], Z[:3]]
    home = np.arange(7) >= 4
    expected = np.r_[transport.transform(X[:4]), Z[:3]]
    assert_allclose(transport.transform(both, in_target=home), expected, rtol=1e-12)
    assert_array_equal(transport.transform(Z, in_target=True), Z)
    assert_array_equal(transport.transform(Z, in_target=False), transport.transform(Z))
    with pytest.raises(TypeError, match="in_target must be True, False .* got dtype int64"):
        transport.transform(both, in_target=home.astype(np.int64))
    with pytest.raises(ValueError, match=r"in_target must have shape \(4,\); got \(7,\)"):
        transport.transform(X[:4], in_target=home)


def test_a_classifier_of_moved_rows_serves_the_target(domains):
    X, y, Z, z = domains
    plain = LogisticRegression().fit(X, y).score(Z, z)
    moved = SinkhornTransport().fit_transform(X, target=Z)
    assert LogisticRegression().fit(moved, y).score(Z, z) > max(0.95, plain + 0.2)


def pipeline(**settings):
    transport = SinkhornTransport(**settings).set_fit_request(target=True)
    transport.set_transform_request(in_target=True)
    return make_pipeline(
        StandardScaler(), transport, LogisticRegression(), transform_input=["target"]
    )


def test_pipeline_with_routed_target(domains):
    X, y, Z, z = domains
    with sklearn.config_context(enable_metadata_routing=True):
        model = pipeline().fit(X, y, target=Z)
        assert model.score(Z, z, in_target=True) > 0.95
        assert_allclose(model[1].target_, model[0].transform(Z))
        assert cross_val_score(model, X, y, params={"target": Z}, cv=3).min() > 0.95


def test_pipeline_without_routing(domains):
    X, y, Z, z = domains
    model = make_pipeline(SinkhornTransport(), LogisticRegression())
    model.fit(X, y, sinkhorntransport__target=Z)
    assert model[-1].score(Z, z) > 0.95


def test_a_forgotten_target_is_told(domains):
    X = domains[0]
    with pytest.warns(UserWarning, match="given no target and takes X") as caught:
        transport = SinkhornTransport(epsilon=1e-4).fit(X)
    assert caught[0].filename == __file__
    assert_allclose(transport.transform(X), X, atol=0.05)


def test_no_matrix_of_all_pairs(domains):
    rng = np.random.default_rng(0)
    X, Z = rng.normal(size=(2, 3000, 8)).astype(np.float32)
    transport = SinkhornTransport(epsilon=0.5, tol=1e-2)
    with config_context(block_bytes=1 << 18):
        tracemalloc.start()
        transport.fit(X, target=Z).transform(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 0.5 * 4 * len(X) * len(Z)


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames_in_and_out(domains, frames):
    library = pytest.importorskip(frames)
    X, _, Z, _ = domains
    source, target = (
        library.DataFrame({name: data[:, j] for j, name in enumerate("abc")}) for data in (X, Z)
    )
    transport = SinkhornTransport().set_output(transform=frames)
    moved = transport.fit_transform(source, target=target)
    assert isinstance(moved, library.DataFrame)
    assert list(moved.columns) == ["a", "b", "c"]
    expected = SinkhornTransport().fit_transform(X, target=Z)
    assert_allclose(moved.to_numpy(), expected, rtol=1e-12)
    if hasattr(transport, "feature_names_in_"):  # scikit-learn 1.6 does not see those of polars
        with pytest.raises(ValueError, match="target: The feature names"):
            transport.fit(source, target=target[["b", "a", "c"]])


def test_pickled_transport_is_the_same(domains):
    X, _, Z, _ = domains
    transport = SinkhornTransport().fit(X, target=Z)
    again = pickle.loads(pickle.dumps(transport))
    assert_array_equal(again.transform(X), transport.transform(X))


def test_a_fit_reports(domains, caplog):
    X, _, Z, _ = domains
    SinkhornTransport(verbose=1).fit(X, target=Z)
    assert {record.name for record in caplog.records} == {"clusterlib"}
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert caplog.records[-1].getMessage().startswith("SinkhornTransport: SinkhornResult(")


def test_too_few_sweeps_warn_once(domains):
    X, _, Z, _ = domains
    with pytest.warns(ConvergenceWarning, match="did not converge in max_iter=1 ") as caught:
        transport = SinkhornTransport(max_iter=1).fit(X, target=Z)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert not transport.converged_
    assert np.isfinite(transport.transform(X)).all()


BAD = [
    ({"epsilon": 0}, {}, ValueError, r"epsilon must be a float in \(0, inf\); got 0"),
    ({"epsilon": "small"}, {}, TypeError, r"epsilon .* got 'small'"),
    ({"metric": "l2"}, {}, ValueError, r"metric must be one of 'sqeuclidean', .* got 'l2'"),
    ({"metric": None}, {}, TypeError, r"metric .* got None"),
    ({"cost_scale": "min"}, {}, ValueError, r"cost_scale must be one of 'max', .* got 'min'"),
    ({"cost_scale": 0.0}, {}, ValueError, r"cost_scale must be a float in \(0, inf\); got 0.0"),
    ({"cost_scale": True}, {}, TypeError, r"cost_scale .* got True"),
    ({"rho_a": -1.0}, {}, ValueError, r"rho_a must be a float in \[0.005, inf\]; got -1.0"),
    ({"rho_b": np.nan}, {}, ValueError, r"rho_b .* got nan"),
    ({"limit": 0.5}, {}, ValueError, r"limit must be a float in \[1, inf\); got 0.5"),
    ({"limit": np.inf}, {}, ValueError, r"limit .* got inf"),
    ({"out_of_sample_map": "far"}, {}, ValueError, r"out_of_sample_map .* got 'far'"),
    ({"max_iter": 0}, {}, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
    ({"tol": -1.0}, {}, ValueError, r"tol .* got -1.0"),
    ({"verbose": -1}, {}, ValueError, r"verbose .* got -1"),
    ({}, {"target": np.ones((4, 2))}, ValueError, r"target: X has 2 features"),
    ({}, {"target": np.full((4, 3), np.nan)}, ValueError, r"target: Input X contains NaN"),
    (
        {},
        {"target": np.full((4, 3), 1e160)},
        ValueError,
        r"small enough for squared .* got 1e\+160",
    ),
    ({}, {"target": np.ones((0, 3))}, ValueError, r"target: Found array with 0 sample"),
    ({}, {"sample_weight": -np.ones(90)}, ValueError, r"sample_weight .* got -1.0 in row 0"),
    ({}, {"target_weight": np.zeros(110)}, ValueError, r"target_weight must have a finite sum"),
    ({}, {"target_weight": np.ones(90)}, ValueError, r"target_weight .* shape .* got \(90,\)"),
    ({}, {"target_labels": np.zeros(9)}, ValueError, r"target_labels must have shape \(110,\)"),
    ({}, {"target_labels": np.full(110, np.nan)}, ValueError, r"target_labels contains NaN"),
    ({}, {"target_labels": np.zeros(110), "y": None}, ValueError, r"need y, .* got y=None"),
    ({}, {"target_labels": np.zeros(110), "target": None}, ValueError, r"need a target"),
]


@pytest.mark.parametrize(("parameters", "arguments", "error", "message"), BAD)
def test_bad_input(domains, parameters, arguments, error, message):
    X, y, Z, _ = domains
    transport = SinkhornTransport(**parameters)
    with pytest.raises(error, match=message):
        transport.fit(X, **({"y": y, "target": Z} | arguments))
    assert not hasattr(transport, "g_")


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_bad_rows(domains, method):
    X, _, Z, _ = domains
    with pytest.raises(NotFittedError):
        getattr(SinkhornTransport(), method)(X)
    with pytest.raises(NotFittedError):
        SinkhornTransport().plan()
    transport = SinkhornTransport().fit(X, target=Z)
    with pytest.raises(ValueError, match="2 features, but .* expecting 3"):
        getattr(transport, method)(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        getattr(transport, method)(np.full((2, 3), np.nan))
