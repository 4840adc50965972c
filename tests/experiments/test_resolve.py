"""Deciding on a run holds no pixels; the images of several runs are read and measured once."""

import dataclasses
import gc
import json
import weakref

import numpy as np
import pytest
from PIL import Image

from vitrail import files
from vitrail.classifier import load
from vitrail.configs import DataConfig, TrainConfig
from vitrail.data.dataset import ImageDataset
from vitrail.data.sources import Source
from vitrail.errors import InputError
from vitrail.experiments import comparison
from vitrail.experiments import resolve as resolving
from vitrail.experiments import run as runs
from vitrail.experiments.resolve import Loader, resolve
from vitrail.studies import conduct

TRAIN = TrainConfig(epochs=1, batch_size=16, threads=1)
SMALL = {"epochs": 1, "train_subset": 64, "test_subset": 20}


@pytest.fixture
def read(monkeypatch):
    """Every data set that is loaded from now on, and how often one was measured; only those in use are alive."""
    loaded, measured, load, measure = [], [], Source.load, resolving.measure

    def loading(self, *given):
        alive = sum(of() is not None for of in loaded)
        dataset = load(self, *given)
        # Of its own, so that nothing else keeps the pixels of the source alive.
        dataset = ImageDataset(dataset.images.copy(), dataset.labels)
        loaded.append(weakref.ref(dataset.images))
        assert alive == 0, "two data sets at once"
        return dataset

    def measuring(*given):
        measured.append(given[1])
        return measure(*given)

    monkeypatch.setattr(Source, "load", loading)
    monkeypatch.setattr(resolving, "measure", measuring)
    return loaded, measured


def held(loaded):
    gc.collect()
    return [of for of in loaded if of() is not None]


def test_what_is_resolved_holds_no_pixels(read):
    loaded, measured = read
    resolved = resolve(DataConfig("digits"), None, TRAIN)
    assert (len(loaded), len(measured)) == (1, 1)
    assert not held(loaded)
    arrays = [value for value in vars(resolved).values() if isinstance(value, np.ndarray) and value.ndim > 1]
    assert not arrays
    data = resolved.config.data
    assert (data.mean, data.std) == (resolved.preprocessing.mean, resolved.preprocessing.std)
    again = resolve(data, resolved.config.model, resolved.config.train, model_name=resolved.config.model_name)
    assert len(loaded) == 1, "what was measured is part of the configuration"
    assert again.config == resolved.config
    assert again.preprocessing == resolved.preprocessing


def test_a_run_reads_its_images_once(read, tmp_path):
    loaded, measured = read
    runs.train("digits", out=tmp_path / "run", **SMALL)
    assert (len(loaded), len(measured)) == (1, 1)
    assert not held(loaded)
    runs.reopen(tmp_path / "run")
    assert (len(loaded), len(measured)) == (2, 1)


def test_a_comparison_of_many_runs_is_planned_with_one_reading(read, tmp_path, monkeypatch):
    loaded, measured = read
    monkeypatch.setattr(comparison, "complete", lambda plan: plan)
    models = comparison.by_name(["vit-digits", "cnn-digits"])
    planned = comparison.start_comparison(DataConfig("digits"), models, TRAIN, 3, tmp_path / "out").runs
    assert len({config.data for config in planned.values()}) == 1
    assert (len(planned), len(loaded), len(measured)) == (6, 1, 1)
    assert not held(loaded)


def test_the_runs_of_a_comparison_share_their_images(read, tmp_path):
    loaded, measured = read
    comparison.compare("digits", ["vit-digits", "cnn-digits"], seeds=2, out=tmp_path / "out", **SMALL)
    # To plan it, for all runs, and to look at two of the models.
    assert (len(loaded), len(measured)) == (3, 1)


def test_a_study_reads_and_measures_each_set_of_images_once(read, tmp_path, monkeypatch):
    loaded, measured = read
    monkeypatch.setattr(conduct, "complete", lambda plan: plan)
    conduct.study("patch-size", quick=True, seeds=2, data="digits", out=tmp_path / "out")
    cells = files.read_json(tmp_path / "out" / "plan.json")["runs"].values()
    sizes = {json.dumps(cell["data"]) for cell in cells}
    assert len(cells) > 2 * len(sizes)
    assert (len(loaded), len(measured)) == (len(sizes), len(sizes))


def a_folder(path):
    for label, base in (("cat", 40), ("dog", 160)):
        for at in range(12):
            (path / label).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([base, at]).integers(base, base + 60, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / label / f"{at}.png")
    return path


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("measured", [False, True])
def test_images_that_changed_since_a_run_began_are_noticed(older, measured, tmp_path):
    path, given = a_folder(tmp_path / "x"), {} if measured else {"mean": (0.5,), "std": (0.5,)}
    data_dir = tmp_path / "cache"
    run = runs.train(str(path), "vit-digits", out=tmp_path / "run", data_dir=data_dir, image_size=16, epochs=1, **given)
    if older:
        stored = files.read_json(run.directory / "run.json")
        del stored["content"]
        if measured:
            stored["config"]["data"] |= {"mean": None, "std": None}
        files.write_json(run.directory / "run.json", stored)
    preprocessing = runs.reopen(run.directory).preprocessing
    assert preprocessing == load(run.directory).preprocessing
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path / "cat" / "3.png")
    if older and not measured:
        runs.reopen(run.directory)  # Nothing of the pixels was recorded.
        return
    with pytest.raises(InputError, match="have changed since"):
        runs.reopen(run.directory)


def test_images_that_change_between_resolving_and_loading_are_refused(tmp_path):
    path = a_folder(tmp_path / "x")
    resolved = resolve(DataConfig(str(path), image_size=16), "vit-digits", TRAIN, tmp_path / "cache")
    kept = Loader()
    assert kept.load(resolved).dataset is kept.load(dataclasses.replace(resolved, found=())).dataset
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path / "cat" / "3.png")
    with pytest.raises(InputError, match="just changed"):
        Loader().load(resolved)
