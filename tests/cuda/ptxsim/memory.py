"""Global, shared and local memory with bounds, alignment and races checked.

An address of global memory is the number of a buffer in the high bits and the distance from an
aligned base in the 40 low ones; no two buffers are neighbours, so no access strays into another.
"""

import numpy as np

from tests.cuda.emul.arrays import Allocation
from tests.cuda.ptxsim.errors import PtxError
from tests.cuda.ptxsim.races import BlockRaces, RaceDetector

__all__ = ["LOCAL", "SHARED", "Memory"]

_SHIFT = 40
_BASE = 256  # what allocations are aligned to
# Generic addresses of the windows that are not global.
SHARED = 1 << 62
LOCAL = 1 << 61
_UNWRITTEN = 0xFF  # NaN in every float


class _Buffer:
    """The memory of one argument; ``before`` is its distance from an aligned base."""

    def __init__(self, array):
        if not array.flags.c_contiguous:
            raise PtxError("an argument is not contiguous")
        self.bytes = array.reshape(-1).view(np.uint8)
        self.before = _distance_from_base(array)
        self.races = BlockRaces(self.bytes.size)
        self._views = {}

    def view(self, dtype):
        if dtype not in self._views:
            whole = self.bytes.size // dtype.itemsize * dtype.itemsize
            self._views[dtype] = self.bytes[:whole].view(dtype)
        return self._views[dtype]


def _distance_from_base(array):
    """A slice is as much out of line as it would be on the device, where arrays are aligned.

    So are those that stand for device arrays; of others the whole counts as aligned.
    """
    whole = array
    while isinstance(whole.base, np.ndarray) and not isinstance(whole, Allocation):
        whole = whole.base
    start = array.__array_interface__["data"][0]
    if not isinstance(whole, Allocation):
        start -= whole.__array_interface__["data"][0]
    return start % _BASE


class Memory:
    """What the lanes of a batch of blocks can reach.

    Parameters
    ----------
    kernel : Kernel
    blocks, threads : int
    counters : Counters or None
    """

    def __init__(self, kernel, blocks, threads, counters):
        self._buffers, self.constants = {}, {}
        for i, constant in enumerate(kernel.constants, len(kernel.parameters)):
            data = np.frombuffer(constant.data, np.uint8).copy()
            self.constants[constant.name] = self.attach(i, data)
        self._counters = counters
        self._shared_bytes = -(-kernel.shared_bytes // 128) * 128
        self._local_bytes = -(-kernel.local_bytes // 16) * 16
        self.shared = np.empty(blocks * self._shared_bytes, np.uint8)
        self.local = np.empty(blocks * threads * self._local_bytes, np.uint8)
        self._shared_start = np.repeat(np.arange(blocks), threads) * self._shared_bytes
        self._local_start = np.arange(blocks * threads) * self._local_bytes
        self._lanes, self._threads = np.arange(blocks * threads), threads
        self.begin(0)

    def begin(self, first_block):
        """Blocks from ``first_block`` on start, with nothing in shared and local memory."""
        self._block = first_block + self._lanes // self._threads
        self.shared.fill(_UNWRITTEN)
        self.local.fill(_UNWRITTEN)
        self.races = RaceDetector(self.shared.size // 4, self._lanes.size)

    def attach(self, index, array):
        """Make an array the buffer of that index; returns its address."""
        self._buffers[index] = _Buffer(array)
        return (index + 1 << _SHIFT) + self._buffers[index].before

    def load(self, space, address, dtype, count, ix, line):
        """Values at the addresses of the lanes ``ix``: one array for each of ``count`` elements."""
        values = [np.empty(address.size, dtype) for _ in range(count)]
        for part, lanes in self._by_array(address, ix):
            place = address[part], dtype, count, lanes, line
            elements, view = self._resolve("read", space, *place)
            for i, value in enumerate(values):
                value[part] = view[elements + i]
        return values

    def store(self, space, address, values, ix, line):
        """Write one or several values at the address of every lane."""
        dtype, count = values[0].dtype, len(values)
        for part, lanes in self._by_array(address, ix):
            place = address[part], dtype, count, lanes, line
            elements, view = self._resolve("write", space, *place)
            for i, value in enumerate(values):
                view[elements + i] = value[part]
                # Of two lanes that write one element any may win: they have to agree.
                if space == "global" and not _same_bits(view[elements + i], value[part]):
                    raise PtxError("lanes store different values at the same address at once")

    def touch_shared(self, address, dtype, count, ix, line):
        """Check an access to shared memory that is going to be written later."""
        self._resolve("write", "shared", address, dtype, count, ix, line)

    def update(self, space, address, dtype, change, ix, line):
        """Apply ``change(old, lane)`` atomically, lane after lane; returns the old values."""
        elements, view = self._resolve("atomic", space, address, dtype, 1, ix, line)
        old = np.empty(elements.size, dtype)
        for lane, element in enumerate(elements):
            old[lane] = view[element]
            view[element] = change(old[lane], lane)
        return old

    def _by_array(self, address, ix):
        """Parts of an access that lie in one array each: (part of the addresses, lanes)."""
        numbers = address >> _SHIFT
        if (numbers == numbers[0]).all():
            return [(slice(None), ix)]
        lanes = self._lanes if ix is None else ix
        parts = [numbers == number for number in np.unique(numbers)]
        return [(part, lanes[part]) for part in parts]

    def _resolve(self, kind, space, address, dtype, count, ix, line):
        """Check an access; returns the index of its first element, and what it is an index to."""
        lanes = self._lanes if ix is None else ix
        address = address.astype(np.int64)
        if space == "generic":
            space, address = self._window(address)
        if (address % (dtype.itemsize * count)).any():
            raise PtxError(f"misaligned {space} access of {dtype.itemsize * count} bytes")
        if space in ("shared", "local"):
            return self._resolve_window(kind, space, address, dtype, count, lanes, line)
        index = int(address[0] >> _SHIFT) - 1
        buffer = self._buffers.get(index)
        if buffer is None:
            raise PtxError(f"{kind} through a pointer to nothing")
        offset = address - (index + 1 << _SHIFT) - buffer.before
        if offset.min() < 0 or offset.max() + dtype.itemsize * count > buffer.bytes.size:
            outside = (offset < 0) | (offset + dtype.itemsize * count > buffer.bytes.size)
            raise PtxError(
                f"{kind} out of bounds: byte {offset[outside][0]} of argument {index}, "
                f"which has {buffer.bytes.size}, by lane {lanes[outside][0]}"
            )
        if self._counters is not None:
            self._counters.count_global(kind, line, address, dtype.itemsize * count, lanes)
        if kind != "atomic":
            words = _words(offset, dtype.itemsize * count)
            buffer.races.access(kind, words.ravel(), np.repeat(self._block[lanes], words.shape[1]))
        return offset // dtype.itemsize, buffer.view(dtype)

    def _resolve_window(self, kind, space, address, dtype, count, lanes, line):
        limit = self._shared_bytes if space == "shared" else self._local_bytes
        if address.min() < 0 or address.max() + dtype.itemsize * count > limit:
            raise PtxError(f"{kind} out of bounds of {space} memory")
        if space == "local":
            start = address + self._local_start[lanes]
            return start // dtype.itemsize, self.local.view(dtype)
        start = address + self._shared_start[lanes]
        words = _words(start, dtype.itemsize * count)
        self.races.access(kind, words.ravel(), np.repeat(lanes, words.shape[1]))
        if self._counters is not None:
            self._counters.count_shared(line, words, lanes)
        return start // dtype.itemsize, self.shared.view(dtype)

    @staticmethod
    def _window(address):
        for space, base in (("shared", SHARED), ("local", LOCAL)):
            if (address >= base).all():
                return space, address - base
        if (address >= LOCAL).any():
            raise PtxError("lanes use different kinds of memory in one access")
        return "global", address


def _words(start, size):
    """The 4-byte words of an access, one row for each lane."""
    return start[:, None] // 4 + np.arange(max(1, size // 4))


def _same_bits(stored, value):
    raw = np.dtype(f"u{value.dtype.itemsize}")
    return np.array_equal(stored.view(raw), np.ascontiguousarray(value).view(raw))
