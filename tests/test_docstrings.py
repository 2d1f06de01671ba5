"""Public names are documented the numpydoc way, with shapes and dtypes, and their examples run."""

import doctest
import inspect
import math
import re
from importlib import import_module

import numpy as np
import pytest

from tests.source_rules import read_tree

# Rooms whose exported names are for users; clusterlib itself only passes them on.
ROOMS = [
    source.module
    for source in read_tree("clusterlib")
    if source.is_package
    and source.room not in {"", "demo", "selftest", "validation"}
    and "._" not in source.module
]
MODULES = [*ROOMS, "clusterlib.config", "clusterlib.installation"]
_ARRAY = re.compile(r"\b(?:nd)?array\b|\barray-like\b")
_DTYPE = re.compile(r"\b(?:u?int|float)(?:\d+|p)?\b|\bbool\b|\bdtype\b|\bobject\b")


def public_objects():
    """Every exported function and class, and the methods clusterlib gives a class."""
    found = {}
    for module in map(import_module, MODULES):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    for path, cls in [item for item in found.items() if inspect.isclass(item[1])]:
        for name, method in vars(cls).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                found[f"{path}.{name}"] = method
    return found


OBJECTS = public_objects()
METHODS = {path for path in OBJECTS if path.rpartition(".")[0] in OBJECTS}
FUNCTIONS = {path: thing for path, thing in OBJECTS.items() if inspect.isfunction(thing)}
CLASSES = {path: thing for path, thing in OBJECTS.items() if inspect.isclass(thing)}


def sections(docstring):
    """Title -> text of the sections of a numpydoc docstring; "" is what precedes them."""
    parts = re.split(r"^(\S.*)\n-{3,}$", inspect.cleandoc(docstring or ""), flags=re.MULTILINE)
    return {"": parts[0].strip()} | dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(text):
    """(names, type, description) of each entry of a Parameters or Returns section."""
    found = []
    for line in text.strip("\n").splitlines():
        if line and not line.startswith(" "):
            names, _, kind = line.partition(" : ")
            found.append([[name.strip() for name in names.split(",")], kind, ""])
        elif found:
            found[-1][2] += line.strip() + " "
    return found


def arguments(function):
    """Names as numpydoc writes them, without self."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(function).parameters.values()
    return [stars.get(p.kind, "") + p.name for p in parameters if p.name != "self"]


def vague_entries(text, needs_dtype):
    """Entries that lack a type, an array's shape or, if it is needed, its dtype.

    A description that names the function which says it all is enough.
    """
    for names, kind, description in entries(text):
        if ":func:" in description:
            continue
        kind = kind or names[0]  # numpydoc allows an unnamed return value
        is_array = _ARRAY.search(kind)
        if is_array and "shape" not in kind:
            yield f"{names}: no shape"
        if is_array and needs_dtype and not _DTYPE.search(f"{kind} {description}"):
            yield f"{names}: no dtype"
        if kind is names[0] and not needs_dtype:
            yield f"{names}: no type"


def faults(thing, documented):
    """What is missing from a docstring whose Parameters have to be ``documented``."""
    parts = sections(thing.__doc__)
    if not parts[""]:
        return ["no docstring"]
    found = [] if parts[""].splitlines()[0].endswith(".") else ["summary without a full stop"]
    listed = [name for names, _, _ in entries(parts.get("Parameters", "")) for name in names]
    if sorted(listed) != sorted(documented):
        found.append(f"documents {listed}, takes {documented}")
    found += vague_entries(parts.get("Parameters", ""), needs_dtype=False)
    found += vague_entries(parts.get("Returns", ""), needs_dtype=True)
    found += vague_entries(parts.get("Attributes", ""), needs_dtype=True)
    return found


def returns_something(function):
    source = inspect.getsource(function)
    return bool(re.search(r"^\s+return \S", source, flags=re.MULTILINE))


@pytest.mark.parametrize("path", FUNCTIONS)
def test_function_is_documented(path):
    function = FUNCTIONS[path]
    owner = OBJECTS.get(path.rpartition(".")[0])
    if owner is not None and not hasattr(owner, "fit"):  # a carrier's: a sentence is enough
        assert function.__doc__
        return
    assert faults(function, arguments(function)) == []
    parts = sections(function.__doc__)
    assert "Returns" in parts or "Yields" in parts or not returns_something(function)


@pytest.mark.parametrize("path", CLASSES)
def test_class_is_documented(path):
    cls = CLASSES[path]
    documented = arguments(cls.__init__) if "__init__" in vars(cls) else []
    if not documented:  # an enumeration, a named tuple: its fields are Attributes or Parameters
        parts = sections(cls.__doc__)
        documented = [
            name for names, _, _ in entries(parts.get("Parameters", "")) for name in names
        ]
        assert documented or "Attributes" in parts
    assert faults(cls, documented) == []


def needs_example(path):
    """Methods, and classes a user does not make, come to life in the examples of others."""
    thing = OBJECTS[path]
    passive = inspect.isclass(thing) and "__init__" not in vars(thing)
    return path not in METHODS and not passive


@pytest.mark.parametrize("path", list(filter(needs_example, OBJECTS)))
def test_public_name_has_an_example(path):
    assert ">>> " in sections(OBJECTS[path].__doc__).get("Examples", "")


def false_defaults(thing):
    """Parameters whose default is another one than the docstring says."""
    taken = thing.__init__ if inspect.isclass(thing) and "__init__" in vars(thing) else thing
    parameters = {} if inspect.isclass(taken) else inspect.signature(taken).parameters
    for names, kind, _ in entries(sections(thing.__doc__).get("Parameters", "")):
        stated = kind.partition("default=")[2]
        each = stated.split(" and ")
        for name, text in zip(names, each if len(each) > 1 else each * len(names), strict=True):
            if (
                text
                and name in parameters
                and not _is_stated(parameters[name].default, text, taken)
            ):
                yield f"{name}: {parameters[name].default!r}, documented as {text}"


def _is_stated(default, text, function):
    try:
        value = eval(text, {"inf": math.inf, **vars(np), **function.__globals__})
    except (NameError, SyntaxError):
        return text == str(default)
    return default == value or getattr(default, "value", default) == value


@pytest.mark.parametrize("path", OBJECTS)
def test_what_a_docstring_says_is_true(path):
    """Defaults are those of the signature, and examples run."""
    thing = OBJECTS[path]
    assert list(false_defaults(thing)) == []
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(verbose=False)
    report = []
    for example in finder.find(thing, path, globs={}):
        runner.run(example, out=report.append)
    assert not report, "".join(report)


GOOD = """Do it.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows.
    **options : int
        More.

    Returns
    -------
    labels : ndarray of shape (n,), int32
        Labels.
    """


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("", "", ""),
        ("Do it.", "Do it", "full stop"),
        ("X : array-like of shape (n, d)", "X : array-like", "no shape"),
        (", int32", "", "no dtype"),
        ("X : array-like of shape (n, d)", "X", "no type"),
        ("    X :", "    Z :", "documents"),
        (GOOD, "", "no docstring"),
    ],
)
def test_faults_are_found(old, new, complaint):
    def function(X, **options): ...

    function.__doc__ = GOOD.replace(old, new)
    found = faults(function, arguments(function))
    assert any(complaint in fault for fault in found) if complaint else found == []


@pytest.mark.parametrize("stated", ["7", "7.0 and 0.5", "0.5", "inf", "None"])
def test_false_defaults_are_found(stated):
    def function(a=7, b=0.5): ...

    function.__doc__ = GOOD.replace(
        "X : array-like of shape (n, d)", f"a, b : int, default={stated}"
    )
    found = list(false_defaults(function))
    assert len(found) == {"7": 1, "0.5": 1, "7.0 and 0.5": 0}.get(stated, 2)
