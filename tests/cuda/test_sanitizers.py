"""Every kernel under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer."""

import subprocess
from collections import defaultdict

import numpy as np
import pytest

from clusterlib.kernels._cupy.instances import all_instances
from clusterlib.kernels._cupy.runtime import source_folder, use
from tests.cuda.cases import CASES
from tests.cuda.emul.arrays import host_copies_refused
from tests.cuda.emul.build import at_once
from tests.cuda.emul.emulator import EmulatedRuntime
from tests.cuda.emul.replay import SANITIZERS, Recorder, replay
from tests.cuda.emul.toys import FOLDER, TOYS, toy

SOURCES = sorted({instance.source for instance in all_instances()})


@pytest.fixture(scope="session")
def sanitizers(compiler):
    """The sanitizers, if the compiler brings them."""
    for how in SANITIZERS.values():
        for library in how.libraries:
            asked = [compiler, f"-print-file-name={library}"]
            found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            if "/" not in found:
                pytest.skip(f"{compiler} has no {library}: kernels cannot be checked with it")
    return SANITIZERS


@pytest.fixture(scope="session")
def recorded(compiler):
    """The launches of all cases, by source."""
    runtime = EmulatedRuntime()
    runtime.recorder = Recorder()
    with use(runtime), host_copies_refused():
        for case in CASES:
            case.run(runtime)
    launches = defaultdict(list)
    for instance, rest in runtime.recorder.launches:
        launches[instance.source].append((instance, rest))
    return launches


def one_of_each(launches, key):
    """The shortest recording for every value of a key."""
    shortest = {}
    for launch in sorted(launches, key=lambda launch: len(launch[1])):
        shortest.setdefault(key(launch[0]), launch)
    return list(shortest.values())


@pytest.mark.parametrize("source", SOURCES)
def test_cases_launch_every_instance(recorded, source):
    launched = {instance for instance, _ in recorded[source]}
    missing = [i.kernel for i in all_instances() if i.source == source and i not in launched]
    assert not missing


# Threads of the operating system are slow: races are looked for in one instance of every template.
KEYS = {
    "memory": lambda instance: instance,
    "races": lambda instance: instance.kernel.partition("<")[0],
}


@pytest.fixture(scope="session")
def failures(request, sanitizers, recorded, tmp_path_factory):
    """What a sanitizer says about the launches of a source: (sanitizer, source) -> text.

    All that will be asked for run at once, as many at a time as there are processors.
    """
    items = [item for item in request.session.items if "failures" in item.fixturenames]
    names = "sanitizer", "source"
    asked = {tuple(item.callspec.params[name] for name in names) for item in items}
    folder, found = tmp_path_factory.mktemp("launches"), {}

    def run(key):
        sanitizer, source = key
        launches = one_of_each(recorded[source], KEYS[sanitizer])
        instances = [instance for instance, _ in launches]
        recording = folder / f"{sanitizer}-{source}"
        found[key] = "it could not be built"
        found[key] = replay(sanitizer, source, instances, launches, source_folder(), recording)

    at_once(run, sorted(asked))
    return found


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("sanitizer", KEYS)
def test_kernels_are_sound(failures, sanitizer, source):
    assert failures[sanitizer, source] == ""


@pytest.mark.parametrize(
    ("sanitizer", "kernel", "complaint"),
    [
        ("memory", "neighbour<true>", ""),
        ("memory", "reads_beyond", "heap-buffer-overflow"),
        ("memory", "beyond_shared", "out of bounds for type 'float [64]'"),
        ("memory", "beyond_shared_by_pointer", "use-after-poison"),
        ("memory", "misaligned", "misaligned address"),
        ("memory", "division_by_zero", "division by zero"),
        ("races", "neighbour<true>", ""),
        ("races", "neighbour<false>", "data race"),
        ("races", "neighbour_after_shuffle", "data race"),
        ("races", "block_sum<true>", ""),
        ("races", "block_sum<false>", "data race"),
    ],
)
def test_sanitizers_see_what_is_wrong(sanitizers, tmp_path, sanitizer, kernel, complaint):
    runtime = EmulatedRuntime(instances=TOYS, folder=FOLDER)
    runtime.recorder = Recorder()
    launch_toy(runtime, kernel)
    failure = replay(
        sanitizer, "toys.cuh", TOYS, runtime.recorder.launches, FOLDER, tmp_path / "launches"
    )
    assert complaint in failure
    assert bool(complaint) == bool(failure)


def launch_toy(runtime, kernel):
    """Launch a toy; what the emulation says to it by itself is another test's affair."""
    x, out = runtime.zeros(64, np.float32), runtime.zeros(64, np.float32)
    given = [x] if kernel.startswith(("block_sum", "reads_beyond", "misaligned")) else []
    try:
        runtime.launch(toy(kernel), 1, *given, out)
    except RuntimeError:
        assert kernel in {
            "beyond_shared",
            "beyond_shared_by_pointer",
            "division_by_zero",
            "misaligned",
        }
