"""Build the one extension module and list the packages; everything else is in pyproject.toml.

Environment variables:

CLUSTERLIB_REQUIRE_EXT   1 (default): stop if the extension cannot be built; 0: install without.
CLUSTERLIB_OPENMP        auto (default): use OpenMP if a test program with it links; 1: stop if
                         it does not; 0: build for one thread.
CLUSTERLIB_INSTRUMENT    none (default); address: find bad memory and undefined behaviour; thread:
                         find races; coverage: count lines. For tests/instrumented.py.
CXX, CXXFLAGS, LDFLAGS   as usual with setuptools.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pybind11
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError, CompileError

# Objects outlive the build, whose own folders are temporary: an unchanged one is not recompiled.
OBJECTS = Path("build", "native", f"{sys.implementation.cache_tag}-{sys.platform}")

# Never -march=native or -ffast-math: one binary serves every machine (the files in csrc/targets
# choose their instruction set by themselves), and the order and rounding of float64 sums is part
# of the contract of the kernels, which also forbids contracting a product and a sum.
COMPILE_FLAGS = [
    "-std=c++17",
    "-O3",
    "-g0",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wno-psabi",
]
OPENMP_COMPILE = ["-Xpreprocessor", "-fopenmp"] if sys.platform == "darwin" else ["-fopenmp"]
OPENMP_LINK = ["-lomp"] if sys.platform == "darwin" else ["-fopenmp"]

# Flags of compiler and linker for a build that watches itself. What it finds ends the process, and
# -O1 keeps lines and stacks readable at a speed that the tests stand.
READABLE = ["-O1", "-g1", "-fno-omit-frame-pointer"]
MEMORY = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
INSTRUMENTS = {
    "none": ([], []),
    "address": ([*READABLE, *MEMORY], MEMORY),
    "thread": ([*READABLE, "-fsanitize=thread", "-DCL_STD_THREADS"], ["-fsanitize=thread"]),
    "coverage": (
        [*READABLE, "--coverage", "-fprofile-update=atomic", "-fprofile-abs-path"],
        ["--coverage"],
    ),
}

# What the kernels need of a compiler: C++17 and the vector extensions of GCC 12 and clang.
PROBE = """
#include <optional>
typedef int Pair __attribute__((vector_size(8)));
int main() {
  const Pair pair = {1, 0}, turned = __builtin_shufflevector(pair, pair, 1, 0);
  return std::optional<int>(turned[0]).value();
}
"""
OPENMP_PROBE = "#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n"

NO_COMPILER = (
    "clusterlib builds its kernels from C++17 and needs GCC 12 or newer, or clang, which does not "
    "work here ({reason}): install one (Debian and Ubuntu: apt install g++; Fedora: dnf install "
    "gcc-c++; macOS: xcode-select --install), or set CLUSTERLIB_REQUIRE_EXT=0 to install without "
    "them, on slower Numba or NumPy kernels."
)
NO_OPENMP = (
    "CLUSTERLIB_OPENMP=1, but a test program with OpenMP cannot be built ({reason}): install the "
    "OpenMP runtime of your compiler (macOS: brew install libomp, and name its folders in "
    "CPPFLAGS and LDFLAGS), or unset CLUSTERLIB_OPENMP to build for one thread."
)


def environment_choice(variable, allowed):
    """Value of an environment variable; the first of ``allowed`` if it is unset or empty."""
    value = os.environ.get(variable) or allowed[0]
    if value not in allowed:
        sys.exit(f"{variable} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def with_headers(source, seen=None):
    """A source and all of csrc that it includes, by the names in quotes."""
    seen = set() if seen is None else seen
    seen.add(source)
    for name in re.findall(r'^ *# *include "(.+)"', source.read_text(), re.MULTILINE):
        header = Path(os.path.normpath(source.parent / name))
        if header not in seen:
            with_headers(header, seen)
    return seen


class BuildNative(build_ext):
    """Compile the sources in parallel, and only those that changed since the last build."""

    def build_extension(self, ext):
        """Build, or explain in one sentence why not; setuptools forgives an optional extension."""
        if reason := self._failure(PROBE):
            message = NO_COMPILER.format(reason=reason)
            if ext.optional:
                raise CompileError(message)
            sys.exit(message)
        instrument = environment_choice("CLUSTERLIB_INSTRUMENT", list(INSTRUMENTS))
        openmp_compile, openmp_link = self._openmp_flags() if instrument != "thread" else ([], [])
        watch_compile, watch_link = INSTRUMENTS[instrument]
        flags = [*COMPILE_FLAGS, *openmp_compile, *watch_compile]
        objects = self._compile(ext, flags, keep_notes=instrument == "coverage")
        self.compiler.link_shared_object(
            objects,
            self.get_ext_fullpath(ext.name),
            extra_postargs=[*openmp_link, *watch_link],
            export_symbols=self.get_export_symbols(ext),
            target_lang="c++",
        )

    def _openmp_flags(self):
        wanted = environment_choice("CLUSTERLIB_OPENMP", ["auto", "1", "0"])
        if wanted == "0":
            return [], []
        if reason := self._failure(OPENMP_PROBE, OPENMP_COMPILE, OPENMP_LINK):
            if wanted == "1":
                sys.exit(NO_OPENMP.format(reason=reason))
            self.warn(f"OpenMP does not work here, building for one thread: {reason}")
            return [], []
        return OPENMP_COMPILE, OPENMP_LINK

    def _failure(self, program, compile_flags=(), link_flags=()):
        """Why a program cannot be compiled and linked; empty if it can."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.cpp")
            source.write_text(program)
            try:
                objects = self.compiler.compile(
                    [str(source)],
                    output_dir=folder,
                    extra_postargs=["-std=c++17", *compile_flags],
                )
                self.compiler.link_executable(
                    objects,
                    str(Path(folder, "probe")),
                    extra_postargs=list(link_flags),
                    target_lang="c++",
                )
            except (CCompilerError, BaseError) as error:
                return str(error)
        return ""

    def _compile(self, ext, flags, keep_notes):
        """Object files of all sources; what changes an object is in its name, as a digest.

        Notes are what the compiler writes beside an object; counts of lines are read with them.
        """
        setting = [self.compiler.compiler_so_cxx, flags, sys.version, pybind11.__version__]
        common = hashlib.sha256(repr(setting).encode())

        def compile_one(source):
            digest = common.copy()
            for path in sorted(with_headers(Path(source))):
                digest.update(path.read_bytes())
            target = OBJECTS / f"{Path(source).stem}-{digest.hexdigest()[:16]}.o"
            if not target.exists():
                kept = contextlib.nullcontext(str(target.with_suffix("")))
                with kept if keep_notes else tempfile.TemporaryDirectory(dir=OBJECTS) as folder:
                    [built] = self.compiler.compile(
                        [source],
                        output_dir=folder,
                        include_dirs=ext.include_dirs,
                        extra_postargs=flags,
                    )
                    shutil.move(built, target)  # whole or not at all, even if interrupted
            return str(target)

        OBJECTS.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_one, ext.sources))
        for stale in {*map(str, OBJECTS.glob("*.o"))} - {*objects}:
            os.remove(stale)
        return objects


setup(
    # CUDA text lives in csrc with all other native code and is read as package data: pyproject.toml
    # maps it into the library, which automatic discovery could not find out.
    packages=[
        *find_packages(include=["clusterlib", "clusterlib.*"]),
        "clusterlib.kernels._cuda_src",
    ],
    ext_modules=[
        Extension(
            "clusterlib.kernels._native",
            sources=sorted(map(str, Path("csrc").rglob("*.cpp"))),
            include_dirs=["csrc", pybind11.get_include()],
            language="c++",
            optional=environment_choice("CLUSTERLIB_REQUIRE_EXT", ["1", "0"]) == "0",
        )
    ],
    cmdclass={"build_ext": BuildNative},
)
