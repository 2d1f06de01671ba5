"""Copies from global to shared memory that a thread begins and waits for later (``cp.async``).

What is copied is read when the copy begins and appears when the thread that began it has waited;
until then shared memory keeps what it had, as the slowest device would. Both moments count as
writes for the detection of races.
"""

import numpy as np

__all__ = ["PendingCopies", "bind_copy"]

_WORD = np.dtype(np.float32)


class PendingCopies:
    """What the lanes of a machine have begun to copy, in groups."""

    def __init__(self, memory, lanes):
        self._memory = memory
        self._closed = np.zeros(lanes, np.int64)  # groups of each lane
        self._copies = []

    def begin(self, address, values, lanes, line):
        """Remember a copy of the current group: one array of values for each word."""
        self._memory.touch_shared(address, _WORD, len(values), lanes, line)
        self._copies.append((lanes, self._closed[lanes], address, values, line))

    def close(self, lanes):
        """End the current group of the lanes."""
        self._closed[lanes] += 1

    def wait(self, left, lanes):
        """Finish all groups of the lanes but the last ``left`` that they have closed."""
        waits = np.zeros(self._closed.size, bool)
        waits[lanes] = True
        kept = []
        for copy in self._copies:
            owners, group, address, values, line = copy
            done = waits[owners] & (group < self._closed[owners] - left)
            if done.any():
                arrived = [value[done] for value in values]
                self._memory.store("shared", address[done], arrived, owners[done], line)
            if not done.all():
                rest = ~done
                values = [value[rest] for value in values]
                kept.append((owners[rest], group[rest], address[rest], values, line))
        self._copies = kept


def bind_copy(instruction, machine):
    """Make a function that runs ``cp.async`` or what ends and awaits its groups."""
    kind = instruction.opcode[2]

    def lanes_of(ix):
        return machine.every_lane if ix is None else ix

    if kind == "commit_group":
        return lambda ix: machine.copies.close(lanes_of(ix))
    if kind == "wait_group":
        left = int(instruction.operands[0])
        return lambda ix: machine.copies.wait(left, lanes_of(ix))
    target, source, size, *given = instruction.operands
    to, of = machine.operands.address(target), machine.operands.address(source)
    bytes_read = machine.operands.source(given[0] if given else size, "u32")
    count = int(size) // _WORD.itemsize

    def step(ix):
        lanes = lanes_of(ix)
        values = [np.zeros(lanes.size, _WORD) for _ in range(count)]
        there = np.broadcast_to(bytes_read, machine.lanes)[lanes] > 0
        if there.any():
            place = of(ix)[there], _WORD, count, lanes[there], instruction.line
            for value, read in zip(values, machine.memory.load("global", *place), strict=True):
                value[there] = read
        machine.copies.begin(to(ix), values, lanes, instruction.line)

    return step
