"""The command line: compute every case twice, say where the answers differ."""

import argparse
import importlib
import sys
from collections.abc import Sequence

import numpy as np

from clusterlib.kernels import active_backend, available_backends
from clusterlib.kernels._cupy.runtime import active
from clusterlib.selftest.cases import all_cases

__all__ = ["main"]

# Relative to the largest value of an array. The contracts are tighter, and differ from kernel to
# kernel: this tells what is broken from what is not.
_TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}
_NOT_POSSIBLE = 2


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the self-test: a line for each operation, and the number of errors in the last one.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; default ``sys.argv[1:]``. Without ``--device`` the kernels of the host are
        compared with the NumPy reference, with ``--device cuda`` those of the device with the
        host's.

    Returns
    -------
    int
        Exit status: 0 if all is well, 1 for an error, 2 if there is nothing to test.

    Examples
    --------
    >>> from clusterlib.selftest import main
    >>> main([])  # doctest: +SKIP
    0
    """
    parser = argparse.ArgumentParser(prog="python -m clusterlib.selftest", description=__doc__)
    parser.add_argument("--device", choices=["cuda"], help="test the kernels of this device")
    if parser.parse_args(arguments).device == "cuda":
        return _test_device()
    return _test_host()


def _test_host():
    backends = [name for name in available_backends() if name != "reference"]
    if not backends:
        _say("Nothing to test: the NumPy reference is the only backend of this installation.")
        return _NOT_POSSIBLE
    n_errors = 0
    for backend in backends:
        _say(f"{backend} kernels against the NumPy reference:")
        n_errors += _compare(
            lambda case, backend=backend: _computed(case, backend=backend),
            lambda case: _computed(case, backend="reference"),
            lambda case: True,
        )
    return _verdict(n_errors)


def _test_device():
    try:
        runtime = active()
    except (ImportError, RuntimeError) as error:
        _say(f"No CUDA device to test: {error}")
        return _NOT_POSSIBLE
    _say(f"CUDA kernels against the {active_backend()} ones: {runtime.describe()}")
    n_errors = _compare(
        lambda case: _computed(case, runtime.to_device, runtime.to_host),
        _computed,
        has_device_version,
    )
    return _verdict(n_errors)


def _verdict(n_errors):
    _say("All is well." if n_errors == 0 else f"{n_errors} errors.")
    return int(n_errors > 0)


def has_device_version(case):
    """Tell whether the kernel of a case runs on a CUDA device as well."""
    module = case.kernel.__module__.rpartition(".")[2]
    try:
        module = importlib.import_module(f"clusterlib.kernels._cupy.{module}")
    except ModuleNotFoundError:
        return False
    return hasattr(module, case.kernel.__name__)


def _compare(compute, expect, applies):
    """Compare the cases, a line for each; returns the number of those that differ."""
    n_errors = 0
    for dtype, tolerance in _TOLERANCE.items():
        for case in filter(applies, all_cases(dtype)):
            try:
                found = compute(case)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it answers the question
                fault = f"{type(error).__name__}: {error}"
            else:
                fault = _difference(found, expect(case), tolerance)
            n_errors += fault is not None
            state = "ok" if fault is None else f"ERROR: {fault}"
            _say(f"  {case.name:<34}{dtype.__name__:<9}{state}")
    return n_errors


def _computed(case, move=np.copy, back=np.asarray, **options):
    """The answer to a case as a list of host arrays, those changed in place included."""
    arguments = [
        move(value) if isinstance(value, np.ndarray) else value for value in case.arguments
    ]
    named = {
        name: move(value) if isinstance(value, np.ndarray) else value
        for name, value in case.options.items()
    }
    answer = case.answer(case.kernel(*arguments, **named, **options))
    parts = answer if isinstance(answer, tuple) else (answer,)
    parts = [*parts, *(arguments[place] for place in case.changed)]
    return [_on_host(part, back) for part in parts]


def _on_host(part, back):
    if part is None:  # an output that was not asked for
        return np.zeros(0)
    return np.asarray(part if np.isscalar(part) else back(part))


def _difference(found, expected, tolerance):
    """What is wrong with an answer, or None."""
    for number, (given, wanted) in enumerate(zip(found, expected, strict=True)):
        if given.shape != wanted.shape or given.dtype != wanted.dtype:
            return (
                f"output {number} is {given.dtype}{given.shape}, not {wanted.dtype}{wanted.shape}"
            )
        if wanted.dtype.kind != "f":
            n_wrong = np.count_nonzero(given != wanted)
            if n_wrong:
                return f"output {number} differs in {n_wrong} of {wanted.size} places"
            continue
        finite = np.isfinite(wanted)
        if not np.array_equal(given[~finite], wanted[~finite], equal_nan=True):
            return f"output {number} is infinite or NaN in other places"
        scale = np.abs(wanted[finite]).max(initial=0.0) or 1.0
        worst = np.abs(given[finite] - wanted[finite]).max(initial=0.0) / scale
        if not worst <= tolerance:
            return f"output {number} is off by {worst:.1e} of its largest value"
    return None
