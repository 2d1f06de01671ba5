"""The two-level loss: a worked example, the formula written out, differences, invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterlib.solvers import class_temperatures, two_level_loss

# Four rows at these angles, the other view .05 rad further on.
ANGLES = np.array([0.0, 0.2, 0.9, 2.2])
CLASSES, SUBCLASSES = [0, 0, 0, 1] * 2, [0, 0, 1, 2] * 2
WORKED = [1.51309, 1.482652, 0.719803, 0.00218, 1.492868, 1.502207, 0.672505, 0.001348]


def worked_rows(dtype=np.float64):
    angles = np.concatenate([ANGLES, ANGLES + 0.05])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(dtype)


def problem(seed=0, n=40, d=5, n_subclasses=6, n_classes=3):
    """Unit rows in two halves of views, with subclasses 0, n_classes, ... in class 0 and so on."""
    rng = np.random.default_rng(seed)
    subclasses = rng.integers(n_subclasses, size=n)
    Z = rng.normal(size=(2 * n, d))
    Z[n:] = Z[:n] + 0.3 * Z[n:]
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    return Z, np.tile(subclasses % n_classes, 2), np.tile(subclasses, 2)


def literal(Z, y, subclasses, views, tau, tau_of_row, beta, factor=1.0):
    """The formula on n x n matrices, anchor by anchor."""
    losses = []
    for i in range(len(Z)):
        others = np.arange(len(Z)) != i
        same = (subclasses == subclasses[i]) & others
        other_view = np.arange(len(Z)) == views[i]
        outside = (subclasses != subclasses[i]) | other_view
        first, second = Z @ Z[i] / tau, Z @ Z[i] / tau_of_row[i]
        first = first - np.log(np.exp(first[others]).sum())
        second = second - np.log(np.exp(second[outside]).sum())
        relatives = (y == y[i]) & outside
        losses.append(-factor * first[same].mean() - beta * second[relatives].mean())
    return np.array(losses)


def gradient_of(function, Z, step=1e-5):
    """Central differences."""
    gradient = np.empty_like(Z)
    for place in np.ndindex(*Z.shape):
        moved = Z.copy()
        moved[place] += step
        above = function(moved)
        moved[place] -= 2 * step
        gradient[place] = (above - function(moved)) / (2 * step)
    return gradient


def test_worked_example():
    loss = two_level_loss(worked_rows(), CLASSES, SUBCLASSES, class_temperatures=[0.2, 0.1])
    np.testing.assert_allclose(loss.per_anchor, WORKED, atol=5e-7)
    assert loss.value == pytest.approx(0.9233315, abs=5e-8)
    assert loss.value == pytest.approx(loss.per_anchor.mean(), rel=1e-15)


@pytest.mark.parametrize("base", [None, 0.07])
@pytest.mark.parametrize("seed", range(4))
def test_is_the_formula(seed, base):
    Z, y, subclasses = problem(seed)
    tau2 = np.array([0.13, 0.3, 0.08])
    views = np.roll(np.arange(len(Z)), len(Z) // 2)
    options = {"temperature": 0.1, "class_temperatures": tau2, "beta": 0.4}
    loss = two_level_loss(Z, y, subclasses, base_temperature=base, **options)
    factor = 1.0 if base is None else 0.1 / base
    expected = literal(Z, y, subclasses, views, 0.1, tau2[y], 0.4, factor)
    np.testing.assert_allclose(loss.per_anchor, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("beta", [0.0, 0.25, 3.0])
def test_gradient_is_that_of_differences(beta, reduction):
    # Rows of any length: the gradient is that of the formula in the whole space.
    Z, y, subclasses = problem(1, n=9, d=3, n_subclasses=5)
    Z *= np.random.default_rng(2).uniform(0.5, 1.5, size=(len(Z), 1))
    options = {"beta": beta, "class_temperatures": np.array([0.3, 0.2, 0.5])[np.unique(y)]}
    options |= {"base_temperature": 0.07, "temperature": 0.2, "reduction": reduction}

    def value(rows):
        return two_level_loss(rows, y, subclasses, **options).value

    gradient = two_level_loss(Z, y, subclasses, **options).gradient
    np.testing.assert_allclose(gradient, gradient_of(value, Z), rtol=1e-6, atol=1e-8)


def test_descent_along_the_sphere_brings_subclasses_together():
    Z, y, subclasses = problem(3)
    start = two_level_loss(Z, y, subclasses)
    value = start.value
    for _ in range(30):
        Z = Z - 2.0 * two_level_loss(Z, y, subclasses).gradient
        Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    assert two_level_loss(Z, y, subclasses).value < 0.8 * value
    products = Z @ Z.T
    same = subclasses[:, None] == subclasses
    assert products[same].mean() > products[~same].mean() + 0.5


def test_sum_is_n_times_the_mean():
    Z, y, subclasses = problem()
    mean = two_level_loss(Z, y, subclasses)
    total = two_level_loss(Z, y, subclasses, reduction="sum")
    assert total.value == pytest.approx(len(Z) * mean.value, rel=1e-14)
    np.testing.assert_allclose(total.gradient, len(Z) * mean.gradient, rtol=1e-13)
    np.testing.assert_array_equal(total.per_anchor, mean.per_anchor)


@given(seed=st.integers(0, 2**32 - 1))
def test_order_and_names_do_not_matter(seed):
    Z, y, subclasses = problem(4, n=12)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(Z))
    places = np.argsort(order)
    views = np.roll(np.arange(len(Z)), len(Z) // 2)
    tau2 = np.array([0.2, 0.4, 0.3])
    expected = two_level_loss(Z, y, subclasses, views, class_temperatures=tau2)
    moved = two_level_loss(
        Z[order],
        np.array(["cat", "dog", "eel"])[y[order]],
        [f"part {label}" for label in subclasses[order]],
        places[views[order]],
        class_temperatures=tau2,
    )
    assert moved.value == pytest.approx(expected.value, rel=1e-13)
    np.testing.assert_allclose(moved.per_anchor, expected.per_anchor[order], rtol=1e-12)
    np.testing.assert_allclose(moved.gradient, expected.gradient[order], rtol=1e-9, atol=1e-14)


def test_turning_all_rows_turns_the_gradient():
    Z, y, subclasses = problem(5)
    turn, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(5, 5)))
    loss, turned = two_level_loss(Z, y, subclasses), two_level_loss(Z @ turn, y, subclasses)
    np.testing.assert_allclose(turned.per_anchor, loss.per_anchor, rtol=1e-12)
    np.testing.assert_allclose(turned.gradient, loss.gradient @ turn, rtol=1e-10, atol=1e-14)


def test_one_class_with_one_subclass_has_no_second_level():
    Z, _, _ = problem(7)
    nothing = np.zeros(len(Z), dtype=int)
    loss = two_level_loss(Z, nothing, nothing, beta=5.0)
    first = two_level_loss(Z, nothing, nothing, beta=0.0)
    # The softmax over the other view alone is 1, whatever it is multiplied by.
    np.testing.assert_allclose(loss.per_anchor, first.per_anchor, rtol=1e-14)
    np.testing.assert_allclose(loss.gradient, first.gradient, rtol=1e-12, atol=1e-15)


def test_one_class_contrasts_its_subclasses_with_nobody():
    # All that is outside of the subclass is of the class: every row of the softmax is a positive.
    Z, _, subclasses = problem(8)
    views = np.roll(np.arange(len(Z)), len(Z) // 2)
    one = np.zeros(len(Z), dtype=int)
    loss = two_level_loss(Z, one, subclasses, views, temperature=0.5, beta=1.0)
    expected = literal(Z, one, subclasses, views, 0.5, np.full(len(Z), 0.5), 1.0)
    np.testing.assert_allclose(loss.per_anchor, expected, rtol=1e-13)


def test_classes_that_are_whole_keep_the_other_view_alone():
    # One subclass for each class: the second level is the loss of SimCLR against other classes.
    Z, y, _ = problem(9)
    views = np.roll(np.arange(len(Z)), len(Z) // 2)
    loss = two_level_loss(Z, y, y, beta=1.0, class_temperatures=0.4)
    first = two_level_loss(Z, y, y, beta=0.0)
    scores = Z @ Z.T / 0.4
    outside = (y[:, None] != y) | (np.arange(len(Z)) == views[:, None])
    own = scores[np.arange(len(Z)), views]
    expected = np.log((np.exp(scores) * outside).sum(axis=1)) - own
    np.testing.assert_allclose(loss.per_anchor - first.per_anchor, expected, rtol=1e-11)


def test_a_single_row_has_nothing_to_lose():
    loss = two_level_loss([[1.0, 0.0], [0.0, 1.0]], [0, 0], [0, 0])
    assert loss.value == 0.0
    np.testing.assert_array_equal(loss.gradient, np.zeros((2, 2)))


def test_equal_rows():
    Z = np.tile([[0.6, 0.8]], (8, 1))
    loss = two_level_loss(Z, CLASSES, SUBCLASSES, beta=1.0, class_temperatures=0.3)
    # Uniform softmax over 7 others, and over those outside of the subclass and the other view.
    outside = np.array([5, 5, 7, 7] * 2)
    np.testing.assert_allclose(loss.per_anchor, np.log(7) + np.log(outside), rtol=1e-13)
    # No row has anywhere to go but along its own direction.
    across = loss.gradient @ [0.8, -0.6]
    np.testing.assert_allclose(across, 0.0, atol=1e-14)


def test_bits_depend_on_neither_threads_nor_layout():
    Z, y, subclasses = problem(10, n=300, d=17, n_subclasses=40, n_classes=7)
    expected = two_level_loss(Z, y, subclasses, n_threads=1)
    wide = np.zeros((600, 40))
    wide[:, 3:37:2] = Z
    for rows, threads in [(Z, 2), (Z, 5), (np.asfortranarray(Z), 1), (wide[:, 3:37:2], 3)]:
        loss = two_level_loss(rows, y, subclasses, n_threads=threads)
        assert loss.value == expected.value
        np.testing.assert_array_equal(loss.gradient, expected.gradient)


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_backends_agree(backend):
    if backend == "numba":
        pytest.importorskip("numba")
    Z, y, subclasses = problem(11)
    expected = two_level_loss(Z, y, subclasses)
    loss = two_level_loss(Z, y, subclasses, backend=backend)
    np.testing.assert_allclose(loss.per_anchor, expected.per_anchor, rtol=1e-12)
    np.testing.assert_allclose(loss.gradient, expected.gradient, rtol=1e-10, atol=1e-15)


def test_narrow_rows_are_summed_in_wide_numbers():
    Z, y, subclasses = problem(12, n=200, d=16)
    narrow = Z.astype(np.float32)
    loss = two_level_loss(narrow, y, subclasses)
    expected = two_level_loss(narrow.astype(np.float64), y, subclasses)
    assert loss.gradient.dtype == np.float32
    assert loss.per_anchor.dtype == np.float64
    # Exponents of up to 10 in float32, which is 10 * 2^-24 times a small factor.
    np.testing.assert_allclose(loss.per_anchor, expected.per_anchor, atol=1e-5)
    scale = np.abs(expected.gradient).max()
    np.testing.assert_allclose(loss.gradient, expected.gradient, atol=1e-5 * scale)


def test_sharp_temperatures_do_not_overflow():
    Z, y, subclasses = problem(13)
    loss = two_level_loss(Z, y, subclasses, temperature=1e-6, class_temperatures=1e-7)
    assert np.isfinite(loss.value)
    assert np.isfinite(loss.gradient).all()
    # In the limit an anchor loses how much nearer the nearest row is than its positives.
    products = Z @ Z.T
    rows = np.arange(len(Z))
    nearest = np.where(np.eye(len(Z), dtype=bool), -2.0, products).max(axis=1)
    same = (subclasses[:, None] == subclasses) & (rows[:, None] != rows)
    first = nearest - (products * same).sum(axis=1) / same.sum(axis=1)
    expected = two_level_loss(Z, y, subclasses, temperature=1e-6, beta=0.0).per_anchor
    np.testing.assert_allclose(1e-6 * expected, first, atol=1e-5)


def test_temperatures_of_more_classes_than_the_batch_has():
    Z, y, subclasses = problem(14, n=60, n_subclasses=9)
    found = class_temperatures(Z, y, temperature=0.1)
    few = y != 1
    half = few[: len(few) // 2]
    assert half.any()
    loss = two_level_loss(Z[few], y[few], subclasses[few], class_temperatures=found)
    expected = two_level_loss(
        Z[few], y[few], subclasses[few], class_temperatures=found.temperatures[[0, 2]]
    )
    assert loss.value == expected.value


def test_inputs_are_left_alone():
    Z, y, subclasses = problem(15)
    copies = Z.copy(), y.copy(), subclasses.copy()
    for array in (Z, y, subclasses):
        array.setflags(write=False)
    two_level_loss(Z, y, subclasses)
    for array, copy in zip((Z, y, subclasses), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


GOOD = {"Z": worked_rows(), "y": CLASSES, "subclass_labels": SUBCLASSES}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"Z": [[np.nan, 1.0]] * 8}, ValueError, "Z contains NaN"),
        ({"Z": worked_rows()[:1]}, ValueError, "Z must have at least 2 rows"),
        ({"Z": np.zeros((0, 2))}, ValueError, "at least 2 rows.*0"),
        ({"Z": None}, TypeError, "Z must be an array"),
        ({"Z": [["a", "b"]] * 8}, TypeError, "Z must be"),
        ({"Z": 1e170 * worked_rows()}, ValueError, "squared length.*4.5e\\+15 in float64; scale"),
        ({"Z": 1e3 * worked_rows(np.float32)}, ValueError, r"below 8.39e\+06 in float32"),
        ({"y": CLASSES[:7]}, ValueError, r"y must have shape \(8,\), got \(7,\)"),
        ({"y": [0.0, 0.0, np.nan, 1.0] * 2}, ValueError, "y must not have missing labels"),
        ({"y": ["a", "a", None, "b"] * 2}, ValueError, "y must not have missing labels"),
        ({"y": np.array([0, 0, np.nan, 1] * 2, dtype=object)}, ValueError, "missing labels"),
        ({"y": np.array(["2020", "NaT"] * 4, "M8[Y]")}, ValueError, "missing labels"),
        ({"y": 0}, ValueError, r"y must have shape \(8,\), got \(\)"),
        ({"y": [0, 0, "a", 1] * 2}, TypeError, "y must be all numbers or all strings"),
        ({"subclass_labels": [SUBCLASSES]}, ValueError, "subclass_labels must have shape"),
        ({"subclass_labels": [0, 0, 1, 1] * 2}, ValueError, "subclass 1 .*classes 0 and 1"),
        ({"views": [1, 0]}, ValueError, r"views must have shape \(8,\)"),
        ({"views": np.arange(8)}, ValueError, "row 0 has row 0 as its other view"),
        ({"views": [4, 5, 6, 7, 0, 1, 2, 8]}, ValueError, "from 0 to 7, got 0 to 8"),
        ({"views": [-4, 5, 6, 7, 0, 1, 2, 3]}, ValueError, "got -4"),
        ({"views": [4, 5, 6, 7, 0, 1, 3, 2]}, ValueError, "row 2 has row 6 .*which has row 3"),
        ({"views": [7, 5, 6, 4, 3, 1, 2, 0]}, ValueError, "same subclass, but rows 0 and 7"),
        ({"views": np.full(8, 1.0)}, TypeError, "views must hold integers"),
        ({"temperature": 0.0}, ValueError, "temperature must be .*above 0, got 0.0"),
        ({"temperature": "hot"}, TypeError, "temperature must be"),
        ({"temperature": np.inf}, ValueError, "temperature must be a finite"),
        ({"class_temperatures": [0.1, 0.0]}, ValueError, "class_temperatures must be .*got 0.0"),
        ({"class_temperatures": [0.1] * 3}, ValueError, r"have shape \(2,\).*got \(3,\)"),
        ({"class_temperatures": np.nan}, ValueError, "class_temperatures must be finite"),
        ({"class_temperatures": "hot"}, TypeError, "class_temperatures must be"),
        ({"beta": -0.1}, ValueError, "beta must be .*at least 0, got -0.1"),
        ({"base_temperature": 0}, ValueError, "base_temperature must be .*above 0"),
        ({"reduction": "none"}, ValueError, "reduction must be one of 'mean', 'sum', got 'none'"),
        ({"n_threads": 0}, ValueError, "n_threads"),
        ({"backend": "abacus"}, ValueError, "backend"),
    ],
)
def test_bad_input(changes, error, message):
    with pytest.raises(error, match=message):
        two_level_loss(**{**GOOD, **changes})


def test_labels_that_pandas_misses():
    pandas = pytest.importorskip("pandas")
    y = np.array(["a", "a", pandas.NA, "b"] * 2, dtype=object)
    with pytest.raises(ValueError, match="y must not have missing labels"):
        two_level_loss(worked_rows(), y, SUBCLASSES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sharpest_temperature_leaves_weights_in_range(dtype):
    Z, y, subclasses = problem(16)
    lengths = 1 / np.finfo(dtype).eps
    loss = two_level_loss(Z.astype(dtype), y, subclasses, temperature=1.01 / lengths)
    # A weight of the softmax is 1 at most: gradients are some sharpnesses long.
    assert np.abs(loss.gradient).max() < 10 * lengths
    with pytest.raises(ValueError, match="raise the temperature"):
        two_level_loss(Z.astype(dtype), y, subclasses, temperature=0.99 / lengths)


def test_odd_rows_need_views():
    with pytest.raises(ValueError, match="two halves of views, got 7 rows"):
        two_level_loss(worked_rows()[:7], CLASSES[:7], SUBCLASSES[:7])


def test_a_class_without_a_temperature():
    found = class_temperatures(worked_rows()[:3], ["a", "a", "b"], temperature=0.1)
    with pytest.raises(ValueError, match="class_temperatures has none for class c"):
        two_level_loss(
            worked_rows(), ["a", "a", "a", "c"] * 2, SUBCLASSES, class_temperatures=found
        )
