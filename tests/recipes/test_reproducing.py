"""Recipes from the command line to their records: what stands beside the published table is what was measured."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
import signal
import sys

import numpy as np
import pytest
import torch

from vitrail import files
from vitrail.cli import run
from vitrail.configs import NO_AUGMENTATION, RECOMMENDED, ClassificationConfig, DataConfig, RunConfig, TrainConfig
from vitrail.errors import InputError, Interrupted
from vitrail.experiments import plan as plans
from vitrail.experiments import run as runs
from vitrail.experiments.automatic import resolve_training
from vitrail.models.presets import preset
from vitrail.recipes import RECIPES
from vitrail.recipes import reproducing as reproduction
from vitrail.recipes.figures import DRAWINGS, _models
from vitrail.recipes.published import REPRODUCTIONS, Reproduction
from vitrail.recipes.recipe import Recipe
from vitrail.runs.directory import Run
from vitrail.runs.plan import read_plan


def recipe_modules():
    """The documents: every module that holds one of the recipes."""
    rooms = [module for name, module in sys.modules.items() if name.startswith("vitrail.recipes.")]
    return [m for m in rooms if any(isinstance(value, Recipe) for value in vars(m).values())]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_leaves_nothing_that_cannot_be_resolved(name):
    recipe = RECIPES[name]
    resolved, _ = resolve_training(recipe.train, recipe.model, recipe.data.train_subset or 45_000)
    RunConfig(recipe.data, recipe.model, resolved, recipe.model_name)
    assert resolved.epochs == recipe.train.epochs
    assert recipe.seeds >= 1


def test_every_recipe_has_its_place():
    tables = {name: known for name, known in REPRODUCTIONS.items() if not known.claim}
    assert sorted(made for known in tables.values() for made in known.recipes) == sorted(RECIPES)
    assert {name for name in REPRODUCTIONS if name not in tables} == set(DRAWINGS)
    documented = {word for module in recipe_modules() for word in re.findall(r"[\w-]+", inspect.getdoc(module) or "")}
    assert set(tables) <= documented
    for known in REPRODUCTIONS.values():
        assert set(known.values) <= set(known.recipes)


@pytest.mark.parametrize("name", [name for name in RECIPES if reproduction.outcome(name)])
def test_a_recipe_s_document_says_what_its_record_says(name):
    said = reproduction.outcome(name)
    (module,) = (m for m in recipe_modules() if RECIPES[name] in vars(m).values())
    assert said in " ".join((inspect.getdoc(module) or "").split()), said


@pytest.fixture(scope="module")
def small_recipes():
    """Two of them, of which one is published."""
    train = TrainConfig(epochs=2, batch_size=32, optimizer="adam", objective=ClassificationConfig(0.1))
    tiny = Recipe(DataConfig("digits", train_subset=200, test_subset=50), preset("vit-digits"), train, "tiny", seeds=2)
    other = dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, attention_scale="model"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "tiny", tiny)
        patch.setitem(RECIPES, "tiny-other", other)
        published = {"tiny": {"val_loss": 2.1, "test_accuracy": 0.57}}
        patch.setitem(REPRODUCTIONS, "tiny", Reproduction("A table", ("tiny", "tiny-other"), published))
        yield


@pytest.fixture(scope="module")
def reproduced(small_recipes, tmp_path_factory):
    directory = tmp_path_factory.mktemp("reproduction") / "out"
    assert run(["reproduce", "tiny", "--data", "digits", "--out", str(directory)]) == 0
    return directory


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


def test_interrupted_it_records_how_far_it_went(small_recipes, reproduced, tmp_path, monkeypatch):
    directory, steps = tmp_path / "out", 0

    def check():
        nonlocal steps
        steps += 1
        if steps == 9:
            raise Interrupted(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "interruptible", lambda: contextlib.nullcontext(check))
        assert run(["reproduce", "tiny", "--data", "digits", "--out", str(directory)]) == 128 + signal.SIGINT
    assert not (directory / "tiny-other.json").exists()
    record, finished = files.read_json(directory / "tiny.json"), files.read_json(reproduced / "tiny.json")
    (seed,) = record["seeds"]
    assert seed["test"] is None
    assert [row["val_loss"] for row in seed["epochs"]] == [finished["seeds"][0]["epochs"][0]["val_loss"]]
    rows = {(made, metric): measured for made, metric, _, measured in reproduction.Reproduced("tiny", directory).rows()}
    assert rows["tiny (1 of 2 epochs)", "val loss"] == f"{seed['epochs'][0]['val_loss']:.3f}"
    assert rows["tiny (1 of 2 epochs)", "test accuracy"] == rows["tiny-other", "val loss"] == "–"
    assert run(["resume", str(directory)]) == 0
    gone_on = files.read_json(directory / "tiny.json")
    assert gone_on["test"] == finished["test"]
    assert reproduction.so_far(gone_on) == ""


def test_interrupted_between_seeds_it_records_those_that_are_finished(small_recipes, tmp_path, monkeypatch):
    directory, resolve, resolved = tmp_path / "out", plans.resolve, []

    def interrupted(*given, **named):
        resolved.append(given)
        if len(resolved) == 2:
            raise KeyboardInterrupt
        return resolve(*given, **named)

    monkeypatch.setattr(plans, "resolve", interrupted)
    assert run(["reproduce", "tiny", "--data", "digits", "--out", str(directory)]) == 128 + signal.SIGINT
    record = files.read_json(directory / "tiny.json")
    assert len(record["seeds"]) == 1
    assert reproduction.so_far(record) == f" (1 of {record['planned_seeds']} seeds)"
    record["seeds"][0]["test"] = None
    assert reproduction.so_far(record).startswith(" (0 of ")


def test_a_record_of_fewer_seeds_than_planned_says_so(reproduced):
    first = Run(reproduced / "tiny-seed0")
    of_one = reproduction.record("tiny", "tiny", [first], planned=2)
    assert reproduction.so_far(of_one) == " (1 of 2 seeds)"
    assert "--seeds 2" in of_one["command"]
    assert reproduction.so_far(reproduction.record("tiny", "tiny", [first])) == ""


def test_a_figure_is_drawn_from_the_runs_that_are_there(reproduced, monkeypatch, capsys):
    monkeypatch.setitem(REPRODUCTIONS, "attention-distance", Reproduction("A figure", ("tiny",), claim="Near and far."))
    assert run(["reproduce", "attention-distance", "--of", str(reproduced)]) == 0
    record = files.read_json(reproduced / "attention-distance.json")
    depth, heads = RECIPES["tiny"].model.depth, RECIPES["tiny"].model.num_heads
    assert [np.shape(of["after"]) for of in record["measured"]] == [(depth, heads)] * 2
    farther = np.diff([np.mean(of["after"], axis=1)[[0, -1]] for of in record["measured"]]).mean()
    assert f"looks {farther:.1f}".replace("-", "−") in record["sentence"]
    assert {path.suffix for path in reproduced.glob("attention-distance.*")} == {".json", ".png", ".svg"}
    assert record["sentence"] in " ".join(capsys.readouterr().out.split())
    for argv, said in (
        (["attention-distance", "--of", str(reproduced / "nowhere")], "has no finished run of tiny"),
        (["tiny", "--of", str(reproduced)], "tiny is no figure: leave out --of"),
        (["attention-distance", "--of", str(reproduced), "--data-dir", "x"], "leave out --data, --seeds, --out and"),
        (
            ["attention-distance", "--of", str(reproduced), "--seeds", "2"],
            "leave out --data, --seeds, --out and --data-dir",
        ),
    ):
        assert run(["reproduce", *argv]) == 2
        assert said in capsys.readouterr().err


def test_resume_trains_only_what_is_missing(reproduced):
    before = files.read_json(reproduced / "tiny.json")
    (reproduced / "tiny.json").unlink()
    (reproduced / "tiny-seed1" / "evaluation.json").unlink()
    assert run(["resume", str(reproduced)]) == 0
    assert files.read_json(reproduced / "tiny.json") == before


def test_flags_beat_the_recipe_and_the_recipe_beats_what_is_chosen(monkeypatch):
    started = []

    def start(*given):
        started.append(given)
        raise InputError("enough")

    monkeypatch.setattr(runs, "start", start)

    def parsed(*options):
        assert run(["train", *options, "--recipe", "annotated-600"]) == 2
        return started[-1][:3]

    recipe = RECIPES["annotated-600"]
    assert parsed() == (recipe.data, recipe.model, recipe.train)
    data, model, train = parsed("digits", "--train-subset", "128", "--model.depth", "1", "--lr", ".1", "--seed", "3")
    assert data == dataclasses.replace(recipe.data, source="digits", train_subset=128)
    assert model == dataclasses.replace(recipe.model, depth=1)
    assert train == dataclasses.replace(recipe.train, lr=0.1, seed=3)
    data, model, train = parsed("--model", "vit-compare", "--image-size", "64", "--augment")
    assert (data.image_size, model) == ((64, 64), dataclasses.replace(preset("vit-compare"), image_size=64))
    assert train == dataclasses.replace(recipe.train, augment=RECOMMENDED.augment)
    _, _, train = parsed("--augment", "--train.augment.policy", "trivialaugment")
    assert train.augment == dataclasses.replace(RECOMMENDED.augment, policy="trivialaugment")
    _, _, train = parsed("--augment", "--train.augment.flip", "False")
    assert train.augment == dataclasses.replace(RECOMMENDED.augment, flip=False)
    _, _, train = parsed("--augment", "--no-augment", "--train.augment.crop", "4")
    assert train.augment == dataclasses.replace(NO_AUGMENTATION, crop=4)
    data, *_ = parsed("--model.patch-size", "8", "--image-size", "40", "--image-size", "48")
    assert data.image_size == (48, 48)
    data, model, _ = parsed("--model.patch-size", "6", "--image-size", "36")
    assert (data.image_size, model) == ((36, 36), dataclasses.replace(recipe.model, image_size=36, patch_size=6))


def test_before_training_a_figure_s_model_is_the_run_s(reproduced, tmp_path):
    prepared = runs.reopen(reproduced / "tiny-seed0")
    train = dataclasses.replace(prepared.config.train, whiten_patches=True, epochs=1)
    prepared = dataclasses.replace(prepared, config=dataclasses.replace(prepared.config, train=train))
    first = []

    def observe(_, model):
        first.append({name: value.clone() for name, value in model.state_dict().items()})
        return {}

    runs.begin(prepared, tmp_path, report=False, observe=observe)
    before = _models(Run(tmp_path), prepared)["before"].state_dict()
    assert before.keys() == first[0].keys()
    assert all(torch.equal(before[name], first[0][name]) for name in before)
    assert not all(torch.equal(before[name], first[-1][name]) for name in before)


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
        reproduction.complete(read_plan(tmp_path))
