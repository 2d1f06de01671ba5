"""Build the kernels so that they watch themselves, and run the tests that reach them.

    python -m tests.instrumented address     bad memory and undefined behaviour (GCC)
    python -m tests.instrumented thread      races, with threads of C++ in place of OpenMP (GCC)
    python -m tests.instrumented coverage    lines that ran (GCC, gcovr), at least 90 %

A copy of the sources in ``build/instrumented`` is built and tested, so that the build in use stays
as it is. More arguments are pytest's and replace the tests chosen here; ``--run MODULE`` runs another
module with them, such as tests.fuzz.bindings. Linux only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPIED = [
    "bench",
    "clusterlib",
    "csrc",
    "tests",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "setup.py",
]
NOT_COPIED = shutil.ignore_patterns("*.so", "__pycache__", "results", ".hypothesis")

# The native backend alone, at every instruction set of the machine, and tests that take it by default.
NATIVE = "(native or test_concurrent_calls or test_capacity) and not numba"
# Sanitizers end a process that runs out of memory, whatever the process would do about it.
WATCHED = "not without_memory"
CARRIERS = ["tests/test_blocks.py", "tests/test_block_files.py", "tests/test_block_threads.py"]
ABOVE = [
    "-k",
    f"({NATIVE} or test_block or test_kmeans) and {WATCHED}",
    *CARRIERS,
    "tests/estimators/test_kmeans.py",
]
COVERING = ["-k", f"{NATIVE} or bad_input or sinkhorn_batch", "tests/kernels", "tests/solvers"]
# What runs on several threads, of C++ and of Python.
ON_THREADS = "(native and thread or test_concurrent_calls or test_block_threads)"
THREADED = [
    *["-k", f"{ON_THREADS} and {WATCHED}"],
    *["tests/kernels", "tests/test_block_threads.py"],
]

LEAST_COVERAGE = 90


def copy_sources(tree):
    """The sources as they are now; what was built of them before stays where it is."""
    tree.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, tree / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=NOT_COPIED)
        else:
            shutil.copy2(source, target)


def runtime(compiler, name):
    """Full path of a library that the compiler links."""
    asked = [compiler, f"-print-file-name={name}"]
    path = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(path):
        sys.exit(f"{compiler} has no {name}; install the runtime of its sanitizers")
    return path


def address_settings():
    # Python allocates with malloc, so that the ends of its objects are known; it does not free
    # all at its end. libstdc++ is loaded first for its exceptions to be seen.
    loaded = [runtime("g++", "libasan.so"), runtime("g++", "libstdc++.so.6")]
    return {
        "LD_PRELOAD": " ".join(loaded),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def thread_settings():
    return {
        "LD_PRELOAD": runtime("g++", "libtsan.so"),
        "TSAN_OPTIONS": "halt_on_error=1 ignore_noninstrumented_modules=1",
    }


# Settings of the process and tests.
INSTRUMENTS = {
    "address": (address_settings, [*ABOVE, "tests/kernels"]),
    "thread": (thread_settings, THREADED),
    "coverage": (dict, COVERING),
}


def build(tree, instrument):
    environment = {**os.environ, "CLUSTERLIB_INSTRUMENT": instrument}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tree, env=environment, check=True)


def run(tree, command, settings):
    """Return code of a command that uses the build in a tree."""
    environment = {**os.environ, **settings, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


def report_coverage(tree):
    """Write the lines that ran; fails where these are too few."""
    counted = ["--root", ".", "--filter", "csrc/", "--gcov-ignore-parse-errors=all"]
    # Each function of a template counts for itself: for every type and instruction set.
    counted += ["--merge-mode-functions", "merge-use-line-min", "--gcov-ignore-errors=all"]
    counted += ["--gcov-suspicious-hits-threshold", "0", "build/native"]
    outputs = ["--txt", "coverage.txt", "--json", "coverage.json", "--txt-summary"]
    command = [sys.executable, "-m", "gcovr", *counted, *outputs]
    subprocess.run([*command, "--fail-under-line", str(LEAST_COVERAGE)], cwd=tree, check=True)
    once, ran = lines_of(json.loads((tree / "coverage.json").read_text()))
    print(f"lines of the source, each counted once: {ran} of {once} ran, {100 * ran / once:.1f} %")


def lines_of(counts):
    """Lines, and lines that ran for some type and instruction set."""
    ran = {}
    for file in counts["files"]:
        for line in file["lines"]:
            place = file["file"], line["line_number"]
            ran[place] = ran.get(place, False) or line["count"] > 0
    return len(ran), sum(ran.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instrument", choices=list(INSTRUMENTS))
    parser.add_argument("--run", default="pytest", metavar="MODULE", help="what runs; or 'nothing'")
    known, arguments = parser.parse_known_args()
    tree = ROOT / "build" / "instrumented" / known.instrument
    settings, tests = INSTRUMENTS[known.instrument]
    copy_sources(tree)
    build(tree, known.instrument)
    if known.run == "nothing":
        return 0
    if known.run == "pytest":
        arguments = ["-q", "-p", "no:cacheprovider", *(arguments or tests)]
    for counts in tree.rglob("*.gcda"):
        counts.unlink()
    failed = run(tree, [sys.executable, "-m", known.run, *arguments], settings())
    if known.instrument == "coverage" and not failed:
        report_coverage(tree)
    return failed


if __name__ == "__main__":
    sys.exit(main())
