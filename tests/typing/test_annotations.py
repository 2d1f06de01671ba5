"""Every public callable is annotated, and its annotations say what its docstring says."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import clusterlib.typing
from tests.test_docstrings import OBJECTS, entries, sections

_QUOTED = re.compile(r'"([^"]*)"')
_SCALARS = {"bool", "float", "int", "str"}
_ARRAYS = {"ArrayLike", "NDArray", "SupportsArray", "csr_array", "sparray", "object", "Any"}


def aliases():
    """Name -> expression of every alias of clusterlib.typing."""
    tree = ast.parse(inspect.getsource(clusterlib.typing))
    return {
        node.target.id: node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


ALIASES = aliases()


class _Expand(ast.NodeTransformer):
    def visit_Name(self, node):
        return self.visit(ALIASES[node.id]) if node.id in ALIASES else node


def parsed(annotation):
    """Its expression, with what the aliases stand for."""
    return _Expand().visit(ast.parse(annotation, mode="eval").body)


def names(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def literals(tree):
    """The strings that an annotation lists."""
    return {
        part.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal"
        for part in ast.walk(node.slice)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def allows_none(tree):
    """Whether None is one of the alternatives."""
    if isinstance(tree, ast.BinOp):
        return allows_none(tree.left) or allows_none(tree.right)
    return ast.unparse(tree) in {"None", "Any", "object"}


def stub_of(function):
    """Argument -> annotation from a stub beside the module; overloads are alternatives."""
    path = Path(sys.modules[function.__module__].__file__).with_suffix(".pyi")
    if not path.exists():
        return None
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
            for argument in node.args.args + node.args.kwonlyargs:
                found.setdefault(argument.arg, []).append(ast.unparse(argument.annotation))
            found.setdefault("return", []).append(ast.unparse(node.returns))
    return {name: " | ".join(dict.fromkeys(parts)) for name, parts in found.items()}


def annotations(function):
    """Argument, and "return" -> annotation, empty for none."""
    function = inspect.unwrap(function)
    if stub := stub_of(function):
        return stub
    signature = inspect.signature(function)
    found = {p.name: p.annotation for p in signature.parameters.values()}
    found = {name: text for name, text in found.items() if name not in ("self", "cls")}
    return found | {"return": signature.return_annotation}


def callables():
    """Path -> (callable, docstring that documents its parameters)."""
    found = {}
    for path, thing in OBJECTS.items():
        if inspect.isfunction(thing):
            found[path] = thing, thing.__doc__
        elif "__init__" in vars(thing):
            found[path] = thing.__init__, thing.__doc__
    return found


CALLABLES = callables()


def disagreement(annotation, kind, default):
    """How an annotation and a documented type contradict each other; "" if they do not."""
    tree = parsed(annotation)
    kind, _, _ = kind.partition(", default=")
    known = names(tree)
    if "Metric" not in kind and literals(tree) != set(_QUOTED.findall(kind)):
        return "other strings"
    documented_none = "None" in kind or default is None
    if "object" not in known and "Any" not in known and allows_none(tree) != documented_none:
        return "None on one side only"
    plain = re.sub(r"(^None,? (or )?|,? or None$)", "", kind)
    if plain in _SCALARS and known - {"None"} not in ({plain}, {"Literal"}):
        return "another scalar"
    if re.search(r"\barray-like|\bndarray", kind) and not known & _ARRAYS:
        return "no array"
    return ""


@pytest.mark.parametrize("path", CALLABLES)
def test_everything_is_annotated(path):
    found = annotations(CALLABLES[path][0])
    assert [name for name, text in found.items() if text is inspect.Parameter.empty] == []


@pytest.mark.parametrize("path", CALLABLES)
def test_annotations_agree_with_the_docstring(path):
    function, docstring = CALLABLES[path]
    signature = inspect.signature(function).parameters
    found, faults = annotations(function), {}
    for listed, kind, _ in entries(sections(docstring).get("Parameters", "")):
        for name in listed:
            if kind and kind != "optional" and name in found and not name.startswith("*"):
                fault = disagreement(found[name], kind, signature[name].default)
                if fault:
                    faults[name] = f"{fault}: {found[name]} and {kind}"
    assert faults == {}


@pytest.mark.parametrize(
    ("annotation", "kind", "default", "fault"),
    [
        ("int", "int, default=1", 1, ""),
        ("int | None", "int, default=None", None, ""),
        ("RandomState", "int, RandomState instance or None, default=None", None, ""),
        ("Weights", "float or array-like of shape (n,), default=None", None, ""),
        ("int", "float", 1, "another scalar"),
        ("int", "int, default=None", None, "None on one side only"),
        ("int | None", "int", 1, "None on one side only"),
        ('Literal["a", "b"]', '{"a", "c"}, default="a"', "a", "other strings"),
        ('Literal["a"] | int', '"a" or int, default="b"', "a", ""),
        ("str", "array-like of shape (n,)", 1, "no array"),
    ],
)
def test_disagreements_are_found(annotation, kind, default, fault):
    assert disagreement(annotation, kind, default) == fault
