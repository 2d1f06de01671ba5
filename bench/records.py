"""Read result files: lines of a run, grouped for the table, the picture and the comparison."""

import json
from dataclasses import dataclass
from pathlib import Path

from bench.cases import QUOTAS, SDP, TRANSPORT

OURS = "clusterlib"


@dataclass(frozen=True)
class Run:
    """A result file: one machine line per number of threads, and the result lines."""

    machines: list[dict]
    results: list[dict]
    others: list[dict]

    def groups(self) -> dict[tuple[str, int], dict[str, dict]]:
        """Result lines by (case, threads), then by contestant; the order of the file is kept."""
        groups: dict[tuple[str, int], dict[str, dict]] = {}
        for line in self.results:
            groups.setdefault((line["case"], line["threads"]), {})[line["contestant"]] = line
        return groups


def read(path: Path | str) -> Run:
    """Parse a result file."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines() if line]
    kinds = {"machine": [], "result": []}
    others: list[dict] = []
    for line in lines:
        kinds.get(line["kind"], others).append(line)
    return Run(kinds["machine"], kinds["result"], others)


def is_ours(name: str) -> bool:
    """Whether a contestant is clusterlib, at whatever instruction set."""
    return name.split()[0] == OURS


def is_peer(name: str) -> bool:
    """Whether a contestant stands for a way to get the answer (or a part of it) without us."""
    return not is_ours(name) and name != "nothing"


def has_answer(line: dict) -> bool:
    """Whether a result line came with an answer that was checked."""
    return not line.keys().isdisjoint(("wrong", "error", "accuracy"))


def has_floor(line: dict) -> bool:
    """Whether time over the operations of a case means anything, see :class:`bench.cases.Case`."""
    if line["op"] in ("lazy", "quotas"):
        return True
    others = ("sums", "softmax", "nmf", "counts", "shift", "tempered", "pairing")
    return line["op"] not in (*others, *TRANSPORT, *SDP, *QUOTAS)


def ratio(peer: dict, ours: dict) -> float:
    """A peer's time over ours: medians, each relative to the probe around it if there is one."""
    if peer["over_floor_median"] and ours["over_floor_median"]:
        return peer["over_floor_median"] / ours["over_floor_median"]
    return peer["ns_median"] / ours["ns_median"]
