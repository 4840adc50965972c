"""What a kernel makes of a figure."""

from matplotlib.figure import Figure

from site_builder.figures import DRAWING, _bundle


def test_a_figure_comes_as_a_drawing_that_keeps_its_letters_readable_and_as_png():
    figure = Figure(figsize=(4, 2))
    figure.add_subplot().set_title("loss")
    bundle = _bundle(figure, 3)
    assert bundle["image/png"].startswith(b"\x89PNG")
    drawing = bundle[DRAWING]
    assert drawing.startswith("<svg")
    assert 'aria-label="loss"' in drawing
    assert "min-width:288px" in drawing
    assert "figure-3-" in drawing or "url(#" not in drawing
