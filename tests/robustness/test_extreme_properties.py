"""Single inputs that property tests have found, each of which was a fault once."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from clusterlib.blocks import as_blocks
from clusterlib.cluster import (
    BalancedKMeans,
    ClusteredMemory,
    KMeans,
    MiniBatchKMeans,
    SinkhornClustering,
    SphericalKMeans,
)
from clusterlib.decomposition import SimplexNMF
from clusterlib.imbalance import (
    NoisyLabelClassifier,
    RepresentationCalibrator,
    SubclassBalancer,
    SubclassClassifier,
)
from clusterlib.kernels import (
    available_backends,
    pairwise_distances,
    sinkhorn_iterate_points,
    sinkhorn_sweep,
    sinkhorn_sweep_points,
)
from clusterlib.label_shift import (
    EMShiftEstimator,
    IdentifiabilityWarning,
    LatentLabelShift,
)
from clusterlib.transport import OTPrototypeClassifier, SinkhornTransport
from tests.robustness.strategies import Rows

FAR = np.vstack([np.eye(3), np.full((1, 3), 1e200)])
FLAT = [KMeans(2, random_state=0), MiniBatchKMeans(2, batch_size=2, random_state=0)]
DIRECTED = [SphericalKMeans(2, random_state=0), SinkhornClustering(2, random_state=0)]


@pytest.mark.parametrize("model", FLAT, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_rows_whose_squares_leave_the_range_are_refused(model, scale):
    with pytest.raises(ValueError, match=r"largest absolute value from 3.1e-151 to 4.5e\+133"):
        model.fit(scale * np.eye(3))
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("method", ["predict", "transform", "score"])
@pytest.mark.parametrize("model", FLAT, ids=lambda model: type(model).__name__)
def test_new_rows_whose_squares_leave_the_range_are_refused(model, method):
    model.fit(np.eye(3))
    with pytest.raises(ValueError, match=r"largest absolute value .* got 1e\+200"):
        getattr(model, method)(FAR)
    assert np.isfinite(getattr(model, method)(1e-200 * np.eye(3))).all()


def test_batches_whose_squares_leave_the_range_are_refused():
    model = MiniBatchKMeans(2, random_state=0).partial_fit(np.eye(3))
    before = model.cluster_centers_.copy()
    with pytest.raises(ValueError, match=r"largest absolute value .* got 1e\+200"):
        model.partial_fit(FAR)
    np.testing.assert_array_equal(model.cluster_centers_, before)
    assert model.n_steps_ == 1


def test_blocks_whose_squares_leave_the_range_are_refused_in_the_first_iteration():
    model = KMeans(2, init=np.eye(3)[:2], tol=0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"largest absolute value .* got 1e\+200"):
            model.fit(as_blocks(lambda: iter([FAR])))
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e130])
@pytest.mark.parametrize("carry", [np.asarray, as_blocks])
def test_directions_may_stand_still_at_once_whatever_their_lengths(carry, scale):
    model = SphericalKMeans(2, init=np.eye(2), n_init=1)
    X = scale * np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(model.fit(carry(X)).labels_, [0, 0, 1])
    assert model.n_iter_ == 1


@pytest.mark.parametrize("carry", [np.asarray, as_blocks])
@pytest.mark.parametrize("model", DIRECTED, ids=lambda model: type(model).__name__)
def test_directions_of_rows_that_kernels_would_shrink_to_nothing_are_refused(model, carry):
    message = r"largest absolute value .* got 1e\+200"
    with pytest.raises(ValueError, match=message):
        model.fit(carry(FAR))
    assert not hasattr(model, "n_features_in_")
    with pytest.raises(ValueError, match=message):
        clone(model).fit(np.eye(3)).predict(FAR)


def test_batches_of_directions_are_refused_like_fits():
    model = SinkhornClustering(2, random_state=0)
    for scale in (1e-200, 1e200):
        with pytest.raises(ValueError, match="largest absolute value"):
            model.partial_fit(scale * np.eye(3))
        assert not hasattr(model, "n_features_in_")
    model.partial_fit(np.eye(3)).partial_fit(1e-200 * np.eye(3))
    with pytest.raises(ValueError, match="largest absolute value"):
        model.partial_fit(FAR)
    assert model.n_steps_ == 2


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (BalancedKMeans(2), np.ones((1, 3))),
        (ClusteredMemory(2), np.ones((1, 3))),
        (ClusteredMemory(2), np.zeros((3, 3))),
    ],
)
def test_a_refused_fit_leaves_nothing(model, X):
    before = dict(vars(model))
    with pytest.raises(ValueError, match=r"n_samples=1|no row with a direction"):
        model.fit(X)
    assert vars(model) == before


def test_a_refused_batch_leaves_a_memory_as_it_was():
    memory = ClusteredMemory(2, capacity=4, random_state=0).fit(np.eye(4))
    before = memory.n_steps_, memory.bank_.copy()
    with pytest.raises(ValueError, match="n_clusters=3 cannot"):
        memory.set_params(n_clusters=3).partial_fit(np.ones((2, 4)))
    assert memory.n_steps_ == before[0]
    np.testing.assert_array_equal(memory.bank_, before[1])


def near_classes(scale=1.0):
    rng = np.random.default_rng(0)
    y = np.arange(30) % 3
    return scale * (rng.normal(size=(30, 4)) + 5 * np.eye(4)[y]), y


@pytest.mark.parametrize(
    "model",
    [
        SimplexNMF(2),
        SinkhornTransport(),
        OTPrototypeClassifier(),
        SubclassBalancer(),
        SubclassClassifier(),
        NoisyLabelClassifier(),
        EMShiftEstimator(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_fit_on_rows_that_are_not_finite_leaves_nothing(model):
    X, y = near_classes()
    X[3, 1] = np.nan
    before = dict(vars(model))
    arguments = {"target": X} if isinstance(model, SinkhornTransport) else {}
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, y, **arguments)
    assert vars(model) == before


def test_a_refused_batch_leaves_an_estimate_as_it_was():
    X, y = near_classes()
    model = EMShiftEstimator().fit(X, y).adapt(X)
    prior = model.target_prior_
    with pytest.raises(ValueError, match="NaN"):
        model.adapt(np.full((2, 4), np.nan))
    assert model.target_prior_ is prior


@pytest.mark.parametrize("seed", [-1, 2**40, 1.5, "seed", (), np.nan])
def test_a_seed_that_is_none_is_named(seed):
    with pytest.raises(ValueError, match=r"random_state must be None, an int in \[0, 4294967295\]"):
        KMeans(2, random_state=seed).fit(np.eye(3))


@pytest.mark.parametrize("value", [10**30, 10**400])
def test_an_integer_is_a_real_number_up_to_the_largest(value):
    model = KMeans(2, init=np.eye(3)[:2], tol=value)
    if value == 10**30:
        assert model.fit(np.eye(3)).converged_
    else:
        with pytest.raises(ValueError, match=r"tol must be a float in \[0, inf\); got 1000"):
            model.fit(np.eye(3))


@pytest.mark.parametrize("init", [1.5, None, {}, [["a"]]])
def test_components_to_start_at_that_are_no_matrix_are_named(init):
    with pytest.raises((TypeError, ValueError), match="init must be a word or a matrix"):
        SimplexNMF(2, init=init).fit(np.eye(3))


@pytest.mark.parametrize("folds", [(1,), {}, [(0, 1, 2)], np.eye(3), [([0], [99])]])
def test_folds_that_are_none_are_named(folds):
    X, y = near_classes()
    with pytest.raises((TypeError, ValueError), match="cross_fit must"):
        EMShiftEstimator(cross_fit=folds).fit(X, y)


def test_probabilities_of_zero_are_no_warning():
    X, y = near_classes(1e10)
    options = {"marginals": "uniform", "normalize": None, "classifier": "logistic"}
    model = OTPrototypeClassifier(0.05, **options).fit(X, y)
    assert np.mean(model.predict(X) == y) == 1
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_a_shrinkage_beyond_all_rows_is_the_pooled_covariance():
    X, y = near_classes(1e10)
    huge, infinite = (
        RepresentationCalibrator(shrinkage=value, random_state=0).fit(X, y)
        for value in (1e300, np.inf)
    )
    np.testing.assert_allclose(huge.label_quality_, infinite.label_quality_, atol=1e-9)


@pytest.mark.parametrize(
    "model",
    [KMeans(2), SphericalKMeans(2), BalancedKMeans(2), SimplexNMF(2), SinkhornClustering(2)],
    ids=lambda model: type(model).__name__,
)
def test_weights_beyond_all_numbers_of_rows_are_refused(model):
    with pytest.raises(
        ValueError, match=r"sample_weight must be at most 1e\+30, .* got 1e\+300 in"
    ):
        model.fit(np.eye(3), sample_weight=np.full(3, 1e300))


def test_weights_that_vanish_beside_squares_are_refused():
    X, y = near_classes(1e15)
    with pytest.raises(ValueError, match=r"sample_weight must have a sum above 1e-301 times"):
        NoisyLabelClassifier(head="transition").fit(X, y, sample_weight=1e-300)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_prototypes_of_rows_whose_squares_leave_the_range_are_refused(scale):
    with pytest.raises(ValueError, match="largest absolute value from"):
        SinkhornClustering(2).fit(scale * np.eye(3))


@pytest.mark.parametrize("model", [KMeans(2), BalancedKMeans(2), SphericalKMeans(2)])
def test_a_number_of_starts_that_nobody_can_wait_for_is_refused(model):
    model.set_params(n_init=10**30, init="random")
    with pytest.raises(ValueError, match="n_init must be at most 1000000; got 1000000000000000"):
        model.fit(np.eye(3))


@pytest.mark.skipif(
    not hasattr(KMeans, "set_callbacks"), reason="scikit-learn below 1.9 has no callbacks"
)
@pytest.mark.parametrize("model", [KMeans(2), BalancedKMeans(2), MiniBatchKMeans(2)])
def test_callbacks_are_torn_down_after_an_error(model):
    class Failing:
        torn_down = False

        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, *args, **kwargs):
            raise ValueError("the callback has failed")

        def on_fit_task_end(self, *args, **kwargs):
            pass

        def teardown(self, estimator, context):
            self.torn_down = True

    callback = Failing()
    model.set_callbacks(callback)
    with pytest.raises(ValueError, match="the callback has failed"):
        model.fit(np.eye(4))
    assert callback.torn_down
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "inner_product"])
@pytest.mark.parametrize("scale", [1e20, 1e30])
@pytest.mark.parametrize("backend", available_backends())
def test_costs_of_points_whose_squares_overflow_are_finite(backend, scale, metric):
    X = np.array([[scale], [-0.25], [0.5]], dtype=np.float32)
    Y, epsilon = X[[1, 2, 2]], scale**2 if metric == "sqeuclidean" else scale
    log_a, log_b = np.log(np.full(3, 1 / 3)), np.log(np.full(3, 1 / 3))
    expected, found = np.zeros(3), np.zeros(3)
    arguments = {"metric": metric, "backend": backend}
    sinkhorn_sweep_points(
        X.astype(float), Y.astype(float), epsilon, log_a, expected, np.zeros(3), **arguments
    )
    sums = sinkhorn_sweep_points(X, Y, epsilon, log_a, found, np.zeros(3), **arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(sums.sum(), 1)
    history = sinkhorn_iterate_points(
        X, Y, epsilon, log_a, log_b, found, np.zeros(3), n_iters=2, **arguments
    )
    assert np.isfinite(history).all() and np.isfinite(found).all()


def test_an_epsilon_whose_inverse_has_lost_its_digits_is_refused():
    with pytest.raises(ValueError, match="epsilon must be at most 4.49e\\+307, got 1.7e\\+308"):
        sinkhorn_sweep(np.eye(2), 1.7e308, np.zeros(2), np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("backend", available_backends())
def test_near_rows_are_near_though_squares_of_others_overflow(backend):
    X = np.array([[0.125, 0.5], [1e30, 1.0]], dtype=np.float32)
    found = pairwise_distances(X, X[[0, 0, 1, 1, 1]], backend=backend)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, :2], [[0, 0], [np.inf, np.inf]])
    np.testing.assert_array_equal(found[:, 2:], [[np.inf] * 3, [0] * 3])


def test_subclasses_of_a_least_size_beyond_all_rows_are_classes():
    X, y = near_classes()
    model = SubclassBalancer(delta=10**30).fit(X, y)
    np.testing.assert_array_equal(model.subclass_labels_, y)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_domains_of_rows_whose_squares_leave_the_range_are_refused(scale):
    X, y = near_classes(scale)
    with pytest.raises(ValueError, match="largest absolute value from"):
        LatentLabelShift(2).fit(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cost_scale", [1e-300, 1e-30, 1e300])
@pytest.mark.parametrize("marginals", ["adaptive", "uniform"])
def test_a_unit_of_costs_that_leaves_no_numbers_is_refused(marginals, cost_scale, dtype):
    X, y = near_classes()
    model = OTPrototypeClassifier(cost_scale=cost_scale, marginals=marginals)
    model.fit(X.astype(dtype), y)
    if cost_scale == 1e300 and dtype is np.float64:
        assert np.mean(model.predict(X) == y) == 1
        return
    with pytest.raises(ValueError, match=r"cost_scale must be from .* for epsilon=0.03 and"):
        model.predict(X.astype(dtype))


def test_a_student_cannot_be_judged_by_domains_of_one_row():
    model = LatentLabelShift(2, n_init=2, student="auto", random_state=0)
    with pytest.warns(IdentifiabilityWarning):
        model.fit(Rows("blobs", 2, 1, "float64", 0).make(), [2, 1])
    assert model.student_ is None and np.isnan(model.student_gain_)


def test_a_start_may_rule_out_the_domain_of_a_row():
    model = LatentLabelShift(2, n_init=2, student="auto", random_state=0)
    with pytest.warns(IdentifiabilityWarning):
        model.fit(Rows("blobs", 6, 1, "float64", 0).make(), [2, 1, 1, 0, 0, 0])
    assert model.history_[0] == -np.inf
    assert np.isfinite(model.history_[1:]).all() and np.isfinite(model.student_gain_)


@pytest.mark.parametrize(
    "model",
    [
        KMeans(3, tol=0),
        KMeans(3, init="random", tol=0),
        SinkhornClustering(3),
        LatentLabelShift(3),
        LatentLabelShift(3, method="ddfa"),
        LatentLabelShift(3, n_micro_clusters=10),
    ],
    ids=lambda model: repr(model).replace(" ", ""),
)
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e200, 1e300])
def test_blocks_of_rows_whose_squares_leave_the_range_are_refused(model, scale):
    X, y = near_classes(scale)
    before = dict(vars(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="X must have its largest absolute value from"):
            model.fit(as_blocks(lambda: iter(np.split(X, 3))), y)
    assert vars(model) == before


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e-38), (np.float64, 5e-324)])
def test_penalties_beside_next_to_nothing_leave_nothing(dtype, scale, missing):
    """In units of the rows they are larger than any number."""
    X = np.array([[scale, 0], [scale, scale], [0, scale]], dtype)
    model = SimplexNMF(2, alpha_W=0.001, l1_ratio=0.5, missing_values=missing, random_state=0)
    assert not model.fit_transform(X).any()
    assert not model.components_.any()
    assert np.isfinite(model.transform(X)).all()
