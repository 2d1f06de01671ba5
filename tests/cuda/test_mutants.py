"""M: slips in the device sources are noticed by small runs on the emulated device.

All mutants of a source are built into one library, each in a namespace of its own, as starting
the compiler takes longer than compiling a kernel.
"""

import faulthandler
import functools
import os
import re
import signal
import warnings
from contextlib import suppress

import pytest

from clusterlib.kernels._cupy.instances import Instance, all_instances
from clusterlib.kernels._cupy.runtime import source_text, use
from tests.cuda.class_mutant_checks import CLASS_CHECKS
from tests.cuda.class_mutants import CLASS_MUTANTS
from tests.cuda.emul.arrays import host_copies_refused
from tests.cuda.emul.build import at_once
from tests.cuda.emul.emulator import ORDERS, EmulatedRuntime
from tests.cuda.mutant_checks import CHECKS as PAIRWISE_CHECKS
from tests.cuda.mutants import MUTANTS as PAIRWISE_MUTANTS
from tests.cuda.sum_mutant_checks import SUM_CHECKS
from tests.cuda.sum_mutants import SUM_MUTANTS

MUTANTS = [*PAIRWISE_MUTANTS, *CLASS_MUTANTS, *SUM_MUTANTS]
CHECKS = PAIRWISE_CHECKS | CLASS_CHECKS | SUM_CHECKS

_FILE = "mutants.cuh"
_OPENING = "namespace cl {"
_PATIENCE = 60  # seconds
_UNEXPECTED = 2


class MutantRuntime(EmulatedRuntime):
    """Launches kernels of one source from a namespace of a library of mutants."""

    def __init__(self, library, source, namespace):
        super().__init__()
        self.library, self.source, self.namespace = library, source, namespace

    def launch_blocks(self, instance, *rest):
        """Run the kernel of that name that has the slip."""
        if instance.source != self.source:
            super().launch_blocks(instance, *rest)
        else:
            self.library.order, self.library.seed = self.order, self.seed
            instance = _renamed(instance, self.namespace)
            if instance not in self.library.instances:
                raise KeyError(instance)  # nothing that a check may take for a slip
            self.library.launch_blocks(instance, *rest)


def _renamed(instance, namespace):
    return Instance(_FILE, _qualified(instance.kernel, namespace), instance.threads)


def _qualified(text, namespace):
    return re.sub(r"\bcl::", f"{namespace}::", text)


def _passes(check, runtime):
    """Whether a check passes with all orders of threads."""
    for order in range(len(ORDERS)):
        runtime.order = order
        with use(runtime), host_copies_refused():
            try:
                CHECKS[check](runtime)
            except (AssertionError, RuntimeError, ValueError):
                return False
    return True


def _passes_in_a_child(check, runtime):
    """The same in a process of its own, whose memory a slip may ruin, or which it may not leave."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about threads, which stand still here
        child = os.fork()
    if child == 0:
        signal.alarm(_PATIENCE)
        faulthandler.disable()  # aborts are no news
        result = _UNEXPECTED
        try:
            result = int(_passes(check, runtime))
        finally:
            os._exit(result)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) != _UNEXPECTED
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1


@functools.cache
def _launched(check):
    """The instances that a check launches; it has to pass without a slip."""
    runtime = EmulatedRuntime()
    assert _passes(check, runtime), f"{check} fails without a slip"
    return frozenset(instance for instance, _ in runtime.launched)


def _mutated(mutant):
    text = source_text(mutant.source)
    assert text.count(mutant.old) == 1, f"{mutant.old!r} occurs {text.count(mutant.old)} times"
    return text.replace(mutant.old, mutant.new)


@pytest.fixture(scope="session")
def library_of(request, compiler, tmp_path_factory):
    """Function: source -> runtime with the kernels of all its mutants, which have been built."""

    @functools.cache
    def prepared(source):
        instances, texts = [], []
        for number, mutant in enumerate(MUTANTS):
            if mutant.source == source:
                text = _mutated(mutant)
                assert _OPENING in text
                text = text.replace(_OPENING, f"namespace cl_{number} {{")
                texts.append(_qualified(text, f"cl_{number}"))
                launched = [i for i in _launched(mutant.check) if i.source == source]
                instances += [_renamed(i, f"cl_{number}") for i in launched]
        folder = tmp_path_factory.mktemp("mutants")
        (folder / _FILE).write_text("#pragma once\n" + "\n".join(texts), encoding="utf-8")
        instances = tuple(sorted(instances))
        return EmulatedRuntime(instances=instances, folder=folder, flags=("-O0",))

    def library(source):
        runtime = prepared(source)
        runtime._library(runtime.instances[0])  # once for all children
        return runtime

    items = [item for item in request.session.items if "library_of" in item.fixturenames]
    asked = {MUTANTS[item.callspec.params["number"]].source for item in items}
    ready = []
    for source in asked:
        with suppress(AssertionError):  # the tests of that source will say it
            prepared(source)
            ready.append(source)
    at_once(library, ready)
    return library


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=lambda i: f"{MUTANTS[i].check}-{i}")
def test_slips_are_noticed(library_of, number):
    mutant = MUTANTS[number]
    runtime = MutantRuntime(library_of(mutant.source), mutant.source, f"cl_{number}")
    passes = _passes_in_a_child(mutant.check, runtime)
    assert not passes, f"nothing notices {mutant.old!r} -> {mutant.new!r}"


def test_every_source_has_slips():
    assert {i.source for i in all_instances()} == {mutant.source for mutant in MUTANTS}
