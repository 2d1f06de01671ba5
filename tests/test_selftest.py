"""The self-test: what it says of kernels that are right, wrong or not there."""

import numpy as np
import pytest

from clusterlib import kernels, selftest
from clusterlib.kernels import available_backends
from clusterlib.selftest import command
from clusterlib.selftest.cases import Case, all_cases


def doubled(X, *, backend=None):
    return 2 * X if backend == "reference" else 2 * X + (X == 3)


def test_the_kernels_of_this_installation_are_well(capsys, monkeypatch):
    backend = available_backends()[0]
    if backend == "reference":
        pytest.skip("the NumPy reference is the only backend of this installation")
    monkeypatch.setattr(command, "available_backends", lambda: (backend, "reference"))
    assert selftest.main([]) == 0
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head == f"{backend} kernels against the NumPy reference:"
    assert len(lines) == sum(1 for dtype in (np.float32, np.float64) for _ in all_cases(dtype))
    assert {line.split()[-1] for line in lines} == {"ok"}
    assert last == "All is well."


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cases_are_the_same_in_every_run_and_in_the_dtype(dtype):
    first, second = list(all_cases(dtype)), list(all_cases(dtype))
    assert {case.kernel for case in first} <= {getattr(kernels, name) for name in kernels.__all__}
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        for left, right in zip(one.arguments, other.arguments, strict=True):
            np.testing.assert_array_equal(left, right)
        assert any(getattr(value, "dtype", None) == dtype for value in one.arguments)


def test_a_wrong_answer_is_an_error(capsys, monkeypatch):
    cases = [Case(doubled, (np.array(values),), {}) for values in ([1, 2], [3, 3, 1], [3.0])]
    monkeypatch.setattr(command, "all_cases", lambda dtype: cases)
    monkeypatch.setattr(command, "available_backends", lambda: ("native", "reference"))
    assert selftest.main([]) == 1
    written = capsys.readouterr().out
    assert written.count(" ok\n") == 2
    assert written.count("ERROR: output 0 differs in 2 of 3 places") == 2
    assert written.count("ERROR: output 0 is off by 1.7e-01 of its largest value") == 2
    assert written.endswith("4 errors.\n")


def test_an_exception_is_an_error_and_ends_nothing(capsys, monkeypatch):
    def failing(X, *, backend=None):
        raise RuntimeError("no such instruction")

    cases = [Case(failing, (np.ones(1),), {}), Case(np.copy, (np.ones(1),), {})]
    monkeypatch.setattr(command, "all_cases", lambda dtype: cases)
    monkeypatch.setattr(
        command, "_computed", lambda case, **_: [case.kernel(*case.arguments, **case.options)]
    )
    monkeypatch.setattr(command, "available_backends", lambda: ("native", "reference"))
    assert selftest.main([]) == 1
    written = capsys.readouterr().out
    assert (
        "failing                           float32  ERROR: RuntimeError: no such instr" in written
    )
    assert "copy                              float64  ok" in written


DIFFERENCES = [
    ([1.0, 2.0], [1.0, 2.0 + 1e-5], None),
    ([1.0, 2.0], [1.0, 2.1], "off by 4.8e-02"),
    ([1.0, np.nan], [1.0, 2.0], "off by nan"),
    ([1.0, np.inf], [1.0, np.inf], None),
    ([1.0, np.inf], [1.0, -np.inf], "infinite or NaN in other places"),
    ([1.0, np.nan], [1.0, np.nan], None),
    ([1.0], [1.0, 2.0], r"float64\(1,\), not float64\(2,\)"),
    ([1], [1.0], r"int64\(1,\), not float64"),
    ([0.0], [0.0], None),
    ([], [], None),
]


@pytest.mark.parametrize(("found", "expected", "message"), DIFFERENCES)
def test_differences(found, expected, message):
    fault = command._difference([np.array(found)], [np.array(expected)], 1e-4)
    if message is None:
        assert fault is None
    else:
        with pytest.raises(ValueError, match=message):
            raise ValueError(fault)


@pytest.mark.parametrize(
    "error", [ImportError("needs CuPy"), RuntimeError("no usable CUDA driver")]
)
def test_without_a_device_it_says_why(capsys, monkeypatch, error):
    def active():
        raise error

    monkeypatch.setattr(command, "active", active)
    assert selftest.main(["--device", "cuda"]) == 2
    assert capsys.readouterr().out == f"No CUDA device to test: {error}\n"


def test_without_any_backend_to_test_it_says_so(capsys, monkeypatch):
    monkeypatch.setattr(command, "available_backends", lambda: ("reference",))
    assert selftest.main([]) == 2
    assert "only backend" in capsys.readouterr().out


def test_unknown_devices_are_refused(capsys):
    with pytest.raises(SystemExit):
        selftest.main(["--device", "abacus"])
    assert "invalid choice: 'abacus'" in capsys.readouterr().err
