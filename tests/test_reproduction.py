"""Recipes from the command line to their records: what stands beside the published table is what was measured."""

from __future__ import annotations

import dataclasses
import inspect
import sys

import numpy as np
import pytest

from vitrail import files, reproduction
from vitrail.cli import run
from vitrail.configs import DataConfig, TrainConfig
from vitrail.errors import InputError
from vitrail.models.presets import preset
from vitrail.recipes import RECIPES
from vitrail.recipes.published import REPRODUCTIONS, Reproduction
from vitrail.recipes.recipe import Recipe
from vitrail.runs import Run
from vitrail.training.choices import resolve_training


def recipe_modules():
    """The documents: every module that holds one of the recipes."""
    rooms = [module for name, module in sys.modules.items() if name.startswith("vitrail.recipes.")]
    return [m for m in rooms if any(isinstance(value, Recipe) for value in vars(m).values())]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_leaves_nothing_that_cannot_be_resolved(name):
    recipe = RECIPES[name]
    resolved, _ = resolve_training(recipe.train, recipe.model, 45_000)
    assert resolved.epochs == recipe.train.epochs
    assert recipe.seeds >= 1


def test_every_recipe_has_its_place():
    placed = [made for known in REPRODUCTIONS.values() for made in known.recipes]
    assert sorted(placed) == sorted(RECIPES)
    documented = " ".join(inspect.getdoc(module) or "" for module in recipe_modules())
    for name, known in REPRODUCTIONS.items():
        assert name in documented, name
        assert set(known.values) <= set(known.recipes)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A reproduction of two small recipes, of which one is published."""
    train = TrainConfig(epochs=2, batch_size=32, optimizer="adam", label_smoothing=0.1)
    tiny = Recipe(DataConfig("digits", train_subset=200, test_subset=50), preset("vit-digits"), train, "tiny", seeds=2)
    other = dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, attention_scale="model"))
    directory = tmp_path_factory.mktemp("reproduction") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "tiny", tiny)
        patch.setitem(RECIPES, "tiny-other", other)
        published = {"tiny": {"val_loss": 2.1, "test_accuracy": 0.57}}
        patch.setitem(REPRODUCTIONS, "tiny", Reproduction("A table", ("tiny", "tiny-other"), published))
        assert run(["reproduce", "tiny", "--data", "digits", "--out", str(directory)]) == 0
        yield directory


def test_the_record_holds_every_epoch_of_every_seed(reproduced):
    record = files.read_json(reproduced / "tiny.json")
    assert record["command"] == "vitrail reproduce tiny --seeds 2"
    assert [seed["seed"] for seed in record["seeds"]] == [0, 1]
    runs = [Run(reproduced / f"tiny-seed{k}") for k in range(2)]
    assert [seed["epochs"] for seed in record["seeds"]] == [made.metrics for made in runs]
    assert [seed["test"]["accuracy"] for seed in record["seeds"]] == [made.evaluation["accuracy"] for made in runs]
    losses = [made.metrics[-1]["val_loss"] for made in runs]
    assert record["val"]["loss"]["mean"] == pytest.approx(np.mean(losses))
    assert record["val"]["loss"]["std"] == pytest.approx(np.std(losses, ddof=1))
    assert record["config"]["model"]["attention_scale"] == "head"
    other = files.read_json(reproduced / "tiny-other.json")
    assert other["config"]["model"] == {**record["config"]["model"], "attention_scale": "model"}
    rows = {(made, metric): row for made, metric, *row in reproduction.Reproduced("tiny", reproduced).rows()}
    assert rows["tiny", "val loss"] == ["2.100", f"{np.mean(losses):.3f} ± {np.std(losses, ddof=1):.3f}"]
    assert rows["tiny", "test accuracy"][0] == "57.0 %"
    assert rows["tiny-other", "val loss"][0] == "–"


def test_resume_trains_only_what_is_missing(reproduced):
    before = files.read_json(reproduced / "tiny.json")
    (reproduced / "tiny.json").unlink()
    (reproduced / "tiny-seed1" / "evaluation.json").unlink()
    assert run(["resume", str(reproduced)]) == 0
    assert files.read_json(reproduced / "tiny.json") == before


@pytest.mark.slow
def test_flags_beat_the_recipe_and_the_recipe_beats_what_is_chosen(tmp_path):
    options = ["--train-subset", "128", "--epochs", "1", "--model.depth", "1", "--train.label-smoothing", ".1"]
    argv = ["train", "digits", "--recipe", "annotated-600", *options, "--out", str(tmp_path / "run")]
    assert run(argv) == 0
    stored = files.read_json(tmp_path / "run" / "run.json")["config"]
    recipe = RECIPES["annotated-600"]
    assert (stored["data"]["train_subset"], stored["data"]["test_subset"], stored["data"]["val_split"]) == (
        128,
        200,
        "test",
    )
    assert (stored["model"]["depth"], stored["model"]["embed_dim"]) == (1, recipe.model.embed_dim)
    train = stored["train"]
    assert (train["epochs"], train["label_smoothing"], train["optimizer"], train["batch_size"]) == (1, 0.1, "adam", 128)


def test_what_cannot_be_reproduced_is_said(tmp_path, capsys):
    for argv, said in (
        (["reproduce", "anotated-600"], "did you mean annotated-600"),
        (["reproduce", "annotated-600", "--seeds", "0"], "at least 1"),
        (["train", "--recipe", "compare-180"], "did you mean compare-180-"),
    ):
        assert run([*argv, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert run(["reproduce"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in REPRODUCTIONS)


def test_a_damaged_plan_is_named(tmp_path):
    files.write_json(tmp_path / "reproduction.json", {"reproduction": "annotated-600"})
    with pytest.raises(InputError, match=r"reproduction\.json is damaged"):
        reproduction.resume_reproduction(tmp_path)
