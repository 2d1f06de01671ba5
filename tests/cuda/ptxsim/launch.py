"""Runs a kernel of a module of PTX on NumPy arrays."""

import functools

import numpy as np

from tests.cuda.ptxsim.errors import PtxError
from tests.cuda.ptxsim.machine import Machine
from tests.cuda.ptxsim.operands import TYPES
from tests.cuda.ptxsim.parser import parse_kernel

__all__ = ["run"]

# Numbers in all registers together: few enough for the second-level cache of a processor.
_REGISTERS_AT_ONCE = 1 << 20
_MOST_LANES = 4096


def run(text, name, grid, threads, args, counters=None):
    """Run a kernel, and check every access, every barrier and shared memory for races.

    Parameters
    ----------
    text : str
        A module of PTX.
    name : str
        Symbol of the kernel.
    grid : int or tuple of int
        Blocks along x, and y.
    threads : int
        Threads of a block, a multiple of 32.
    args : sequence of ndarray, numpy scalar or None
        Arrays are pointers, None is the null pointer; numbers have the type of their parameter.
    counters : Counters, optional
        What the launch does is added to it.

    Raises
    ------
    PtxError
        If the kernel does something wrong; names the instruction and the line of its source.
    """
    kernel = parse_kernel(text, name)
    grid = grid if isinstance(grid, tuple) else (int(grid), 1)
    if threads % 32:
        raise PtxError(f"{threads} threads are no whole warps")
    if len(args) != len(kernel.parameters):
        raise PtxError(f"{len(args)} arguments for {len(kernel.parameters)} parameters of {name}")
    arguments = [
        argument
        if isinstance(argument, np.ndarray) and argument.ndim
        else _number(kind, parameter, argument)
        for (kind, parameter), argument in zip(kernel.parameters, args, strict=True)
    ]
    total = int(np.prod(grid))
    at_once = min(_REGISTERS_AT_ONCE // max(1, len(kernel.registers)), _MOST_LANES)
    blocks = min(total, max(1, at_once // threads))
    for first in range(0, total, blocks):
        machine = _machine(text, name, threads, min(blocks, total - first), counters)
        machine.start(grid, arguments)
        machine.run(first)


@functools.lru_cache(maxsize=64)
def _machine(text, name, threads, blocks, counters):
    """A machine is worth keeping: to bind its instructions costs as much as to run a few blocks."""
    return Machine(parse_kernel(text, name), threads, blocks, counters)


def _number(kind, parameter, argument):
    dtype = TYPES[kind]
    if argument is None:
        return 0
    given = np.asarray(argument)
    if kind[0] == "b" and given.dtype.itemsize == dtype.itemsize:
        return given.view(dtype)
    if given.dtype.itemsize != dtype.itemsize or (given.dtype.kind == "f") != (dtype.kind == "f"):
        raise PtxError(f"{parameter} is a {kind}, not {given.dtype}")
    return given.astype(dtype)
