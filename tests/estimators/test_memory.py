"""No silent copies: what arrays pass untouched, and what a fit allocates beside X."""

import tracemalloc

import numpy as np
import pytest

from clusterlib.blocks import FileBlocks
from clusterlib.config import config_context
from clusterlib.validation import checked_matrix
from tests.estimators.cases import CLASSES
from tests.helpers import LAYOUTS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_pass_validation_uncopied(layout, dtype, tmp_path):
    X = LAYOUTS[layout](np.arange(12, dtype=dtype).reshape(4, 3), tmp_path)
    checked = checked_matrix(CLASSES[0](), X, reset=True)
    if layout == "memory_mapped":  # read block by block
        assert isinstance(checked, FileBlocks)
        np.testing.assert_array_equal(checked.rows(0, len(X)), X)
        return
    assert np.shares_memory(checked, X)
    assert checked.strides == X.strides


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("layout", ["memory_mapped", "fortran", "strided"])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_fit_needs_little_memory_beside_the_data(cls, layout, tmp_path):
    X = np.random.default_rng(0).normal(size=(40_000, 64)).astype(np.float32)
    X = LAYOUTS[layout](X, tmp_path)
    estimator = cls(4, max_iter=2, random_state=0)
    with config_context(block_bytes=4096 * 64 * 4):
        tracemalloc.start()
        estimator.fit(X).predict(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # A few float64 numbers for each row of 64 float32: 3 trials of k-means++ and some more. Blocks
    # of a file are memory of ours: one at work, one that waits, one that is being read.
    blocks = 3 * 4096 * 64 * 4 if layout == "memory_mapped" else 0
    assert peak < 0.45 * X.nbytes + blocks
