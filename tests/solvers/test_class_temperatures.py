"""Temperatures by the spread of classes: figures, both forms, what has no spread."""

import numpy as np
import pytest

from clusterlib.solvers import class_temperatures

SPREAD = [0.080200, 0.146544, 0.147708]
EXPONENTIAL, LINEAR = [0.190130, 0.323512, 0.326544], [0.064254, 0.117407, 0.118339]


def rows():
    """Classes of 500, 50 and 5 rows at mean distances of .5, .6 and .4 from their means."""
    steps = [np.tile([0.5, -0.5], 250), np.tile([0.6, -0.6], 25), [0.5, 0.5, 0.0, -0.5, -0.5]]
    means = np.array([[3.0, 0.0], [-1.0, 2.0], [0.0, -4.0]])
    directions = np.array([[0.6, 0.8], [1.0, 0.0], [-0.8, 0.6]])
    parts = zip(means, directions, steps, strict=True)
    Z = np.concatenate([mean + np.outer(step, way) for mean, way, step in parts])
    return Z, np.repeat([0, 1, 2], [500, 50, 5])


@pytest.mark.parametrize(("form", "expected"), [("exponential", EXPONENTIAL), ("linear", LINEAR)])
def test_worked_figures(form, expected):
    found = class_temperatures(*rows(), temperature=0.1, form=form)
    np.testing.assert_allclose(found.spread, SPREAD, atol=5e-7)
    np.testing.assert_allclose(found.temperatures, expected, atol=5e-7)


def test_definition_on_random_rows():
    rng = np.random.default_rng(0)
    y = rng.choice(["x", "y", "z", "zz"], size=200, p=[0.6, 0.2, 0.15, 0.05])
    Z = rng.normal(size=(200, 6))
    found = class_temperatures(Z, y, temperature=0.07, offset=2.0)
    spread = []
    for label in ["x", "y", "z", "zz"]:
        own = Z[y == label]
        distances = np.linalg.norm(own - own.mean(axis=0), axis=1)
        spread.append(distances.sum() / (len(own) * np.log(len(own) + 2.0)))
    assert list(found.classes) == ["x", "y", "z", "zz"]
    np.testing.assert_allclose(found.spread, spread, rtol=1e-13)
    expected = 0.07 * np.exp(spread / np.mean(spread))
    np.testing.assert_allclose(found.temperatures, expected, rtol=1e-13)


def test_scale_place_and_order_do_not_matter():
    Z, y = rows()
    order = np.random.default_rng(1).permutation(len(y))
    expected = class_temperatures(Z, y, temperature=0.1).temperatures
    for moved in (1e-9 * Z, 1e9 * Z, Z + 7.0):
        found = class_temperatures(moved[order], y[order], temperature=0.1)
        np.testing.assert_allclose(found.temperatures, expected, rtol=1e-12)


def test_percentiles_limit_the_spread_before_the_mean():
    Z, y = rows()
    found = class_temperatures(Z, y, temperature=0.1, form="linear", percentiles=(20, 80))
    limited = np.clip(SPREAD, *np.percentile(SPREAD, [20, 80]))
    np.testing.assert_allclose(found.temperatures, 0.1 * limited / limited.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.spread, SPREAD, atol=5e-7)
    same = class_temperatures(Z, y, temperature=0.1, form="linear", percentiles=(0, 100))
    np.testing.assert_allclose(same.temperatures, LINEAR, atol=5e-7)


@pytest.mark.parametrize(("form", "expected"), [("exponential", EXPONENTIAL), ("linear", LINEAR)])
def test_classes_that_are_whole_keep_the_first_temperature(form, expected):
    Z, y = rows()
    subclasses = np.where(y == 1, 10 + np.arange(len(y)) % 2, y)
    found = class_temperatures(Z, y, subclasses, temperature=0.1, form=form)
    np.testing.assert_allclose(found.temperatures, [0.1, expected[1], 0.1], atol=5e-7)


def test_no_spread_at_all():
    Z, y = np.ones((6, 2)), [0, 0, 0, 1, 1, 2]
    found = class_temperatures(Z, y, temperature=0.1)
    np.testing.assert_allclose(found.temperatures, 0.1 * np.e, rtol=1e-15)
    linear = class_temperatures(Z, y, temperature=0.1, form="linear")
    np.testing.assert_array_equal(linear.temperatures, [0.1] * 3)


def test_a_class_of_one_row():
    Z, y = [[0.0], [2.0], [5.0]], [0, 0, 1]
    found = class_temperatures(Z, y, temperature=0.1)
    np.testing.assert_allclose(found.temperatures, [0.1 * np.exp(2.0), 0.1], rtol=1e-14)
    with pytest.raises(ValueError, match="class 1 of y has no spread.*percentiles"):
        class_temperatures(Z, y, temperature=0.1, form="linear")
    limited = class_temperatures(Z, y, temperature=0.1, form="linear", percentiles=(20, 80))
    np.testing.assert_allclose(limited.temperatures, [0.16, 0.04], rtol=1e-14)
    whole = class_temperatures(Z, y, [0, 1, 2], temperature=0.1, form="linear")
    np.testing.assert_allclose(whole.temperatures, [0.2, 0.1], rtol=1e-14)


def test_a_class_too_loose_for_the_exponential():
    Z, y = np.zeros((1600, 1)), np.repeat(np.arange(800), 2)
    Z[1] = 1.0  # its spread is 800 times the mean
    with pytest.raises(ValueError, match="class 0 of y is so much looser .*percentiles"):
        class_temperatures(Z, y, temperature=0.1)
    found = class_temperatures(Z[:40], y[:40], temperature=0.1)
    np.testing.assert_allclose(found.temperatures[0], 0.1 * np.exp(20.0), rtol=1e-13)


def test_narrow_rows_are_summed_in_wide_numbers():
    Z, y = rows()
    found = class_temperatures(Z.astype(np.float32), y, temperature=0.1)
    assert found.temperatures.dtype == np.float64
    expected = class_temperatures(
        Z.astype(np.float32).astype(np.float64), y, temperature=0.1
    ).temperatures
    np.testing.assert_allclose(found.temperatures, expected, rtol=1e-13)


GOOD = {"Z": [[0.0], [2.0], [5.0]], "y": [0, 0, 1], "temperature": 0.1}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"Z": [[0.0], [np.inf], [1.0]]}, ValueError, "Z contains NaN or infinity"),
        ({"Z": np.zeros((0, 2))}, ValueError, "Z must have at least 1 row"),
        ({"Z": [0.0, 1.0, 2.0]}, ValueError, "Z must have 2 dimensions"),
        ({"Z": [[0.0], [1e300], [5.0]]}, ValueError, "Z has values too large"),
        ({"y": [0, 1]}, ValueError, r"y must have shape \(3,\), got \(2,\)"),
        ({"y": [0, "1", 1]}, TypeError, "y must be all numbers or all strings"),
        ({"subclass_labels": [0, 1, 1]}, ValueError, "subclass 1 .*classes 0 and 1"),
        ({"temperature": -1.0}, ValueError, "temperature must be .*above 0, got -1.0"),
        ({"temperature": None}, TypeError, "temperature must be"),
        ({"form": "quadratic"}, ValueError, "form must be one of 'exponential', 'linear'"),
        ({"offset": 0.0}, ValueError, "offset must be .*above 0"),
        ({"percentiles": 20}, ValueError, "percentiles must be None or two numbers, got 20"),
        ({"percentiles": (80, 20)}, ValueError, "percentiles must rise"),
        ({"percentiles": (0, 101)}, ValueError, "at most 100"),
        ({"percentiles": ("low", 80)}, TypeError, r"percentiles\[0\] must be"),
    ],
)
def test_bad_input(changes, error, message):
    with pytest.raises(error, match=message):
        class_temperatures(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"percentiles": (0.0, np.nextafter(100.0, 101.0))}, "at most 100"),
        ({"percentiles": (50.0, 49.0)}, "must rise"),
        ({"percentiles": (-1e-9, 50.0)}, r"percentiles\[0\]"),
        ({"percentiles": (0.0, -1e-9)}, r"percentiles\[1\]"),
        ({"percentiles": 20.0}, "None or two numbers, got 20.0"),
        ({"percentiles": (1.0, 2.0, 3.0)}, "None or two numbers"),
        ({"temperature": 0.0}, "temperature"),
        ({"offset": 0.0}, "offset"),
    ],
)
def test_limits_of_arguments_are_exact(changes, message):
    Z, y = rows()
    with pytest.raises(ValueError, match=message):
        class_temperatures(Z, y, **({"temperature": 0.1} | changes))


@pytest.mark.parametrize("percentiles", [(0, 100), (50, 50), (0.0, 0.0), (100.0, 100.0)])
def test_percentiles_may_meet_and_reach_the_ends(percentiles):
    found = class_temperatures(*rows(), temperature=0.1, form="linear", percentiles=percentiles)
    limited = np.clip(SPREAD, *np.percentile(SPREAD, percentiles))
    np.testing.assert_allclose(found.temperatures, 0.1 * limited / limited.mean(), rtol=1e-5)


def test_the_smallest_temperature_and_offset_are_taken():
    Z, y = rows()
    tiny = class_temperatures(Z, y, temperature=1e-300, form="linear").temperatures
    np.testing.assert_allclose(tiny, 1e-299 * np.array(LINEAR), rtol=1e-5)
    found = class_temperatures(Z, y, temperature=0.1, offset=1e-9)
    np.testing.assert_allclose(found.spread, np.array([0.5, 0.6, 0.4]) / np.log([500, 50, 5]))


def test_distances_beyond_all_numbers_are_told():
    with pytest.raises(ValueError, match="too large for distances in float64"):
        class_temperatures([[1e200], [-1e200], [1.0]], [0, 0, 1], temperature=0.1)
    with pytest.raises(ValueError, match=r"at least 1 row, got shape \(0, 2\)"):
        class_temperatures(np.zeros((0, 2)), [], temperature=0.1)
