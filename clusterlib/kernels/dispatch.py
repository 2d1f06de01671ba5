"""Which implementation of a kernel runs: native, Numba or the NumPy reference, or a device's.

Computation follows the data: arrays on a CUDA device (CuPy's, or any that offer DLPack, such as
PyTorch's) are never brought to the host unasked. Public kernels are wrapped in
:func:`follows_data`, which calls the function of the same name in ``kernels/_cupy`` for them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

__all__ = [
    "BACKENDS",
    "active_backend",
    "available_backends",
    "follows_data",
    "implementation",
    "is_device_array",
]

BACKENDS = ("native", "numba", "reference")
"""Every backend, the preferred one first."""

_MODULES = {
    "native": "clusterlib.kernels._native",
    "numba": "clusterlib.kernels._numba",
    "reference": "clusterlib.kernels._reference",
}
_CUDA_MEMORY = (2, 13)  # DLPack's kDLCUDA and kDLCUDAManaged
# What has to be importable for the backend to count as available. For Numba it is only looked
# for, never imported: importing it costs most of a second.
_REQUIREMENTS = {"native": "clusterlib.kernels._native", "numba": "numba", "reference": "numpy"}
_CURES = {
    "native": "install a wheel, or reinstall with a C++ compiler present",
    "numba": 'pip install "clusterlib-native[numba]"',
}


@functools.cache
def available_backends() -> tuple[str, ...]:
    """Names of the backends that can run in this installation.

    Returns
    -------
    backends : tuple of str
        A part of ``("native", "numba", "reference")`` in that order of preference; "reference"
        is always there.

    Examples
    --------
    >>> from clusterlib.kernels import available_backends
    >>> "reference" in available_backends()
    True
    """
    return tuple(name for name in BACKENDS if importlib.util.find_spec(_REQUIREMENTS[name]))


def active_backend() -> str:
    """Name of the backend that runs when a kernel is called with ``backend=None``.

    Returns
    -------
    backend : str
        "native" if the extension module was built, else "numba" if it is installed, else
        "reference".

    Examples
    --------
    >>> from clusterlib.kernels import active_backend, available_backends
    >>> active_backend() == available_backends()[0]
    True
    """
    return available_backends()[0]


def implementation(op, backend=None):
    """Look up the implementation of one kernel.

    Parameters
    ----------
    op : str
        Name of the kernel, for example "pairwise_argmin".
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None and "auto" mean :func:`active_backend`.

    Returns
    -------
    function : callable
        Takes the positional arguments written in ``kernels/_native.pyi``; outputs are allocated
        by the caller and nothing but the finiteness of X and Y is checked.

    Raises
    ------
    ValueError
        If the backend is none of these names.
    ImportError
        If the backend cannot run in this installation; the message says what to install.

    Examples
    --------
    >>> from clusterlib.kernels.dispatch import implementation
    >>> implementation("pairwise_argmin", "reference").__name__
    'pairwise_argmin'
    """
    if backend is None or backend == "auto":
        backend = active_backend()
    if not isinstance(backend, str) or backend not in BACKENDS:
        allowed = ", ".join(repr(name) for name in ("auto", *BACKENDS))
        raise ValueError(f"backend must be None or one of {allowed}, got {backend!r}")
    if backend not in available_backends():
        raise ImportError(
            f"backend {backend!r} is not available in this installation: {_CURES[backend]}"
        )
    return getattr(_module(backend), op)


def is_device_array(value):
    """Tell whether an array lies on a CUDA device.

    Parameters
    ----------
    value : object
        Anything. CuPy arrays, CUDA tensors of PyTorch and others with ``__dlpack_device__`` are
        recognised, without importing their packages.

    Returns
    -------
    on_device : bool
        False for NumPy arrays, CPU tensors and everything that is no array.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels.dispatch import is_device_array
    >>> is_device_array(np.zeros(3))
    False
    """
    if type(value) is np.ndarray or value is None:
        return False
    if not hasattr(type(value), "__dlpack_device__"):
        return False
    try:
        return value.__dlpack_device__()[0] in _CUDA_MEMORY
    except TypeError:  # pyarrow has no layout of DLPack for its lists, and older ones say so here
        return False


def follows_data(kernel: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a public kernel run where its arrays are.

    Parameters
    ----------
    kernel : callable
        The host's version. One with the same signature may stand in the module of the same name
        in ``kernels/_cupy``.

    Returns
    -------
    kernel : callable
        Calls the one or the other.

    Raises
    ------
    TypeError
        When called with device arrays where there is no version for devices.
    """

    @functools.wraps(kernel)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for value in args:
            if is_device_array(value):
                return _device_version(kernel)(*args, **kwargs)
        for value in kwargs.values():
            if is_device_array(value):
                return _device_version(kernel)(*args, **kwargs)
        return kernel(*args, **kwargs)

    return run


def _device_version(kernel):
    name = kernel.__module__.rpartition(".")[2]
    try:
        return getattr(importlib.import_module(f"clusterlib.kernels._cupy.{name}"), kernel.__name__)
    except (ModuleNotFoundError, AttributeError):
        raise TypeError(
            f"{kernel.__name__} has no version for arrays on a CUDA device; bring them to the "
            f"host, with cupy.asnumpy for example"
        ) from None


@functools.cache
def _module(backend):
    """Asking the import system takes as long as some kernels on small input."""
    return importlib.import_module(_MODULES[backend])
