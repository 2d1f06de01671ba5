"""clusterlib: exact, fast clustering in the manner of scikit-learn.

Importing it costs nothing: subpackages and functions are loaded when they are first used.

=============================  ===================================================================
``clusterlib.cluster``         estimators: k-means and its relatives
``clusterlib.transport``       estimators: rows moved onto others by optimal transport
``clusterlib.label_shift``     estimators: classes whose shares differ between domains
``clusterlib.imbalance``       estimators: large classes cut into subclasses
``clusterlib.decomposition``   estimators: rows explained as mixtures of a few components
``clusterlib.metrics``         how good a clustering is
``clusterlib.datasets``        generated data with known answers
``clusterlib.plotting``        pictures of fitted estimators
``clusterlib.solvers``         the algorithms behind the estimators, as plain functions
``clusterlib.blocks``          rows of one array or file, block by block
``clusterlib.kernels``         the fast operations everything is made of
=============================  ===================================================================
"""

from importlib import import_module

__version__ = "0.1.0"

# Type checkers take the constant of this name for true; typing itself would cost milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from clusterlib import (
        blocks,
        cluster,
        datasets,
        decomposition,
        imbalance,
        kernels,
        label_shift,
        metrics,
        plotting,
        solvers,
        transport,
    )
    from clusterlib.config import config_context, get_config, set_config
    from clusterlib.installation import show_config, show_versions

__all__ = [
    "__version__",
    "blocks",
    "cluster",
    "config_context",
    "datasets",
    "decomposition",
    "get_config",
    "imbalance",
    "kernels",
    "label_shift",
    "metrics",
    "plotting",
    "set_config",
    "show_config",
    "show_versions",
    "solvers",
    "transport",
]

_FUNCTIONS = {
    "config_context": "clusterlib.config",
    "get_config": "clusterlib.config",
    "set_config": "clusterlib.config",
    "show_config": "clusterlib.installation",
    "show_versions": "clusterlib.installation",
}


def __getattr__(name: str) -> object:
    if name in _FUNCTIONS:
        value = getattr(import_module(_FUNCTIONS[name]), name)
    elif name in __all__:
        value = import_module(f"clusterlib.{name}")
    else:
        raise AttributeError(f"module 'clusterlib' has no attribute {name!r}")
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
