"""An objective with a decoder, a teacher and measures of its own is trained by the same loop."""

import copy
import dataclasses
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from small_run import CNN, STEPS_PER_EPOCH, VIT, data, fit, interrupting_after, last_weights, run_config
from torch import Tensor, nn

from vitrail import files
from vitrail.configs import AugmentConfig, RunConfig
from vitrail.data.augment import augment
from vitrail.errors import Interrupted, RunError
from vitrail.models.build import evaluating
from vitrail.training.objectives.classification import Classification
from vitrail.training.recorders import run_recorders
from vitrail.training.trainer import Trainer


class Views(NamedTuple):
    first: Tensor
    second: Tensor


class MeanColour:
    """A decoder says the images' mean from the model's outputs, which shall also be a teacher's of another view."""

    def __init__(self, config: RunConfig, training, model) -> None:
        self.data, self.augmentation = training, config.train.augment
        teacher = copy.deepcopy(model).requires_grad_(False)
        teacher.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        decoder = nn.Sequential(nn.Linear(config.model.num_classes, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.modules = nn.ModuleDict({"decoder": decoder, "teacher": teacher})

    def batch(self, images, indices, side):
        return Views(*(augment(images, self.augmentation, self.data.preprocessing) for _ in range(2)))

    def forward(self, model, batch):
        with torch.no_grad():
            target = self.modules["teacher"](batch.second)
        outputs = model(batch.first)
        return self.modules["decoder"](outputs)[:, 0], outputs, target

    def loss(self, outputs, batch):
        said, own, target = outputs
        return (said - batch.first.mean((1, 2, 3))).square().mean() + 0.1 * (own - target).square().mean()

    def after_step(self, model):
        teacher = self.modules["teacher"]
        teacher.updates += 1
        for mean, latest in zip(teacher.parameters(), model.parameters(), strict=True):
            mean.lerp_(latest.detach(), 0.1)

    def results(self, outputs, batch):
        return {"error": (outputs[0] - batch.first.mean((1, 2, 3))).detach().abs().cpu()}

    def step_metrics(self, results):
        return {"error": results["error"].mean().item()}

    def epoch_metrics(self, results):
        return {"error": results["error"].mean().item() if results else None}

    def validate(self, model, advance):
        inputs = self.data.preprocessing.normalize(torch.from_numpy(self.data.dataset.read(self.data.val)))
        advance(len(inputs))
        decoder = self.modules["decoder"]
        with torch.no_grad(), evaluating(model), evaluating(decoder):
            said = decoder(model(inputs))[:, 0]
        if not said.isfinite().all():
            raise FloatingPointError("the decoder's outputs")
        return {"error": (said - inputs.mean((1, 2, 3))).abs().mean().item()}


def fit_colour(config, directory, check=lambda: None, objective=MeanColour):
    directory.mkdir(exist_ok=True)
    images = data()
    Trainer(config, images, directory, check, run_recorders(config, images, directory), objective).fit()
    return {name: (directory / f"{last_checkpoint(directory)}/{name}.safetensors").read_bytes() for name in PARTS}


PARTS = ("model", "optimizer")


def last_checkpoint(directory):
    return f"checkpoints/step-{3 * STEPS_PER_EPOCH:08d}"


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "muon", "ema_decay": 0.8}, {"optimizer": "adam", "clip_norm": 0.1}, {"model": CNN}],
    ids=["vit", "muon, average", "adam, clipped", "cnn"],
)
def test_decoder_and_teacher_are_trained_saved_and_resumed_bit_for_bit(changes, tmp_path):
    """Interrupted in the middle of an epoch, while validating, and at the end of an epoch."""
    config = run_config(**changes)
    whole = fit_colour(config, tmp_path / "whole")
    for steps in (3, 3, 2):
        with pytest.raises(Interrupted):
            fit_colour(config, tmp_path / "broken", interrupting_after(steps))
    assert fit_colour(config, tmp_path / "broken") == whole

    stored = load_file(tmp_path / "whole" / last_checkpoint(tmp_path) / "optimizer.safetensors")
    assert stored["objective.teacher.updates"] == 3 * STEPS_PER_EPOCH
    trainer = Trainer(config, data(), tmp_path / "new", lambda: None, objective=MeanColour)
    for name, first in trainer.objective.modules.state_dict().items():
        assert not torch.equal(stored[f"objective.{name}"], first) or "qkv.bias" in name or not first.numel(), name

    rows = files.read_json_lines(tmp_path / "broken" / "metrics.jsonl")
    expected = files.read_json_lines(tmp_path / "whole" / "metrics.jsonl")
    assert [[row["train_error"], row["val_error"]] for row in rows] == [
        [row["train_error"], row["val_error"]] for row in expected
    ]
    assert rows[-1]["train_error"] < rows[0]["train_error"]
    steps = files.read_json_lines(tmp_path / "broken" / "steps.jsonl")
    assert list(steps[0]) == ["step", "loss", "error", "lr"]
    assert steps == files.read_json_lines(tmp_path / "whole" / "steps.jsonl")


def test_a_skipped_batch_changes_no_module_of_the_objective(tmp_path):
    class Poisoned(MeanColour):
        def loss(self, outputs, batch):
            self.before = {name: t.clone() for name, t in self.modules.state_dict().items()}
            return super().loss(outputs, batch) * float("nan")

    trainer = Trainer(run_config(), data(), tmp_path, lambda: None, objective=Poisoned)
    before = {name: t.clone() for name, t in trainer.objective.modules.state_dict().items()}
    row = trainer.train_step()
    assert row["loss"] is row["error"] is None
    assert any(not torch.equal(t, before[name]) for name, t in trainer.objective.before.items())
    assert all(torch.equal(t, before[name]) for name, t in trainer.objective.modules.state_dict().items())


def test_what_is_not_finite_in_validation_ends_the_run(tmp_path):
    class Infinite(MeanColour):
        def validate(self, model, advance):
            self.modules["decoder"][2].bias.data.fill_(float("inf"))
            return super().validate(model, advance)

    with pytest.raises(RunError, match="after epoch 1 the decoder's outputs are not finite: training diverged"):
        fit_colour(run_config(), tmp_path, objective=Infinite)


def test_an_epoch_is_shown_with_what_its_objective_measures(tmp_path, capsys):
    fit_colour(run_config(), tmp_path / "colour")
    shown = capsys.readouterr().out
    assert "epoch 1/3" in shown
    assert "acc" not in shown


def test_classification_stores_nothing_of_its_own(tmp_path):
    fit(run_config(), tmp_path)
    stored = load_file(tmp_path / last_checkpoint(tmp_path) / "optimizer.safetensors")
    assert all(name.startswith("optimizer.") for name in stored)


def test_targets_are_labels_or_where_images_are_mixed_shares():
    images = data()
    indices = images.train[[3, 5, 8, 1]]
    pixels = torch.from_numpy(images.dataset.read(indices))
    plain = run_config(augment=AugmentConfig(crop=0, flip=False))
    inputs, targets = Classification(plain, images).batch(pixels, indices, None)
    torch.testing.assert_close(inputs, images.preprocessing.normalize(pixels))
    assert targets.tolist() == images.dataset.labels[indices].tolist()
    mixing = run_config(augment=dataclasses.replace(plain.train.augment, mixup=1.0))
    inputs, targets = Classification(mixing, images).batch(pixels, indices, 4)
    assert inputs.shape == (4, 1, 4, 4)
    assert targets.shape == (4, VIT.num_classes)
    assert (targets[range(4), images.dataset.labels[indices]] > 0).all()


@pytest.mark.parametrize("changes", [{}, {"model": CNN, "ema_decay": 0.8}])
def test_without_recorders_the_weights_are_the_same(changes, tmp_path):
    config = run_config(**changes)
    expected = fit(config, tmp_path / "recorded")
    for steps in (3, 5):
        with pytest.raises(Interrupted):
            Trainer(config, data(), tmp_path / "alone", interrupting_after(steps)).fit()
    Trainer(config, data(), tmp_path / "alone", lambda: None).fit()
    assert last_weights(tmp_path / "alone") == expected
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["checkpoints"]
