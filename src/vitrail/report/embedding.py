"""Figures and images as text inside the page: nothing is fetched, nothing from outside becomes markup."""

from __future__ import annotations

import base64
import io
import re
import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy import ndarray
from PIL import Image, features

from vitrail.plots import as_colors, style
from vitrail.report.downloads import figure_link
from vitrail.report.elements import Drawing, Picture

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_THEME = {
    style.INK: "var(--ink)",
    style.SOFT: "var(--soft)",
    style.GRID: "var(--grid)",
    **{color: f"var(--series-{i})" for i, color in enumerate(style.SERIES)},
}
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_FONT_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_REFERENCE = re.compile(r"url\(#([^)]*)\)|^#(.*)")
_SMALL = 64
_LARGE = 40_000
"""Bytes of a PNG inside a figure from which on it is worth a loss."""
_MOST_ZOOM = 1.5
_ROOM_BESIDE = 5.2
"""Inches from which on a figure stands alone."""


def draw(figure: Figure, key: str, alt: str, caption: str = "", wide: bool | None = None) -> Drawing:
    """The figure as a part of the page, an `<svg role="img">` whose colours and fonts are the page's.

    `key` keeps the identifiers inside one figure apart from those of every other on the page; `wide` is by default
    whether it is.
    """
    written = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}), warnings.catch_warnings():
        # The browser has fonts for names that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(written, format="svg", metadata=nothing, dpi=150)
    root = ElementTree.fromstring(written.getvalue())
    for parent in root.iter():
        for child in [child for child in parent if child.tag in (f"{_SVG}metadata", f"{_SVG}style")]:
            parent.remove(child)
    elements = list(root.iter())
    used = {name for element in elements for value in element.attrib.values() for name in _references(value)}
    for element in elements:
        element.tag = element.tag.removeprefix(_SVG)
        _adapt(element, key, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    file = figure_link(_alone(root), key)
    # Beyond this, letters would outgrow those of the page.
    widest = round(_MOST_ZOOM * 72 * figure.get_figwidth())
    root.attrib |= {"role": "img", "aria-label": alt, "style": f"max-width:{widest}px"}
    svg = Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=True))
    return Drawing(svg, caption, figure.get_figwidth() > _ROOM_BESIDE if wide is None else wide, file)


def _alone(root: ElementTree.Element) -> str:
    """The figure as a file: in the colours of a light page, in the size that it was drawn in."""
    _, _, width, height = root.attrib["viewBox"].split()
    text = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
    for color, variable in _THEME.items():
        text = text.replace(variable, color)
    size = f'width="{width}pt" height="{height}pt" font-family="sans-serif"'
    return text.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" {size} ', 1)


def _references(value: str) -> list[str]:
    return [a or b for a, b in _REFERENCE.findall(value)]


def _adapt(element: ElementTree.Element, key: str, used: set[str]) -> None:
    attributes = dict(element.attrib)
    element.attrib.clear()
    for name, value in attributes.items():
        if name == "id" and value not in used:
            continue
        if name == "id":
            value = f"{key}-{value}"
        elif name == _HREF:
            name, value = "href", _smaller(value) if value.startswith("data:") else f"#{key}-{value[1:]}"
        elif name == "style":
            value = _FONT_FAMILY.sub("", value)
            value = _COLOR.sub(lambda color: _THEME.get(color.group(), color.group()), value)
            value = value.replace("; ", ";").replace(": ", ":").rstrip("; ")
        element.set(name, value.replace("url(#", f"url(#{key}-"))


def _smaller(uri: str) -> str:
    """A large picture at a fraction of the size: what has few colours exactly, a photograph at a small loss."""
    png = base64.b64decode(uri.partition(",")[2])
    if len(png) < _LARGE or not features.check("webp"):
        return uri
    exact, close = io.BytesIO(), io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.save(exact, format="WEBP", lossless=True, exact=True)
        picture.save(close, format="WEBP", quality=85)
    smaller = min(exact.getvalue(), close.getvalue(), key=len)
    return f"data:image/webp;base64,{base64.b64encode(smaller).decode()}"


def embed(image: UInt8[ndarray, "c h w"], alt: str) -> Picture:
    """A small image exactly, as PNG; one above 64 pixels as JPEG of at most 256, to keep the page small."""
    picture = Image.fromarray(np.ascontiguousarray(as_colors(image)))
    small = is_small(image)
    if not small:
        picture.thumbnail((256, 256))
    return Picture(data_uri(picture, small), alt, small, picture.size)


def is_small(image: UInt8[ndarray, "c h w"]) -> bool:
    """Whether an image is shown with its pixels as squares."""
    return bool(max(image.shape[-2:]) <= _SMALL)


def data_uri(picture: Image.Image, exact: bool) -> str:
    """As PNG, or as JPEG."""
    written, kind = io.BytesIO(), "png" if exact else "jpeg"
    picture.save(written, format=kind.upper(), optimize=True, **({} if exact else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"
