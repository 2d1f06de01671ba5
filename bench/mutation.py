"""Whether tests notice when a solver is wrong: small changes, drawn at random, and who sees them.

``python -m bench.mutation`` draws places of ``clusterlib/solvers`` uniformly, changes each in one
way in a private copy of the sources (``bench/mutation_operators.py`` says how) and runs the tests
that execute the place, the quickest first: those of the nearest file of tests, of other files near
by and the examples in docstrings, and at last those of estimators, 15 seconds of tests of each
kind. A test that fails, or does not end, kills the mutant. Which tests run which lines is recorded
when a file of tests is first used, and kept with the copy.

- Printed: the share of mutants that were killed, raw and without the equivalent ones, and every
  survivor. One line for each draw goes to ``bench/results/mutation.jsonl``.
- A mutant is equivalent if no input tells it from the original by its results, memory or time
  aside. ``bench/mutation_equivalents.json`` lists those that were found to be, each with its proof,
  and with a part of its statement ("within") where the same stands in a function more than once.
- ``--work DIR --minutes 9`` stops after nine minutes, with the score so far; the same command
  again goes on.
- ``--reach own`` tries the nearest file of tests alone, ``--reach solvers`` no estimators: scores
  from below, sooner. A longer reach with the same folder tries no more than what they have left.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.mutation_operators import Place, places
from bench.mutation_tests import EXAMPLES, Imports, Test, order_of_tests
from bench.mutation_trials import Copy, preload

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "mutation.jsonl"
EQUIVALENTS = Path(__file__).parent / "mutation_equivalents.json"
REACHES = ("own", "solvers", "all")
GROUP_SECONDS = 15.0  # of tests in a group, by what they took unmutated
SAME = ("module", "function", "before", "after")  # what names a mutant when lines have moved


def draw(texts: dict[str, str], number: int, seed: int) -> list[tuple[str, Place, str]]:
    """Different places of some modules, each equally likely, and one change of each.

    Raises
    ------
    ValueError
        If there are fewer places.
    """
    rng = np.random.default_rng(seed)
    population = [(name, place) for name, text in texts.items() for place in places(text)]
    chosen = rng.choice(len(population), size=number, replace=False)
    return [
        (*population[at], population[at][1].afters[rng.integers(len(population[at][1].afters))])
        for at in chosen
    ]


def identity_of(record: dict) -> dict:
    """The same of a record."""
    return {key: record[key] for key in ("module", "function", "line", "before", "after")}


def identity(module: str, place: Place, after: str) -> dict:
    """What a record says of a mutant."""
    return {
        "module": module,
        "function": place.function,
        "line": place.statement[0],
        "before": place.before,
        "after": after,
    }


def statement_of(text: str, place: Place) -> str:
    """The lines of the statement that a place lies in."""
    first, last = place.statement
    return "\n".join(text.splitlines()[first - 1 : last])


def why_equivalent(record: dict, equivalents: list[dict]) -> str | None:
    """The proof that a mutant is equivalent, if there is one."""
    for entry in equivalents:
        is_same = all(record[key] == entry[key] for key in SAME)
        if is_same and entry.get("within", "") in record.get("within", ""):
            return entry["why"]
    return None


def try_all(copy: Copy, sample: list, folder: Path, seconds: float, reach: str) -> list[dict]:
    """Records of the mutants tried so far, in this call (until its time is over) and before it."""
    began = time.monotonic()
    path = folder / f"{reach}.jsonl"
    records = _read(path)
    nearer = {}  # what was tried with a shorter reach, and with how many groups of files
    for n_groups, name in enumerate(REACHES[: REACHES.index(reach)], start=1):
        nearer |= {
            json.dumps(identity_of(r)): (r, n_groups) for r in _read(folder / f"{name}.jsonl")
        }
    imports = Imports(copy.tree)
    with path.open("a", encoding="utf-8") as file:
        for module, place, after in sample[len(records) :]:
            if time.monotonic() - began > seconds:
                break
            mutant = identity(module, place, after)
            record, n_tried = nearer.get(json.dumps(mutant), (None, 0))
            if record is None or not record["killed"]:
                groups = _groups(copy, imports, module, place, reach, n_tried)
                tried = vars(copy.trial(module, place, after, groups))
                within = {"within": statement_of(copy.text(module), place)}
                record = _joined(record, mutant | within | tried)
            records.append(record)
            file.write(json.dumps(records[-1]) + "\n")
            file.flush()
            print(_word(records[-1]), flush=True)
    return records


def _joined(first: dict | None, then: dict) -> dict:
    """One record of a mutant that was tried with some tests, and then with others."""
    if first is None:
        return then
    how = then["how"] if then["n_tests"] else first["how"]
    totals = {key: first[key] + then[key] for key in ("n_tests", "seconds")}
    return then | {"how": how} | totals


def _groups(
    copy: Copy, imports: Imports, module: str, place: Place, reach: str, n_tried: int
) -> Iterator[list[Test]]:
    """Tests of the nearest file, of the others near by, and of estimators: looked up as needed."""
    nearest = imports.nearest(module, "tests/solvers")
    if nearest and reach == "own" and not copy.is_known(nearest[0]):
        yield [Test(nearest[0], GROUP_SECONDS, {})]  # as a whole: to look at it takes longer
        return
    groups = [nearest[:1], [*nearest[1:], EXAMPLES], imports.nearest(module, "tests/estimators")]
    for files in groups[n_tried : 1 + REACHES.index(reach)]:
        tests = [test for file in files for test in copy.tests_of(file)]
        yield from order_of_tests(module, place, tests, GROUP_SECONDS)


def summary(records: list[dict], equivalents: list[dict]) -> dict:
    """Counts and scores; the interval has 95 % by Wilson's formula, for the adjusted score."""
    left = [record for record in records if not record["killed"]]
    proofs = [why_equivalent(record, equivalents) for record in left]
    n_proven = len(left) - proofs.count(None)
    n_killed, n_counted = len(records) - len(left), len(records) - n_proven
    return {
        "n_mutants": len(records),
        "n_killed": n_killed,
        "n_without_end": sum(record["how"] == "no end" for record in records),
        "n_equivalent": n_proven,
        "score": round(n_killed / len(records), 4),
        "adjusted_score": round(n_killed / n_counted, 4),
        "interval": [round(end, 3) for end in wilson(n_killed, n_counted)],
        "survivors": [
            {key: record[key] for key in (*SAME, "line", "how")}
            | ({"equivalent": proof} if proof else {})
            for record, proof in zip(left, proofs, strict=True)
        ],
    }


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share of which ``hits`` of ``n`` draws were seen."""
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def page(found: dict) -> Iterator[str]:
    """The summary for a reader."""
    for survivor in found["survivors"]:
        kind = "equivalent" if "equivalent" in survivor else survivor["how"]
        yield f"\n{survivor['module']}:{survivor['line']} in {survivor['function']} ({kind})"
        yield from (f"  - {line}" for line in survivor["before"].splitlines())
        yield from (f"  + {line}" for line in survivor["after"].splitlines())
    low, high = found["interval"]
    yield f"\nseed {found['seed']}: {found['n_mutants']} of {found['n_places']} places"
    yield f"killed {found['n_killed']} ({found['n_without_end']} of them without end)"
    adjusted = f"{found['adjusted_score']:.1%} (95 %: {low:.1%} to {high:.1%})"
    yield f"score {found['score']:.1%}; without {found['n_equivalent']} equivalent ones {adjusted}"


def _word(record: dict) -> str:
    state = "killed" if record["killed"] else "ALIVE "
    change = f"{record['before']!r:.40} -> {record['after']!r:.40}"
    where = f"{record['module']}:{record['line']}"
    return f"{state} {record['seconds']:6.1f} s {where} {change} {record['how']}"


def _read(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _campaign(options: argparse.Namespace, work: Path) -> None:
    copy = Copy(ROOT, work)
    if not options.keep:
        copy.renew()
    texts = {name: copy.text(name) for name in copy.modules()}
    sample = draw(texts, options.number, options.seed)
    trials = work / f"trials-{options.seed}-{options.number}"
    trials.mkdir(exist_ok=True)
    records = try_all(copy, sample, trials, 60 * options.minutes, options.reach)
    if not records:
        print("no mutant was tried: give more minutes")
        return
    n_places = sum(len(places(text)) for text in texts.values())
    heading = {"seed": options.seed, "n_places": n_places, "reach": options.reach}
    found = heading | summary(records, json.loads(EQUIVALENTS.read_text(encoding="utf-8")))
    if len(records) < len(sample):  # a draw that is shorter, but as random
        print("\n".join(page(found)))
        print(f"{len(records)} of {len(sample)} mutants tried; the same command goes on")
        return
    with options.out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
    print("\n".join(page(found)))


def main(arguments: list[str] | None = None) -> None:
    """Draw, try, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--number", type=int, default=100, help="mutants to draw")
    parser.add_argument("--work", type=Path, help="folder for the copy and what is known of tests")
    parser.add_argument("--keep", action="store_true", help="leave the copy in it as it is")
    parser.add_argument("--minutes", type=float, default=math.inf, help="when to stop")
    parser.add_argument("--reach", choices=REACHES, default="all", help="which tests are tried")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the records")
    options = parser.parse_args(arguments)
    preload()
    if options.work is not None:
        _campaign(options, options.work)
        return
    with tempfile.TemporaryDirectory() as folder:
        _campaign(options, Path(folder))


if __name__ == "__main__":
    main()
