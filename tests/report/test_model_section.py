"""What a report shows of the inside of models: where the files are there, and only that."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import (
    NASTY,
    Recipe,
    kernel_view,
    measured,
    model_view,
    pair_view,
    sample_view,
    uniform_attention,
    write_comparison,
    write_inside,
    write_run,
)
from pages import Page, page
from PIL import Image
from safetensors.numpy import save_file

from vitrail.errors import InputError
from vitrail.inspection.summaries import store
from vitrail.plots.panels import map_scale, multiples
from vitrail.report import overlays, write_report
from vitrail.report.animation import attention_animation
from vitrail.report.heads import head_summary, positions_section
from vitrail.report.model_section import check_shapes
from vitrail.report.trust import measured_trust

SMALL = Recipe(epochs=1, steps_per_epoch=4, samples=3, mistakes=2)
SECTIONS = ("Where it looks", "What its heads do", "Positions and patches", "Whether to believe the maps")


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def run(directory: Path, recipe: Recipe = SMALL) -> Path:
    """No curves, which would be drawn for every page."""
    write_run(directory, recipe, keep=("samples",))
    (directory / "steps.jsonl").unlink()
    return directory


def inside(directory: Path, recipe: Recipe = SMALL, *views: object, **options: int) -> Page:
    return page(write_inside(run(directory / "run", recipe), recipe, *views, **options))


def comparison(directory: Path) -> Path:
    """No runs, whose curves would be drawn."""
    write_comparison(directory, seeds=1, epochs=1, samples=0, mistakes=0)
    for child in directory.glob("*-seed0"):
        shutil.rmtree(child)
    return directory


def of_history(directory: Path, epochs: int) -> Page:
    """The animation alone."""
    write_inside(run(directory), SMALL, epochs=epochs)
    (directory / "inspection.safetensors").unlink()
    return page(directory)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return inside(tmp_path_factory.mktemp("vit"))


def test_sections_are_there_when_their_file_is(tmp_path: Path, vit: Page) -> None:
    bare = page(run(tmp_path))
    assert [title for title in SECTIONS if bare.says(title)] == []
    assert len(bare.all("img")) == 5
    assert [title for title in SECTIONS if vit.says(title)] == list(SECTIONS)


def test_every_sample_has_its_maps(vit: Page) -> None:
    alts = [image["alt"] for image in vit.all("img")]
    assert alts.count("attention over this image") == alts.count("relevancy over this image") == 5
    assert vit.says("Below each image: where the last layer's attention goes")


def test_what_is_stored_in_part_is_shown_in_part(tmp_path: Path) -> None:
    only_samples = inside(tmp_path / "a", SMALL, sample_view(5, SMALL, attention=None), epochs=0)
    assert [title for title in SECTIONS if only_samples.says(title)] == [SECTIONS[0], SECTIONS[3]]
    assert not only_samples.says("Through training")
    only_model = inside(tmp_path / "b", SMALL, model_view(position_similarity=None, moved=None), epochs=0)
    assert [title for title in (*SECTIONS, "Patch filters") if only_model.says(title)] == [
        SECTIONS[1],
        SECTIONS[3],
        "Patch filters",
    ]
    only_animation = of_history(tmp_path / "c", 3)
    assert [title for title in SECTIONS if only_animation.says(title)] == [SECTIONS[0]]
    assert not only_animation.says("In every layer and head")


def test_heads_are_named_and_numbered(vit: Page) -> None:
    assert vit.rows("What the heads mainly do") == [
        ["looks everywhere", "3 of 6", "1.1, 2.0, 2.1"],
        ["looks left", "2 of 6", "0.0, 1.0"],
        ["mixed", "1 of 6", "0.1"],
    ]
    assert vit.rows("Every head")[2] == ["1.0", "looks left (copy of 0.0)", "12.0", "1.20", "0.02"]
    assert vit.says("one that looked at all patches alike 16.6")
    assert vit.says("0 nats is a single one, 4.17 all of them alike")


def test_a_copy_without_another_name_is_counted_as_one() -> None:
    assert head_summary(("mixed", "copy of 0.0", "mixed", "mixed"), 2).rows == [
        ["mixed", "3 of 4", "0.0, 1.0, 1.1"],
        ["is a copy of an earlier head", "1 of 4", "0.1"],
    ]


def test_heads_without_a_part_are_one_sentence(tmp_path: Path, vit: Page) -> None:
    view = model_view(head_names=("mixed", "copy of 0.0", *["mixed"] * 4))
    found = inside(tmp_path, SMALL, view, epochs=0)
    assert found.says("None of its 6 heads has a part of its own: over 200 test images")
    assert found.says("More epochs, or more images, would be needed")
    assert not found.says("What the heads mainly do")
    assert len(found.rows("Every head")) == 6
    assert not vit.says("has a part of its own")


def by_nearness(noise: float, side: int = 8) -> np.ndarray:
    """Similarities that fall with distance, and random ones beside."""
    y, x = np.divmod(np.arange(side * side), side)
    away = np.hypot(y[:, None] - y, x[:, None] - x)
    drawn = noise * np.random.default_rng(0).normal(size=away.shape)
    return (np.exp(-away) + drawn + drawn.T).reshape(side, side, side, side).astype(np.float32)


@pytest.mark.parametrize(
    ("noise", "pos_embed", "says"),
    [
        (0.0, "learned", ""),
        (0.1, "learned", ""),
        (50.0, "learned", "do not tell near patches from far ones"),
        (50.0, "learned2d", ""),
        (0.0, "sincos", "which training does not change"),
    ],
)
def test_positions_are_drawn_where_there_is_order_in_them(noise: float, pos_embed: str, says: str) -> None:
    section = positions_section(model_view(position_similarity=by_nearness(noise)), 10, True, pos_embed)
    assert says in section["no_order"]
    assert bool(section["no_order"]) is bool(says)
    assert (section["positions"] is None) is bool(says)


def test_measured_methods_stand_by_their_faithfulness_and_controls_last() -> None:
    found = measured(("random", "relevancy", "occlusion", "rollout"))
    swapped = replace(found, scores=tuple(found.scores[i] for i in (0, 3, 1, 2)))
    ranked = ["relevancy", "occlusion", "rollout", "random (control)"]
    assert [row[0] for row in measured_trust(swapped)["table"].rows] == ranked


def test_accuracy_by_patches_moved(vit: Page) -> None:
    assert vit.rows("Accuracy when patches move") == [
        ["0.0 %", "90.0 %", "85.1 % to 93.4 %"],
        ["50.0 %", "55.0 %", "48.1 % to 61.7 %"],
        ["100.0 %", "12.5 %", "8.6 % to 17.8 %"],
    ]


def test_a_cnn_shows_what_it_has(tmp_path: Path) -> None:
    found = inside(tmp_path, Recipe(epochs=1, samples=2, mistakes=1, patch_size=None))
    assert [title for title in SECTIONS if found.says(title)] == [SECTIONS[3]]
    assert found.says("First-layer kernels")
    assert [image["alt"] for image in found.all("img")].count("grad-cam over this image") == 3
    assert "attention" not in found.words


def test_without_a_class_token_patches_do_the_looking(tmp_path: Path, vit: Page) -> None:
    assert vit.says("how much of it the class token gives to each patch")
    of_history(tmp_path, 1)
    info = json.loads((tmp_path / "run.json").read_text())
    info["config"]["model"]["readout"] = ["mean"]
    (tmp_path / "run.json").write_text(json.dumps(info))
    assert page(tmp_path).says("how much of it the patches give on average to each patch")


def test_maps_of_a_kind_share_one_scale() -> None:
    images = np.full((2, 3, 8, 8), 128, np.uint8)
    shares = np.stack([np.full((4, 4), 1 / 16), np.full((4, 4), 1 / 64)])
    shown = multiples(shares)
    np.testing.assert_allclose(shown, np.stack([np.ones((4, 4)), np.full((4, 4), 0.25)]))
    scale = map_scale(shown, "")
    one, quarter = (pixels(overlay.uri) for overlay in overlays.over_images("a", images, shown, scale, ""))
    assert (one != quarter).any(axis=-1).all()
    [alone] = overlays.over_images("a", images[1:], shown[1:], scale, "")
    np.testing.assert_array_equal(pixels(alone.uri), quarter)


def test_attributions_are_compared_by_their_shape() -> None:
    maps = np.random.default_rng(0).normal(size=(1, 8, 8))
    both = overlays.strengths(np.concatenate([maps, 1000 * maps]))
    np.testing.assert_allclose(both[0], both[1], rtol=1e-5)
    np.testing.assert_allclose(np.abs(both).mean(axis=(1, 2)), 1, rtol=1e-5)
    assert (overlays.strengths(np.zeros((1, 2, 2))) == 0).all()


def test_a_map_without_negative_values_has_the_colours_of_the_others() -> None:
    images = np.full((2, 3, 4, 4), 128, np.uint8)
    maps = np.stack([np.full((4, 4), 1.0), np.linspace(-1, 1, 16).reshape(4, 4)])
    scale = map_scale(maps, "")
    first, second = (pixels(overlay.uri) for overlay in overlays.over_images("a", images, maps, scale, ""))
    np.testing.assert_array_equal(first[0, 0], second[3, 3])


@pytest.mark.parametrize(("epochs", "frames"), [(1, 1), (7, 7), (40, 40), (200, 40)])
def test_an_animation_has_few_frames_and_both_ends(epochs: int, frames: int) -> None:
    maps = uniform_attention(epochs, 2, 4, 4)
    made = attention_animation(np.full((3, 16, 16), 99, np.uint8), np.arange(1, epochs + 1), maps)
    assert len(made["epochs"]) == frames
    assert (made["epochs"][0], made["epochs"][-1], made["complete"]) == (1, epochs, frames == epochs)
    assert [strip.name for strip in made["strips"]] == ["mean over heads", "head 0", "head 1"]
    assert {pixels(strip.uri).shape for strip in made["strips"]} == {(16 * frames, 16, 3)}


def test_frames_follow_each_other_in_time() -> None:
    """One head looks at one patch after another: its strip is brightest there, frame by frame."""
    maps = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
    made = attention_animation(np.full((3, 8, 8), 255, np.uint8), np.arange(1, 5), maps)
    assert [strip.name for strip in made["strips"]] == ["mean over heads"]
    frames = pixels(made["strips"][0].uri).reshape(4, 2, 4, 2, 4, 3).astype(int).sum(axis=(2, 4, 5)).reshape(4, 4)
    assert frames.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_many_heads_are_played_as_their_mean() -> None:
    made = attention_animation(np.zeros((1, 8, 8), np.uint8), np.arange(1, 4), uniform_attention(3, 12, 2, 2))
    assert [strip.name for strip in made["strips"]] == ["mean over heads"]


def test_the_animation_plays_at_eight_frames_a_second_and_can_be_paused(tmp_path: Path) -> None:
    found = of_history(tmp_path, 17)
    assert re.findall(r"<li>epoch (\d+)</li>", found.text) == [str(i) for i in range(1, 18)]
    assert "steps(16, end)" in found.text
    [share] = re.findall(r"([\d.]+)%, to \{ transform: translateY\(-([\d.]+)%\)", found.text)
    seconds = float(re.findall(r"--seconds: ([\d.]+)s", found.text)[0])
    assert float(share[0]) / 100 * seconds == pytest.approx(16 / 8, abs=0.01)
    assert float(share[1]) == pytest.approx(100 * 16 / 17, abs=0.01)
    assert seconds - 2 >= 2
    assert [(i["type"], i["id"]) for i in found.all("input")] == [("checkbox", "pause")]
    assert found.all("label")[0]["for"] == "pause"
    assert "prefers-reduced-motion" in found.text


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = inside(tmp_path, SMALL, sample_view(5, SMALL), kernel_view(), epochs=9)
    assert page(tmp_path / "run").text == first.text


@pytest.mark.parametrize("stem", ["conv", "pooled"])
def test_a_stem_of_convolutions_has_kernels(stem: str, tmp_path: Path) -> None:
    write_inside(run(tmp_path), SMALL, kernel_view(), epochs=0)
    info = json.loads((tmp_path / "run.json").read_text())
    info["config"]["model"]["stem"] = stem
    (tmp_path / "run.json").write_text(json.dumps(info))
    assert page(tmp_path).says("The first convolution's kernels, strongest first")


def test_one_epoch_is_a_picture(tmp_path: Path) -> None:
    found = of_history(tmp_path, 1)
    assert found.text.count("<li>epoch 1</li>") == 1
    assert not found.all("input")
    assert "@keyframes" not in found.text


def test_what_was_measured_is_shown_or_how_to_measure_it(tmp_path: Path, vit: Page) -> None:
    assert re.search(r"vitrail explain \S+ --faithfulness", vit.words)
    stored = measured(("relevancy", "occlusion", "random")).to_json()
    stored["methods"][1]["values"]["response"] = [0.1, 0.2] * 5
    (run(tmp_path) / "faithfulness.json").write_text(json.dumps(stored))
    found = page(tmp_path)
    assert not found.says("--faithfulness")
    rows = found.rows("Means over images ± half of their 95 % interval")
    # Student's t of 9 degrees of freedom at 97.5 % is 2.262.
    half = 2.262 * np.std([0.1, -0.1] * 5, ddof=1) / np.sqrt(10)
    assert [row[0] for row in rows] == ["relevancy", "occlusion", "random (control)"]
    assert f"0.50 ± {half:.2f}" in rows[0]
    assert f"0.30 ± {half:.2f}" in rows[2]
    assert found.says("The mean probability of the explained class is 90.0 % for whole images")
    assert found.says("10.0 % with everything hidden (mean)")
    assert found.says("These methods do not show what the model has learned: occlusion. Their maps")


def test_what_was_measured_of_an_earlier_definition_is_said() -> None:
    found = replace(measured(), outdated=("legrad",))
    [sentence] = [fact for fact in measured_trust(found)["facts"] if "legrad" in fact]
    assert "'vitrail explain RUN --faithfulness --methods legrad'" in sentence


def test_names_of_the_inside_are_inert(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    names = (evil, *NASTY, *["x"] * 6)[:6]
    views = model_view(head_names=names), sample_view(5, SMALL, method=evil)
    directory = write_inside(run(tmp_path / '"><script>alert(2)<'), SMALL, *views)
    (directory / "faithfulness.json").write_text(json.dumps(measured(("relevancy", evil)).to_json()))
    found = page(directory)
    assert "<script" not in found.text.lower()
    assert "\u202e" not in found.text
    assert found.says(evil)


@pytest.mark.parametrize("name", ["inspection.safetensors", "attention.safetensors", "faithfulness.json"])
@pytest.mark.parametrize("content", ["no tensors here", "[]", "", '{"methods": [], "cells": 3}'])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    directory = write_inside(run(tmp_path), SMALL)
    (directory / name).write_text(content)
    refused(directory, name)


@pytest.mark.parametrize(
    "views",
    [
        [model_view(head_names=("mixed",))],
        [model_view(head_similarity=np.eye(5, dtype=np.float32))],
        [sample_view(4, SMALL)],
        [sample_view(5, Recipe(size=(16, 16)))],
    ],
    ids=["names", "similarity", "count", "size"],
)
def test_arrays_that_do_not_fit_the_run_are_refused(tmp_path: Path, views: list[object]) -> None:
    directory = write_inside(run(tmp_path), SMALL, *views)
    refused(directory, "inspection.safetensors")


@pytest.mark.parametrize(
    ("shapes", "fits"),
    [
        ({"a": ((2, 3), "layer head"), "b": ((2, 3, 5, 5), "layer head row column")}, True),
        ({"a": ((2, 3), "layer head"), "b": ((3, 3), "layer head")}, False),
        ({"a": ((2, 3), "layer head row")}, False),
        ({"a": ((4, 5), "any any")}, False),
        ({"a": ((0, 5), "layer head")}, False),
    ],
)
def test_shapes_are_checked_by_the_names_of_their_axes(
    shapes: dict[str, tuple[tuple[int, ...], str]], fits: bool
) -> None:
    arrays = {name: (np.zeros(shape), axes) for name, (shape, axes) in shapes.items()}
    with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="has the shape"):
        check_shapes({**arrays, "absent": (None, "layer")})


def test_an_attention_history_without_an_epoch_is_refused(tmp_path: Path) -> None:
    directory = run(tmp_path)
    nothing = {"image": np.zeros((3, 8, 8), np.uint8), "epochs": np.zeros(0, np.int64), "maps": np.zeros((0, 2, 4, 4))}
    save_file(nothing, directory / "attention.safetensors")
    refused(directory, "attention.safetensors")


def refused(directory: Path, name: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"{directory / name} is damaged")) as caught:
        write_report(directory)
    assert "\n" not in str(caught.value)
    assert not (directory / "report.html").exists()


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=1, channels=1, size=(8, 8), patch_size=2, samples=1, mistakes=0),
        Recipe(epochs=1, size=(32, 96), patch_size=8, samples=2, mistakes=0),
        Recipe(epochs=1, samples=0, mistakes=0),
    ],
    ids=["digits", "wide", "no-samples"],
)
def test_runs_of_all_shapes(tmp_path: Path, recipe: Recipe) -> None:
    found = inside(tmp_path, recipe)
    assert found.says("Through training")
    assert found.says("In every layer and head") == bool(recipe.samples)


def test_a_large_model_on_photographs_stays_a_few_megabytes(tmp_path: Path) -> None:
    """`page` holds every report to 5 MB."""
    recipe = Recipe(epochs=1, size=(224, 224), patch_size=16, samples=12, mistakes=16)
    views = model_view(12, 12, 14, head_names=("mixed",) * 144), sample_view(28, recipe, 12, 12)
    found = inside(tmp_path, recipe, *views, epochs=100, heads=12)
    assert len(found.rows("Every head")) == 144


def test_a_comparison_shows_layers_and_explanations_side_by_side(tmp_path: Path) -> None:
    directory = comparison(tmp_path)
    assert not page(directory).says("Layers side by side")
    view = pair_view()
    view.cka[0, 0] = np.nan
    store(directory / "inspection.safetensors", view)
    found = page(directory)
    assert found.rows("CKA of vit-small (rows) and cnn-plain (columns)") == [
        ["embed", "–", "0.22", "0.33"],
        ["blocks.0", "0.44", "0.87", "0.66"],
    ]
    assert found.says("The most similar pair is blocks.0 of vit-small and stages.1 of cnn-plain, with 0.87.")
    alts = [image["alt"] for image in found.all("img")]
    for alt in ("relevancy of vit-small", "grad-cam of cnn-plain", "occlusion of vit-small", "occlusion of cnn-plain"):
        assert alts.count(alt) == 3
    said = re.findall(r'class="prediction (right|wrong)">(.) <bdi>(\w+)</bdi>', found.text)
    right, wrong = ("right", "✓", "cat"), ("wrong", "✗", "dog")
    assert said == [right, right, right, wrong, right, wrong]


def test_names_of_a_pair_are_inert(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    directory = comparison(tmp_path)
    names = dict.fromkeys(("names", "methods", "class_names", "layers_a"), (evil, evil))
    store(directory / "inspection.safetensors", pair_view(**names))
    found = page(directory)
    assert "<script" not in found.text.lower()
    assert found.says(evil)


@pytest.mark.parametrize(
    "changes",
    [{"layers_a": ("embed",)}, {"names": ("vit",)}, {"cka": np.full((2, 3), np.nan, np.float32)}],
)
def test_a_pair_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    directory = comparison(tmp_path)
    store(directory / "inspection.safetensors", pair_view(**changes))
    refused(directory, "inspection.safetensors")


def test_a_comparison_with_another_kind_of_view_shows_none(tmp_path: Path) -> None:
    directory = comparison(tmp_path)
    store(directory / "inspection.safetensors", kernel_view())
    assert not page(directory).says("Layers side by side")
