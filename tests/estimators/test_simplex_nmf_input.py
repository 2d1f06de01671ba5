"""SimplexNMF: what is refused, and in which words; warnings, progress, stops."""

import logging

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clusterlib.decomposition import SimplexNMF

GOOD = np.random.default_rng(0).random((20, 6))

BAD_PARAMETERS = [
    ({"n_components": 0}, ValueError, r"n_components must be an int in \[1, inf\); got 0"),
    ({"n_components": 2.0}, TypeError, "n_components must be an int"),
    ({"loss": "l2"}, ValueError, "loss must be one of 'frobenius', 'kullback-leibler'"),
    ({"weights": "free"}, ValueError, "weights must be one of 'nonnegative', 'simplex'"),
    ({"init": "nndsvd"}, ValueError, "init must be one of 'auto', 'random'"),
    ({"init": np.ones((3, 6))}, ValueError, r"init must have the shape .*\(2, 6\)"),
    ({"init": -np.ones((2, 6))}, ValueError, "init must hold numbers >= 0"),
    ({"init": np.zeros((2, 6))}, ValueError, "no component of zeros alone"),
    ({"n_init": 0}, ValueError, "n_init must be an int"),
    ({"min_volume": -1.0}, ValueError, "min_volume must be a float"),
    ({"min_volume": 0.1}, ValueError, "min_volume must be 0 unless .*weights='simplex'"),
    ({"alpha_W": -1.0}, ValueError, "alpha_W must be a float"),
    ({"alpha_H": "other"}, ValueError, "alpha_H must be a float in .* or 'same'"),
    ({"alpha_W": 1.0, "weights": "simplex"}, ValueError, "alpha_W and alpha_H must be 0 unless"),
    ({"l1_ratio": 2.0}, ValueError, "l1_ratio must be a float"),
    ({"missing_values": 0}, ValueError, "missing_values must be None or nan; got 0"),
    ({"max_iter": 0}, ValueError, "max_iter must be an int"),
    ({"tol": -1.0}, ValueError, "tol must be a float"),
    ({"verbose": -1}, ValueError, "verbose must be an int"),
]


@pytest.mark.parametrize(("parameters", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        SimplexNMF(**parameters).fit(GOOD)


def changed(value):
    X = GOOD.copy()
    X[3, 2] = value
    return X


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (changed(np.nan), "Input X contains NaN. Set missing_values=np.nan to leave out"),
        (csr_array(changed(np.nan)), "Input X contains NaN"),
        (changed(np.inf), "infinity"),
        (changed(-1.0), "Negative values in data passed to SimplexNMF: X must hold numbers >= 0"),
        (csr_array(changed(-1.0)), "Negative values in data"),
        (changed(1e200), "X must hold numbers up to"),
    ],
)
def test_bad_rows_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        SimplexNMF().fit(X)
    model = SimplexNMF().fit(GOOD)
    with pytest.raises(ValueError, match=message):
        model.transform(X)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones((3, 3)), "cell_weight must have the shape of X"),
        (-np.ones(GOOD.shape), "cell_weight must not be negative; got -1"),
        (np.zeros(GOOD.shape), "cell_weight must be above zero in some cell"),
        (np.full(GOOD.shape, np.nan), "cell_weight contains NaN"),
    ],
)
def test_bad_weights_of_cells_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        SimplexNMF().fit(GOOD, cell_weight=weight)


def test_weights_of_cells_need_dense_rows_and_least_squares():
    ones = np.ones(GOOD.shape)
    with pytest.raises(ValueError, match="cell_weight must be None for sparse X"):
        SimplexNMF().fit(csr_array(GOOD), cell_weight=ones)
    for options in ({"loss": "kullback-leibler"}, {"weights": "simplex"}):
        with pytest.raises(ValueError, match="missing values and cell_weight need loss="):
            SimplexNMF(**options).fit(GOOD, cell_weight=ones)
    with pytest.raises(ValueError, match="sparse X stands for its zeros"):
        SimplexNMF(missing_values=np.nan).fit(csr_array(changed(np.nan)))


def test_what_needs_a_fit_says_so():
    for call in (
        lambda: SimplexNMF().transform(GOOD),
        lambda: SimplexNMF().inverse_transform(np.ones((1, 2))),
        lambda: SimplexNMF().components_interval(GOOD),
    ):
        with pytest.raises(NotFittedError):
            call()


def test_other_arguments_are_checked():
    model = SimplexNMF(max_iter=1000).fit(GOOD)
    with pytest.raises(ValueError, match="W must have n_components=2 columns; got 3"):
        model.inverse_transform(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"level must be a float in \(0, 1\)"):
        model.components_interval(GOOD, level=1.0)
    with pytest.raises(ValueError, match="n_bootstrap must be an int"):
        model.components_interval(GOOD, n_bootstrap=1)
    with pytest.raises(ValueError, match="sample_weight must"):
        SimplexNMF().fit(GOOD, sample_weight=np.zeros(20))


def test_a_fit_that_ends_early_warns_once():
    with pytest.warns(ConvergenceWarning, match="did not converge in 2 iterations.*Raise") as found:
        SimplexNMF(max_iter=2, n_init=3, random_state=0).fit(GOOD)
    assert len(found) == 1
    assert found[0].filename == __file__
    with pytest.warns(ConvergenceWarning) as found:
        SimplexNMF(max_iter=2).fit_transform(GOOD)
    assert found[0].filename == __file__


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_verbose_tells_every_iteration(loss, caplog):
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        model = SimplexNMF(loss=loss, verbose=1, max_iter=2000).fit(GOOD)
    lines = [record.message for record in caplog.records]
    assert model.n_iter_ - 1 <= len(lines) + sum(np.diff(model.history_) == 0)
    assert "objective" in lines[0]


def test_parameters_are_left_alone():
    start = np.ones((2, 6))
    model = SimplexNMF(init=start, max_iter=1000)
    model.fit(GOOD)
    assert model.init is start
    assert (start == 1).all()


def test_cells_that_nothing_bounds_are_warned_of():
    rng = np.random.default_rng(0)
    X = rng.poisson(3 * rng.gamma(0.5, size=(30, 3)) @ rng.gamma(0.5, size=(3, 200))).astype(float)
    left_out = rng.random(X.shape) < 0.2
    largest = X[~left_out].max()
    X[left_out] = np.nan
    many = SimplexNMF(15, missing_values=np.nan, random_state=0)
    with pytest.warns(UserWarning, match=r"(\d+) of \d+ cells left out .* Lower n_comp") as caught:
        W = many.fit_transform(X)
    n_beyond = np.sum((W @ many.components_)[left_out] > 10 * largest)
    assert n_beyond > 0 and str(caught[0].message).startswith(f"{n_beyond} of {left_out.sum()} ")
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="nothing that is known bounds them"):
        clone(many).fit(np.nan_to_num(X), cell_weight=~left_out)
    few = SimplexNMF(3, missing_values=np.nan, random_state=0).fit(X)
    penalised = SimplexNMF(15, missing_values=np.nan, alpha_W=1e-2, random_state=0).fit(X)
    for model in (few, penalised):
        assert (model.transform(X) @ model.components_)[left_out].max() < 10 * largest
