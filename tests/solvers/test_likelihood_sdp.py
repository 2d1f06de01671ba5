"""The alternation: its objective, what it returns, hard settings, awkward data."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from clusterlib.datasets import make_heterogeneous_mixture
from clusterlib.metrics import clustering_accuracy
from clusterlib.solvers import CovarianceType, StartKind, Trace, likelihood_sdp

TYPES = list(CovarianceType)
CROSSED = make_heterogeneous_mixture("crossed", 90, random_state=0)


def found(X, n_clusters=3, seed=0, **options):
    return likelihood_sdp(X, n_clusters, rng=np.random.default_rng(seed), **options)


def matrices(result):
    n_groups, p = result.means.shape
    covariances = result.covariances
    if result.covariance_type is CovarianceType.SPHERICAL:
        covariances = covariances[:, None, None] * np.eye(p)
    elif result.covariance_type is CovarianceType.DIAG:
        covariances = covariances[:, :, None] * np.eye(p)
    return np.broadcast_to(covariances, (n_groups, p, p))


def log_joint(result, X):
    return np.stack(
        [
            np.log(weight) + multivariate_normal(mean, covariance).logpdf(X)
            for weight, mean, covariance in zip(
                result.weights, result.means, matrices(result), strict=True
            )
        ],
        axis=1,
    )


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_labels_are_those_of_the_groups(covariance_type, estimated):
    X = CROSSED.X * [1.0, 30.0, 0.1, 1.0] + 50.0
    result = found(X, covariance_type=covariance_type, estimated_weights=estimated, n_init=4)
    joint = log_joint(result, X)
    np.testing.assert_array_equal(joint.argmax(axis=1), result.labels)
    assert joint.max(axis=1).sum() == pytest.approx(result.log_likelihood, rel=1e-9)
    assert result.weights.sum() == pytest.approx(1.0)
    assert (np.ptp(result.weights) > 1e-6) == estimated
    assert result.labels.dtype == np.int32
    assert result.covariance_type is covariance_type
    assert result.estimated_weights is estimated
    np.testing.assert_allclose(result.memberships.sum(axis=1), 1.0)
    assert (result.memberships.argmax(axis=1) == result.labels).mean() > 0.95


@pytest.mark.parametrize("trace", list(Trace))
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_lifted_objective_never_falls(covariance_type, rank, trace):
    for seed in range(3):
        X = np.random.default_rng(seed).normal(size=(60, 3))
        result = found(X, covariance_type=covariance_type, rank=rank, trace=trace, n_init=2)
        assert len(result.objective_history) == result.n_iter >= 1
        assert (np.diff(result.objective_history) > 0).all()
        # A relaxation; classification EM has the last word, but no feasible point is above it.
        if rank > 1:
            assert result.objective_history[-1] > result.map_objective - 1.0


@pytest.mark.parametrize("lifted", [False, True])
def test_both_updates_of_covariances_find_separate_groups(lifted):
    data = make_heterogeneous_mixture("concentric", random_state=1)
    result = found(data.X, 2, lifted=lifted, covariance_type=CovarianceType.FULL, n_init=4)
    assert clustering_accuracy(data.labels, result.labels) > 0.97


def test_groups_that_trap_em_and_k_means():
    for seed in range(2):
        data = make_heterogeneous_mixture("elongated", random_state=seed)
        assert clustering_accuracy(data.labels, found(data.X).labels) > 0.98


@pytest.mark.parametrize("start", [StartKind.KMEANS, StartKind.WARD])
def test_alike_groups_need_no_good_start(start):
    data = make_heterogeneous_mixture("elongated", random_state=0)
    options = {"covariance_type": CovarianceType.TIED, "estimated_weights": False}
    result = found(data.X, start=start, n_init=1, **options)
    assert clustering_accuracy(data.labels, result.labels) > 0.98


def test_the_model_is_chosen_by_the_data():
    balls = make_heterogeneous_mixture("wide_and_tight", random_state=0)
    result = found(balls.X)
    assert result.covariance_type is CovarianceType.SPHERICAL
    unequal = make_heterogeneous_mixture("unequal_sizes", random_state=4)
    assert found(unequal.X).estimated_weights
    alike = make_heterogeneous_mixture("elongated", random_state=0)
    result = found(alike.X @ np.array([[0.8, 0.6], [-0.6, 0.8]]))
    assert result.covariance_type is CovarianceType.TIED
    crossed = make_heterogeneous_mixture("crossed", random_state=0)
    turned = crossed.X @ np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    result = found(turned)
    assert result.covariance_type is CovarianceType.FULL
    criteria = [found(turned, covariance_type=one).corrected_aic for one in TYPES]
    assert result.corrected_aic == pytest.approx(min(criteria), rel=1e-3)


def test_known_covariances_find_the_right_groups():
    # One solve with one column for each group ends far below the truth from random starts.
    reached = 0
    for seed in range(10):
        data = make_heterogeneous_mixture("nested", random_state=seed)
        order = np.random.default_rng(seed).permutation(4)
        known = data.covariances[order]
        result = found(data.X, 4, covariances=known, estimated_weights=False, n_init=3)
        np.testing.assert_allclose(result.covariances, known, rtol=1e-9, atol=1e-9)
        assert result.n_iter == 1
        truth = 0.0
        for k in range(4):
            rows = data.X[data.labels == k]
            normal = multivariate_normal(rows.mean(axis=0), data.covariances[k])
            truth += normal.logpdf(rows).sum() - len(rows) * np.log(4)
        joint = log_joint(result, data.X)[np.arange(len(data.X)), result.labels].sum()
        reached += joint >= truth - 1e-6
    assert reached >= 9


@pytest.mark.parametrize("covariance_type", [CovarianceType.FULL, CovarianceType.TIED])
def test_maps_of_the_data_move_nothing_but_the_likelihood(covariance_type):
    X, rng = CROSSED.X, np.random.default_rng(3)
    axes = rng.normal(size=(4, 4)) * [1e-4, 1.0, 1e4, 10.0]
    options = {"covariance_type": covariance_type, "labels": CROSSED.labels.astype(np.int32)}
    left, right = found(X, **options), found(X @ axes + 1e3, **options)
    np.testing.assert_array_equal(left.labels, right.labels)
    shift = len(X) * np.linalg.slogdet(axes)[1]
    assert right.log_likelihood == pytest.approx(left.log_likelihood - shift, rel=1e-8)
    expected = axes.T @ left.covariances @ axes
    scale = np.sqrt(np.einsum("...ii->...i", expected))
    scale = scale[..., :, None] * scale[..., None, :]
    np.testing.assert_allclose(right.covariances / scale, expected / scale, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_units_and_origin_do_not_matter(covariance_type, scale):
    left = found(CROSSED.X, covariance_type=covariance_type)
    right = found(CROSSED.X * scale + 1e6 * scale, covariance_type=covariance_type)
    assert clustering_accuracy(left.labels, right.labels) == 1.0


def test_same_seed_same_answer_for_any_number_of_threads():
    results = [found(CROSSED.X, seed=5, rank=2, n_threads=n) for n in (1, 1, 2)]
    for result in results[1:]:
        for left, right in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("labels", [np.arange(90) % 3, np.zeros(90, dtype=int), [0, 1, 1] * 30])
def test_given_labels_are_a_start(labels):
    result = found(CROSSED.X, labels=np.asarray(labels, dtype=np.int32))
    assert np.isfinite(result.log_likelihood)
    truth = found(CROSSED.X, labels=CROSSED.labels.astype(np.int32))
    assert clustering_accuracy(CROSSED.labels, truth.labels) > 0.88


def test_callback_sees_rounds_and_stops_them():
    rounds = []

    def callback(n_iter, objective):
        rounds.append((n_iter, objective))
        return True

    result = found(CROSSED.X, n_init=3, callback=callback)
    assert [n_iter for n_iter, _ in rounds] == [1, 1, 1]
    assert np.isfinite([objective for _, objective in rounds]).all()
    # The last round starts from the best partition and needs no permission.
    assert result.n_iter <= 2


@pytest.mark.parametrize(("n", "n_clusters"), [(1, 1), (2, 2), (30, 1), (6, 5), (6, 6), (3, 2)])
@pytest.mark.parametrize("covariance_type", [None, *TYPES])
def test_as_many_groups_as_rows_and_one_group(n, n_clusters, covariance_type):
    X = np.random.default_rng(0).normal(size=(n, 3))
    result = found(X, n_clusters, covariance_type=covariance_type)
    assert len(np.unique(result.labels)) == n_clusters
    assert np.isfinite(result.log_likelihood)


AWKWARD = {
    "duplicates": np.repeat(np.random.default_rng(0).normal(size=(3, 2)), 10, axis=0),
    "constant": np.column_stack([np.random.default_rng(0).normal(size=30), np.ones(30)]),
    "collinear": np.random.default_rng(0).normal(size=(30, 1)) * [1.0, -2.0, 3.0],
    "wide": np.random.default_rng(0).normal(size=(10, 20)),
    "outlier": np.vstack([np.random.default_rng(0).normal(size=(30, 2)), [[1e8, 0.0]]]),
}


@pytest.mark.parametrize("covariance_type", [None, *TYPES])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_rows_have_finite_answers(name, covariance_type):
    result = found(AWKWARD[name], covariance_type=covariance_type, rank=2, n_init=5)
    for values in (result.log_likelihood, result.map_objective, result.means, result.covariances):
        assert np.isfinite(values).all()
    if name == "duplicates":
        assert len(np.unique(result.labels)) == 3


def test_many_rows_are_screened_by_a_sample():
    data = make_heterogeneous_mixture("unequal_balls", 6000, random_state=0)
    result = found(data.X)
    assert result.labels.shape == (6000,)
    assert result.memberships.shape == (6000, 3)
    assert clustering_accuracy(data.labels, result.labels) > 0.985
    np.testing.assert_array_equal(log_joint(result, data.X).argmax(axis=1), result.labels)
