"""What ``make oldest`` installs, as pip takes it: the oldest supported version of what is used.

It is read from pyproject.toml, so that the versions that are promised are those that are tested.
"""

import re
import sys
import tomllib

from tests.source_rules import ROOT

# What is used when it is there, and frames that are taken. Tools of the tests may be newer.
EXTRAS = ("arrow", "cvx", "dask", "numba", "plot")
FRAMES = ("pandas", "polars")
# Newer ones warn of how the oldest matplotlib calls them, and warnings are errors.
BESIDE = ("pyparsing<3.2",)
_AT_LEAST = re.compile(r"([\w.-]+)(\[[\w,]+\])?>=([\w.]+)")


def requirements():
    """Lines of pyproject.toml, those of what the library uses at exactly the lowest version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    used = project["dependencies"] + [line for name in EXTRAS for line in optional[name]]
    used += [line for line in optional["test"] if line.startswith(FRAMES)]
    tools = [line for line in optional["test"] if line not in used]
    return [*(_exact(line) for line in used), *BESIDE, *tools]


def _exact(line):
    match = _AT_LEAST.fullmatch(line)
    return f"{match[1]}{match[2] or ''}=={match[3]}"


if __name__ == "__main__":
    if sys.version_info >= (3, 13):
        sys.exit("the oldest NumPy supported has wheels for Python 3.11 and 3.12 alone")
    sys.stdout.write("\n".join(requirements()) + "\n")
