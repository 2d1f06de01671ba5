"""The one table: its cells, and how it looks in a terminal."""

from clusterlib.demo.results import Comparison, Score

HEADINGS = ("", "speed", "wrong labels", "loss per row", "seconds", "accuracy", "NMI")
_WIDTHS = (14, 9, 14, 14, 10, 10, 7)


def format_speed(ratio: float) -> str:
    """Write a ratio of times.

    Parameters
    ----------
    ratio : float
        Positive.

    Returns
    -------
    str

    Examples
    --------
    >>> format_speed(3.14159), format_speed(0.9), format_speed(42.4)
    ('3.14 x', '0.90 x', '42 x')
    """
    return f"{ratio:.{2 if ratio < 10 else 0}f} x"


def cells(score: Score, speed: float) -> tuple[str, ...]:
    """Write one line of the table.

    Parameters
    ----------
    score : Score
    speed : float
        Time of scikit-learn divided by the time of this line.

    Returns
    -------
    tuple of str
        As many as there are headings.
    """
    return (
        score.library,
        format_speed(speed),
        f"{score.wrong_labels:,}",
        f"{score.loss:,.6g}",
        f"{score.seconds:.4f}",
        "" if score.accuracy is None else f"{score.accuracy:.3f}",
        "" if score.nmi is None else f"{score.nmi:.3f}",
    )


def lines_of(comparison: Comparison) -> list[tuple[str, ...]]:
    """Write both lines of a comparison.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of tuple of str
        Ours first.
    """
    return [cells(comparison.ours, comparison.speed), cells(comparison.theirs, 1.0)]


def format_table(comparisons: list[Comparison]) -> str:
    """Write the table for a terminal.

    Parameters
    ----------
    comparisons : list of Comparison

    Returns
    -------
    str
        ASCII, at most 80 columns but for long job titles.
    """

    def line(row: tuple[str, ...]) -> str:
        first, *rest = zip(row, _WIDTHS, strict=True)
        return f"  {first[0]:<{first[1]}}" + "".join(f"{cell:>{width}}" for cell, width in rest)

    rule = "-" * (2 + sum(_WIDTHS))
    text = [line(HEADINGS), rule]
    for comparison in comparisons:
        text.append(f"{comparison.job} ({comparison.data})")
        text.extend(line(row) for row in lines_of(comparison))
    return "\n".join([*text, rule])
