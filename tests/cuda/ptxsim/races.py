"""Finds accesses to shared memory that nothing orders.

Every 4-byte word remembers who read, who wrote and who changed it atomically last, and when. Two
accesses of different threads, one of them a write, are a race unless a barrier of the block lies
between them, or, within a warp, a ``bar.warp.sync``. A shuffle orders nothing: the CUDA guide gives
it no meaning for memory.
"""

import numpy as np

from tests.cuda.ptxsim.errors import PtxError

__all__ = ["BlockRaces", "RaceDetector"]

# A clock is the number of barriers the block has passed, and in the low bits the number of warp
# barriers since. It starts at one block barrier, so that zero means never.
_BITS = 20
_BLOCK = 1 << _BITS
_NOBODY, _SEVERAL_BLOCKS = -1, -2
_SEVERAL_WARPS = np.iinfo(np.int32).min


class _Marks:
    """The last access of one kind to every word: its owner and its time.

    The owner is a lane, or -2 - w for several lanes of warp w, or _SEVERAL_WARPS.
    """

    def __init__(self, words):
        self.owner = np.full(words, -1, np.int32)
        self.clock = np.zeros(words, np.int64)

    def conflicting(self, words, lanes, now):
        """Which accesses meet one of this kind by another thread that nothing orders before."""
        clock, owner = self.clock[words], self.owner[words]
        fresh = clock >> _BITS == now >> _BITS
        warp = np.where(owner >= 0, owner >> 5, -2 - owner)
        ordered = (warp == lanes >> 5) & (clock < now)
        return fresh & (owner != lanes) & ~ordered

    def note(self, words, lanes, now):
        """Remember the accesses; tells which words are used by other lanes at the same time."""
        clock, owner = self.clock[words], self.owner[words]
        fresh = clock >> _BITS == now >> _BITS
        warp = np.where(owner >= 0, owner >> 5, -2 - owner)
        alone = ~fresh | ((warp == lanes >> 5) & ((clock < now) | (owner == lanes)))
        beside = np.where(warp == lanes >> 5, -2 - (lanes >> 5), _SEVERAL_WARPS)
        value = np.where(alone, lanes, beside)
        # What the last of several lanes at one word leaves there tells the others that they are
        # not alone.
        self.owner[words] = value
        last = self.owner[words]
        together = last != value
        if together.any():
            last_warp = np.where(last >= 0, last >> 5, -2 - last)
            several = np.where(last_warp == lanes >> 5, -2 - (lanes >> 5), _SEVERAL_WARPS)
            where = words[together]
            self.owner[where] = several[together]
            # A word that any lane saw shared between warps stays so.
            apart = where[several[together] == _SEVERAL_WARPS]
            self.owner[apart] = _SEVERAL_WARPS
        self.clock[words] = now
        return together


class RaceDetector:
    """Watches the shared memory of several blocks, ``words`` 4-byte words in all."""

    def __init__(self, words, lanes):
        self._reads, self._writes, self._atomics = (_Marks(words) for _ in range(3))
        self._clock = np.full(lanes, _BLOCK, np.int64)
        self._against = {
            "read": (self._writes, self._atomics),
            "write": (self._reads, self._writes, self._atomics),
            "atomic": (self._reads, self._writes),
        }
        self._kinds = {"read": self._reads, "write": self._writes, "atomic": self._atomics}

    def pass_block_barrier(self, lanes):
        """The lanes have passed a barrier of their blocks."""
        self._clock[lanes] = (self._clock[lanes] >> _BITS) + 1 << _BITS

    def pass_warp_barrier(self, lanes):
        """The lanes have passed a barrier of their warps."""
        self._clock[lanes] += 1

    def access(self, kind, words, lanes):
        """Note accesses of the lanes to the words; raise PtxError if one of them is a race."""
        now = self._clock[lanes]
        for marks in self._against[kind]:
            conflict = marks.conflicting(words, lanes, now)
            if conflict.any():
                self._refuse(kind, words[conflict][0], lanes[conflict][0])
        together = self._kinds[kind].note(words, lanes, now)
        if kind == "write" and together.any():
            self._refuse(kind, words[together][0], lanes[together][0])

    @staticmethod
    def _refuse(kind, word, lane):
        raise PtxError(
            f"race in shared memory: lane {lane} ({kind}) and another thread use word {word} with "
            "no barrier between them"
        )


class BlockRaces:
    """Watches one array in global memory: no block may use what another one of the launch writes.

    Nothing orders blocks. Atomic accesses are left out, and so are the threads of one block.
    """

    def __init__(self, n_bytes):
        self._writer, self._reader = np.full((2, -(-n_bytes // 4)), _NOBODY, np.int64)

    def access(self, kind, words, blocks):
        """Note accesses to 4-byte words; raise PtxError if another block had the word before."""
        writer = self._writer[words]
        conflict = (writer != _NOBODY) & (writer != blocks)
        if kind == "write":
            reader = self._reader[words]
            conflict |= (reader != _NOBODY) & (reader != blocks)
            self._writer[words] = blocks
            # Of several blocks that write a word at once only one is remembered.
            conflict |= self._writer[words] != blocks
        else:
            several = (self._reader[words] != _NOBODY) & (self._reader[words] != blocks)
            self._reader[words] = np.where(several, _SEVERAL_BLOCKS, blocks)
            together = words[self._reader[words] != np.where(several, _SEVERAL_BLOCKS, blocks)]
            self._reader[together] = _SEVERAL_BLOCKS
        if conflict.any():
            raise PtxError(
                f"race in global memory: block {blocks[conflict][0]} ({kind}) and another one use "
                f"word {words[conflict][0]} in one launch"
            )
