"""Draw a run: for every case the peers' times over ours, and where the floor lies."""

from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure

from bench.records import OURS, Run, has_floor, is_ours, is_peer, ratio

COLUMNS = 2
BAR = 0.17  # inches per bar
COLORS = colormaps["tab10"].colors


def draw(run: Run, path: Path | str) -> None:
    """One small panel per case: bars of peer time over ours, a line at 1, a mark at the floor.

    Cases without a result of ours are left out.
    """
    panels = [(key, lines) for key, lines in run.groups().items() if OURS in lines]
    if not panels:
        raise ValueError("the file holds no result of clusterlib to compare with")
    depth = max(len(lines) for _, lines in panels)
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(11, rows * (BAR * depth + 0.9)), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    colors = _colors(panels)
    for axis, (key, lines) in zip(axes.flat, panels, strict=False):
        _panel(axis, key, lines, colors)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(
        f"time over clusterlib's, log scale; dotted: arithmetic floor; {run.machines[0]['cpu']}",
        fontsize=10,
    )
    figure.savefig(path)


def _family(name: str) -> str:
    return name.split()[0]


def _colors(panels) -> dict[str, tuple]:
    families = dict.fromkeys(_family(name) for _, lines in panels for name in lines)
    return {family: COLORS[i % len(COLORS)] for i, family in enumerate(families)}


def _panel(axis, key, lines, colors) -> None:
    ours = lines[OURS]
    shown = [name for name in lines if is_ours(name) or is_peer(name)]
    ratios = [ratio(lines[name], ours) for name in shown]
    axis.barh(shown, ratios, color=[colors[_family(name)] for name in shown])
    axis.bar_label(axis.containers[0], fmt="%.2f", fontsize=6, padding=2)
    axis.axvline(1, color="black", linewidth=0.8)
    left = min(ratios)
    if ours["over_floor_median"] and has_floor(ours):
        floor = 1 / ours["over_floor_median"]
        axis.axvline(floor, color="red", linestyle=":")
        left = min(left, floor)
    axis.set_xscale("log")
    axis.set_xlim(left * 0.7, max(ratios) * 1.6)
    axis.invert_yaxis()
    axis.tick_params(labelsize=6)
    axis.set_title(f"{key[0]}, {key[1]} thread(s)", fontsize=7)
