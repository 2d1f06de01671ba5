"""The bench of first centres runs, and its table compares what it says."""

import json

import numpy as np

from bench import seeding


def test_blobs_have_the_shape_and_the_sizes_that_are_asked_for():
    X = seeding.blobs(n=900, d=3, n_blobs=20)
    assert X.shape == (900, 3)
    assert X.dtype == np.float32
    assert np.isfinite(X).all()


def test_a_file_has_a_line_for_each_draw_and_the_table_a_row_for_each_way(
    tmp_path, monkeypatch, capsys
):
    X = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    monkeypatch.setattr(seeding, "problems", lambda: iter([("random", X), ("texts", X)]))
    monkeypatch.setattr(seeding, "N_CLUSTERS", (4, 6))
    monkeypatch.setattr(seeding, "LARGE", 6)
    path = tmp_path / "seeding.jsonl"
    seeding.main(["--seeds", "2", "--out", str(path)])
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    n_ways = len(seeding.ways())
    assert len(records) == 2 * n_ways * (2 + 1)
    assert all(0 < record["inertia"] <= record["cost"] * (1 + 1e-6) for record in records)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 2 * 2 * n_ways
    judged = [row for row in rows if seeding.JUDGE in row]
    assert len(judged) == 4
    assert all(row.count("1.000 ±") == 2 for row in judged)
    seeding.main(["--report", "--out", str(path)])
    assert capsys.readouterr().out.splitlines()[2:] == rows
