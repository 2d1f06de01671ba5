"""Runs a kernel on several blocks at once: registers, branches, barriers.

Every register is an array with one element per thread (lane) of all the blocks. Of the lanes that
can run, those with the lowest program counter go first, so that branches which part come together
again. Lanes wait at a barrier until all of their block, or all that a mask names, wait there too.
"""

import numpy as np

from tests.cuda.ptxsim.copies import PendingCopies
from tests.cuda.ptxsim.errors import PtxError
from tests.cuda.ptxsim.memory import Memory
from tests.cuda.ptxsim.operands import Operands
from tests.cuda.ptxsim.operations import bind

__all__ = ["Machine"]

_RUNNING, _AT_BARRIER, _AT_WARP, _EXITED = range(4)
_WARP = 32
# Opcodes that concern whole warps: all lanes the mask names have to come to the same one.
_TOGETHER = {"shfl", "vote", "mma"}
_FAR_TOO_LONG = 5_000_000  # branches


class Machine:
    """Blocks of one kernel, which run for one launch after the other.

    Parameters
    ----------
    kernel : Kernel
    threads, blocks : int
        Threads of a block, and how many blocks run at once.
    counters : Counters or None
    """

    def __init__(self, kernel, threads, blocks, counters):
        self.kernel, self.counters = kernel, counters
        self.lanes, self.threads = blocks * threads, threads
        self.memory = Memory(kernel, blocks, threads, counters)
        self.every_lane = np.arange(self.lanes)
        self.lane_in_warp = self.every_lane % _WARP
        self.operands = Operands(kernel, self.memory.constants, threads, blocks)
        self._pc = np.zeros(self.lanes, np.int64)
        self._state = np.zeros(self.lanes, np.int8)
        self._at = 0
        self._code = [self._bound(instruction) for instruction in kernel.code]
        self._leaders = set(kernel.labels.values())

    def start(self, grid, arguments):
        """Begin a launch: a grid of blocks along x and y, and an argument for every parameter."""
        for i, ((_, name), value) in enumerate(zip(self.kernel.parameters, arguments, strict=True)):
            is_array = isinstance(value, np.ndarray) and value.ndim
            self.operands.parameters[name] = self.memory.attach(i, value) if is_array else value
        self.operands.grid = grid

    def _bound(self, instruction):
        """What runs an instruction: (kind, guard, detail)."""
        name = instruction.opcode[0]
        guard = None
        if instruction.guard is not None:
            guard = self.operands.source(instruction.guard, "pred"), instruction.negated
        if name == "bra":
            target = instruction.operands[-1]
            return self._branch, guard, self.kernel.labels[target]
        if name in ("ret", "exit"):
            return self._exit, guard, None
        if name in ("bar", "barrier"):
            if instruction.opcode[1] == "warp":
                mask = self.operands.source(instruction.operands[0], "b32")
                return self._meet, guard, (mask, self._warp_barrier)
            return self._barrier, guard, self._barrier_result(instruction)
        step = bind(instruction, self)
        if name in _TOGETHER:
            every = "-1" if name == "mma" else instruction.operands[-1]
            return self._meet, guard, (self.operands.source(every, "b32"), step)
        return self._plain, guard, step

    def run(self, first_block):
        """Run the blocks from ``first_block`` on to their ends."""
        self.memory.begin(first_block)
        self.copies = PendingCopies(self.memory, self.lanes)
        self.operands.place(first_block)
        self._pc[:] = 0
        self._state[:] = _RUNNING
        self._branches = 0
        try:
            with np.errstate(all="ignore"):
                while self._advance():
                    pass
        except PtxError as error:
            raise PtxError(f"{error}\n  at {self.kernel.code[self._at]}") from None

    def _advance(self):
        """Run the group of lanes with the lowest program counter; False when all have left."""
        running = self._state == _RUNNING
        if not running.any():
            return self._release()
        pc = int(self._pc[running].min())
        group = np.flatnonzero(running & (self._pc == pc))
        alone = group.size == np.count_nonzero(running)
        ix = None if group.size == self.lanes else group
        while pc is not None:
            self._at = pc
            run, guard, detail = self._code[pc]
            pc = run(pc, ix, guard, detail)
            if pc is not None and not alone and (pc in self._leaders or run == self._branch):
                self._set_pc(ix, pc)
                return True
        return True

    def _set_pc(self, ix, pc):
        self._pc[slice(None) if ix is None else ix] = pc

    def _chosen(self, ix, guard):
        """Lanes of the group whose guard holds: None for all lanes of the machine."""
        if guard is None:
            return ix
        values, negated = guard
        holds = (values if ix is None else values[ix]) != negated
        if ix is None and holds.all():
            return None
        return np.flatnonzero(holds) if ix is None else ix[holds]

    # Each of these runs one instruction of a group, and returns where the group goes on, or None
    # if its lanes have parted or wait.

    def _plain(self, pc, ix, guard, step):
        chosen = self._chosen(ix, guard)
        if chosen is None or chosen.size:
            step(chosen)
            if self.counters is not None:
                self.counters.instructions += self.lanes if chosen is None else chosen.size
        return pc + 1

    def _branch(self, pc, ix, guard, target):
        self._branches += 1
        if self._branches > _FAR_TOO_LONG:
            raise PtxError("the kernel does not come to an end")
        if guard is None:
            return target
        values, negated = guard
        holds = (values if ix is None else values[ix]) != negated
        if holds.all():
            return target
        if not holds.any():
            return pc + 1
        self._set_pc(ix, np.where(holds, target, pc + 1))
        return None

    def _exit(self, pc, ix, guard, _):
        self._set_pc(ix, pc + 1)
        chosen = self._chosen(ix, guard)
        self._state[slice(None) if chosen is None else chosen] = _EXITED

    def _barrier(self, pc, ix, guard, _):
        if guard is not None:
            raise PtxError("a barrier under a condition")
        self._set_pc(ix, pc)
        self._state[slice(None) if ix is None else ix] = _AT_BARRIER

    def _meet(self, pc, ix, guard, detail):
        """Run an instruction of whole warps once all lanes that the mask names are here."""
        if guard is not None:
            raise PtxError("an instruction of whole warps under a condition")
        mask, step = detail
        if ix is None and (mask == 0xFFFFFFFF).all():
            step(None)
            return pc + 1
        self._set_pc(ix, pc)
        self._state[slice(None) if ix is None else ix] = _AT_WARP
        here = np.flatnonzero((self._state == _AT_WARP) & (self._pc == pc))
        ready = here[self._complete(mask, here)]
        if ready.size:
            step(None if ready.size == self.lanes else ready)
            self._state[ready] = _RUNNING
            self._pc[ready] = pc + 1

    def _complete(self, mask, here):
        """Which lanes have all the lanes of their mask beside them, but for those that left."""
        present = np.zeros(self.lanes, np.uint32)
        present[here] = np.uint32(1) << self.lane_in_warp[here].astype(np.uint32)
        left = np.uint32(1) << self.lane_in_warp.astype(np.uint32)
        left[self._state != _EXITED] = 0
        present = np.bitwise_or.reduceat(present | left, self.every_lane[::_WARP])
        masks = mask[here]
        if not (masks >> self.lane_in_warp[here].astype(np.uint32) & 1).all():
            raise PtxError("a lane is not in its own mask")
        return (masks & ~present[here // _WARP]) == 0

    def _warp_barrier(self, ix):
        self.memory.races.pass_warp_barrier(self.every_lane if ix is None else ix)

    # Barriers of blocks.

    def _barrier_result(self, instruction):
        """A reduction that the barrier makes, as a function of the lanes of one block, or None."""
        if instruction.opcode[1] != "red" and len(instruction.operands) == 1:
            return
        raise PtxError(f"unknown barrier: {instruction}")

    def _release(self):
        """Open the barriers of blocks whose lanes all wait at the same one; False at the end."""
        state = self._state.reshape(-1, self.threads)
        if (state == _EXITED).all():
            return False
        pc = self._pc.reshape(-1, self.threads)
        waiting = (state == _AT_BARRIER).all(axis=1)
        for block in np.flatnonzero(~waiting & (state != _EXITED).any(axis=1)):
            self._explain(state[block], pc[block])
        for block in np.flatnonzero(waiting):
            self._at = pc[block].min()
            if (pc[block] != self._at).any():
                raise PtxError("threads of a block wait at different barriers (divergent barrier)")
        lanes = np.flatnonzero(np.repeat(waiting, self.threads))
        self._state[lanes] = _RUNNING
        self._pc[lanes] += 1
        self.memory.races.pass_block_barrier(lanes)
        return True

    def _explain(self, state, pc):
        """Raise the reason why a block cannot go on."""
        self._at = pc[state != _EXITED].min()
        counts = [np.count_nonzero(state == kind) for kind in (_AT_BARRIER, _AT_WARP, _EXITED)]
        raise PtxError(
            "deadlock: {} threads of a block wait at a barrier, {} in an instruction of their warp "
            "and {} have left (divergent barrier or exit)".format(*counts)
        )
