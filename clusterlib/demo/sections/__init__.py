"""The sections of the demo: a section is a module in this folder.

It has ``ORDER`` (int, its place on the page), ``TITLE`` (str) and ``run(settings) -> Section``.
Nothing else has to be told about a new one.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

__all__ = ["find_sections"]


def find_sections() -> dict[str, ModuleType]:
    """Import every section of this folder.

    Returns
    -------
    dict of str to module
        By module name, in the order of the page.

    Examples
    --------
    >>> list(find_sections())[0]
    'digits'
    """
    names = [module.name for module in iter_modules(__path__)]
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return dict(sorted(modules.items(), key=lambda item: item[1].ORDER))
