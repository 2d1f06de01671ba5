"""The reference page of the documentation lists what is public, and nothing else."""

import re
from importlib import import_module

import pytest

import clusterlib
from tests.source_rules import ROOT, read_tree

CHOICES = (ROOT / "docs" / "choose.rst").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "reference.rst").read_text(encoding="utf-8")
ROOMS = [
    source.module
    for source in read_tree("clusterlib")
    if source.is_package
    and source.room not in {"", "demo", "selftest", "validation"}
    and "._" not in source.module
]


def listed_names():
    """Module -> names below its ``currentmodule`` line."""
    parts = re.split(r"^\.\. currentmodule:: (\S+)$", PAGE, flags=re.MULTILINE)
    return {
        module: re.findall(r"^   (\w+)$", text, flags=re.MULTILINE)
        for module, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize("module", ROOMS)
def test_every_public_name_of_a_room_is_listed(module):
    room = import_module(module)
    public = [name for name in room.__all__ if callable(getattr(room, name))]
    assert listed_names()[module] == sorted(public, key=str.lower)


def test_every_public_function_of_the_package_is_listed():
    public = {name for name in clusterlib.__all__ if callable(getattr(clusterlib, name))}
    assert public
    assert public <= {name for names in listed_names().values() for name in names}


@pytest.mark.parametrize("module", ROOMS)
def test_every_room_is_an_attribute_of_the_package(module):
    name = module.removeprefix("clusterlib.")
    assert name in clusterlib.__all__
    assert f"``{module}``" in clusterlib.__doc__
    assert getattr(clusterlib, name) is import_module(module)


def test_nothing_else_is_listed():
    assert set(listed_names()) == {*ROOMS, "clusterlib"}


@pytest.mark.parametrize("module", ROOMS)
def test_every_estimator_is_on_the_page_that_helps_to_choose(module):
    room = import_module(module)
    estimators = {name for name in room.__all__ if hasattr(getattr(room, name), "get_params")}
    assert {name for name in estimators if f"`~{module}.{name}`" not in CHOICES} == set()
