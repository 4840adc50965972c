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
from PIL import Image

from vitrail.plots import as_colors, style

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
_MOST_ZOOM = 1.5


def inline_svg(figure: Figure, key: str, alt: str) -> Markup:
    """The figure as an `<svg role="img">` whose colours and fonts are the page's.

    `key` keeps the identifiers inside one figure apart from those of every other on the page.
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
    # Beyond this, letters would outgrow those of the page.
    widest = round(_MOST_ZOOM * 72 * figure.get_figwidth())
    root.attrib |= {"role": "img", "aria-label": alt, "style": f"max-width:{widest}px"}
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=True))


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
            name, value = "href", value if value.startswith("data:") else f"#{key}-{value[1:]}"
        elif name == "style":
            value = _FONT_FAMILY.sub("", value)
            value = _COLOR.sub(lambda color: _THEME.get(color.group(), color.group()), value)
            value = value.replace("; ", ";").replace(": ", ":").rstrip("; ")
        element.set(name, value.replace("url(#", f"url(#{key}-"))


def data_uri(image: UInt8[ndarray, "c h w"]) -> str:
    """A small image exactly, as PNG; one above 64 pixels as JPEG of at most 256, to keep the page small."""
    picture = Image.fromarray(np.ascontiguousarray(as_colors(image)))
    written = io.BytesIO()
    if max(picture.size) <= _SMALL:
        picture.save(written, format="PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((256, 256))
        picture.save(written, format="JPEG", quality=85)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"


def is_small(image: UInt8[ndarray, "c h w"]) -> bool:
    """Whether an image is shown with its pixels as squares."""
    return bool(max(image.shape[-2:]) <= _SMALL)
