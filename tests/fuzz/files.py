"""Fuzz what is read from files: broken .npy, Arrow and Parquet files, shards, checkpoints, CSR.

    python -m tests.fuzz.files -max_total_time=120

A small valid file is spoilt, or a wrong one made on purpose, and read. That has to end with rows or
with ValueError, TypeError or OSError, never runs code from the file, and takes no memory that the
file has no bytes for.
"""

import io
import resource
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from clusterlib.blocks import ArrowBlocks, CsrBlocks, FileBlocks, ShardBlocks, as_blocks
from clusterlib.cluster import KMeans
from tests.fuzz.choices import Choices
from tests.fuzz.loop import feed

__all__ = ["one_file"]

REFUSALS = (ValueError, TypeError, OSError)
MEMORY = 2**30  # that may be asked for beyond what the process has
ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)
HUGE = [0, 1, -1, 2**31, 2**40, 2**63, 10**30, True]
DTYPES = ["<f4", ">f8", "|O", "<f2", "|V2", "<U4", "|b1", "<M8[s]", "<c16", "<f16", "|V100000"]

_executed = []


class _Code:
    """What a pickle would run."""

    def __reduce__(self):
        return _executed.append, (1,)


@cache
def _limit():
    """No more memory than now and a GiB; called when all is imported."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, -1))


def _npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _headed(shape, descr, fortran, body, version=1):
    """A .npy file with a header of one's own."""
    header = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode() + b"\n"
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


def _chosen_npy(choices):
    kind = choices.below(4)
    if kind == 0:
        return _npy(np.array([[_Code()]], dtype=object))
    if kind == 1:
        return _npy(ROWS if choices.below(2) else np.asfortranarray(ROWS))
    shape = tuple(choices.among([20, 3, *HUGE]) for _ in range(choices.among([2, 2, 1, 3, 0])))
    body = ROWS.tobytes() if choices.below(2) else b""
    return _headed(shape, choices.among(DTYPES), choices.below(2) == 1, body, 1 + choices.below(2))


@cache
def _arrow(suffix):
    import pyarrow as pa
    from pyarrow import feather, parquet

    table = pa.table({"a": ROWS[:, 0], "b": ROWS[:, 1]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "X")
        if suffix == ".parquet":
            parquet.write_table(table, path, row_group_size=7)
        else:
            feather.write_feather(table, path, compression="lz4" if suffix == ".feather" else None)
        return path.read_bytes()


class _BrokenOff(Exception):
    """Ends a fit, which leaves its checkpoint."""


@cache
def _rows_on_disk():
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name, "rows.npy")
    np.save(path, ROWS)
    return path, folder  # which lives as long as this cache


def _fit(path, on_block=None):
    blocks = FileBlocks(_rows_on_disk()[0])
    if on_block is not None:
        blocks.observer = on_block
    KMeans(2, n_init=2, max_iter=5, random_state=0, checkpoint=path).fit(blocks)


@cache
def _checkpoint():
    """The file of a fit that was broken off in its second start."""
    seen = []

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fit")

        def end(rows):
            seen.append(path.exists())
            if sum(seen) == 8:
                raise _BrokenOff

        try:
            _fit(path, end)
        except _BrokenOff:
            return path.read_bytes()
    raise AssertionError(f"the fit ended too soon: {seen}")


def _chosen_checkpoint(choices):
    """A checkpoint with wrong contents whose checksums are right."""
    with np.load(io.BytesIO(_checkpoint())) as file:
        stored = {name: file[name] for name in file.files}
    name = choices.among(sorted(stored))
    kind = choices.below(7)
    if kind == 0:
        del stored[name]
    elif kind == 1:
        stored[name] = np.array([_Code()], dtype=object)
    elif kind == 2:
        stored[name] = np.array("text")
    elif kind == 3:
        stored[name] = np.zeros((2, 2))[: choices.below(3)]
    elif kind == 4:
        value = choices.among([-1, 99, 2**62, np.nan, np.inf, 0])
        stored[name] = np.full_like(stored[name], value, dtype=type(value))
    elif kind == 5:
        stored[name] = stored[name].reshape(-1)[:0]
    file = io.BytesIO()
    (np.savez if choices.below(2) else np.savez_compressed)(file, allow_pickle=True, **stored)
    return file.getvalue() if kind < 6 else _with_huge_member(choices)


def _with_huge_member(choices):
    from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

    file = io.BytesIO()
    shape = (choices.among([2**27, 2**31, 2**40, 2**62]), 8)
    with ZipFile(file, "w", choices.among([ZIP_STORED, ZIP_DEFLATED])) as members:
        members.writestr("version.npy", _headed(shape, "<f8", False, b"\0" * 64))
    return file.getvalue()


def _spoilt(data, choices):
    """Bytes changed, cut off, left out or repeated."""
    data = bytearray(data)
    for _ in range(choices.below(6)):
        at, kind = choices.below(max(1, len(data))), choices.below(5)
        # Most of what matters stands at the two ends.
        at = (at % 128, -1 - at % 128, at)[choices.below(3)] if len(data) > 256 else at
        if kind == 0:
            data[at : at + 1 or None] = bytes([choices.below(256)])
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + 1 + choices.below(40)]
        elif kind == 3:
            data[at:at] = data[at : at + 1 + choices.below(40)]
        else:
            data[at : at + 4] = choices.among([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
    return bytes(data)


def _read(blocks):
    for start in range(0, min(blocks.n_samples, 100), 7):
        blocks.rows(start, min(start + 7, blocks.n_samples))
    if blocks.n_samples:
        blocks.take([0, blocks.n_samples - 1])


def _csr(choices):
    """A sparse matrix whose arrays do not fit together."""
    from scipy.sparse import csr_array

    X = csr_array(ROWS)
    array = choices.among([X.indptr, X.indices])
    array[choices.below(len(array))] = choices.among([-1, 99, 2**31 - 1, -(2**31), 0])
    _read(CsrBlocks(X))
    KMeans(2, n_init=1, max_iter=2, random_state=0).fit(X)


def one_file(data):
    """Make, spoil and read the file that the bytes stand for."""
    choices = Choices(data)
    kind = choices.among(["npy", "npy", ".arrow", ".parquet", ".feather", "checkpoint", "csr"])
    made = {"npy": _chosen_npy, "checkpoint": _chosen_checkpoint, "csr": lambda _: b""}
    content = made[kind](choices) if kind in made else _arrow(kind)
    if choices.below(3):
        content = _checkpoint() if kind == "checkpoint" else content
        content = _spoilt(content, choices)
    _limit()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "X" + (".npy" if kind == "npy" else kind))
        path.write_bytes(content)
        try:
            if kind == "csr":
                _csr(choices)
            elif kind == "checkpoint":
                _fit(path)
            elif kind == "npy":
                opened = choices.among([FileBlocks, as_blocks, lambda path: ShardBlocks([path])])
                _read(opened(path))
            else:
                opened = choices.among([ArrowBlocks, as_blocks, lambda path: ShardBlocks([path])])
                _read(opened(path))
        except REFUSALS:
            pass
    assert not _executed, f"code of a {kind} file was run"


if __name__ == "__main__":
    feed(one_file)
