"""How a kernel shows matplotlib figures: a drawing in the page's colours and fonts, and a PNG for other readers."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWING = "application/x-vitrail-drawing"
"""The media type of SVG whose colours are the page's: no notebook reader takes it for something to show."""

_DPI = 144
_POINTS = 72


def register() -> None:
    """From now on, every figure that a cell shows comes in both forms. Runs inside the kernel."""
    from IPython import get_ipython

    numbers = itertools.count(1)
    formatter = get_ipython().display_formatter.mimebundle_formatter
    formatter.for_type_by_name("matplotlib.figure", "Figure", lambda figure: _bundle(figure, next(numbers)))


def _bundle(figure: Figure, number: int) -> dict[str, str | bytes]:
    from vitrail.report.embedding import draw

    png = io.BytesIO()
    # Most figures are transparent and drawn in dark ink.
    figure.savefig(png, format="png", dpi=_DPI, facecolor="white")
    # On a phone a wide figure scrolls in its box: smaller than this, its text cannot be read.
    least = round(_POINTS * figure.get_figwidth())
    svg = str(draw(figure, f"figure-{number}", _meaning(figure)).svg)
    svg = svg.replace('style="max-width:', f'style="min-width:{least}px;max-width:', 1)
    return {DRAWING: svg, "image/png": png.getvalue()}


def _meaning(figure: Figure) -> str:
    """What a screen reader says: the figure's own label, or its titles."""
    titles = [title for axes in figure.axes for place in ("left", "center") if (title := axes.get_title(place))]
    return str(figure.get_label() or figure.get_suptitle() or "; ".join(titles) or "figure")
