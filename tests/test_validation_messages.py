"""What the commonest mistakes print: where in X the trouble is, and what to do."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from clusterlib.cluster import KMeans, SDPClustering
from clusterlib.imbalance import SubclassClassifier
from clusterlib.label_shift import LatentLabelShift

X = np.arange(12.0).reshape(6, 2)
Y = [0, 0, 0, 1, 1, 1]


def with_gaps(value):
    gaps = X.copy()
    gaps[4, 1] = gaps[5, 0] = value
    return gaps


@pytest.mark.parametrize("estimator", [KMeans(2), LatentLabelShift(2), SubclassClassifier()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_counted_and_placed(estimator, value):
    expected = "2 of its 12 values are not finite, the first in row 4, column 1: drop"
    with pytest.raises(ValueError, match=expected) as raised:
        estimator.fit(with_gaps(value), Y)
    assert "HistGradientBoosting" not in str(raised.value)


def test_columns_of_frames_are_named():
    frame = pd.DataFrame(with_gaps(np.nan), columns=["length", "width"])
    with pytest.raises(ValueError, match=r"row 4, column 1 \('width'\)"):
        KMeans(2).fit(frame)
    frame = pd.DataFrame({"length": [1.0, 2.0, 3.0], "colour": ["red", "blue", "red"]})
    with pytest.raises(ValueError, match="X must hold numbers, column 'colour' does not: .*'red'"):
        KMeans(2).fit(frame)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "boolean"])
def test_missing_values_of_pandas_are_placed(dtype):
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.5], "b": pd.array([1, None, 0], dtype=dtype)})
    expected = r"contains NaN. 1 of its 6 values .* row 1, column 1 \('b'\)"
    with pytest.raises(ValueError, match=expected):
        KMeans(2).fit(frame)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_numbers_beyond_the_working_dtype_are_placed():
    wide = X.astype(np.longdouble)
    wide[2, 1] = np.finfo(np.longdouble).max
    with pytest.raises(ValueError, match="1 of its 12 values are not finite, the first in row 2"):
        KMeans(2).fit(wide)


def test_text_without_columns():
    with pytest.raises(ValueError, match="X must hold numbers: could not convert .*'a'"):
        KMeans(2).fit([["a", "b"], ["c", "d"]])


def test_sparse_rows_have_a_carrier_where_blocks_are_read():
    with pytest.raises(TypeError, match=r"toarray\(\).* Or pass clusterlib.blocks.CsrBlocks\(X\)"):
        KMeans(2).fit(scipy.sparse.csr_matrix(X))
    with pytest.raises(TypeError, match="toarray") as raised:
        SubclassClassifier().fit(scipy.sparse.csr_matrix(X), Y)
    assert "CsrBlocks" not in str(raised.value)


def test_other_errors_are_those_of_scikit_learn():
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        SDPClustering(2).fit(X[:, 0])
