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


WARP_INSTRUCTIONS = {"shfl": _shfl, "vote": _vote, "activemask": _activemask}
