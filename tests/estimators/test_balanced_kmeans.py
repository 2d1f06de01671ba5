"""BalancedKMeans: sizes, certificates, prices, searches, the same answer for the same data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.base import logger
from clusterlib.cluster import BalancedKMeans, KMeans, SphericalKMeans
from clusterlib.config import config_context
from clusterlib.kernels import pairwise_distances
from clusterlib.solvers import balanced_lloyd, unit_rows
from tests.estimators.cases import blobs
from tests.estimators.test_common import assert_same_fit
from tests.estimators.test_progress import Recorder, needs_callbacks
from tests.helpers import COPIED_LAYOUTS, LAYOUTS

METRICS = ["sqeuclidean", "cosine"]
ASSIGNMENTS = ["exact", "sinkhorn", "greedy"]


def data(n=300, d=4, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


@pytest.fixture(params=METRICS)
def estimator(request):
    return BalancedKMeans(7, metric=request.param, random_state=0)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
@pytest.mark.parametrize(
    ("size_min", "size_max", "expected"),
    [
        (None, None, (42, 43)),
        (30, 60, (30, 60)),
        (40, None, (40, 300)),
        (None, 45, (0, 45)),
        (0, 300, (0, 300)),
        (42, 10**30, (42, 300)),
        (np.int64(42), np.uint8(43), (42, 43)),
    ],
)
def test_sizes_are_within_the_bounds(estimator, size_min, size_max, expected, assignment):
    estimator.set_params(size_min=size_min, size_max=size_max, assignment=assignment)
    sizes = estimator.fit(data()).cluster_sizes_
    assert sizes.dtype.kind == "i"
    assert sizes.sum() == 300
    assert_array_equal(sizes, np.bincount(estimator.labels_, minlength=7))
    assert expected[0] <= sizes.min()
    assert sizes.max() <= expected[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_certificate_holds(estimator, dtype):
    X = data(210, dtype=dtype)
    estimator.fit(X)
    assert estimator.converged_ is True
    assert estimator.cluster_centers_.dtype == dtype
    assert estimator.labels_.dtype == np.int32
    D = pairwise_distances(
        X.astype(np.float64), estimator.cluster_centers_.astype(np.float64),
        metric=estimator.metric,
    )  # fmt: skip
    slots = np.repeat(D, 30, axis=1)
    assert_allclose(estimator.inertia_, slots[linear_sum_assignment(slots)].sum(), rtol=1e-12)
    dual = (D + estimator.prices_).min(axis=1).sum() - 30 * estimator.prices_.sum()
    assert_allclose(dual, estimator.inertia_, rtol=1e-12)
    assert 0 <= estimator.dual_gap_ <= 1e-12
    assert isinstance(estimator.inertia_, float)
    assert (np.diff(estimator.history_) <= 0).all()
    assert estimator.history_[-1] == estimator.inertia_
    assert len(estimator.history_) == estimator.n_iter_


def test_prices_follow_the_sizes(estimator):
    estimator.set_params(size_min=35, size_max=50).fit(data())
    sizes, prices = estimator.cluster_sizes_, estimator.prices_
    assert (sizes[prices > 0] == 50).all()
    assert (sizes[prices < 0] == 35).all()
    estimator.set_params(size_min=0, size_max=None).fit(data())
    assert_array_equal(estimator.prices_, np.zeros(7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bounds", [(None, None), (30, 60)])
def test_predict_gives_the_labels_of_the_fitted_rows(estimator, bounds, dtype):
    """Prices lie inside their intervals, so no row of generic data is on a border."""
    X = data(1000, dtype=dtype)
    estimator.set_params(n_clusters=20, size_min=bounds[0], size_max=bounds[1]).fit(X)
    assert_array_equal(estimator.predict(X), estimator.labels_)
    assert_array_equal(estimator.predict(X[5:6]), estimator.labels_[5:6])
    assert_allclose(estimator.score(X), -estimator.inertia_, rtol=1e-12)
    costs = estimator.transform(X).astype(np.float64)
    costs = costs if estimator.metric == "cosine" else costs**2
    agree = (costs + estimator.prices_).argmin(axis=1) == estimator.labels_
    assert agree.mean() > 0.99  # distances are rounded to the dtype of X


def test_equal_rows_share_a_label_when_predicted():
    X = np.repeat(data(5), 4, axis=0)
    model = BalancedKMeans(4, random_state=0).fit(X)
    assert_array_equal(model.cluster_sizes_, [5] * 4)
    groups, predicted = model.labels_.reshape(5, 4), model.predict(X).reshape(5, 4)
    whole = (groups == groups[:, :1]).all(axis=1)
    assert not whole.all()
    assert (predicted == predicted[:, :1]).all()
    assert_array_equal(predicted[whole], groups[whole])


def test_assign_balances_other_batches(estimator):
    X, batch = data(), data(70, seed=1)
    estimator.fit(X)
    assert_array_equal(np.bincount(estimator.assign(batch), minlength=7), [10] * 7)
    low = np.arange(7)
    labels = estimator.assign(batch, size_min=low, size_max=64)
    assert labels.dtype == np.int32
    assert (np.bincount(labels, minlength=7) >= low).all()
    D = estimator.transform(batch) ** (1 if estimator.metric == "cosine" else 2)
    loose = estimator.assign(batch, size_min=0)
    assert_array_equal(loose, D.argmin(axis=1))
    assert_array_equal(estimator.assign(X), estimator.labels_)


def test_bounds_of_single_clusters_belong_to_given_centres():
    X = data()
    sizes = np.array([10, 200, 90])
    model = BalancedKMeans(3, size_min=sizes, size_max=sizes, init=X[:3]).fit(X)
    assert_array_equal(model.cluster_sizes_, sizes)
    listed = BalancedKMeans(3, size_min=sizes.tolist(), size_max=sizes.tolist(), init=X[:3])
    assert_array_equal(listed.fit(X).labels_, model.labels_)


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e6, 1e12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_units_change_no_label(assignment, dtype, scale):
    X = data(dtype=dtype)
    model = BalancedKMeans(6, assignment=assignment, random_state=0)
    one, other = (clone(model).fit(rows) for rows in (X, X * dtype(scale)))
    assert_array_equal(one.labels_, other.labels_)
    assert_allclose(other.inertia_, one.inertia_ * scale**2, rtol=1e-5)
    assert_allclose(other.dual_gap_, one.dual_gap_, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("exponent", [-440, -210, 210, 440])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_powers_of_two_change_no_bit_of_the_centres(assignment, exponent):
    X = data()
    model = BalancedKMeans(6, assignment=assignment, random_state=0)
    one, other = (clone(model).fit(rows) for rows in (X, X * 2.0**exponent))
    assert_array_equal(one.labels_, other.labels_)
    assert_array_equal(one.cluster_centers_ * 2.0**exponent, other.cluster_centers_)


def test_cosine_compares_directions():
    X = data()
    lengths = 2.0 ** np.random.default_rng(0).integers(-30, 30, size=(len(X), 1))
    model = BalancedKMeans(5, metric="cosine", init=X[:5])
    plain, scaled = (clone(model).fit(rows) for rows in (X, X * lengths))
    assert_array_equal(scaled.labels_, plain.labels_)
    assert_allclose(np.linalg.norm(plain.cluster_centers_, axis=1), 1)
    cosines = (X @ plain.cluster_centers_.T) / np.linalg.norm(X, axis=1, keepdims=True)
    assert_allclose(plain.transform(X), 1 - cosines, atol=1e-12)
    own = cosines[np.arange(len(X)), plain.labels_]
    assert_allclose(plain.inertia_, (1 - own).sum())


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_rows_of_zeros_go_where_there_is_room(assignment):
    X = np.r_[data(25), np.zeros((5, 4))]
    model = BalancedKMeans(3, metric="cosine", assignment=assignment, random_state=0).fit(X)
    assert_array_equal(model.cluster_sizes_, [10] * 3)
    assert_array_equal(model.transform(np.zeros((1, 4))), np.ones((1, 3)))
    assert model.inertia_ > 5


def test_exchanges_and_swaps_find_better_clusters(estimator):
    X = data(400)
    inertia = [
        estimator.set_params(n_clusters=40, exchange=exchange, n_swaps=n_swaps).fit(X).inertia_
        for exchange, n_swaps in ((False, 0), (True, 0), (True, 25))
    ]
    assert inertia[0] > inertia[1] > inertia[2]
    assert (np.diff(estimator.history_) <= 0).all()
    assert estimator.n_iter_ > 25
    assert estimator.dual_gap_ <= 1e-12


def test_more_starts_are_better():
    X = data()
    model = BalancedKMeans(12, init="random", random_state=0, exchange=False)
    inertia = [model.set_params(n_init=n).fit(X).inertia_ for n in (1, 4, 12)]
    assert inertia == sorted(inertia, reverse=True)
    assert inertia[-1] < inertia[0]


@pytest.mark.parametrize("assignment", ["sinkhorn", "greedy"])
def test_heuristics_tell_how_far_they_are_from_an_optimum(estimator, assignment):
    X = data()
    estimator.set_params(assignment=assignment).fit(X)
    assert estimator.inertia_ == estimator.history_.min()
    assert (assignment == "sinkhorn") or estimator.dual_gap_ > 0
    assert 0 <= estimator.dual_gap_ < 0.1
    best = estimator.assign(X)
    D = estimator.transform(X) ** (1 if estimator.metric == "cosine" else 2)
    optimum = D[np.arange(len(X)), best].sum()
    assert_allclose(estimator.inertia_ * (1 - estimator.dual_gap_), optimum, rtol=1e-9)


def test_starts_are_converged_k_means_unless_given(estimator):
    X = data()
    kind = KMeans if estimator.metric == "sqeuclidean" else SphericalKMeans
    called = []

    def first_rows(X, n_clusters, random_state):
        called.append(X[:n_clusters])
        return called[-1]

    plain = kind(7, init=first_rows(X, 7, None), tol=1e-4).fit(X).cluster_centers_
    from_rows = clone(estimator).set_params(init=first_rows).fit(X)
    assert len(called) == 2
    assert_array_equal(from_rows.labels_, clone(estimator).set_params(init=plain).fit(X).labels_)
    spherical = estimator.metric == "cosine"
    centers = unit_rows(X[:7]) if spherical else X[:7]
    once = balanced_lloyd(X, centers, 42, 43, spherical=spherical, max_iter=1)
    given = clone(estimator).set_params(init=X[:7], max_iter=1)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        given.fit(X)
    assert_array_equal(given.cluster_centers_, once.centers)


def test_a_larger_tol_ends_earlier(estimator):
    X = data(1000)
    tight, loose = (clone(estimator).set_params(tol=tol).fit(X).n_iter_ for tol in (0, 0.01))
    assert loose < tight


def test_loose_bounds_are_k_means():
    X, _ = blobs()
    plain = KMeans(3, random_state=0).fit(X)
    loose = BalancedKMeans(3, size_min=0, random_state=0).fit(X)
    assert_array_equal(loose.labels_, plain.labels_)
    assert_allclose(loose.inertia_, plain.inertia_, rtol=1e-12)


@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED_LAYOUTS])
def test_layouts_change_no_bit(estimator, layout, tmp_path):
    X = data()
    other = (LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path)
    expected = clone(estimator).fit(X)
    found = clone(estimator).fit(other)
    assert_same_fit(found, expected)
    assert_array_equal(found.prices_, expected.prices_)
    assert_array_equal(expected.predict(other), expected.labels_)
    assert_array_equal(expected.assign(other), expected.assign(X))


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_threads_and_blocks_change_no_bit(estimator, assignment, tmp_path):
    X = data(6000, dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    n_swaps = int(assignment == "exact")
    estimator.set_params(n_clusters=6, max_iter=4, n_swaps=n_swaps, tol=0.1, assignment=assignment)
    expected = clone(estimator).fit(X)
    for n_threads in (1, 3):
        with config_context(n_threads=n_threads, block_bytes=4096 * 16):
            assert_same_fit(clone(estimator).fit(mapped), expected)


def test_a_seed_is_an_answer(estimator):
    X = data()
    estimator.set_params(n_swaps=3, n_init=2, init="random")
    fits = [clone(estimator).set_params(random_state=seed).fit(X) for seed in (0, 0, 1)]
    assert_same_fit(fits[0], fits[1])
    assert (fits[0].cluster_centers_ != fits[2].cluster_centers_).any()
    assert_same_fit(fits[0], fits[0].fit(X))


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float16, object])
def test_other_numbers_are_taken_as_floats(estimator, kind):
    X = (3 * data()).round().astype(kind)
    taken = X.astype(np.float32 if kind is np.float16 else np.float64)
    assert_same_fit(clone(estimator).fit(X), clone(estimator).fit(taken))


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames_in_and_out(estimator, frames):
    library = pytest.importorskip(frames)
    X = data()
    frame = library.DataFrame({name: X[:, j] for j, name in enumerate("abcd")})
    out = estimator.set_output(transform=frames).fit_transform(frame)
    assert isinstance(out, library.DataFrame)
    assert list(out.columns) == [f"balancedkmeans{j}" for j in range(7)]
    assert_array_equal(estimator.predict(frame), estimator.labels_)
    assert_array_equal(estimator.assign(frame), estimator.labels_)


def test_equal_weights_scale_the_inertia(estimator):
    X = data()
    plain = clone(estimator).fit(X)
    for weight in (2.5, np.full(len(X), 2.5)):
        weighted = clone(estimator).fit(X, sample_weight=weight)
        assert_array_equal(weighted.labels_, plain.labels_)
        assert_allclose(weighted.inertia_, 2.5 * plain.inertia_)
        assert_allclose(weighted.history_, 2.5 * plain.history_)
        assert_array_equal(weighted.prices_, plain.prices_)
        assert weighted.dual_gap_ == plain.dual_gap_
    score = plain.score(X, sample_weight=np.arange(len(X)))
    assert score < plain.score(X)


def test_weightless_rows_are_absent(estimator):
    X = data()
    far = np.r_[X, np.full((5, 4), 1e6)]
    weight = np.r_[np.ones(len(X)), np.zeros(5)]
    with_far = clone(estimator).fit(far, sample_weight=weight)
    without = clone(estimator).fit(X)
    assert_array_equal(with_far.cluster_centers_, without.cluster_centers_)
    assert_array_equal(with_far.labels_[:-5], without.labels_)
    assert_array_equal(with_far.labels_[-5:], without.predict(far[-5:]))
    assert_array_equal(with_far.cluster_sizes_, without.cluster_sizes_)


def test_pipeline_and_fit_predict():
    X = data()
    pipeline = make_pipeline(StandardScaler(), BalancedKMeans(5, random_state=0))
    labels = pipeline.fit_predict(X)
    assert_array_equal(labels, pipeline.predict(X))
    assert_array_equal(np.bincount(labels), [60] * 5)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_verbose_shows_every_iteration(caplog, assignment):
    model = BalancedKMeans(5, verbose=1, random_state=0, assignment=assignment).fit(data())
    lines = [record.getMessage() for record in caplog.records if record.name == "clusterlib"]
    assert len(lines) == model.n_iter_
    assert lines[0].startswith("BalancedKMeans: start 1/1, iteration 1: inertia ")
    assert logger.handlers == []


def test_verbose_shows_the_weighted_inertia(caplog):
    model = BalancedKMeans(5, verbose=1, random_state=0)
    model.fit(data(), sample_weight=2.5)
    shown = [record.getMessage() for record in caplog.records if record.name == "clusterlib"]
    assert [line.split("inertia ")[1] for line in shown] == [f"{v:.6g}" for v in model.history_]


@needs_callbacks
def test_callbacks_see_every_task_and_may_stop():
    X, _ = blobs()
    recorder = Recorder()
    model = BalancedKMeans(3, random_state=0, n_swaps=2).set_callbacks(recorder).fit(X)
    assert recorder.events.count(("end", "iteration")) == model.n_iter_
    assert recorder.events.count(("begin", "start")) == 1
    assert_allclose(recorder.scores[-1], -model.inertia_)
    stopping = BalancedKMeans(9, random_state=0, n_swaps=50, n_init=3)
    stopping.set_callbacks(Recorder(stop_after=2)).fit(X)
    assert stopping.n_iter_ == 2
    assert not stopping.converged_


@needs_callbacks
def test_interruption_tears_down():
    recorder = Recorder(interrupt=True)
    model = BalancedKMeans(9, random_state=0, n_swaps=5).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs()[0])
    assert recorder.events[-1] == ("teardown", "fit")
