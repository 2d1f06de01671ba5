"""Small changes to a module, each of which some test ought to notice.

:func:`places` reads the text of a module and lists where it can be changed and how. Text that no
behaviour hangs on is left alone: docstrings, messages, annotations, imports, decorators,
``__all__`` and what only type checkers read.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Place", "mutated", "places"]

# What a comparison becomes: its other boundary and its opposite.
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_PAIRS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("argmin", "argmax"),
    ("floor", "ceil"),
    ("any", "all"),
    ("zeros", "ones"),
]
CALLS = dict(_PAIRS) | {right: left for left, right in _PAIRS}
AXES = {"0": "1", "1": "0", "-1": "0"}
# Calls whose arguments are words for a reader.
SPEAKING = {"warn", "debug", "info", "warning", "error"}


@dataclass(frozen=True)
class Place:
    """A piece of a module, and what may stand there instead."""

    function: str  # dotted, within the module; "" at its top
    around: tuple[int, int]  # first and last line of the function
    statement: tuple[int, int]  # of the statement, without the body it may have
    start: int  # characters of the text before it
    before: str
    afters: tuple[str, ...]


def mutated(text: str, place: Place, after: str) -> str:
    """The text with one piece replaced."""
    return text[: place.start] + after + text[place.start + len(place.before) :]


def places(text: str) -> list[Place]:
    """Where a module can be changed, in the order of the text.

    Raises
    ------
    SyntaxError
        If the text is no Python.
    """
    lines = text.splitlines(keepends=True)
    top = _Surroundings("", (1, len(lines)), (1, len(lines)))
    found = []
    for node, within in _behaviour(ast.parse(text), top):
        afters = tuple(_afters(node, inside=bool(within.function)))
        if afters:
            start = _offset(lines, node.lineno, node.col_offset)
            before = text[start : _offset(lines, node.end_lineno, node.end_col_offset)]
            found.append(Place(*within, start, before, afters))
    return sorted(found, key=lambda place: (place.start, len(place.before)))


class _Surroundings(NamedTuple):
    function: str
    around: tuple[int, int]
    statement: tuple[int, int]


def _offset(lines: list[str], number: int, column: int) -> int:
    """Characters before a position that ``ast`` gives in bytes of its line."""
    before = sum(map(len, lines[: number - 1]))
    return before + len(lines[number - 1].encode()[:column].decode())


def _behaviour(node: ast.AST, within: _Surroundings) -> Iterator[tuple[ast.AST, _Surroundings]]:
    """All nodes whose change can change a result, with what they lie in."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_for_readers(child):
                continue
            place = within
            if isinstance(child, ast.stmt):
                place = within._replace(statement=_lines_of(child))
            yield child, place
            if isinstance(child, ast.Raise | ast.keyword) and not _goes_deeper(child):
                continue
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{within.function}.{child.name}".lstrip(".")
                place = _Surroundings(name, (child.lineno, child.end_lineno), place.statement)
            yield from _behaviour(child, place)


def _lines_of(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno
    return statement.lineno, max(statement.lineno, last)


def _goes_deeper(node: ast.Raise | ast.keyword) -> bool:
    """Not into messages, and not where an argument as a whole is changed or is a mere guard."""
    return isinstance(node, ast.keyword) and node.arg not in ("axis", "strict")


def _is_for_readers(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant):
            return True
        return isinstance(node.value, ast.Call) and _called(node.value) in SPEAKING
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__"
    return False


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _afters(node: ast.AST, *, inside: bool) -> Iterator[str]:
    """The texts that may stand in place of a node."""
    if isinstance(node, ast.expr):
        for changed in _expressions(node, inside=inside):
            yield f"({ast.unparse(changed)})"
    elif isinstance(node, ast.keyword):
        if (
            node.arg == "axis"
            and isinstance(node.value, ast.Constant)
            and node.value.value in (0, 1)
        ):
            yield f"axis={1 - node.value.value}"
    elif isinstance(node, ast.stmt) and inside:
        yield from _statements(node)


def _statements(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Break | ast.Continue):
        yield "continue" if isinstance(node, ast.Break) else "break"
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "return None"
    elif isinstance(node, ast.Raise | ast.Expr):
        is_yield = isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom)
        if not is_yield:  # without it the function would be none that yields
            yield "pass"
    elif isinstance(node, ast.AugAssign):
        yield "pass"
        if type(node.op) in ARITHMETIC:
            op = ARITHMETIC[type(node.op)]()
            yield ast.unparse(ast.AugAssign(node.target, op, node.value))
    elif isinstance(node, ast.Assign) and all(
        isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets
    ):
        yield "pass"  # without a name the next lines would only fail to find it


def _expressions(node: ast.expr, *, inside: bool) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for op in COMPARISONS[type(node.ops[0])]:
            yield ast.Compare(node.left, [op()], node.comparators)
    elif isinstance(node, ast.Compare):
        for at, found in enumerate(node.ops):
            op = COMPARISONS[type(found)][0]()
            yield ast.Compare(
                node.left, [*node.ops[:at], op, *node.ops[at + 1 :]], node.comparators
            )
    elif isinstance(node, ast.BinOp):
        is_type = isinstance(node.op, ast.BitOr) and not inside
        if type(node.op) in ARITHMETIC and not is_type and not _holds_text(node):
            yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Constant):
        yield from map(ast.Constant, _numbers(node.value))
    elif isinstance(node, ast.Call) and _called(node) in CALLS:
        yield ast.Call(_renamed(node.func), node.args, node.keywords)


def _holds_text(node: ast.BinOp) -> bool:
    sides = node.left, node.right
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )


def _numbers(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, float):
        changed = (value + 1.0, value - 1.0, value * 1.01)
        yield from (number for number in changed if number != value)


def _renamed(function: ast.expr) -> ast.expr:
    if isinstance(function, ast.Attribute):
        return ast.Attribute(function.value, CALLS[function.attr], function.ctx)
    return ast.Name(CALLS[function.id], function.ctx)
