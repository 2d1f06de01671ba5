"""Fuzz the extension module: functions called with arguments that are not what they ask for.

    python -m tests.fuzz.bindings -max_total_time=120

Arguments that a function takes are spoilt in up to three places. The call has to end with TypeError,
ValueError or an answer; arrays that are read-only and memory around the others stay as they were.
"""

import os

import numpy as np

from clusterlib.kernels import _native
from tests.fuzz.choices import Choices
from tests.fuzz.loop import feed
from tests.fuzz.signatures import CALLS, Described, Sizes

__all__ = ["one_call"]

# MemoryError: an answer to matrices that are large because their strides are 0.
REFUSALS = (TypeError, ValueError, MemoryError)
GUARD = 64  # bytes around an array; the address sanitizer has its own, if there are none here
GUARDED = "libasan" not in os.environ.get("LD_PRELOAD", "")
DTYPES = [np.float32, np.float64, np.int32, np.int64, np.bool_, np.float16, ">f8", "V8", "O"]
NUMBERS = [0, -1, 1, 4, 2**31 - 1, 2**31, -(2**63), 2**62, 0.0, -1.0, 1e300, float("nan")]
OTHERS = [None, "X", b"", [], [[1.0]], {}, object(), 1j, True, np.float64(2), np.array(1.0)]
# Counts of iterations and of candidates that would be worked through: not spoilt by large numbers.
COUNTS = {"sinkhorn_batch": {8}, "mixture_weights": {4}}


def _filled(described, choices):
    rng = np.random.default_rng(choices.below(256))
    if described.dtype in ("V8", "O"):
        return np.zeros(described.shape, described.dtype)
    if np.dtype(described.dtype).kind in "ib":
        values = rng.integers(int(described.least), int(described.most) + 1, described.shape)
    else:
        values = rng.uniform(described.least, described.most, described.shape)
    return values.astype(described.dtype)


def _reshaped(shape, choices):
    shape = list(shape)
    kind = choices.below(5)
    if kind == 0 and shape:
        axis = choices.below(len(shape))
        shape[axis] = choices.among([0, 1, shape[axis] + 1, max(0, shape[axis] - 1), 200])
    elif kind == 1:
        shape.append(choices.among([1, 2, 0]))
    elif kind == 2 and shape:
        shape.pop()
    elif kind == 3:
        shape.reverse()
    else:
        shape = [0, *shape[1:]]
    return tuple(shape)


def _laid_out(array, choices):
    """The same values in another layout, or a view that an output may not have."""
    kind = choices.below(8)
    if kind == 0:
        return array[::-1] if array.ndim else array
    if kind == 1:
        return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
    if kind == 2:
        return np.asfortranarray(array)
    if kind == 3:
        array = array.copy()
        array.flags.writeable = False
        return array
    if kind == 4:
        buffer = np.zeros(array.nbytes + 1, np.uint8)
        return buffer[1:].view(array.dtype).reshape(array.shape) if array.dtype != "O" else array
    if kind == 5 and array.ndim:
        return np.broadcast_to(array.ravel()[:1] if array.size else array, array.shape)
    if kind == 6 and array.ndim and len(array):
        return np.broadcast_to(array[:1], (choices.among([2**14, 2**20]), *array.shape[1:]))
    return array[..., ::-1] if array.ndim else array


def _strange_values(array, choices):
    value = choices.among([np.nan, np.inf, -np.inf, 1e30, -1e30, 0, -1, 7, 2**31 - 1, -(2**31)])
    array = array.copy()
    if array.size and array.dtype.kind in "fi":
        if array.dtype.kind == "i":
            value = 99 if not np.isfinite(value) or abs(value) > 2**31 else value
        with np.errstate(over="ignore"):
            array.reshape(-1)[choices.below(array.size)] = value
    return array


def _guarded(array):
    """A copy with bytes around it that have to stay."""
    room = np.full(array.nbytes + 2 * GUARD, 0xA5, np.uint8)
    inside = room[GUARD : GUARD + array.nbytes].view(array.dtype).reshape(array.shape)
    inside[...] = array
    return inside, room


def _spoilt(name, at, arguments, choices):
    """One argument made wrong; an array may take the memory of another."""
    argument = arguments[at]
    if not isinstance(argument, (np.ndarray, Described)):
        if at in COUNTS.get(name, ()):
            return choices.among([0, -1, 2, None])
        return choices.among(NUMBERS) if choices.below(2) else choices.among(OTHERS)
    kind = choices.below(7)
    if kind == 0:
        return choices.among(OTHERS)
    if isinstance(argument, Described):
        if kind == 1:
            return Described(argument.shape, choices.among(DTYPES), 0, 1)
        if kind == 2:
            shape = _reshaped(argument.shape, choices)
            return Described(shape, argument.dtype, argument.least, argument.most)
        argument = _filled(argument, choices)
    if argument.nbytes > 2**20:  # that has been made of few bytes
        return argument
    if kind == 3:
        other = choices.below(len(arguments))
        if isinstance(arguments[other], Described):
            arguments[other] = _filled(arguments[other], choices)
        whole = other != at and isinstance(arguments[other], np.ndarray)
        return _overlapping(argument, arguments[other]) if whole else argument
    return _strange_values(argument, choices) if kind < 6 else _laid_out(argument, choices)


def _overlapping(array, other):
    """An array of this shape and dtype in the memory of the other one, where it has room."""
    if not other.flags.c_contiguous or other.nbytes < array.nbytes:
        return array
    if other.dtype.hasobject or array.dtype.hasobject:
        return array
    return other.reshape(-1).view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape)


def _constants(arrays):
    """Those that nobody may write to, not even an output that has the same memory."""
    written = [x for x in arrays if x.flags.writeable]
    return [
        x
        for x in arrays
        if not x.flags.writeable and not any(np.may_share_memory(x, other) for other in written)
    ]


def one_call(data):
    """Call the function, with the arguments, that the bytes stand for."""
    choices = Choices(data)
    name = choices.among(sorted(CALLS))
    _native.set_isa(choices.among(_native.available_isas()))
    arguments = CALLS[name](Sizes.chosen(choices))
    for _ in range(choices.below(4) if arguments else 0):
        at = choices.below(len(arguments))
        arguments[at] = _spoilt(name, at, arguments, choices)
    rooms = []
    for at, argument in enumerate(arguments):
        if isinstance(argument, Described):
            arguments[at] = _filled(argument, choices)
            if GUARDED and arguments[at].dtype != "O":
                arguments[at], room = _guarded(arguments[at])
                rooms.append(room)
    fixed = _constants([x for x in arguments if isinstance(x, np.ndarray)])
    before = [x.tobytes() for x in fixed if x.nbytes < 2**20]
    try:
        getattr(_native, name)(*arguments)
    except REFUSALS:
        pass
    assert before == [x.tobytes() for x in fixed if x.nbytes < 2**20], f"{name} wrote to a constant"
    for room in rooms:
        assert (room[:GUARD] == 0xA5).all() and (room[-GUARD:] == 0xA5).all(), (
            f"{name} wrote beyond"
        )


if __name__ == "__main__":
    feed(one_call, guided=False)
