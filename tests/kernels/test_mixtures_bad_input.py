"""Arguments of the mixture kernels that are refused: the error names the argument and the value."""

import numpy as np
import pytest
from scipy import sparse

from clusterlib.kernels import mixture_weights, plsa_step, tempered_posterior

TABLE = {"indptr": [0, 2, 3], "indices": [0, 2, 1], "data": [1.0, 2.0, 3.0]}
H = np.ones((3, 2))
STEP = TABLE | {"W": np.ones((2, 2)), "H": H}
WEIGHTS = TABLE | {"H": H}
POSTERIOR = {"H": np.ones((4, 2)), "D": np.ones((3, 2)), "domains": [0, 1, 2, 0]}

BAD_TABLES = [
    ({"indptr": [0, 3]}, ValueError, r"indptr must have shape \(3,\), got \(2,\)"),
    ({"indptr": []}, ValueError, r"indptr must have shape"),
    ({"indptr": [[0, 2, 3]]}, ValueError, r"indptr must have one dimension, got \(1, 3\)"),
    ({"indptr": [0.0, 2.0, 3.0]}, TypeError, "indptr must hold integers, got dtype float64"),
    ({"indptr": [1, 2, 3]}, ValueError, "indptr must go from 0 to 3, .* got 1 to 3"),
    ({"indptr": [0, 2, 4]}, ValueError, "indptr must go from 0 to 3, .* got 0 to 4"),
    ({"indptr": [0, 4, 3]}, ValueError, "indptr must not decrease, but does after row 1"),
    ({"indptr": [0, -1, 3]}, ValueError, "indptr must not decrease, but does after row 0"),
    ({"indptr": None}, TypeError, "indptr must be an array of numbers, got None"),
    ({"indices": [0, 3, 1]}, ValueError, "indices must be from 0 to 2, got 3 at position 1"),
    ({"indices": [0, -1, 1]}, ValueError, "indices must be from 0 to 2, got -1 at position 1"),
    ({"indices": [0, 2**31, 1]}, ValueError, "indices must fit into int32"),
    ({"indices": [0.0, 1.0, 1.0]}, TypeError, "indices must hold integers, got dtype float64"),
    ({"indices": [0, 1]}, ValueError, r"data and indices must have one shape, got \(3,\), \(2,\)"),
    ({"indices": [[0, 2, 1]]}, ValueError, "indices must have one dimension"),
    ({"indices": ["a", "b", "c"]}, TypeError, "indices must be an array of real numbers"),
    ({"data": [1.0, 2.0]}, ValueError, r"data and indices must have one shape"),
    ({"data": [1.0, np.nan, 3.0]}, ValueError, "data must be finite and at least 0, got nan at"),
    ({"data": [1.0, 2.0, np.inf]}, ValueError, "data must be finite .*, got inf at position 2"),
    ({"data": [-1.0, 2.0, 3.0]}, ValueError, "data must be finite .*, got -1.0 at position 0"),
    ({"data": sparse.csr_array(np.eye(3))}, TypeError, "data is sparse"),
    ({"data": [1j, 0, 0]}, TypeError, "data must be an array of real numbers"),
    ({"H": np.ones((2, 2))}, ValueError, "indices must be from 0 to 1, got 2 at position 1"),
    (
        {"H": np.array([[1.0, np.nan]] * 3)},
        ValueError,
        "H must be finite .*, got nan at position 1",
    ),
    ({"H": np.array([[1.0, -0.5]] * 3)}, ValueError, "H must be finite .*, got -0.5 at position 1"),
    ({"H": np.ones(3)}, ValueError, r"H must have 2 dimensions"),
    ({"H": np.ones((3, 0))}, ValueError, "H must have at least 1 feature"),
    ({"H": sparse.csr_array(H)}, TypeError, "H is sparse"),
    ({"n_threads": 0}, ValueError, "n_threads must be from 1"),
    ({"backend": "cuda"}, ValueError, "backend must be None or one of"),
]
BAD_STEPS = [
    ({"W": np.ones((3, 2))}, ValueError, r"indptr must have shape \(4,\), got \(3,\)"),
    (
        {"W": np.ones((2, 3))},
        ValueError,
        "W and H must have the same number of columns, got 3 and 2",
    ),
    ({"W": np.full((2, 2), np.inf)}, ValueError, "W must be finite and at least 0, got inf"),
    ({"W": np.array([[0, 1], [1, -1]])}, ValueError, "W must be .*, got -1.0 at position 3"),
    ({"beta": 0.0}, ValueError, "beta must be a positive finite number, got 0.0"),
    ({"beta": -1.0}, ValueError, "beta must be a positive finite number, got -1.0"),
    ({"beta": np.nan}, ValueError, "beta must be a positive finite number, got nan"),
    ({"beta": np.inf}, ValueError, "beta must be a positive finite number, got inf"),
    ({"beta": [1.0, 2.0]}, ValueError, "beta must be a positive finite number"),
    ({"beta": "hot"}, TypeError, "beta must be an array of real numbers"),
]
BAD_WEIGHTS = [
    ({"indptr": []}, ValueError, r"indptr must have shape \(n \+ 1,\), got \(0,\)"),
    ({"W": np.ones((3, 2))}, ValueError, r"W must have shape \(2, 2\), got \(3, 2\)"),
    ({"W": np.full((2, 2), -1.0)}, ValueError, "W must be finite and at least 0, got -1.0"),
    (
        {"W": [[1.0, 1e60]] * 2, "H": H.astype(np.float32)},
        ValueError,
        "W must be finite .*, got inf",
    ),
    (
        {"data": [1e60] * 3, "H": H.astype(np.float32)},
        ValueError,
        "data must be finite .*, got inf",
    ),
    ({"max_iter": 0}, ValueError, "max_iter must be from 1 to"),
    ({"max_iter": 1.5}, TypeError, "max_iter must be an integer, got 1.5"),
    ({"tol": -1e-9}, ValueError, "tol must be finite and at least 0"),
    ({"tol": np.nan}, ValueError, "tol must be finite and at least 0, got nan"),
]
BAD_POSTERIORS = [
    ({"H": np.ones(4)}, ValueError, "H must have 2 dimensions"),
    ({"H": None}, TypeError, "H must be an array of numbers, got None"),
    ({"D": np.ones((3, 3))}, ValueError, "H and D must have the same number of columns, got 2 and 3"),
    ({"D": np.full((3, 2), np.nan)}, ValueError, "D must be finite and at least 0, got nan"),
    ({"D": -np.ones((3, 2))}, ValueError, "D must be finite and at least 0, got -1.0"),
    ({"D": np.ones((0, 2))}, ValueError, "domains must be from 0 to -1, got 0"),
    ({"domains": [0, 1, 3, 0]}, ValueError, "domains must be from 0 to 2, got 3 at position 2"),
    ({"domains": [0, 1, -1, 0]}, ValueError, "domains must be from 0 to 2, got -1 at position 2"),
    ({"domains": [0, 1, 2]}, ValueError, r"domains must have shape \(4,\), got \(3,\)"),
    ({"domains": [0.0, 1, 2, 0]}, TypeError, "domains must hold integers, got dtype float64"),
    ({"domains": [0, 1, 2**40, 0]}, ValueError, "domains must fit into int32"),
    ({"neighbors": [0, 1, 2, 3]}, ValueError, r"neighbors must have shape \(4, q\) .*, got \(4,\)"),
    ({"neighbors": np.zeros((4, 0), int)}, ValueError, "neighbors must have shape .* at least 1"),
    ({"neighbors": np.zeros((3, 2), int)}, ValueError, r"neighbors must have shape .*, got \(3, 2\)"),
    ({"neighbors": np.zeros((4, 2))}, TypeError, "neighbors must hold integers, got dtype float64"),
    ({"neighbors": [[0], [1], [4], [0]]}, ValueError, "neighbors must be from 0 to 3, got 4 at"),
    ({"neighbors": [[0], [1], [-1], [0]]}, ValueError, "neighbors must be from 0 to 3, got -1 at"),
    ({"floor": -0.1}, ValueError, "floor must be finite and at least 0, got -0.1"),
    ({"floor": np.nan}, ValueError, "floor must be finite and at least 0, got nan"),
    ({"tau": 0}, ValueError, "tau must be a positive finite number, got 0"),
    ({"beta": -2}, ValueError, "beta must be a positive finite number, got -2"),
    ({"weight": [1.0, 1.0, -1.0, 1.0]}, ValueError, "weight must be finite and at least 0, got -1.0"),
    ({"weight": [1.0, 1.0]}, ValueError, r"weight must be a scalar or have shape \(4,\)"),
    ({"weight": [np.inf] * 4}, ValueError, "weight must be finite and at least 0, got inf"),
    ({"n_threads": 1.5}, TypeError, "n_threads must be an integer"),
    ({"backend": "cuda"}, ValueError, "backend must be None or one of"),
]  # fmt: skip
CASES = [
    (kernel, good, *case)
    for kernel, good, cases in [
        (plsa_step, STEP, BAD_TABLES + BAD_STEPS),
        (mixture_weights, WEIGHTS, BAD_TABLES[2:] + BAD_WEIGHTS),
        (tempered_posterior, POSTERIOR, BAD_POSTERIORS),
    ]
    for case in cases
]


@pytest.mark.parametrize(
    ("kernel", "good", "changed", "error", "message"),
    CASES,
    ids=[f"{kernel.__name__}-{'-'.join(changed)}-{i}" for i, (kernel, _, changed, *_) in
         enumerate(CASES)],
)  # fmt: skip
def test_it_is_refused(kernel, good, changed, error, message):
    with pytest.raises(error, match=message):
        kernel(**(good | changed))


@pytest.mark.parametrize(
    ("kernel", "good"),
    [(plsa_step, STEP), (mixture_weights, WEIGHTS), (tempered_posterior, POSTERIOR)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_changed_for_the_tests_is_good_otherwise(backend, kernel, good):
    assert kernel(**good, backend=backend) is not None
