"""Reproduce one trend of each paper: ``python -m bench.papers [--only NAME] [--quick]``.

Writes ``NAME.json`` and the page ``index.md`` to ``docs/papers``, prints a line for each expectation,
and ends with status 1 if one of them does not hold. A part whose data are not on this machine is
told and counts for nothing. ``--quick`` runs tiny sizes to see that everything works: it writes
nothing, and what holds or not then says nothing about the papers.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from threadpoolctl import threadpool_limits

import clusterlib
from bench.machine import restart_without_overrides
from bench.papers import page
from bench.papers.record import as_dict
from clusterlib.config import config_context

FOLDER = Path(__file__).parents[2] / "docs" / "papers"


def study(name: str) -> ModuleType:
    """The module of a paper."""
    return import_module(f"bench.papers.{name}")


def main(argv: list[str] | None = None, load: Callable[[str], ModuleType] = study) -> int:
    """Run what is wanted; the status is 1 if an expectation does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.papers", description=__doc__)
    parser.add_argument("--only", action="append", choices=page.ORDER, help="default all")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; writes nothing")
    parser.add_argument("--out", type=Path, default=FOLDER, help="default docs/papers")
    options = parser.parse_args(argv)
    holds = True
    for name in options.only or page.ORDER:
        record = run(name, load(name), quick=options.quick)
        holds = holds and record["passed"]
        report(record)
        if not options.quick:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
            (options.out / "index.md").write_text(page.render(options.out))
    return 0 if holds else 1


def run(name: str, paper: ModuleType, *, quick: bool) -> dict:
    """The record of a paper, computed with one thread."""
    start = time.process_time()
    with warnings.catch_warnings(), threadpool_limits(1), config_context(n_threads=1):
        warnings.simplefilter("ignore")  # starts that do not converge belong to what is compared
        found = paper.reproduce(quick=quick)
    seconds = time.process_time() - start
    return as_dict(name, paper.PAPER, found, version=clusterlib.__version__, seconds=seconds)


def report(record: dict) -> None:
    """A line for the paper and for each expectation."""
    verdict = "reproduced" if record["passed"] else "NOT REPRODUCED"
    print(f"{record['name']}: {verdict}, {record['seconds']:.0f} s")
    for check in record["ours"]["checks"]:
        print(f"  {page.verdict(check)}: {check['expectation']} ({page.inequality(check)})")
    for part in record["ours"]["missing"]:
        print(f"  not run: {part['part']} ({part['why']})")
    sys.stdout.flush()


if __name__ == "__main__":
    restart_without_overrides("bench.papers")
    sys.exit(main())
