"""Operands of instructions as arrays over all lanes."""

import re

import numpy as np

from tests.cuda.ptxsim.errors import PtxError

__all__ = ["TYPES", "Operands"]

TYPES = {
    name: np.dtype(kind)
    for name, kind in {
        "pred": "?",
        "b8": "u1",
        "u8": "u1",
        "s8": "i1",
        "b16": "u2",
        "u16": "u2",
        "s16": "i2",
        "b32": "u4",
        "u32": "u4",
        "s32": "i4",
        "f32": "f4",
        "b64": "u8",
        "u64": "u8",
        "s64": "i8",
        "f64": "f8",
    }.items()
}

_NUMBER = re.compile(r"0[fFdD](?P<bits>[0-9a-fA-F]+)$|-?(0[xX][0-9a-fA-F]+|\d+)U?$")
_ADDRESS = re.compile(r"\[\s*([^\]+]+?)\s*(?:\+\s*(-?\w+)\s*)?\]$")


class Operands:
    """The registers of all lanes, and how an instruction reads and writes them.

    Attributes
    ----------
    parameters : dict
        {name: number or address}, for the launch that comes.
    grid : tuple of int
        Its blocks along x and y.
    """

    def __init__(self, kernel, constants, threads, blocks):
        self.parameters, self.grid = {}, (1, 1)
        self._lanes, self._threads = blocks * threads, threads
        self._block = np.repeat(np.arange(blocks, dtype=np.uint32), threads)
        self._registers, self._views = {}, {}
        self._allocate(kernel.registers)
        self._symbols = {**kernel.shared, **kernel.local, **constants}
        self._special = self._special_registers(blocks)

    def _allocate(self, registers):
        sizes = {}
        for name, kind in registers.items():
            sizes.setdefault(TYPES[kind].itemsize if kind != "pred" else 0, []).append(name)
        for size, names in sizes.items():
            rows = np.zeros((len(names), self._lanes), f"u{size}" if size else np.bool_)
            self._registers.update(zip(names, rows, strict=True))

    def _special_registers(self, blocks):
        lane = np.tile(np.arange(self._threads, dtype=np.uint32), blocks)
        special = {"%tid.x": lane, "%laneid": lane % np.uint32(32), "%warpid": lane >> np.uint32(5)}
        special.update({"%ntid.x": self._threads, "%ntid.y": 1, "%ntid.z": 1, "%nctaid.z": 1})
        special.update({"%tid.y": 0, "%tid.z": 0, "%ctaid.z": 0, "WARP_SZ": 32})
        special = {
            name: np.broadcast_to(np.asarray(value, np.uint32), self._lanes)
            for name, value in special.items()
        }
        for name in ("%ctaid.x", "%ctaid.y", "%nctaid.x", "%nctaid.y"):
            special[name] = np.empty(self._lanes, np.uint32)
        return special

    def place(self, first_block):
        """The blocks that run are those from ``first_block`` on, counted along x first."""
        block, across = self._block + np.uint32(first_block), np.uint32(self.grid[0])
        self._special["%ctaid.x"][:], self._special["%ctaid.y"][:] = block % across, block // across
        self._special["%nctaid.x"][:], self._special["%nctaid.y"][:] = self.grid

    def source(self, text, kind):
        """An operand as an array over the lanes, of the type of the instruction."""
        dtype = TYPES[kind]
        key = text, dtype
        if key not in self._views:
            self._views[key] = self._view(text, dtype)
        return self._views[key]

    def target(self, text, kind):
        """A register to write to; wider than the type if it is declared wider."""
        dtype = TYPES[kind]
        row = self._registers[text]
        if row.dtype == np.bool_ or dtype == np.bool_:
            if row.dtype != dtype:
                raise PtxError(f"register {text} is no predicate")
            return row
        return row.view(f"{dtype.kind}{max(row.dtype.itemsize, dtype.itemsize)}")

    def is_register(self, text):
        """Tell whether an operand is a register."""
        return text in self._registers

    def size(self, text):
        """Bytes of a register."""
        return self._registers[text].dtype.itemsize

    def address(self, text):
        """``[register + offset]`` as (array of 64-bit addresses at the time of the call)."""
        found = _ADDRESS.match(text)
        if found is None:
            raise PtxError(f"unknown address {text}")
        base, offset = found[1], int(found[2] or "0", 0)
        if self.is_register(base):
            row = self.source(base, f"u{8 * self.size(base)}")
        else:
            row = np.broadcast_to(np.asarray(self._symbol(base), np.uint64), self._lanes)

        def addresses(ix):
            return (row if ix is None else row[ix]).astype(np.int64) + offset

        return addresses

    def _view(self, text, dtype):
        if text.startswith("!"):
            raise PtxError(f"negated operand {text} where none may be")
        row = self._registers.get(text, self._special.get(text))
        if row is None:
            return np.broadcast_to(self._constant(text, dtype), self._lanes)
        if row.dtype == dtype:
            return row
        if row.dtype == np.bool_ or dtype == np.bool_:
            raise PtxError(f"register {text} has another type than the instruction")
        if dtype.itemsize > row.dtype.itemsize:
            raise PtxError(f"register {text} is too narrow")
        return row.view(dtype)[:: row.dtype.itemsize // dtype.itemsize]

    def _constant(self, text, dtype):
        found = _NUMBER.match(text)
        if found is None:
            return np.asarray(self._symbol(text), np.uint64).astype(dtype)
        if found["bits"]:
            bits = bytes.fromhex(found["bits"])[::-1]
            return np.frombuffer(bits, f"f{len(bits)}")[0].astype(dtype)
        number = int(text.rstrip("U"), 0)
        if dtype.kind in "fb":
            return dtype.type(number)
        raw = np.array(number % (1 << 8 * dtype.itemsize), np.uint64)
        return raw.astype(f"u{dtype.itemsize}").view(dtype)

    def _symbol(self, text):
        if text in self._symbols:
            return self._symbols[text]
        raise PtxError(f"unknown operand {text}")
