"""The self-test of a CUDA device, run on the emulated one."""

import inspect
from importlib import import_module
from pkgutil import iter_modules

import numpy as np

from clusterlib import kernels, selftest
from clusterlib.kernels import _cupy
from clusterlib.selftest import command
from clusterlib.selftest.cases import all_cases


def kernels_on_devices():
    """Names of the public kernels that have a version for devices."""
    names = set()
    for module in iter_modules(_cupy.__path__):
        found = vars(import_module(f"clusterlib.kernels._cupy.{module.name}"))
        names |= {name for name, thing in found.items() if inspect.isfunction(thing)}
    return names & set(kernels.__all__)


def test_every_kernel_with_a_device_version_has_a_case():
    tested = {
        case.kernel.__name__ for case in all_cases(np.float32) if command.has_device_version(case)
    }
    assert "cluster_sums" in tested
    assert tested == kernels_on_devices()


def test_the_device_is_well(emulated, monkeypatch, capsys):
    monkeypatch.setattr(emulated, "describe", lambda: "a device that is none", raising=False)
    status = selftest.main(["--device", "cuda"])
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.endswith(" ones: a device that is none")
    assert [line for line in lines if not line.endswith(" ok")] == []
    assert (status, last) == (0, "All is well.")
    assert {line.split()[0] for line in lines} == kernels_on_devices()


def test_a_wrong_device_is_found_out(emulated, monkeypatch, capsys):
    monkeypatch.setattr(emulated, "describe", lambda: "a bad device", raising=False)
    cases = [case for case in all_cases(np.float32) if case.kernel is kernels.cluster_sums]
    monkeypatch.setattr(command, "all_cases", lambda dtype: cases)
    launch = emulated.launch

    def launch_wrongly(instance, grid, *arguments):
        launch(instance, grid, *arguments)
        outputs = [value for value in arguments if emulated.owns(value)]
        outputs[-1][...] = 0

    monkeypatch.setattr(emulated, "launch", launch_wrongly)
    assert selftest.main(["--device", "cuda"]) == 1
    assert capsys.readouterr().out.endswith("2 errors.\n")
