"""The bench of Dask arrays: both carriers draw the same rows, and figures are complete."""

import json

import numpy as np
import pytest

pytest.importorskip("dask.array")
pytest.importorskip("threadpoolctl")

from bench import dask_blocks
from clusterlib.kernels import LEAF_ROWS


def test_both_carriers_draw_the_same_rows():
    n_samples = 2 * LEAF_ROWS + 5
    here = dask_blocks.GeneratedBlocks(n_samples, LEAF_ROWS)
    there = np.asarray(dask_blocks.lazily_drawn(n_samples, LEAF_ROWS))
    np.testing.assert_array_equal(np.concatenate([block.array for block in here]), there)
    assert len(np.unique(there[:, 0])) > n_samples - 10  # blocks are not copies of each other


def test_threads_are_compared(capsys):
    lines = dask_blocks.main(["threads", "--rows", str(3 * LEAF_ROWS), "--repeat", "1"])
    assert list(map(json.loads, capsys.readouterr().out.splitlines())) == lines
    assert [line["function"] for line in lines] == ["kernels", "numpy"]
    assert all(line["same_bits"] for line in lines)


def test_unknown_parts_are_refused(capsys):
    with pytest.raises(SystemExit):
        dask_blocks.main(["speed"])
    assert "there are overhead, pass, threads" in capsys.readouterr().err
