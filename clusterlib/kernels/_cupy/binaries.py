"""Compile kernels with NVRTC and keep the binaries in files.

CuPy compiles sources itself, but adds ``-ftz=true`` to whatever options it is given: float32
numbers below 2^-126 count as 0 then, which the contracts of the kernels do not allow. It loads
binaries as they are, so kernels are compiled here, by the NVRTC that CuPy brings.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

__all__ = ["COMPILE_OPTIONS", "Binary", "binary_of", "cache_folder"]

# A product and a sum may contract, which the error bounds allow for; denormal numbers stay.
COMPILE_OPTIONS = (
    "--std=c++17",
    "--fmad=true",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
)


class Binary(NamedTuple):
    """A compiled kernel.

    Attributes
    ----------
    path : Path
        A file that CuPy loads, machine code or PTX.
    symbol : str
        Name of the kernel in it.
    """

    path: Path
    symbol: str


def cache_folder():
    """Return the folder in which CuPy keeps its kernels, or a temporary one if it is read-only."""
    chosen = os.environ.get("CUPY_CACHE_DIR")
    try:
        folder = Path(chosen) if chosen else Path.home() / ".cupy" / "kernel_cache"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # the latter where a user has no home
        return Path(tempfile.mkdtemp(prefix="clusterlib-"))


def binary_of(nvrtc, text, kernel, capability, folder):
    """Return the binary of a kernel, compiled unless a file of it is there.

    Parameters
    ----------
    nvrtc : module
        ``cupy.cuda.nvrtc``, or what has its functions.
    text : str
        Source with everything it needs.
    kernel : str
        Name expression of the instance.
    capability : int
        Compute capability of the device, 90 for 9.0.
    folder : Path
        Where binaries are kept.

    Returns
    -------
    binary : Binary

    Raises
    ------
    RuntimeError
        If NVRTC refuses the source; the message holds its log.
    """
    known = [arch for arch in nvrtc.getSupportedArchs() if arch <= capability]
    if not known:
        raise RuntimeError(f"NVRTC cannot compile for a device of compute capability {capability}")
    # For a device newer than this NVRTC the driver translates PTX.
    native = max(known) == capability
    target = f"--gpu-architecture={'sm' if native else 'compute'}_{max(known)}"
    options = (*COMPILE_OPTIONS, target)
    key = repr((text, kernel, options, nvrtc.getVersion()))
    name = "clusterlib-" + hashlib.sha256(key.encode()).hexdigest()[:32]
    path = folder / (name + (".cubin" if native else ".ptx"))
    symbol_path = folder / (name + ".symbol")
    if not (path.exists() and symbol_path.exists()):
        code, symbol = _compiled(nvrtc, text, kernel, options, native)
        _write(symbol_path, symbol.encode())  # first: whoever sees the code finds its name
        _write(path, code)
    return Binary(path, symbol_path.read_text(encoding="utf-8"))


def _compiled(nvrtc, text, kernel, options, native):
    program = nvrtc.createProgram(text, "clusterlib.cu", (), ())
    try:
        nvrtc.addNameExpression(program, kernel)
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program)
            raise RuntimeError(f"NVRTC cannot compile {kernel}: {log}") from error
        code = nvrtc.getCUBIN(program) if native else nvrtc.getPTX(program)
        return code, nvrtc.getLoweredName(program, kernel)
    finally:
        nvrtc.destroyProgram(program)


def _write(path, content):
    """Write a file as a whole: others may be about to read or to write it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
