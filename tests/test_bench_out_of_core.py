"""The benches of rows that are read: small runs, and the arithmetic of the scaling model."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import out_of_core
from bench.scaling_model import Machines, Problem, predicted


def test_a_small_overlap_writes_a_line_for_every_case(tmp_path, capsys):
    out = tmp_path / "lines.jsonl"
    out.write_text('{"what": "memory"}\n')
    arguments = ["--gigabytes", "0.01", "--clusters", "4", "--threads", "1", "--repeat", "1"]
    arguments += ["--block-mib", "16"]
    out_of_core.main(["overlap", *arguments, "--folder", str(tmp_path), "--out", str(out)])
    kept, *lines = map(json.loads, out.read_text().splitlines())
    assert kept == {"what": "memory"}
    assert {line["file"] for line in lines} == {"in the page cache", "dropped before every pass"}
    for line in lines:
        slower = max(line["read_seconds"], line["kernels_seconds"])
        assert line["pass_over_slower"] == line["pass_seconds"] / slower
        assert line["pass_over_floor"] <= line["pass_over_slower"]
        assert line["n_samples"] == int(0.01e9 / 4 / 256)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines.jsonl"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counts as Linux does")
def test_a_small_fit_is_measured_in_a_process_of_its_own(tmp_path):
    out = tmp_path / "lines.jsonl"
    out_of_core.main(
        ["memory", "--gigabytes", "0.015", "--folder", str(tmp_path), "--out", str(out)]
    )
    for line in map(json.loads, out.read_text().splitlines()):
        assert line["blocks_centres_labels_bytes"] == (
            3 * line["block_bytes"]
            + 4 * line["n_clusters"] * line["n_features"]
            + 4 * line["n_samples"]
        )
        assert 0 < line["peak_bytes"] < line["limit_bytes"]


def test_rows_of_the_file_are_blobs(tmp_path):
    out_of_core.write_rows(tmp_path / "X.npy", 20_000, 3)
    X = np.load(tmp_path / "X.npy")
    assert X.shape == (20_000, 3)
    assert X.dtype == np.float32
    assert len(np.unique(X, axis=0)) > 19_000


def test_the_model_counts_what_a_pass_moves():
    problem = Problem(1e6, 10, 2, 7, 1 << 16)
    machines = Machines(4, read=1e6, operations=1e7, network=1e8, task=1e-3)
    found = predicted(problem, machines)
    assert found["blocks"] == 16
    assert found["merges"] == 2 + 1
    assert found["read_bytes"] == 1e6 * 10 * 2 / 4
    assert found["read_seconds"] == pytest.approx(5.0)
    assert found["operations"] == 2 * 1e6 * 10 * 7 / 4
    assert found["kernels_seconds"] == pytest.approx(3.5)
    assert found["sums_bytes"] == 8 * 7 * 11 * 16 / 4
    assert found["scheduler_seconds"] == pytest.approx(0.019)
    assert found["pass_seconds"] == pytest.approx(
        5.0 + found["sums_seconds"] + found["centres_seconds"]
    )
    crowded = predicted(problem._replace(block_rows=1), machines)
    assert crowded["pass_seconds"] == crowded["scheduler_seconds"] > 1000
