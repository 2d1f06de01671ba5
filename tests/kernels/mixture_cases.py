"""Tables and factors for the mixture kernels, and the rounding their contracts promise."""

import numpy as np

DOUBLE = 2.0**-53


def table(n, m, dtype=np.float64, share=0.4, seed=0):
    """Compressed rows ``(indptr, indices, data)`` of n x m counts; every fifth row is empty."""
    rng = np.random.default_rng([n, m, seed])
    filled = rng.random((n, m)) < share
    filled[4::5] = False
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(filled)[1].astype(np.int32)
    return indptr, indices, rng.gamma(1.0, 3.0, len(indices)).astype(dtype)


def dense(indptr, indices, data, m):
    """The table as a float64 matrix; cells that are there twice are added up."""
    X = np.zeros((len(indptr) - 1, m))
    rows = np.repeat(np.arange(len(X)), np.diff(indptr))
    np.add.at(X, (rows, indices), data)
    return X


def factor(rng, n, k, dtype=np.float64, zeros=0.1):
    """Rows of very different entries, of which some are 0."""
    values = np.exp(rng.normal(0, 2, size=(n, k))) * (rng.random((n, k)) >= zeros)
    return values.astype(dtype)


def rounding(terms, dtype, power=1.0):
    """Relative error of sums over ``terms`` of powers of shares, stored in a dtype.

    Powers that are not 1, 2 or 3 go through logarithms of numbers down to 1e-200, which lose a unit
    of rounding for each unit of the logarithm.
    """
    logarithms = 0 if power in (1, 2, 3) else 700 * power
    stored = 2.0**-24 if dtype == np.float32 else 0.0
    return 2 * (terms + 2 * power + 16 + logarithms) * DOUBLE + stored


def assert_close(found, expected, relative):
    """Compare sums of non-negative terms; what is 0 stays below the smallest normal number."""
    expected = np.asarray(expected, np.float64)
    error = np.abs(np.asarray(found, np.float64) - expected)
    assert np.all(error <= relative * np.abs(expected) + np.finfo(found.dtype).tiny)
