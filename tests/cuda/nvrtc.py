"""NVRTC through ctypes: what CuPy will do with a source, without a driver and without CuPy."""

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

__all__ = ["CompileError", "Program", "compile_text", "is_available"]

_TOOLKIT = Path("/usr/local/cuda")


class CompileError(Exception):
    """NVRTC refuses the text; the message is its log."""


class Program(NamedTuple):
    """The symbols of the name expressions, and the PTX."""

    symbols: dict
    ptx: str


def _folders():
    spec = importlib.util.find_spec("nvidia")
    for package in spec.submodule_search_locations if spec else ():
        yield from Path(package).glob("*/lib")
    yield from (_TOOLKIT / "lib64", _TOOLKIT / "lib")


@functools.cache
def _library():
    for folder in _folders():
        for file in sorted(folder.glob("libnvrtc.so*")):
            return ctypes.CDLL(str(file))
    return None


def is_available():
    """Tell whether libnvrtc is there: from a wheel of NVIDIA's or from a toolkit."""
    return _library() is not None


def _text(program, of):
    size = ctypes.c_size_t()
    getattr(_library(), f"nvrtcGet{of}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(_library(), f"nvrtcGet{of}")(program, buffer)
    return buffer.value.decode()


def compile_text(text, kernels, options):
    """Compile a text with everything in it to PTX.

    Parameters
    ----------
    text : str
        CUDA C++ without includes.
    kernels : sequence of str
        Name expressions.
    options : sequence of str
        As CuPy passes them.

    Returns
    -------
    program : Program
    """
    library, program = _library(), ctypes.c_void_p()
    created = library.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None
    )
    if created:
        raise CompileError(f"NVRTC refuses to create a program: error {created}")
    try:
        for kernel in kernels:
            library.nvrtcAddNameExpression(program, kernel.encode())
        flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if library.nvrtcCompileProgram(program, len(options), flags):
            raise CompileError(_text(program, "ProgramLog"))
        return Program(
            {kernel: _symbol(program, kernel) for kernel in kernels}, _text(program, "PTX")
        )
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _symbol(program, kernel):
    name = ctypes.c_char_p()
    if _library().nvrtcGetLoweredName(program, kernel.encode(), ctypes.byref(name)):
        raise CompileError(f"NVRTC has no kernel {kernel}")
    return name.value.decode()
