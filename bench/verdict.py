"""Hold the results of a run against the goals of its cases."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.goals import GOALS, Goal
from bench.records import OURS, Run, has_answer, is_ours, is_peer, ratio


@dataclass(frozen=True)
class Check:
    """One figure beside its goal."""

    case: str
    threads: int
    goal: str
    figure: str
    value: float
    bound: float
    at_most: bool

    @property
    def reached(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def checks(run: Run) -> Iterator[Check]:
    """All goals that the results can speak about; the figure over the floor at one thread only."""
    groups = run.groups()
    for (case, threads), lines in groups.items():
        goals = next(iter(lines.values()))["goals"]
        for goal in (GOALS[name] for name in goals):
            ours = ours_for(goal, lines)
            if ours is None:
                continue
            if goal.floor and threads == 1 and ours["over_floor"]:
                yield Check(
                    case, threads, goal.text, "ours / floor",
                    ours["over_floor_median"], goal.floor, True,
                )  # fmt: skip
            for prefix, bound in goal.peers.items():
                if peer := fastest_peer(prefix, lines):
                    figure = f"{peer['contestant']} / ours"
                    yield Check(case, threads, goal.text, figure, ratio(peer, ours), bound, False)
            if goal.seconds and threads == 1:
                value = ours["ns_median"] * 1e-9
                yield Check(case, threads, goal.text, "seconds", value, goal.seconds, True)
            if goal.sweeps and "sweeps" in ours:
                yield Check(case, threads, goal.text, "sweeps", ours["sweeps"], goal.sweeps, True)
            if goal.error and "error" in ours:
                yield Check(case, threads, goal.text, "error", ours["error"], goal.error, True)
            if goal.scaling and threads == 2 and (case, 1) in groups:
                yield from _scaling(case, goal.scaling, groups[case, 1], lines)


def ours_for(goal: Goal, lines: dict[str, dict]) -> dict | None:
    """Our result that a goal speaks about: with, without or regardless of the 16-bit screen."""
    ours = [line for name, line in lines.items() if is_ours(name)]
    if goal.narrow is not None:
        ours = [line for line in ours if line["isa"].endswith("vnni") == goal.narrow]
    return ours[0] if ours else None


def fastest_peer(prefix: str, lines: dict[str, dict]) -> dict | None:
    """Of the peers whose name begins with the words of ``prefix``, the fastest.

    "" is any peer that gives an answer: a product alone does not.
    """
    words = prefix.split()
    peers = [
        line
        for name, line in lines.items()
        if is_peer(name) and name.split()[: len(words)] == words and (words or has_answer(line))
    ]
    return min(peers, key=lambda line: line["ns_median"], default=None)


def _scaling(
    case: str, bound: float, one: dict[str, dict], two: dict[str, dict]
) -> Iterator[Check]:
    if OURS in one and OURS in two:
        value = one[OURS]["ns_median"] / two[OURS]["ns_median"]
        yield Check(case, 2, "two threads", "one thread / two threads", value, bound, False)
