"""Shared libraries of the CUDA sources, built by g++ with the emulation headers."""

import atexit
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "COMPILER",
    "at_once",
    "build",
    "built_folder",
    "compiler_is_missing",
    "generated",
    "locked",
]

_HEADERS = Path(__file__).parent
_ROOT = _HEADERS.parents[2]
COMPILER = os.environ.get("CXX", "g++")
# Products are contracted nowhere: each operation is rounded as the source says. CUDA code reads
# floats through vector types, which the aliasing rules of C++ would forbid.
_FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-DCL_EMULATE")
_INCLUDE = re.compile(r'^\s*#include "([\w.]+)"', re.MULTILINE)


@functools.cache
def _processor_flags():
    """An fma() that is one instruction instead of a call; the results are the same."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return ()
    return ("-mavx2", "-mfma") if {"avx2", "fma"} <= words else ()


@functools.cache
def _compiler_version():
    return subprocess.run([COMPILER, "--version"], capture_output=True, check=True).stdout


@functools.cache
def built_folder(name="cuda-emul"):
    """Where results are kept: below the build folder, else in one that lives as long as we do."""
    folder = _ROOT / "build" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        folder = tempfile.mkdtemp(prefix=f"{name}-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def _reached(text, folder):
    """Every file that a text includes, directly or not, as (name, text)."""
    found = {}
    wanted = _INCLUDE.findall(text)
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        path = next((f / name for f in (folder, _HEADERS) if (f / name).is_file()), None)
        found[name] = path.read_text(encoding="utf-8") if path else ""
        wanted += _INCLUDE.findall(found[name])
    return sorted(found.items())


def generated(source, instances):
    """The text that makes a library of one source: a table of its instances."""
    entries = "".join(
        f'    emul::Kernel<&{instance.kernel}>::entry("{instance.kernel}"),\n'
        for instance in instances
    )
    return (
        f'#include "{source}"\n#include "cuda_emul_launch.h"\n'
        f"const std::vector<emul::Entry> emul_kernels = {{\n{entries}}};\n"
    )


def build(text, folder, suffix, flags):
    """Build a generated text, unless that was done before.

    Parameters
    ----------
    text : str
        See :func:`generated`.
    folder : path
        Of the CUDA sources.
    suffix : str
        Of the result.
    flags : tuple of str
        Beside those of every build.

    Returns
    -------
    path : Path
        Named after a digest of everything that went into it.
    """
    folder = Path(folder)
    command = [COMPILER, *_FLAGS, *_processor_flags(), *flags]
    digest = hashlib.blake2b(_compiler_version(), digest_size=12)
    digest.update(repr((command, text, _reached(text, folder))).encode())
    stem = _INCLUDE.search(text)[1].partition(".")[0]
    path = built_folder() / f"{stem}-{digest.hexdigest()}{suffix}"
    if path.exists():
        os.utime(path)
    else:
        with locked(path), tempfile.TemporaryDirectory(dir=built_folder()) as here:
            if not path.exists():
                _compile(command, text, folder, Path(here), path)
    return path


def _compile(command, text, folder, here, path):
    """Under another name first: another process never sees half of it."""
    source, result = here / "generated.cpp", here / path.name
    source.write_text(text, encoding="utf-8")
    command = [*command, f"-I{folder}", f"-I{_HEADERS}", str(source), "-o", str(result), "-pthread"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        errors = "\n".join(line for line in run.stderr.splitlines() if "error" in line)[:3000]
        raise RuntimeError(f"{COMPILER} cannot build {path.name}:\n{errors or run.stderr[-3000:]}")
    os.replace(result, path)
    _forget_old(path.parent)


def _forget_old(folder):
    """Delete what no test has used for a week: every change of a source leaves a library."""
    limit = time.time() - 7 * 24 * 3600
    for path in folder.iterdir():
        try:
            if path.is_file() and path.stat().st_mtime < limit:
                path.unlink()
        except FileNotFoundError:
            continue  # another process was faster


@contextmanager
def locked(path):
    """One process at a time builds a library; the others wait and find it."""
    import fcntl

    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def at_once(compile_one, what):
    """Compile ahead, as many at a time as there are processors; results are kept as always.

    What cannot be compiled says so to the test that needs it.
    """

    def compile_quietly(each):
        with suppress(RuntimeError):
            compile_one(each)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_quietly, what))


def compiler_is_missing():
    """Tell whether there is no compiler to build with, or none that knows these headers."""
    return os.name == "nt" or shutil.which(COMPILER) is None
