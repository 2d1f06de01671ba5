"""Compiles instances of the device sources with nvcc: resources of every kernel, and its PTX.

One call of nvcc per source serves all architectures. Results lie in ``build/cuda`` under a digest
of everything that can change them, so a second run costs nothing and parallel runs share them.

``python -m tests.cuda.compiling --write-baseline`` rewrites ``register_baseline.json``.
"""

import argparse
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

from clusterlib.kernels._cupy.binaries import COMPILE_OPTIONS
from clusterlib.kernels._cupy.instances import all_instances
from tests.cuda.emul.build import built_folder, locked

__all__ = [
    "ARCHITECTURES",
    "BASELINE",
    "SOURCES",
    "Compiled",
    "Usage",
    "compile_kernels",
    "compile_source",
    "find_nvcc",
    "instances_by_source",
]

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "csrc" / "cuda"
BASELINE = Path(__file__).parent / "register_baseline.json"
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")

# A mark has a kernel for template argument: that instantiates the kernel without naming the types
# of its parameters, and the demangled name of the mark says which kernel an expression means.
_MARKS = "template <auto* kernel, int index> __global__ void instance_mark() {}\n"
_MARK = "template __global__ void instance_mark<&{kernel}, {index}>();\n"
_MARK_NAME = re.compile(r"instance_mark<.*, (\d+)>\(\)$")
_INCLUDE = re.compile(r'^#include "([\w.]+\.cuh)"', re.MULTILINE)
_ENTRY = re.compile(r"\.entry\s+(\w+)")
_USAGE = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for '(?P<arch>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<spill_stores>\d+) bytes spill stores, "
    r"(?P<spill_loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)
_STATIC_SHARED = re.compile(r"(\d+) bytes smem")


class Usage(NamedTuple):
    """What ptxas says that one kernel takes; bytes, but for the registers of a thread."""

    registers: int
    spill_stores: int
    spill_loads: int
    shared: int
    stack: int


class Compiled(NamedTuple):
    """The kernels of one source: {architecture: {kernel: Usage}}, {kernel: symbol}, and PTX."""

    usage: dict
    symbols: dict
    ptx: str


@functools.cache
def find_nvcc():
    """Path of nvcc from PATH, the usual place of a toolkit or a wheel of PyPI; None without one."""
    purelib = Path(sysconfig.get_paths()["purelib"])
    wheels = [str(folder) for folder in purelib.glob("nvidia/*/bin")]
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin", *wheels])
    return shutil.which("nvcc", path=search)


@functools.cache
def instances_by_source():
    """{source: its instances}, for every source that has any."""
    by_source = {}
    for instance in all_instances():
        by_source.setdefault(instance.source, []).append(instance)
    return by_source


def compile_source(source, folder=SOURCES):
    """Compile all instances of a source of the library; the kernels are keyed by name expression."""
    kernels = [instance.kernel for instance in instances_by_source()[source]]
    return compile_kernels(f'#include "{source}"\n', kernels, folder)


@functools.cache
def _nvcc_version():
    return subprocess.run(
        [find_nvcc(), "--version"], check=True, capture_output=True, text=True
    ).stdout


def _included(text, folder, found):
    """{name: text} of every source that a text includes, directly or not."""
    for name in _INCLUDE.findall(text):
        if name not in found:
            found[name] = (folder / name).read_text("utf-8")
            _included(found[name], folder, found)
    return found


def _digest(text, kernels, folder, architectures):
    parts = [_nvcc_version(), Path(__file__).read_text("utf-8"), text, *kernels, *COMPILE_OPTIONS]
    parts += architectures
    parts += _included(text, Path(folder), {}).values()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def compile_kernels(text, kernels, folder=SOURCES, architectures=ARCHITECTURES):
    """Compile kernels of a text of CUDA C++.

    Parameters
    ----------
    text : str
        The templates; may include the sources in ``folder``.
    kernels : sequence of str
        Name expressions, such as ``"cl::scale<float>"``.
    folder : path
        Where quoted includes are looked for.
    architectures : tuple of str
        The first one alone, where only the PTX is wanted, takes a third of the time.

    Returns
    -------
    compiled : Compiled
        The PTX is that of the first architecture, with the lines of the source in it.
    """
    return _compiled(text, tuple(kernels), folder, architectures)


@functools.cache
def _compiled(text, kernels, folder, architectures):
    cached = built_folder("cuda") / f"{_digest(text, kernels, folder, architectures)}.json"
    if not cached.exists():
        with locked(cached):
            if not cached.exists():
                result = _run_nvcc(text, kernels, folder, architectures)
                new = cached.with_suffix(".new")
                new.write_text(json.dumps(result), encoding="utf-8")
                os.replace(new, cached)
    usage, symbols, ptx = json.loads(cached.read_text("utf-8"))
    named = {
        arch: {kernel: Usage(*values) for kernel, values in of_arch.items()}
        for arch, of_arch in usage.items()
    }
    return Compiled(named, symbols, ptx)


def _run_nvcc(text, kernels, folder, architectures):
    marks = "".join(_MARK.format(kernel=kernel, index=i) for i, kernel in enumerate(kernels))
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "kernels.cu"
        file.write_text(text + _MARKS + marks, encoding="utf-8")
        targets = [
            f"--generate-code=arch={arch.replace('sm', 'compute')},code={arch}"
            for arch in architectures
        ]
        command = [find_nvcc(), *COMPILE_OPTIONS, *targets, "--fatbin", "--threads=2", "--keep"]
        command += [f"--keep-dir={work}", "-Xptxas=-v", "-lineinfo", f"-I{folder}"]
        command += [f"--output-file={work}/kernels.fatbin", str(file)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=work)
        log = done.stdout + done.stderr
        if done.returncode:
            raise RuntimeError(f"nvcc cannot compile {text.strip()} with {kernels}:\n{log}")
        # Named after the architecture, unless it is the only one.
        first = (
            f"*{architectures[0].replace('sm', 'compute')}.ptx" if architectures[1:] else "*.ptx"
        )
        ptx = next(Path(work).glob(first))
        ptx = ptx.read_text("utf-8")
    symbols = _symbols(_ENTRY.findall(ptx), kernels)
    return _usage(log, symbols, architectures), symbols, ptx


def _symbols(entries, kernels):
    """{name expression: symbol}, by the marks: the name of a mark holds that of its kernel."""
    names = dict(zip(entries, _demangle(entries), strict=True))
    marks = {name: entry for entry, name in names.items() if "instance_mark<" in name}
    plain = {entry: name for entry, name in names.items() if name not in marks}
    symbols = {}
    for mark in marks:
        index = int(_MARK_NAME.search(mark)[1])
        inside = [entry for entry, name in plain.items() if _is_named(name, mark)]
        if len(inside) != 1:
            raise RuntimeError(f"{kernels[index]} could be any of {inside}")
        symbols[kernels[index]] = inside[0]
    if set(symbols) != set(kernels):
        raise RuntimeError(f"no kernel was emitted for {sorted(set(kernels) - set(symbols))}")
    return symbols


def _is_named(name, mark):
    """Tell whether a mark holds the name, which it has without parameters if it is no template."""
    return name in mark or f"<&{name.partition('(')[0]}, " in mark


def _demangle(names):
    """Names as C++ writes them; a compiler for the host, which nvcc needs anyway, brings the tool."""
    tool = shutil.which("c++filt") or shutil.which("cu++filt")
    if tool is None:
        raise RuntimeError("neither c++filt nor cu++filt is there to read the names of kernels")
    done = subprocess.run(
        [tool], input="\n".join(names), capture_output=True, text=True, check=True
    )
    return done.stdout.split("\n")[: len(names)]


def _usage(log, symbols, architectures):
    kernels = {symbol: kernel for kernel, symbol in symbols.items()}
    usage = {arch: {} for arch in architectures}
    for found in _USAGE.finditer(log):
        if found["name"] not in kernels:
            continue
        shared = _STATIC_SHARED.search(found["rest"])
        usage[found["arch"]][kernels[found["name"]]] = Usage(
            int(found["registers"]),
            int(found["spill_stores"]),
            int(found["spill_loads"]),
            int(shared[1]) if shared else 0,
            int(found["stack"]),
        )
    for arch, of_arch in usage.items():
        if set(of_arch) != set(symbols):
            raise RuntimeError(f"ptxas says nothing on {set(symbols) - set(of_arch)} for {arch}")
    return usage


def write_baseline():
    """Write registers and static shared memory of every instance into ``register_baseline.json``."""
    baseline = {arch: {} for arch in ARCHITECTURES}
    for source in instances_by_source():
        for arch, of_arch in compile_source(source).usage.items():
            for kernel, usage in of_arch.items():
                values = {"registers": usage.registers, "shared": usage.shared}
                baseline[arch].setdefault(source, {})[kernel] = values
    BASELINE.write_text(json.dumps(baseline, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write-baseline", action="store_true")
    if not parser.parse_args().write_baseline:
        parser.error("nothing to do without --write-baseline")
    if find_nvcc() is None:
        sys.exit("nvcc was not found")
    write_baseline()


if __name__ == "__main__":
    _main()
