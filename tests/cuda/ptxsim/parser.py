"""Reads one kernel out of the PTX that nvcc or NVRTC writes."""

import functools
import re
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.cuda.ptxsim.errors import PtxError

__all__ = ["Constant", "Instruction", "Kernel", "parse_kernel"]

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ENTRY = r"\.entry\s+{name}\s*\((?P<params>.*?)\)(?P<limits>[^{{;]*)\{{"
_PARAM = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+(?:\.ptr\s.*?)?([\w$]+)(\[\d+\])?$")
_ARRAY = re.compile(
    r"\.(?P<space>shared|local|global|const)\s+(?:\.align\s+(?P<align>\d+)\s+)?\.(?P<type>\w+)\s+"
    r"(?P<name>[\w$]+)(?:\[(?P<count>\d*)\])?(?:\s*=\s*(?P<values>[^;]*))?"
)
_LABEL = re.compile(r"^([\w$]+):\s*")
_REGISTERS = re.compile(r"([%\w$]+)(?:<(\d+)>)?$")
_FILE = re.compile(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', re.MULTILINE)
_LOC = re.compile(r"^\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at\s+(\d+)\s+(\d+))?")
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*")
_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}


class Instruction(NamedTuple):
    """One instruction: ``@guard opcode operands``, and the line of the source it stems from."""

    opcode: tuple
    operands: tuple
    guard: str | None
    negated: bool
    text: str
    line: str

    def __str__(self):
        return f"{self.text} ({self.line})"


class Constant(NamedTuple):
    """An array of the module in global or constant memory."""

    name: str
    data: bytes


@dataclass
class Kernel:
    """A kernel as the simulator wants it.

    ``parameters`` are (type, name), ``registers`` {name: type}, ``shared`` and ``local`` {name:
    offset}, ``labels`` {name: index into code}.
    """

    name: str
    parameters: list
    code: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)
    registers: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)
    shared_bytes: int = 0
    local: dict = field(default_factory=dict)
    local_bytes: int = 0
    constants: list = field(default_factory=list)


@functools.lru_cache(maxsize=256)
def parse_kernel(text, name):
    """Parse the kernel with the symbol ``name``.

    Parameters
    ----------
    text : str
        A whole module of PTX.
    name : str
        Symbol of the kernel.

    Returns
    -------
    kernel : Kernel
    """
    files = {number: path.rsplit("/", 1)[-1] for number, path in _FILE.findall(text)}
    text = _COMMENT.sub("", text)
    found = re.search(_ENTRY.format(name=re.escape(name)), text, re.DOTALL)
    if found is None:
        raise PtxError(f"the module has no kernel {name}")
    body = _balanced(text, found.end())
    kernel = Kernel(name, [_parameter(part) for part in found["params"].split(",") if part.strip()])
    _place_module_arrays(kernel, text, body)
    _parse_body(kernel, body, files)
    return kernel


def _balanced(text, start):
    depth, end = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[start : end - 1]


def _parameter(text):
    found = _PARAM.match(text.strip())
    if found is None or found[3]:
        raise PtxError(f"a parameter that is neither a number nor a pointer: {text.strip()}")
    return found[1], found[2]


def _place_module_arrays(kernel, text, body):
    """Arrays declared outside of kernels, as far as this one names them."""
    words = set(re.findall(r"[\w$]+", body))
    outside = re.sub(r"\.entry\b.*?^\}", "", text, flags=re.DOTALL | re.MULTILINE)
    for found in _ARRAY.finditer(outside):
        if found["name"] not in words:
            continue
        if found["space"] == "shared":
            _place(kernel, found)
        else:
            kernel.constants.append(Constant(found["name"], _initial_bytes(found)))


def _element_bytes(found):
    return _SIZES[found["type"].lstrip("bsuf")]


def _initial_bytes(found):
    size = _element_bytes(found)
    values = [value.strip() for value in (found["values"] or "").strip(" {}").split(",")]
    numbers = [_bits(value, size) for value in values if value]
    data = b"".join(number.to_bytes(size, "little") for number in numbers)
    return data.ljust(size * int(found["count"] or 1), b"\0")


def _bits(value, size):
    if re.match("0[fFdD]", value):
        return int.from_bytes(bytes.fromhex(value[2:]), "big")
    if "." in value:
        return int.from_bytes(struct.pack({4: "<f", 8: "<d"}[size], float(value)), "little")
    return int(value, 0) % (1 << 8 * size)


def _place(kernel, found):
    """Give an array of shared or local memory its offset."""
    if found["count"] == "":
        raise PtxError(f"dynamic shared memory is not simulated: {found['name']}")
    space = found["space"]
    align = int(found["align"] or _element_bytes(found))
    offset = -(-getattr(kernel, f"{space}_bytes") // align) * align
    getattr(kernel, space)[found["name"]] = offset
    setattr(kernel, f"{space}_bytes", offset + _element_bytes(found) * int(found["count"] or 1))


def _parse_body(kernel, body, files):
    where, pending = "line unknown", ""
    for line in body.split("\n"):
        line = line.strip()
        if not pending and (located := _LOC.match(line)):
            where = f"{files.get(located[1])}:{located[2]}"
            if located[3]:
                where += f", inlined at {files.get(located[3])}:{located[4]}"
            continue
        pending = f"{pending} {line}".strip().lstrip("{} \t")
        while label := _LABEL.match(pending):
            kernel.labels[label[1]] = len(kernel.code)
            pending = pending[label.end() :]
        while ";" in pending:
            statement, pending = (part.strip() for part in pending.split(";", 1))
            _parse_statement(kernel, statement.lstrip("{} \t"), where)
            pending = pending.lstrip("{} \t")


def _parse_statement(kernel, statement, where):
    if statement.startswith(".reg"):
        _, kind, names = statement.split(None, 2)
        for name in names.split(","):
            found = _REGISTERS.match(name.strip())
            numbered = range(int(found[2])) if found[2] else ("",)
            kernel.registers.update({f"{found[1]}{number}": kind[1:] for number in numbered})
    elif statement.startswith((".shared", ".local")):
        _place(kernel, _ARRAY.match(statement))
    elif statement and not statement.startswith("."):
        kernel.code.append(_instruction(statement, where))


def _instruction(statement, where):
    statement = " ".join(statement.split())
    guard, negated, rest = None, False, statement
    if statement.startswith("@"):
        guard, rest = statement[1:].split(None, 1)
        guard, negated = guard.lstrip("!"), guard.startswith("!")
    opcode, _, operands = rest.partition(" ")
    parsed = tuple(part.strip() for part in _OPERAND.findall(operands))
    return Instruction(tuple(opcode.split(".")), parsed, guard, negated, statement, where)
