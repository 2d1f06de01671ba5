"""Logistic regression with wrong labels: rows in any unit and place, and hostile ones."""

import numpy as np
import pytest
from scipy.special import softmax

from clusterlib.solvers import noisy_logistic, noisy_logistic_scores
from tests.solvers.test_noisy_logistic import planted


def test_single_precision_rows_far_from_the_origin_lose_nothing():
    X, _, codes, T = planted()
    X = np.round(8 * X) / 8  # exact in float32 beside the offset
    options = {"C": 1.0, "transition": T, "tol": 1e-7}
    near = noisy_logistic(X, codes, 4, **options)
    rows = (X + 2.0**20).astype(np.float32)
    far = noisy_logistic(rows, codes, 4, **options)
    assert far.converged
    assert far.n_iter <= near.n_iter + 3
    np.testing.assert_allclose(far.coefficients, near.coefficients, atol=1e-5)
    np.testing.assert_allclose(
        noisy_logistic_scores(rows, far), noisy_logistic_scores(X, near), atol=1e-4
    )
    same = noisy_logistic(rows.astype(float), codes, 4, **options)
    np.testing.assert_array_equal(far.coefficients, same.coefficients)


def test_units_of_the_features_are_those_of_the_coefficients():
    X, _, codes, T = planted()
    fit = noisy_logistic(X, codes, 4, C=1.0, transition=T)
    tiny = 2.0**-400
    scaled = noisy_logistic(tiny * X, codes, 4, C=tiny**-2, transition=T)
    assert scaled.converged
    np.testing.assert_array_equal(tiny * scaled.coefficients, fit.coefficients)
    # Without a penalty each column may have its own unit; squares of the last one overflow.
    free = noisy_logistic(X, codes, 4, C=np.inf, tol=1e-7)
    units = np.array([1e-200, 1e-4, 1.0, 1e8, 1e200])
    mixed = noisy_logistic(units * X, codes, 4, C=np.inf, tol=1e-7)
    assert mixed.converged
    assert mixed.n_iter <= free.n_iter + 2
    np.testing.assert_allclose(units * mixed.coefficients, free.coefficients, atol=1e-5)


def is_sound(fit):
    """Numbers, classes that add up to nothing, and an objective that rises to what is returned."""
    assert all(np.isfinite(values).all() for values in fit)
    assert len(fit.history) == fit.n_iter
    np.testing.assert_allclose(fit.coefficients.sum(axis=0), 0.0, atol=1e-9)
    assert (np.diff(fit.history) >= 0).all()
    return fit.n_iter == 0 or fit.history[-1] == fit.objective


@pytest.mark.parametrize("with_transition", [False, True])
def test_hostile_rows_give_sound_fits(with_transition):
    X, classes, codes, transition = planted(n=90)
    wide = np.random.default_rng(0).normal(size=(90, 200)) + classes[:, None]
    cases = {
        "more features than rows": (wide, codes, 4),
        "constant and repeated columns": (
            np.column_stack([X, np.full(90, 7.0), X[:, 0]]),
            codes,
            4,
        ),
        "equal rows": (np.full((90, 3), 0.1), codes, 4),
        "one class": (X, np.zeros(90, dtype=int), 1),
        "one row": (X[:1], np.array([1]), 2),
        "all labels wrong": (X, (classes + 1) % 4, 4),
        "large numbers": (1e8 * X, codes, 4),
        "small numbers": (1e-150 * X, codes, 4),
        "huge numbers": (1e160 * X, codes, 4),
        "one outlier": (np.vstack([X[:89], np.full((1, 5), 1e12)]), codes, 4),
        "rows of zeros": (np.zeros((90, 3)), codes, 4),
    }
    for name, (rows, labels, n_classes) in cases.items():
        T = transition if n_classes == 4 else np.full((n_classes, n_classes), 1 / n_classes)
        T = T if with_transition else None
        for C in (1e-4, 1.0, 1e6):
            fit = noisy_logistic(rows, labels, n_classes, C=C, transition=T)
            assert is_sound(fit), name
            assert fit.converged, name


@pytest.mark.parametrize("C", [1.0, np.inf])
def test_constant_columns_have_no_weight(C):
    X, _, codes, _ = planted()
    with_constant = np.column_stack([X, np.full(len(X), 0.1)])  # its mean is rounded
    fit = noisy_logistic(X, codes, 4, C=C)
    same = noisy_logistic(with_constant, codes, 4, C=C)
    np.testing.assert_allclose(same.coefficients[:, -1], 0.0, atol=1e-9)
    np.testing.assert_allclose(same.coefficients[:, :-1], fit.coefficients, atol=1e-6)
    np.testing.assert_allclose(same.intercepts, fit.intercepts, atol=1e-6)


def test_a_class_without_rows_has_a_low_and_finite_score():
    X, _, codes, _ = planted(n_classes=3)
    fit = noisy_logistic(X, codes, 4, C=1.0)
    assert fit.converged
    assert fit.intercepts[3] < fit.intercepts[:3].min() - 1
    p = softmax(noisy_logistic_scores(X, fit), axis=1)
    assert 0 < p[:, 3].mean() <= 1e-4  # as the gradient in its intercept says
    assert np.isfinite(fit.coefficients).all()


def test_one_class_and_one_row():
    X, _, codes, _ = planted()
    one = noisy_logistic(X, np.zeros(len(X), dtype=int), 1, C=1.0)
    assert (one.objective, one.converged, one.n_iter) == (0.0, True, 0)
    np.testing.assert_array_equal(noisy_logistic_scores(X, one), 0.0)
    single = noisy_logistic(X[:1], codes[:1], 4, C=1.0)
    assert single.converged
    np.testing.assert_array_equal(single.coefficients, 0.0)
    assert single.intercepts.argmax() == codes[0]
