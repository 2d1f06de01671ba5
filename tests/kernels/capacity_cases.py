"""Rows and centres, and what an assignment under bounds has to be, for the tests of this folder."""

import numpy as np

# Rounding of the sums of costs, and of the prices, per unit of cost (see the contract).
ROUNDING = 1e-13


def separated(n, k, seed=0):
    """Rows around uneven centres, the case of k-means: distances whose sizes are far from equal."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(k, 8))
    shares = 1.0 / np.arange(1, k + 1)
    X = centers[rng.choice(k, size=n, p=shares / shares.sum())] + 0.4 * rng.normal(size=(n, 8))
    return X, centers


def dual_value(C, low, high, prices):
    bound = np.where(prices > 0, high, low)
    return (C + prices).min(axis=1, initial=np.inf).sum() - (bound * prices).sum()


def check(result, C, low, high, unit=None):
    """Verify a result from nothing but the statement of the problem."""
    C = np.asarray(C, dtype=np.float64)
    n, k = C.shape
    low, high = np.broadcast_to(low, (k,)), np.minimum(np.broadcast_to(high, (k,)), n)
    assert result.labels.dtype == np.int32
    assert result.labels.shape == (n,)
    assert result.prices.shape == (k,)
    assert result.prices.dtype == np.float64
    assert isinstance(result.n_paths, int)
    sizes = np.bincount(result.labels, minlength=k)
    assert len(sizes) == k
    assert ((low <= sizes) & (sizes <= high)).all()
    assert (result.prices[sizes < high] <= 0).all()
    assert (result.prices[sizes > low] >= 0).all()
    unit = ROUNDING * (np.abs(C).sum() if unit is None else unit)
    own = C[np.arange(n), result.labels]
    assert abs(result.cost - own.sum()) <= unit
    assert 0 <= result.dual_gap <= unit
    priced = C + result.prices
    assert (own + result.prices[result.labels] <= priced.min(axis=1, initial=np.inf) + unit).all()
    assert abs(result.cost - dual_value(C, low, high, result.prices)) <= 2 * unit
