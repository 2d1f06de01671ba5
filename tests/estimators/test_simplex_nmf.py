"""SimplexNMF: factors, losses, weights, missing cells, starts, scales, intervals."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array, csc_matrix, csr_array
from sklearn.base import clone
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from clusterlib.decomposition import SimplexNMF
from clusterlib.solvers import matched_components
from tests.helpers import COPIED_LAYOUTS, LAYOUTS

SETTINGS = {
    "plain": {},
    "simplex": {"weights": "simplex"},
    "counts": {"loss": "kullback-leibler"},
    "shares": {"loss": "kullback-leibler", "weights": "simplex"},
}


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS)
def model(request):
    return SimplexNMF(3, random_state=0, **request.param)


def mixtures(n=80, m=20, k=3, noise=0.02, dtype=np.float64, seed=0):
    """Rows in the simplex of k rows, which are among them."""
    rng = np.random.default_rng(seed)
    H = rng.gamma(0.5, size=(k, m))
    W = rng.dirichlet(np.full(k, 0.5), n)
    W[:k] = np.eye(k)
    return (W @ H + noise * rng.random((n, m))).astype(dtype), W, H


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_attributes(model, dtype):
    X, _, H = mixtures(dtype=dtype)
    W = model.fit_transform(X)
    assert W.dtype == model.components_.dtype == dtype
    assert model.components_.shape == (3, 20)
    assert model.n_components_ == 3
    assert model.converged_
    assert W.min() >= 0
    assert model.components_.min() >= 0
    assert matched_components(H, model.components_)[1].min() > 0.95
    assert_allclose(model.shares_.sum(), 1)
    assert (np.diff(model.shares_) <= 0).all()
    assert model.condition_ >= 1
    assert model.restart_agreement_ == 1.0
    assert np.diff(model.history_).max() <= 1e-3 * model.history_[0]  # rounding of float32
    assert_allclose(model.transform(X), W, rtol=1e-4, atol=2e-3 * W.max())
    assert_allclose(model.score(X), -model.reconstruction_err_, rtol=1e-4)
    if model.weights == "simplex":
        assert_allclose(W.sum(axis=1), 1, rtol=1e-5)
    if model.weights == "nonnegative" or model.loss == "kullback-leibler":
        assert_allclose(model.components_.sum(axis=1), 1, rtol=1e-5)


def test_reconstruction_error_is_that_of_scikit_learn():
    X, _, _ = mixtures(noise=0.5)
    for loss, solver in (("frobenius", "cd"), ("kullback-leibler", "mu")):
        ours = SimplexNMF(3, loss=loss, n_init=4, tol=1e-7, max_iter=5000, random_state=0).fit(X)
        errors = [
            NMF(3, init="random", solver=solver, beta_loss=loss, tol=1e-7, max_iter=5000,
                random_state=seed).fit(X).reconstruction_err_
            for seed in range(4)
        ]  # fmt: skip
        assert_allclose(ours.reconstruction_err_, min(errors), rtol=1e-3)
        W = ours.transform(X)
        if loss == "frobenius":
            norm = np.linalg.norm(X - ours.inverse_transform(W))
            assert_allclose(ours.reconstruction_err_, norm, rtol=1e-9)


def test_separable_rows_are_anchors_and_exact():
    X, W, H = mixtures(noise=0.0)
    model = SimplexNMF(3, weights="simplex", tol=1e-9, max_iter=3000).fit(X)
    assert set(model.anchors_) == {0, 1, 2}
    order, _ = matched_components(H, model.components_)
    # Simplices that are a little larger fit as well.
    assert_allclose(model.components_[order], H, atol=0.02)
    assert_allclose(model.transform(X)[:, order], W, atol=0.02)


def test_sparse_rows_are_dense_rows(model):
    X, _, _ = mixtures()
    expected = clone(model).fit(X)
    for kind in (csr_array, csc_matrix, coo_array):
        found = clone(model).fit(kind(X))
        assert_allclose(found.components_, expected.components_, atol=1e-6)
        assert_allclose(found.reconstruction_err_, expected.reconstruction_err_, rtol=1e-5)
        assert_allclose(expected.transform(kind(X)), expected.transform(X), atol=1e-7)


def test_sparse_duplicates_are_summed(model):
    X = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    rows, columns = X.nonzero()
    halves = np.tile(X[rows, columns] / 2, 2)
    twice = csr_array((halves, (np.tile(rows, 2), np.tile(columns, 2))), shape=X.shape)
    raw = csr_array((np.r_[0.5, 0.5, 2.0], [0, 0, 1], [0, 3, 3]), shape=(2, 3))
    assert_allclose(clone(model).fit(twice).components_, clone(model).fit(X).components_, atol=1e-7)
    fitted = clone(model).fit(X)
    assert_allclose(fitted.transform(raw)[0], fitted.transform([[1.0, 2.0, 0.0]])[0], atol=1e-9)


@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED_LAYOUTS])
def test_layouts_are_one(model, layout, tmp_path):
    X, _, _ = mixtures()
    expected = clone(model).fit(X)
    found = clone(model).fit((LAYOUTS | COPIED_LAYOUTS)[layout](X, tmp_path))
    assert_allclose(found.components_, expected.components_, atol=1e-7)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.float16, object])
def test_other_numbers_are_taken_as_double(model, kind):
    X = np.round(10 * mixtures()[0]).astype(kind)
    found = clone(model).fit(X)
    assert_array_equal(found.components_, clone(model).fit(X.astype(np.float64)).components_)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_errors_of_sparse_rows_are_in_range(scale):
    X = csr_array(np.maximum(np.random.default_rng(0).random((20, 6)) - 0.4, 0), dtype=np.float32)
    one = SimplexNMF(2, random_state=0).fit(X)
    scaled = (X * np.float32(scale)).astype(np.float32)
    other = SimplexNMF(2, random_state=0).fit(scaled)
    assert_allclose(other.reconstruction_err_ / scale, one.reconstruction_err_, rtol=1e-3)
    assert_allclose(other.score(scaled) / scale, one.score(X), rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_does_not_matter(model, scale, dtype):
    X, _, _ = mixtures(dtype=dtype)
    one, other = clone(model).fit(X), clone(model).fit((X * dtype(scale)).astype(dtype))
    norm = scale if model.weights == "simplex" and model.loss == "frobenius" else 1.0
    assert_allclose(other.components_ / dtype(norm), one.components_, atol=2e-3)
    assert abs(other.n_iter_ - one.n_iter_) <= 5
    unit = scale if model.loss == "frobenius" else np.sqrt(scale)
    assert_allclose(other.reconstruction_err_ / unit, one.reconstruction_err_, rtol=0.02)
    ratio = scale if model.weights == "nonnegative" else 1.0
    W = other.transform((X * dtype(scale)).astype(dtype)) / dtype(ratio)
    assert_allclose(W, one.transform(X), atol=5e-3 * one.transform(X).max())


def test_a_seed_is_an_answer_and_more_starts_are_better():
    X, _, _ = mixtures(noise=1.0)
    options = {"init": "random", "random_state": 3, "tol": 1e-6, "max_iter": 5000}
    fits = [SimplexNMF(4, n_init=n, **options).fit(X) for n in (1, 1, 6)]
    assert_array_equal(fits[0].components_, fits[1].components_)
    assert fits[2].reconstruction_err_ <= fits[0].reconstruction_err_ * (1 + 1e-9)
    assert 0 < fits[2].restart_agreement_ <= 1
    assert fits[0].anchors_ is None


def test_restarts_agree_where_data_decide():
    X, _, _ = mixtures(n=300, noise=0.01)
    model = SimplexNMF(3, n_init=4, random_state=0, max_iter=2000, tol=1e-6).fit(X)
    assert model.restart_agreement_ > 0.99
    noise = np.random.default_rng(0).random((60, 20))
    model = SimplexNMF(8, n_init=4, random_state=0, max_iter=2000).fit(noise)
    assert model.restart_agreement_ < 0.97


@pytest.mark.parametrize("init", ["auto", "svd", "random", "successive_projection"])
def test_every_start_finds_the_rows(model, init):
    X, _, H = mixtures()
    model.set_params(init=init, n_init=3, tol=1e-5, max_iter=3000)
    assert matched_components(H, model.fit(X).components_)[1].min() > 0.95


def test_given_components_keep_their_order(model):
    X, _, H = mixtures()
    model.set_params(init=H[::-1].tolist())
    order, cosines = matched_components(H[::-1], model.fit(X).components_)
    assert_array_equal(order, [0, 1, 2])
    assert cosines.min() > 0.95


def test_weights_are_repetitions_in_any_order(model):
    X, _, _ = mixtures(noise=0.3)
    weight = np.random.default_rng(1).integers(0, 4, len(X))
    order = np.random.default_rng(2).permutation(len(X))
    repeated = np.repeat(X, weight, axis=0)
    one = clone(model).fit(X[order], sample_weight=weight[order])
    other = clone(model).fit(repeated)
    assert_allclose(one.components_, other.components_, atol=1e-6)
    assert_allclose(one.reconstruction_err_, other.reconstruction_err_, rtol=1e-7)
    assert_allclose(one.shares_, other.shares_, rtol=1e-6)
    score = one.score(X, sample_weight=weight)
    assert_allclose(score, one.score(repeated), rtol=1e-9)


def test_missing_cells_have_no_influence_and_are_predicted():
    X, _, _ = mixtures(n=100, noise=0.0)
    absent = np.random.default_rng(1).random(X.shape) < 0.25
    holes = np.where(absent, np.nan, X)
    model = SimplexNMF(3, missing_values=np.nan, tol=1e-9, max_iter=5000)
    weights = model.fit_transform(holes)
    assert_allclose(model.inverse_transform(weights)[absent], X[absent], atol=0.02)
    assert model.reconstruction_err_ < 1e-3
    garbage = np.where(absent, 77.0, X)
    other = SimplexNMF(3, tol=1e-9, max_iter=5000).fit(garbage, cell_weight=~absent)
    assert_array_equal(other.components_, model.components_)
    found = other.transform(garbage, cell_weight=~absent)
    assert_array_equal(found, model.transform(holes))
    assert_array_equal(model.transform(np.full((1, 20), np.nan)), np.zeros((1, 3)))


def test_missing_values_without_any_are_a_plain_fit():
    X, _, _ = mixtures()
    one, other = SimplexNMF(3).fit(X), SimplexNMF(3, missing_values=np.nan).fit(X)
    assert_array_equal(one.components_, other.components_)


def test_rows_and_columns_without_a_cell():
    X, _, _ = mixtures()
    X[5], X[:, 2] = np.nan, np.nan
    model = SimplexNMF(3, missing_values=np.nan, random_state=0)
    W = model.fit_transform(X)
    assert_array_equal(W[5], 0)
    assert_array_equal(model.components_[:, 2], 0)
    assert np.isfinite(W).all()
    assert np.isfinite(model.reconstruction_err_)


def test_penalties_are_those_of_scikit_learn():
    X, _, _ = mixtures(noise=0.3)
    options = {"alpha_W": 0.002, "alpha_H": 0.001, "l1_ratio": 0.5}
    ours = SimplexNMF(3, tol=1e-9, max_iter=5000, **options)
    W = ours.fit_transform(X)
    theirs = NMF(3, init="custom", tol=1e-6, max_iter=5000, **options)
    again = theirs.fit_transform(X, W=W.copy(), H=ours.components_.copy())
    assert_allclose(again, W, atol=1e-4 * W.max())
    assert_allclose(theirs.components_, ours.components_, atol=1e-4 * ours.components_.max())
    sparser = SimplexNMF(3, alpha_W=0.05, l1_ratio=1.0, max_iter=5000).fit_transform(X)
    assert (sparser == 0).mean() > (W == 0).mean()


def test_a_small_volume_finds_vertices_that_no_row_is():
    rng = np.random.default_rng(0)
    H = rng.random((3, 10))
    W = rng.dirichlet(np.ones(3), 3000)
    X = W[W.max(axis=1) < 0.8] @ H
    X = np.maximum(X + 0.01 * rng.normal(size=X.shape), 0)
    errors = []
    for min_volume in (0.0, 0.03, 3.0):
        model = SimplexNMF(3, weights="simplex", min_volume=min_volume, max_iter=3000).fit(X)
        order, _ = matched_components(H, model.components_)
        errors.append(np.abs(model.components_[order] - H).max())
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] > 2 * errors[1]


def test_intervals_cover_what_noise_moves():
    X, _, _ = mixtures(n=200, noise=0.1)
    model = SimplexNMF(3, random_state=0, max_iter=2000).fit(X)
    interval = model.components_interval(X, 0.9, n_bootstrap=40)
    assert interval.low.shape == interval.high.shape == (3, 20)
    assert (interval.low <= interval.high).all()
    inside = (interval.low <= model.components_) & (model.components_ <= interval.high)
    assert inside.mean() > 0.7
    assert interval.agreement.min() > 0.95
    wider = model.components_interval(X, 0.99, n_bootstrap=40)
    assert (wider.high - wider.low >= interval.high - interval.low - 1e-12).all()
    few = SimplexNMF(3, random_state=0, max_iter=2000).fit(X[:50])
    assert few.components_interval(X[:50], n_bootstrap=20).standard_error.mean() > (
        interval.standard_error.mean()
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_intervals_of_every_setting(setting):
    X, _, _ = mixtures(n=60)
    model = SimplexNMF(2, random_state=0, **SETTINGS[setting]).fit(X)
    interval = model.components_interval(X, n_bootstrap=5)
    assert np.isfinite(interval.standard_error).all()
    assert (interval.high >= 0).all()


EDGES = {
    "one_row": np.array([[1.0, 2.0, 0.0]]),
    "one_column": np.array([[1.0], [2.0], [0.0]]),
    "zeros": np.zeros((4, 3)),
    "constant": np.full((5, 4), 7.0),
    "zero_row_and_column": np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [3.0, 0.0, 1.0]]),
    "duplicates": np.repeat([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]], 5, axis=0),
    "single_cell": np.array([[0.0, 0.0], [0.0, 5.0]]),
}


@pytest.mark.parametrize("n_components", [1, 2, 6])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_edges(model, edge, n_components):
    X = EDGES[edge]
    for kind in (np.asarray, csr_array):
        for init in ("random", "svd", "successive_projection"):
            each = clone(model).set_params(n_components=n_components, init=init)
            W = each.fit_transform(kind(X))
            assert np.isfinite(W).all()
            assert np.isfinite(each.components_).all()
            assert np.isfinite(each.reconstruction_err_)
            assert np.isfinite(each.transform(kind(X))).all()
    exact = edge in {"one_row", "zeros", "constant", "one_column", "single_cell"}
    if exact and model.weights == "nonnegative":
        tolerance = 1e-2 if model.loss == "kullback-leibler" else 1e-5
        assert each.reconstruction_err_ <= tolerance * max(1.0, np.linalg.norm(X))


def test_pipelines_pickles_and_frames():
    pandas = pytest.importorskip("pandas")
    X, _, _ = mixtures()
    frame = pandas.DataFrame(X, columns=[f"x{j}" for j in range(20)])
    model = SimplexNMF(3).set_output(transform="pandas")
    out = make_pipeline(FunctionTransformer(), model).fit_transform(frame)
    assert list(out.columns) == ["simplexnmf0", "simplexnmf1", "simplexnmf2"]
    assert list(model.feature_names_in_) == list(frame.columns)
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.transform(frame), out, atol=1e-10)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "kullback-leibler", "n_init": 3},
        {"weights": "simplex", "min_volume": 0.02, "n_init": 2},
    ],
)
def test_all_starts_and_the_polish_may_run_out_of_iterations(options):
    model = SimplexNMF(3, max_iter=15, tol=0.0, random_state=0, **options)
    with pytest.warns(ConvergenceWarning, match="did not converge in 15"):
        model.fit(np.random.default_rng(0).random((30, 8)))


def test_intervals_are_those_of_the_fit_with_its_volume():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(3), size=400)
    weights = weights[weights.max(axis=1) < 0.8]
    X = weights @ rng.random((3, 20)) + 0.002 * rng.random((len(weights), 20))
    model = SimplexNMF(3, weights="simplex", min_volume=0.3, max_iter=3000, random_state=0).fit(X)
    interval = model.components_interval(X, n_bootstrap=20)
    width = np.abs(interval.high - interval.low).mean()
    middle = (interval.high + interval.low) / 2
    assert np.abs(middle - model.components_).mean() < 2 * width
