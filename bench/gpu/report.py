"""The lines of a run as a table."""

from bench.gpu.measure import OURS


def render(lines: list[dict]) -> str:
    """One row for each case: ours, the floor, and every peer's time over ours."""
    by_case: dict[str, list[dict]] = {}
    for line in lines:
        if "case" in line:
            by_case.setdefault(line["case"], []).append(line)
    head = (
        "case",
        "ours ms",
        "floor ms",
        "x floor",
        "bound by",
        "check",
        "peers: ms (x ours), check",
    )
    rows = [head, *(_row(case, found) for case, found in by_case.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
    return "\n".join(
        "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]])
        for row in rows
    )


def _row(case: str, lines: list[dict]) -> tuple[str, ...]:
    ours = next((line for line in lines if line["contestant"] == OURS), None)
    measured = ours is not None and ours["kind"] == "result"
    others = "; ".join(
        _peer(line, ours if measured else None) for line in lines if line is not ours
    )
    if not measured:
        return (case, "-", "-", "-", "-", ours["why"][:60] if ours else "-", others)
    return (
        case,
        f"{ours['ms']:.3f}",
        f"{ours['floor_ms']:.3f}",
        f"{ours['over_floor']:.2f}",
        ours["floor_of"],
        check(ours),
        others,
    )


def check(line: dict) -> str:
    """What the judge said, in a word."""
    if "wrong" in line:
        cost = f" cost {line['cost']:.6g}" if "cost" in line else ""
        return f"{line['wrong']}/{line['checked']} wrong{cost}"
    return f"dev {line['deviation']:.1e}" if "deviation" in line else "not checked"


def _peer(line: dict, ours: dict | None) -> str:
    if line["kind"] != "result":
        return f"{line['contestant']}: {line['why'][:60]}"
    ratio = f" ({line['ms'] / ours['ms']:.2f}x)" if ours else ""
    return f"{line['contestant']} {line['ms']:.3f}{ratio} {check(line)}"
