"""Every adversarial case has the property that makes it hard."""

import numpy as np
import pytest

from clusterlib.datasets import ADVERSARIAL_CASES, make_adversarial


def n_distinct(X):
    return len(np.unique(X, axis=0))


def has_overflowing_squares(X):
    with np.errstate(over="ignore"):
        return bool(np.isinf(np.square(X)).any())


# case -> what must hold of X.
PROPERTIES = {
    "duplicates": lambda X: n_distinct(X) == len(X) // 4,
    "few_distinct": lambda X: n_distinct(X) == 3,
    "all_equal": lambda X: n_distinct(X) == 1,
    "far_point": lambda X: np.sum(np.abs(X).max(axis=1) > 100) == 1 and X.max() == 1e4,
    "extreme_point": lambda X: np.sum(np.abs(X).max(axis=1) > 100) == 1 and X.max() > 9e17,
    "offset": lambda X: np.abs(X.mean() - 1e6) < 1 and 0.5 < X.std(axis=0).mean() < 2,
    "zero_rows": lambda X: np.sum(~X.any(axis=1)) == len(X) // 4,
    "tiny": lambda X: 1e-23 < np.abs(X).mean() < 1e-21,
    "subnormal": lambda X: 0 < np.abs(X).max() < np.finfo(X.dtype).tiny,
    "huge": has_overflowing_squares,
    "mixed_scales": lambda X: np.abs(X).max(axis=0).argsort().tolist() == [*range(X.shape[1])],
    "ties": lambda X: set(np.unique(X)) == {0, 1, 2},
    "near_ties": lambda X: 3 < n_distinct(X) and n_distinct(np.round(X, 5)) <= 3,
}


def test_every_case_has_a_property():
    assert set(PROPERTIES) == set(ADVERSARIAL_CASES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", ADVERSARIAL_CASES)
def test_case_has_its_property(case, dtype):
    X = make_adversarial(case, dtype=dtype, random_state=0)
    assert X.shape == (200, 8) and X.dtype == dtype and np.isfinite(X).all()
    assert X.flags.c_contiguous and X.flags.writeable
    assert PROPERTIES[case](X)
    np.testing.assert_array_equal(X, make_adversarial(case, dtype=dtype, random_state=0))
    assert not np.array_equal(X, make_adversarial(case, dtype=dtype, random_state=1))


@pytest.mark.parametrize("case", ADVERSARIAL_CASES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 1)])
def test_small_shapes(case, shape):
    X = make_adversarial(case, *shape, random_state=0)
    assert X.shape == shape and np.isfinite(X).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("nothing",), ValueError, "duplicates, few_distinct"),
        ((3,), ValueError, "case must be one of"),
        (("ties", 0), ValueError, "n_samples"),
        (("ties", 3, 0), ValueError, "n_features"),
        (("ties", 3.0), TypeError, "n_samples"),
    ],
)
def test_wrong_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        make_adversarial(*arguments)
