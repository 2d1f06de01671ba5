"""Instructions through which the lanes of a warp talk to each other."""

import numpy as np

from tests.cuda.ptxsim.errors import PtxError

__all__ = ["WARP_INSTRUCTIONS"]

_SHUFFLES = {
    "bfly": lambda lane, by, low: lane ^ by,
    "down": lambda lane, by, low: lane + by,
    "up": lambda lane, by, low: lane - by,
    "idx": lambda lane, by, low: low | by,
}


def _shfl(instruction, machine):
    """``shfl.sync.mode.b32 d|p, a, b, c, mask``: c holds the width of a segment and a clamp."""
    mode = instruction.opcode[2]
    target, _, flag = instruction.operands[0].partition("|")
    operands = machine.operands
    value, by, limit, _ = (operands.source(text, "b32") for text in instruction.operands[1:])
    target = operands.target(target, "b32")
    flag = operands.target(flag, "pred") if flag else None

    def step(ix):
        lanes = machine.every_lane if ix is None else ix
        lane = machine.lane_in_warp[lanes]
        bits = limit[lanes].astype(np.int64)
        segment, clamp = bits >> 8 & 31, bits & 31
        low = lane & segment
        last = low | (clamp & ~segment)
        other = by[lanes].astype(np.int64) & 31
        if mode == "idx":
            other &= ~segment
        wanted = _SHUFFLES[mode](lane, other, low)
        inside = wanted >= last if mode == "up" else wanted <= last
        source = lanes - lane + np.where(inside, wanted, lane)
        if ix is not None and not np.isin(source, lanes).all():
            raise PtxError("a shuffle reads a lane that takes no part in it")
        target[lanes] = value[source]
        if flag is not None:
            flag[lanes] = inside

    return step


def _vote(instruction, machine):
    """``vote.sync.{ballot,any,all,uni}``."""
    mode = instruction.opcode[2]
    target, predicate, _ = instruction.operands
    negated = predicate.startswith("!")
    holds = machine.operands.source(predicate.lstrip("!"), "pred")
    target = machine.operands.target(target, "b32" if mode == "ballot" else "pred")

    def step(ix):
        lanes = machine.every_lane if ix is None else ix
        yes, no = (np.zeros(machine.lanes, np.uint32) for _ in range(2))
        bit = np.uint32(1) << machine.lane_in_warp[lanes].astype(np.uint32)
        values = holds[lanes] != negated
        yes[lanes], no[lanes] = np.where(values, bit, 0), np.where(values, 0, bit)
        yes, no = (
            np.bitwise_or.reduceat(v, machine.every_lane[::32])[lanes // 32] for v in (yes, no)
        )
        answers = {"ballot": yes, "any": yes != 0, "all": no == 0, "uni": (yes == 0) | (no == 0)}
        target[lanes] = answers[mode]

    return step


def _activemask(instruction, machine):
    target = machine.operands.target(instruction.operands[0], "b32")

    def step(ix):
        lanes = machine.every_lane if ix is None else ix
        bits = np.zeros(machine.lanes, np.uint32)
        bits[lanes] = np.uint32(1) << machine.lane_in_warp[lanes].astype(np.uint32)
        target[lanes] = np.bitwise_or.reduceat(bits, machine.every_lane[::32])[lanes // 32]

    return step


_FRAGMENTS = ("sync", "aligned", "m16n8k8", "row", "col", "f32", "tf32", "tf32", "f32")
_ROW, _COLUMN = np.arange(32) // 4, np.arange(32) % 4


def _mma(instruction, machine):
    """``mma`` of 16 x 8 by 8 x 8 numbers in TF32, whose ten leading fraction bits are read.

    Products and sums are exact in float64; the result is rounded towards zero, as tensor cores do.
    """
    if instruction.opcode[1:] != _FRAGMENTS:
        raise PtxError("unknown shape or type of mma")
    operands = machine.operands
    d, a, b, c = (
        [part.strip() for part in text.strip("{}").split(",")] for text in instruction.operands
    )
    targets = [operands.target(name, "f32") for name in d]
    a, b = ([operands.source(name, "b32") for name in names] for names in (a, b))
    c = [operands.source(name, "f32") for name in c]

    def step(ix):
        lanes = machine.every_lane if ix is None else ix
        warps = lanes.reshape(-1, 32)
        left, right = np.empty((len(warps), 16, 8)), np.empty((len(warps), 8, 8))
        result = np.empty((len(warps), 16, 8))
        for e, row in enumerate(a):
            left[:, _ROW + e % 2 * 8, _COLUMN + e // 2 * 4] = _leading_bits(row[warps])
        for e, row in enumerate(b):
            right[:, _COLUMN + e * 4, _ROW] = _leading_bits(row[warps])
        for e, row in enumerate(c):
            result[:, _ROW + e // 2 * 8, _COLUMN * 2 + e % 2] = row[warps]
        result += left @ right
        for e, row in enumerate(targets):
            row[warps] = _towards_zero(result[:, _ROW + e // 2 * 8, _COLUMN * 2 + e % 2])
        if machine.counters is not None:
            machine.counters.tensor += result.size * 8

    return step


def _leading_bits(bits):
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


def _towards_zero(wide):
    near = wide.astype(np.float32)
    return np.where(np.abs(near) > np.abs(wide), np.nextafter(near, np.float32(0)), near)


WARP_INSTRUCTIONS = {"shfl": _shfl, "vote": _vote, "activemask": _activemask, "mma": _mma}
