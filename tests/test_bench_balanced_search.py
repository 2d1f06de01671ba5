"""The bench of searches in balanced k-means runs, and its ways are what they say."""

import numpy as np
import pytest

from bench import balanced_search


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)


def test_every_way_starts_from_the_same_start(rows, monkeypatch):
    monkeypatch.setattr(balanced_search, "N_SWAPS", 10)
    found = balanced_search.contest(rows, 12, 0)
    assert list(found) == [
        "one start",
        "with exchanges",
        "restarts",
        "restarts with exchanges",
        "exchanges and 10 swaps",
    ]
    inertia = {way: run[0] for way, run in found.items()}
    assert inertia["with exchanges"] <= inertia["one start"]
    assert inertia["restarts"] <= inertia["one start"]
    assert inertia["restarts with exchanges"] <= inertia["with exchanges"]
    assert inertia["exchanges and 10 swaps"] <= inertia["with exchanges"]
    assert all(run[1] > 0 for run in found.values())


def test_restarts_end_with_their_time(rows):
    single = balanced_search.fit(rows, 12, 0)[0]
    assert balanced_search.restarts(rows, 12, 0, 1e-9) == single


def test_a_table_has_a_row_for_every_way(rows, monkeypatch):
    monkeypatch.setattr(balanced_search, "problems", lambda: iter([("random", rows, 4)]))
    monkeypatch.setattr(balanced_search, "N_SWAPS", 2)
    lines = []
    balanced_search.table(2, lines.append)
    assert lines[0] == "\nrandom\n"
    assert lines[2].startswith("| one start | 100.00 ± ")
    assert len(lines) == 2 + 5


def test_mixtures_have_unit_rows():
    X = balanced_search.zipf_mixture(200, 8, 5)
    assert X.shape == (200, 8)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-6)
