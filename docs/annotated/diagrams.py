"""The document's diagrams: the Transformer of 2017, the Vision Transformer of 2021, and their parts.

Each function returns a figure. Things flow upwards, as in both papers, and a colour means the same in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from annotated.sketch import Box, Point, Sketch
from vitrail.plots.style import SERIES

LINEAR, ATTENTION, SOFTMAX, EMBEDDING, NORM, MLP = SERIES

Norm = Literal["pre", "post"]
Sublayer = tuple[str, str]
"""The text and the colour of a box inside a block."""

_SELF: Sublayer = ("Multi-head\nself-attention", ATTENTION)
_MASKED: Sublayer = ("Masked multi-head\nself-attention", ATTENTION)
_CROSS: Sublayer = ("Multi-head\ncross-attention", ATTENTION)
_FEED_FORWARD: Sublayer = ("Feed-forward\nnetwork", MLP)
_MLP: Sublayer = ("MLP", MLP)

_WIDE = 1.45
_TALL = 0.42
_LOW = 0.26
_GAP = 0.2
_AROUND = 0.22
"""How far outside its boxes a residual connection runs."""


def encoder_decoder() -> Figure:
    """The Transformer (Vaswani et al. 2017, figure 1)."""
    sketch = Sketch(
        6.5,
        8.0,
        "The Transformer: the source sentence goes up a stack of encoder blocks; a stack of decoder blocks sees the"
        " words written so far through masked self-attention, and the encoder's output through cross-attention",
    )
    encoder_x, decoder_x, floor = 1.75, 4.72, 1.75
    for x, source in ((encoder_x, "source sentence"), (decoder_x, "words written so far")):
        sketch.note((x, 0.13), source)
        embedding = sketch.box(Box(x, 0.6, _WIDE, _TALL), "Embedding", EMBEDDING)
        sketch.arrow((x, 0.23), embedding.bottom)
        total = sketch.plus((x, 1.15))
        sketch.arrow(embedding.top, total.bottom)
        side = -1 if x == encoder_x else 1
        sketch.note((x + side * 0.72, 1.15), "positions")
        sketch.arrow((x + side * 0.4, 1.15), (x + side * total.width / 2, 1.15))
        sketch.line(total.top, (x, floor))

    _, top = _block(sketch, (encoder_x, floor), (_SELF, _FEED_FORWARD), "post", side=-1)
    _repeated(sketch, encoder_x, floor, top, "N ×\nencoder\nblock", side=-1)
    [_, cross, _], decoder_top = _block(sketch, (decoder_x, floor), (_MASKED, _CROSS, _FEED_FORWARD), "post", side=1)
    _repeated(sketch, decoder_x, floor, decoder_top, "N ×\ndecoder\nblock", side=1)

    between, over = (encoder_x + decoder_x) / 2, top + 0.36
    sketch.arrow((encoder_x, top), (encoder_x, over), (between, over), (between, cross.y), cross.left, color=LINEAR)
    sketch.note((between - 0.08, cross.y + 0.13), "keys and\nvalues", ha="right", color=LINEAR)
    sketch.note((encoder_x, over + 0.14), "the encoder's output", color=LINEAR)

    linear = sketch.box(Box(decoder_x, decoder_top + 0.45, _WIDE, _LOW), "Linear", LINEAR)
    softmax = sketch.box(Box(decoder_x, linear.y + 0.46, _WIDE, _LOW), "Softmax", SOFTMAX)
    sketch.arrow((decoder_x, decoder_top), linear.bottom)
    sketch.arrow(linear.top, softmax.bottom)
    sketch.arrow(softmax.top, (decoder_x, softmax.y + 0.36))
    sketch.note((decoder_x, softmax.y + 0.46), "probabilities of the next word")
    return sketch.figure


def vision_transformer() -> Figure:
    """The Vision Transformer (Dosovitskiy et al. 2021, figure 1)."""
    sketch = Sketch(
        6.4,
        4.75,
        "The Vision Transformer: an image is cut into nine patches; each is projected linearly to a token; a class"
        " token is put before them and a position added to each; encoder blocks mix the tokens; the head reads the"
        " class token",
    )
    image = _landscape(60)
    slots = [1.62 + 0.5 * i for i in range(10)]
    size, row = 0.38, 0.62
    middle = (slots[1] + slots[-1]) / 2
    across = slots[-1] - slots[1] + size

    third = len(image) // 3
    for i, x in enumerate(slots[1:]):
        top, left = third * (i // 3), third * (i % 3)
        patch = image[top : top + third, left : left + third]
        _picture(sketch, patch, Box(x, row, size, size))
        column, line = i % 3 - 1, 1 - i // 3
        _picture(sketch, patch, Box(0.6 + 0.36 * column, row + 0.36 * line, 0.34, 0.34))
    sketch.arrow((1.22, row), (slots[1] - 0.25, row))

    projection = sketch.box(Box(middle, 1.3, across, _LOW), "Linear projection E of each flattened patch", LINEAR)
    token_y, position_y = 1.95, 2.21
    encoder = sketch.box(
        Box((slots[0] + slots[-1]) / 2, 2.98, slots[-1] - slots[0] + size, 0.62),
        "L × encoder block\nevery token attends to every token",
        ATTENTION,
    )
    for i, x in enumerate(slots):
        name = f"x{_below(i)}E" if i else "class"
        token = sketch.box(Box(x, token_y, size, 0.26), name, LINEAR if i else SOFTMAX, fontsize=8)
        position = sketch.box(Box(x, position_y, size, 0.26), f"+ p{_below(i)}", EMBEDDING, fontsize=8)
        if i:
            sketch.arrow((x, row + size / 2), (x, projection.bottom[1]))
            sketch.arrow((x, projection.top[1]), token.bottom)
        sketch.arrow(position.top, (x, encoder.bottom[1]))
    for y, text in ((token_y, "tokens"), (position_y, "+ positions")):
        sketch.note((1.22, y), text, ha="right")

    head = sketch.box(Box(slots[0] + 0.34, 3.92, 1.06, _TALL), "LayerNorm\nand head", NORM)
    sketch.arrow((slots[0], encoder.top[1]), (slots[0], head.bottom[1]))
    sketch.note((slots[0] + 0.12, 3.5), "the class token alone is read", ha="left")
    sketch.arrow(head.top, (head.x, 4.42))
    sketch.note((head.x, 4.54), "one score for each class")
    return sketch.figure


def encoder_block(*norms: Norm) -> Figure:
    """An encoder block, normalised before ("pre", as in a ViT) or after each part ("post", as in 2017), or both."""
    pitch = 2.9
    sketch = Sketch(
        pitch * len(norms),
        4.6,
        "; ".join(
            f"{norm}-norm encoder block: layer norm {'before' if norm == 'pre' else 'after'} attention and MLP"
            for norm in norms
        ),
    )
    formulas = {"pre": "x + f(LN(x))", "post": "LN(x + f(x))"}
    for i, norm in enumerate(norms):
        x, floor = pitch * (i + 0.5), 0.55
        sketch.line((x, 0.28), (x, floor))
        sketch.note((x, 0.16), "tokens")
        _, top = _block(sketch, (x, floor), (_SELF, _MLP), norm, side=1)
        sketch.arrow((x, top), (x, top + 0.28))
        sketch.text((x, 4.46), f"{norm}-norm", weight="bold")
        sketch.note((x, 4.27), formulas[norm])
    return sketch.figure


def decoder_block() -> Figure:
    """A decoder block of the Transformer, normalised after each part as in 2017."""
    sketch = Sketch(
        4.6,
        5.75,
        "Decoder block: masked self-attention, cross-attention to the encoder's output, and a feed-forward network,"
        " each added to its input and then normalised",
    )
    x, floor = 2.75, 0.6
    sketch.note((x, 0.14), "words written so far")
    sketch.line((x, 0.26), (x, floor))
    [_, cross, _], top = _block(sketch, (x, floor), (_MASKED, _CROSS, _FEED_FORWARD), "post", side=1)
    sketch.arrow((x, top), (x, top + 0.3))
    sketch.note((x, top + 0.42), "to the next block")
    sketch.arrow((1.2, cross.y), cross.left, color=LINEAR)
    sketch.note((1.12, cross.y), "keys and values\nfrom the encoder's\noutput", ha="right", color=LINEAR)
    sketch.note((x - 0.08, cross.bottom[1] - 0.11), "queries", ha="right")
    return sketch.figure


def scaled_dot_product_attention() -> Figure:
    """One attention: from queries, keys and values to a mix of the values (Vaswani et al. 2017, equation 1)."""
    sketch = Sketch(
        4.9,
        4.1,
        "Scaled dot-product attention: queries times keys, scaled, optionally masked, softmax, times values",
    )
    q, k, v = 0.9, 1.7, 2.5
    middle = (q + k) / 2
    steps = [
        (0.85, "Q Kᵀ", ATTENTION, "a score for every query and key"),
        (1.4, "/ √d", NORM, "scores as large at any width"),
        (1.95, "+ mask (decoder only)", EMBEDDING, "−∞ where it may not look"),
        (2.5, "Softmax", SOFTMAX, "every query's weights sum to 1"),
    ]
    boxes = [sketch.box(Box(middle, y, 1.55, _LOW), text, color) for y, text, color, _ in steps]
    for box, (*_, meaning) in zip(boxes, steps, strict=True):
        sketch.note((v + 0.14, box.y), meaning, ha="left")
    for below, above in pairwise(boxes):
        sketch.arrow(below.top, above.bottom)
    product = sketch.box(Box((middle + v) / 2, 3.2, 2.0, _LOW), "weights × V", ATTENTION)
    sketch.arrow(boxes[-1].top, (middle, product.bottom[1]))
    sketch.note((middle - 0.1, 2.84), "weights", ha="right")
    for x, name in ((q, "Q"), (k, "K"), (v, "V")):
        sketch.text((x, 0.3), name, weight="bold", fontsize=10)
        sketch.arrow((x, 0.42), (x, product.bottom[1] if x == v else boxes[0].bottom[1]))
    sketch.note((v + 0.14, 0.3), "queries, keys, values", ha="left")
    sketch.arrow(product.top, (product.x, 3.72))
    sketch.note((product.x, 3.86), "for every query, a mix of the values")
    return sketch.figure


def multi_head_attention() -> Figure:
    """Several attentions side by side (Vaswani et al. 2017, section 3.2.2)."""
    sketch = Sketch(
        4.6,
        4.0,
        "Multi-head attention: queries, keys and values are projected once for each head, every head attends on its"
        " own, the results are concatenated and projected",
    )
    x, pitch, behind, heads = 1.75, 1.0, 0.07, 3

    def in_every_head(box: Box, text: str, color: str) -> Box:
        for i in reversed(range(1, heads)):
            sketch.behind(box, i * behind, color)
        return sketch.box(box, text, color)

    attention = in_every_head(Box(x, 2.0, 2.85, _TALL), "Scaled dot-product attention", ATTENTION)
    for i, name in enumerate("QKV"):
        at = x + pitch * (i - 1)
        linear = in_every_head(Box(at, 1.05, 0.75, _LOW), "Linear", LINEAR)
        sketch.text((at, 0.3), name, weight="bold", fontsize=10)
        sketch.arrow((at, 0.42), linear.bottom)
        sketch.arrow((at, linear.top[1] + (heads - 1) * behind), (at, attention.bottom[1]))
    concat = sketch.box(Box(x, 2.85, 2.0, _LOW), "Concatenate", NORM)
    out = sketch.box(Box(x, 3.4, 2.0, _LOW), "Linear", LINEAR)
    sketch.arrow((x, attention.top[1] + (heads - 1) * behind), concat.bottom)
    sketch.arrow(concat.top, out.bottom)
    sketch.arrow(out.top, (x, 3.85))
    for y, text in (
        (1.05, "own projections\nin every head"),
        (2.0, "h heads,\nside by side"),
        (2.85, "back to the\nmodel's width"),
        (3.4, "mixes the heads"),
    ):
        sketch.note((3.5, y), text, ha="left")
    return sketch.figure


def _block(sketch: Sketch, at: Point, sublayers: Sequence[Sublayer], norm: Norm, side: int) -> tuple[list[Box], float]:
    """Sublayers from `at` upwards, each with its norm and its residual connection on one side (-1: left, 1: right).

    Gives the sublayers' boxes and the height at which the last output leaves.
    """
    x, y = at
    boxes = []
    around = x + side * (_WIDE / 2 + _AROUND)
    for text, color in sublayers:
        parts = [(text, color, _TALL)]
        if norm == "pre":
            parts.insert(0, ("LayerNorm", NORM, _LOW))
        below = branch = (x, y)
        for text, color, height in parts:
            box = sketch.box(Box(x, below[1] + _GAP + height / 2, _WIDE, height), text, color)
            sketch.arrow(below, box.bottom)
            below = box.top
        boxes.append(box)
        total = sketch.plus((x, below[1] + _GAP + 0.085))
        sketch.arrow(below, total.bottom)
        entry = total.right if side > 0 else total.left
        sketch.arrow(branch, (around, branch[1]), (around, total.y), entry)
        y = total.top[1]
        if norm == "post":
            box = sketch.box(Box(x, y + 0.15 + _LOW / 2, _WIDE, _LOW), "LayerNorm", NORM)
            sketch.arrow(total.top, box.bottom)
            y = box.top[1]
        sketch.line((x, y), (x, y + 0.1))
        y += 0.1
    return boxes, y


def _repeated(sketch: Sketch, x: float, floor: float, top: float, text: str, side: int) -> None:
    """A frame around a block, with what it is beside it."""
    low, high, inside, outside = floor - 0.15, top - 0.02, _WIDE / 2 + 0.12, _WIDE / 2 + _AROUND + 0.12
    left, right = (x - outside, x + inside) if side < 0 else (x - inside, x + outside)
    sketch.frame(Box((left + right) / 2, (low + high) / 2, right - left, high - low))
    edge = left - 0.08 if side < 0 else right + 0.08
    sketch.note((edge, (low + high) / 2), text, ha="right" if side < 0 else "left")


def _landscape(size: int) -> np.ndarray:
    """A square picture to cut up: a sun over two hills."""
    y, x = np.mgrid[0:size, 0:size] / size
    picture = np.stack([0.55 + 0.3 * y, 0.75 + 0.12 * y, 0.95 - 0.05 * y], axis=-1)
    picture[(x - 0.7) ** 2 + (y - 0.28) ** 2 < 0.022] = (0.98, 0.78, 0.25)
    picture[y > 0.62 + 0.12 * np.sin(5 * x + 0.6)] = (0.36, 0.62, 0.5)
    picture[y > 0.8 - 0.14 * np.sin(4 * x - 0.4)] = (0.16, 0.42, 0.36)
    return picture


def _picture(sketch: Sketch, picture: np.ndarray, box: Box) -> None:
    (left, _), (right, _), (_, low), (_, high) = box.left, box.right, box.bottom, box.top
    sketch.axes.imshow(picture, extent=(left, right, low, high), aspect="auto", interpolation="nearest")


def _below(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
