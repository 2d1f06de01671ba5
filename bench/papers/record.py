"""What a reproduction says: the paper, figures of ours, and expectations that hold or do not."""

import operator
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

RELATIONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


@dataclass(frozen=True)
class Table:
    """Cells are text, numbers, or means with their spread as ``figures`` makes them."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple, ...]
    digits: int = 3


@dataclass(frozen=True)
class Paper:
    """Who claims what, and where; ``published`` holds the figures that could be read."""

    method: str
    page: str  # of the documentation, without its ending
    authors: str
    title: str
    venue: str
    year: int
    where: str
    claim: str
    published: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Check:
    """An expectation in words, and as ``value relation bound``; what is not a number fails."""

    expectation: str
    value: float
    relation: str
    bound: float

    @property
    def passed(self) -> bool:
        return bool(RELATIONS[self.relation](self.value, self.bound))


@dataclass(frozen=True)
class Missing:
    """A part that could not be run, and why; records name no folder of a machine."""

    part: str
    why: str = "its embeddings are not in the folder that CLUSTERLIB_DATA names"


@dataclass(frozen=True)
class Found:
    """Answer of ``reproduce``."""

    setting: str
    seeds: str
    tables: tuple[Table, ...]
    checks: tuple[Check, ...]
    limits: str
    missing: tuple[Missing, ...] = ()

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)


def figures(values: Iterable[float]) -> dict:
    """Mean and standard deviation over the seeds."""
    values = np.asarray(list(values), dtype=float)
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return {
        "mean": round(float(values.mean()), 5),
        "spread": round(spread, 5),
        "seeds": len(values),
    }


def mean(values: Iterable[float]) -> float:
    """Mean, rounded as ``figures`` rounds it."""
    return figures(values)["mean"]


def beside(*rows: tuple, digits: int = 1) -> Table:
    """What is published beside what was found here."""
    head = ("", "published", "here")
    return Table("Published, and found here.", head, tuple(rows), digits=digits)


def as_dict(name: str, paper: Paper, found: Found, *, version: str, seconds: float) -> dict:
    """The record of a paper, ready for json."""
    checks = [asdict(check) | {"passed": check.passed} for check in found.checks]
    ours = _rounded(asdict(found) | {"checks": checks})
    return {
        "name": name,
        "passed": found.passed,
        "clusterlib": version,
        "seconds": round(seconds, 1),
        "paper": asdict(paper),
        "ours": ours,
    }


def _rounded(part):
    """The same with plain numbers of five digits."""
    if isinstance(part, dict):
        return {key: _rounded(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_rounded(value) for value in part]
    return round(float(part), 5) if isinstance(part, float) else part
