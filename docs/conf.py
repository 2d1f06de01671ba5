"""Configuration of sphinx: `make docs` builds docs/_build/html with warnings as errors."""

import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import matplotlib
from docutils import nodes

import clusterlib

matplotlib.use("Agg")

project = "clusterlib"
copyright = "the clusterlib developers"
author = "the clusterlib developers"
version = release = clusterlib.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx_design",
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

# Figures of the pages are drawn by the code above them.
plot_include_source = True
plot_formats = [("png", 120)]
plot_working_directory = str(Path(__file__).parents[1])
plot_html_show_formats = plot_html_show_source_link = False

# Docstrings are run by the tests of the library; here it is the pages' turn.
doctest_test_doctest_blocks = ""
doctest_show_successes = False
TESTED_PAGES = re.compile(r"index|choose|guide/(?!gpu)|coming_from/")
# Pages whose code needs a package that some machines have no wheel of.
PEERS = {
    "coming_from/cleanlab": "cleanlab",
    "coming_from/faiss": "faiss",
    "coming_from/imblearn": "imblearn",
    "coming_from/pot": "ot",
    "guide/persistence": "skops",
}

html_theme = "pydata_sphinx_theme"
html_title = "clusterlib"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["clusterlib.css"]
# Pages without neighbours need no list of them.
html_sidebars = {page: [] for page in ("index", "choose", "reference", "benchmarks")}
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


def _test_code_blocks(app, doctree):
    """Let the doctest builder run the Python blocks of the guide, unless their class is no-test.

    Pages say ``code-block`` and not ``testcode``, which readers of the sources would not see.
    """
    page = app.env.docname
    if not TESTED_PAGES.match(page) or find_spec(PEERS.get(page, "clusterlib")) is None:
        return
    for block in doctree.findall(nodes.literal_block):
        if block.get("language") == "python" and "no-test" not in block["classes"]:
            block["testnodetype"], block["groups"], block["options"] = "testcode", ["default"], {}


def _escape_shapes(app, what, name, member, options, lines):
    """Shapes may name attributes, whose underscore at the end would make them links."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"(?<=shape \()(\w+)_(?=,)", r"\1\_", line)


def setup(app):
    app.connect("autodoc-process-docstring", _escape_shapes, priority=100)  # before numpydoc
    app.connect("doctree-read", _test_code_blocks)
    app.connect("autodoc-skip-member", _skip_foreign)
