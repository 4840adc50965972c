"""The page of `vitrail explain` says of every image what its arrays say."""

from __future__ import annotations

import numpy as np
import pytest
from builders import explanation, measured, uniform_attention
from pages import Page, check

from vitrail.errors import InputError
from vitrail.report.explanation_page import FIGURES, explanation_figures, explanation_page, show_explanation

CLASSES = ("cat", "dog", "fish")
METHODS = "Methods, and how far to trust them"


def shown(*explanations: object, patch_size: int | None = 8, **options: object) -> Page:
    settled = {"class_names": CLASSES, "measured": None, "layer": None, "head": None, **options}
    names, measured, *place = settled.values()
    images = [
        show_explanation(str(i), one, explanation_figures(one, names, patch_size, *place), names, measured)
        for i, one in enumerate(explanations)
    ]
    found = Page(
        explanation_page("three animals", images, {"stages" if patch_size is None else "tokens"}, measured, *place)
    )
    check(found)
    return found


def texts(figure: object) -> list[str]:
    return [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.fixture(scope="module")
def vit() -> Page:
    return shown(explanation())


def test_the_answer_comes_first(vit: Page) -> None:
    assert vit.says("The maps explain fish, the class that the model predicts, with 80.0 %.")
    assert vit.says("fish (explained) 80.0 % cat 10.0 % dog 10.0 %")
    assert vit.says("What the model bases its answer on in 1 image.")


def test_another_class_can_be_explained() -> None:
    found = shown(explanation("cnn", target=0), patch_size=None)
    assert found.says("The maps explain cat, to which the model gives 10.0 %.")
    assert found.says("what speaks for cat, by each method")
    assert [a["class"] for a in found.all("li") if "class" in a] == ["true"]


def test_of_many_classes_the_explained_one_is_among_those_shown() -> None:
    names = tuple(f"class {i}" for i in range(50))
    one = explanation(classes=50, target=30)
    found = shown(one, class_names=names)
    assert found.says("class 30 (explained)")
    assert len([a for a in found.all("span") if a.get("class") == "probability"]) == 5
    assert "class 30 (explained)" in texts(explanation_figures(one, names, 8)["lens"][0])


def test_methods_have_their_trust_on_this_image_and_on_many(vit: Page) -> None:
    assert vit.rows(METHODS) == [["relevancy", "yes", "+0.31"], ["random (control)", "no", "−0.05"]]
    assert "trust +0.31" in vit.words
    many = shown(explanation("cnn"), patch_size=None, measured=measured(("grad-cam", "random")))
    half = f"{2.262 * np.std([0.1, -0.1] * 5, ddof=1) / np.sqrt(10):.2f}"
    assert many.rows(METHODS) == [
        ["grad-cam", "yes", "+0.31", f"+0.50 ± {half}"],
        ["random (control)", "no", "−0.05", f"+0.40 ± {half}"],
    ]
    assert many.says("mean of 10 images ± half of the 95 % interval")
    assert many.says("Whether to believe the maps")
    assert not vit.says("Whether to believe the maps")


def test_methods_stand_by_their_trust_and_controls_apart_and_last() -> None:
    rng = np.random.default_rng(0)
    methods = ("random", "grad-cam", "occlusion", "centre", "integrated-gradients")
    maps, trust = rng.random((5, 32, 32)).astype(np.float32), np.array([0.9, 0.1, 0.3, 0.95, np.nan], np.float32)
    maps[4] = 0
    one = explanation("cnn", methods=methods, maps=maps, trust=trust)
    found = shown(one, patch_size=None)
    ranked = ["occlusion", "grad-cam", "integrated-gradients", "centre (control)", "random (control)"]
    assert [row[0] for row in found.rows(METHODS)] == ranked
    figures = explanation_figures(one, CLASSES, None)
    drawn = {
        name: [text for text in texts(figures[name][0]) if text in ranked] for name in ("attributions", "controls")
    }
    assert drawn == {"attributions": ranked[:3], "controls": ranked[3:]}
    assert "know nothing of the model" in " ".join(texts(figures["controls"][0]))
    assert found.says("controls make maps without asking the model")


def test_no_trust_is_written_without_a_sign() -> None:
    found = shown(explanation("cnn", trust=np.array([-0.001, 0.0], np.float32)), patch_size=None)
    assert [row[2] for row in found.rows(METHODS)] == ["0.00", "0.00"]


def test_a_map_that_is_zero_everywhere_has_no_trust() -> None:
    one = explanation("cnn")
    one.maps[0] = 0
    found = shown(one, patch_size=None)
    assert [row[2] for row in found.rows(METHODS)] == ["zero everywhere", "−0.05"]
    assert "zero everywhere" in texts(explanation_figures(one, CLASSES, None)["attributions"][0])


def test_each_kind_of_model_has_its_figures(vit: Page) -> None:
    of_vit = explanation_figures(explanation(), CLASSES, 8)
    of_cnn = explanation_figures(explanation("cnn"), CLASSES, None)
    assert sorted(of_vit) == sorted(FIGURES)
    assert sorted(of_cnn) == ["attributions", "controls", "features"]
    titles = ("Where it looks", "How the answer forms", "Its tokens", "Its patches")
    cnn = shown(explanation("cnn"), patch_size=None)
    assert [title for title in titles if cnn.says(title)] == []
    assert [title for title in titles if vit.says(title)] == list(titles)
    assert cnn.says("What each stage computes")
    assert vit.says("What each layer computes")
    assert len(vit.all("svg")) == len(of_vit)


def test_what_a_picture_shows_is_also_said(vit: Page) -> None:
    labels = {svg["aria-label"] for svg in vit.all("svg")}
    assert "Length of the tokens of photo.png by depth. Outliers: row 1, column 1 (layer 1)." in labels
    assert "Probability of fish if the head reads the tokens at each depth: 33.3 %, 80.0 %, 80.0 %." in labels
    assert "photo.png, and the same with its patches shuffled: then predicted cat, 80.0 %." in labels


def test_one_layer_or_head_alone() -> None:
    one = explanation(attention=uniform_attention(3, 2, 4, 4))
    rows = lambda **chosen: texts(explanation_figures(one, CLASSES, 8, **chosen)["attention"][0])  # noqa: E731
    assert {"layer 0", "layer 1", "layer 2", "head 0", "head 1", "mean"} <= set(rows())
    assert {"layer 1", "head 0", "head 1"} <= set(rows(layer=1))
    assert not {"layer 0", "layer 2"} & set(rows(layer=1))
    assert {"layer 2", "head 1"} <= set(rows(layer=-1, head=1))
    assert not {"head 0", "mean"} & set(rows(layer=-1, head=1))
    assert [name for name in rows(head=1) if name.startswith("layer")] == [f"layer {i}" for i in range(3)]
    with pytest.raises(InputError, match="there is no layer 3"):
        explanation_figures(one, CLASSES, 8, layer=3)
    assert shown(one, layer=1, head=0).says("Where it looks, layer 1 and head 0 only")


def test_many_images_are_listed_first_and_explained_once() -> None:
    found = shown(*(explanation("cnn", name=f"{i}.png") for i in range(3)), patch_size=None)
    links = [a["href"] for a in found.all("a") if a["href"].startswith("#image")]
    assert links == ["#image-0", "#image-1", "#image-2"]
    assert " ".join(found.words.split()).count("each is put to the test") == 1
    assert found.words.count("The maps explain") == 3


def test_names_are_inert() -> None:
    evil = '"><script>alert(1)</script>\u202e'
    found = shown(explanation(name=evil), class_names=(evil, "<b>dog", evil), measured=measured((evil, "random")))
    assert "<script" not in found.text.lower()
    assert "<b>dog" not in found.text
    assert "\u202e" not in found.text
    assert found.says("<script>alert(1)</script>")


def test_photographs_stay_below_two_megabytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    one = explanation(size=(224, 224), image=noise, attention=uniform_attention(12, 12, 28, 28))
    assert len(shown(one).text) < 2_000_000
