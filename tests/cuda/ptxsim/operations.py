"""Instructions that change registers or memory, as functions of the lanes that run them.

``bind(instruction, machine)`` returns ``step(ix)``: ix are the lanes, None for all of them.
Instructions that are not listed raise an error that names the line.
"""

import numpy as np

from tests.cuda.ptxsim import arithmetic, warps
from tests.cuda.ptxsim.copies import bind_copy
from tests.cuda.ptxsim.errors import PtxError
from tests.cuda.ptxsim.memory import LOCAL, SHARED
from tests.cuda.ptxsim.operands import TYPES

__all__ = ["bind"]

_SPACES = ("global", "shared", "local", "const", "param")
_ATOMIC = {
    "add": lambda old, value: old + value,
    "min": min,
    "max": max,
    "and": lambda old, value: old & value,
    "or": lambda old, value: old | value,
    "xor": lambda old, value: old ^ value,
    "exch": lambda old, value: value,
}


def bind(instruction, machine):
    """Make a function that runs the instruction for some lanes."""
    name = instruction.opcode[0]
    try:
        if name in _MOVES:
            return _MOVES[name](instruction, machine)
        if name in warps.WARP_INSTRUCTIONS:
            return warps.WARP_INSTRUCTIONS[name](instruction, machine)
        return _arithmetic(instruction, machine)
    except (KeyError, IndexError) as error:
        raise PtxError(f"unknown instruction ({error!r}): {instruction}") from error
    except PtxError as error:
        raise PtxError(f"{error}: {instruction}") from None


def _arithmetic(instruction, machine):
    function, result, kinds = arithmetic.function_of(instruction.opcode)
    target, *operands = instruction.operands
    if "|" in target:
        raise PtxError("two results of one instruction")
    sources, negated = [], []
    for text, kind in zip(operands, kinds, strict=True):
        negated.append(text.startswith("!"))
        sources.append(machine.operands.source(text.lstrip("!"), kind))
    if any(negated):
        function = _with_negations(function, negated)
    run = _assigning(function, machine.operands.target(target, result), sources)
    if instruction.opcode[0] == "fma" and machine.counters is not None:
        return _counting(run, machine)
    return run


def _with_negations(function, negated):
    def negating(*values):
        return function(*(~v if no else v for v, no in zip(values, negated, strict=True)))

    return negating


def _assigning(function, target, sources):
    def step(ix):
        if ix is None:
            target[...] = function(*sources)
        else:
            target[ix] = function(*[source[ix] for source in sources])

    def step_in_place(ix):
        if ix is None:
            function(*sources, out=target)
        else:
            target[ix] = function(*[source[ix] for source in sources])

    same = all(source.dtype == target.dtype for source in sources)
    return step_in_place if isinstance(function, np.ufunc) and same else step


def _counting(run, machine):
    def step(ix):
        run(ix)
        machine.counters.fused += machine.lanes if ix is None else ix.size

    return step


def _vector(text):
    return [part.strip() for part in text.strip("{}").split(",")]


def _mov(instruction, machine):
    kind = instruction.opcode[-1]
    target, source = instruction.operands
    if target.startswith("{") or source.startswith("{"):
        return (
            _pack(kind, target, source, machine)
            if source.startswith("{")
            else _unpack(kind, target, source, machine)
        )
    row = machine.operands.source(source, kind)
    return _assigning(
        np.positive if kind != "pred" else np.array, machine.operands.target(target, kind), [row]
    )


def _pack(kind, target, source, machine):
    parts = _vector(source)
    bits = 8 * TYPES[kind].itemsize // len(parts)
    rows = [machine.operands.source(part, f"u{bits}") for part in parts]
    whole = machine.operands.target(target, f"u{8 * TYPES[kind].itemsize}")

    def together(*values):
        return sum(
            v.astype(whole.dtype) << whole.dtype.type(i * bits) for i, v in enumerate(values)
        )

    return _assigning(together, whole, rows)


def _unpack(kind, target, source, machine):
    parts = _vector(target)
    bits = 8 * TYPES[kind].itemsize // len(parts)
    whole = machine.operands.source(source, f"u{8 * TYPES[kind].itemsize}")
    rows = [
        (whole.dtype.type(i * bits), machine.operands.target(part, f"u{bits}"))
        for i, part in enumerate(parts)
        if part != "_"
    ]

    def step(ix):
        value = whole.copy() if ix is None else whole[ix]
        for shift, row in rows:
            row[slice(None) if ix is None else ix] = (value >> shift).astype(f"u{bits // 8}")

    return step


def _space(opcode):
    return next((part for part in opcode if part.split("::")[0] in _SPACES), "generic").split("::")[
        0
    ]


def _ld(instruction, machine):
    opcode, (target, address) = instruction.opcode, instruction.operands
    kind, space = opcode[-1], _space(opcode)
    targets = [machine.operands.target(part, kind) for part in _vector(target) if part != "_"]
    if space == "param":
        parameters, name = machine.operands.parameters, address.strip("[] ")
        return _assigning(lambda: np.asarray(parameters[name], TYPES[kind]), targets[0], [])
    if len(targets) != len(_vector(target)):
        raise PtxError("a vector load that drops a part")
    space = "global" if space == "const" else space
    addresses, dtype, line = machine.operands.address(address), TYPES[kind], instruction.line

    def step(ix):
        values = machine.memory.load(space, addresses(ix), dtype, len(targets), ix, line)
        where = slice(None) if ix is None else ix
        for row, value in zip(targets, values, strict=True):
            row[where] = value

    return step


def _st(instruction, machine):
    opcode, (address, source) = instruction.opcode, instruction.operands
    kind, space, line = opcode[-1], _space(opcode), instruction.line
    if space == "param":
        return _call(instruction, machine)
    rows = [machine.operands.source(part, kind) for part in _vector(source)]
    addresses = machine.operands.address(address)

    def step(ix):
        values = [row if ix is None else row[ix] for row in rows]
        machine.memory.store(space, addresses(ix), values, ix, line)

    return step


def _atom(instruction, machine):
    """``atom`` and ``red`` on integers, lane after lane: sums of floats would have no fixed order."""
    opcode, operands = instruction.opcode, list(instruction.operands)
    kind, space, line = opcode[-1], _space(opcode), instruction.line
    name = next(part for part in opcode if part in _ATOMIC or part == "cas")
    if kind.startswith("f"):
        raise PtxError("an atomic operation on floats, whose order is not fixed")
    target = machine.operands.target(operands.pop(0), kind) if opcode[0] == "atom" else None
    addresses = machine.operands.address(operands[0])
    rows = [machine.operands.source(text, kind) for text in operands[1:]]

    def step(ix):
        values = [row if ix is None else row[ix] for row in rows]
        if name == "cas":
            change = lambda old, lane: values[1][lane] if old == values[0][lane] else old
        else:
            change = lambda old, lane: _ATOMIC[name](old, values[0][lane])
        old = machine.memory.update(space, addresses(ix), TYPES[kind], change, ix, line)
        if target is not None:
            target[slice(None) if ix is None else ix] = old

    return step


def _cvta(instruction, machine):
    opcode, (target, source) = instruction.opcode, instruction.operands
    base = {"shared": SHARED, "local": LOCAL}.get(_space(opcode), 0)
    base = np.uint64(base) if opcode[1] != "to" else np.uint64((1 << 64) - base & (1 << 64) - 1)
    row = machine.operands.source(source, "u64")
    return _assigning(lambda v: v + base, machine.operands.target(target, "u64"), [row])


def _call(instruction, machine):
    raise PtxError("a call of a function that is not inlined")


def _nothing(instruction, machine):
    return lambda ix: None


_MOVES = {
    "mov": _mov,
    "ld": _ld,
    "ldu": _ld,
    "st": _st,
    "atom": _atom,
    "red": _atom,
    "cvta": _cvta,
    "cp": bind_copy,
    "call": _call,
    "membar": _nothing,
    "fence": _nothing,
    "prefetch": _nothing,
}
