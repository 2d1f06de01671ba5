"""Binaries of kernels: compiled once, with options that nobody adds to, and kept whole."""

from pathlib import Path

import numpy as np
import pytest

from clusterlib.kernels._cupy.binaries import COMPILE_OPTIONS, binary_of, cache_folder


class Nvrtc:
    """Stands for ``cupy.cuda.nvrtc``; remembers what it was asked for."""

    class NVRTCError(Exception):
        pass

    def __init__(self, archs=(75, 80, 90, 100), broken=False):
        self.archs, self.broken, self.compiled, self.alive = archs, broken, [], 0

    def getSupportedArchs(self):
        return self.archs

    def getVersion(self):
        return 13, 0

    def createProgram(self, text, name, headers, include_names):
        self.alive += 1
        return [text]

    def addNameExpression(self, program, kernel):
        program.append(kernel)

    def compileProgram(self, program, options):
        if self.broken:
            raise self.NVRTCError("NVRTC_ERROR_COMPILATION")
        self.compiled.append((*program, options))

    def getProgramLog(self, program):
        return "expected a semicolon"

    def getCUBIN(self, program):
        return b"machine code"

    def getPTX(self, program):
        return b"portable code"

    def getLoweredName(self, program, kernel):
        return f"_Z{kernel}"

    def destroyProgram(self, program):
        self.alive -= 1


def test_a_kernel_is_compiled_once(tmp_path):
    nvrtc = Nvrtc()
    first = binary_of(nvrtc, "text", "add<float>", 90, tmp_path)
    assert binary_of(nvrtc, "text", "add<float>", 90, tmp_path) == first
    assert first.path.read_bytes() == b"machine code" and first.symbol == "_Zadd<float>"
    assert nvrtc.compiled == [
        ("text", "add<float>", (*COMPILE_OPTIONS, "--gpu-architecture=sm_90"))
    ]
    assert nvrtc.alive == 0


def test_a_binary_whose_name_was_lost_is_compiled_again(tmp_path):
    nvrtc = Nvrtc()
    first = binary_of(nvrtc, "text", "k", 90, tmp_path)
    first.path.with_suffix(".symbol").unlink()
    assert binary_of(nvrtc, "text", "k", 90, tmp_path) == first
    assert len(nvrtc.compiled) == 2


def test_whatever_changes_a_binary_gives_it_another_file(tmp_path):
    nvrtc = Nvrtc()
    cases = [("a", "k", 80), ("b", "k", 80), ("a", "l", 80), ("a", "k", 90)]
    assert len({binary_of(nvrtc, *case, tmp_path).path for case in cases}) == 4


def test_newer_devices_get_portable_code(tmp_path):
    nvrtc = Nvrtc()
    binary = binary_of(nvrtc, "text", "k", 121, tmp_path)
    assert binary.path.read_bytes() == b"portable code" and binary.path.suffix == ".ptx"
    assert nvrtc.compiled[0][2][-1] == "--gpu-architecture=compute_100"


def test_devices_that_are_too_old(tmp_path):
    with pytest.raises(RuntimeError, match="compute capability 61"):
        binary_of(Nvrtc(), "text", "k", 61, tmp_path)


def test_the_log_of_a_refusal_is_shown(tmp_path):
    nvrtc = Nvrtc(broken=True)
    with pytest.raises(RuntimeError, match=r"cannot compile k: expected a semicolon"):
        binary_of(nvrtc, "text", "k", 90, tmp_path)
    assert nvrtc.alive == 0 and not list(tmp_path.iterdir())


def test_where_binaries_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "kernels"))
    assert cache_folder() == tmp_path / "kernels"
    file = tmp_path / "file"
    file.write_text("a folder cannot be made here")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(file / "kernels"))
    folder = cache_folder()
    assert folder.is_dir() and tmp_path not in folder.parents
    folder.rmdir()
    monkeypatch.delenv("CUPY_CACHE_DIR")
    monkeypatch.setattr(Path, "home", no_home)
    folder = cache_folder()
    assert folder.is_dir()
    folder.rmdir()


def no_home():
    raise RuntimeError("Could not determine home directory.")


def test_small_numbers_are_kept():
    assert "--ftz=false" in COMPILE_OPTIONS
    assert np.float32(2.0**-140) > 0  # what would be lost
