"""Compile ``peak.cpp`` with the system's compiler and load it."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("peak.cpp")
FLAGS = ["-O3", "-std=c++17", "-ffp-contract=fast", "-shared", "-fPIC", "-pthread"]
TARGETS = ["-march=native", "-mcpu=native", None]  # the first one the compiler knows


class NoCompiler(RuntimeError):
    """No C++ compiler, or none that can build the probe."""


def cache_folder() -> Path:
    """Where the compiled probe is kept (``XDG_CACHE_HOME`` moves it)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clusterlib-bench"


def find_compiler() -> str:
    """The compiler of ``CXX``, or the first of the usual names."""
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        if name and (path := shutil.which(name)):
            return path
    raise NoCompiler("no C++ compiler found (c++, g++, clang++ or CXX)")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def _run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def compile_probe() -> Path:
    """Path of the shared library, built when source, compiler or processor are new."""
    compiler = find_compiler()
    version = _run([compiler, "--version"]).stdout
    system = f"{sys.platform} {platform.machine()}"
    key = f"{SOURCE.read_text()}\n{version}\n{system}\n{_processor()}"
    library = cache_folder() / f"peak-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    part = library.with_suffix(f".{os.getpid()}.part")
    for target in TARGETS:
        command = [compiler, *FLAGS, *([target] if target else []), str(SOURCE), "-o", str(part)]
        result = _run(command)
        if result.returncode == 0:
            part.replace(library)
            return library
    raise NoCompiler(f"{compiler} cannot build {SOURCE.name}: {result.stderr.strip()[-500:]}")


@cache
def load_library() -> ctypes.CDLL:
    """The probe's functions, with their C signatures declared."""
    library = ctypes.CDLL(str(compile_probe()))
    pointer, count, threads = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    library.peak_operations.argtypes = [ctypes.c_int]
    library.peak_operations.restype = count
    for name, arguments in {
        "peak_seconds": [ctypes.c_int, count, threads],
        "read_seconds": [pointer, count, threads],
        "write_seconds": [pointer, count, threads],
    }.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, ctypes.c_double
    return library
