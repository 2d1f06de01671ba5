"""The command line: run the sections, print the table, write the page."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clusterlib.demo.machine import count_threads, describe_machine
from clusterlib.demo.page import build_page
from clusterlib.demo.results import Section, Settings, UnavailableError
from clusterlib.demo.sections import find_sections
from clusterlib.demo.table import format_table
from clusterlib.kernels import active_backend

QUICK_STEP = 32
QUICK = f"A short run: large data sets keep one row in {QUICK_STEP}, with few repeats."
NOT_NATIVE = (
    "The C++ kernels are not built, so slower ones ran, and large data sets keep one row in "
    f"{QUICK_STEP}. These times say nothing about a full installation."
)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parse(arguments: Sequence[str] | None, names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clusterlib.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder to write")
    parser.add_argument("--quick", action="store_true", help="fewer rows, one repeat")
    parser.add_argument(
        "--section", action="append", choices=names, help="run only this one (may be repeated)"
    )
    return parser.parse_args(arguments)


def _settings(quick: bool) -> tuple[Settings, list[str]]:
    settings, notes = Settings(n_threads=count_threads()), []
    if active_backend() != "native":
        settings, notes = replace(settings, step=QUICK_STEP), [NOT_NATIVE]
    if quick:
        settings, notes = replace(settings, step=QUICK_STEP, repeats=1), [*notes, QUICK]
    return settings, notes


def _run(module, settings: Settings) -> Section:
    start = time.perf_counter()
    try:
        section = module.run(settings)
    except UnavailableError as error:
        section = Section(module.TITLE, "", missing=str(error))
        _say(f"  {module.TITLE}: not run, {error}")
    else:
        _say(f"  {module.TITLE}: {time.perf_counter() - start:.1f} s")
    return section


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo: print one table and write one page.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; default ``sys.argv[1:]``.

    Returns
    -------
    int
        Exit status, 0.
    """
    start = time.perf_counter()
    modules = find_sections()
    options = _parse(arguments, list(modules))
    settings, notes = _settings(options.quick)
    facts = describe_machine(settings.n_threads)
    _say("\n".join(f"{name + ':':<14}{value}" for name, value in facts.items()))
    for note in notes:
        _say(f"{'note:':<14}{note}")
    _say("Running both libraries on data that ship with scikit-learn ...")
    chosen = options.section or list(modules)
    sections = [_run(modules[name], settings) for name in modules if name in chosen]
    comparisons = [comparison for section in sections for comparison in section.comparisons]
    if comparisons:
        _say("\n" + format_table(comparisons))
        _say(
            "Wrong labels: rows whose label is not the nearest centre in float64. Speed: time of\n"
            "scikit-learn divided by time of the line; above 1 is faster than scikit-learn."
        )
    options.output.mkdir(parents=True, exist_ok=True)
    target = options.output / "index.html"
    target.write_text(build_page(facts, notes, sections), encoding="utf-8")
    _say(f"\nWrote {target} after {time.perf_counter() - start:.0f} s.")
    return 0
