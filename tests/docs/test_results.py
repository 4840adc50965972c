"""The page of results says what the records say."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from site_builder.results import CURVES, curves, results
from vitrail.configs.serialization import run_from_json
from vitrail.plots.style import save_svg
from vitrail.recipes import RECIPES, recipe
from vitrail.recipes.published import REPRODUCTIONS

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "results"


@pytest.mark.skipif(not RECORDS.is_dir(), reason="nothing has been recorded")
def test_the_page_is_what_the_records_give():
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == results(RECORDS)


@pytest.mark.skipif(not RECORDS.is_dir(), reason="nothing has been recorded")
def test_every_curve_ends_where_its_record_does():
    ends = {line.get_label(): line.get_xydata()[-1].tolist() for line in curves(RECORDS).axes[0].lines}
    recorded = {name: json.loads((RECORDS / f"{name}.json").read_text()) for name in RECORDED}
    known = {
        name: pytest.approx([of["seconds"]["mean"] / 60, 100 * of["val"]["accuracy"]["mean"]])
        for name, of in recorded.items()
        if of["data"] == recorded["cifar10-fast"]["data"]
    }
    assert ends == known
    assert CURVES in (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not RECORDS.is_dir(), reason="nothing has been recorded")
def test_the_picture_is_what_the_records_give(tmp_path):
    """Coordinates may differ by a rounding of the layout."""
    save_svg(curves(RECORDS), tmp_path / CURVES, CURVES)
    kept, made = ((folder / CURVES).read_text(encoding="utf-8") for folder in (RECORDS, tmp_path))
    number = r"-?\d+\.\d+"
    assert re.sub(number, "n", kept) == re.sub(number, "n", made)
    assert [float(n) for n in re.findall(number, kept)] == pytest.approx(
        [float(n) for n in re.findall(number, made)], abs=0.1
    )


@pytest.mark.skipif(not RECORDS.is_dir(), reason="nothing has been recorded")
def test_a_figure_is_not_told_twice():
    recipes, _, _ = results(RECORDS).partition("## Figures of the literature")
    assert not [name for name, known in REPRODUCTIONS.items() if known.claim and f"### {name}\n" in recipes]


def test_without_records_there_are_no_curves(tmp_path):
    assert curves(tmp_path) is None


RECORDED = [name for name in RECIPES if (RECORDS / f"{name}.json").is_file()]


CHOSEN = {"image_size", "mean", "std"} | {"crop", "flip"}
CHOSEN |= {"epochs", "batch_size", "optimizer", "lr", "weight_decay", "warmup", "threads"}
"""Where nothing is said, these are chosen; of the rest, None is a choice."""


@pytest.mark.parametrize("name", RECORDED)
def test_a_record_is_of_what_its_recipe_is_now(name):
    made = run_from_json(json.loads((RECORDS / f"{name}.json").read_text())["config"])
    model, train = recipe(name).model, recipe(name).train
    assert dataclasses.replace(made.model, image_size=model.image_size) == model
    assert made.model_name == recipe(name).model_name
    without_meaning = {"source", "augment"} | ({"small_until"} if train.small_side is None else set())
    without_meaning |= {"policy_version"} if train.augment.policy == "none" else set()
    for now, then in (
        (recipe(name).data, made.data),
        (train, made.train),
        (train.augment, made.train.augment),
    ):
        for key, value in vars(now).items():
            left_open = value == "auto" or (value is None and key in CHOSEN)
            assert left_open or key in without_meaning or getattr(then, key) == value, key


@pytest.mark.skipif("mnist-fast" not in RECORDED, reason="mnist-fast is not recorded")
def test_of_an_interrupted_run_the_page_says_how_far_it_went(tmp_path):
    record = json.loads((RECORDS / "mnist-fast.json").read_text())
    planned = record["config"]["train"]["epochs"]
    del record["seeds"][1:], record["seeds"][0]["epochs"][1:]
    (tmp_path / "mnist-fast.json").write_text(json.dumps(record))
    far = f"(1 of {planned} epochs)"
    page = results(tmp_path)
    assert f"| `mnist-fast` {far} |" in page
    assert f"| mnist-fast {far} | val accuracy |" in page
    assert f"of training each {far}" in page


def test_a_record_is_told_whole(tmp_path):
    record = {
        "study": "hybrid",
        "claim": "A claim.",
        "sentence": "Undecided on digits (3 seeds): it is so.",
        "head": ["stem", "a|b"],
        "rows": [["linear", "1 ± 2"]],
        "command": "vitrail study hybrid --seeds 3",
        "hardware": "a machine",
        "versions": {"torch": "2"},
    }
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "hybrid.json").write_text(json.dumps(record))
    text = results(tmp_path)
    for said in ("### hybrid", "*A claim.*", record["sentence"], "| linear | 1 ± 2 |", record["command"], "torch 2"):
        assert said in text
    assert "a&#124;b" in text
    record |= {"source": "Nobody 2020.", "settings": {"a": {"lr": 1.0, "epochs": 3}, "b": {"lr": 1.0, "epochs": 4}}}
    (tmp_path / "studies" / "hybrid.json").write_text(json.dumps(record))
    text = results(tmp_path)
    assert "*A claim.* Nobody 2020." in text
    assert "All runs: lr 1.0. Not the same for all: epochs. a machine" in text
    assert "![" not in text
    (tmp_path / "studies" / "hybrid.svg").write_text("<svg/>")
    assert "hybrid.svg" in results(tmp_path)
