"""Configuration of sphinx: `make docs` builds docs/_build/html with warnings as errors."""

import inspect
import re

import matplotlib

import clusterlib

matplotlib.use("Agg")

project = "clusterlib"
copyright = "the clusterlib developers"
author = "the clusterlib developers"
version = release = clusterlib.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/generated/backreferences"]
# The order of the gallery is a function, which sphinx cannot store between builds.
suppress_warnings = ["config.cache"]

autosummary_generate = True
autodoc_typehints = "none"
# The template lists methods, numpydoc the attributes that a docstring documents.
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "clusterlib"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/(plot|pipeline)_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "plot_gallery": True,
    "remove_config_comments": True,
    "show_memory": False,
}


def _skip_foreign(app, what, name, member, skip, options):
    """Leave out what clusterlib did not write: scikit-learn's methods, fields of tuples."""
    if what != "class":
        return None
    function = inspect.unwrap(getattr(member, "__func__", member))
    ours = str(getattr(function, "__module__", "")).startswith("clusterlib.")
    return None if ours and inspect.isroutine(function) else True


def _escape_shapes(app, what, name, member, options, lines):
    """Shapes may name attributes, whose underscore at the end would make them links."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"(?<=shape \()(\w+)_(?=,)", r"\1\_", line)


def setup(app):
    app.connect("autodoc-process-docstring", _escape_shapes, priority=100)  # before numpydoc
    app.connect("autodoc-skip-member", _skip_foreign)
