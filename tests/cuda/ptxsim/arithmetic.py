"""What arithmetic instructions compute, on arrays.

Numbers are those of the device but for two things: a fused multiply-add of floats is rounded once
to 53 and once to 24 bits, one of doubles once to 64 and once to 53 (where the host has such
numbers), and functions that the device approximates are evaluated exactly and rounded.
"""

import numpy as np

from tests.cuda.ptxsim.errors import PtxError
from tests.cuda.ptxsim.operands import TYPES

__all__ = ["function_of"]

# Modifiers that change nothing here: rounding to nearest is what NumPy does, and the rest are
# promises about accuracy. Flushing (ftz) is handled apart.
_HARMLESS = {"rn", "approx", "full", "ftz", "uni", "wrap"}


def function_of(opcode):
    """What an instruction computes.

    Parameters
    ----------
    opcode : tuple of str
        For example ``("fma", "rn", "f32")``.

    Returns
    -------
    function : callable
        Takes arrays, and returns one.
    result : str
        Type of the result.
    sources : tuple of str
        Types of the operands.
    """
    name, *modifiers = opcode
    telling = [m for m in modifiers if m not in _HARMLESS and m != "sat"]
    function, result, sources = _FAMILIES[name](name, telling)
    if "sat" in modifiers:
        function = _saturating(function, result)
    if "ftz" in modifiers and sources[0] == "f32":
        function = _flushing(function)
    return function, result, sources


def _flushing(function):
    def flush(value):
        if value.dtype != np.float32:
            return value
        tiny = np.abs(value) < np.finfo(np.float32).tiny
        return np.where(tiny, np.copysign(np.float32(0), value), value)

    return lambda *values: flush(np.asarray(function(*map(flush, values))))


def _saturating(function, result):
    if not _is_float(result):
        raise PtxError("saturated integers")
    # A maximum with zero first: it turns NaN into zero.
    return lambda *values: np.fmin(np.fmax(function(*values), TYPES[result].type(0)), 1)


def _only(modifiers, count=1):
    """The type, after making sure that nothing else is there."""
    if len(modifiers) != count:
        raise PtxError(f"unknown modifiers {'.'.join(modifiers)}")
    return modifiers[-1]


def _is_float(kind):
    return TYPES[kind].kind == "f"


# Functions of one type.

_FLOAT = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.fmin,
    "max": np.fmax,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "rcp": np.reciprocal,
    "rsqrt": lambda x: (1 / np.sqrt(x.astype(np.float64))).astype(x.dtype),
    "ex2": np.exp2,
    "lg2": np.log2,
    "copysign": lambda sign, x: np.copysign(x, sign),
}
_INTEGER = {
    "add": np.add,
    "sub": np.subtract,
    "div": lambda x, y: _quotient(x, y),
    "rem": lambda x, y: x - _quotient(x, y) * y,
    "min": np.minimum,
    "max": np.maximum,
    "neg": np.negative,
    "abs": np.abs,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
}


def _quotient(x, y):
    """Towards zero; all bits set for a division by zero."""
    whole = np.where(y == 0, y.dtype.type(1), y)
    down = x // whole
    return np.where(y == 0, ~y, down + ((down < 0) & (down * whole != x)).astype(x.dtype))


def _plain(name, modifiers):
    kind = _only(modifiers)
    function = (_FLOAT if _is_float(kind) else _INTEGER)[name]
    arity = 1 if name in ("neg", "abs", "not", "sqrt", "rcp", "rsqrt", "ex2", "lg2") else 2
    return function, kind, (kind,) * arity


def _fma(name, modifiers):
    if modifiers == ["rm", "f32"]:
        return _fused_downwards, "f32", ("f32",) * 3
    kind = _only(modifiers)
    return (_fused_single if kind == "f32" else _fused_double), kind, (kind,) * 3


def _fused_single(x, y, z):
    return np.multiply(x, y, dtype=np.float64) + z


def _fused_downwards(x, y, z):
    """Rounded towards minus infinity: exponentials find their integer part so."""
    wide = _fused_single(x, y, z)
    near = wide.astype(np.float32)
    return np.where(near > wide, np.nextafter(near, np.float32(-np.inf)), near)


def _fused_double(x, y, z):
    return np.multiply(x, y, dtype=np.longdouble) + z


def _wide(kind):
    return f"{kind[0]}{2 * int(kind[1:])}"


def _mul(name, modifiers):
    kind = modifiers[-1]
    if _is_float(kind):
        return (_plain if name == "mul" else _fma)(name, modifiers)
    part, _ = modifiers
    double = _wide(kind) if kind[1:] != "64" else None
    if part == "wide":
        wide = TYPES[double]
        product, result = lambda x, y: np.multiply(x, y, dtype=wide), double
    elif part == "lo":
        product, result = np.multiply, kind
    elif part == "hi" and double is not None:
        wide, shift = TYPES[double], TYPES[double].type(int(kind[1:]))
        product, result = (
            lambda x, y: (np.multiply(x, y, dtype=wide) >> shift).astype(x.dtype),
            kind,
        )
    elif part == "hi":
        product, result = _high_product, kind
    else:
        raise PtxError(f"unknown part {part}")
    if name == "mul":
        return product, result, (kind, kind)
    return lambda x, y, z: product(x, y) + z, result, (kind, kind, result)


def _high_product(x, y):
    """High 64 bits of the product, by integers of any size: rare, and far from the inner loops."""
    return ((x.astype(object) * y.astype(object)) >> 64).astype(x.dtype)


# Bits.


def _shift(name, modifiers):
    kind = _only(modifiers)
    dtype = TYPES[kind]
    bits = 8 * dtype.itemsize
    unsigned = name == "shl" or dtype.kind == "u"

    def shift(x, by):
        clamped = np.minimum(by, bits - 1).astype(dtype)
        y = x << clamped if name == "shl" else x >> clamped
        return np.where(by >= bits, dtype.type(0), y) if unsigned else y

    return shift, kind, (kind, "u32")


def _funnel(name, modifiers):
    """``shf``: shifts the 64 bits of b:a; modifiers are the direction and clamp or wrap."""
    left, clamp = modifiers[0] == "l", "clamp" in modifiers

    def shift(low, high, by):
        by = (np.minimum(by, 32) if clamp else by & 31).astype(np.uint64)
        both = high.astype(np.uint64) << np.uint64(32) | low
        moved = (both << by) >> np.uint64(32) if left else both >> by
        return moved.astype(np.uint32)

    return shift, "b32", ("b32", "b32", "u32")


def _logic(name, modifiers):
    """``lop3``: bit i of the table is the answer for bits a b c = i."""

    def combined(a, b, c, table):
        result = np.zeros_like(a)
        for i in range(8):
            bits = (a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c)
            result |= np.where(table >> i & 1, bits, 0).astype(a.dtype)
        return result

    return combined, "b32", ("b32", "b32", "b32", "u32")


def _field(name, modifiers):
    """``bfe`` extracts bits, ``bfi`` inserts them."""
    kind = _only(modifiers)
    dtype = TYPES[kind]
    bits = 8 * dtype.itemsize

    def extract(x, start, length):
        start, length = start & 255, length & 255
        length = np.minimum(length, np.where(start < bits, bits - start, 0))
        mask = (1 << length.astype(object)) - 1
        value = x.astype(object) >> np.minimum(start, bits - 1).astype(object) & mask
        if dtype.kind == "i":
            sign = value >> np.maximum(length.astype(object) - 1, 0) & 1
            value = value - (sign << length.astype(object))
        return value.astype(dtype)

    def insert(x, into, start, length):
        start, length = (start & 255).astype(object), (length & 255).astype(object)
        mask = ((1 << length) - 1) << start & (1 << bits) - 1
        return (x.astype(object) << start & mask | into.astype(object) & ~mask).astype(dtype)

    if name == "bfe":
        return extract, kind, (kind, "u32", "u32")
    return insert, kind, (kind, kind, "u32", "u32")


def _permute(name, modifiers):
    """``prmt`` in its default mode: bytes of a and b, chosen by the nibbles of the selector."""

    def chosen(a, b, selector):
        both = b.astype(np.int64) << 32 | a
        result = np.zeros(a.shape, np.int64)
        for i in range(4):
            nibble = selector.astype(np.int64) >> 4 * i & 15
            byte = both >> (nibble & 7) * 8 & 255
            result |= np.where(nibble & 8, (byte >> 7) * 255, byte) << 8 * i
        return result.astype(np.uint32)

    if len(modifiers) != 1:
        raise PtxError("unknown mode of prmt")
    return chosen, "b32", ("b32", "b32", "b32")


def _count(name, modifiers):
    kind = _only(modifiers)
    bits = 8 * TYPES[kind].itemsize

    def leading(x):
        place = np.arange(bits, dtype=x.dtype)[:, None]
        return (x >> place == 0).sum(axis=0).astype(np.uint32)

    def reversed_bits(x):
        places = [x.dtype.type(i) for i in range(bits)]
        return sum((x >> i & 1) << (bits - 1 - i) for i in places).astype(x.dtype)

    functions = {"popc": np.bitwise_count, "clz": leading, "brev": reversed_bits}
    return functions[name], kind if name == "brev" else "u32", (kind,)


# Comparisons and choices.

_ORDERED = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}
# True for NaN as well: the opposite of the opposite.
_UNORDERED = {
    "equ": lambda x, y: ~((x < y) | (x > y)),
    "neu": np.not_equal,
    "ltu": lambda x, y: ~(x >= y),
    "leu": lambda x, y: ~(x > y),
    "gtu": lambda x, y: ~(x <= y),
    "geu": lambda x, y: ~(x < y),
    "num": lambda x, y: ~(np.isnan(x) | np.isnan(y)),
    "nan": lambda x, y: np.isnan(x) | np.isnan(y),
}
_JOINS = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _setp(name, modifiers):
    comparison, *join, kind = modifiers
    compare = {**_ORDERED, **_UNORDERED}[comparison]
    if comparison == "ne" and _is_float(kind):
        compare = lambda x, y: (x < y) | (x > y)
    if not join:
        return compare, "pred", (kind, kind)
    combine = _JOINS[join[0]]
    return lambda x, y, p: combine(compare(x, y), p), "pred", (kind, kind, "pred")


def _selp(name, modifiers):
    kind = _only(modifiers)
    return lambda x, y, p: np.where(p, x, y), kind, (kind, kind, "pred")


_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def _cvt(name, modifiers):
    *rounding, result, source = modifiers
    target = TYPES[result]
    if len(rounding) > 1 or (rounding and rounding[0] not in _TO_INTEGER):
        raise PtxError(f"unknown rounding {rounding}")
    if not rounding:
        return lambda x: x.astype(target), result, (source,)
    to_integer = _TO_INTEGER[rounding[0]]
    if _is_float(result):
        return lambda x: to_integer(x).astype(target), result, (source,)
    return lambda x: _saturated(to_integer(x), target), result, (source,)


def _saturated(x, dtype):
    """Floats as integers: what is too large becomes the largest, NaN zero."""
    limits = np.iinfo(dtype)
    x = x.astype(np.float64)
    inside = (x > float(limits.min)) & (x < float(limits.max))
    value = np.where(inside, x, 0).astype(dtype)
    value = np.where(x >= float(limits.max), limits.max, value)
    return np.where(x <= float(limits.min), limits.min, value).astype(dtype)


def _bitwise(name, modifiers):
    if modifiers == ["pred"]:
        functions = {**_JOINS, "not": np.logical_not}
        return functions[name], "pred", ("pred",) * (1 if name == "not" else 2)
    return _plain(name, modifiers)


_FAMILIES = {
    **dict.fromkeys([*_FLOAT, *_INTEGER], _plain),
    **dict.fromkeys(("and", "or", "xor", "not"), _bitwise),
    **dict.fromkeys(("mul", "mad"), _mul),
    **dict.fromkeys(("shl", "shr"), _shift),
    **dict.fromkeys(("bfe", "bfi"), _field),
    **dict.fromkeys(("popc", "clz", "brev"), _count),
    "fma": _fma,
    "shf": _funnel,
    "lop3": _logic,
    "prmt": _permute,
    "setp": _setp,
    "selp": _selp,
    "cvt": _cvt,
}
