"""Pictures of what a model of wrong labels has found, drawn into given axes."""

import numpy as np

from clusterlib.plotting._names import named_ticks, short_names

__all__ = ["draw_classes", "draw_quality", "draw_transition"]

# What fits warn of: of fewer right labels nothing tells a class from what is labelled as it.
_FEWEST_RIGHT = 4
# From this ratio of the largest to the smallest class on, small ones vanish on a linear axis.
_LONG_TAIL = 20
# Points that the text above a bar and that in a cell needs.
_LEAST_ROOM, _LEAST_CELL = 5.5, 14
# Probabilities from here on are written; of a matrix of small cells only the largest errors.
_LEAST_NUMBER, _N_LARGEST = 0.05, 8
_MOST_POINTS = 2000
_RIGHT, _WRONG = "C0", "C1"


def draw_classes(ax, names, given, right, log):
    """Draw a bar for each class: as many labels as were given, the lower part those right.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    names : sequence of length n_classes
        The classes from the left to the right.
    given, right : ndarray of shape (n_classes,)
        Labels of each, and how many of them are expected to be right.
    log : bool or None
        Whether on a logarithmic axis; None decides by how long the tail is.
    """
    places = np.arange(len(given))
    least = given[given > 0].min()
    if log is None:
        log = given.max() >= _LONG_TAIL * least
    if log:
        ax.set(yscale="log", ylim=(0.5 * min(1, least), 6 * given.max()))
    else:
        ax.set_ylim(0, 1.25 * given.max())
    ax.bar(places, right, 0.86, color=_RIGHT, label="expected to be right")
    ax.bar(places, given - right, 0.86, right, color=_WRONG, label="expected to be wrong (in %)")
    room = 72 * _inches(ax)[0] / len(given)
    wrong = np.divide(given - right, given, out=np.zeros(len(given)), where=given > 0)
    height = _write_shares(ax, places, given, wrong, room)
    is_scarce = right < _FEWEST_RIGHT
    if is_scarce.any():
        from matplotlib.transforms import offset_copy

        above = offset_copy(ax.transData, ax.figure, y=height + 5, units="points")
        label = f"fewer than {_FEWEST_RIGHT} expected to be right"
        size = float(np.clip(0.6 * room, 2.5, 5))
        ax.plot(places[is_scarce], given[is_scarce], "kv", ms=size, transform=above, label=label)
    named_ticks(ax.xaxis, names, _inches(ax)[0])
    ax.set(xlabel="class", ylabel="labels", xlim=(-0.6, len(given) - 0.4))
    handles, _ = ax.get_legend_handles_labels()
    ax.legend(handles=handles[::-1], loc="upper right", fontsize=8)


def draw_quality(ax, quality, weight):
    """Draw the quality of labels, the most suspicious first, as a curve over shares of them.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    quality, weight : ndarray of shape (n_samples,)
        Probability that each label is right, and what it counts.
    """
    weight = weight / weight.sum()
    order = np.argsort(quality, kind="stable")
    ends = np.cumsum(weight[order])
    shown = np.linspace(0, len(order) - 1, min(len(order), _MOST_POINTS)).astype(np.intp)
    places = np.concatenate([[0], ends[shown]])
    curve = quality[order[np.concatenate([[0], shown])]]
    ax.fill_between(places, curve, 1, step="pre", color=_WRONG, alpha=0.45, linewidth=0)
    ax.fill_between(places, 0, curve, step="pre", color=_RIGHT, alpha=0.25, linewidth=0)
    ax.step(places, curve, where="pre", color=_RIGHT, linewidth=1.5)
    wrong, doubted = weight @ (1 - quality), weight[quality < 0.5].sum()
    ax.plot(doubted, 0.5, "ko", ms=4)
    told = [f"{wrong:.1%} expected wrong (orange area)", f"{doubted:.1%} below 0.5 (dot)"]
    ax.text(
        0.97,
        0.05,
        "\n".join(told),
        transform=ax.transAxes,
        ha="right",
        va="bottom",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7},
    )
    ax.set(xlabel="share of the labels, the most suspicious first", ylabel="label quality")
    ax.set(xlim=(0, 1), ylim=(0, 1))


def draw_transition(ax, names, transition):
    """Draw how classes, in rows, are labelled, in columns, with the numbers that matter.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    names : sequence of length n_classes
        The classes from the top to the bottom, and from the left to the right.
    transition : ndarray of shape (n_classes, n_classes)
        Probability of each label for each class.
    """
    from matplotlib.colors import PowerNorm

    # Roots: what is wrong with a probability of 0.05 has to be seen beside what is right.
    image = ax.imshow(transition, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, label="probability of the label", shrink=0.8)
    bar.set_ticks([0, 0.05, 0.2, 0.5, 1])
    width, height = _inches(ax)
    side = min(width, height)  # cells are squares
    named_ticks(ax.xaxis, names, side)
    named_ticks(ax.yaxis, names, side)
    ax.set(xlabel="label that was given", ylabel="class by the model")
    _write_probabilities(ax, transition, names, 72 * side / len(transition))


def _inches(ax):
    """Width and height of axes."""
    return ax.get_position().size * ax.figure.get_size_inches()


def _write_shares(ax, places, tops, shares, room):
    """Write shares above bars if ``room`` points for each are enough; the height of the text."""
    if room < _LEAST_ROOM:
        return 0
    is_upright = room < 18
    size = float(np.clip(0.85 * room, 5, 7.5)) if is_upright else 8.0
    for place, top, share in zip(places, tops, shares, strict=True):
        ax.annotate(
            f"{100 * share:.0f}",
            (place, top),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            size=size,
            rotation=90 if is_upright else 0,
        )
    return 2.8 * size if is_upright else 1.3 * size


def _write_probabilities(ax, shown, names, room):
    """Number the cells that matter; where ``room`` points are too few, list the largest errors."""
    if room >= _LEAST_CELL:
        size = float(np.clip(0.45 * room, 6, 9))
        for row, column in np.argwhere(shown >= _LEAST_NUMBER):
            p = shown[row, column]
            color = "white" if p > 0.4 else "black"
            ax.text(column, row, _short(p), ha="center", va="center", size=size, color=color)
        return
    wrong = np.where(np.eye(len(shown), dtype=bool), 0, shown)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:_N_LARGEST]
    rows, columns = np.unravel_index(largest[wrong.flat[largest] >= _LEAST_NUMBER], shown.shape)
    if len(rows) == 0:
        return
    edge = max(1.3 * room, 5)
    ax.plot(columns, rows, "s", ms=edge, mfc="none", mec=_WRONG, mew=1.2, label="largest errors")
    names = short_names(names)
    lines = [
        f"{names[row]} → {names[column]}  {_short(shown[row, column])}"
        for row, column in zip(rows, columns, strict=True)
    ]
    # Frequent classes are seldom labelled as rare ones: there is the least to hide.
    ax.text(
        0.98,
        0.98,
        "\n".join(["largest errors:", *lines]),
        transform=ax.transAxes,
        ha="right",
        va="top",
        size=8,
        bbox={"facecolor": "white", "edgecolor": _WRONG, "alpha": 0.85},
    )


def _short(probability):
    return f"{probability:.2f}".lstrip("0")
