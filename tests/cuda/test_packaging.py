"""The device sources: found where they are, complete, and each of them in use."""

import re

import pytest

from clusterlib.kernels._cupy import runtime
from clusterlib.kernels._cupy.instances import all_instances
from tests.source_rules import ROOT

FOLDER = ROOT / "csrc" / "cuda"
SOURCES = sorted({instance.source for instance in all_instances()})
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def names_in(folder):
    return {path.name for path in folder.iterdir() if path.name.endswith(".cuh")}


def test_a_checkout_without_an_install_reads_its_own_files(monkeypatch):
    def absent(package):
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(runtime, "files", absent)
    assert runtime.source_folder() == FOLDER
    assert "device.cuh" in names_in(runtime.source_folder())


def test_whatever_is_found_holds_the_files_of_the_checkout():
    found = runtime.source_folder()
    assert names_in(found) == names_in(FOLDER)
    for name in names_in(FOLDER):
        assert found.joinpath(name).read_text() == (FOLDER / name).read_text()


def included(name):
    """Files that a source needs, itself first."""
    needed, waiting = {}, [name]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = (FOLDER / name).read_text()
            waiting += [found for found in _INCLUDE.findall(needed[name]) if found.endswith(".cuh")]
    return needed


@pytest.mark.parametrize("source", SOURCES)
def test_a_pasted_source_is_complete_and_holds_nothing_twice(source):
    text = runtime.source_text(source)
    # The emulation header of device.cuh is for g++ alone; the device compiler skips the line.
    assert {name for name in _INCLUDE.findall(text) if name != "cuda_emul.h"} == set()
    for name, part in included(source).items():
        head = part.splitlines()[0]  # every file begins by saying what it is
        assert head.startswith("// ")
        assert text.count(head) == 1, name


def test_every_file_is_part_of_some_kernel():
    used = {name for source in SOURCES for name in included(source)}
    assert names_in(FOLDER) == used
