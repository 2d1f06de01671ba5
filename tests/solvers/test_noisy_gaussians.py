"""Gaussian classes with wrong labels: a plain reference, what is planted, and hostile input."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, multivariate_t

from clusterlib.blocks import ArrayBlocks
from clusterlib.solvers import (
    noisy_gaussian_scores,
    noisy_gaussians,
    noisy_label_likelihood,
)

# Shrinkage and degrees of freedom.
FAMILIES = [(1.0, None), (20.0, None), (np.inf, None), (20.0, 4.0), (np.inf, 4.0)]


def planted(n=600, m=4, n_classes=4, noise=0.3, seed=0):
    """Rows of Gaussians of different shapes, their classes, and labels of which some are wrong."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_classes, 8.0))
    classes = rng.choice(n_classes, size=n, p=shares)
    means = 3 * rng.normal(size=(n_classes, m))
    factors = np.eye(m) + 0.4 * rng.normal(size=(n_classes, m, m))
    X = means[classes] + np.einsum("nij,nj->ni", factors[classes], rng.normal(size=(n, m)))
    wrong = rng.random(n) < noise
    # Half of the wrong labels go to the next class: the transition is not symmetric.
    others = np.where(rng.random(n) < 0.5, 1, rng.integers(1, n_classes, size=n))
    codes = np.where(wrong, (classes + others) % n_classes, classes)
    return X, classes, codes, means, factors @ factors.transpose(0, 2, 1)


def log_density(X, mean, covariance, dof):
    if dof is None:
        return multivariate_normal(mean, covariance).logpdf(X)
    return multivariate_t(mean, covariance, dof).logpdf(X)


def reference(X, codes, K, nu, dof, n_iter, prior_iter, weight=None, kappa=2.0, s=0.01, a=20.0):
    """The equations as they are written down, with all arrays of n x K numbers."""
    n, m = X.shape
    w = np.ones(n) if weight is None else weight
    total, onehot = w.sum(), np.eye(K)[codes]
    m0, T0 = w @ X / total, 0.7 * np.eye(K) + 0.3 * (w @ onehot) / total
    r, u, history, P, C = onehot, np.ones((n, K)), [], None, None
    for t in range(n_iter):
        share = w[:, None] * r * u
        N, V = (w[:, None] * r).sum(axis=0), share.sum(axis=0)
        if t < prior_iter:
            mu = (share.T @ X + kappa * m0) / (V + kappa)[:, None]
        else:
            B = kappa * np.linalg.inv(P)
            for k, A in enumerate(np.linalg.inv(C)):
                mu[k] = np.linalg.solve(V[k] * A + B, A @ (share[:, k] @ X) + B @ m0)
        S = np.array([(X - mu[k]).T @ (share[:, k, None] * (X - mu[k])) for k in range(K)])
        pool = S.sum(axis=0) / total
        if t < prior_iter:
            level = pool.trace() / m
            P = (1 - s) * pool + s * level * np.eye(m)
        if np.isinf(nu):
            C = np.repeat(((1 - s) * pool + s * level * np.eye(m))[None], K, axis=0)
        else:
            C = (S + nu * P) / (N + nu)[:, None, None]
        T = (w[:, None] * r).T @ onehot + a * T0
        T /= T.sum(axis=1, keepdims=True)
        pi = (N + 1) / (total + K)
        logs = np.stack([log_density(X, mu[k], C[k], dof) for k in range(K)], axis=1)
        joint = np.log(pi) + np.log(T.T[codes]) + logs
        lse = logsumexp(joint, axis=1)
        r = np.exp(joint - lse[:, None])
        if dof is not None:
            for k in range(K):
                d = X - mu[k]
                u[:, k] = (dof + m) / (dof + np.sum(d @ np.linalg.inv(C[k]) * d, axis=1))
        deviations = mu - m0
        prior = -0.5 * kappa * np.sum(deviations @ np.linalg.inv(P) * deviations)
        rows, level_matrix = (
            (nu, P) if np.isfinite(nu) else (total * s / (1 - s), level * np.eye(m))
        )
        for covariance in C if np.isfinite(nu) else C[:1]:
            trace = np.trace(np.linalg.solve(covariance, level_matrix))
            prior -= 0.5 * rows * (np.linalg.slogdet(covariance)[1] + trace)
        prior += a * np.sum(T0 * np.log(T)) + np.log(pi).sum()
        history.append(w @ lse + prior)
    return mu, C, P, T, pi, r[np.arange(n), codes], np.array(history)


def assert_same_fit(fit, other, tolerance=1e-8):
    for name, left, right in zip(fit._fields[:7], fit[:7], other[:7], strict=True):
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(("shrinkage", "dof"), FAMILIES)
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_is_that_of_the_equations(shrinkage, dof, weighted):
    X, _, codes, _, _ = planted(n=200)
    weight = np.random.default_rng(5).integers(0, 4, size=200) / 2 if weighted else None
    expected = reference(X, codes, 4, shrinkage, dof, 14, 8, weight)
    fit = noisy_gaussians(
        X,
        codes,
        4,
        shrinkage=shrinkage,
        degrees_of_freedom=dof,
        prior_iter=8,
        max_iter=14,
        tol=-np.inf,
        sample_weight=weight,
    )
    assert fit.n_iter == 14
    assert_same_fit(fit, expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("shrinkage", "dof"), FAMILIES)
def test_objective_never_falls_once_the_prior_stands(shrinkage, dof, seed):
    X, _, codes, _, _ = planted(n=150, noise=0.5, seed=seed)
    fit = noisy_gaussians(
        X,
        codes,
        4,
        shrinkage=shrinkage,
        degrees_of_freedom=dof,
        mean_rows=5.0,
        ridge=0.2,
        prior_iter=2,
        max_iter=60,
        tol=-np.inf,
    )
    assert len(fit.history) == fit.n_iter == 60
    gains = np.diff(fit.history[1:])
    assert gains.min() >= -1e-12 * np.abs(fit.history).max()
    assert gains[:5].max() > 1e-3


def test_converged_fit_is_a_stationary_point():
    X, _, codes, _, _ = planted()
    options = {"shrinkage": 8.0, "prior_iter": 5}
    fit = noisy_gaussians(X, codes, 4, max_iter=500, tol=1e-12, **options)
    assert fit.converged
    assert 6 < fit.n_iter < 500
    longer = noisy_gaussians(X, codes, 4, max_iter=fit.n_iter + 50, tol=-np.inf, **options)
    assert not longer.converged
    assert_same_fit(fit, longer._replace(history=longer.history[: fit.n_iter]), 1e-5)
    assert not noisy_gaussians(X, codes, 4, max_iter=6, tol=0.0, **options).converged


@pytest.mark.parametrize("dof", [None, 20.0])
def test_planted_gaussians_and_transition_are_recovered(dof):
    X, classes, codes, means, covariances = planted(n=20_000)
    fit = noisy_gaussians(X, codes, 4, shrinkage=4.0, degrees_of_freedom=dof)
    scale = 1.0 if dof is None else dof / (dof - 2)
    np.testing.assert_allclose(fit.means, means, atol=0.12)
    assert np.abs(scale * fit.covariances - covariances).max() < 0.2 * np.abs(covariances).max()
    transition = np.array([np.bincount(codes[classes == k], minlength=4) for k in range(4)])
    np.testing.assert_allclose(
        fit.transition, transition / transition.sum(axis=1, keepdims=True), atol=0.02
    )
    sizes = np.bincount(classes, minlength=4)
    np.testing.assert_allclose(fit.class_rows, sizes, rtol=0.03)
    np.testing.assert_allclose(fit.class_prior, sizes / len(X), atol=0.01)
    # The labels alone are far from all of this.
    assert np.abs(np.bincount(codes, minlength=4) / sizes - 1).max() > 0.05


def average_precision(wrong, scores):
    found = wrong[np.argsort(-scores, kind="stable")]
    return float(np.mean((np.cumsum(found) / np.arange(1, len(found) + 1))[found]))


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_wrong_labels_have_low_quality(noise):
    X, classes, codes, _, _ = planted(n=1500, noise=noise)
    fit = noisy_gaussians(X, codes, 4, shrinkage=8.0)
    wrong = codes != classes
    assert average_precision(wrong, 1 - fit.label_quality) > 0.9
    # And the numbers are probabilities: as many are wrong as they say.
    assert abs((1 - fit.label_quality).mean() - wrong.mean()) < 0.02
    decided = noisy_gaussian_scores(X, fit).argmax(axis=1)
    assert np.mean(decided == classes) > 0.97


@pytest.mark.parametrize(("shrinkage", "dof"), FAMILIES)
def test_weights_are_repetitions(shrinkage, dof):
    X, _, codes, _, _ = planted(n=200)
    weight = np.random.default_rng(1).integers(0, 4, size=200)
    options = {"shrinkage": shrinkage, "degrees_of_freedom": dof, "max_iter": 30, "tol": -np.inf}
    fit = noisy_gaussians(X, codes, 4, sample_weight=weight.astype(float), **options)
    again = noisy_gaussians(np.repeat(X, weight, axis=0), np.repeat(codes, weight), 4, **options)
    repeated = again._replace(label_quality=fit.label_quality)
    assert_same_fit(fit, repeated, 1e-7)
    quality = np.repeat(fit.label_quality, weight)
    np.testing.assert_allclose(quality, again.label_quality, atol=1e-8)


def test_numbers_of_classes_do_not_matter():
    X, _, codes, _, _ = planted()
    order = np.array([2, 0, 3, 1])
    fit = noisy_gaussians(X, codes, 4, shrinkage=8.0, max_iter=30, tol=-np.inf)
    moved = noisy_gaussians(X, order[codes], 4, shrinkage=8.0, max_iter=30, tol=-np.inf)
    back = moved._replace(
        means=moved.means[order],
        covariances=moved.covariances[order],
        transition=moved.transition[np.ix_(order, order)],
        class_prior=moved.class_prior[order],
    )
    assert_same_fit(fit, back, 1e-7)


@pytest.mark.parametrize(("shrinkage", "dof"), [(12.0, None), (np.inf, 5.0)])
def test_blocks_of_any_size_give_the_same_bits(shrinkage, dof):
    X, _, codes, _, _ = planted(n=17_500, m=6)
    X = X.astype(np.float32)
    weight = np.random.default_rng(3).random(len(X))
    options = {
        "shrinkage": shrinkage,
        "degrees_of_freedom": dof,
        "sample_weight": weight,
        "prior_iter": 2,
        "max_iter": 4,
    }
    whole = noisy_gaussians(X, codes, 4, **options)
    for block_rows in (4096, 8192, 16384):
        blocks = ArrayBlocks(X, block_rows)
        assert len(blocks) > 1
        cut = noisy_gaussians(blocks, codes, 4, **options)
        for name, left, right in zip(whole._fields, whole, cut, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=name)
        np.testing.assert_array_equal(
            noisy_gaussian_scores(blocks, cut), noisy_gaussian_scores(X, whole)
        )
        np.testing.assert_array_equal(
            noisy_label_likelihood(blocks, codes, cut), noisy_label_likelihood(X, codes, whole)
        )


@pytest.mark.parametrize(("shrinkage", "dof"), FAMILIES)
def test_scores_and_likelihood_are_those_of_scipy(shrinkage, dof):
    X, _, codes, _, _ = planted(n=120)
    fit = noisy_gaussians(X, codes, 4, shrinkage=shrinkage, degrees_of_freedom=dof)
    expected = np.stack(
        [log_density(X, fit.means[k], fit.covariances[k], dof) for k in range(4)], axis=1
    )
    np.testing.assert_allclose(noisy_gaussian_scores(X, fit), expected, rtol=1e-10)
    joint = np.exp(expected) * fit.class_prior
    posteriors = joint / joint.sum(axis=1, keepdims=True)
    labels = np.log((posteriors @ fit.transition)[np.arange(120), codes])
    np.testing.assert_allclose(noisy_label_likelihood(X, codes, fit), labels, atol=1e-10)


def test_likelihood_of_labels_far_from_their_class_is_finite_or_impossible():
    X = np.repeat([[0.0], [1000.0]], 10, axis=0) + np.linspace(0, 1, 20)[:, None]
    codes = np.repeat([0, 1], 10)
    fit = noisy_gaussians(
        X, codes, 2, shrinkage=0.1, mean_rows=1e-6, transition_rows=1e-3, ridge=1e-4
    )
    fit = fit._replace(transition=np.eye(2))
    logs = noisy_label_likelihood(np.array([[0.5], [0.5]]), np.array([0, 1]), fit)
    assert logs[0] == 0.0
    # The posterior is below the least number, its logarithm is not.
    assert -1e8 < logs[1] < -1000
    sure = fit._replace(transition=np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert noisy_label_likelihood(X[:1], codes[:1] + 1, sure)[0] == -np.inf


def is_sound(fit, slack=1e-10):
    """Numbers, probabilities, covariances that have a Cholesky factor, an objective that rises."""
    assert all(np.isfinite(values).all() for values in fit[:7])
    np.testing.assert_allclose(fit.transition.sum(axis=1), 1.0)
    assert fit.class_prior.sum() == pytest.approx(1.0)
    assert fit.label_quality.min() >= 0
    assert fit.label_quality.max() <= 1
    np.linalg.cholesky(fit.covariances)
    gains = np.diff(fit.history[19:])
    return bool((gains >= -slack * (1 + np.abs(fit.history).max())).all())


@pytest.mark.parametrize("shrinkage", [3.0, np.inf])
def test_classes_without_rows_are_as_the_prior_says(shrinkage):
    X, _, codes, _, _ = planted(n=300, n_classes=3)
    codes[codes == 2] = 1
    codes[0] = 2
    fit = noisy_gaussians(X, codes, 5, shrinkage=shrinkage)  # 2 has one row; 3 and 4 have none
    assert is_sound(fit)
    assert fit.class_rows[3:].max() < 5
    none = noisy_gaussians(X, codes, 5, shrinkage=shrinkage, max_iter=1)
    np.testing.assert_allclose(none.means[3:], [X.mean(axis=0)] * 2, atol=1e-12)
    np.testing.assert_allclose(none.covariances[3], none.pooled, rtol=1e-12)


@pytest.mark.parametrize("dof", [None, 3.0])
@pytest.mark.parametrize("shrinkage", [5.0, np.inf])
def test_hostile_rows_give_sound_fits(shrinkage, dof):
    X, classes, codes, _, _ = planted(n=90)
    wide = np.random.default_rng(0).normal(size=(90, 120)) + classes[:, None]
    constant = np.column_stack([X, np.full(90, 7.0), X[:, 0]])
    cases = {
        "more features than rows": (wide, codes, 4),
        "constant and repeated columns": (constant, codes, 4),
        "equal rows": (np.full((90, 3), 0.1), codes, 4),
        "rows three times": (np.repeat(X[:30], 3, axis=0), np.repeat(codes[:30], 3), 4),
        "one class": (X, np.zeros(90, dtype=int), 1),
        "one row": (X[:1], np.zeros(1, dtype=int), 2),
        "all labels wrong": (X, (classes + 1) % 4, 4),
        "small numbers": (1e-150 * X, codes, 4),
        "rows of zeros": (np.zeros((90, 3)), codes, 4),
        "equal rows far away": (np.full((90, 3), 1e12 / 3), codes, 4),
    }
    for name, (rows, labels, n_classes) in cases.items():
        options = {"shrinkage": shrinkage, "degrees_of_freedom": dof, "max_iter": 40}
        assert is_sound(noisy_gaussians(rows, labels, n_classes, **options)), name


@pytest.mark.parametrize("shrinkage", [5.0, np.inf])
def test_rows_that_differ_in_their_last_bits_give_sound_fits(shrinkage):
    X, _, codes, _, _ = planted(n=90)
    # Means have no more bits than the rows, so that the objective rises up to their rounding.
    fit = noisy_gaussians(0.1 + 2.0**-56 * np.round(X), codes, 4, shrinkage=shrinkage)
    assert is_sound(fit, slack=1e-2)


def test_far_from_the_origin_nothing_is_lost():
    X, _, codes, _, _ = planted(n=300)
    X = np.round(X * 2**16) / 2**16  # exact beside the offset
    options = {"shrinkage": 8.0, "max_iter": 40, "tol": -np.inf}
    near, far = (noisy_gaussians(X + offset, codes, 4, **options) for offset in (0.0, 2.0**30))
    assert_same_fit(near, far._replace(means=far.means - 2.0**30), 1e-5)


def test_scale_changes_the_objective_by_its_jacobian_alone():
    X, _, codes, _, _ = planted(n=300)
    fit, scaled = (noisy_gaussians(f * X, codes, 4, shrinkage=8.0) for f in (1.0, 1e6))
    tiny = noisy_gaussians(1e-80 * X, codes, 4, shrinkage=8.0)
    np.testing.assert_allclose(tiny.label_quality, fit.label_quality, atol=1e-8)
    assert fit.n_iter == scaled.n_iter
    np.testing.assert_allclose(scaled.label_quality, fit.label_quality, atol=1e-8)
    np.testing.assert_allclose(scaled.covariances, 1e12 * fit.covariances, rtol=1e-7)


def test_single_precision_rows_are_worked_on_in_double():
    X, _, codes, _, _ = planted(n=300)
    X = X.astype(np.float32)
    fit, same = (noisy_gaussians(rows, codes, 4, shrinkage=8.0) for rows in (X, X.astype(float)))
    for name, left, right in zip(fit._fields, fit, same, strict=True):
        np.testing.assert_array_equal(left, right, err_msg=name)
    assert fit.means.dtype == fit.label_quality.dtype == np.float64


def test_rows_without_weight_are_judged_and_change_nothing():
    X, _, codes, _, _ = planted(n=300)
    weight = np.ones(300)
    weight[::3] = 0.0
    fit = noisy_gaussians(X, codes, 4, shrinkage=8.0, sample_weight=weight)
    X[::3] += np.random.default_rng(0).normal(size=X[::3].shape)
    moved = noisy_gaussians(X, codes, 4, shrinkage=8.0, sample_weight=weight)
    np.testing.assert_allclose(moved.means, fit.means, rtol=1e-10)
    assert fit.label_quality[::3].max() > 0.9
    assert np.abs(moved.label_quality - fit.label_quality)[::3].max() > 1e-3
    assert fit.class_rows.sum() == pytest.approx(200)


def test_a_known_transition_is_kept():
    X, _, codes, _, _ = planted(n=300)
    known = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    fit = noisy_gaussians(X, codes, 4, shrinkage=8.0, transition_prior=known, transition_rows=1e12)
    np.testing.assert_allclose(fit.transition, known, atol=1e-9)
    # Labels that are never wrong leave nothing to find out.
    sure = noisy_gaussians(X, codes, 4, shrinkage=8.0, transition_prior=np.eye(4))
    np.testing.assert_array_equal(sure.label_quality, 1.0)
    np.testing.assert_array_equal(sure.class_rows, np.bincount(codes, minlength=4))


def test_callback_stops():
    X, _, codes, _, _ = planted(n=200)
    seen = []

    def stop_at_five(n_iter, objective):
        seen.append((n_iter, objective))
        return n_iter == 5

    fit = noisy_gaussians(X, codes, 4, shrinkage=8.0, callback=stop_at_five)
    assert [n_iter for n_iter, _ in seen] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(fit.history, [objective for _, objective in seen])
    assert fit.n_iter == 5
    assert not fit.converged


def test_shared_covariance_takes_the_room_of_one():
    X, _, codes, _, _ = planted(n=200)
    shared = noisy_gaussians(X, codes, 4, shrinkage=np.inf)
    assert shared.covariances.shape == (4, 4, 4)
    assert shared.covariances.strides[0] == 0
    copied = shared._replace(covariances=shared.covariances.copy())
    np.testing.assert_allclose(
        noisy_gaussian_scores(X, copied), noisy_gaussian_scores(X, shared), rtol=1e-10
    )
