"""Logistic regression with wrong labels: scikit-learn, a plain reference, what is planted."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from clusterlib.blocks import ArrayBlocks
from clusterlib.solvers import NoisyLogistic, noisy_logistic, noisy_logistic_scores
from clusterlib.solvers.noisy_logistic_loss import LabelLikelihood


def planted(n=400, m=5, n_classes=4, noise=0.3, seed=0):
    """Rows whose classes follow a softmax of linear scores, and labels of which some are wrong."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, m)) * rng.uniform(0.5, 2, size=m) + rng.normal(size=m)
    scores = X @ rng.normal(size=(m, n_classes)) + rng.normal(size=n_classes)
    classes = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    transition = (1 - noise) * np.eye(n_classes) + noise * rng.dirichlet(
        np.ones(n_classes), n_classes
    )
    uniform = rng.random((n, 1))
    codes = (uniform > transition[classes].cumsum(axis=1)[:, :-1]).sum(axis=1)
    return X, classes, codes, transition


def plain_objective(X, codes, W, b, C, T=None, prior=None, weight=None):
    """The formula as it is written down, in the log domain."""
    scores = X @ W.T + b + (0.0 if prior is None else np.log(prior))
    log_p = log_softmax(scores, axis=1)
    if T is None:
        logs = log_p[np.arange(len(codes)), codes]
    else:
        with np.errstate(divide="ignore"):
            logs = logsumexp(log_p + np.log(T.T)[codes], axis=1)
    return np.sum(logs if weight is None else weight * logs) - np.sum(W**2) / (2 * C)


def plain_gradient(X, codes, W, b, C, T, prior, weight):
    p = softmax(X @ W.T + b + np.log(prior), axis=1)
    q = p * T.T[codes]
    q /= q.sum(axis=1, keepdims=True)
    slopes = weight[:, None] * (q - p)
    return slopes.T @ X - W / C, slopes.sum(axis=0)


def assert_same_fit(fit, other, tolerance):
    scale = max(1.0, np.abs(fit.coefficients).max(), np.abs(fit.intercepts).max())
    for name in ("coefficients", "intercepts"):
        np.testing.assert_allclose(
            getattr(fit, name), getattr(other, name), atol=tolerance * scale, err_msg=name
        )


@pytest.mark.parametrize("C", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_without_a_transition_it_is_that_of_scikit_learn(n_classes, weighted, C):
    X, _, codes, _ = planted(n_classes=n_classes)
    weight = np.random.default_rng(1).uniform(0.2, 3, size=len(X)) if weighted else None
    fit = noisy_logistic(X, codes, n_classes, C=C, sample_weight=weight, tol=1e-8, max_iter=1000)
    assert fit.converged
    # Two classes have one row of coefficients there, of half the squares of two opposite ones.
    there = 2 * C if n_classes == 2 else C
    model = LogisticRegression(C=there, tol=1e-9, max_iter=10_000, solver="newton-cholesky")
    model.fit(X, codes, sample_weight=weight)
    W, b = model.coef_, model.intercept_
    if n_classes == 2:
        W, b = np.vstack([-W, W]) / 2, np.concatenate([-b, b]) / 2
    expected = fit._replace(coefficients=W, intercepts=b - b.mean())
    assert_same_fit(fit, expected, 1e-5)
    value = plain_objective(X, codes, fit.coefficients, fit.intercepts, C, weight=weight)
    assert fit.objective == pytest.approx(value, rel=1e-12)
    assert fit.objective >= plain_objective(X, codes, W, b, C, weight=weight) - 1e-6


@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("with_transition", [False, True])
def test_value_and_gradient_of_the_likelihood(with_transition, with_prior):
    X, _, codes, transition = planted(n=150)
    rng = np.random.default_rng(2)
    weight, center = rng.uniform(0, 2, size=150), rng.normal(size=5)
    weight[:20] = 0.0
    T = transition if with_transition else None
    prior = np.array([0.1, 0.2, 0.3, 0.4]) if with_prior else None
    likelihood = LabelLikelihood(ArrayBlocks(X), codes, weight, center, T, prior)

    def expected(flat):
        parameters = flat.reshape(4, 6)
        W, b = parameters[:, :-1], parameters[:, -1]
        return plain_objective(X - center, codes, W, b, np.inf, T, prior, weight)

    flat = rng.normal(size=24)
    value, gradient = likelihood(flat.reshape(4, 6))
    assert value == pytest.approx(expected(flat), rel=1e-12)
    steps = 1e-5 * np.eye(24)
    differences = [(expected(flat + step) - expected(flat - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient.ravel(), differences, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("C", [0.05, 2.0])
def test_optimum_is_that_of_the_plain_formula(C):
    X, _, codes, T = planted(n_classes=3)
    rng = np.random.default_rng(3)
    prior, weight = np.array([0.6, 0.3, 0.1]), rng.uniform(0, 2, size=len(X))
    args = {"transition": T, "class_prior": prior, "sample_weight": weight}

    def loss(flat):
        W, b = flat[:15].reshape(3, 5), flat[15:]
        slopes = plain_gradient(X, codes, W, b, C, T, prior, weight)
        value = plain_objective(X, codes, W, b, C, T, prior, weight)
        return -value, -np.concatenate([slopes[0].ravel(), slopes[1]])

    found = minimize(loss, np.zeros(18), jac=True, method="BFGS", options={"gtol": 1e-6})
    fit = noisy_logistic(X, codes, 3, C=C, tol=1e-8, max_iter=1000, **args)
    assert fit.converged
    assert fit.objective == pytest.approx(-found.fun, rel=1e-10)
    b = found.x[15:]
    expected = fit._replace(coefficients=found.x[:15].reshape(3, 5), intercepts=b - b.mean())
    assert_same_fit(fit, expected, 1e-5)
    # The prior is an offset of the intercepts, which nothing penalises.
    args["class_prior"] = None
    without = noisy_logistic(X, codes, 3, C=C, tol=1e-8, max_iter=1000, **args)
    offsets = fit.intercepts + np.log(prior)
    assert_same_fit(fit._replace(intercepts=offsets - offsets.mean()), without, 1e-5)


def test_a_known_transition_recovers_the_clean_decision():
    rng = np.random.default_rng(4)
    X, classes, _, _ = planted(n=6000, n_classes=3, seed=4)
    # Labels of class 0 are wrong more often than right, and so is the decision that follows them.
    T = np.array([[0.45, 0.55, 0.0], [0.05, 0.9, 0.05], [0.0, 0.4, 0.6]])
    uniform = rng.random((len(X), 1))
    codes = (uniform > T[classes].cumsum(axis=1)[:, :-1]).sum(axis=1)
    accuracy = {}
    clean = noisy_logistic(X[:4000], classes[:4000], 3, C=1.0)
    for name, transition in (("known", T), ("none", None)):
        fit = noisy_logistic(X[:4000], codes[:4000], 3, C=1.0, transition=transition)
        decided = noisy_logistic_scores(X[4000:], fit).argmax(axis=1)
        accuracy[name] = np.mean(decided == classes[4000:])
        if transition is not None:
            assert_same_fit(fit, clean, 0.2)
    best = np.mean(noisy_logistic_scores(X[4000:], clean).argmax(axis=1) == classes[4000:])
    assert accuracy["known"] > best - 0.02
    assert accuracy["known"] > accuracy["none"] + 0.1


def test_the_identity_as_transition_is_no_transition():
    X, _, codes, _ = planted()
    fit = noisy_logistic(X, codes, 4, C=1.0, tol=1e-8)
    same = noisy_logistic(X, codes, 4, C=1.0, tol=1e-8, transition=np.eye(4))
    assert_same_fit(fit, same, 1e-6)
    assert same.objective == pytest.approx(fit.objective, rel=1e-12)


@pytest.mark.parametrize("with_transition", [False, True])
def test_a_start_nearby_saves_iterations_and_leads_to_the_same_optimum(with_transition):
    X, _, codes, transition = planted()
    X += 3.0
    options = {"transition": transition if with_transition else None, "tol": 1e-7}
    fit = noisy_logistic(X, codes, 4, C=1.0, **options)
    cold = noisy_logistic(X, codes, 4, C=1.2, **options)
    warm = noisy_logistic(X, codes, 4, C=1.2, start=fit, **options)
    assert warm.converged
    assert 0 < warm.n_iter < cold.n_iter
    assert_same_fit(warm, cold, 1e-4)
    again = noisy_logistic(X, codes, 4, C=1.2, start=warm, **options)
    assert (again.n_iter, again.converged, len(again.history)) == (0, True, 0)
    assert again.objective == pytest.approx(warm.objective, rel=1e-12)


def test_a_start_that_does_not_add_up_to_zero_is_projected():
    X, _, codes, T = planted()
    rng = np.random.default_rng(5)
    shift = 10 * rng.normal(size=5)
    fit = noisy_logistic(X, codes, 4, C=1.0, transition=T)
    far = fit._replace(coefficients=fit.coefficients + shift, intercepts=fit.intercepts + 7.0)
    again = noisy_logistic(X, codes, 4, C=1.0, transition=T, start=far)
    assert again.n_iter == 0
    assert_same_fit(fit, again, 1e-10)
    for one in (fit, again):
        np.testing.assert_allclose(one.coefficients.sum(axis=0), 0.0, atol=1e-10)
        assert one.intercepts.mean() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("with_transition", [False, True])
def test_weights_are_repetitions(with_transition):
    X, _, codes, transition = planted()
    weight = np.random.default_rng(6).integers(0, 4, size=len(X))
    options = {"C": 0.7, "transition": transition if with_transition else None, "tol": 1e-8}
    fit = noisy_logistic(X, codes, 4, sample_weight=weight, **options)
    again = noisy_logistic(np.repeat(X, weight, axis=0), np.repeat(codes, weight), 4, **options)
    assert_same_fit(fit, again, 1e-6)
    assert fit.objective == pytest.approx(again.objective, rel=1e-12)


def test_rows_without_weight_are_left_out_whatever_they_hold():
    X, _, codes, T = planted()
    T = np.where(np.arange(4) == 3, 0.0, T)  # nobody is labelled 3
    weight = np.ones(len(X))
    weight[codes == 3] = 0.0
    kept = weight > 0
    with pytest.raises(ValueError, match="label 3 by transition"):
        noisy_logistic(X, codes, 4, C=1.0, transition=T)
    fit = noisy_logistic(X[kept], codes[kept], 4, C=1.0, transition=T)
    X[~kept] = np.nan
    same = noisy_logistic(X, codes, 4, C=1.0, transition=T, sample_weight=weight)
    assert 0 < kept.sum() < len(X)
    assert_same_fit(fit, same, 1e-10)
    with pytest.raises(ValueError, match="NaN"):
        noisy_logistic(X, np.zeros(len(X), dtype=int), 4, C=1.0)


def test_a_class_of_no_share_has_no_rows():
    X, _, codes, T = planted()
    prior = np.array([0.5, 0.0, 0.25, 0.25])
    fit = noisy_logistic(X, codes, 4, C=1.0, transition=T, class_prior=prior)
    assert fit.converged
    assert np.isfinite(fit.objective)
    np.testing.assert_array_equal(fit.coefficients[1], 0.0)
    with pytest.raises(ValueError, match="label 1 by transition and class_prior"):
        noisy_logistic(X, codes, 4, C=1.0, class_prior=prior)


@pytest.mark.parametrize("with_transition", [False, True])
def test_blocks_of_any_size_give_the_same_bits(with_transition):
    X, _, codes, transition = planted(n=17_500)
    X = X.astype(np.float32)
    options = {
        "C": 1.0,
        "transition": transition if with_transition else None,
        "sample_weight": np.random.default_rng(7).integers(0, 3, size=len(X)) / 2,
    }
    whole = noisy_logistic(X, codes, 4, **options)
    assert whole.n_iter > 5
    for block_rows in (4096, 8192, 16384):
        blocks = ArrayBlocks(X, block_rows)
        assert len(blocks) > 1
        cut = noisy_logistic(blocks, codes, 4, **options)
        for name, left, right in zip(whole._fields, whole, cut, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=name)
        np.testing.assert_array_equal(
            noisy_logistic_scores(blocks, cut), noisy_logistic_scores(X, whole)
        )


def test_scores_are_linear():
    X, _, codes, _ = planted(n=5000)
    fit = noisy_logistic(X, codes, 4, C=1.0)
    scores = noisy_logistic_scores(X.astype(np.float32), fit)
    assert scores.dtype == np.float64
    expected = X.astype(np.float32).astype(float) @ fit.coefficients.T + fit.intercepts
    np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=1e-12)
    assert noisy_logistic_scores(X[:0], fit).shape == (0, 4)


def test_numbers_of_classes_do_not_matter():
    X, _, codes, T = planted()
    order, prior = np.array([2, 0, 3, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    inverse = np.argsort(order)
    moved_T, moved_prior = T[np.ix_(inverse, inverse)], prior[inverse]
    options = {"C": 1.0, "tol": 1e-8}
    fit = noisy_logistic(X, codes, 4, transition=T, class_prior=prior, **options)
    moved = noisy_logistic(
        X, order[codes], 4, transition=moved_T, class_prior=moved_prior, **options
    )
    back = moved._replace(
        coefficients=moved.coefficients[order], intercepts=moved.intercepts[order]
    )
    assert_same_fit(fit, back, 1e-6)


def test_callback_stops():
    X, _, codes, T = planted()
    seen = []

    def stop_at_three(n_iter, objective):
        seen.append((n_iter, objective))
        return n_iter == 3

    fit = noisy_logistic(X, codes, 4, C=1.0, transition=T, callback=stop_at_three)
    assert [n_iter for n_iter, _ in seen] == [1, 2, 3]
    np.testing.assert_array_equal(fit.history, [objective for _, objective in seen])
    assert isinstance(fit, NoisyLogistic)
    assert (fit.n_iter, fit.converged) == (3, False)
    value = plain_objective(X, codes, fit.coefficients, fit.intercepts, 1.0, T)
    assert fit.history[-1] == fit.objective == pytest.approx(value, rel=1e-12)


def test_iterations_are_counted_and_convergence_is_told_truthfully():
    X, _, codes, T = planted()
    options = {"C": 1.0, "transition": T}
    fit = noisy_logistic(X, codes, 4, **options)
    assert fit.converged
    assert 3 < fit.n_iter < 200
    assert (np.diff(fit.history) > 0).all()
    short = noisy_logistic(X, codes, 4, max_iter=1, **options)
    assert (short.n_iter, short.converged) == (1, False)
    np.testing.assert_array_equal(short.history, fit.history[:1])
    # Rounding ends this search, and what it could not reach it does not claim.
    endless = noisy_logistic(X, codes, 4, tol=0.0, max_iter=1000, **options)
    assert endless.n_iter < 1000
    assert not endless.converged
    gradient = plain_gradient(
        X, codes, endless.coefficients, endless.intercepts, 1.0, T, np.ones(4), np.ones(len(X))
    )
    assert max(np.abs(part).max() for part in gradient) < 1e-6 * len(X)


def test_probabilities_below_the_least_number_have_a_logarithm():
    X = np.array([[-1.0], [1.0]])
    sure = NoisyLogistic(np.array([[-1e4], [1e4]]), np.zeros(2), 0.0, 0, True, np.empty(0))
    logs = []
    for T in (None, np.eye(2)):  # both labels are wrong for the start
        stopped = []
        noisy_logistic(
            X,
            np.array([1, 0]),
            2,
            C=1e12,
            transition=T,
            start=sure,
            callback=lambda n, value, seen=stopped: bool(seen.append(value)) or True,
        )
        logs.append(stopped[0])
    assert -4e4 < logs[0] < 0
    assert logs[1] == pytest.approx(logs[0], rel=1e-12)
