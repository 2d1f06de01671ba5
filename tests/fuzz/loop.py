"""Feed a target with input: from Atheris where it is installed, or else from random bytes."""

import argparse
import faulthandler
import sys
import tempfile
import time
from inspect import isclass, isfunction
from pathlib import Path

from tests.fuzz.choices import bytes_of

__all__ = ["feed"]

_SECONDS_FOR_ONE = 60  # what takes longer hangs
_LENGTH = 512  # bytes of an input
_READERS = ("clusterlib.blocks", "clusterlib.cluster._checkpoint", "numpy.lib._format", "zipfile")
_SEEDS = 300  # that Atheris starts from


def feed(target, guided=True):
    """Run a target on many inputs, until the time is up or one is a fault.

    Without ``guided`` Atheris is not used: it sees nothing of what the extension module does.
    A fault is an exception that leaves ``target(data)``, or the end of the process. Atheris writes
    the input to a file, which it takes as an argument to run it again; without it an input has a
    seed, for ``--replay``.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("-max_total_time", type=float, default=120, help="seconds")
    parser.add_argument("--random", action="store_true", help="no Atheris")
    parser.add_argument("--seed", type=int, default=0, help="of the first random input")
    parser.add_argument("--runs", type=int, help="so many random inputs, in place of a time")
    parser.add_argument(
        "--replay", type=int, nargs="+", help="seeds that are first; all without --runs"
    )
    parser.add_argument("--seed-file", type=Path, help="has the seed after the end of the process")
    known, others = parser.parse_known_args()
    for seed in known.replay or ():
        target(bytes_of(seed, _LENGTH))
    if known.replay and not known.runs:
        return
    if not guided or known.random or known.runs or not _fed_by_atheris(target, known, others):
        _feed_random(target, known)


def _fed_by_atheris(target, known, others):
    """False where it is not installed; does not return otherwise."""
    try:
        import atheris
    except ImportError:
        return False
    for function in _functions():  # whose coverage leads the search
        atheris.instrument_func(function)
    limits = [f"-max_total_time={known.max_total_time:.0f}", f"-timeout={_SECONDS_FOR_ONE}"]
    with tempfile.TemporaryDirectory() as corpus:
        for seed in range(_SEEDS):
            Path(corpus, str(seed)).write_bytes(bytes_of(seed, _LENGTH))
        lengths = [f"-max_len={2 * _LENGTH}", "-len_control=0"]
        atheris.Setup([sys.argv[0], *limits, *lengths, *(others or [corpus])], target)
        atheris.Fuzz()
    return True


def _functions():
    """Functions of what reads files, here and in the libraries."""
    modules = [module for name, module in sys.modules.items() if name.startswith(_READERS)]
    for scope in [*modules, *(c for m in modules for c in vars(m).values() if isclass(c))]:
        for value in list(vars(scope).values()):
            if isfunction(value) and value.__module__.startswith(_READERS):
                yield value


def _feed_random(target, known):
    end, seed = time.monotonic() + known.max_total_time, known.seed
    while seed - known.seed < known.runs if known.runs else time.monotonic() < end:
        faulthandler.dump_traceback_later(_SECONDS_FOR_ONE, exit=True)
        if known.seed_file:
            known.seed_file.write_text(f"{seed}\n")
        try:
            target(bytes_of(seed, _LENGTH))
        except BaseException:
            print(f"fault: --replay {seed}", file=sys.stderr)
            raise
        seed += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{seed - known.seed} inputs, no fault")
