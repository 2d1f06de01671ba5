"""Drawings as markup that needs nothing from outside the page. matplotlib is the extra ``plot``."""

import base64
import importlib.util
import io
import re
from html import escape

import numpy as np

# Stand-in colours that matplotlib writes into the SVG; the page's style sheet gives them their
# light and their dark value.
INK, PAPER, OURS, THEIRS, FAINT = "#010101", "#010102", "#010103", "#010104", "#010105"
_VARIABLES = {
    INK: "var(--ink)",
    PAPER: "var(--paper)",
    OURS: "var(--ours)",
    THEIRS: "var(--theirs)",
    FAINT: "var(--faint)",
}
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


def available() -> bool:
    """Tell whether matplotlib can be imported.

    Returns
    -------
    bool
    """
    return importlib.util.find_spec("matplotlib") is not None


def draw_svg(name: str, size: tuple[float, float], alt: str, paint) -> str:
    """Draw with matplotlib and return an inline SVG that follows the colours of the page.

    Parameters
    ----------
    name : str
        Unique on the page: it begins the ids inside the SVG.
    size : (width, height)
        In inches, as it looks on a phone; wider screens enlarge it.
    alt : str
        What a reader who cannot see the figure is told.
    paint : callable(figure)
        Draws on a :class:`matplotlib.figure.Figure`.

    Returns
    -------
    str
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    svg = re.sub(r"(font:[^;\"]*?px) [^;\"]*", r"\1 var(--sans)", svg)
    box = re.search(r'viewBox="[^"]*"', svg).group()
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label="{escape(alt)}">'
    return re.sub(r"<svg.*?>", lambda _: head, svg, count=1, flags=re.DOTALL)


def draw_image(pixels: np.ndarray, alt: str, *, photograph: bool = False) -> str:
    """Return an image element with the pixels inside.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    alt : str
    photograph : bool, default False
        Compress as a photograph (JPEG); otherwise every pixel is kept (PNG).

    Returns
    -------
    str
    """
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    kind = "jpeg" if photograph else "png"
    options = {"quality": 88} if photograph else {"optimize": True}
    imsave(buffer, pixels, format=kind, pil_kwargs=options)
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    height, width = pixels.shape[:2]
    return (
        f'<img src="data:image/{kind};base64,{code}" width="{width}" height="{height}" '
        f'alt="{escape(alt)}">'
    )


def side_by_side(panels: list[tuple[str, str]]) -> str:
    """Set images beside each other, below each other on a phone.

    Parameters
    ----------
    panels : list of (title, markup)

    Returns
    -------
    str
    """
    cells = (f"<div>{markup}<p>{escape(title)}</p></div>" for title, markup in panels)
    return f'<div class="panels">{"".join(cells)}</div>'
