"""Load the contestants that are installed, give each its threads, collect what they can run."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from threadpoolctl import threadpool_limits

ROOMS = ("bench.kernels", "bench.estimators", "bench.others")


@dataclass(frozen=True)
class Field:
    """The contestants of a run: adapters by name, and why others stayed away."""

    adapters: dict[str, ModuleType] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def versions(self) -> dict[str, str]:
        names = {module.DISTRIBUTION for module in self.adapters.values() if module.DISTRIBUTION}
        return {name: _version(name) for name in sorted(names)}

    @contextmanager
    def limited_to(self, threads: int) -> Iterator[None]:
        """Every thread pool in the process held at ``threads``, also those nobody else reaches."""
        with threadpool_limits(threads):
            for module in self.adapters.values():
                if hasattr(module, "set_threads"):
                    module.set_threads(threads)
            yield


def load(wanted: Iterable[str] = ()) -> Field:
    """Import all adapters, or those of the given names ("ours" stands for clusterlib's)."""
    wanted, found = set(wanted), Field()
    known = set()
    for room in ROOMS:
        for name in import_module(room).ADAPTERS:
            group = name if room == "bench.others" else "ours"
            known.add(group)
            if wanted and group not in wanted:
                continue
            try:
                found.adapters[name] = import_module(f"{room}.{name}")
            except ImportError as error:
                found.skipped[name] = str(error)
    if unknown := wanted - known:
        raise ValueError(f"unknown contestants {sorted(unknown)}; known are {sorted(known)}")
    return found


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "source tree"
