"""How long a run takes, and how many epochs a budget allows."""

import dataclasses
import threading

import pytest
import torch

import vitrail
from vitrail import files
from vitrail.configs import DataConfig, TrainConfig
from vitrail.errors import InputError
from vitrail.experiments import pace
from vitrail.experiments.resolve import Loader, resolve
from vitrail.models.presets import preset

DATA = DataConfig("digits", train_subset=100)
TINY = dataclasses.replace(preset("vit-digits"), depth=1)


def planned(train, monkeypatch, *seconds, data=DATA):
    """The epochs of runs whose epochs take so long."""
    told, loader = iter(seconds), Loader()
    monkeypatch.setattr(pace, "epoch_seconds", lambda prepared: next(told))
    runs = pace.paced([resolve(data, TINY, train, loader=loader) for _ in seconds], train, loader)
    assert len({run.config.train.epochs for run in runs}) == 1
    return runs


@pytest.mark.parametrize(
    ("train", "seconds", "epochs", "said"),
    [
        # As many as are right for most data, which is quick here.
        (TrainConfig(), (0.1,), 100, "100 epochs: about 10 s here"),
        # Ten minutes hold no more.
        (TrainConfig(), (60.0,), 10, "10 epochs: about 10 min here, as many as fit into 10 minutes"),
        (TrainConfig(), (1e6,), 1, "1 epoch: about 277.8 h here, though not even one fits into 10 minutes"),
        # A budget is used to its end, whichever way it differs.
        (TrainConfig(time_budget=2.0), (0.1,), 1200, "1,200 epochs: about 2 min"),
        (TrainConfig(time_budget=2.0), (50.0,), 2, "as many as fit into 2 minutes"),
        # What is asked for is not changed, but its time is said.
        (TrainConfig(epochs=7), (600.0,), 7, "7 epochs: about 70 min here"),
        # Of models that are compared, the slowest decides for all.
        (TrainConfig(), (10.0, 60.0, 20.0), 10, "10 epochs: about 100 s here, as many as fit"),
    ],
)
def test_epochs_fit_into_the_budget(train, seconds, epochs, said, monkeypatch):
    first = planned(train, monkeypatch, *seconds)[0]
    assert first.config.train.epochs == epochs
    assert first.config.train.time_budget is None
    assert said in first.notes[-1]


def test_what_depends_on_the_epochs_is_chosen_for_those_that_fit(monkeypatch):
    data = dataclasses.replace(DATA, image_size=16)
    (few,), (many,) = (planned(TrainConfig(), monkeypatch, seconds, data=data) for seconds in (300.0, 1.0))
    assert (few.config.train.epochs, few.config.train.augment.crop) == (2, 0)
    assert (many.config.train.epochs, many.config.train.augment.crop) == (100, 2)
    assert not any("100 epochs" in note for note in few.notes)


def test_epochs_and_a_budget_exclude_each_other():
    with pytest.raises(InputError, match="both say how long to train"):
        TrainConfig(epochs=3, time_budget=1.0)


def test_measuring_leaves_nothing_behind(tmp_path):
    loader, train = Loader(), TrainConfig(epochs=1)
    prepared = loader.load(resolve(DATA, TINY, train, loader=loader))
    threads = torch.get_num_threads()
    assert 0 < pace.epoch_seconds(prepared) < 60
    assert torch.get_num_threads() == threads
    assert not list(tmp_path.iterdir())


def test_threads_train_one_after_the_other(tmp_path, monkeypatch):
    from vitrail.experiments import run as runs

    monkeypatch.setattr(runs, "store_summary", lambda *given: None)
    monkeypatch.setattr(runs, "write_report", lambda directory: directory)
    # Dropout draws at every step from the random numbers that all threads share.
    model = dataclasses.replace(TINY, dropout=0.5)

    def train(name):
        vitrail.train("digits", model, tmp_path / name, epochs=2, train_subset=100, test_subset=20)

    train("alone")
    together = [threading.Thread(target=train, args=(name,)) for name in ("first", "second")]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    weights = [files.sha256(path) for path in sorted(tmp_path.glob("*/checkpoints/step-00000008/model.safetensors"))]
    assert len(weights) == 3
    assert len(set(weights)) == 1
