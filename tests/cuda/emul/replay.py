"""Launches recorded by the emulated runtime, repeated by a program that a sanitizer watches.

A sanitizer in the process of Python would see all of Python; here it sees the kernels alone.
"""

import functools
import os
import shutil
import struct
import subprocess
from typing import NamedTuple

from tests.cuda.emul.arguments import Shifted, root_of
from tests.cuda.emul.arrays import as_host
from tests.cuda.emul.build import build, generated

__all__ = ["SANITIZERS", "Recorder", "Sanitizer", "replay"]


class Sanitizer(NamedTuple):
    """How to build and run under a sanitizer."""

    flags: tuple
    libraries: tuple
    environment: dict


SANITIZERS = {
    "memory": Sanitizer(
        ("-g1", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        ("libasan.so", "libubsan.so"),
        {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"},
    ),
    "races": Sanitizer(
        ("-g1", "-O0", "-fsanitize=thread", "-DCL_EMULATE_THREADS"),
        ("libtsan.so",),
        {"TSAN_OPTIONS": "halt_on_error=1"},
    ),
}
"""Bounds, alignment and undefined arithmetic; and shared memory used without a barrier."""


class Recorder:
    """Keeps the launches of a runtime: ``runtime.recorder = Recorder()``.

    Attributes
    ----------
    launches : list of (Instance, bytes)
        What to launch, and the rest of it in the form that ``cuda_emul_replay.h`` reads.
    """

    def __init__(self):
        self.launches = []

    def __call__(self, instance, grid, blocks, types, args):
        roots = {}  # address -> number
        memories, values = [], []
        for type_, given in zip(types, args, strict=True):
            if given is None:
                values += [1, -1, 0]
            elif not type_.endswith("*"):
                raw = given.tobytes().ljust(8, b"\0")
                values += [0, *struct.unpack("<q", raw), 0]
            else:
                values += self._pointer(given, roots, memories)
        head = [*(*grid, 1)[:2], *blocks, instance.threads, len(memories)]
        parts = [_numbers(*head), *memories, _numbers(len(args), *values)]
        self.launches.append((instance, b"".join(parts)))

    def _pointer(self, given, roots, memories):
        array = given.array if isinstance(given, Shifted) else given
        shift = given.elements * array.itemsize if isinstance(given, Shifted) else 0
        root = root_of(array)
        number = roots.setdefault(root.ctypes.data, len(roots))
        if number == len(memories):
            memories.append(_numbers(root.nbytes) + as_host(root).tobytes("A"))
        return [1, number, array.ctypes.data - root.ctypes.data - shift]


@functools.cache
def _without_random_addresses():
    """ThreadSanitizer lays out memory by itself, which addresses drawn at random can collide with.

    Containers may forbid to switch them off.
    """
    command = ("setarch", "-R")
    if not shutil.which(command[0]):
        return ()
    run = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if run.returncode == 0 else ()


def _numbers(*values):
    return struct.pack(f"<{len(values)}q", *map(int, values))


def replay(sanitizer, source, instances, launches, folder, recording):
    """Repeat launches of one source under a sanitizer.

    Parameters
    ----------
    sanitizer : str
        One of ``SANITIZERS``.
    source : str
        The CUDA source.
    instances : list of Instance
        What is compiled.
    launches : list of (Instance, bytes)
        See :class:`Recorder`.
    folder : path
        Of the source.
    recording : Path
        Where to put the file that the program reads.

    Returns
    -------
    failure : str
        What the sanitizer or the emulation complains about; empty if all is well.
    """
    how = SANITIZERS[sanitizer]
    text = generated(source, instances) + '#include "cuda_emul_replay.h"\n'
    program = build(text, folder, f"-{sanitizer}", how.flags)
    numbers = {instance: number for number, instance in enumerate(instances)}
    launches = [_numbers(numbers[instance]) + rest for instance, rest in launches]
    recording.write_bytes(_numbers(len(launches)) + b"".join(launches))
    command = [*_without_random_addresses(), str(program), str(recording)]
    environment = {**os.environ, **how.environment}
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=300
        )
    except subprocess.TimeoutExpired:
        return "threads wait for each other in vain, or very long"
    if run.returncode == 0 and run.stdout == f"{len(launches)} launches\n":
        return ""
    return run.stderr[:6000] or f"the program ended with {run.returncode}"
