"""The page: one HTML file that needs no script, no network and no other file."""

from html import escape

from clusterlib.demo import figures
from clusterlib.demo.page_style import CSS
from clusterlib.demo.photographs import CREDITS
from clusterlib.demo.results import Comparison, Section
from clusterlib.demo.table import HEADINGS, format_speed, lines_of

NO_FIGURES = (
    "This page has no figures, because matplotlib is not installed: "
    'pip install "clusterlib-native[plot]" and run the demo again.'
)
LEAD = (
    "K-means on data that ship with scikit-learn, beside scikit-learn: how good, how exact and "
    "how fast. Every number on this page was worked out by the run that wrote it."
)
READING = (
    "Speed is the time of scikit-learn divided by the time of the line: above 1 is faster than "
    "scikit-learn. Both libraries get the same rows, the same start and the same threads and take "
    "turns; seconds are the median of the repeats. A label is wrong when another of the library's "
    "own centres is nearer to the row. Wrong labels and loss are worked out in double precision "
    "by the same lines of NumPy for both libraries; loss is the mean squared distance of a row to "
    "its centre (SphericalKMeans: the mean of one minus the cosine)."
)


def _row(kind: str, row: tuple[str, ...]) -> str:
    library, *numbers = (escape(cell) for cell in row)
    inner = "".join(f"<td>{number}</td>" for number in numbers)
    return f'<tr class="{kind}"><th scope="row">{library}</th>{inner}</tr>'


def _table(comparisons: list[Comparison]) -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in HEADINGS)
    bodies = []
    for comparison in comparisons:
        ours, theirs = lines_of(comparison)
        title = f"{escape(comparison.job)}<small>{escape(comparison.data)}</small>"
        bodies.append(
            f'<tbody><tr class="job"><th colspan="{len(HEADINGS)}" scope="rowgroup">{title}</th>'
            f"</tr>{_row('ours', ours)}{_row('theirs', theirs)}</tbody>"
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Results">'
        f"<table><thead><tr>{head}</tr></thead>{''.join(bodies)}</table></div>"
    )


def _draw_speeds(comparisons: list[Comparison]) -> str:
    def paint(figure):
        axes = figure.subplots()
        places = range(len(comparisons))
        speeds = [comparison.speed for comparison in comparisons]
        axes.barh(places, speeds, 0.36, color=figures.OURS)
        for place, comparison in zip(places, comparisons, strict=True):
            across = axes.get_yaxis_transform()
            axes.text(0, place - 0.27, comparison.job, fontsize=9.5, transform=across)
            speed = format_speed(comparison.speed)
            axes.text(1.02, place, speed, fontsize=9.5, va="center", transform=across)
            axes.vlines(1.0, place - 0.18, place + 0.18, color=figures.THEIRS, linewidth=2)
        axes.set_ylim(len(comparisons) - 0.6, -0.75)
        axes.set_xlim(0, 1.05 * max(1.0, *speeds))
        axes.set_yticks([])
        axes.set_xlabel("times as fast as scikit-learn (mark: equally fast)")

    size = (4.0, 0.8 + 0.48 * len(comparisons))
    return figures.draw_svg("speeds", size, "Speed of clusterlib against scikit-learn", paint)


def _figure(markup: str, caption: str) -> str:
    return f"<figure>{markup}<figcaption>{escape(caption)}</figcaption></figure>"


def _section(section: Section, with_figures: bool) -> str:
    parts = [f"<section><h2>{escape(section.title)}</h2>"]
    if section.missing:
        parts.append(f'<p class="note">Not run: {escape(section.missing)}</p>')
    else:
        parts.append(f"<p>{escape(section.text)}</p>")
    if with_figures:
        drawn = (_figure(figure.draw(), figure.caption) for figure in section.figures)
        parts.append(f'<div class="figures">{"".join(drawn)}</div>')
    return "".join([*parts, "</section>"])


def build_page(facts: dict[str, str], notes: list[str], sections: list[Section]) -> str:
    """Write the page.

    Parameters
    ----------
    facts : dict of str to str
        The machine and the versions.
    notes : list of str
        What a reader must know before reading the numbers.
    sections : list of Section

    Returns
    -------
    str
        A whole HTML document.
    """
    comparisons = [comparison for section in sections for comparison in section.comparisons]
    with_figures = figures.available()
    if not with_figures:
        notes = [*notes, NO_FIGURES]
    machine = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    results = ""
    if comparisons:
        results = _table(comparisons)
        if with_figures:
            chart = _draw_speeds(comparisons)
            results = _figure(chart, "Speed of clusterlib, measured here and now.") + results
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>clusterlib demo</title><style>{CSS}</style></head><body><main>",
            "<h1>clusterlib, measured on this machine</h1>",
            f'<p class="lead">{LEAD}</p>',
            *(f'<p class="note">{escape(note)}</p>' for note in notes),
            f"<dl>{machine}</dl>",
            f"<h2>Results</h2>{results}<p>{escape(READING)}</p>",
            *(_section(section, with_figures) for section in sections),
            f"<footer>{escape(CREDITS)}</footer>",
            "</main></body></html>",
        ]
    )
